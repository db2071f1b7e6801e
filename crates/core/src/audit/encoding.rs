//! What is hashed: an unambiguous encoding of each thing, with its version.
//!
//! ```text
//! text      4 bytes of length, big-endian, then UTF-8
//! maybe     1 byte: 0 for nothing, 1 before a text
//! number    8 bytes, big-endian, two's complement
//! hash      its 32 bytes
//! ```
//!
//! Every encoding begins with a text that names what it is of and in which version, so that no two kinds of
//! things have the same bytes.

use sha2::{Digest, Sha256};

use super::Hash;
use crate::{id::ChainId, time::Timestamp};

const EVENT: &str = "keyfob event 1";
const BIRTH: &str = "keyfob event chain 1";
const CHAIN_ID: &str = "keyfob event chain id 1";
/// As much as nearly all events take.
const USUAL: usize = 512;

/// Bytes to be hashed or signed.
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn of(what: &str) -> Self {
        let mut encoder = Self(Vec::with_capacity(USUAL));
        encoder.text(what);
        encoder
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        // A longer one does not exist; its end would be told by what follows all the same.
        self.0.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn maybe(&mut self, text: Option<&str>) -> &mut Self {
        self.0.push(text.is_some().into());
        match text {
            Some(text) => self.text(text),
            None => self,
        }
    }

    pub(super) fn number(&mut self, number: i64) -> &mut Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    pub(super) fn hash(&mut self, hash: &Hash) -> &mut Self {
        self.0.extend_from_slice(hash.as_bytes());
        self
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn finish(&self) -> Hash {
        Hash::new(Sha256::digest(&self.0).into())
    }
}

/// An event's fields, as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The account it happened in.
    pub account: &'a str,
    /// Its id.
    pub id: &'a str,
    /// When it happened.
    pub created_at: Timestamp,
    /// The actor's kind.
    pub actor_type: &'a str,
    /// The actor's id.
    pub actor_id: &'a str,
    /// The actor's name.
    pub actor_name: &'a str,
    /// The action's name.
    pub action: &'a str,
    /// The object's noun.
    pub object_type: &'a str,
    /// The object's id.
    pub object_id: &'a str,
    /// The contact it was done for, if any.
    pub contact_id: Option<&'a str>,
    /// How it ended.
    pub result: &'a str,
    /// More about the result.
    pub reason: Option<&'a str>,
    /// The address the request came from.
    pub ip: Option<&'a str>,
    /// The request it was part of.
    pub request_id: &'a str,
}

impl Record<'_> {
    /// The event's hash at `position`, from 1, of the chain `chain`, after the event or the birth that has the
    /// hash `previous`.
    #[must_use]
    pub fn hash(&self, chain: &str, position: i64, previous: &Hash) -> Hash {
        let mut encoder = Encoder::of(EVENT);
        encoder.hash(previous).text(chain).number(position);
        encoder.text(self.account).text(self.id).number(self.created_at.as_millis());
        encoder.text(self.actor_type).text(self.actor_id).text(self.actor_name);
        encoder.text(self.action).text(self.object_type).text(self.object_id);
        encoder.maybe(self.contact_id).text(self.result).maybe(self.reason);
        encoder.maybe(self.ip).text(self.request_id);
        encoder.finish()
    }
}

/// How a chain begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Birth {
    /// The chain's id.
    pub chain: String,
    /// When its first event happened.
    pub started_at: Timestamp,
    /// Which process wrote it, for people.
    pub node: String,
    /// The number of the newest checkpoint at that time, and its hash.
    pub checkpoint: (i64, Hash),
}

impl Birth {
    /// What the first event of the chain follows.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut encoder = Encoder::of(BIRTH);
        encoder.text(&self.chain).number(self.started_at.as_millis());
        encoder.text(&self.node).number(self.checkpoint.0).hash(&self.checkpoint.1);
        encoder.finish()
    }
}

/// The id of a chain: 128 bits that no other one has. `process`: random bits of the process that writes it.
/// `writer` tells its writer from the others there, and `begun` how many chains that has begun before.
#[must_use]
pub fn chain_id(process: &[u8; 16], writer: u8, begun: u32) -> ChainId {
    let mut encoder = Encoder::of(CHAIN_ID);
    encoder.raw(process).number(writer.into()).number(begun.into());
    let mut bits = [0; 16];
    bits.copy_from_slice(&encoder.finish().as_bytes()[..16]);
    ChainId::from_bits(bits)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::audit) fn record(id: &str) -> Record<'_> {
        Record {
            account: "acc_1",
            id,
            created_at: Timestamp::from_millis(1_700_000_000_000),
            actor_type: "key",
            actor_id: "key_1",
            actor_name: "Zoë",
            action: "totp.code",
            object_type: "totp",
            object_id: "018bcfe5-6800-7000-8000-000000000001",
            contact_id: None,
            result: "ok",
            reason: Some("time step 56666666"),
            ip: Some("2001:db8::1"),
            request_id: "req_1",
        }
    }

    pub(in crate::audit) fn birth() -> Birth {
        Birth {
            chain: "chn_1".into(),
            started_at: Timestamp::from_millis(1_700_000_000_000),
            node: "keyfob 0.1.0".into(),
            checkpoint: (1, Hash::new([0xab; 32])),
        }
    }

    /// The encodings of these are written out in docs/audit.md, and were hashed with another program.
    #[test]
    fn hashes_are_what_they_always_were() {
        let birth = birth().hash();
        assert_eq!(birth.to_string(), BIRTH_HASH);
        assert_eq!(record("evt_1").hash("chn_1", 1, &birth).to_string(), EVENT_HASH);
    }

    const BIRTH_HASH: &str = "8bdf964c65b8946d24d43fe530df5902c68f5aa9deaddacf5f49153ce60cfdeb";
    const EVENT_HASH: &str = "9f3ae6c1dee5dbe4cc6b38f1f484dd5f434c645c2deb0d439c5b5df1329c2632";

    #[test]
    fn every_field_counts() {
        let of = |record: Record<'_>| record.hash("chn_1", 1, &birth().hash());
        let base = record("evt_1");
        let mut hashes = vec![
            of(base),
            of(Record { account: "acc_2", ..base }),
            of(Record { id: "evt_2", ..base }),
            of(Record { created_at: Timestamp::from_millis(1), ..base }),
            of(Record { actor_type: "link", ..base }),
            of(Record { actor_id: "key_2", ..base }),
            of(Record { actor_name: "Zoe", ..base }),
            of(Record { action: "totp.list", ..base }),
            of(Record { object_type: "key", ..base }),
            of(Record { object_id: "x", ..base }),
            of(Record { contact_id: Some(""), ..base }),
            of(Record { result: "no", ..base }),
            of(Record { reason: None, ..base }),
            of(Record { ip: None, ..base }),
            of(Record { request_id: "req_2", ..base }),
            base.hash("chn_2", 1, &birth().hash()),
            base.hash("chn_1", 2, &birth().hash()),
            base.hash("chn_1", 1, &of(base)),
        ];
        let all = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), all);
        let of = |change: fn(&mut Birth)| {
            let mut birth = birth();
            change(&mut birth);
            birth.hash()
        };
        let mut hashes = vec![
            of(|_| ()),
            of(|birth| birth.chain.push('x')),
            of(|birth| birth.started_at = Timestamp::from_millis(1)),
            of(|birth| birth.node.clear()),
            of(|birth| birth.checkpoint.0 = 2),
            of(|birth| birth.checkpoint.1 = Hash::new([0; 32])),
        ];
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 6);
    }

    #[test]
    fn no_two_writers_and_no_two_starts_have_a_chain_in_common() {
        let of = |process, writer, begun| chain_id(&[process; 16], writer, begun);
        let mut ids = [of(1, 0, 0), of(2, 0, 0), of(1, 1, 0), of(1, 0, 1)];
        ids.sort_unstable();
        assert!(ids.windows(2).all(|two| two[0] != two[1]));
        assert_eq!(of(1, 0, 0), of(1, 0, 0));
    }

    #[test]
    fn fields_do_not_run_together() {
        let of = |actor_id, actor_name| {
            let record = Record { actor_id, actor_name, ..record("evt_1") };
            record.hash("chn_1", 1, &birth().hash())
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
        let of = |reason, ip| {
            let record = Record { reason, ip, ..record("evt_1") };
            record.hash("chn_1", 1, &birth().hash())
        };
        assert_ne!(of(Some("x"), None), of(None, Some("x")));
    }
}
