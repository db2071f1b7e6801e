//! Checkpoints: what is signed of the chains, in one log for all of them.

use std::fmt::Write;

use super::{Hash, encoding::Encoder};
use crate::time::Timestamp;

const CHECKPOINT: &str = "keyfob event checkpoint 1";
const LOGGED: &str = "keyfob event log 1";

/// How far a chain had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The chain's id.
    pub chain: String,
    /// The position of an event, which is also how many there were until then.
    pub position: i64,
    /// The event's hash.
    pub hash: Hash,
    /// The hash of the chain's birth, if this event and all before it were removed because they had been kept
    /// for long enough: no event is left that follows it.
    pub edge_of: Option<Hash>,
}

/// What is left of the beginning of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The hash of the last event that was removed.
    pub hash: Hash,
    /// The hash of the chain's birth.
    pub birth: Hash,
}

/// The text is not a list of heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a list of the heads of chains")]
pub struct MalformedHeads;

impl Head {
    /// The heads as they are stored: a line for each.
    #[must_use]
    pub fn write_all(heads: &[Self]) -> String {
        heads.iter().fold(String::new(), |mut text, head| {
            let Self { chain, position, hash, edge_of } = head;
            // A String takes all that is written.
            let _ = match edge_of {
                None => writeln!(text, "head {chain} {position} {hash}"),
                Some(birth) => writeln!(text, "edge {chain} {position} {hash} {birth}"),
            };
            text
        })
    }

    /// Reads the heads as they are stored.
    pub fn read_all(text: &str) -> Result<Vec<Self>, MalformedHeads> {
        text.lines().map(|line| Self::read(line).ok_or(MalformedHeads)).collect()
    }

    fn read(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let is_edge = match words.next()? {
            "head" => false,
            "edge" => true,
            _ => return None,
        };
        let chain = words.next()?.to_owned();
        let (position, hash) = (words.next()?.parse().ok()?, Hash::parse(words.next()?)?);
        let edge_of = if is_edge { Some(Hash::parse(words.next()?)?) } else { None };
        words.next().is_none().then_some(Self { chain, position, hash, edge_of })
    }
}

/// What is signed of the chains that had grown since the checkpoint before, or lost what was kept for long
/// enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number in the log, from 1.
    pub number: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// The hash of the checkpoint before it; zeros before the first one.
    pub previous: Hash,
    /// How far the chains had come.
    pub heads: Vec<Head>,
    /// The id of the key that signed it.
    pub key_id: String,
    /// The signature (Ed25519, RFC 8032) of everything else.
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// What the first checkpoint follows.
    pub const NOTHING: Hash = Hash::new([0; 32]);

    /// The hash that the next checkpoint names: of everything, the signature included.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut encoder = Encoder::of(LOGGED);
        encoder.raw(&self.signed()).raw(&self.signature).finish()
    }

    /// What is signed.
    pub(super) fn signed(&self) -> Vec<u8> {
        let mut encoder = Encoder::of(CHECKPOINT);
        encoder.number(self.number).number(self.created_at.as_millis()).text(&self.key_id);
        encoder.hash(&self.previous).number(i64::try_from(self.heads.len()).unwrap_or(i64::MAX));
        for Head { chain, position, hash, edge_of } in &self.heads {
            encoder.number(edge_of.is_some().into()).text(chain).number(*position).hash(hash);
            if let Some(birth) = edge_of {
                encoder.hash(birth);
            }
        }
        encoder.bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_were_written_and_nothing_else_is() {
        let head = |chain: &str, edge_of| Head {
            chain: chain.into(),
            position: 7,
            hash: Hash::new([0xab; 32]),
            edge_of,
        };
        let edge = Some(Hash::new([0xcd; 32]));
        let heads = vec![head("chn_1", None), head("chn_2", edge), head("", None)];
        let text = Head::write_all(&heads);
        assert_eq!(Head::read_all(&text), Ok(heads));
        assert_eq!(Head::read_all(""), Ok(vec![]));
        for bad in [
            "x",
            "head chn_1 7",
            "tail chn_1 7 ab",
            &text.replace("head", "edge"),
            &format!("{} x", text.trim_end()),
            "head c x y",
        ] {
            assert_eq!(Head::read_all(bad), Err(MalformedHeads), "{bad}");
        }
    }
}
