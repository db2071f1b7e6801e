//! Which requests a credential may be used for.

use http::HeaderName;
use thiserror::Error;

use super::{Destination, HostPattern, Method, PathPrefix, path::is_ambiguous};

/// So many hosts or paths are told; of more it is said that there are some.
const MOST_TOLD: usize = 8;

/// Where a credential may be sent: each part has to be met. No hosts are nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The hosts.
    pub hosts: Vec<HostPattern>,
    /// The methods; all if it is `None`, none if it is empty.
    pub methods: Option<Vec<Method>>,
    /// The beginnings of paths; all if it is `None`, none if it is empty.
    pub paths: Option<Vec<PathPrefix>>,
}

/// Which rule a request does not meet, and how to mend it. Repeats the host of the URL and nothing else of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Outside {
    /// The secret says no host.
    #[error(
        "the secret may not be sent to any host: list those that it is for in its \"config.hosts\""
    )]
    Nowhere,
    /// The host, or the port, is none of those.
    #[error(
        "the secret may not be sent to {host}: it is for {hosts}; another host has to be listed in its \"config.hosts\""
    )]
    Host {
        /// The host, and the port where it is not the scheme's own.
        host: String,
        /// Those that it is for.
        hosts: String,
    },
    /// The method is none of those.
    #[error(
        "the secret may not be used with {}: its \"config.methods\" has {methods}",
        .method.as_str()
    )]
    Method {
        /// The method.
        method: Method,
        /// Those that it is for.
        methods: String,
    },
    /// The path begins otherwise.
    #[error("the secret may not be sent to this path: its \"config.paths\" has {paths}")]
    Path {
        /// The beginnings that it is for.
        paths: String,
    },
    /// The path could mean another one.
    #[error(
        "the secret may be sent to some paths only, and servers disagree about which one this is: send a path without encoded slashes, backslashes, control characters, what is like them in other scripts, %u escapes, and segments that are dots or begin with two, each written once"
    )]
    AmbiguousPath,
    /// A header names another object.
    #[error(
        "requests may go to some paths only, as the \"paths\" of the secret or of the key say, and the header {header} names another object, whose path is not looked at: leave it out, or use a secret and a key without \"paths\""
    )]
    OtherObject {
        /// The header.
        header: HeaderName,
    },
}

impl Outside {
    /// The stable name of this error for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Nowhere | Self::Host { .. } => "host_not_allowed",
            Self::Method { .. } => "method_not_allowed",
            Self::Path { .. } | Self::AmbiguousPath | Self::OtherObject { .. } => {
                "path_not_allowed"
            }
        }
    }
}

impl Rules {
    /// Whether the credential may be sent there.
    pub fn allow(&self, to: &Destination) -> Result<(), Outside> {
        self.allow_host(to)?;
        if let Some(methods) = &self.methods
            && !methods.contains(&to.method())
        {
            let methods = told(methods.iter().map(|method| method.as_str()));
            return Err(Outside::Method { method: to.method(), methods });
        }
        let Some(paths) = &self.paths else { return Ok(()) };
        names_no_other(Some(paths), to)?;
        if PathPrefix::any_holds(paths, to.path()) {
            return Ok(());
        }
        if is_ambiguous(to.path()) {
            return Err(Outside::AmbiguousPath);
        }
        Err(Outside::Path { paths: told(paths) })
    }

    fn allow_host(&self, to: &Destination) -> Result<(), Outside> {
        if self.hosts.is_empty() {
            return Err(Outside::Nowhere);
        }
        if self.hosts.iter().any(|host| host.matches(to)) {
            return Ok(());
        }
        let port = if to.has_default_port() { String::new() } else { format!(":{}", to.port()) };
        Err(Outside::Host { host: format!("{}{port}", to.host()), hosts: told(&self.hosts) })
    }
}

/// That no header of a request names another object, where `paths` leave some out.
pub(crate) fn names_no_other(
    paths: Option<&[PathPrefix]>,
    to: &Destination,
) -> Result<(), Outside> {
    match to.other() {
        Some(header) if PathPrefix::leave_some_out(paths) => {
            Err(Outside::OtherObject { header: header.clone() })
        }
        _ => Ok(()),
    }
}

/// The first of a list, in words.
fn told(all: impl IntoIterator<Item = impl ToString>) -> String {
    let mut all = all.into_iter();
    let first: Vec<_> = all.by_ref().take(MOST_TOLD).map(|one| one.to_string()).collect();
    match all.count() {
        0 if first.is_empty() => "none".to_owned(),
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(hosts: &[&str], methods: Option<&[Method]>, paths: Option<&[&str]>) -> Rules {
        Rules {
            hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            methods: methods.map(<[Method]>::to_vec),
            paths: paths.map(|paths| paths.iter().map(|path| path.parse().unwrap()).collect()),
        }
    }

    fn code(rules: &Rules, url: &str, method: Method) -> Option<&'static str> {
        let to = Destination::parse(url, method).unwrap();
        rules.allow(&to).err().map(|outside| outside.code())
    }

    #[test]
    fn each_rule_has_to_be_met() {
        use Method::{Delete, Get, Post};
        let open = rules(&["*.example.com", "example.com:8443"], None, None);
        let narrow = rules(&["a.b"], Some(&[Get, Post]), Some(&["/v1/chat", "/v2/"]));
        let nothing = rules(&["a.b"], Some(&[]), None);
        let no_path = rules(&["a.b"], None, Some(&[]));
        let every_path = rules(&["a.b"], None, Some(&["/"]));
        let host = Some("host_not_allowed");
        let method = Some("method_not_allowed");
        let path = Some("path_not_allowed");
        for (rules, url, with, expected) in [
            (&Rules::default(), "https://example.com/", Get, host),
            (&open, "https://api.example.com/x%2fy", Delete, None),
            (&open, "https://example.com:8443/", Get, None),
            (&open, "https://example.com/", Get, host),
            (&open, "https://evil.example/?https://api.example.com/", Get, host),
            (&narrow, "https://a.b/v1/chat", Get, None),
            (&narrow, "https://a.b/v2/x?y=/../..", Post, None),
            (&narrow, "https://a.b/v1/chat", Delete, method),
            (&narrow, "https://a.b/v1/chats", Get, path),
            (&narrow, "https://a.b/v2/../v3/", Get, path),
            (&narrow, "https://a.b/v2/%2e%2e/v3/", Get, path),
            (&narrow, "https://a.b/v2/..%2fv3", Get, path),
            (&narrow, "https://a.b/v2/..;/v3", Get, path),
            (&narrow, "https://a.b/v2/%252e%252e/v3", Get, path),
            (&narrow, "https://evil.example/v1/chat", Get, host),
            (&nothing, "https://a.b/", Get, method),
            (&no_path, "https://a.b/", Get, path),
            (&every_path, "https://a.b/x%2f..%2fy", Get, None),
        ] {
            assert_eq!(code(rules, url, with), expected, "{url}");
        }
    }

    #[test]
    fn an_error_says_which_rule_and_what_to_do_and_tells_no_query() {
        let said = |rules: &Rules, url: &str| {
            let to = Destination::parse(url, Method::Delete).unwrap();
            rules.allow(&to).unwrap_err().to_string()
        };
        let narrow = rules(&["a.b", "*.c.d"], Some(&[Method::Get]), None);
        assert_eq!(
            said(&narrow, "https://evil.example:8443/hidden?hidden"),
            "the secret may not be sent to evil.example:8443: it is for a.b, *.c.d; another host has to be listed in its \"config.hosts\""
        );
        assert_eq!(
            said(&narrow, "https://a.b/hidden?hidden"),
            "the secret may not be used with DELETE: its \"config.methods\" has GET"
        );
        let paths = rules(&["a.b"], None, Some(&["/v1/"]));
        assert_eq!(
            said(&paths, "https://a.b/hidden?hidden"),
            "the secret may not be sent to this path: its \"config.paths\" has /v1/"
        );
        assert!(said(&paths, "https://a.b/v1/%2fhidden").contains("servers disagree"));
        let hosts: Vec<_> = (0..10).map(|n| format!("h{n}.example")).collect();
        let hosts: Vec<_> = hosts.iter().map(String::as_str).collect();
        assert!(said(&rules(&hosts, None, None), "https://a.b/").contains("h7.example and 2 more"));
    }

    proptest! {
        #[test]
        fn what_is_allowed_goes_to_the_host_and_below_the_path_that_are_named(
            before in "[a-z.@:%]{0,8}", after in "[a-z.:@%]{0,8}", path in "[/.;%25ef2cv1a]{0,16}",
        ) {
            let rules = rules(&["a.example"], None, Some(&["/v1/"]));
            let text = format!("https://{before}a.example{after}/v1/{path}");
            if let Ok(to) = Destination::parse(&text, Method::Get) && rules.allow(&to).is_ok() {
                prop_assert_eq!(to.host(), "a.example");
                prop_assert_eq!(to.uri().host(), Some("a.example"));
                prop_assert_eq!(to.port(), 443);
                let decoded = percent_encoding::percent_decode_str(to.path()).decode_utf8().unwrap();
                prop_assert!(decoded.starts_with("/v1/") && !decoded.split('/').any(|part| part == ".."));
            }
        }
    }
}
