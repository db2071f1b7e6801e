//! What resources and authorization servers say of themselves (RFC 9728, RFC 8414, `OpenID` Connect Discovery).

use url::Url;

use super::{AuthMethod, document::Document, endpoint::is_endpoint};

/// Why a document about a resource or a server is not used. Repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// It is no JSON object.
    #[error("the metadata is not a JSON object")]
    NotJson,
    /// It is about another resource.
    #[error("the metadata is about another resource: \"resource\" must be the URL that was asked")]
    Resource,
    /// It is about another server.
    #[error("the metadata is about another server: \"issuer\" must be the one that was asked")]
    Issuer,
    /// A member is missing that is needed.
    #[error("the metadata has no \"{0}\"")]
    Missing(&'static str),
    /// A member is no address that may be asked.
    #[error("\"{0}\" in the metadata must be an https URL without a user and a fragment")]
    Endpoint(&'static str),
    /// The server does not know the only challenge that proves anything.
    #[error(
        "the server does not support PKCE with S256 (\"code_challenge_methods_supported\"), which is \
         always used"
    )]
    NoS256,
}

/// Where a resource says which authorization server is its own (RFC 9728 section 3.1).
#[must_use]
pub fn protected_resource_url(resource: &Url) -> Url {
    inserted(resource, "oauth-protected-resource", resource.path())
}

/// Where an authorization server may say what it can do, in the order in which they are asked: RFC 8414
/// section 3.1, the same for `OpenID` Connect (section 5), and `OpenID` Connect Discovery section 4.
#[must_use]
pub fn candidates(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/');
    let mut appended = without_query(issuer);
    appended.set_path(&format!("{path}/.well-known/openid-configuration"));
    let mut candidates = vec![
        without_query(&inserted(issuer, "oauth-authorization-server", path)),
        without_query(&inserted(issuer, "openid-configuration", path)),
    ];
    if !candidates.contains(&appended) {
        candidates.push(appended);
    }
    candidates
}

fn inserted(url: &Url, name: &str, path: &str) -> Url {
    let mut inserted = url.clone();
    inserted.set_fragment(None);
    let path = if path == "/" { "" } else { path };
    inserted.set_path(&format!("/.well-known/{name}{path}"));
    inserted
}

fn without_query(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// What a protected resource says of itself.
#[derive(Clone, Debug)]
pub struct ProtectedResource {
    /// Its identifier in its own words, for `resource` (RFC 8707).
    pub resource: String,
    /// The first of its authorization servers; `None` if it names none.
    pub authorization_server: Option<Url>,
}

impl ProtectedResource {
    /// Reads the metadata of `resource`, which must be about it: the same origin and path, but for slashes
    /// at the end.
    pub fn parse(document: &[u8], resource: &Url) -> Result<Self, BadMetadata> {
        let document = Document::json(document).ok_or(BadMetadata::NotJson)?;
        let fields = document.fields();
        let own = fields.text("resource").ok_or(BadMetadata::Missing("resource"))?;
        if !Url::parse(own).is_ok_and(|own| is_same(&own, resource)) {
            return Err(BadMetadata::Resource);
        }
        let servers = fields.texts("authorization_servers").unwrap_or_default();
        let server = servers.first().map(|url| endpoint(url, "authorization_servers"));
        Ok(Self { resource: own.to_owned(), authorization_server: server.transpose()? })
    }
}

/// What an authorization server says of itself.
#[derive(Clone, Debug)]
pub struct ServerMetadata {
    /// Who it is, in its own words, as `iss` is compared with (RFC 9207).
    pub issuer: String,
    /// Where people are asked; `None` where a server asks nobody.
    pub authorization_endpoint: Option<Url>,
    /// Where tokens are asked for.
    pub token_endpoint: Url,
    /// Where tokens are revoked.
    pub revocation_endpoint: Option<Url>,
    /// Where clients are registered.
    pub registration_endpoint: Option<Url>,
    /// Where codes to type are asked for.
    pub device_authorization_endpoint: Option<Url>,
    /// How clients may authenticate, of the ways that are known here; `None` if it does not say, which
    /// means `client_secret_basic`.
    pub token_endpoint_auth_methods_supported: Option<Vec<AuthMethod>>,
    /// Whether each of its answers says who it is from (RFC 9207).
    pub authorization_response_iss_parameter_supported: bool,
}

impl ServerMetadata {
    /// Reads the metadata of `issuer`, which must be about it: the same but for the host's case, a default
    /// port and slashes at the end.
    pub fn parse(document: &[u8], issuer: &Url) -> Result<Self, BadMetadata> {
        let document = Document::json(document).ok_or(BadMetadata::NotJson)?;
        let fields = document.fields();
        let own = fields.text("issuer").ok_or(BadMetadata::Missing("issuer"))?;
        let is_own =
            |own: &Url| is_same(own, issuer) && own.query() == issuer.query() && is_endpoint(own);
        if !Url::parse(own).is_ok_and(|own| is_own(&own)) {
            return Err(BadMetadata::Issuer);
        }
        let challenges = fields.texts("code_challenge_methods_supported");
        if challenges.is_some_and(|challenges| !challenges.contains(&"S256")) {
            return Err(BadMetadata::NoS256);
        }
        let url = |name| fields.text(name).map(|url| endpoint(url, name)).transpose();
        let methods = fields.texts("token_endpoint_auth_methods_supported");
        Ok(Self {
            issuer: own.to_owned(),
            authorization_endpoint: url("authorization_endpoint")?,
            token_endpoint: url("token_endpoint")?.ok_or(BadMetadata::Missing("token_endpoint"))?,
            revocation_endpoint: url("revocation_endpoint")?,
            registration_endpoint: url("registration_endpoint")?,
            device_authorization_endpoint: url("device_authorization_endpoint")?,
            token_endpoint_auth_methods_supported: methods
                .map(|words| words.into_iter().filter_map(AuthMethod::parse).collect()),
            authorization_response_iss_parameter_supported: fields
                .is_true("authorization_response_iss_parameter_supported"),
        })
    }
}

fn endpoint(text: &str, name: &'static str) -> Result<Url, BadMetadata> {
    Url::parse(text).ok().filter(is_endpoint).ok_or(BadMetadata::Endpoint(name))
}

/// Whether two URLs have the same origin and path, but for slashes at the end. Parsing has folded the
/// host's case and the default port.
fn is_same(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
        && one.path().trim_end_matches('/') == other.path().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn server(
        issuer: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<ServerMetadata, BadMetadata> {
        let mut document = json!({
            "issuer": "https://a.example/tenant",
            "authorization_endpoint": "https://a.example/authorize",
            "token_endpoint": "https://a.example/token",
        });
        change(&mut document);
        ServerMetadata::parse(document.to_string().as_bytes(), &url(issuer))
    }

    #[test]
    fn a_resources_metadata_is_before_its_path() {
        for (resource, expected) in [
            ("https://r.example", "https://r.example/.well-known/oauth-protected-resource"),
            (
                "https://r.example/mcp#f",
                "https://r.example/.well-known/oauth-protected-resource/mcp",
            ),
            (
                "https://r.example:8/a/?b",
                "https://r.example:8/.well-known/oauth-protected-resource/a/?b",
            ),
        ] {
            assert_eq!(protected_resource_url(&url(resource)).as_str(), expected);
        }
    }

    #[test]
    fn a_servers_metadata_is_looked_for_where_the_standards_say_each_once() {
        let asked =
            |issuer| candidates(&url(issuer)).into_iter().map(String::from).collect::<Vec<_>>();
        let start = "https://a.example/.well-known";
        assert_eq!(
            asked("https://a.example/tenant/"),
            [
                format!("{start}/oauth-authorization-server/tenant"),
                format!("{start}/openid-configuration/tenant"),
                "https://a.example/tenant/.well-known/openid-configuration".into(),
            ]
        );
        assert_eq!(
            asked("https://a.example"),
            [
                format!("{start}/oauth-authorization-server"),
                format!("{start}/openid-configuration")
            ]
        );
    }

    #[test]
    fn a_resource_names_its_first_server_and_must_be_the_one_that_was_asked() {
        let parse = |own: &str, server: &str| {
            let document = json!({"resource": own,
                "authorization_servers": [server, "https://b.example"]});
            let resource = url("https://r.example/mcp");
            ProtectedResource::parse(document.to_string().as_bytes(), &resource)
        };
        let read = parse("https://R.example:443/mcp/", "https://a.example/x").unwrap();
        assert_eq!(read.authorization_server.unwrap().as_str(), "https://a.example/x");
        assert_eq!(read.resource, "https://R.example:443/mcp/");
        for other in ["https://r.example", "https://r.example/mcp2", "http://r.example/mcp", "x"] {
            assert_eq!(
                parse(other, "https://a.example").unwrap_err(),
                BadMetadata::Resource,
                "{other}"
            );
        }
        let refused = parse("https://r.example/mcp", "http://a.example").unwrap_err();
        assert_eq!(refused, BadMetadata::Endpoint("authorization_servers"));
    }

    #[test]
    fn a_server_says_what_it_can_do() {
        let read = server("https://a.example/tenant", |document| {
            document["token_endpoint_auth_methods_supported"] = json!(["none", "tls_client_auth"]);
            document["authorization_response_iss_parameter_supported"] = true.into();
            document["code_challenge_methods_supported"] = json!(["plain", "S256"]);
            document["revocation_endpoint"] = "https://a.example/revoke".into();
        });
        let read = read.unwrap();
        assert_eq!(read.issuer, "https://a.example/tenant");
        assert_eq!(read.token_endpoint_auth_methods_supported, Some(vec![AuthMethod::None]));
        assert!(read.authorization_response_iss_parameter_supported);
        assert_eq!(read.revocation_endpoint.unwrap().as_str(), "https://a.example/revoke");
        assert!(read.registration_endpoint.is_none());
    }

    #[test]
    fn another_issuer_is_refused_but_for_case_port_and_slash() {
        for same in ["https://A.example:443/tenant/", "https://a.example/tenant"] {
            assert!(server(same, |_| {}).is_ok(), "{same}");
        }
        for other in ["https://a.example", "https://a.example/Tenant", "https://b.example/tenant"] {
            assert_eq!(server(other, |_| {}).unwrap_err(), BadMetadata::Issuer, "{other}");
        }
    }

    #[test]
    fn a_server_that_cannot_be_asked_safely_is_refused_with_the_reason() {
        let issuer = "https://a.example/tenant";
        let change = |name: &'static str, value: Value| {
            server(issuer, move |document| document[name] = value).unwrap_err()
        };
        let challenges = json!(["plain"]);
        assert_eq!(change("code_challenge_methods_supported", challenges), BadMetadata::NoS256);
        assert_eq!(change("token_endpoint", json!("")), BadMetadata::Missing("token_endpoint"));
        for name in ["authorization_endpoint", "token_endpoint", "revocation_endpoint"] {
            for bad in ["http://a.example/x", "https://u@a.example/x", "https://a.example/#x", "x"]
            {
                assert_eq!(change(name, bad.into()), BadMetadata::Endpoint(name), "{bad}");
            }
        }
        let read = ServerMetadata::parse(b"[]", &url(issuer));
        assert_eq!(read.unwrap_err(), BadMetadata::NotJson);
    }
}
