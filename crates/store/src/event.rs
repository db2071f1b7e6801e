//! Table `event`: the audit trail. An event never holds a value, a code, a token or a URL's query.

use std::{ops::ControlFlow, sync::Arc};

use keyfob_core::{
    id::{AccountId, EventId},
    policy::Action,
    time::Timestamp,
};

use crate::{
    ReadTx, StoreError,
    conn::{Bind, Conn, Row as ColumnRow, bind, sql},
    error::Failure,
    postgres::PostgresConn,
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

/// An event with the id the writer gave it.
pub(crate) struct Row {
    pub(crate) id: EventId,
    pub(crate) event: Event,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its id. Ids of one writer sort by time.
    pub id: EventId,
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
}

/// Writes events. Only the writer does this, in the transaction of the units they tell of.
pub(crate) fn insert(conn: &mut Conn, rows: &[Row]) -> Result<(), Failure> {
    match (rows, conn) {
        ([], _) => Ok(()),
        // One round trip for any number of rows.
        (_, Conn::Postgres(conn)) => insert_arrays(conn, rows),
        // No round trips to save, and binding is cheaper than arrays.
        (_, Conn::Sqlite(conn)) => insert_each(conn, rows),
    }
}

fn insert_each(conn: &rusqlite::Connection, rows: &[Row]) -> Result<(), Failure> {
    let insert = sql!(
        event,
        "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, contact_id, result, reason, ip, request_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    // Once for all: finding a statement by its text costs a good part of running it.
    let mut statement = conn.prepare_cached(insert.sqlite)?;
    for Row { id, event } in rows {
        let params: [&dyn Bind; 14] = [
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
        ];
        bind(&mut statement, &params)?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn insert_arrays(conn: &mut PostgresConn, rows: &[Row]) -> Result<(), Failure> {
    let insert = sql!(
        event,
        "INSERT INTO event (account_id, id, created_at, actor_type, actor_id, actor_name, action,
                            object_type, object_id, contact_id, result, reason, ip, request_id)
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[],
                              $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                              $11::text[], $12::text[], $13::text[], $14::text[])"
    );
    let text = |of: fn(&Row) -> &str| rows.iter().map(of).collect::<Vec<_>>();
    let maybe = |of: fn(&Row) -> Option<&str>| rows.iter().map(of).collect::<Vec<_>>();
    let times: Vec<_> = rows.iter().map(|row| row.event.created_at.as_millis()).collect();
    conn.execute(
        insert,
        &[
            &text(|row| row.event.account.as_str()),
            &text(|row| row.id.as_str()),
            &times,
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

fn read(row: &ColumnRow<'_>) -> Result<Stored, StoreError> {
    Ok(Stored {
        id: EventId::from_stored(&row.get::<String>(0)?),
        created_at: row.time(1)?,
        actor: (row.get(2)?, row.get(3)?, row.get(4)?),
        action: row.get(5)?,
        object: (row.get(6)?, row.get(7)?),
        contact_id: row.get(8)?,
        result: row.get(9)?,
        reason: row.get(10)?,
        ip: row.get(11)?,
        request_id: row.get(12)?,
    })
}

/// Up to `limit` events of the account after `after`, by id.
pub fn list(
    tx: &mut ReadTx<'_>,
    account: &AccountId,
    after: Option<&EventId>,
    limit: u32,
) -> Result<Vec<Stored>, StoreError> {
    let list = sql!(
        event,
        "SELECT id, created_at, actor_type, actor_id, actor_name, action, object_type, object_id,
                contact_id, result, reason, ip, request_id
         FROM event WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT $3"
    );
    let after = after.map_or("", EventId::as_str);
    tx.many(list, &[&account.as_str(), &after, &i64::from(limit)], read)
}
