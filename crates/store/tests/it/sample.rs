//! Rows to store, told apart by a number.

use std::sync::Arc;

use keyfob_core::{
    crypto::Sealed,
    id::{AccountId, ConnectionId, ContactId, KeyId, SecretId, TotpId},
    policy::{Action, Role},
    secret::{Kind as SecretKind, SecretType, Visibility},
    ticket::TicketHash,
    time::Timestamp,
    token::KeyHash,
    totp::{Algorithm, Kind, Parameters},
};
use keyfob_store::{
    Event, StoreError, WriteTx,
    account::{self, Account},
    authentication::Authentication,
    connection::Connection,
    contact::{self, Contact},
    creation::Creation,
    event::Actor,
    key::Key,
    secret::{self, Secret},
    totp::{Policy, Totp},
};

/// Some moment in 2023, so many milliseconds later.
pub(crate) const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + millis)
}

fn bits(number: u32) -> [u8; 16] {
    u128::from(number).to_be_bytes()
}

pub(crate) fn account_id(number: u32) -> AccountId {
    AccountId::from_bits(bits(number))
}

pub(crate) fn account(number: u32) -> Account {
    Account {
        id: account_id(number),
        parent: None,
        name: format!("Account {number}"),
        email: None,
        allowed_origins: Vec::new(),
        created_at: at(i64::from(number)),
    }
}

/// Stores an account that other rows can belong to.
pub(crate) fn store_account(tx: &mut WriteTx<'_>, number: u32) -> Result<(), StoreError> {
    account::insert(tx, &account(number))
}

pub(crate) fn key_id(number: u32) -> KeyId {
    KeyId::from_bits(bits(number))
}

pub(crate) fn key(account: u32, number: u32) -> Key {
    Key {
        account: account_id(account),
        id: key_id(number),
        name: format!("Key {number}"),
        role: Role::Backend,
        limits: Arc::default(),
        is_readable: true,
        hash: KeyHash::from_stored(&[7; 32]).unwrap(),
        created_at: at(i64::from(number)),
        expires_at: None,
        revoked_at: None,
    }
}

pub(crate) fn totp_id(number: u32) -> TotpId {
    TotpId::parse(&format!("018bcfe5-6800-7000-8000-{number:012x}")).unwrap()
}

pub(crate) fn totp(number: u32) -> Totp {
    Totp {
        id: totp_id(number),
        contact: None,
        label: format!("entry {number}"),
        issuer: Some("Bäckerei".into()),
        parameters: Parameters::new(Kind::Totp, Algorithm::Sha256, 8, 60).unwrap(),
        policy: Policy { unique: true, min_validity: 12 },
        created_at: at(i64::from(number)),
        updated_at: at(i64::from(number)),
    }
}

pub(crate) fn sealed(number: u8) -> Sealed {
    Sealed::from_stored(vec![1, 0, 0, 0, 1, 0, 255, number])
}

pub(crate) fn contact_id(number: u32) -> ContactId {
    ContactId::from_bits(bits(number))
}

pub(crate) fn contact(number: u32) -> Contact {
    Contact {
        id: contact_id(number),
        name: format!("Contact {number}"),
        description: String::new(),
        fingerprint: format!("fingerprint {number}"),
        email: None,
        phone: None,
        nick: None,
        preferences: None,
        verified_at: None,
        meta: None,
        created_at: at(i64::from(number)),
        updated_at: at(i64::from(number)),
    }
}

pub(crate) fn secret_id(number: u32) -> SecretId {
    SecretId::from_bits(bits(number))
}

pub(crate) fn secret(number: u32) -> Secret {
    Secret {
        account: account_id(1),
        id: secret_id(number),
        alias: None,
        name: format!("Secret {number}"),
        description: String::new(),
        blueprint_id: None,
        kind: SecretKind::Shared,
        secret_type: SecretType::Plain,
        value: None,
        expires_at: None,
        scopes: None,
        broken: None,
        config: None,
        visibility: Visibility::Private,
        meta: None,
        created_at: at(i64::from(number)),
        updated_at: at(i64::from(number)),
    }
}

/// Stores accounts 1 and 2, contacts 1 to `contacts` of both, and secrets 1 to `secrets` of the first.
pub(crate) fn store_people(
    tx: &mut WriteTx<'_>,
    contacts: u32,
    secrets: u32,
) -> Result<(), StoreError> {
    for account in [1, 2] {
        store_account(tx, account)?;
        for number in 1..=contacts {
            contact::insert(tx, &account_id(account), &contact(number))?;
        }
    }
    for number in 1..=secrets {
        let config = Some(sealed(100));
        secret::insert(tx, &Secret { config, ..secret(number) })?;
    }
    Ok(())
}

pub(crate) fn connection_id(number: u32) -> ConnectionId {
    ConnectionId::from_bits(bits(number))
}

/// What a contact of account 1 has connected a secret with.
pub(crate) fn connection(contact: u32, secret: u32) -> Connection {
    let number = 1000 * contact + secret;
    Connection {
        account: account_id(1),
        contact: contact_id(contact),
        secret: secret_id(secret),
        id: connection_id(number),
        value_type: SecretType::Bearer,
        value: sealed(7),
        terms: None,
        expires_at: None,
        scopes: None,
        broken: None,
        created_at: at(i64::from(number)),
        updated_at: at(i64::from(number)),
    }
}

pub(crate) fn ticket_hash(number: u8) -> TicketHash {
    TicketHash::from_stored(&[number; 32]).unwrap()
}

/// A link of account 1 for a contact, or for the shared value, of secret 1. It can be used until `at(100)`.
pub(crate) fn authentication(number: u8, contact: Option<u32>) -> Authentication {
    Authentication {
        state: ticket_hash(number),
        account: account_id(1),
        contact: contact.map(contact_id),
        secret: secret_id(1),
        key: Some(key_id(1)),
        return_url: None,
        created_at: at(0),
        expires_at: at(100),
        browser: None,
        outcome: None,
    }
}

pub(crate) fn creation(fingerprint: u8, object: u32, millis: i64) -> Creation {
    let mut content = [0; 32];
    content[..4].copy_from_slice(&object.to_be_bytes());
    Creation {
        fingerprint: [fingerprint; 32],
        content,
        object_id: format!("object {object}"),
        created_at: at(millis),
        unanswered_at: None,
    }
}

/// An event of the account about the object of that name.
pub(crate) fn event(account: u32, object: &str) -> Event {
    Event {
        account: account_id(account),
        created_at: at(0),
        actor: Actor { kind: "key", id: "key_1".into(), name: "Tests".into() },
        action: Action::TotpCode,
        object_type: "totp",
        object_id: object.into(),
        contact_id: None,
        result: "ok",
        reason: None,
        ip: None,
        request_id: "req_1".into(),
    }
}
