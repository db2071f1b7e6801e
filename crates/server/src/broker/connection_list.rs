//! Lists of a contact's secrets: what it has connected, and what it could
//! (contract/contacts-and-secrets, section 5.1; contract/keyfob, "Connections").

use keyfob_core::{
    id::{ConnectionId, ContactId, SecretId},
    policy::{Action, Definition, Object, decide_use},
    secret::{Kind, SecretType, Visibility},
    time::Timestamp,
};
use keyfob_store::{
    Page, ReadTx, StoreError, account,
    connection::{self, Connection, Named},
    secret::{self, Secret},
};

use super::{
    Broker, Caller, Slice,
    connection::{Status, find_contact, status},
    slice::SCANNED,
    usable::relation,
};
use crate::error::Error;

/// A secret as a contact sees it.
#[derive(Debug)]
pub struct ContactSecret {
    /// The secret's id.
    pub secret: SecretId,
    /// The connection, if the contact has connected it.
    pub connection: Option<ConnectionId>,
    /// What people call it.
    pub name: String,
    /// More about it.
    pub description: String,
    /// Its own type.
    pub secret_type: SecretType,
    /// Whether the contact's credential for it can be used.
    pub status: Status,
    /// When that ends, if it says so.
    pub expires_at: Option<Timestamp>,
    /// What it allows, separated by blanks, if it says so.
    pub scopes: Option<String>,
    /// When the contact first connected it; when the secret was made if it has not.
    pub created_at: Timestamp,
    /// When the contact last connected it; when the secret last changed if it has not.
    pub updated_at: Timestamp,
}

impl Broker {
    /// What the contact has connected, by the age of the connections.
    pub async fn list_connections(
        &self,
        caller: &Caller,
        contact: &ContactId,
        slice: Slice<ConnectionId>,
    ) -> Result<Page<ContactSecret, ConnectionId>, Error> {
        caller.decide(Action::ConnectionList, Object::Account)?;
        let (now, asking, contact) = (self.now()?, caller.clone(), contact.clone());
        let page = self.read(move |tx| {
            let contact = find_contact(tx, &asking, &contact)?.id;
            let list = if slice.oldest_first { connection::list } else { connection::list_newest };
            let page = list(tx, asking.account(), &contact, slice.after.as_ref(), slice.take)?;
            let Page { rows, damaged, last } = page;
            let mut shown = Vec::with_capacity(rows.len());
            for row in rows {
                shown.push(connected(tx, &asking, row, now)?);
            }
            Ok(Page { rows: shown, damaged, last })
        });
        Ok(caller.log_damaged(page.await?))
    }

    /// Where a list of what the contact has connected goes on after this secret.
    pub async fn after_secret(
        &self,
        caller: &Caller,
        contact: &ContactId,
        secret: &SecretId,
    ) -> Result<Option<ConnectionId>, Error> {
        caller.decide(Action::ConnectionList, Object::Account)?;
        let (caller, contact, secret) = (caller.clone(), contact.clone(), secret.clone());
        self.read(move |tx| {
            let found = connection::find(tx, caller.account(), &contact, &secret)?;
            Ok(found.map(|connection| connection.id))
        })
        .await
    }

    /// Every personal secret of the account, and of its parent where that lets it, whether the contact
    /// has connected it or not, by the age of the secrets.
    pub async fn list_connectable(
        &self,
        caller: &Caller,
        contact: &ContactId,
        slice: Slice<SecretId>,
    ) -> Result<Page<ContactSecret, SecretId>, Error> {
        caller.decide(Action::ConnectionList, Object::Account)?;
        let (now, asking, contact) = (self.now()?, caller.clone(), contact.clone());
        let page = self.read(move |tx| {
            let contact = find_contact(tx, &asking, &contact)?.id;
            let mut page = connectable(tx, &asking, &slice)?;
            slice.end(&mut page, |secret| &secret.id);
            let Page { rows: secrets, damaged, last } = page;
            let mut rows = Vec::with_capacity(secrets.len());
            for secret in secrets {
                let connected = connection::find(tx, asking.account(), &contact, &secret.id)?;
                rows.push(could_connect(secret, connected, now));
            }
            Ok(Page { rows, damaged, last })
        });
        Ok(caller.log_damaged(page.await?))
    }
}

/// A connected secret as it is shown. One that the account may not use any more cannot be used, whatever
/// is stored.
fn connected(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    row: Named,
    now: Timestamp,
) -> Result<ContactSecret, Error> {
    let Named { connection, name, description, secret_type, secret_account, kind, visibility } =
        row;
    let relation = relation(tx, caller.account(), &secret_account)?;
    let id = &connection.secret;
    let secret = Definition { account: &secret_account, id, kind, visibility, relation };
    let status = match decide_use(caller.grant(), Action::ConnectionList, secret) {
        Ok(_) => status(&connection, now),
        Err(_) => Status::Broken,
    };
    Ok(shown(connection, (name, description, secret_type), status))
}

fn shown(
    connection: Connection,
    (name, description, secret_type): (String, String, SecretType),
    status: Status,
) -> ContactSecret {
    ContactSecret {
        connection: Some(connection.id),
        secret: connection.secret,
        name,
        description,
        secret_type,
        status,
        expires_at: connection.expires_at,
        scopes: connection.scopes,
        created_at: connection.created_at,
        updated_at: connection.updated_at,
    }
}

fn could_connect(secret: Secret, connected: Option<Connection>, now: Timestamp) -> ContactSecret {
    let named = (secret.name, secret.description, secret.secret_type);
    match connected {
        Some(connection) => {
            let status = status(&connection, now);
            shown(connection, named, status)
        }
        None => ContactSecret {
            connection: None,
            secret: secret.id,
            name: named.0,
            description: named.1,
            secret_type: named.2,
            status: Status::Unauthenticated,
            expires_at: None,
            scopes: None,
            created_at: secret.created_at,
            updated_at: secret.updated_at,
        },
    }
}

/// Personal secrets of the account, and those of its parent that it may use. There may be fewer than were
/// asked for although more follow.
fn connectable(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    slice: &Slice<SecretId>,
) -> Result<Page<Secret, SecretId>, StoreError> {
    let list = if slice.oldest_first { secret::list } else { secret::list_newest };
    let own = caller.account();
    let mut page = list(tx, own, slice.after.as_ref(), SCANNED)?;
    page.rows.retain(|secret| secret.kind == Kind::Personal);
    if let Some(parent) = account::find(tx, own)?.and_then(|account| account.parent) {
        let mut of_parent = list(tx, &parent, slice.after.as_ref(), SCANNED)?;
        of_parent.rows.retain(|secret| {
            secret.kind == Kind::Personal && secret.visibility != Visibility::Private
        });
        // Its damaged rows are no business of a child's.
        of_parent.damaged.clear();
        page = merged(page, of_parent, slice.oldest_first);
    }
    Ok(page)
}

/// Two parts of lists as one, as far as both go.
fn merged(
    one: Page<Secret, SecretId>,
    other: Page<Secret, SecretId>,
    oldest_first: bool,
) -> Page<Secret, SecretId> {
    let is_whole = |page: &Page<Secret, SecretId>| page.last.is_none();
    let last = match (is_whole(&one), is_whole(&other)) {
        (true, _) => other.last.clone(),
        (_, true) => one.last.clone(),
        _ if oldest_first => one.last.clone().min(other.last.clone()),
        _ => one.last.clone().max(other.last.clone()),
    };
    let mut rows = one.rows;
    rows.extend(other.rows);
    rows.sort_by(|a, b| if oldest_first { a.id.cmp(&b.id) } else { b.id.cmp(&a.id) });
    if let Some(last) = &last {
        rows.retain(|row| if oldest_first { row.id <= *last } else { row.id >= *last });
    }
    Page { rows, damaged: one.damaged, last }
}
