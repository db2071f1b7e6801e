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

/// A path, and what it is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// As in the documentation: `/api/v1/contact/{contact}/fetch`. A caller's own path has none.
    template: Option<&'static str>,
    ids: Vec<String>,
    /// With the ids filled in; a caller's own may have a query, and may be a whole URL.
    text: String,
}

impl Path {
    /// A path as it is.
    pub(crate) fn raw(path: &str) -> Self {
        Self { template: None, ids: Vec::new(), text: path.to_owned() }
    }

    /// Fills ids into the places of a template, in order.
    pub(crate) fn fill(template: &'static str, ids: &[&str]) -> Result<Self, Error> {
        let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
        let text = fill(template, &ids)?;
        Ok(Self { template: Some(template), ids, text })
    }

    /// What is shown of it: nothing of what a caller wrote, which may hold ids, or a token.
    pub(crate) fn shown(&self) -> &'static str {
        self.template.unwrap_or("(path)")
    }

    fn query(&self) -> Option<&str> {
        self.text.split_once('?').map(|(_, query)| query)
    }

    fn without_query(&self) -> &str {
        self.text.split('?').next().unwrap_or_default()
    }

    /// Takes a value out of the query that a caller wrote. The others stay as they were written.
    pub(crate) fn remove(&mut self, name: &str) {
        let Some((path, query)) = self.text.split_once('?') else { return };
        let is_other = |pair: &&str| {
            form_urlencoded::parse(pair.as_bytes()).next().is_none_or(|(known, _)| known != name)
        };
        let rest: Vec<_> = query.split('&').filter(is_other).collect();
        if rest.len() < query.split('&').count() {
            let mark = if rest.is_empty() { "" } else { "?" };
            self.text = format!("{path}{mark}{}", rest.join("&"));
        }
    }
}

fn fill(template: &str, ids: &[String]) -> Result<String, Error> {
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
fn id(id: Option<&String>) -> Result<&str, Error> {
    match id.map(String::as_str) {
        Some(".." | "." | "") | None => {
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
            return Err(Error::Invalid(PASSWORD.into()));
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
        let replaced = self.replaced(path, endpoint)?;
        let mut url = self.locate(replaced.as_deref().unwrap_or(&path.text))?;
        if let Some(query) = path.query().filter(|_| replaced.is_some() && url.query().is_none()) {
            url.set_query(Some(query));
        }
        // Whoever replaces an endpoint vouches for it.
        let is_own = replaced.is_some() || (self.is_of(&url) && self.is_below(&url));
        if url.host_str() == Some(WITHOUT_PREFIX)
            && let Some(rest) = url.path().strip_prefix("/api/")
        {
            let rest = format!("/{rest}");
            url.set_path(&rest);
        }
        Ok(Address { url, is_own })
    }

    /// What is in the place of an endpoint, with the ids that the endpoint has.
    fn replaced(&self, path: &Path, endpoint: Option<&str>) -> Result<Option<String>, Error> {
        let named = endpoint.unwrap_or_else(|| path.without_query());
        let named = self.endpoints.get(named);
        let to = named.or_else(|| self.endpoints.get(path.template?));
        match to {
            Some(to) if to.contains('{') => {
                let (origin, rest) = to.find("://").map_or(("", to.as_str()), |at| {
                    to.split_at(to[at + 3..].find('/').map_or(to.len(), |end| at + 3 + end))
                });
                Ok(Some(format!("{origin}{}", fill(rest, &path.ids)?)))
            }
            to => Ok(to.cloned()),
        }
    }

    fn locate(&self, to: &str) -> Result<Url, Error> {
        if to.starts_with('/') {
            return parse(&format!("{}{to}", self.base.as_str().trim_end_matches('/')));
        }
        if to.contains("://") { parse(to) } else { Err(Error::Invalid(NO_PATH.into())) }
    }

    fn is_of(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Whether it is below the base URL's own path, however its dots are written.
    fn is_below(&self, url: &Url) -> bool {
        let base = self.base.path().trim_end_matches('/');
        url.path().strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
    }
}

const PASSWORD: &str = "the base URL holds a user name or a password, which nobody would be sent";
const NO_PATH: &str = "a path begins with \"/\", and is no URL of http or https otherwise";

fn parse(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    url.ok_or_else(|| {
        let given = given(text);
        Error::Invalid(format!("{given} is not the URL of a server, such as http://127.0.0.1:7117"))
    })
}

/// What was given, unless it may hold a password.
fn given(text: &str) -> String {
    if text.contains('@') { "what was given".into() } else { format!("{text:?}") }
}

/// The URL with another host, which may have a port.
fn with_host(url: &Url, host: &str) -> Result<Url, Error> {
    let wrong =
        || Error::Invalid(format!("{} is not a host, such as api.example.com:8443", given(host)));
    let text = host;
    let host = Url::parse(&format!("{}://{text}", url.scheme())).map_err(|_| wrong())?;
    let is_host = host.path() == "/" && host.query().is_none() && !text.contains('@');
    let mut url = url.clone();
    url.set_host(host.host_str()).map_err(|_| wrong())?;
    // An address of IPv6 has colons of its own, in brackets.
    let has_port = text.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    if has_port {
        url.set_port(host.port()).map_err(|()| wrong())?;
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
        let path = |id| Path::fill("/api/v1/secret/{secret}/fetch", &[id]).map(|path| path.text);
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
        assert_eq!(with(Some("new:80"), None).unwrap(), "http://new/p");
        assert_eq!(with(Some("[::1]"), None).unwrap(), "http://[::1]:1234/p");
        assert_eq!(with(Some("[::1]:80"), None).unwrap(), "http://[::1]/p");
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
            ("/api/v1/secret/{secret}/fetch", "https://elsewhere.example/secret/{secret}"),
            ("named", "/other"),
        ];
        let endpoints = endpoints.map(|(from, to)| (from.to_owned(), to.to_owned()));
        let server = Server::new("http://h", None, None, endpoints.into()).unwrap();
        assert_eq!(url(&server, "/api/v1/contact/list"), "http://h/mirror/contacts");
        let filled = Path::fill("/api/v1/secret/{secret}/fetch", &["s1"]).unwrap();
        let elsewhere = server.resolve(&filled, None).unwrap();
        assert_eq!(
            (elsewhere.url.as_str(), elsewhere.is_own),
            ("https://elsewhere.example/secret/s1", true)
        );
        assert_eq!(url(&server, "/api/v1/contact/list?take=5"), "http://h/mirror/contacts?take=5");
        let too_few = Path::raw("/x");
        let endpoints = [("/x".to_owned(), "/y/{id}".to_owned())];
        let wrong = Server::new("http://h", None, None, endpoints.into()).unwrap();
        assert!(wrong.resolve(&too_few, None).is_err());
        let named = server.resolve(&Path::raw("/x"), Some("named")).unwrap();
        assert_eq!(named.url.as_str(), "http://h/other");
    }

    #[test]
    fn a_url_within_a_path_is_a_part_of_it() {
        let server = server("http://h");
        for path in ["/proxy/c/s/https://api.example/x", "/x?return=https://app.example/done"] {
            assert_eq!(url(&server, path), format!("http://h{path}"));
        }
    }

    #[test]
    fn nothing_leads_out_of_the_base_urls_own_path() {
        let server = server("http://h/vault");
        let is_own = |path| server.resolve(&Path::raw(path), None).unwrap().is_own;
        assert!(is_own("/a") && is_own("/a/../b") && is_own("http://h/vault/a"));
        for path in
            ["/../admin", "/%2e%2e/admin", "/\\..\\..\\admin", "http://h/admin", "http://h/vault2"]
        {
            assert!(!is_own(path), "{path}");
        }
    }

    #[test]
    fn what_may_hold_a_password_is_not_repeated() {
        let with = |base, host| Server::new(base, host, None, HashMap::new()).unwrap_err();
        for error in [
            with("htps://user:HIDDEN@h", None),
            with("http://user:HIDDEN@h", None),
            with("http://h", Some("user:HIDDEN@h")),
        ] {
            assert!(!error.to_string().contains("HIDDEN"), "{error}");
        }
    }

    #[test]
    fn a_value_is_taken_out_of_a_query_and_the_others_stay_as_they_were_written() {
        let without = |path: &str| {
            let mut path = Path::raw(path);
            path.remove("take");
            path.text
        };
        assert_eq!(without("/x?a=%20&take=5&b=+"), "/x?a=%20&b=+");
        assert_eq!(without("/x?t%61ke=5"), "/x");
        assert_eq!(without("/x?mistake=5"), "/x?mistake=5");
        assert_eq!(without("/x"), "/x");
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
