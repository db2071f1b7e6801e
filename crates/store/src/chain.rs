//! The hash chain of one writer: where it is, and what the next batch of events adds to it.
//!
//! A batch is linked as a draft, which counts when its transaction is known to be committed. So a batch that is
//! rolled back uses no position, and one whose outcome nobody knows is followed by a new chain: no position is
//! used twice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use keyfob_core::{
    audit::{Birth, Hash, Head, Tag, chain_id},
    id::{ChainId, EventId},
    time::Timestamp,
};

use crate::event::{Event, Row};

/// What vouches for events as they are written: whoever has the key, which the store has not.
pub trait Notary: Send + Sync {
    /// The tag of the event with this hash.
    fn tag(&self, hash: &Hash) -> Option<Tag>;
}

/// Vouches for nothing: for a store that writes no events of a vault.
pub(crate) struct Nobody;

impl Notary for Nobody {
    fn tag(&self, _: &Hash) -> Option<Tag> {
        None
    }
}

/// How far the writers of a store have come, by their numbers.
pub(crate) type Heads = Mutex<BTreeMap<u8, Head>>;

/// Makes event ids that sort by time and never repeat, without drawing randomness for each.
pub(crate) struct EventIds {
    /// Random bits that tell this writer from all others, past and present.
    pub(crate) writer: [u8; 5],
    pub(crate) made: u64,
}

impl EventIds {
    /// 48 bits of milliseconds, 40 of the writer, 40 of a count.
    fn next(&mut self, event: &Event) -> EventId {
        self.made += 1;
        let mut bits = [0; 16];
        bits[..6].copy_from_slice(&event.created_at.as_millis().to_be_bytes()[2..]);
        bits[6..11].copy_from_slice(&self.writer);
        bits[11..].copy_from_slice(&self.made.to_be_bytes()[3..]);
        EventId::from_bits(bits)
    }
}

/// What a chain is made with.
pub(crate) struct Seed {
    /// Random bits that no other process shares.
    pub(crate) process: [u8; 16],
    /// Tells the writer from the others of its store.
    pub(crate) writer: u8,
    /// Which process it is, for people.
    pub(crate) node: Arc<str>,
    pub(crate) notary: Arc<dyn Notary>,
    pub(crate) heads: Arc<Heads>,
}

/// The chain of a writer.
pub(crate) struct Chain {
    seed: Seed,
    ids: EventIds,
    /// How many chains the writer has begun.
    begun: u32,
    id: ChainId,
    /// The position and hash of its last event; `None` before its birth.
    last: Option<(i64, Hash)>,
}

/// Events with their places in a chain, to be committed together.
pub(crate) struct Batch {
    pub(crate) chain: ChainId,
    /// How the chain begins, if it begins with this.
    pub(crate) birth: Option<Birth>,
    pub(crate) rows: Vec<Row>,
}

impl Chain {
    pub(crate) fn new(seed: Seed) -> Self {
        let [a, b, c, d, ..] = seed.process;
        let ids = EventIds { writer: [a, b, c, d, seed.writer], made: 0 };
        let id = chain_id(&seed.process, seed.writer, 0);
        Self { seed, ids, begun: 0, id, last: None }
    }

    /// Whether it begins with the next event.
    pub(crate) const fn is_unborn(&self) -> bool {
        self.last.is_none()
    }

    /// Gives events their ids and places. They count when they are [`Chain::keep`]t. `newest`: the newest
    /// checkpoint's number and hash, if the chain [`Chain::is_unborn`].
    pub(crate) fn link(&mut self, events: Vec<Arc<Event>>, newest: (i64, Hash)) -> Batch {
        let first = events.first().map(|event| event.created_at);
        let birth = first.filter(|_| self.is_unborn()).map(|at| self.birth(at, newest));
        let born = birth.as_ref().map(|birth| (0, birth.hash()));
        let (mut position, mut previous) = self.last.or(born).unwrap_or((0, Hash::new([0; 32])));
        let mut rows = Vec::with_capacity(events.len());
        for event in events {
            let id = self.ids.next(&event);
            position += 1;
            let hash = event.record(&id).hash(self.id.as_str(), position, &previous);
            let tag = self.seed.notary.tag(&hash);
            rows.push(Row { id, event, position, previous, hash, tag });
            previous = hash;
        }
        Batch { chain: self.id.clone(), birth, rows }
    }

    fn birth(&self, started_at: Timestamp, checkpoint: (i64, Hash)) -> Birth {
        Birth {
            chain: self.id.to_string(),
            started_at,
            node: self.seed.node.to_string(),
            checkpoint,
        }
    }

    /// The batch is committed.
    pub(crate) fn keep(&mut self, batch: &Batch) {
        let Some(Row { position, hash, .. }) = batch.rows.last() else { return };
        self.last = Some((*position, *hash));
        let chain = self.id.to_string();
        let head = Head { chain, position: *position, hash: *hash, edge_of: None };
        let mut heads = self.seed.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.insert(self.seed.writer, head);
    }

    /// Begins another chain: nobody can say whether the last batch was committed, or its positions are taken.
    pub(crate) fn renew(&mut self) {
        self.begun += 1;
        self.id = chain_id(&self.seed.process, self.seed.writer, self.begun);
        self.last = None;
    }
}
