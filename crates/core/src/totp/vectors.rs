//! Runs the shared test vectors (`tests/vectors/totp.json`), as far as they can be judged without
//! HTTP. The `body:` ones and the unknown id are run against the server.

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::Value;

use super::{Algorithm, Kind, Parameters, Seed, uri};

const VECTORS: &str = include_str!("../../../../tests/vectors/totp.json");

/// So that no vector is left out unnoticed: these two together are all of the file.
const JUDGED_HERE: usize = 91;
const JUDGED_OVER_HTTP: usize = 8;

#[derive(Deserialize)]
struct Vector {
    name: String,
    uri: Option<String>,
    secret: Option<String>,
    algorithm: Option<String>,
    digits: Option<Value>,
    period: Option<u32>,
    time: i64,
    expected: Expected,
    #[serde(default)]
    parsed: Parsed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    code: Option<String>,
    expires_in: Option<u32>,
    error: Option<String>,
    #[serde(rename = "status")]
    _status: Option<u16>, // for the server's own run
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Parsed {
    secret: Option<String>,
    issuer: Option<String>,
    account: Option<String>,
    r#type: Option<String>,
    algorithm: Option<String>,
    digits: Option<u8>,
    period: Option<u32>,
}

/// What came out, in the words of the vectors: code and seconds left, or the name of the error.
type Outcome = Result<(String, u32), &'static str>;

fn needs_http(vector: &Vector) -> bool {
    vector.name.starts_with("body:") || vector.name == "code for an unknown id"
}

fn run(vector: &Vector) -> Outcome {
    let (seed, parameters) = match &vector.uri {
        Some(uri) => read_uri(vector, uri)?,
        None => read_fields(vector)?,
    };
    let step = parameters.step_at(vector.time).map_err(|_| "time_before_epoch")?;
    let left = parameters.expires_in(vector.time).unwrap();
    Ok((parameters.code(&seed, step).as_str().to_owned(), left))
}

fn read_uri(vector: &Vector, uri: &str) -> Result<(Seed, Parameters), &'static str> {
    let read = uri::parse(uri).map_err(|error| error.code())?;
    let Vector { name, parsed, .. } = vector;
    if parsed.issuer.is_some() {
        assert_eq!(read.issuer, parsed.issuer, "{name}");
    }
    if let Some(account) = &parsed.account {
        assert_eq!(&read.account, account, "{name}");
    }
    Ok((read.seed, read.parameters))
}

fn read_fields(vector: &Vector) -> Result<(Seed, Parameters), &'static str> {
    let seed =
        Seed::from_base32(vector.secret.as_deref().unwrap()).map_err(|error| error.code())?;
    let algorithm = Algorithm::parse(vector.algorithm.as_deref().unwrap_or("SHA1")).unwrap();
    let digits = vector.digits.as_ref().map_or(6, |digits| digits.as_u64().unwrap());
    let digits = u32::try_from(digits).unwrap();
    let period = vector.period.unwrap_or(30);
    let parameters = Parameters::new(Kind::Totp, algorithm, digits, period);
    Ok((seed, parameters.map_err(|error| error.code())?))
}

/// The parsed fields that both ways of giving a secret have.
fn check_parsed(vector: &Vector) {
    let Vector { name, parsed, .. } = vector;
    let Ok((seed, parameters)) = (match &vector.uri {
        Some(uri) => read_uri(vector, uri),
        None => read_fields(vector),
    }) else {
        return;
    };
    if let Some(secret) = &parsed.secret {
        assert_eq!(seed.to_base32().expose_secret(), secret, "{name}");
    }
    if let Some(kind) = &parsed.r#type {
        assert_eq!(parameters.kind().as_str(), kind, "{name}");
    }
    if let Some(algorithm) = &parsed.algorithm {
        assert_eq!(parameters.algorithm().as_str(), algorithm, "{name}");
    }
    if let Some(digits) = parsed.digits {
        assert_eq!(parameters.digits(), digits, "{name}");
    }
    if let Some(period) = parsed.period {
        assert_eq!(parameters.period(), period, "{name}");
    }
}

fn expected(vector: &Vector) -> Result<(String, u32), &str> {
    match &vector.expected.error {
        Some(error) => Err(error),
        None => Ok((vector.expected.code.clone().unwrap(), vector.expected.expires_in.unwrap())),
    }
}

#[test]
fn every_shared_vector_that_needs_no_http_comes_out() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    let (over_http, here): (Vec<_>, Vec<_>) = vectors.iter().partition(|v| needs_http(v));
    for vector in &here {
        assert_eq!(run(vector), expected(vector), "{}", vector.name);
        check_parsed(vector);
    }
    assert_eq!((here.len(), over_http.len()), (JUDGED_HERE, JUDGED_OVER_HTTP));
}

#[test]
fn no_error_of_a_shared_vector_repeats_its_secret() {
    let vectors: Vec<Vector> = serde_json::from_str(VECTORS).unwrap();
    for vector in &vectors {
        let Some(secret) = vector.secret.as_deref().filter(|secret| secret.len() > 4) else {
            continue;
        };
        if let Err(error) = Seed::from_base32(secret) {
            assert!(!error.to_string().contains(secret), "{}", vector.name);
        }
    }
}
