//! What a new key is limited to, on the command line.

use keyfob_api::key::Limits;

/// Added to the help of `keyfob key create`.
pub(crate) const EXAMPLES: &str = "\
Limits only take away, and what a key does not reach is not there for it (404). A key may have several,
and all of them hold. --secret and --totp together name the credentials that it reaches: with one of
them alone the other kind is closed. --contact closes what belongs to no contact.

  One code, and nothing else:
      keyfob key create --role agent --totp \"GitHub - agent@example.com\"
  What one contact has connected, to read at one API, 60 times a minute:
      keyfob key create --role agent --contact con_… --host api.github.com --method GET --rate 60
  Tokens of one secret, for a program that cannot use the proxy:
      keyfob key create --role agent --secret sec_… --action verify --action mint";

#[derive(clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Only this contact, what it has connected, and its one-time-password entries; may be repeated
    #[arg(long = "contact", value_name = "ID")]
    contacts: Vec<String>,
    /// Only this secret, and what contacts have connected it with; may be repeated
    #[arg(long = "secret", value_name = "ID")]
    secrets: Vec<String>,
    /// Only this one-time-password entry, by its id, or all with this label; may be repeated
    #[arg(long = "totp", value_name = "ID|LABEL")]
    totp: Vec<String>,
    /// Only this action, named as in events: `connection.verify`, all of a noun (`totp`) or all of a verb (`verify`);
    /// `mint` lets an agent have tokens themselves; may be repeated
    #[arg(long = "action", value_name = "NAME")]
    actions: Vec<String>,
    /// Requests only to this host: `api.example.com`, or `*.example.com` for all below one, with `:PORT` where that
    /// is not 443; may be repeated
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// Requests only with this method, such as GET; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    methods: Vec<String>,
    /// Requests only to paths that begin so: `/v1/` is all below it, `/v1/chat` that one and all below it; may be
    /// repeated
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// So many uses in any minute, on all nodes together
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// So many uses on a day (UTC), on all nodes together
    #[arg(long, value_name = "N")]
    quota: Option<u32>,
}

impl LimitArgs {
    pub(crate) fn limits(self) -> Limits {
        let given = |names: Vec<String>| Some(names).filter(|names| !names.is_empty());
        Limits {
            contacts: given(self.contacts),
            secrets: given(self.secrets),
            totp: given(self.totp),
            actions: given(self.actions),
            hosts: given(self.hosts),
            methods: given(self.methods),
            paths: given(self.paths),
            rate: self.rate,
            quota: self.quota,
        }
    }
}

/// Which limits a key has, in a word each; `-` if none.
pub(crate) fn in_words(limits: &Limits) -> String {
    let count = |of: &Option<Vec<String>>, name: &str| {
        of.as_ref().map(|names| format!("{} {name}", names.len()))
    };
    let words = [
        count(&limits.contacts, "contacts"),
        count(&limits.secrets, "secrets"),
        count(&limits.totp, "totp"),
        count(&limits.actions, "actions"),
        count(&limits.hosts, "hosts"),
        count(&limits.methods, "methods"),
        count(&limits.paths, "paths"),
        limits.rate.map(|rate| format!("{rate}/min")),
        limits.quota.map(|quota| format!("{quota}/day")),
    ];
    let words: Vec<_> = words.into_iter().flatten().collect();
    if words.is_empty() { "-".into() } else { words.join(", ") }
}
