//! Identifiers: one newtype per noun, so that a key's id cannot be passed as an account's.
//!
//! An id is a short prefix that names the noun, `_`, and 128 bits in 26 characters of Crockford's
//! base32 in lower case: 48 bits of unix milliseconds, then random bits, so ids sort by age. Ids of
//! one-time-password entries are plain UUIDs (version 7, RFC 9562), because their API says so.

use std::{fmt, sync::Arc};

use data_encoding::{Encoding, Specification};

use crate::{
    random::{self, Random},
    time::Timestamp,
};

/// The text is not an id of the noun it was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed id")]
pub struct MalformedId;

/// Crockford's base32 alphabet in lower case: no `i`, `l`, `o`, `u`, so ids can be read out aloud.
pub(crate) static BASE32: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    #[expect(
        clippy::expect_used,
        reason = "a constant alphabet of 32 distinct characters is valid"
    )]
    spec.encoding().expect("a valid alphabet")
});

/// Length of 128 bits in base32.
pub(crate) const BODY: usize = 26;

fn time_ordered(now: Timestamp, random: &dyn Random) -> [u8; 16] {
    let mut bytes: [u8; 16] = random::bytes(random);
    bytes[..6].copy_from_slice(&now.as_millis().to_be_bytes()[2..]);
    bytes
}

fn is_body(text: &str) -> bool {
    text.len() == BODY && BASE32.decode(text.as_bytes()).is_ok()
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// What every id of this noun starts with.
            pub const PREFIX: &str = $prefix;

            /// A new id that sorts after the ids made before `now`.
            pub fn generate(now: Timestamp, random: &dyn Random) -> Self {
                Self::from_bits(time_ordered(now, random))
            }

            /// The id with these 128 bits.
            #[must_use]
            pub fn from_bits(bits: [u8; 16]) -> Self {
                let mut text = String::with_capacity($prefix.len() + BODY);
                text.push_str($prefix);
                BASE32.encode_append(&bits, &mut text);
                Self(text.into())
            }

            /// The id that nothing ever has: all bits zero, which is a moment in 1970. A malformed id
            /// is taken for it, so that it goes the way of every other id and is answered like one
            /// that does not exist, also where the answer depends on who asks.
            #[must_use]
            pub fn never() -> Self {
                Self::from_bits([0; 16])
            }

            /// The id that sorts after all others, and that nothing ever has: all bits one, which is a
            /// moment in the year 10889. Of the ids' own characters, so that it does in every database,
            /// whichever way that sorts other ones.
            #[must_use]
            pub fn last() -> Self {
                Self::from_bits([0xff; 16])
            }

            /// Reads an id that came from outside.
            pub fn parse(text: &str) -> Result<Self, MalformedId> {
                match text.strip_prefix($prefix) {
                    Some(body) if is_body(body) => Ok(Self(text.into())),
                    _ => Err(MalformedId),
                }
            }
        }
        ids!(@text $name);
    )*};
    (@text $name:ident) => {
        impl $name {
            /// The id as it is stored and sent.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The id's text, to be kept beside it without a copy.
            #[must_use]
            pub fn to_shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }

            /// An id that the store holds: it was checked when it was made.
            #[must_use]
            pub fn from_stored(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

ids! {
    /// Names an account: a tenant.
    AccountId = "acc_";
    /// Names an API key.
    KeyId = "key_";
    /// Names a contact: an end user for whom an agent acts.
    ContactId = "con_";
    /// Names a secret: the definition of a credential.
    SecretId = "sec_";
    /// Names a connection: one contact's stored credential for one secret.
    ConnectionId = "cxn_";
    /// Names an audit event.
    EventId = "evt_";
    /// Names a hash chain over audit events.
    ChainId = "chn_";
}

/// Names a stored one-time-password secret. A UUID in lower case, as contract/totp asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TotpId(Arc<str>);
ids!(@text TotpId);

impl TotpId {
    /// A new id that sorts after the ids made before `now`.
    pub fn generate(now: Timestamp, random: &dyn Random) -> Self {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random::bytes(random));
        Self(uuid.into_uuid().to_string().into())
    }

    /// The id that no entry ever has: all bits zero, and so no UUID of version 7. A malformed id is
    /// taken for it, so that it goes the way of every other id and is answered like one that does
    /// not exist, also where the answer depends on who asks.
    #[must_use]
    pub fn never() -> Self {
        Self(uuid::Uuid::nil().to_string().into())
    }

    /// Reads an id that came from outside: a hyphenated UUID, in either case.
    pub fn parse(text: &str) -> Result<Self, MalformedId> {
        match uuid::Uuid::try_parse(text) {
            Ok(uuid) if text.len() == uuid::fmt::Hyphenated::LENGTH => {
                Ok(Self(uuid.to_string().into()))
            }
            _ => Err(MalformedId),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tests::Counting;

    #[test]
    fn ids_sort_by_the_time_they_were_made() {
        let random = Counting::default();
        let ids: Vec<_> = [1, 2, 1_000, 1_700_000_000_000, 1_700_000_000_001]
            .map(|at| KeyId::generate(Timestamp::from_millis(at), &random))
            .into();
        assert!(ids.is_sorted());
        let totp: Vec<_> = [1, 1_000, 1_700_000_000_000]
            .map(|at| TotpId::generate(Timestamp::from_millis(at), &random))
            .into();
        assert!(totp.is_sorted());
    }

    #[test]
    fn a_generated_id_reads_back_and_another_nouns_does_not() {
        let id = KeyId::generate(Timestamp::from_millis(7), &Counting::default());
        assert_eq!(KeyId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(AccountId::parse(id.as_str()), Err(MalformedId));
    }

    #[test]
    fn the_id_that_is_never_given_is_well_formed() {
        assert_eq!(KeyId::parse(KeyId::never().as_str()), Ok(KeyId::never()));
        assert_eq!(TotpId::parse(TotpId::never().as_str()), Ok(TotpId::never()));
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "key_",
            "key_0123",
            "key_oooooooooooooooooooooooooo",
            "KEY_01234567890123456789012345",
        ] {
            assert_eq!(KeyId::parse(text), Err(MalformedId), "{text}");
        }
        for text in
            ["", "550e8400e29b41d4a716446655440000", "{550e8400-e29b-41d4-a716-446655440000}"]
        {
            assert_eq!(TotpId::parse(text), Err(MalformedId), "{text}");
        }
        let upper = TotpId::parse("550E8400-E29B-41D4-A716-446655440000");
        assert_eq!(upper, TotpId::parse("550e8400-e29b-41d4-a716-446655440000"));
    }
}
