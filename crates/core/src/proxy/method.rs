//! Methods that a request can have.

/// A method of HTTP (RFC 9110 section 9.3, RFC 5789). `CONNECT` and `TRACE` are none of them: the one makes a
/// tunnel, and the other has the credential sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 7] =
        [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete, Self::Head, Self::Options];

    /// The method's name, as it is stored and sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
        }
    }

    /// The method of this name, which has no other spelling (RFC 9110 section 9.1).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// Whether a request that was perhaps received may be sent again (RFC 9110 section 9.2.2).
    #[must_use]
    pub const fn is_idempotent(self) -> bool {
        !matches!(self, Self::Post | Self::Patch)
    }
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn a_method_has_one_spelling_and_none_tunnels_or_echoes() {
        assert!(Method::ALL.iter().all(|method| Method::parse(method.as_str()) == Some(*method)));
        for name in ["get", "CONNECT", "TRACE", "", "GET ", "PROPFIND"] {
            assert_eq!(Method::parse(name), None, "{name}");
        }
    }

    #[test]
    fn only_post_and_patch_must_not_be_sent_twice() {
        let not = Method::ALL.into_iter().filter(|method| !method.is_idempotent());
        assert!(not.eq([Method::Post, Method::Patch]));
    }
}
