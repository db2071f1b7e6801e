//! Where a client's credentials may be sent: to the provider that they were given for. Who is asked is said
//! elsewhere too, by what a reference stands for, by a request that waits for its answer, or by a grant, and all
//! of these may change after the credentials were stored. So it is looked at when they are used.

use serde_json::Value;
use url::Url;

use super::{CREDENTIALS, Config, mask::ENDPOINTS};

/// The key under which that is kept, beside what the account says. It is taken from nobody, and told to nobody.
pub(in crate::broker) const BOUND: &str = "boundTo";
/// What a provider is found out by.
const SOURCES: [&str; 2] = ["issuer", "resourceUrl"];

impl Config {
    /// Binds the credentials to the provider that `resolved`, what this comes to, names.
    pub(in crate::broker) fn bind(&mut self, resolved: &Self) {
        let bound: Vec<_> = resolved.places().into_iter().map(Value::from).collect();
        self.0.insert(BOUND.into(), bound.into());
    }

    /// Binds the credentials as they were, which are kept.
    pub(in crate::broker) fn bind_as(&mut self, before: Option<&Self>) {
        self.unbind();
        if let Some(bound) = before.and_then(|before| before.0.get(BOUND)) {
            self.0.insert(BOUND.into(), bound.clone());
        }
    }

    /// Forgets what anybody says of it.
    pub(in crate::broker) fn unbind(&mut self) {
        self.0.remove(BOUND);
    }

    /// Whether it says who its client is, or shows it.
    pub(in crate::broker) fn has_credentials(&self) -> bool {
        CREDENTIALS.iter().any(|name| self.0.get(*name).is_some_and(super::is_set))
    }

    /// Whether the credentials may be sent to `url`; `source` is what the provider was found out by, if it was.
    pub(in crate::broker) fn may_send_to(&self, url: &Url, source: Option<&str>) -> bool {
        let bound = match self.0.get(BOUND) {
            Some(bound) => {
                let texts = bound.as_array().into_iter().flatten().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            None => self.places(),
        };
        let origin = url.origin().ascii_serialization();
        bound.iter().any(|place| *place == origin || Some(place.as_str()) == source)
    }

    /// The origins that it names as the provider's, and what the provider is found out by.
    fn places(&self) -> Vec<String> {
        let url = |name: &&str| Url::parse(self.text(name)?).ok();
        let origins =
            ENDPOINTS.iter().filter_map(url).map(|url| url.origin().ascii_serialization());
        let sources = SOURCES.iter().filter_map(|name| self.text(name)).map(str::to_owned);
        origins.chain(sources).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::tests::config, *};

    fn may(config: &Config, url: &str, source: Option<&str>) -> bool {
        config.may_send_to(&url.parse().unwrap(), source)
    }

    #[test]
    fn credentials_go_where_they_were_given_for_whatever_the_endpoints_are_now() {
        let mut reference = config(json!({"clientId": "c", "clientSecret": "s", "secretId": "x"}));
        let target = |host: &str| config(json!({"tokenUrl": format!("https://{host}/token")}));
        reference.bind(&target("id.example"));
        let now = target("id.example").overridden_by(&reference);
        assert!(may(&now, "https://id.example/revoke", None));
        let moved = target("evil.example").overridden_by(&reference);
        assert!(!may(&moved, "https://evil.example/token", None));
        assert!(!may(&moved, "https://id.example:8443/token", None));
        assert!(!moved.masked().contains_key(BOUND));
    }

    #[test]
    fn what_an_issuer_names_counts_for_credentials_that_were_given_for_it() {
        let mut own = config(json!({"clientSecret": "s", "issuer": "https://id.example"}));
        own.bind(&own.clone());
        assert!(may(&own, "https://tokens.example/token", Some("https://id.example")));
        assert!(!may(&own, "https://tokens.example/token", Some("https://evil.example")));
        assert!(!may(&own, "https://tokens.example/token", None));
    }
}
