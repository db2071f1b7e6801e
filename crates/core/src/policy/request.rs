//! Whether a request may go where it is to go: as the caller's key and the secret itself say.

use super::{Denial, Grant};
use crate::proxy::{Destination, Outside, Rules, names_no_other};

/// Why a request is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestDenial {
    /// The caller's key does not reach there: for it, there is no such place.
    #[error(transparent)]
    Limited(#[from] Denial),
    /// The secret itself is not for that destination, or it cannot be known whether the key is.
    #[error(transparent)]
    Outside(#[from] Outside),
}

/// Decides whether a credential whose secret has these rules may be sent to `to` for `grant`: both have to allow
/// the host, the method and the path.
pub fn decide_request(grant: &Grant, rules: &Rules, to: &Destination) -> Result<(), RequestDenial> {
    if !grant.limits().has_destination(to) {
        return Err(Denial::Hidden.into());
    }
    names_no_other(grant.limits().paths.as_deref(), to)?;
    Ok(rules.allow(to)?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        id::AccountId,
        policy::{Limits, Role},
        proxy::Method,
    };

    /// `x-amz-copy-source: /private/key` puts what no path of the rules reaches below one that they name.
    #[test]
    fn no_header_names_another_object_where_paths_are_limited() {
        let paths = |path: &str| Some(vec![path.parse().unwrap()]);
        let hosts = vec!["a.b".parse().unwrap()];
        for (of_key, of_secret, is_sent) in [
            (None, None, true),
            (paths("/"), paths("/"), true),
            (paths("/pub/"), None, false),
            (None, paths("/pub/"), false),
            (Some(Vec::new()), None, false),
        ] {
            let limits = Limits { paths: of_key, ..Limits::NONE };
            let grant = Grant::new(AccountId::from_bits([1; 16]), Role::Agent);
            let grant = grant.limited(Arc::new(limits));
            let rules = Rules { hosts: hosts.clone(), methods: None, paths: of_secret };
            let to = Destination::parse("https://a.b/pub/x", Method::Put).unwrap();
            let mut headers = http::HeaderMap::new();
            headers.insert("x-amz-copy-source", "/private/key".parse().unwrap());
            let decided = decide_request(&grant, &rules, &to.with(&headers));
            assert_eq!(decided.is_ok(), is_sent, "{grant:?} {rules:?}");
        }
    }

    /// What becomes of a request, for each limit of a key and each rule of a secret.
    #[test]
    fn key_and_secret_both_have_to_allow_where_a_request_goes() {
        let hosts = |hosts: &[&str]| hosts.iter().map(|it| it.parse().unwrap()).collect::<Vec<_>>();
        let open = Rules { hosts: hosts(&["*.example.com"]), methods: None, paths: None };
        let narrow = Rules {
            methods: Some(vec![Method::Get]),
            paths: Some(vec!["/v1/".parse().unwrap()]),
            ..open.clone()
        };
        let to_host = |host: &str| Limits { hosts: Some(hosts(&[host])), ..Limits::NONE };
        let below =
            |path: &str| Limits { paths: Some(vec![path.parse().unwrap()]), ..Limits::NONE };
        let reading = Limits { methods: Some(vec![Method::Get]), ..Limits::NONE };
        let (api, other) = ("https://api.example.com/v1/x", "https://other.test/v1/x");
        for (limits, rules, url, method, expected) in [
            (Limits::NONE, &open, api, Method::Post, "sent"),
            (Limits::NONE, &Rules::default(), api, Method::Get, "outside"),
            (Limits::NONE, &open, other, Method::Get, "outside"),
            (Limits::NONE, &narrow, api, Method::Post, "outside"),
            (Limits::NONE, &narrow, "https://api.example.com/v2", Method::Get, "outside"),
            (to_host("api.example.com"), &open, api, Method::Post, "sent"),
            (to_host("*.example.com"), &open, api, Method::Post, "sent"),
            (to_host("example.com"), &open, api, Method::Post, "hidden"),
            (to_host("api.example.com:8443"), &open, api, Method::Post, "hidden"),
            // A key reaches no further than the secret.
            (to_host("other.test"), &open, other, Method::Get, "outside"),
            // What a key does not reach is not there, whatever the secret says.
            (to_host("other.test"), &Rules::default(), api, Method::Get, "hidden"),
            (reading.clone(), &open, api, Method::Get, "sent"),
            (reading.clone(), &open, api, Method::Head, "hidden"),
            (reading, &open, api, Method::Post, "hidden"),
            (below("/v1/"), &open, api, Method::Post, "sent"),
            (below("/v1/x"), &narrow, api, Method::Get, "sent"),
            (below("/v1/y"), &narrow, api, Method::Get, "hidden"),
            (below("/v1/"), &open, "https://api.example.com/v1", Method::Post, "hidden"),
            (below("/v1/"), &open, "https://api.example.com/v1/..%2fx", Method::Post, "hidden"),
            (below("/"), &open, "https://api.example.com/v1/..%2fx", Method::Post, "sent"),
            (below("/v2"), &narrow, "https://api.example.com/v2", Method::Get, "outside"),
        ] {
            let grant = Grant::new(AccountId::from_bits([1; 16]), Role::Agent);
            let grant = grant.limited(Arc::new(limits.clone()));
            let to = Destination::parse(url, method).unwrap();
            let decided = match decide_request(&grant, rules, &to) {
                Ok(()) => "sent",
                Err(RequestDenial::Limited(Denial::Hidden)) => "hidden",
                Err(RequestDenial::Outside(_)) => "outside",
                Err(other) => panic!("{other:?}"),
            };
            assert_eq!(decided, expected, "{limits:?} {rules:?} {url} {method:?}");
        }
    }
}
