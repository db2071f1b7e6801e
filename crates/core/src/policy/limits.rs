//! What a key is limited to (contract/keyfob, "Keys and what they may do").

use std::fmt;

use super::Action;
use crate::{
    id::{ContactId, SecretId, TotpId},
    proxy::{Destination, HostPattern, Method, PathPrefix},
};

/// What a key is limited to, within its role. Each limit only takes something away; `None` takes nothing.
///
/// `secrets` and `totp` together name the credentials that a key reaches: with one of them alone the other kind
/// is closed, so that a key for one secret reads no codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Only these contacts, what they have connected, and their one-time-password entries. What belongs to no
    /// contact is closed: the values of shared secrets, and the entries of nobody.
    pub contacts: Option<Vec<ContactId>>,
    /// Only these secrets and what contacts have connected them with.
    pub secrets: Option<Vec<SecretId>>,
    /// Only these one-time-password entries.
    pub totp: Option<Vec<TotpName>>,
    /// Only these actions. An agent may mint if they name an action that does.
    pub actions: Option<Vec<Action>>,
    /// Requests only to these hosts.
    pub hosts: Option<Vec<HostPattern>>,
    /// Requests only with these methods.
    pub methods: Option<Vec<Method>>,
    /// Requests only to paths that begin so.
    pub paths: Option<Vec<PathPrefix>>,
    /// Uses in any minute, at the most.
    pub rate: Option<u32>,
    /// Uses on a day of UTC, at the most.
    pub quota: Option<u32>,
}

/// How a limit names a one-time-password entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TotpName {
    /// The entry with this id.
    Id(TotpId),
    /// Every entry that is called so, to the letter.
    Label(String),
}

impl TotpName {
    /// The name in a text: an id if it can be one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        TotpId::parse(text).map_or_else(|_| Self::Label(text.to_owned()), Self::Id)
    }

    fn is_of(&self, entry: &Entry<'_>) -> bool {
        match self {
            Self::Id(id) => id == entry.id,
            Self::Label(label) => label == entry.label,
        }
    }
}

impl fmt::Display for TotpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Id(id) => id.as_str(),
            Self::Label(label) => label,
        })
    }
}

/// A one-time-password entry, as far as it matters who may use it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its id.
    pub id: &'a TotpId,
    /// What people call it.
    pub label: &'a str,
    /// The contact that it belongs to, if to one.
    pub contact: Option<&'a ContactId>,
}

impl Limits {
    /// No limits.
    pub const NONE: Self = Self {
        contacts: None,
        secrets: None,
        totp: None,
        actions: None,
        hosts: None,
        methods: None,
        paths: None,
        rate: None,
        quota: None,
    };

    /// Limits that leave nothing: those of a key whose own cannot be read.
    #[must_use]
    pub fn nothing() -> Self {
        let (contacts, secrets) = (Some(Vec::new()), Some(Vec::new()));
        let (totp, actions) = (Some(Vec::new()), Some(Vec::new()));
        Self { contacts, secrets, totp, actions, ..Self::NONE }
    }

    /// These limits where their key acts as a child account. An id is of one account, and means the same anywhere; a
    /// label is what its own account calls an entry, and what a child calls so is another one.
    #[must_use]
    pub fn in_child(&self) -> Self {
        let mut limits = self.clone();
        if let Some(names) = &mut limits.totp {
            names.retain(|name| matches!(name, TotpName::Id(_)));
        }
        limits
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether uses are counted.
    #[must_use]
    pub const fn is_counted(&self) -> bool {
        self.rate.is_some() || self.quota.is_some()
    }

    /// Whether all that `other` allows is allowed by these limits too.
    #[must_use]
    pub fn cover(&self, other: &Self) -> bool {
        let at_most = |own: Option<u32>, other: Option<u32>| {
            own.is_none_or(|own| other.is_some_and(|other| other <= own))
        };
        self.reach(other) && at_most(self.rate, other.rate) && at_most(self.quota, other.quota)
    }

    /// Whether all that `other` reaches, however often, is reached by these limits too.
    #[must_use]
    pub fn reach(&self, other: &Self) -> bool {
        let has_host = |hosts: &[HostPattern], host: &_| hosts.iter().any(|own| own.covers(host));
        let has_path = |paths: &[PathPrefix], path: &_| paths.iter().any(|own| own.covers(path));
        within(self.contacts.as_deref(), other.contacts.as_deref(), <[_]>::contains)
            && within(self.secrets(), other.secrets(), <[_]>::contains)
            && within(self.totp(), other.totp(), <[_]>::contains)
            && within(self.actions.as_deref(), other.actions.as_deref(), <[_]>::contains)
            && within(self.hosts.as_deref(), other.hosts.as_deref(), has_host)
            && within(self.methods.as_deref(), other.methods.as_deref(), <[_]>::contains)
            && within(self.paths.as_deref(), other.paths.as_deref(), has_path)
    }

    /// The secrets that it reaches; `None` is all.
    #[must_use]
    pub fn secrets(&self) -> Option<&[SecretId]> {
        self.secrets.as_deref().or_else(|| self.totp.as_ref().map(|_| &[][..]))
    }

    /// The names of the one-time-password entries that it reaches; `None` is all.
    #[must_use]
    pub fn totp(&self) -> Option<&[TotpName]> {
        self.totp.as_deref().or_else(|| self.secrets.as_ref().map(|_| &[][..]))
    }

    /// Whether it reaches the contact.
    #[must_use]
    pub fn has_contact(&self, contact: &ContactId) -> bool {
        self.contacts.as_ref().is_none_or(|contacts| contacts.contains(contact))
    }

    /// Whether it lets requests go there.
    pub(super) fn has_destination(&self, to: &Destination) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|host| host.matches(to)))
            && self.methods.as_ref().is_none_or(|methods| methods.contains(&to.method()))
            && self.paths.as_ref().is_none_or(|paths| PathPrefix::any_holds(paths, to.path()))
    }

    /// Whether it says anything of where requests go.
    #[must_use]
    pub const fn has_destinations(&self) -> bool {
        self.hosts.is_some() || self.methods.is_some() || self.paths.is_some()
    }

    pub(super) fn has_secret(&self, secret: &SecretId) -> bool {
        self.secrets().is_none_or(|secrets| secrets.contains(secret))
    }

    pub(super) fn has_entry(&self, entry: &Entry<'_>) -> bool {
        let is_named = |names: &[TotpName]| names.iter().any(|name| name.is_of(entry));
        let is_of = |contacts: &Vec<ContactId>| {
            entry.contact.is_some_and(|contact| contacts.contains(contact))
        };
        self.totp().is_none_or(is_named) && self.contacts.as_ref().is_none_or(is_of)
    }

    /// Whether `action` is out of the question, whatever it is done to: it makes what no limit can name, or does
    /// something to what is beyond the limits along with what is within.
    pub(super) fn rule_out(&self, action: Action) -> bool {
        use Action as A;
        let has_contacts = self.contacts.is_some();
        let has_credentials = self.secrets.is_some() || self.totp.is_some();
        // A token that was handed out, or a config that sends it along, goes wherever its holder wants.
        let has_destinations = self.has_destinations();
        match action {
            // Each would be counted by itself: together they may be used more often.
            A::AccountCreate | A::KeyCreate if self.is_counted() => true,
            // What is defined holds for every contact.
            A::AccountCreate
            | A::AccountUpdate
            | A::AccountDelete
            | A::ContactExport
            | A::EventList
            | A::SecretCreate => has_contacts || has_credentials,
            A::ContactCreate | A::SecretDelete => has_contacts,
            // Everything that the contact has goes with it.
            A::ContactDelete | A::TotpCreate => has_credentials,
            A::SecretUpdate => has_contacts || has_destinations,
            A::ConnectionMint | A::SecretMint => has_destinations,
            _ => false,
        }
    }
}

/// Whether `other` names nothing that `own` does not. `None` is everything.
fn within<T>(own: Option<&[T]>, other: Option<&[T]>, has: impl Fn(&[T], &T) -> bool) -> bool {
    own.is_none_or(|own| other.is_some_and(|other| other.iter().all(|it| has(own, it))))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn contacts<const N: usize>(numbers: [u8; N]) -> Vec<ContactId> {
        numbers.map(|n| ContactId::from_bits([n; 16])).into()
    }

    fn secrets<const N: usize>(numbers: [u8; N]) -> Vec<SecretId> {
        numbers.map(|n| SecretId::from_bits([n; 16])).into()
    }

    fn hosts(texts: &[&str]) -> Vec<HostPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    pub(in super::super) fn totp(texts: &[&str]) -> Vec<TotpName> {
        texts.iter().map(|text| TotpName::parse(text)).collect()
    }

    fn paths(texts: &[&str]) -> Vec<PathPrefix> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    pub(in super::super) fn all() -> Limits {
        Limits {
            contacts: Some(contacts([1, 2])),
            secrets: Some(secrets([3])),
            totp: Some(totp(&["GitHub - \"ops\"", "0196c1a5-4ee5-7b7f-8b2e-3d8f1f0c1a2b"])),
            actions: Some(vec![Action::TotpCode, Action::ConnectionMint]),
            hosts: Some(hosts(&["api.example.com", "*.example.com:8443"])),
            methods: Some(vec![Method::Get, Method::Post]),
            paths: Some(paths(&["/v1/", "/v2/chat"])),
            rate: Some(60),
            quota: Some(1_000),
        }
    }

    /// Each change of one limit, and whether the changed limits are narrower.
    #[test]
    fn limits_cover_the_same_and_narrower_ones_and_no_others() {
        type Change = fn(&mut Limits);
        let changes: &[(Change, bool)] = &[
            (|_| {}, true),
            (|it| it.contacts = Some(contacts([2])), true),
            (|it| it.contacts = Some(contacts([2, 3])), false),
            (|it| it.contacts = None, false),
            (|it| it.secrets = Some(secrets([4])), false),
            (|it| it.secrets = None, true),
            (|it| it.totp = Some(totp(&["GitHub - \"ops\""])), true),
            (|it| it.totp = Some(totp(&["github - \"ops\""])), false),
            (|it| it.totp = None, true),
            (|it| (it.secrets, it.totp) = (None, None), false),
            (|it| it.actions = Some(vec![Action::TotpCode]), true),
            (|it| it.actions = Some(vec![Action::TotpCode, Action::TotpList]), false),
            (|it| it.actions = None, false),
            (|it| it.hosts = Some(hosts(&["a.b.example.com:8443"])), true),
            (|it| it.hosts = Some(hosts(&["example.com:8443"])), false),
            (|it| it.hosts = Some(hosts(&["b.example.com"])), false),
            (|it| it.hosts = None, false),
            (|it| it.methods = Some(vec![Method::Post]), true),
            (|it| it.methods = Some(vec![Method::Delete]), false),
            (|it| it.methods = None, false),
            (|it| it.paths = Some(paths(&["/v1/models", "/v2/chat/x"])), true),
            (|it| it.paths = Some(paths(&["/v1"])), false),
            (|it| it.paths = Some(paths(&["/v2/chats"])), false),
            (|it| it.paths = Some(paths(&["/"])), false),
            (|it| it.paths = None, false),
            (|it| it.rate = Some(59), true),
            (|it| it.rate = Some(61), false),
            (|it| it.rate = None, false),
            (|it| it.quota = Some(999), true),
            (|it| it.quota = Some(1_001), false),
            (|it| it.quota = None, false),
        ];
        for (number, (change, is_narrower)) in changes.iter().enumerate() {
            let mut other = all();
            change(&mut other);
            assert_eq!(all().cover(&other), *is_narrower, "{number}");
            assert!(Limits::NONE.cover(&other));
        }
        assert!(!all().cover(&Limits::NONE));
        assert!(Limits::NONE.cover(&Limits::NONE));
    }

    #[test]
    fn a_key_for_secrets_covers_none_that_also_reads_codes() {
        let only_secrets = Limits { secrets: Some(secrets([3])), ..Limits::NONE };
        let both = Limits { totp: Some(totp(&["x"])), ..only_secrets.clone() };
        assert!(!only_secrets.cover(&both));
        assert!(both.cover(&only_secrets));
    }

    #[test]
    fn a_label_names_nothing_in_a_child_and_an_id_what_it_names_anywhere() {
        let child = all().in_child();
        assert_eq!(child.totp, Some(totp(&["0196c1a5-4ee5-7b7f-8b2e-3d8f1f0c1a2b"])));
        assert_eq!(Limits { totp: all().totp, ..child }, all());
        let labels = Limits { totp: Some(totp(&["GitHub"])), ..Limits::NONE };
        assert_eq!(labels.in_child().totp(), Some(&[][..]), "it reaches no entry at all");
        assert_eq!(Limits::NONE.in_child(), Limits::NONE);
    }

    #[test]
    fn how_often_is_no_matter_of_what_is_reached() {
        let slow = Limits { rate: Some(1), quota: Some(1), ..Limits::NONE };
        assert!(slow.reach(&Limits::NONE) && !slow.cover(&Limits::NONE));
    }
}
