//! Templates: what a secret of type `template` comes to, and what it may say
//! (contract/contacts-and-secrets, sections 3.3 and 9, W3).

use std::collections::BTreeMap;

use keyfob_core::secret::SecretType;
use serde_json::{Map, Value};

use super::{
    Config,
    config::{LISTS, covers, short},
    placeholder::refused,
};
use crate::{
    catalogue::{self, Template},
    error::Error,
};

/// What a template may be meant by is at least so like what was said.
const ALIKE: f64 = 0.85;
/// So many of them are told.
const MOST_ALIKE: usize = 3;

/// What a template's parameters are filled with, by name.
type Filling<'a> = BTreeMap<&'a str, &'a str>;

/// The type and the config that a secret of type `template` comes to. The template says where anything is
/// sent; the secret who its client is, what it asks for, and, within the template's, where the
/// credential may go.
pub(super) fn resolve(config: &Config) -> Result<(SecretType, Config), Error> {
    let name = config.text("template").unwrap_or_default();
    let template = catalogue::find(name).ok_or_else(|| unknown(name))?;
    let filling = filling(template, config)?;
    let filled = template.config.iter().map(|(key, value)| (key.clone(), fill(value, &filling)));
    let resolved = Config::new(filled.collect()).narrowed_by(config)?.overridden_by(config);
    resolved.check(template.secret_type)?;
    Ok((template.secret_type, resolved))
}

/// A secret that was right when it was stored, and is not any more.
pub(super) fn broken(error: &Error) -> Error {
    let message = format!("the template cannot be used: {error}: change the secret's config");
    Error::Conflict { code: "template_broken", message: message.into() }
}

fn unknown(name: &str) -> Error {
    let alike = alike(name);
    let hint = if alike.is_empty() { "" } else { "; like it are " };
    let text = "\"config.template\" is no template of the catalogue";
    Error::invalid("bad_request", format!("{text}{hint}{}", alike.join(", ")))
}

/// Names that what was said may have meant, the likeliest first.
fn alike(name: &str) -> Vec<&'static str> {
    let name = short(name).to_ascii_lowercase();
    let likeness = |known: &'static str| {
        let begins = !name.is_empty() && known.starts_with(&name);
        (if begins { 1.0 } else { strsim::jaro_winkler(known, &name) }, known)
    };
    let known = catalogue::all().iter().map(|template| likeness(&template.name));
    let mut alike: Vec<_> = known.filter(|(likeness, _)| *likeness >= ALIKE).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.into_iter().take(MOST_ALIKE).map(|(_, known)| known).collect()
}

/// What each parameter is filled with: what the secret says, or else its default.
fn filling<'a>(template: &'a Template, config: &'a Config) -> Result<Filling<'a>, Error> {
    let nothing = Map::new();
    let said = config.object("parameters").unwrap_or(&nothing);
    if let Some(name) = said.keys().find(|name| !template.parameters.contains_key(*name)) {
        return Err(refused(&short(name), &no_parameter(template)));
    }
    let said = config.object("parameters");
    let filled = template.parameters.iter().map(|(name, parameter)| {
        let value = said.and_then(|said| said.get(name));
        Ok((name.as_str(), parameter.filled(name, value)?))
    });
    filled.collect()
}

fn no_parameter(Template { name, parameters, .. }: &Template) -> String {
    if parameters.is_empty() {
        return format!("is no parameter: the template {name} has none");
    }
    let names: Vec<_> = parameters.keys().map(String::as_str).collect();
    format!("is no parameter: the template {name} has {}", names.join(", "))
}

/// A value with its placeholders filled.
fn fill(value: &Value, filling: &Filling<'_>) -> Value {
    match value {
        Value::String(text) => {
            let fill = |text: String, (name, value): (&&str, &&str)| {
                text.replace(&format!("(({name}))"), value)
            };
            filling.iter().fold(text.clone(), fill).into()
        }
        Value::Array(list) => list.iter().map(|value| fill(value, filling)).collect(),
        other => other.clone(),
    }
}

impl Config {
    /// The config with those of its hosts, methods and paths only that `by` names, which may name no other.
    fn narrowed_by(mut self, by: &Self) -> Result<Self, Error> {
        for name in LISTS {
            let Some(Value::Array(wanted)) = by.value(name) else { continue };
            if let Some(Value::Array(all)) = self.value(name) {
                let all: Vec<_> = all.iter().filter_map(Value::as_str).collect();
                let is_covered = |wanted: &str| all.iter().any(|all| covers(name, all, wanted));
                if !wanted.iter().filter_map(Value::as_str).all(is_covered) {
                    let text = format!(
                        "\"config.{name}\" may only narrow what the template has: {}",
                        all.join(", ")
                    );
                    return Err(Error::invalid("bad_request", text));
                }
            }
            self.set(name, Value::Array(wanted.clone()));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalogue::Pattern;

    fn config(value: Value) -> Config {
        match value {
            Value::Object(map) => Config::new(map),
            other => panic!("{other} is no object"),
        }
    }

    fn said(value: Value) -> String {
        resolve(&config(value)).unwrap_err().to_string()
    }

    /// Every text in a template's config, with the key that it is under.
    fn texts(template: &Template) -> Vec<(&str, &str)> {
        let mut all = Vec::new();
        for (key, value) in &template.config {
            let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            all.extend(list.iter().filter_map(Value::as_str).map(|text| (key.as_str(), text)));
        }
        all
    }

    fn sample(pattern: Pattern) -> &'static str {
        match pattern {
            Pattern::Label => "acme-1",
            Pattern::Labels => "acme.my",
            Pattern::Domain => "login.example.com",
            Pattern::Word => "contoso.onmicrosoft.com",
        }
    }

    #[test]
    fn every_template_comes_to_a_config_of_its_type_also_with_a_client() {
        for template in catalogue::all() {
            let parameters: Map<_, _> = template
                .parameters
                .iter()
                .map(|(name, parameter)| (name.clone(), sample(parameter.pattern).into()))
                .collect();
            let mut secret = json!({"template": template.name, "parameters": parameters});
            let (secret_type, resolved) = resolve(&config(secret.clone())).unwrap();
            assert_eq!(secret_type, template.secret_type, "{}", template.name);
            assert!(
                resolved.texts("hosts").is_some_and(|hosts| !hosts.is_empty()),
                "{}",
                template.name
            );
            assert!(!format!("{:?}", resolved.masked()).contains("(("), "{}", template.name);
            secret["clientSecret"] = json!("x");
            resolve(&config(secret)).unwrap();
        }
    }

    #[test]
    fn every_placeholder_is_declared_used_and_where_its_pattern_may_stand() {
        for template in catalogue::all() {
            let texts = texts(template);
            for (name, parameter) in &template.parameters {
                assert!(
                    parameter.default.as_deref().is_none_or(|text| parameter.pattern.fits(text))
                );
                let mark = format!("(({name}))");
                let mut used = texts.iter().filter(|(_, text)| text.contains(&mark)).peekable();
                assert!(used.peek().is_some(), "{}: {name} is not used", template.name);
                for (key, text) in used {
                    let rest = text.strip_prefix("https://").unwrap_or(text);
                    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                    let is_right = match parameter.pattern {
                        Pattern::Word => {
                            *key != "hosts" && path.split('/').any(|part| part == mark)
                        }
                        Pattern::Domain => host.ends_with(&mark) && !path.contains("(("),
                        Pattern::Label if ["region", "service"].contains(key) => *text == mark,
                        Pattern::Label | Pattern::Labels => {
                            let suffix = host.strip_prefix(&mark).unwrap_or_default();
                            suffix.matches('.').count() >= 2 && !path.contains("((")
                        }
                    };
                    assert!(is_right, "{}: {text}", template.name);
                }
            }
            for (_, text) in texts {
                for rest in text.split("((").skip(1) {
                    let name = rest.split("))").next().unwrap_or_default();
                    assert!(template.parameters.contains_key(name), "{}: {name}", template.name);
                }
            }
        }
    }

    #[test]
    fn a_secret_says_who_its_client_is_and_never_where_anything_is_sent() {
        let secret = json!({
            "template": "zendesk", "parameters": {"subdomain": "acme", }, "clientId": "c",
            "clientSecrets": ["s"], "scope": "read", "tokenUrl": "https://evil.example/",
            "revokeUrl": "https://evil.example/", "methods": ["GET"],
        });
        let (_, resolved) = resolve(&config(secret)).unwrap();
        for (name, expected) in [
            ("tokenUrl", json!("https://acme.zendesk.com/oauth/tokens")),
            ("revokeUrl", Value::Null),
            ("clientId", json!("c")),
            ("clientSecrets", json!(["s"])),
            ("scope", json!("read")),
            ("hosts", json!(["acme.zendesk.com"])),
            ("methods", json!(["GET"])),
            ("parameters", Value::Null),
        ] {
            assert_eq!(resolved.value(name).unwrap_or(&Value::Null), &expected, "{name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_template_or_a_parameter_is_said() {
        assert_eq!(
            said(json!({"template": "githb"})),
            "\"config.template\" is no template of the catalogue; like it are github, github-git, github-token"
        );
        assert!(
            said(json!({"template": "slak"}))
                .ends_with("like it are slack, slack-user, slack-token")
        );
        assert!(said(json!({"template": "qqqq"})).ends_with("catalogue"));
        for (template, parameters, expected) in [
            (
                "github",
                json!({"x": "a"}),
                "parameters.x\" is no parameter: the template github has none",
            ),
            (
                "okta",
                json!({"x": "a"}),
                "parameters.x\" is no parameter: the template okta has domain",
            ),
            ("okta", json!({}), "parameters.domain\" is required: Domain of"),
            ("okta", json!({"domain": ""}), "parameters.domain\" is required"),
            ("okta", json!({"domain": 1}), "parameters.domain\" must be a string"),
            ("okta", json!({"domain": "evil.example/"}), "parameters.domain\" must be a host name"),
            ("zendesk", json!({"subdomain": "a.b"}), "parameters.subdomain\" must be letters"),
        ] {
            let said = said(json!({"template": template, "parameters": parameters}));
            assert!(said.contains(expected), "{said}");
        }
        let (_, resolved) = resolve(&config(
            json!({"template": "microsoft-graph", "parameters": {"tenant": null}}),
        ))
        .unwrap();
        assert!(resolved.text("tokenUrl").unwrap().contains("/common/"));
    }

    #[test]
    fn hosts_narrow_what_the_template_has() {
        for (template, hosts, is_right) in [
            ("github", json!(["api.github.com"]), true),
            ("github", json!(["API.GitHub.com"]), true),
            ("github", json!([]), true),
            ("github", json!(["api.github.com", "evil.example"]), false),
            ("github", json!(["*.github.com"]), false),
            ("salesforce", json!(["acme.my.salesforce.com", "*.my.salesforce.com"]), true),
            ("salesforce", json!(["my.salesforce.com"]), false),
            ("salesforce", json!(["evilmy.salesforce.com"]), false),
        ] {
            let secret = config(json!({"template": template, "hosts": hosts}));
            match resolve(&secret) {
                Ok((_, resolved)) => {
                    assert!(is_right, "{hosts}");
                    assert_eq!(resolved.value("hosts"), Some(&hosts));
                }
                Err(error) => {
                    assert!(!is_right, "{hosts}");
                    let begin = "\"config.hosts\" may only narrow what the template has: ";
                    assert!(error.to_string().starts_with(begin), "{error}");
                }
            }
        }
    }
}
