//! A field of a request that changes something.

/// What a request says of a field: nothing, that it is to be empty, or what it is to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Given<T> {
    /// It is to stay as it is.
    #[default]
    Absent,
    /// It is to be empty.
    Null,
    /// It is to be this.
    Value(T),
}

impl<T> Given<T> {
    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// What the field holds after this, if it held `before`.
    pub fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Absent => before,
            Self::Null => None,
            Self::Value(value) => Some(value),
        }
    }

    /// The same with another value; `change` may make the field empty.
    pub fn try_map<U, E>(
        self,
        change: impl FnOnce(T) -> Result<Option<U>, E>,
    ) -> Result<Given<U>, E> {
        Ok(match self {
            Self::Absent => Given::Absent,
            Self::Null => Given::Null,
            Self::Value(value) => change(value)?.map_or(Given::Null, Given::Value),
        })
    }
}
