//! Who a request comes from, and the proof.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use data_encoding::BASE64;
use jsonwebtoken::Validation;
use serde::Deserialize;

use crate::{
    client::{AuthMethod, Client},
    fields::Fields,
    refusal::Refusal,
    state::State,
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who a request says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) client: String,
    pub(crate) method: AuthMethod,
    proof: String,
}

/// Reads who a request says it is from, without believing it.
pub(crate) fn claimed(headers: &HeaderMap, fields: &Fields) -> Result<Claimed, Refusal> {
    let basic = headers.get(AUTHORIZATION).is_some();
    let post = fields.get("client_secret").is_some();
    let assertion = fields.get("client_assertion").is_some();
    if [basic, post, assertion].into_iter().filter(|used| *used).count() > 1 {
        return Err(Refusal::request("more than one method of client authentication is used"));
    }
    if basic {
        return from_basic(headers)
            .ok_or_else(|| Refusal::client("the Authorization header is not right for Basic"));
    }
    let proof = |name: &str| fields.get(name).unwrap_or_default().to_owned();
    if assertion {
        if fields.get("client_assertion_type") != Some(ASSERTION_TYPE) {
            let why = format!("client_assertion_type must be {ASSERTION_TYPE}");
            return Err(Refusal::request(why));
        }
        let proof = proof("client_assertion");
        let claims: Result<Claims, _> = jsonwebtoken::dangerous::insecure_decode_claims(&proof);
        let claims = claims.map_err(|_| Refusal::client("the client_assertion is no JWT"))?;
        let client = claims.sub;
        return Ok(Claimed { client, method: AuthMethod::PrivateKeyJwt, proof });
    }
    let client = fields.get("client_id").ok_or_else(|| Refusal::client("client_id is missing"))?;
    let method = if post { AuthMethod::ClientSecretPost } else { AuthMethod::None };
    Ok(Claimed { client: client.to_owned(), method, proof: proof("client_secret") })
}

/// Both parts are form-encoded before they are put together (RFC 6749 section 2.3.1).
fn from_basic(headers: &HeaderMap) -> Option<Claimed> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(value.trim().as_bytes()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    let decode = |part: &str| {
        let encoded = format!("part={}", part.replace('&', "%26"));
        Fields::parse(encoded.as_bytes()).get("part").unwrap_or_default().to_owned()
    };
    let method = AuthMethod::ClientSecretBasic;
    Some(Claimed { client: decode(client), method, proof: decode(secret) })
}

/// The client that a request comes from.
pub(crate) fn authenticate(
    state: &mut State,
    headers: &HeaderMap,
    fields: &Fields,
) -> Result<Client, Refusal> {
    let claimed = claimed(headers, fields)?;
    let client = state.options.client(&claimed.client);
    let client = client.ok_or_else(|| Refusal::client("the client is unknown"))?.clone();
    if fields.get("client_id").is_some_and(|id| id != client.id) {
        return Err(Refusal::request("client_id differs from the client that authenticates"));
    }
    let method = claimed.method;
    let supported = state.options.auth_methods.contains(&method);
    if !supported || client.auth_method.is_some_and(|only| only != method) {
        return Err(Refusal::client("this method of client authentication is not for this client"));
    }
    let proven = match method {
        AuthMethod::None => client.is_public(),
        AuthMethod::ClientSecretPost | AuthMethod::ClientSecretBasic => {
            client.secrets.contains(&claimed.proof)
        }
        AuthMethod::PrivateKeyJwt => return verify(state, client, &claimed.proof),
    };
    if proven { Ok(client) } else { Err(Refusal::client("the client is not authenticated")) }
}

/// The claims of an assertion (RFC 7523 section 3).
#[derive(Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    exp: u64,
    #[serde(default)]
    jti: Option<String>,
}

fn verify(state: &mut State, client: Client, assertion: &str) -> Result<Client, Refusal> {
    let wrong = |why: &str| Refusal::client(format!("the client_assertion {why}"));
    let header = jsonwebtoken::decode_header(assertion).map_err(|_| wrong("is no JWT"))?;
    let mut rules = Validation::new(header.alg);
    // The provider's own clock counts, which may be moved by hand.
    rules.validate_exp = false;
    rules.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    rules.set_issuer(&[&client.id]);
    rules.sub = Some(client.id.clone());
    rules.set_audience(&[state.issuer.clone(), format!("{}/token", state.issuer)]);
    let keys = client.public_keys.iter().filter(|key| key.may_be(header.kid.as_deref()));
    let claims = keys
        .filter_map(|key| key.verifies(header.alg))
        .find_map(|key| jsonwebtoken::decode::<Claims>(assertion, &key, &rules).ok())
        .ok_or_else(|| wrong("has a wrong signature, iss, sub or aud"))?
        .claims;
    if claims.exp <= state.now().as_seconds() {
        return Err(wrong("has expired"));
    }
    let id = claims.jti.ok_or_else(|| wrong("has no jti"))?;
    if !state.assertions.insert(format!("{} {id}", client.id)) {
        return Err(wrong("was used before"));
    }
    Ok(client)
}
