//! What a key is to be limited to: names from outside, read one by one, so that each that is wrong is named
//! (contract/keyfob, "Keys and what they may do").

use std::collections::BTreeMap;

use keyfob_core::{
    id::{ContactId, SecretId},
    policy::{Action, InvalidAction, Limits, Role, TotpName},
    proxy::{HostPattern, Method, PathPrefix},
    time::Timestamp,
};
use serde_json::Value;

use super::Given;
use crate::{error::Error, text};

/// The most names that one limit has.
const MOST_NAMES: usize = 100;
/// The most uses that a minute or a day is limited to; who needs more needs no limit.
const MOST_USES: u32 = 100_000_000;
/// The longest that an event tells of what a key may do, in characters.
const LONGEST_TOLD: usize = 500;
/// What is so like a name was perhaps meant to be that.
const ALIKE: f64 = 0.8;
/// So many names are suggested.
const MOST_ALIKE: usize = 3;

/// What a key is to be limited to, as a request says it.
#[derive(Clone, Debug, Default)]
pub struct LimitsChange {
    /// Ids of contacts.
    pub contacts: Given<Vec<String>>,
    /// Ids of secrets.
    pub secrets: Given<Vec<String>>,
    /// Ids or labels of one-time-password entries.
    pub totp: Given<Vec<String>>,
    /// Actions: by their full names, or all of a noun or of a verb.
    pub actions: Given<Vec<String>>,
    /// Hosts: `api.example.com`, or `*.example.com` for all below one.
    pub hosts: Given<Vec<String>>,
    /// Methods of HTTP.
    pub methods: Given<Vec<String>>,
    /// Beginnings of paths: `/v1/` for all below it.
    pub paths: Given<Vec<String>>,
    /// Uses in a minute.
    pub rate: Given<u32>,
    /// Uses on a day of UTC.
    pub quota: Given<u32>,
}

impl LimitsChange {
    /// The limits of a key of this role that had `before`.
    pub(super) fn over(self, role: Role, before: &Limits) -> Result<Limits, Error> {
        let before = before.clone();
        let contact = |text: &str| ContactId::parse(text).map_err(|_| "is not the id of a contact");
        let secret = |text: &str| SecretId::parse(text).map_err(|_| "is not the id of a secret");
        let host = |text: &str| text.parse::<HostPattern>().map_err(|error| error.to_string());
        let path = |text: &str| text.parse::<PathPrefix>().map_err(|error| error.to_string());
        let mints = says_mint(&self.actions);
        let limits = Limits {
            contacts: names("contacts", self.contacts, before.contacts, contact)?,
            secrets: names("secrets", self.secrets, before.secrets, secret)?,
            totp: names_to_the_letter("totp", self.totp, before.totp, totp_name)?,
            actions: actions(self.actions, role, before.actions)?,
            hosts: names("hosts", self.hosts, before.hosts, host)?,
            methods: names("methods", self.methods, before.methods, method)?,
            paths: names("paths", self.paths, before.paths, path)?,
            rate: uses("rate", self.rate, before.rate)?,
            quota: uses("quota", self.quota, before.quota)?,
        };
        if mints && limits.has_destinations() {
            let text = "\"actions\" names one that hands a token out, which nothing could keep to \"hosts\", \"methods\" and \"paths\": leave one or the other out";
            return Err(Error::invalid("invalid_actions", text));
        }
        Ok(limits)
    }
}

/// What a key may do, as its events tell it: what it is limited to by name if that is short, and else how much.
pub(super) fn in_words(role: Role, end: Option<Timestamp>, limits: &Limits) -> String {
    let stored = limits.to_stored().unwrap_or_default();
    let limits: BTreeMap<String, Value> = serde_json::from_str(&stored).unwrap_or_default();
    let told = |by_name: bool| {
        let mut words = vec![format!("role {}", role.as_str())];
        words.extend(end.map(|end| format!("until {}", text::rfc3339(end))));
        words.extend(limits.iter().map(|(name, limit)| match limit {
            Value::Array(names) if !by_name => format!("{name} ({})", names.len()),
            limit => format!("{name} {limit}"),
        }));
        words.join("; ")
    };
    let by_name = told(true);
    if by_name.chars().count() <= LONGEST_TOLD { by_name } else { told(false) }
}

/// Whether an action that mints is named, rather than a noun that has one.
fn says_mint(actions: &Given<Vec<String>>) -> bool {
    let is_mint = |name: &String| name.trim().rsplit('.').next() == Some("mint");
    matches!(actions, Given::Value(names) if names.iter().any(is_mint))
}

fn totp_name(text: &str) -> Result<TotpName, &'static str> {
    text::check("label", text, 1).map_err(|_| "is neither an id nor a label")?;
    Ok(TotpName::parse(text))
}

fn method(text: &str) -> Result<Method, String> {
    Method::parse(&text.to_ascii_uppercase()).ok_or_else(|| {
        let all: Vec<_> = Method::ALL.into_iter().map(Method::as_str).collect();
        format!("must be one of [{}]", all.join(", "))
    })
}

/// The names of one limit, each once, without the blanks around them. `read` says what is wrong with one.
fn names<T: PartialEq, E: std::fmt::Display>(
    field: &'static str,
    given: Given<Vec<String>>,
    before: Option<Vec<T>>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<Vec<T>>, Error> {
    names_to_the_letter(field, given, before, |text| read(text.trim()))
}

/// The same with their blanks: a label may begin or end with one.
fn names_to_the_letter<T: PartialEq, E: std::fmt::Display>(
    field: &'static str,
    given: Given<Vec<String>>,
    before: Option<Vec<T>>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<Vec<T>>, Error> {
    let texts = match given {
        Given::Absent => return Ok(before),
        Given::Null => return Ok(None),
        Given::Value(texts) => texts,
    };
    check_count(field, texts.len())?;
    let mut names = Vec::with_capacity(texts.len());
    for (at, text) in texts.iter().enumerate() {
        let name = read(text).map_err(|error| wrong(field, at, error))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Some(names))
}

/// Actions as they are stored: by their full names, so that what comes with a newer version is not among them.
fn actions(
    given: Given<Vec<String>>,
    role: Role,
    before: Option<Vec<Action>>,
) -> Result<Option<Vec<Action>>, Error> {
    let read = |text: &str| {
        Action::named(text, role).map_err(|invalid| match invalid {
            InvalidAction::Unknown => format!("names no action{}", suggestion(text)),
            InvalidAction::BeyondRole => {
                format!("names what a key with the role {} may never do", role.as_str())
            }
        })
    };
    let before = before.map(|before| vec![before]);
    let named = names("actions", given, before, read)?;
    Ok(named.map(|named| {
        let all = Action::ALL.iter().copied();
        all.filter(|action| named.iter().any(|some| some.contains(action))).collect()
    }))
}

/// What a misspelt name may have been meant to be.
fn suggestion(text: &str) -> String {
    let mut alike: Vec<_> = Action::names()
        .into_iter()
        .map(|name| (strsim::jaro_winkler(name, text), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let alike: Vec<_> = alike.into_iter().take(MOST_ALIKE).map(|(_, name)| name).collect();
    if alike.is_empty() {
        return ": they are named as in events, such as connection.verify; totp is all of that noun, verify all of that verb".into();
    }
    format!(": did you mean {}?", alike.join(" or "))
}

fn uses(field: &'static str, given: Given<u32>, before: Option<u32>) -> Result<Option<u32>, Error> {
    let uses = given.over(before);
    if uses.is_none_or(|uses| (1..=MOST_USES).contains(&uses)) {
        return Ok(uses);
    }
    let text = format!(
        "\"{field}\" must be a whole number from 1 to {MOST_USES}; leave it out for a key that may be used as often as it likes"
    );
    Err(Error::invalid(code(field), text))
}

fn check_count(field: &'static str, count: usize) -> Result<(), Error> {
    let text = match count {
        0 => format!(
            "\"{field}\" must not be empty, which would leave the key nothing: leave it out for a key without this limit, or send null to take it away"
        ),
        count if count > MOST_NAMES => {
            format!("\"{field}\" must have at most {MOST_NAMES} items")
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(code(field), text))
}

/// The error that one name is wrong. It repeats nothing of it.
fn wrong(field: &'static str, at: usize, error: impl std::fmt::Display) -> Error {
    Error::invalid(code(field), format!("\"{field}[{at}]\" {error}"))
}

fn code(field: &str) -> &'static str {
    match field {
        "contacts" => "invalid_contacts",
        "secrets" => "invalid_secrets",
        "totp" => "invalid_totp",
        "actions" => "invalid_actions",
        "hosts" => "invalid_hosts",
        "methods" => "invalid_methods",
        "paths" => "invalid_paths",
        "rate" => "invalid_rate",
        _ => "invalid_quota",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(change: LimitsChange) -> Result<Limits, (&'static str, String)> {
        change.over(Role::Agent, &Limits::NONE).map_err(|error| match error {
            Error::Invalid { code, message } => (code, message.into_owned()),
            other => panic!("{other:?}"),
        })
    }

    fn given(texts: &[&str]) -> Given<Vec<String>> {
        Given::Value(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn a_misspelt_action_is_answered_with_what_was_perhaps_meant() {
        for (text, suggested) in [
            ("totp.cod", "totp.code"),
            ("verifi", "verify"),
            ("conection.proxy", "connection.proxy"),
            ("zzz", "connection.verify"),
        ] {
            let change = LimitsChange { actions: given(&["verify", text]), ..Default::default() };
            let (code, message) = limits(change).unwrap_err();
            assert_eq!(code, "invalid_actions");
            assert!(message.starts_with("\"actions[1]\" names no action"), "{message}");
            assert!(message.contains(suggested), "{text}: {message}");
        }
    }

    #[test]
    fn what_is_said_twice_counts_once_and_actions_are_kept_by_their_full_names() {
        let change = LimitsChange {
            actions: given(&["mint", " connection.mint", "secret.mint "]),
            totp: given(&["GitHub", "GitHub"]),
            ..Default::default()
        };
        let limits = limits(change).unwrap();
        assert_eq!(limits.actions, Some(vec![Action::SecretMint, Action::ConnectionMint]));
        assert_eq!(limits.totp, Some(vec![TotpName::Label("GitHub".into())]));
    }

    #[test]
    fn a_label_is_taken_to_the_letter_with_its_blanks() {
        let change = LimitsChange { totp: given(&["GitHub", " GitHub "]), ..Default::default() };
        let labels = ["GitHub", " GitHub "].map(|label| TotpName::Label(label.into()));
        assert_eq!(limits(change).unwrap().totp, Some(labels.into()));
    }

    #[test]
    fn what_a_key_may_do_is_told_in_few_words() {
        let end = Some(Timestamp::from_seconds(1_800_000_000));
        let few = Limits {
            totp: Some(vec![TotpName::Label("GitHub, ops".into())]),
            rate: Some(60),
            ..Limits::NONE
        };
        let told = in_words(Role::Agent, end, &few);
        assert_eq!(
            told,
            r#"role agent; until 2027-01-15T08:00:00Z; rate 60; totp ["GitHub, ops"]"#
        );
        assert_eq!(in_words(Role::Owner, None, &Limits::NONE), "role owner");
        let many = (0..100).map(|n| ContactId::from_bits([n; 16])).collect();
        let many = Limits { contacts: Some(many), ..few };
        let told = in_words(Role::Agent, None, &many);
        assert_eq!(told, "role agent; contacts (100); rate 60; totp (1)");
    }

    #[test]
    fn what_is_absent_stays_and_what_is_null_goes() {
        let before = Limits { rate: Some(5), quota: Some(6), ..Limits::NONE };
        let change = LimitsChange { rate: Given::Null, totp: given(&["x"]), ..Default::default() };
        let after = change.over(Role::Agent, &before).unwrap();
        assert_eq!((after.rate, after.quota, after.totp.is_some()), (None, Some(6), true));
    }

    #[test]
    fn a_token_cannot_be_kept_to_hosts() {
        let hosts = given(&["api.example.com"]);
        for name in ["mint", "secret.mint"] {
            let change = LimitsChange {
                actions: given(&[name]),
                hosts: hosts.clone(),
                ..Default::default()
            };
            assert_eq!(limits(change).unwrap_err().0, "invalid_actions");
        }
        let change = LimitsChange { actions: given(&["connection"]), hosts, ..Default::default() };
        assert!(limits(change).is_ok());
    }
}
