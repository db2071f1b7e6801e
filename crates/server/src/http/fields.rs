//! The fields of a JSON object from outside, taken one by one, so that each that is wrong is named
//! (contract/contacts-and-secrets, section 1.4).

use std::{borrow::Cow, collections::BTreeMap, fmt};

use keyfob_core::time::Timestamp;
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};

use crate::{broker::Given, error::Error};

/// The fields that nobody has taken yet.
pub(crate) struct Fields<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = BTreeMap<Cow<'de, str>, &'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = BTreeMap::new();
                while let Some(Name(name)) = map.next_key()? {
                    if fields.contains_key(&name) {
                        return Err(M::Error::custom(format!("duplicate field `{name}`")));
                    }
                    fields.insert(name, map.next_value()?);
                }
                Ok(fields)
            }
        }

        deserializer.deserialize_map(All).map(Self)
    }
}

/// A field's name, borrowed where it can be.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Fields<'_> {
    /// A text; `null` is no text.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Given<String>, Error> {
        self.take(name, "a string")
    }

    /// A text that must not be seen.
    pub(crate) fn secret(&mut self, name: &'static str) -> Result<Given<SecretString>, Error> {
        self.take(name, "a string")
    }

    /// Anything.
    pub(crate) fn any(&mut self, name: &'static str) -> Result<Given<Value>, Error> {
        self.take(name, "JSON")
    }

    /// A JSON object.
    pub(crate) fn object(
        &mut self,
        name: &'static str,
    ) -> Result<Given<Map<String, Value>>, Error> {
        self.take(name, "an object")
    }

    /// A moment in unix milliseconds, as a number or as its digits; 0 counts as absent.
    pub(crate) fn time(&mut self, name: &'static str) -> Result<Given<Timestamp>, Error> {
        let wrong = || Error::invalid("bad_request", format!("\"{name}\" must be a number"));
        let millis = match self.take::<Value>(name, "a number")? {
            Given::Absent => return Ok(Given::Absent),
            Given::Null => return Ok(Given::Null),
            Given::Value(Value::Number(number)) => number.as_f64(),
            Given::Value(Value::String(text)) => text.trim().parse().ok(),
            Given::Value(_) => None,
        };
        let millis = millis.filter(|millis: &f64| millis.abs() <= LATEST).ok_or_else(wrong)?;
        #[expect(clippy::cast_possible_truncation, reason = "it is within the range of a date")]
        let millis = millis as i64;
        Ok(if millis == 0 { Given::Absent } else { Given::Value(Timestamp::from_millis(millis)) })
    }

    /// A whole number from 1 to `most`.
    pub(crate) fn count(&mut self, name: &'static str, most: u32) -> Result<Given<u32>, Error> {
        let text = format!("\"{name}\" must be a whole number from 1 to {most}");
        let count = |count| u32::try_from(count).ok().filter(|count| (1..=most).contains(count));
        self.whole(name)?.try_map(|given| {
            count(given).map(Some).ok_or_else(|| Error::invalid("bad_request", text))
        })
    }

    /// A moment in unix milliseconds, whatever moment that is.
    pub(crate) fn millis(&mut self, name: &'static str) -> Result<Given<Timestamp>, Error> {
        self.whole(name)?.try_map(|millis| Ok(Some(Timestamp::from_millis(millis))))
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &'static str) -> Result<Given<u32>, Error> {
        self.whole(name)?.try_map(|number| {
            u32::try_from(number).map(Some).map_err(|_| wrong(name, "a whole number"))
        })
    }

    fn whole(&mut self, name: &'static str) -> Result<Given<i64>, Error> {
        let number = self.take::<Number>(name, "a whole number")?;
        number
            .try_map(|number| whole(&number).map(Some).ok_or_else(|| wrong(name, "a whole number")))
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Given<bool>, Error> {
        self.take(name, "true or false")
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, name: &'static str) -> Result<Given<Vec<String>>, Error> {
        self.take(name, "a list of strings")
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<Given<T>, Error> {
        let text = match self.take::<String>(name, "a string")? {
            Given::Absent => return Ok(Given::Absent),
            Given::Null => None,
            Given::Value(text) => Some(text),
        };
        let found = words.iter().find(|known| text.as_deref() == Some(word(**known)));
        let all = || words.iter().map(|known| word(*known)).collect::<Vec<_>>().join(", ");
        let wrong =
            || Error::invalid("bad_request", format!("\"{name}\" must be one of [{}]", all()));
        found.map(|word| Given::Value(*word)).ok_or_else(wrong)
    }

    fn take<T: DeserializeOwned>(
        &mut self,
        name: &'static str,
        what: &'static str,
    ) -> Result<Given<T>, Error> {
        match self.0.remove(name).map(RawValue::get) {
            None => Ok(Given::Absent),
            Some("null") => Ok(Given::Null),
            Some(json) => {
                serde_json::from_str(json).map(Given::Value).map_err(|_| wrong(name, what))
            }
        }
    }

    /// Refuses the fields that nobody took.
    pub(crate) fn end(self) -> Result<(), Error> {
        let Some((name, _)) = self.0.into_iter().next() else {
            return Ok(());
        };
        let name: String = name.chars().take(LONGEST_NAME).collect();
        Err(Error::invalid("bad_request", format!("\"{name}\" is not allowed")))
    }
}

fn wrong(name: &'static str, what: &'static str) -> Error {
    Error::invalid("bad_request", format!("\"{name}\" must be {what}"))
}

/// A number as a whole one: 40.0 is 40, as some languages write it (JSON Schema, section 6.1.1).
pub(super) fn whole(number: &Number) -> Option<i64> {
    /// All whole numbers up to this are told apart (RFC 8259, section 6).
    const MOST: f64 = 9_007_199_254_740_991.0;
    number.as_i64().or_else(|| {
        let number = number.as_f64()?;
        let is_whole = number.fract() == 0.0 && number.abs() <= MOST;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and within the range")]
        is_whole.then_some(number as i64)
    })
}

/// The end of the year 9999, in unix milliseconds: what is stored is within as many years before 1970 and after it.
const LATEST: f64 = 253_402_300_799_999.0;
/// More of a field's name is not repeated.
const LONGEST_NAME: usize = 64;
