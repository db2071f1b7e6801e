//! Where a request goes.

use std::collections::HashMap;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use crate::Error;

/// The one host that has its API without the prefix `/api` (contract/contacts-and-secrets, section 1.1).
const WITHOUT_PREFIX: &str = "api.chatbotkit.com";

/// What would end a segment of a path, or not be one.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A path, and what it is known by where ids are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// As in the documentation: `/api/v1/contact/{contact}/fetch`. The path itself, if nobody said.
    pub(crate) template: String,
    /// With the ids filled in.
    pub(crate) path: String,
}

impl Path {
    /// A path as it is.
    pub(crate) fn raw(path: &str) -> Self {
        let template = path.split(['?', '#']).next().unwrap_or_default().to_owned();
        Self { template, path: path.to_owned() }
    }

    /// Fills ids into the places of a template, in order.
    pub(crate) fn fill(template: &'static str, ids: &[&str]) -> Result<Self, Error> {
        let path = fill(template, ids)?;
        Ok(Self { template: template.to_owned(), path })
    }
}

fn fill(template: &str, ids: &[&str]) -> Result<String, Error> {
    let mut path = String::with_capacity(template.len() + 32);
    let mut ids = ids.iter();
    for segment in template.split('/').skip(1) {
        path.push('/');
        if segment.starts_with('{') {
            path.extend(utf8_percent_encode(id(ids.next())?, SEGMENT));
        } else {
            path.push_str(segment);
        }
    }
    Ok(path)
}

/// An id that is one segment of a path: not none, and not one that leads elsewhere.
fn id<'a>(id: Option<&&'a str>) -> Result<&'a str, Error> {
    match id {
        Some(&(".." | "." | "")) | None => {
            Err(Error::Invalid("an id is empty, or a path of dots".into()))
        }
        Some(id) => Ok(id),
    }
}

/// Which server, and what is reached elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    base: Url,
    /// Paths, or their templates, and what is in their place.
    endpoints: HashMap<String, String>,
}

/// An address, and whether it may see the key.
pub(crate) struct Address {
    pub(crate) url: Url,
    pub(crate) is_own: bool,
}

impl Server {
    /// A server at `base`, the host and scheme of which may be replaced.
    pub(crate) fn new(
        base: &str,
        host: Option<&str>,
        protocol: Option<&str>,
        endpoints: HashMap<String, String>,
    ) -> Result<Self, Error> {
        let mut url = parse(base)?;
        if !url.username().is_empty() || url.password().is_some() {
            let text = "the base URL holds a user name or a password, which nobody would be sent";
            return Err(Error::Invalid(text.into()));
        }
        if let Some(protocol) = protocol {
            let protocol = protocol.trim_end_matches(':');
            let is_known = matches!(protocol, "http" | "https");
            let is_set = is_known && url.set_scheme(protocol).is_ok();
            is_set.then_some(()).ok_or_else(|| {
                Error::Invalid(format!("the protocol {protocol:?} is neither http nor https"))
            })?;
        }
        if let Some(host) = host {
            url = with_host(&url, host)?;
        }
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { base: url, endpoints })
    }

    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    /// Where a path is, under what its endpoint is called by if that is not the path.
    pub(crate) fn resolve(&self, path: &Path, endpoint: Option<&str>) -> Result<Address, Error> {
        let named = endpoint.unwrap_or(&path.path);
        let replaced = self.endpoints.get(named).or_else(|| self.endpoints.get(&path.template));
        let to = replaced.map_or(path.path.as_str(), String::as_str);
        let mut url = if to.contains("://") { parse(to)? } else { self.join(to)? };
        if url.host_str() == Some(WITHOUT_PREFIX)
            && let Some(rest) = url.path().strip_prefix("/api/")
        {
            let rest = format!("/{rest}");
            url.set_path(&rest);
        }
        // Whoever replaces an endpoint vouches for it.
        let is_own = replaced.is_some() || url.origin() == self.base.origin();
        Ok(Address { url, is_own })
    }

    fn join(&self, path: &str) -> Result<Url, Error> {
        if !path.starts_with('/') {
            return Err(Error::Invalid(format!("the path {path:?} does not begin with \"/\"")));
        }
        parse(&format!("{}{path}", self.base.as_str().trim_end_matches('/')))
    }
}

fn parse(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        Error::Invalid(format!(
            "{text:?} is not the URL of a server, such as http://127.0.0.1:7117"
        ))
    })
}

/// The URL with another host, which may have a port.
fn with_host(url: &Url, host: &str) -> Result<Url, Error> {
    let wrong = || Error::Invalid(format!("{host:?} is not a host, such as api.example.com:8443"));
    let given = Url::parse(&format!("{}://{host}", url.scheme())).map_err(|_| wrong())?;
    let is_host = given.path() == "/" && given.query().is_none() && given.username().is_empty();
    let mut url = url.clone();
    url.set_host(given.host_str()).map_err(|_| wrong())?;
    if given.port().is_some() {
        url.set_port(given.port()).map_err(|()| wrong())?;
    }
    is_host.then_some(url).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(base: &str) -> Server {
        Server::new(base, None, None, HashMap::new()).unwrap()
    }

    fn url(server: &Server, path: &str) -> String {
        server.resolve(&Path::raw(path), None).unwrap().url.to_string()
    }

    #[test]
    fn ids_are_one_segment_of_the_path_whatever_they_hold() {
        let path = |id| Path::fill("/api/v1/secret/{secret}/fetch", &[id]).map(|path| path.path);
        assert_eq!(
            path("a b/../c?d#e%2e").unwrap(),
            "/api/v1/secret/a%20b%2F..%2Fc%3Fd%23e%252e/fetch"
        );
        assert_eq!(path("@alias").unwrap(), "/api/v1/secret/@alias/fetch");
        assert_eq!(path("(Käse)").unwrap(), "/api/v1/secret/(K%C3%A4se)/fetch");
        for wrong in ["", ".", ".."] {
            assert!(path(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn paths_go_below_the_base_url_with_its_own_path() {
        assert_eq!(
            url(&server("http://h:7117"), "/api/v1/key/list"),
            "http://h:7117/api/v1/key/list"
        );
        assert_eq!(
            url(&server("http://h/vault/"), "/api/v1/key/list"),
            "http://h/vault/api/v1/key/list"
        );
        assert_eq!(url(&server("http://h?x=1#y"), "/a?b=c"), "http://h/a?b=c");
    }

    #[test]
    fn the_prefix_api_is_left_out_at_the_one_host_that_has_none() {
        let original = server("https://api.chatbotkit.com");
        assert_eq!(
            url(&original, "/api/v1/secret/list"),
            "https://api.chatbotkit.com/v1/secret/list"
        );
        assert_eq!(
            url(&server("https://chatbotkit.com"), "/api/v1/secret/list"),
            "https://chatbotkit.com/api/v1/secret/list"
        );
    }

    #[test]
    fn host_and_protocol_are_replaced_in_the_base_url() {
        let with = |host, protocol| {
            let server = Server::new("http://old:1234/p", host, protocol, HashMap::new());
            server.map(|server| server.base().to_string())
        };
        assert_eq!(with(Some("new:8443"), Some("https:")).unwrap(), "https://new:8443/p");
        assert_eq!(with(Some("new"), None).unwrap(), "http://new:1234/p");
        for (host, protocol) in
            [(Some("a/b"), None), (Some("u@h"), None), (None, Some("ftp")), (Some(""), None)]
        {
            assert!(with(host, protocol).is_err(), "{host:?} {protocol:?}");
        }
        for base in ["", "h", "ftp://h", "http://"] {
            assert!(Server::new(base, None, None, HashMap::new()).is_err(), "{base:?}");
        }
    }

    #[test]
    fn an_endpoint_is_replaced_by_its_path_its_template_or_the_name_it_is_given() {
        let endpoints = [
            ("/api/v1/contact/list", "/mirror/contacts"),
            ("/api/v1/secret/{secret}/fetch", "https://elsewhere.example/secret"),
            ("named", "/other"),
        ];
        let endpoints = endpoints.map(|(from, to)| (from.to_owned(), to.to_owned()));
        let server = Server::new("http://h", None, None, endpoints.into()).unwrap();
        assert_eq!(url(&server, "/api/v1/contact/list"), "http://h/mirror/contacts");
        let filled = Path::fill("/api/v1/secret/{secret}/fetch", &["s1"]).unwrap();
        let elsewhere = server.resolve(&filled, None).unwrap();
        assert_eq!(
            (elsewhere.url.as_str(), elsewhere.is_own),
            ("https://elsewhere.example/secret", true)
        );
        let named = server.resolve(&Path::raw("/x"), Some("named")).unwrap();
        assert_eq!(named.url.as_str(), "http://h/other");
    }

    #[test]
    fn only_the_servers_own_origin_may_see_the_key() {
        let server = server("http://h:7117");
        let is_own = |path| server.resolve(&Path::raw(path), None).unwrap().is_own;
        assert!(is_own("/a") && is_own("http://h:7117/a"));
        assert!(!is_own("http://h:7118/a") && !is_own("https://h:7117/a") && !is_own("http://x/a"));
    }

    #[test]
    fn what_is_no_path_and_no_url_is_refused() {
        for path in ["", "a", "ftp://h/a", "://", "//"] {
            let refused = server("http://h").resolve(&Path::raw(path), None);
            // A path of slashes is one.
            assert_eq!(refused.is_err(), path != "//", "{path:?}");
        }
    }
}
