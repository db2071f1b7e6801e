//! Table `event`: the audit trail. An event never holds a value, a code, a token or a URL's query.

use std::{ops::ControlFlow, sync::Arc};

use keyfob_core::{
    audit::{Bytes, Hash, Linked, Record, Tag},
    id::{AccountId, EventId},
    policy::Action,
    time::Timestamp,
};

use crate::{
    Page, ReadTx, StoreError,
    chain::Batch,
    conn::{Bind, Conn, Row as ColumnRow, bind, sql},
    error::Failure,
    postgres::PostgresConn,
    trail,
};

/// Who did what to which object, when, with what result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The account it happened in.
    pub account: AccountId,
    /// When it happened.
    pub created_at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// The object's noun.
    pub object_type: &'static str,
    /// The object's id.
    pub object_id: Arc<str>,
    /// The contact it was done for, if any.
    pub contact_id: Option<Arc<str>>,
    /// How it ended: `ok`, or a word for what else.
    pub result: &'static str,
    /// More about the result, in words that hold no secret.
    pub reason: Option<String>,
    /// The address the request came from.
    pub ip: Option<Arc<str>>,
    /// The request it was part of.
    pub request_id: Arc<str>,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `key`, `link` for whoever used a link, `operator` for a command on the machine itself, or `owner` for
    /// whoever has the object: another account, of which no more is told.
    pub kind: &'static str,
    /// The actor's id; an owner's is empty.
    pub id: Arc<str>,
    /// The actor's name at that time; an owner's is empty.
    pub name: Arc<str>,
}

impl Event {
    /// What its hash is of, with the id that it is given.
    pub(crate) fn record<'a>(&'a self, id: &'a EventId) -> Record<'a> {
        Record {
            account: self.account.as_str(),
            id: id.as_str(),
            created_at: self.created_at,
            actor_type: self.actor.kind,
            actor_id: &self.actor.id,
            actor_name: &self.actor.name,
            action: self.action.as_str(),
            object_type: self.object_type,
            object_id: &self.object_id,
            contact_id: self.contact_id.as_deref(),
            result: self.result,
            reason: self.reason.as_deref(),
            ip: self.ip.as_deref(),
            request_id: &self.request_id,
        }
    }
}

/// An event with the id and the place in its chain that the writer gave it.
pub(crate) struct Row {
    pub(crate) id: EventId,
    pub(crate) event: Arc<Event>,
    pub(crate) position: i64,
    pub(crate) previous: Hash,
    pub(crate) hash: Hash,
    pub(crate) tag: Option<Tag>,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id. Ids of one writer sort by time.
    pub id: EventId,
    /// The account it happened in.
    pub account: AccountId,
    /// When it happened.
    pub created_at: Timestamp,
    /// The actor's kind, id and name.
    pub actor: (String, String, String),
    /// The action's name.
    pub action: String,
    /// The object's noun and id.
    pub object: (String, String),
    /// The contact it was done for, if any.
    pub contact_id: Option<String>,
    /// How it ended.
    pub result: String,
    /// More about the result.
    pub reason: Option<String>,
    /// The address the request came from.
    pub ip: Option<String>,
    /// The request it was part of.
    pub request_id: String,
    /// Its place in a chain; none if it is from before there were chains.
    pub place: Option<Place>,
}

/// The place of an event in a chain, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The chain's id.
    pub chain: String,
    /// The position, from 1.
    pub position: i64,
    /// The hash of the event before it, or of the chain's birth; `None` if what is stored is no hash.
    pub previous: Option<Hash>,
    /// Its own hash.
    pub hash: Option<Hash>,
    /// What vouches for it.
    pub tag: Option<Tag>,
}

impl Stored {
    /// What its hash is of.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        Record {
            account: self.account.as_str(),
            id: self.id.as_str(),
            created_at: self.created_at,
            actor_type: &self.actor.0,
            actor_id: &self.actor.1,
            actor_name: &self.actor.2,
            action: &self.action,
            object_type: &self.object.0,
            object_id: &self.object.1,
            contact_id: self.contact_id.as_deref(),
            result: &self.result,
            reason: self.reason.as_deref(),
            ip: self.ip.as_deref(),
            request_id: &self.request_id,
        }
    }

    /// The event with its place, if it has one.
    #[must_use]
    pub fn linked(&self) -> Option<Linked<'_>> {
        let Place { chain, position, previous, hash, tag } = self.place.as_ref()?;
        let (position, previous, hash, tag) = (*position, *previous, *hash, *tag);
        Some(Linked { record: self.record(), chain, position, previous, hash, tag })
    }
}

/// Writes events, and how their chain begins if it begins with them. Only the writer does this, in the
/// transaction of the units they tell of.
pub(crate) fn insert(conn: &mut Conn, batch: &Batch) -> Result<(), Failure> {
    if let Some(birth) = &batch.birth {
        trail::insert_birth(conn, birth)?;
    }
    match (batch.rows.as_slice(), conn) {
        ([], _) => Ok(()),
        // One round trip for any number of rows.
        (_, Conn::Postgres(conn)) => insert_arrays(conn, batch),
        // No round trips to save, and binding is cheaper than arrays.
        (_, Conn::Sqlite(conn)) => insert_each(conn, batch),
    }
}

fn insert_each(conn: &rusqlite::Connection, batch: &Batch) -> Result<(), Failure> {
    let insert = sql!(
        event,
        "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, contact_id, result, reason, ip, request_id,
                            chain, position, previous_hash, hash, tag)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)"
    );
    // Once for all: finding a statement by its text costs a good part of running it.
    let mut statement = conn.prepare_cached(insert.sqlite)?;
    for Row { id, event, position, previous, hash, tag } in &batch.rows {
        let params: [&dyn Bind; 19] = [
            &event.account.as_str(),
            &id.as_str(),
            &event.created_at.as_millis(),
            &event.actor.kind,
            &&*event.actor.id,
            &&*event.actor.name,
            &event.action.as_str(),
            &event.object_type,
            &&*event.object_id,
            &event.contact_id.as_deref(),
            &event.result,
            &event.reason,
            &event.ip.as_deref(),
            &&*event.request_id,
            &batch.chain.as_str(),
            position,
            &previous.as_bytes(),
            &hash.as_bytes(),
            &tag.as_ref().map(Tag::as_bytes),
        ];
        bind(&mut statement, &params)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn insert_arrays(conn: &mut PostgresConn, batch: &Batch) -> Result<(), Failure> {
    let insert = sql!(
        event,
        "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, contact_id, result, reason, ip, request_id,
                            position, previous_hash, hash, tag, chain)
         SELECT rows.*, $19::text
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
                     $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                     $11::text[], $12::text[], $13::text[], $14::text[], $15::bigint[],
                     $16::bytea[], $17::bytea[], $18::bytea[]) AS rows"
    );
    let rows = &batch.rows;
    let text = |of: fn(&Row) -> &str| rows.iter().map(of).collect::<Vec<_>>();
    let maybe = |of: fn(&Row) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
    let bytes = |of: fn(&Row) -> &[u8]| rows.iter().map(of).collect::<Vec<_>>();
    let number = |of: fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<_>>();
    let tags: Vec<_> = rows.iter().map(|row| row.tag.as_ref().map(Tag::as_bytes)).collect();
    conn.execute(
        insert,
        &[
            &text(|row| row.event.account.as_str()),
            &text(|row| row.id.as_str()),
            &number(|row| row.event.created_at.as_millis()),
            &text(|row| row.event.actor.kind),
            &text(|row| &row.event.actor.id),
            &text(|row| &row.event.actor.name),
            &text(|row| row.event.action.as_str()),
            &text(|row| row.event.object_type),
            &text(|row| &row.event.object_id),
            &maybe(|row| row.event.contact_id.as_deref()),
            &text(|row| row.event.result),
            &maybe(|row| row.event.reason.as_deref()),
            &maybe(|row| row.event.ip.as_deref()),
            &text(|row| &row.event.request_id),
            &number(|row| row.position),
            &bytes(|row| row.previous.as_bytes()),
            &bytes(|row| row.hash.as_bytes()),
            &tags,
            &batch.chain.as_str(),
        ],
    )?;
    Ok(())
}

/// Whether the event is stored.
pub(crate) fn exists(conn: &mut Conn, row: &Row) -> Result<bool, Failure> {
    let exists = sql!(event, "SELECT 1 FROM event WHERE account_id = $1 AND id = $2");
    let mut found = false;
    conn.query(exists, &[&row.event.account.as_str(), &row.id.as_str()], &mut |_| {
        found = true;
        ControlFlow::Break(())
    })?;
    Ok(found)
}

macro_rules! columns {
    () => {
        "id, account_id, created_at, actor_type, actor_id, actor_name, action, object_type,
         object_id, contact_id, result, reason, ip, request_id, chain, position, previous_hash,
         hash, tag"
    };
}

macro_rules! select {
    ($rest:expr) => {
        $crate::conn::sql!(
            event,
            concat!("SELECT ", $crate::event::columns!(), " FROM event ", $rest)
        )
    };
}
pub(crate) use {columns, select};

pub(crate) fn read(row: &ColumnRow<'_>) -> Result<Stored, StoreError> {
    Ok(Stored {
        id: EventId::from_stored(&row.get::<String>(0)?),
        account: AccountId::from_stored(&row.get::<String>(1)?),
        created_at: row.time(2)?,
        actor: (row.get(3)?, row.get(4)?, row.get(5)?),
        action: row.get(6)?,
        object: (row.get(7)?, row.get(8)?),
        contact_id: row.get(9)?,
        result: row.get(10)?,
        reason: row.get(11)?,
        ip: row.get(12)?,
        request_id: row.get(13)?,
        place: row.get::<Option<String>>(14)?.map(|chain| place(row, chain)).transpose()?,
    })
}

fn place(row: &ColumnRow<'_>, chain: String) -> Result<Place, StoreError> {
    Ok(Place {
        chain,
        position: row.get::<Option<i64>>(15)?.unwrap_or(0),
        previous: fixed(row, 16)?,
        hash: fixed(row, 17)?,
        tag: fixed(row, 18)?,
    })
}

/// So many bytes; others are as good as none, which verification tells.
fn fixed<const N: usize>(row: &ColumnRow<'_>, at: usize) -> Result<Option<Bytes<N>>, StoreError> {
    Ok(row.get::<Option<Vec<u8>>>(at)?.and_then(|bytes| Bytes::from_stored(&bytes)))
}

/// Up to `limit` events of the account after `after`, by id.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&EventId>,
    limit: u32,
) -> Result<Page<Stored, EventId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3");
    let after = after.map_or("", EventId::as_str);
    let params: [&dyn Bind; 3] = [&account.as_str(), &after, &i64::from(limit)];
    tx.page(list, &params, (0, EventId::from_stored), read)
}

/// Up to `limit` events of the account before `before`, by id, the newest first.
pub fn list_newest(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    before: Option<&EventId>,
    limit: u32,
) -> Result<Page<Stored, EventId>, StoreError> {
    let list = select!("WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let end = EventId::last();
    let before = before.unwrap_or(&end).as_str();
    let params: [&dyn Bind; 3] = [&account.as_str(), &before, &i64::from(limit)];
    tx.page(list, &params, (0, EventId::from_stored), read)
}
