//! The authorization request and what comes back of it (RFC 6749 section 4.1, RFC 8707, RFC 9207).

use secrecy::SecretString;
use url::Url;

use super::Refused;
use crate::ticket::Ticket;

/// What is asked of an authorization server, in the name of a person.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// The client that asks.
    pub client_id: &'a str,
    /// Where the browser goes back to, as it is registered.
    pub redirect_uri: &'a str,
    /// What is asked for, separated by blanks.
    pub scope: Option<&'a str>,
    /// What Slack is asked for in the person's own name.
    pub user_scope: Option<&'a str>,
    /// What the answer is known by.
    pub state: &'a Ticket,
    /// The S256 challenge.
    pub challenge: &'a str,
    /// What the token is for (RFC 8707), where the resource was discovered.
    pub resource: Option<&'a str>,
}

/// The URL at which a person is asked. The query that `authorization_url` has is kept to the byte, but
/// for parameters that the request sets itself: none may be there twice (RFC 6749 section 3.1).
#[must_use]
pub fn request_url(authorization_url: &Url, request: &AuthorizationRequest<'_>) -> Url {
    let parameters = [
        ("response_type", Some("code")),
        ("client_id", Some(request.client_id)),
        ("redirect_uri", Some(request.redirect_uri)),
        ("scope", request.scope),
        ("user_scope", request.user_scope),
        ("state", Some(request.state.expose())),
        ("code_challenge", Some(request.challenge)),
        ("code_challenge_method", Some("S256")),
        ("resource", request.resource),
    ];
    let ours = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        name.is_some_and(|name| ours.clone().all(|(known, _)| known != name))
    };
    let query = authorization_url.query().unwrap_or_default();
    let kept = query.split('&').filter(is_kept).collect::<Vec<_>>().join("&");
    let mut url = authorization_url.clone();
    url.set_fragment(None);
    url.set_query((!kept.is_empty()).then_some(&kept));
    url.query_pairs_mut().extend_pairs(ours);
    url
}

/// What the browser brings back.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The state of the request; `None` if there is none, or none of ours.
    pub state: Option<Ticket>,
    /// The code that tokens are asked for with.
    pub code: Option<SecretString>,
    /// Why there is no code.
    pub error: Option<Refused>,
    /// Who answers (RFC 9207).
    pub iss: Option<String>,
}

/// A parameter is there more than once, so nobody knows which one holds (RFC 6749 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer has \"{0}\" more than once: connect again from the link")]
pub struct Repeated(pub &'static str);

impl Callback {
    /// Reads the query of the redirect URI. A parameter without a value is not there.
    pub fn parse(query: &str) -> Result<Self, Repeated> {
        let parameter = |name| parameter(query, name);
        let state = parameter("state")?;
        let error = parameter("error")?.zip(Some(parameter("error_description")?));
        Ok(Self {
            state: state.and_then(|state| Ticket::parse(&state).ok()),
            code: parameter("code")?.map(SecretString::from),
            error: error.and_then(|(code, text)| Refused::new(&code, text.as_deref())),
            iss: parameter("iss")?,
        })
    }
}

fn parameter(query: &str, name: &'static str) -> Result<Option<String>, Repeated> {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let mut values = pairs.filter(|(known, _)| known == name).map(|(_, value)| value);
    let value = values.next();
    if values.next().is_some() {
        return Err(Repeated(name));
    }
    Ok(value.filter(|value| !value.is_empty()).map(Into::into))
}

/// Why an answer may come from another authorization server than the one that was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerMismatch {
    /// The server says who it is in every answer, and this one does not.
    #[error("the answer does not say who it is from (\"iss\"), as this provider's answers do")]
    Missing,
    /// The answer is of another server.
    #[error("the answer is from another provider than the one that was asked (\"iss\")")]
    Other,
}

/// Whether an answer is from the server that was asked (RFC 9207 section 2.4), compared as text.
/// `is_required`: its metadata says `authorization_response_iss_parameter_supported`.
pub fn check_issuer(
    iss: Option<&str>,
    expected: Option<&str>,
    is_required: bool,
) -> Result<(), IssuerMismatch> {
    match (iss, expected) {
        (None, _) if is_required => Err(IssuerMismatch::Missing),
        (Some(iss), Some(expected)) if iss != expected => Err(IssuerMismatch::Other),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::random::tests::Counting;

    fn url(authorization_url: &str, scope: Option<&str>, resource: Option<&str>) -> String {
        let state = Ticket::generate(&Counting::default());
        let request = AuthorizationRequest {
            client_id: "my app",
            redirect_uri: "https://keyfob.example/secrets/oauth/callback",
            scope,
            user_scope: None,
            state: &state,
            challenge: "challenge",
            resource,
        };
        let url = request_url(&authorization_url.parse().unwrap(), &request);
        url.as_str().replace(state.expose(), "STATE")
    }

    const OURS: &str = "response_type=code&client_id=my+app\
        &redirect_uri=https%3A%2F%2Fkeyfob.example%2Fsecrets%2Foauth%2Fcallback";
    const PROOF: &str = "state=STATE&code_challenge=challenge&code_challenge_method=S256";

    #[test]
    fn the_query_of_the_url_is_kept_as_it_is() {
        let asked = url("https://a.example/x?prompt=consent%20now&b=%2f", Some("r w"), None);
        let kept = "https://a.example/x?prompt=consent%20now&b=%2f";
        assert_eq!(asked, format!("{kept}&{OURS}&scope=r+w&{PROOF}"));
        assert_eq!(
            url("https://a.example/x#f", None, None),
            format!("https://a.example/x?{OURS}&{PROOF}")
        );
    }

    #[test]
    fn parameters_of_ours_are_replaced_and_there_once() {
        let own = "https://a.example/?client_id=x&%73tate=y&redirect_uri=z&code_challenge=1\
            &code_challenge_method=plain&response_type=token&scope=own";
        let expected = format!("https://a.example/?scope=own&{OURS}&{PROOF}");
        assert_eq!(url(own, None, None), expected);
        let expected = format!(
            "https://a.example/?{OURS}&scope=ours&{PROOF}&resource=https%3A%2F%2Fr.example"
        );
        assert_eq!(url(own, Some("ours"), Some("https://r.example")), expected);
    }

    #[test]
    fn a_code_comes_back_with_its_state() {
        let state = Ticket::generate(&Counting::default());
        let query =
            format!("code=a%2Fb&state={}&iss=https%3A%2F%2Fa.example&x=1&x=2", state.expose());
        let callback = Callback::parse(&query).unwrap();
        assert_eq!(callback.state.unwrap().expose(), state.expose());
        assert_eq!(callback.code.unwrap().expose_secret(), "a/b");
        assert_eq!(callback.iss.as_deref(), Some("https://a.example"));
        assert!(callback.error.is_none());
    }

    #[test]
    fn an_error_comes_back_in_words_that_can_be_repeated() {
        let long = "A".repeat(40);
        let query = format!("error=access_denied&error_description=no+{long}&code=&state=x");
        let callback = Callback::parse(&query).unwrap();
        let error = callback.error.unwrap();
        assert_eq!(
            (error.code.as_str(), error.description.as_deref()),
            ("access_denied", Some("no [removed]"))
        );
        assert!(callback.code.is_none() && callback.state.is_none());
    }

    #[test]
    fn a_parameter_that_is_there_twice_is_refused() {
        for name in ["state", "code", "iss", "error_description", "error"] {
            let query = format!("error=a&{name}=1&{name}=1");
            assert_eq!(Callback::parse(&query).unwrap_err(), Repeated(name));
        }
    }

    #[test]
    fn an_issuer_is_compared_as_text_where_it_is_known() {
        let (one, other) = (Some("https://a.example"), Some("https://a.example/"));
        for (iss, expected, is_required, result) in [
            (one, one, true, Ok(())),
            (one, None, true, Ok(())),
            (None, one, false, Ok(())),
            (None, one, true, Err(IssuerMismatch::Missing)),
            (None, None, true, Err(IssuerMismatch::Missing)),
            (other, one, false, Err(IssuerMismatch::Other)),
        ] {
            assert_eq!(check_issuer(iss, expected, is_required), result);
        }
    }

    #[test]
    fn debug_shows_no_code() {
        let text = format!("{:?}", Callback::parse("code=CANARY").unwrap());
        assert!(!text.contains("CANARY"), "{text}");
    }
}
