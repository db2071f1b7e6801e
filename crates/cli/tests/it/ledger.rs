//! What callers were told, and whether the vault still knows all of it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::{
    api::{Api, Code},
    hotp::{code, secret_of},
    vault::Vault,
};

pub(crate) const PERIOD: i64 = 30;
const DIGITS: u32 = 6;

/// Something that a caller was told.
#[derive(Debug)]
pub(crate) enum Told {
    /// An entry was stored. Its secret is that of its label, and its label the request's id.
    Created { id: String, label: String },
    /// A code was released.
    Released { id: String, request_id: String, code: Code },
}

/// All that callers were told.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Labels by id.
    pub(crate) entries: BTreeMap<String, String>,
    /// Steps by request.
    released: Vec<(String, i64)>,
}

/// The event of a released code: its time in milliseconds and its object.
type CodeEvents = HashMap<String, Vec<(i64, String)>>;

impl Ledger {
    /// Notes what callers were told, in this order; `known` are entries from before, labels by id.
    /// Every code must be right.
    pub(crate) fn note(&mut self, told: Vec<Told>, known: &BTreeMap<String, String>) {
        for told in told {
            match told {
                Told::Created { id, label } => {
                    let before = self.entries.insert(id, label);
                    assert_eq!(before, None, "an id is given to one entry only");
                }
                Told::Released { id, request_id, code } => {
                    let label = self.entries.get(&id).or_else(|| known.get(&id)).unwrap();
                    check_code(label, &code);
                    self.released.push((request_id, code.step));
                }
            }
        }
    }

    /// Compares all that callers were told with the vault, which nobody uses now; all of its
    /// entries, labels by id.
    pub(crate) async fn check(&self, vault: &Vault, api: &Api) -> BTreeMap<String, String> {
        vault.database.check_integrity();
        let listed = api.list().await;
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let listed: BTreeMap<_, _> =
            listed.iter().map(|entry| (text(&entry["id"]), text(&entry["label"]))).collect();
        for (id, label) in &self.entries {
            assert_eq!(listed.get(id), Some(label), "an answered create is there");
        }
        check_creates(vault, &listed);
        self.check_releases(vault);
        listed
    }

    /// Every code that was released has its event.
    fn check_releases(&self, vault: &Vault) {
        let mut events = CodeEvents::new();
        let rows = "SELECT request_id, created_at, object_id FROM event
                    WHERE action = 'totp.code' AND result = 'ok' ORDER BY created_at";
        for row in vault.database.rows(rows) {
            let event = (row[1].parse().unwrap(), row[2].clone());
            events.entry(row[0].clone()).or_default().push(event);
        }
        for (request_id, step) in &self.released {
            let found = events.get(request_id).map(Vec::as_slice).unwrap_or_default();
            let steps: Vec<_> = found.iter().map(|(at, _)| at / (PERIOD * 1000)).collect();
            // A step may end while its event is being written: that code is not released, and the
            // next one is, with an event of its own.
            assert!(
                steps == [*step] || steps == [step - 1, *step],
                "the code of step {step} for request {request_id} has events of steps {steps:?}",
            );
        }
    }

    /// Reads the codes of these entries again, and checks them.
    pub(crate) async fn check_codes<'a>(
        api: &Api,
        entries: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) {
        for (id, label) in entries {
            check_code(label, &api.code(id).await);
        }
    }

    pub(crate) fn released(&self) -> usize {
        self.released.len()
    }

    /// The ids of all requests that were answered.
    pub(crate) fn answered(&self) -> HashSet<&str> {
        let released = self.released.iter().map(|(request_id, _)| request_id.as_str());
        self.entries.values().map(String::as_str).chain(released).collect()
    }
}

/// Entries, the events of their creates, what a repeated create is known by, and the account's
/// count of them: all of one transaction, so all or none of it is there.
fn check_creates(vault: &Vault, listed: &BTreeMap<String, String>) {
    let database = &vault.database;
    let events = "SELECT object_id, request_id FROM event
                  WHERE action = 'totp.create' AND result = 'ok'";
    let events = database.rows(events);
    let by_id: BTreeMap<_, _> = events.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(events.len(), by_id.len(), "an entry has one event of its create");
    // Every label is the id of the request that stored it.
    assert_eq!(&by_id, listed, "no entry without its event, and no event without its entry");
    let creations = database.rows("SELECT object_id FROM creation");
    let creations: BTreeSet<_> = creations.iter().map(|row| &row[0]).collect();
    assert!(creations.into_iter().eq(listed.keys()), "creations and entries go together");
    let counts = database.rows(
        "SELECT totp_count, (SELECT count(*) FROM totp WHERE account_id = account.id)
         FROM account",
    );
    let [count] = counts.as_slice() else { panic!("{counts:?}") };
    assert_eq!(count[0], count[1], "the account counts its entries");
}

fn check_code(label: &str, released: &Code) {
    assert_eq!(released.code, code(&secret_of(label), released.step, DIGITS), "of {label}");
}
