//! What verification finds.

use std::fmt;

use super::Hash;
use crate::time::Timestamp;

/// Which event, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// The event's id.
    pub event: String,
    /// Its account.
    pub account: String,
    /// Its chain; empty for an event without one.
    pub chain: String,
    /// Its position in the chain; 0 for an event without one.
    pub position: i64,
}

/// Something that is not as Keyfob wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The event does not hold what its hash is of.
    Changed(At),
    /// The event was written at another position of its chain.
    Moved(At, i64),
    /// The event that follows was written after another one in its place.
    Replaced(At),
    /// The event was not written by Keyfob: its tag is wrong, or it has none.
    Forged(At),
    /// The event has a position that another one has.
    Doubled(At),
    /// The event has no place in a chain, and is none that was sealed as from before there were chains.
    Unchained(At),
    /// The events from before there were chains are not those that were sealed.
    SealBroken {
        /// How many were sealed, without those that retention has removed.
        sealed: i64,
        /// How many there are.
        found: i64,
    },
    /// The events at these positions are gone.
    Removed {
        /// Their chain.
        chain: String,
        /// The first one's position.
        from: i64,
        /// The last one's position.
        to: i64,
    },
    /// What the chain holds up to a position is not what a checkpoint signed, although its hashes follow each
    /// other: it was written anew.
    Rewritten {
        /// The chain.
        chain: String,
        /// The last position that is as it was signed.
        after: i64,
        /// The position that is not.
        to: i64,
        /// The checkpoint's number.
        checkpoint: i64,
    },
    /// A checkpoint names a chain of which nothing is left.
    ChainRemoved {
        /// The chain.
        chain: String,
        /// How many events it had.
        events: i64,
    },
    /// The chain comes a second time.
    ChainDoubled {
        /// The chain.
        chain: String,
    },
    /// The row that says how a chain began is gone, or another one.
    BirthChanged {
        /// The chain.
        chain: String,
    },
    /// The chain began after a checkpoint that is not there.
    Orphaned {
        /// The chain.
        chain: String,
        /// The checkpoint's number.
        checkpoint: i64,
    },
    /// It was signed that events were kept for long enough that were not.
    ExpiredEarly {
        /// The chain.
        chain: String,
        /// The position of the last of them.
        to: i64,
        /// The checkpoint's number.
        checkpoint: i64,
    },
    /// There are events that no way through the trail leads to, or it has led to more than there are.
    Miscounted {
        /// How many there are.
        stored: u64,
        /// How many were looked at.
        seen: u64,
    },
    /// The checkpoint does not hold what was signed.
    CheckpointChanged {
        /// Its number.
        number: i64,
    },
    /// The checkpoints with these numbers are gone.
    CheckpointsRemoved {
        /// The first one's number.
        from: i64,
        /// The last one's number.
        to: i64,
    },
    /// The checkpoint does not follow the one before it.
    CheckpointReplaced {
        /// Its number.
        number: i64,
    },
    /// The checkpoint is signed by another key than the one given.
    CheckpointForged {
        /// Its number.
        number: i64,
    },
    /// The first checkpoint is not the one that the vault's data keys were wrapped together with: the log was
    /// removed, and Keyfob was made to begin another one.
    BegunAnew {
        /// How many data keys say so.
        keys: u64,
    },
    /// A row does not hold what its columns must.
    Damaged(String),
    /// The checkpoint that was expected is not there, or another one: the trail was set back.
    SetBack {
        /// Its number.
        number: i64,
    },
}

impl Finding {
    /// A word for what was found.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Moved(..) => "moved",
            Self::Replaced(_) => "replaced",
            Self::Forged(_) => "forged",
            Self::Doubled(_) => "doubled",
            Self::Unchained(_) => "unchained",
            Self::SealBroken { .. } => "seal_broken",
            Self::Orphaned { .. } => "orphaned",
            Self::ExpiredEarly { .. } => "expired_early",
            Self::Miscounted { .. } => "miscounted",
            Self::Removed { .. } => "removed",
            Self::Rewritten { .. } => "rewritten",
            Self::ChainRemoved { .. } => "chain_removed",
            Self::ChainDoubled { .. } => "chain_doubled",
            Self::BirthChanged { .. } => "birth_changed",
            Self::CheckpointChanged { .. } => "checkpoint_changed",
            Self::CheckpointsRemoved { .. } => "checkpoints_removed",
            Self::CheckpointReplaced { .. } => "checkpoint_replaced",
            Self::CheckpointForged { .. } => "checkpoint_forged",
            Self::SetBack { .. } => "set_back",
            Self::BegunAnew { .. } => "begun_anew",
            Self::Damaged(_) => "damaged",
        }
    }

    /// The event it is about, if it is about one.
    #[must_use]
    pub const fn at(&self) -> Option<&At> {
        match self {
            Self::Changed(at)
            | Self::Moved(at, _)
            | Self::Replaced(at)
            | Self::Forged(at)
            | Self::Doubled(at)
            | Self::Unchained(at) => Some(at),
            _ => None,
        }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, account, chain, position } = self;
        write!(f, "event {event} (account {account}, chain {chain}, position {position})")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(at) => write!(f, "{at} was changed: it does not have its hash"),
            Self::Moved(at, from) => {
                write!(f, "{at} was reordered: it was written at position {from}")
            }
            Self::Replaced(at) => {
                write!(
                    f,
                    "{at} was changed together with its hash: the next event follows another one"
                )
            }
            Self::Forged(at) => write!(f, "{at} was added or changed by somebody else than Keyfob"),
            Self::Doubled(at) => write!(f, "{at} was added: another event has this position"),
            Self::Unchained(At { event, account, .. }) => write!(
                f,
                "event {event} (account {account}) was added: it is in no chain, and was not there before there were any"
            ),
            Self::SealBroken { sealed, found } => write!(
                f,
                "the events from before there were chains were changed: {sealed} were sealed, {found} are there, and they are not the same"
            ),
            Self::Orphaned { chain, checkpoint } => write!(
                f,
                "chain {chain} began after checkpoint {checkpoint}, which is not there: the log was set back"
            ),
            Self::ExpiredEarly { chain, to, checkpoint } => write!(
                f,
                "checkpoint {checkpoint} lets the events up to position {to} of chain {chain} be removed, which had not been signed for a day"
            ),
            Self::Miscounted { stored, seen } => {
                write!(f, "{stored} events are stored, and {seen} are where events can be")
            }
            Self::Removed { chain, from, to } if from == to => {
                write!(f, "the event at position {from} of chain {chain} was removed")
            }
            Self::Removed { chain, from, to } => {
                write!(f, "the events at positions {from} to {to} of chain {chain} were removed")
            }
            Self::Rewritten { chain, after, to, checkpoint } => write!(
                f,
                "chain {chain} was written anew after position {after}: at {to} it is not what checkpoint {checkpoint} signed"
            ),
            Self::ChainRemoved { chain, events } => {
                write!(f, "chain {chain} was removed, with its {events} events")
            }
            Self::ChainDoubled { chain } => {
                write!(f, "chain {chain} was added once more: it was there already")
            }
            Self::BirthChanged { chain } => {
                write!(f, "how chain {chain} began was changed or removed")
            }
            Self::CheckpointChanged { number } => {
                write!(f, "checkpoint {number} was changed: its signature does not hold")
            }
            Self::CheckpointsRemoved { from, to } => {
                write!(f, "checkpoints {from} to {to} were removed")
            }
            Self::CheckpointReplaced { number } => {
                write!(
                    f,
                    "checkpoint {number} does not follow the one before it: one of them was replaced"
                )
            }
            Self::CheckpointForged { number } => {
                write!(f, "checkpoint {number} is signed by another key than the one given")
            }
            Self::BegunAnew { keys } => write!(
                f,
                "the log was begun anew: {keys} data keys are from a vault with another first checkpoint"
            ),
            Self::Damaged(what) => f.write_str(what),
            Self::SetBack { number } => write!(
                f,
                "checkpoint {number} is not the one that was expected: the trail was set back to an earlier state, or replaced"
            ),
        }
    }
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether these were events of a list, of which each was looked at by itself.
    pub is_part: bool,
    /// How many events are in chains.
    pub events: u64,
    /// How many of them no checkpoint covers yet.
    pub uncovered: u64,
    /// How many of them nobody vouches for either, as it was looked at without the key of their tags.
    pub unproved: u64,
    /// How many events are from before there were chains, and were sealed when there were.
    pub unchained: u64,
    /// How many events were removed because they had been kept for long enough.
    pub expired: u64,
    /// When the last of those was signed to be removed.
    pub expired_at: Option<Timestamp>,
    /// How many chains there are.
    pub chains: u64,
    /// How many checkpoints there are.
    pub checkpoints: u64,
    /// The first checkpoint's hash and time.
    pub first: Option<(Hash, Timestamp)>,
    /// The newest checkpoint's number, hash and time.
    pub newest: Option<(i64, Hash, Timestamp)>,
    /// How much is not as it was written.
    pub findings: u64,
}
