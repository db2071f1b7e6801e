//! Where a config lets its credential go, and where in a request (contract/contacts-and-secrets, section 11,
//! "proxy"). What is stored is read by the same functions as what is used.

use keyfob_core::{
    proxy::{
        HostPattern, Injection, InvalidHostPattern, InvalidPath, Method, PathPrefix, Rules, SigV4,
    },
    secret::SecretType,
};
use serde_json::Value;

use super::Config;
use crate::error::Error;

/// The lists that say where a credential may go.
pub(in crate::broker) const LISTS: [&str; 3] = ["hosts", "methods", "paths"];

impl Config {
    /// Where the credential may be sent.
    pub(in crate::broker) fn rules(&self) -> Result<Rules, Error> {
        Ok(Rules {
            hosts: self.list("hosts", hosts)?.unwrap_or_default(),
            methods: self.list("methods", methods)?,
            paths: self.list("paths", paths)?,
        })
    }

    /// Whether it lets the credential be sent at all.
    pub(in crate::broker) fn goes_anywhere(&self) -> bool {
        self.rules().is_ok_and(|rules| !rules.hosts.is_empty())
    }

    /// Where in a request the credential goes, for a secret whose value is of this type.
    pub(in crate::broker) fn injection(&self, secret_type: SecretType) -> Result<Injection, Error> {
        let is_pair = secret_type == SecretType::Basic;
        let inject = self.value("inject").filter(|value| !value.is_null());
        if is_pair && self.text("signing").is_some() {
            return match inject {
                Some(_) => Err(wrong("inject", "goes with no \"config.signing\"")),
                None => self.signature().map(Injection::SigV4),
            };
        }
        let Some(inject) = inject else { return Ok(Injection::Authorization) };
        let injection = injection(inject).map_err(|what| wrong("inject", &what))?;
        match injection {
            Injection::Header { .. } => Ok(injection),
            _ if is_pair => Err(wrong("inject", "must name a header: the type is basic")),
            injection => Ok(injection),
        }
    }

    fn signature(&self) -> Result<SigV4, Error> {
        let name = |name: &str| self.text(name).ok_or_else(|| wrong(name, SCOPE));
        let (region, service) = (name("region")?, name("service")?);
        SigV4::new(region, service).ok_or_else(|| {
            let is_right = SigV4::new(region, "s3").is_some();
            wrong(if is_right { "service" } else { "region" }, SCOPE)
        })
    }

    /// What it says of where the credential may go, and nothing else.
    pub(in crate::broker) fn limits(&self) -> Self {
        let limit = |name: &str| Some((name.to_owned(), self.value(name)?.clone()));
        Self::new(LISTS.into_iter().filter_map(limit).collect())
    }

    /// The config with no more hosts, methods and paths than `by` has too, as far as it says any. What cannot be
    /// read allows nothing, and hosts that there are not are none.
    pub(in crate::broker) fn within(mut self, by: &Self) -> Self {
        for name in LISTS {
            let Some(wanted) = by.value(name).filter(|value| !value.is_null()) else { continue };
            let narrowed = match self.value(name).filter(|value| !value.is_null()) {
                Some(all) => in_both(name, all, wanted),
                None if name == "hosts" => continue,
                None => wanted.clone(),
            };
            self.set(name, narrowed);
        }
        self
    }

    fn list<T>(
        &self,
        name: &str,
        read: fn(&Value) -> Result<Vec<T>, String>,
    ) -> Result<Option<Vec<T>>, Error> {
        let value = self.value(name).filter(|value| !value.is_null());
        value.map(|value| read(value).map_err(|what| wrong(name, &what))).transpose()
    }
}

const SCOPE: &str = "must be, for \"config.signing\", what AWS calls it: small letters, digits and hyphens, such as us-east-1 and s3";

fn wrong(name: &str, what: &str) -> Error {
    Error::invalid("bad_request", format!("\"config.{name}\" {what}"))
}

/// What a value of `hosts` says. An error says what it must be, as all errors here do.
pub(in crate::broker) fn hosts(value: &Value) -> Result<Vec<HostPattern>, String> {
    read(value).ok_or_else(|| format!("must be a list of which each {InvalidHostPattern}"))
}

/// What a value of `methods` says.
pub(in crate::broker) fn methods(value: &Value) -> Result<Vec<Method>, String> {
    let read = value.as_array().and_then(|list| {
        let method = |item: &Value| item.as_str().and_then(Method::parse);
        list.iter().map(method).collect()
    });
    read.ok_or_else(|| {
        let all = Method::ALL.map(Method::as_str).join(", ");
        format!("must be a list of methods, each one of [{all}]")
    })
}

/// What a value of `paths` says.
pub(in crate::broker) fn paths(value: &Value) -> Result<Vec<PathPrefix>, String> {
    read(value).ok_or_else(|| format!("must be a list of which each {InvalidPath}"))
}

/// What a value of `inject` says.
pub(in crate::broker) fn injection(value: &Value) -> Result<Injection, String> {
    Injection::try_from(value).map_err(|error| error.to_string())
}

fn read<T: std::str::FromStr>(value: &Value) -> Option<Vec<T>> {
    let item = |item: &Value| item.as_str()?.parse().ok();
    value.as_array()?.iter().map(item).collect()
}

/// Whether all that fits the second text fits the first, as texts in a list of this name.
pub(in crate::broker) fn covers(name: &str, all: &str, one: &str) -> bool {
    match name {
        "hosts" => both(all, one, HostPattern::covers),
        "paths" => both(all, one, PathPrefix::covers),
        _ => all == one,
    }
}

fn both<T: std::str::FromStr>(all: &str, one: &str, covers: fn(&T, &T) -> bool) -> bool {
    let both = (all.parse::<T>(), one.parse::<T>());
    matches!(both, (Ok(all), Ok(one)) if covers(&all, &one))
}

/// What is in both lists: each that the other one covers.
fn in_both(name: &str, first: &Value, second: &Value) -> Value {
    let texts = |value: &Value| -> Vec<String> {
        let list = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        list.map(str::to_owned).collect()
    };
    let (first, second) = (texts(first), texts(second));
    let is_covered = |one: &String, all: &[String]| all.iter().any(|all| covers(name, all, one));
    let of_second = second.iter().filter(|one| is_covered(one, &first));
    let mut kept: Vec<_> = of_second.cloned().collect();
    let of_first = first.iter().filter(|one| is_covered(one, &second) && !kept.contains(one));
    let of_first: Vec<_> = of_first.cloned().collect();
    kept.extend(of_first);
    kept.into()
}

#[cfg(test)]
mod tests {
    use keyfob_core::proxy::Destination;
    use serde_json::json;

    use super::{
        super::tests::{config, value},
        *,
    };

    fn allows(config: &Config, url: &str, method: Method) -> bool {
        let to = Destination::parse(url, method).unwrap();
        config.rules().unwrap().allow(&to).is_ok()
    }

    #[test]
    fn a_config_says_where_its_credential_may_go_and_without_hosts_that_is_nowhere() {
        use Method::{Delete, Get};
        let open = config(json!({"hosts": ["API.example.com", "*.example.org:8443"]}));
        assert!(allows(&open, "https://api.example.com/x", Delete));
        assert!(allows(&open, "https://a.b.example.org:8443/", Get));
        assert!(!allows(&open, "https://a.b.example.org/", Get));
        let narrow = config(json!({"hosts": ["a.b"], "methods": ["GET"], "paths": ["/v1/"]}));
        assert!(allows(&narrow, "https://a.b/v1/x", Get));
        assert!(!allows(&narrow, "https://a.b/v2", Get));
        assert!(!allows(&narrow, "https://a.b/v1/x", Delete));
        for nowhere in [json!({}), json!({"hosts": null}), json!({"hosts": []})] {
            assert!(!allows(&config(nowhere), "https://a.b/", Get));
        }
    }

    #[test]
    fn a_config_says_where_in_a_request_its_credential_goes() {
        use SecretType as T;
        let aws = SigV4::new("eu-west-1", "s3").unwrap();
        for (secret_type, said, expected) in [
            (T::Plain, json!({}), Injection::Authorization),
            (T::OAuth, json!({"inject": null}), Injection::Authorization),
            (T::Bearer, json!({"inject": {"basic": "username"}}), Injection::BasicUsername),
            (T::Plain, json!({"inject": {"query": "key"}}), {
                Injection::Query { name: "key".into() }
            }),
            (
                T::Basic,
                json!({"signing": "sigv4", "region": "eu-west-1", "service": "s3"}),
                Injection::SigV4(aws),
            ),
            (T::Plain, json!({"signing": "anything", "region": 1}), Injection::Authorization),
        ] {
            assert_eq!(config(said).injection(secret_type).unwrap(), expected);
        }
        let basic = json!({"inject": {"header": "X-Auth"}});
        assert!(config(basic).injection(T::Basic).is_ok());
    }

    #[test]
    fn what_does_not_go_together_is_said() {
        let signing = |region: &str, service: &str| json!({"signing": "sigv4", "region": region, "service": service});
        let mut both = signing("us-east-1", "s3");
        both["inject"] = json!({"header": "X-Auth"});
        for (value, key) in [
            (json!({"inject": {"query": "key"}}), "inject"),
            (json!({"inject": {"basic": "username"}}), "inject"),
            (json!({"inject": {"header": "Host"}}), "inject"),
            (both, "inject"),
            (json!({"signing": "sigv4", "service": "s3"}), "region"),
            (json!({"signing": "sigv4", "region": "us-east-1"}), "service"),
            (signing("US-East-1", "s3"), "region"),
            (signing("us-east-1", "S3"), "service"),
        ] {
            let error = config(value).injection(SecretType::Basic).unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"config.{key}\" ")), "{error}");
        }
    }

    #[test]
    fn what_is_within_another_config_allows_what_both_do() {
        let hosts = |hosts: Value| json!({"hosts": hosts});
        for (all, by, expected) in [
            (json!({}), hosts(json!(["a.b"])), json!({})),
            (hosts(json!(["a.b"])), json!({}), hosts(json!(["a.b"]))),
            (hosts(json!(["a.b"])), hosts(json!(null)), hosts(json!(["a.b"]))),
            (hosts(json!(["a.b"])), hosts(json!([])), hosts(json!([]))),
            (hosts(json!(["a.b", "c.d"])), hosts(json!(["c.d", "e.f"])), hosts(json!(["c.d"]))),
            (hosts(json!(["*.a.b"])), hosts(json!(["x.a.b", "a.b"])), hosts(json!(["x.a.b"]))),
            (hosts(json!(["x.a.b"])), hosts(json!(["*.a.b"])), hosts(json!(["x.a.b"]))),
            (hosts(json!(["a.b"])), hosts(json!("a.b")), hosts(json!([]))),
            (json!({}), json!({"methods": ["GET"]}), json!({"methods": ["GET"]})),
            (
                json!({"methods": ["GET", "POST"], "paths": ["/v1/"]}),
                json!({"methods": ["POST", "PUT"], "paths": ["/", "/v1/x", "/v2"]}),
                json!({"methods": ["POST"], "paths": ["/v1/x", "/v1/"]}),
            ),
        ] {
            let narrowed = config(all).within(&config(by));
            assert_eq!(value(&narrowed), expected);
        }
    }
}
