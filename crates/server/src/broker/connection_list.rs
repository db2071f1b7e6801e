//! Lists of a contact's secrets: what it has connected, and what it could
//! (contract/contacts-and-secrets, section 5.1; contract/keyfob, "Connections").

use keyfob_core::{
    id::{AccountId, ConnectionId, ContactId, SecretId},
    policy::{Action, Definition, Object, decide_use},
    secret::{Kind, SecretType, Visibility},
    time::Timestamp,
};
use keyfob_store::{
    Page, ReadTx, StoreError, account,
    connection::{self, Named},
    secret::{self, Secret},
};

use super::{
    Broker, Caller, Slice,
    connection::{find_contact, status},
    slice::SCANNED,
    usable::relation,
    verify::Status,
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
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::ConnectionList, Object::Account)?;
        let (now, asking, contact) = (self.now()?, caller.clone(), contact.clone());
        let page = self.read(move |tx| {
            let contact = find_contact(tx, &asking, Action::ConnectionList, &contact)?.id;
            let list = if slice.oldest_first { connection::list } else { connection::list_newest };
            let limits = asking.grant().limits();
            let is_filtered = limits.contacts.is_some() || limits.secrets().is_some();
            let limit = if is_filtered { SCANNED } else { slice.take };
            let mut page = list(tx, asking.account(), &contact, slice.after.as_ref(), limit)?;
            page.rows.retain(|row| reaches(&asking, row));
            slice.end(&mut page, |row| &row.connection.id);
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
            let contact = find_contact(tx, &caller, Action::ConnectionList, &contact)?.id;
            let object = Object::Connection(&contact, &secret);
            if caller.decide(Action::ConnectionList, object).is_err() {
                return Ok(None);
            }
            let found = connection::find(tx, caller.account(), &contact, &secret)?;
            Ok(found.map(|connection| connection.id))
        })
        .await
    }

    /// What the contact has connected, and every personal secret of the account, and of its parent where
    /// that lets it, that it has not, by the age of the secrets.
    pub async fn list_connectable(
        &self,
        caller: &Caller,
        contact: &ContactId,
        slice: Slice<SecretId>,
    ) -> Result<Page<ContactSecret, SecretId>, Error> {
        let caller = &self.reauthenticate(caller).await?;
        caller.decide(Action::ConnectionList, Object::Account)?;
        let (now, asking, contact) = (self.now()?, caller.clone(), contact.clone());
        let page = self.read(move |tx| {
            let contact = find_contact(tx, &asking, Action::ConnectionList, &contact)?.id;
            // Of a secret that is in both, what comes first counts.
            let parts = [
                connected_by_secret(tx, &asking, &contact, &slice, now)?,
                own_connectable(tx, &asking, &slice)?,
                connectable_of_parent(tx, &asking, &slice)?,
            ];
            let mut page = merged(parts, slice.oldest_first);
            slice.end(&mut page, |row| &row.secret);
            Ok(page)
        });
        Ok(caller.log_damaged(page.await?))
    }
}

type Part = Page<ContactSecret, SecretId>;

fn connected_by_secret(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    contact: &ContactId,
    slice: &Slice<SecretId>,
    now: Timestamp,
) -> Result<Part, Error> {
    let list = if slice.oldest_first {
        connection::list_by_secret
    } else {
        connection::list_by_secret_newest
    };
    let page = list(tx, caller.account(), contact, slice.after.as_ref(), SCANNED)?;
    let rows = page.rows.into_iter().filter(|row| reaches(caller, row));
    let rows = rows.map(|row| connected(tx, caller, row, now));
    Ok(Page { rows: rows.collect::<Result<_, _>>()?, damaged: page.damaged, last: page.last })
}

fn own_connectable(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    slice: &Slice<SecretId>,
) -> Result<Part, StoreError> {
    connectable(tx, (caller, caller.account()), slice, |_| true)
}

/// What the account's parent lets it use. Its damaged rows are no business of a child's.
fn connectable_of_parent(
    tx: &mut ReadTx<'_>,
    caller: &Caller,
    slice: &Slice<SecretId>,
) -> Result<Part, StoreError> {
    match account::find(tx, caller.account())?.and_then(|account| account.parent) {
        Some(parent) => {
            let is_open = |secret: &Secret| secret.visibility != Visibility::Private;
            let part = connectable(tx, (caller, &parent), slice, is_open)?;
            Ok(Page { damaged: Vec::new(), ..part })
        }
        None => Ok(Page { rows: Vec::new(), damaged: Vec::new(), last: None }),
    }
}

/// Whether the limits of a caller's key leave it a connection of a contact that they leave it.
fn reaches(caller: &Caller, row: &Named) -> bool {
    caller.grant().reaches_secret(&row.connection.secret, row.kind)
}

/// Personal secrets of an account, those that the caller's key reaches. There may be fewer than were asked for although more follow.
fn connectable(
    tx: &mut ReadTx<'_>,
    (caller, account): (&Caller, &AccountId),
    slice: &Slice<SecretId>,
    is_open: impl Fn(&Secret) -> bool,
) -> Result<Part, StoreError> {
    let list = if slice.oldest_first { secret::list } else { secret::list_newest };
    let Page { rows, damaged, last } = list(tx, account, slice.after.as_ref(), SCANNED)?;
    let reaches = |row: &Secret| caller.grant().reaches_secret(&row.id, row.kind);
    let is_shown = |row: &Secret| row.kind == Kind::Personal && reaches(row) && is_open(row);
    let rows = rows.into_iter().filter(is_shown);
    Ok(Page { rows: rows.map(unconnected).collect(), damaged, last })
}

/// Parts of lists as one, as far as all of them go.
fn merged(parts: [Part; 3], oldest_first: bool) -> Part {
    let ends = parts.iter().filter_map(|part| part.last.clone());
    let last = if oldest_first { ends.min() } else { ends.max() };
    let (mut rows, mut damaged) = (Vec::new(), Vec::new());
    for part in parts {
        rows.extend(part.rows);
        damaged.extend(part.damaged);
    }
    // Stable: of two rows of a secret the first stays first.
    rows.sort_by(
        |a, b| {
            if oldest_first { a.secret.cmp(&b.secret) } else { b.secret.cmp(&a.secret) }
        },
    );
    rows.dedup_by(|later, first| later.secret == first.secret);
    if let Some(last) = &last {
        rows.retain(|row| if oldest_first { row.secret <= *last } else { row.secret >= *last });
    }
    Page { rows, damaged, last }
}

/// A connected secret as it is shown. Whatever is stored, it cannot be used if the account may not use the
/// secret any more, or the secret has one value for everybody now; and not before it is connected anew if
/// the secret is of another type.
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
    let may_use = decide_use(caller.grant(), Action::ConnectionList, secret).is_ok();
    let status = if !may_use || kind == Kind::Shared {
        Status::Broken
    } else if !stands_for_another(secret_type) && secret_type != connection.value_type {
        Status::Unauthenticated
    } else {
        status(&connection, now)
    };
    Ok(ContactSecret {
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
    })
}

/// Whether what is stored is of another type than the secret, whose config a list does not open.
const fn stands_for_another(secret_type: SecretType) -> bool {
    matches!(secret_type, SecretType::Reference | SecretType::Template)
}

fn unconnected(secret: Secret) -> ContactSecret {
    ContactSecret {
        connection: None,
        secret: secret.id,
        name: secret.name,
        description: secret.description,
        secret_type: secret.secret_type,
        status: Status::Unauthenticated,
        expires_at: None,
        scopes: None,
        created_at: secret.created_at,
        updated_at: secret.updated_at,
    }
}
