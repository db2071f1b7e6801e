//! The whole contract as a table: what each role may do, and what each limit takes away
//! (contract/keyfob, "Keys and what they may do").

use std::sync::Arc;

use super::*;
use crate::{
    id::TotpId,
    secret::{Kind, Visibility},
};

/// What becomes of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// It is done.
    Done,
    /// It is done where its object is among those that the limit names, and hidden where not.
    Named,
    /// There is nothing that it could be done to.
    Hidden,
    /// It is never done.
    Never,
}

use Is::{Done, Hidden, Named, Never};

/// What an action is done to.
#[derive(Clone, Copy, Debug)]
enum On {
    /// The account, or all of a kind: what is shown is chosen row by row.
    Account,
    Key,
    Contact,
    /// A secret's definition, of a personal one.
    Secret,
    /// A shared secret's value.
    Shared,
    Connection,
    Totp,
}

type Row = (Action, [bool; 3], On, [Is; 4]);

/// Which column of the table each of [`limits`] is in: what keeps requests to some destinations is one column.
const COLUMNS: [usize; 5] = [0, 1, 2, 3, 3];

/// Each action: whether an agent, a backend and an owner key may do it, to what, and what becomes of it under a
/// limit to contacts, to secrets, to one-time-password entries, and to hosts, methods or paths.
const TABLE: &[Row] = {
    use Action as A;
    const ALL: [bool; 3] = [true, true, true];
    const BACKEND: [bool; 3] = [false, true, true];
    const OWNER: [bool; 3] = [false, false, true];
    &[
        (A::AccountCreate, OWNER, On::Account, [Never, Never, Never, Done]),
        (A::AccountFetch, BACKEND, On::Account, [Done, Done, Done, Done]),
        (A::AccountUpdate, OWNER, On::Account, [Never, Never, Never, Done]),
        (A::AccountDelete, OWNER, On::Account, [Never, Never, Never, Done]),
        (A::KeyCreate, OWNER, On::Account, [Done, Done, Done, Done]),
        (A::KeyList, OWNER, On::Account, [Done, Done, Done, Done]),
        (A::KeyFetch, OWNER, On::Key, [Done, Done, Done, Done]),
        (A::KeyUpdate, OWNER, On::Key, [Done, Done, Done, Done]),
        (A::KeyRevoke, OWNER, On::Key, [Done, Done, Done, Done]),
        (A::KeyUse, OWNER, On::Key, [Done, Done, Done, Done]),
        (A::ContactCreate, BACKEND, On::Account, [Never, Done, Done, Done]),
        (A::ContactList, BACKEND, On::Account, [Done, Done, Done, Done]),
        (A::ContactFetch, BACKEND, On::Contact, [Named, Done, Done, Done]),
        (A::ContactUpdate, BACKEND, On::Contact, [Named, Done, Done, Done]),
        (A::ContactDelete, BACKEND, On::Contact, [Named, Never, Never, Done]),
        (A::ContactExport, OWNER, On::Account, [Never, Never, Never, Done]),
        (A::SecretCreate, BACKEND, On::Account, [Never, Never, Never, Done]),
        (A::SecretList, ALL, On::Secret, [Done, Named, Hidden, Done]),
        (A::SecretFetch, ALL, On::Secret, [Done, Named, Hidden, Done]),
        (A::SecretUpdate, BACKEND, On::Secret, [Never, Named, Hidden, Never]),
        (A::SecretDelete, BACKEND, On::Secret, [Never, Named, Hidden, Done]),
        (A::SecretVerify, ALL, On::Shared, [Hidden, Named, Hidden, Done]),
        (A::SecretAuthenticate, ALL, On::Shared, [Hidden, Named, Hidden, Done]),
        (A::SecretConnect, BACKEND, On::Shared, [Hidden, Named, Hidden, Done]),
        (A::SecretRefresh, BACKEND, On::Shared, [Hidden, Named, Hidden, Done]),
        (A::SecretMint, BACKEND, On::Shared, [Hidden, Named, Hidden, Never]),
        (A::SecretProxy, ALL, On::Shared, [Hidden, Named, Hidden, Done]),
        (A::SecretRevoke, BACKEND, On::Shared, [Hidden, Named, Hidden, Done]),
        (A::ConnectionList, ALL, On::Contact, [Named, Done, Done, Done]),
        (A::ConnectionVerify, ALL, On::Connection, [Named, Named, Hidden, Done]),
        (A::ConnectionAuthenticate, ALL, On::Connection, [Named, Named, Hidden, Done]),
        (A::ConnectionConnect, BACKEND, On::Connection, [Named, Named, Hidden, Done]),
        (A::ConnectionRefresh, BACKEND, On::Connection, [Named, Named, Hidden, Done]),
        (A::ConnectionMint, BACKEND, On::Connection, [Named, Named, Hidden, Never]),
        (A::ConnectionProxy, ALL, On::Connection, [Named, Named, Hidden, Done]),
        (A::ConnectionRevoke, BACKEND, On::Connection, [Named, Named, Hidden, Done]),
        (A::RevocationList, BACKEND, On::Account, [Done, Done, Done, Done]),
        (A::TotpCreate, BACKEND, On::Totp, [Named, Never, Never, Done]),
        (A::TotpList, ALL, On::Totp, [Named, Hidden, Named, Done]),
        (A::TotpFetch, ALL, On::Totp, [Named, Hidden, Named, Done]),
        (A::TotpUpdate, BACKEND, On::Totp, [Named, Hidden, Named, Done]),
        (A::TotpDelete, BACKEND, On::Totp, [Named, Hidden, Named, Done]),
        (A::TotpCode, ALL, On::Totp, [Named, Hidden, Named, Done]),
        (A::EventList, BACKEND, On::Account, [Never, Never, Never, Done]),
    ]
};

const MINE: u8 = 1;
const OTHER: u8 = 2;

fn contact(n: u8) -> ContactId {
    ContactId::from_bits([n; 16])
}

fn secret(n: u8) -> SecretId {
    SecretId::from_bits([n; 16])
}

fn grant(role: Role, limits: Limits) -> Grant {
    Grant::new(AccountId::from_bits([9; 16]), role).limited(Arc::new(limits))
}

/// Limits that name the objects with this number, for the columns of the table.
fn limits(n: u8) -> [Limits; 5] {
    let none = || Limits::NONE;
    [
        Limits { contacts: Some(vec![contact(n)]), ..none() },
        Limits { secrets: Some(vec![secret(n)]), ..none() },
        Limits { totp: Some(vec![TotpName::Label(format!("entry {n}"))]), ..none() },
        Limits { hosts: Some(vec!["api.example.com".parse().unwrap()]), ..none() },
        Limits { methods: Some(vec![crate::proxy::Method::Get]), ..none() },
    ]
}

/// Does `action` to the object with this number.
fn act(grant: &Grant, action: Action, on: On, n: u8) -> Result<(), Denial> {
    let (contact, secret) = (contact(n), secret(n));
    let key = KeyId::from_bits([n; 16]);
    let totp = TotpId::from_stored(&format!("totp {n}"));
    let label = format!("entry {n}");
    let of_kind = |kind| {
        let (account, id, visibility) = (grant.account(), &secret, Visibility::Private);
        let relation = Relation::Same;
        let secret = Definition { account, id, kind, visibility, relation };
        decide_use(grant, action, secret).map(drop)
    };
    let entry = Entry { id: &totp, label: &label, contact: Some(&contact) };
    let at = |object| decide(grant, action, object).map(drop);
    match on {
        On::Account => at(Object::Account),
        On::Key => at(Object::Key(&key)),
        On::Contact => at(Object::Contact(&contact)),
        On::Secret => at(Object::Secret(&secret)).and_then(|()| of_kind(Kind::Personal)),
        On::Shared => {
            let direct = at(Object::Secret(&secret));
            assert_eq!(direct, of_kind(Kind::Shared), "{action:?}: both ways are alike");
            direct
        }
        On::Connection => {
            at(Object::Contact(&contact))?;
            let whole = at(Object::Connection(&contact, &secret));
            assert_eq!(whole, of_kind(Kind::Personal), "{action:?}: both ways are alike");
            whole
        }
        On::Totp => at(Object::Totp(entry)),
    }
}

#[test]
fn each_role_may_do_what_the_table_says_and_nothing_else() {
    let listed: Vec<_> = TABLE.iter().map(|(action, ..)| *action).collect();
    for action in Action::ALL {
        assert_eq!(listed.iter().filter(|it| *it == action).count(), 1, "{action:?}");
    }
    for &(action, allowed, on, _) in TABLE {
        for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
            let done = act(&grant(role, Limits::NONE), action, on, MINE);
            let expected = if allowed { Ok(()) } else { Err(Denial::Never) };
            assert_eq!(done, expected, "{role:?} {action:?}");
        }
    }
}

#[test]
fn each_limit_takes_away_what_the_table_says_from_every_role() {
    for &(action, allowed, on, under) in TABLE {
        for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
            for (limits, column) in limits(MINE).into_iter().zip(COLUMNS) {
                let (grant, expected) = (grant(role, limits), under[column]);
                let done = [MINE, OTHER].map(|n| act(&grant, action, on, n));
                let expected = match expected {
                    _ if !allowed => [Err(Denial::Never); 2],
                    Done => [Ok(()); 2],
                    Named => [Ok(()), Err(Denial::Hidden)],
                    Hidden => [Err(Denial::Hidden); 2],
                    Never => [Err(Denial::Never); 2],
                };
                assert_eq!(done, expected, "{role:?} {action:?} {:?}", grant.limits());
            }
        }
    }
}

#[test]
fn an_action_that_is_not_among_those_of_the_key_is_never_done() {
    for &(action, allowed, on, _) in TABLE {
        for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
            for &named in Action::ALL {
                let limits = Limits { actions: Some(vec![named]), ..Limits::NONE };
                let done = act(&grant(role, limits), action, on, MINE);
                let is_done = named == action && (allowed || action.is_mint());
                let expected = if is_done { Ok(()) } else { Err(Denial::Never) };
                assert_eq!(done, expected, "{role:?} {action:?} limited to {named:?}");
            }
        }
    }
}

#[test]
fn a_key_that_is_counted_does_all_but_make_keys_which_would_be_counted_by_themselves() {
    let rate = || Limits { rate: Some(1), ..Limits::NONE };
    let quota = || Limits { quota: Some(1), ..Limits::NONE };
    for &(action, allowed, on, _) in TABLE {
        for (role, allowed) in Role::ALL.into_iter().zip(allowed) {
            for limits in [rate(), quota()] {
                let done = act(&grant(role, limits), action, on, MINE);
                let makes_keys = matches!(action, Action::KeyCreate | Action::AccountCreate);
                assert_eq!(done.is_ok(), allowed && !makes_keys, "{role:?} {action:?}");
            }
        }
    }
}

/// Hosts, methods and paths each say where requests go, so that each takes away the same.
#[test]
fn every_limit_of_destinations_takes_away_the_same() {
    let none = || Limits::NONE;
    let all = [
        Limits { hosts: Some(vec!["api.example.com".parse().unwrap()]), ..none() },
        Limits { methods: Some(vec![crate::proxy::Method::Get]), ..none() },
        Limits { paths: Some(vec!["/v1/".parse().unwrap()]), ..none() },
    ];
    for &(action, allowed, on, [.., under]) in TABLE {
        for limits in &all {
            let done = act(&grant(Role::Owner, limits.clone()), action, on, MINE);
            let is_done = allowed[2] && under == Done;
            assert_eq!(done.is_ok(), is_done, "{action:?} {limits:?}");
        }
    }
}

/// Whatever two limits are put together, the key may do what both allow, and no more.
#[test]
fn limits_together_allow_what_each_of_them_allows() {
    for &(action, _, on, _) in TABLE {
        let [contacts, secrets, totp, hosts, methods] = limits(MINE);
        let all = Limits {
            contacts: contacts.contacts.clone(),
            secrets: secrets.secrets.clone(),
            totp: totp.totp.clone(),
            hosts: hosts.hosts.clone(),
            ..methods.clone()
        };
        for n in [MINE, OTHER] {
            let each = [&contacts, &hosts, &methods].map(|it| grant(Role::Owner, it.clone()));
            let named = Limits { contacts: None, hosts: None, methods: None, ..all.clone() };
            let each = each.into_iter().chain([grant(Role::Owner, named)]);
            let by_each = each.map(|grant| act(&grant, action, on, n)).all(|done| done.is_ok());
            let together = act(&grant(Role::Owner, all.clone()), action, on, n);
            assert_eq!(together.is_ok(), by_each, "{action:?} {n}");
        }
    }
}

#[test]
fn an_entry_of_no_contact_is_not_there_for_a_key_of_contacts() {
    let [contacts, _, labels, ..] = limits(MINE);
    let id = TotpId::from_stored("totp 1");
    let entry = Entry { id: &id, label: "entry 1", contact: None };
    let of = |limits| decide(&grant(Role::Agent, limits), Action::TotpCode, Object::Totp(entry));
    assert_eq!(of(contacts).err(), Some(Denial::Hidden));
    assert!(of(labels).is_ok());
    let by_id = Limits { totp: Some(vec![TotpName::Id(id.clone())]), ..Limits::NONE };
    assert!(of(by_id).is_ok());
}

#[test]
fn limits_that_cannot_be_read_leave_nothing() {
    for &(action, _, on, _) in TABLE {
        let grant = grant(Role::Owner, Limits::nothing());
        assert_eq!(act(&grant, action, on, MINE), Err(Denial::Never), "{action:?}");
    }
}

#[test]
fn names_read_back() {
    for role in Role::ALL {
        assert_eq!(Role::parse(role.as_str()), Some(role));
    }
    assert_eq!(Role::parse("root"), None);
    for action in Action::ALL {
        assert_eq!(Action::parse(action.as_str()), Some(*action));
    }
}
