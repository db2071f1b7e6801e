// What runs the examples of the documentation: a client whose server is a table of answers.

use keyfob_client::{Client, Error};

const CONTACT: &str = r#"{"id":"c1","name":"Ann","description":"","fingerprint":"customer:00000042","createdAt":1,"updatedAt":2}"#;
const SECRET: &str = r#"{"id":"s1","name":"GitHub","description":"","type":"oauth","kind":"personal","visibility":"private","status":"authenticated","createdAt":1,"updatedAt":2}"#;
const EVENT: &str = r#"{"id":"e1","createdAt":1,"accountId":"a1","actor":{"type":"key","id":"k1","name":"bot"},"action":"totp.code","object":{"type":"totp","id":"t1"},"result":"ok","requestId":"r1","chain":null,"position":null,"hash":null,"previousHash":null}"#;
const KEY: &str = r#"{"id":"k1","secret":"kfs_1","token":"kft_1","role":"agent","name":"support bot"}"#;
const CODE: &str = r#"{"status":"OK","code":"123456","expires_in":17}"#;
const VERIFIED: &str = r#"{"id":"s1","status":"unauthenticated"}"#;
const LINK: &str = r#"{"id":"s1","url":"http://127.0.0.1:7117/connect/state"}"#;
const MINTED: &str = r#"{"token":"token","expiresAt":null}"#;

/// What the server answers at a path.
fn answer(path: &str) -> &'static str {
    let end = path.rsplit('/').next().unwrap_or_default();
    match end {
        "fetch" => CONTACT,
        "verify" => VERIFIED,
        "authenticate" => LINK,
        "mint" => MINTED,
        "create" if path.contains("/key/") => KEY,
        _ if path.contains("/totp/code/") => CODE,
        _ => r#"{"id":"c1"}"#,
    }
}

/// What is in a list at a path.
fn item(path: &str) -> Option<&'static str> {
    let lists = [("/secret/list", SECRET), ("/contact/list", CONTACT), ("/event/list", EVENT)];
    lists.into_iter().find(|(end, _)| path.ends_with(end)).map(|(_, item)| item)
}

fn respond(request: &reqwest::Request) -> (&'static str, String) {
    let (path, accept) = (request.url().path(), &request.headers()["accept"]);
    let is_behind = request.url().query_pairs().any(|(name, _)| name == "cursor");
    match item(path) {
        Some(_) if is_behind => ("application/json", r#"{"items":[],"cursor":""}"#.into()),
        Some(item) if accept == "application/jsonl" => {
            ("application/jsonl", format!("{{\"type\":\"item\",\"data\":{item}}}\n"))
        }
        Some(item) => ("application/json", format!(r#"{{"items":[{item}],"cursor":"c1"}}"#)),
        None => ("application/json", answer(path).into()),
    }
}

/// Runs an example with a client.
#[allow(dead_code, reason = "some examples wait without a runtime")]
pub(super) fn example(run: impl AsyncFnOnce(Client) -> Result<(), Error>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(client())).unwrap();
}

/// A client that asks nobody.
pub(super) fn client() -> Client {
    let server = tower::service_fn(async |request: reqwest::Request| {
        let (media_type, body) = respond(&request);
        let response = http::Response::builder().header("content-type", media_type).body(body);
        response.map(reqwest::Response::from)
    });
    Client::builder().http_client(server).build().unwrap()
}
