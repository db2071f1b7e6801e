//! A server that sends back the whole request, wherever in it the credential is and whatever the server makes of it.
//! A positive control sends the same request directly, and has to find the credential each time.

use bytes::Bytes;
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::{
    passed_on::{Scene, TOKEN, ask},
    proxy_leak::{CODINGS, coded},
    secret,
    upstream::{Body, Came, Speaks, Upstream, answer, whole},
};

type Way = (&'static str, fn(&str) -> Vec<u8>);

/// What a server may make of the text of a request. Each is also the path that asks for it.
const WAYS: &[Way] = &[
    ("plain", |text| text.into()),
    ("upper", |text| text.to_ascii_uppercase().into()),
    ("lower", |text| text.to_ascii_lowercase().into()),
    ("parts", |text| text.replace([' ', '=', ':', ';', ',', '"', '&'], "\n").into()),
    ("json", |text| json!({"request": text}).to_string().into()),
    ("percent", |text| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().into()),
    ("base64", |text| BASE64.encode(text.as_bytes()).into()),
    ("base64url", |text| BASE64URL_NOPAD.encode(text.as_bytes()).into()),
    ("hex", |text| HEXLOWER.encode(text.as_bytes()).into()),
    ("utf16le", |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ("utf16be", |text| text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
];

/// What the server got, in the way that its path says. With a coding behind that, so coded for its transfer.
fn echo(request: &Request<Incoming>) -> Response<Body> {
    let line = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        format!("{name}: {}\r\n", value.to_str().unwrap())
    };
    let headers: String = request.headers().iter().map(line).collect();
    let text = format!("{} {} HTTP/1.1\r\n{headers}\r\n", request.method(), request.uri());
    let mut parts = request.uri().path()[1..].split('/');
    let way = parts.next().unwrap();
    let (_, write) = WAYS.iter().find(|(name, _)| *name == way).unwrap();
    let Some(coding) = parts.next() else { return answer(write(&text)) };
    let body = coded(&text, coding);
    let codings = format!("{coding}, chunked");
    Response::builder().header("transfer-encoding", codings).body(whole(body)).unwrap()
}

/// A service and that server.
async fn scene() -> Scene {
    let upstream = Upstream::start(Speaks::Clear, async |request| echo(&request)).await;
    Scene::at(upstream, json!({})).await
}

/// A shared secret that may be sent there.
async fn shared(scene: &Scene, kind: &str, value: &str, mut config: Value) -> String {
    config["hosts"] = json!([format!("127.0.0.1:{}", scene.upstream.port())]);
    let body = json!({"type": kind, "value": value, "config": config});
    secret::create(&scene.app.backend(), body).await
}

/// The same request without Keyfob between: what comes back.
async fn directly(upstream: &Upstream, got: &Came) -> Bytes {
    let stream = TcpStream::connect(("127.0.0.1", upstream.port())).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().method(got.method.clone()).uri(got.uri.clone());
    *request.headers_mut().unwrap() = got.headers.clone();
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

/// Whether somebody who decodes whatever can be decoded, twice, has this in the end, in any case of letters.
fn finds(seen: &[u8], secret: &str) -> bool {
    let secret = secret.to_ascii_lowercase();
    let mut texts = vec![seen.to_vec()];
    texts.extend([u16::from_le_bytes, u16::from_be_bytes].into_iter().flat_map(|order| {
        [0, 1].map(|skipped| {
            let units = seen[skipped..].as_chunks().0.iter().map(|unit| order(*unit));
            String::from_utf16_lossy(&units.collect::<Vec<_>>()).into_bytes()
        })
    }));
    for _ in 0..2 {
        let decoded: Vec<_> = texts.iter().flat_map(|text| decodings(text)).collect();
        texts.extend(decoded);
    }
    let has = |text: &Vec<u8>| String::from_utf8_lossy(text).to_ascii_lowercase().contains(&secret);
    texts.iter().any(has)
}

fn decodings(text: &[u8]) -> Vec<Vec<u8>> {
    let mut decoded = vec![percent_encoding::percent_decode(text).collect()];
    let is_in = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
    for run in text.split(|byte| !is_in(byte)).filter(|run| run.len() >= 12) {
        let standard = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => *byte,
        };
        let run: Vec<u8> = run.iter().map(standard).collect();
        for skipped in 0..4 {
            let run = &run[skipped..];
            decoded.extend(BASE64_NOPAD.decode(&run[..run.len() / 4 * 4]));
        }
        // What is over fills no byte, or one or two.
        let filled = [&run[..], &b"AAA"[..(4 - run.len() % 4) % 4]].concat();
        decoded.extend(BASE64_NOPAD.decode(&filled));
        decoded.extend(HEXLOWER_PERMISSIVE.decode(&run[..run.len() / 2 * 2]));
    }
    decoded
}

fn encoded(pair: &str) -> String {
    BASE64_NOPAD.encode(pair.as_bytes())
}

/// Wherever it goes: the texts of a request that would tell it.
fn injected() -> Vec<(&'static str, String, Value, Vec<String>)> {
    // What fills up a credential tells nothing of it.
    let known = TOKEN.trim_end_matches('=').to_owned();
    let pair = json!({"username": "ann", "password": TOKEN}).to_string();
    let of_pair = vec![known.clone(), encoded(&format!("ann:{TOKEN}"))];
    let of = |secret: &str| vec![known.clone(), encoded(secret)];
    let signs = json!({"signing": "sigv4", "region": "eu-west-1", "service": "dynamodb"});
    let any = TOKEN.to_owned();
    let own = |text: &str| text.replace("TOKEN", TOKEN);
    vec![
        ("bearer", any.clone(), json!({}), vec![known.clone()]),
        ("plain", any.clone(), json!({}), vec![known.clone()]),
        ("plain", own("session=TOKEN; path=/"), json!({}), vec![known.clone()]),
        ("plain", own("Digest nonce=\"1\", token=\"TOKEN\""), json!({}), vec![known.clone()]),
        (
            "plain",
            format!("Basic {}", BASE64.encode(format!("ann:{TOKEN}").as_bytes())),
            json!({}),
            of_pair.clone(),
        ),
        ("basic", pair.clone(), json!({}), of_pair.clone()),
        ("basic", pair.clone(), json!({"inject": {"header": "X-Key"}}), of_pair),
        ("bearer", any.clone(), json!({"inject": {"basic": "username"}}), of(&format!("{TOKEN}:"))),
        (
            "bearer",
            any.clone(),
            json!({"inject": {"basic": "password", "username": "x-access-token"}}),
            of(&format!("x-access-token:{TOKEN}")),
        ),
        ("plain", any.clone(), json!({"inject": {"query": "key"}}), vec![known.clone()]),
        ("plain", any, json!({"inject": {"header": "X-Key"}}), vec![known]),
        ("basic", pair, signs, vec![]),
    ]
}

#[tokio::test]
async fn a_whole_request_that_comes_back_does_not_hold_the_credential_wherever_it_was_put() {
    let scene = scene().await;
    let agent = scene.app.agent();
    for (kind, value, config, secrets) in injected() {
        let to = secret::path(&shared(&scene, kind, &value, config.clone()).await, "proxy");
        for (way, _) in WAYS {
            let url =
                json!({"url": scene.url(&format!("/{way}?page=2")), "headers": {"X-Own": "1"}});
            let back = ask(&agent, &to, &url).await;
            assert_eq!(back.status, 200, "{}", back.text());
            let got = scene.got();
            let control = directly(&scene.upstream, &got).await;
            let mut secrets = secrets.clone();
            if config["signing"] == "sigv4" {
                let said = got.headers["authorization"].to_str().unwrap();
                secrets.push(said.split_once("Signature=").unwrap().1.to_owned());
            }
            for secret in secrets {
                let told = format!("{kind} {config} {way}: {secret} in {}", back.text());
                assert!(!finds(&back.body, &secret), "{told}");
                let of_case = ["upper", "lower"].contains(way);
                // Base64 in another case is not what it was, but can be guessed.
                assert!(of_case || finds(&control, &secret), "the control is blind: {told}");
            }
            let text =
                if way.starts_with("utf16") { back.text().replace('\0', "") } else { back.text() };
            assert!(text.contains("[redacted by keyfob]"), "{kind} {config} {way}: {text}");
        }
    }
    scene.until_events("redacted", injected().len() * WAYS.len()).await;
}

/// RFC 9112, section 6.1: a body may be coded for its transfer as well, which no header of its content tells.
#[tokio::test]
async fn what_is_coded_for_its_transfer_is_looked_into_or_refused() {
    let scene = scene().await;
    let agent = scene.app.agent();
    for coding in CODINGS {
        let back = scene.pass(&agent, "GET", &format!("/plain/{coding}"), &[], "").await;
        assert_eq!(back.status, 200, "{coding}: {}", back.text());
        assert!(!finds(&back.body, TOKEN), "{coding}: {}", back.text());
        assert!(back.text().contains("authorization: Bearer [redacted by keyfob]"), "{coding}");
        for name in ["transfer-encoding", "content-encoding"] {
            assert!(!back.headers.contains_key(name), "{coding}: {name}");
        }
        let control = directly(&scene.upstream, &scene.got()).await;
        assert_eq!(control.starts_with(b"GET /plain"), coding == "identity", "{coding}");
    }
    for coding in ["compress", "gzip;q=1", "chunked", "secret, gzip"] {
        let path = format!("/plain/{}", coding.replace(' ', "%20"));
        let back = scene.pass(&agent, "GET", &path, &[], "").await;
        back.error(502, "upstream_encoding");
    }
    scene.until_events("failed", 4).await;
}
