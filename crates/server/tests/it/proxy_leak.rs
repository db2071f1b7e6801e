//! A server that sends back the credential in every encoding: the caller never sees it. A positive control looks at
//! what was encoded, and has to find it each time.

use std::io::Write;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Request, Response, body::Frame, body::Incoming, ext::ReasonPhrase};
use serde_json::json;

use crate::{
    passed_on::{Back, Scene, TOKEN},
    upstream::{Body, Speaks, Upstream, whole},
};

const REDACTED: &str = "[redacted by keyfob]";

type Way = (&'static str, fn(&str) -> String);

/// Every way in which a text can come back. Each is also the path that asks for it.
const WAYS: &[Way] = &[
    ("plain", |text| format!("you sent: {text}!")),
    ("twice", |text| format!("{text}{text} and {text}")),
    ("base64", |text| format!("<{}>", BASE64.encode(text.as_bytes()))),
    ("base64-1", |text| BASE64.encode(format!("x{text}y").as_bytes())),
    ("base64-2", |text| BASE64.encode(format!("xx{text}yy").as_bytes())),
    ("base64url", |text| BASE64URL_NOPAD.encode(format!("{{\"k\":\"{text}\"}}").as_bytes())),
    ("percent", |text| each_byte(text, |byte| format!("%{byte:02x}"))),
    ("percent-upper", |text| each_byte(text, |byte| format!("%{byte:02X}"))),
    ("percent-some", |text| form_urlencoded::byte_serialize(text.as_bytes()).collect()),
    ("json", |text| json!({"authorization": text}).to_string()),
    ("json-slashes", |text| text.replace('/', "\\/")),
    ("json-u", |text| each_byte(text, |byte| format!("\\u00{byte:02x}"))),
    ("json-some", |text| text.replace('a', "\\u0061").replace('+', "\\u002B")),
    ("hex", |text| HEXLOWER.encode(text.as_bytes())),
    ("hex-upper", |text| HEXUPPER.encode(text.as_bytes())),
];
pub(crate) fn each_byte(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect::<Vec<_>>().concat()
}

pub(crate) const CODINGS: [&str; 5] = ["identity", "gzip", "deflate", "br", "zstd"];

pub(crate) fn coded(body: &str, coding: &str) -> Vec<u8> {
    let bytes = body.as_bytes();
    match coding {
        "gzip" => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        }
        "deflate" => {
            let mut to = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(bytes).unwrap();
            to.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            let params = brotli::enc::BrotliEncoderParams::default();
            brotli::BrotliCompress(&mut &*bytes, &mut out, &params).unwrap();
            out
        }
        "zstd" => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    }
}

/// `/{way}/{coding}/{chunk}`: what `Authorization` said, in that way, so coded, in chunks of so many bytes.
fn echo(request: &Request<Incoming>) -> Response<Body> {
    let token = request.headers()["authorization"].to_str().unwrap().split_once(' ').unwrap().1;
    let mut parts = request.uri().path()[1..].split('/');
    let (way, coding) = (parts.next().unwrap(), parts.next().unwrap_or("identity"));
    let chunk: usize = parts.next().map_or(1 << 20, |chunk| chunk.parse().unwrap());
    let mut answer = Response::builder();
    if way == "header" {
        answer = answer.header("x-echo", format!("Bearer {token}"));
        answer = answer.header("location", format!("https://a.b/?key={token}"));
        return answer.status(302).body(whole("moved")).unwrap();
    }
    if way == "reason" {
        let reason = ReasonPhrase::try_from(format!("No {token}").into_bytes()).unwrap();
        return answer.status(400).extension(reason).body(whole("no")).unwrap();
    }
    if coding != "identity" {
        answer = answer.header("content-encoding", coding);
    }
    let (_, write) = WAYS.iter().find(|(name, _)| *name == way).unwrap();
    let body = coded(&format!("before {} after", write(token)), coding);
    let chunks: Vec<_> = body.chunks(chunk).map(<[u8]>::to_vec).collect();
    let frames = futures_util::stream::iter(chunks).map(|chunk| Ok(Frame::data(chunk.into())));
    answer.body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

use futures_util::StreamExt;

async fn scene() -> Scene {
    let upstream = Upstream::start(Speaks::Clear, async |request| echo(&request)).await;
    Scene::at(upstream, json!({})).await
}

/// Whether somebody who knows every trick finds the credential in this.
fn finds(text: &str) -> bool {
    let percent = percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let unescaped = unescaped(text);
    let plain = [text.to_owned(), percent, unescaped];
    plain.iter().any(|text| text.contains(TOKEN)) || in_runs(text)
}

/// In base64 or hexadecimal, wherever that begins.
fn in_runs(text: &str) -> bool {
    let is_in = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    text.split(|c| !is_in(c)).any(|run| {
        let standard = run.replace('-', "+").replace('_', "/");
        let has = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).contains(TOKEN);
        let base64 = (0..4.min(standard.len())).any(|start| {
            let rest = &standard[start..];
            let whole = &rest[..rest.len() - usize::from(rest.len() % 4 == 1)];
            data_encoding::BASE64_NOPAD.decode(whole.as_bytes()).is_ok_and(has)
                || lenient(whole).is_some_and(has)
        });
        base64 || HEXLOWER.decode(run.to_ascii_lowercase().as_bytes()).is_ok_and(has)
    })
}

/// Whatever the last bits are.
fn lenient(text: &str) -> Option<Vec<u8>> {
    let mut spec = data_encoding::Specification::new();
    spec.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    spec.check_trailing_bits = false;
    spec.encoding().ok()?.decode(text.as_bytes()).ok()
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.strip_prefix('u').and_then(|hex| hex.get(..4));
        match code.and_then(|code| u32::from_str_radix(code, 16).ok()).and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = &after[5..];
            }
            None => rest = after,
        }
    }
    out + rest
}

/// What a caller sees of an answer.
fn seen(back: &Back) -> String {
    let headers = format!("{:?}", back.headers);
    let reason = format!("{:?}", back.reason);
    format!("{reason}\n{headers}\n{}", back.text())
}

#[tokio::test]
async fn the_credential_comes_back_in_no_encoding_no_coding_and_no_chunks() {
    let scene = scene().await;
    let agent = scene.app.agent();
    for (way, _) in WAYS {
        for coding in CODINGS {
            for chunk in ["1", "7", "1000000"] {
                let path = format!("/{way}/{coding}/{chunk}");
                let back = scene.pass(&agent, "GET", &path, &[], "").await;
                assert_eq!(back.status, 200, "{path}: {}", back.text());
                let text = seen(&back);
                assert!(!finds(&text), "{path}: {text}");
                assert!(back.text().contains(REDACTED), "{path}: {text}");
                let body = back.text();
                assert!(body.starts_with("before ") && body.ends_with(" after"), "{path}: {body}");
                assert!(!back.headers.contains_key("content-encoding"), "{path}");
            }
        }
    }
    scene.until_events("redacted", WAYS.len() * CODINGS.len() * 3).await;
}

#[tokio::test]
async fn neither_headers_nor_the_status_line_bring_it_back() {
    let scene = scene().await;
    let agent = scene.app.agent();
    for way in ["header", "reason"] {
        let back = scene.pass(&agent, "GET", &format!("/{way}"), &[], "").await;
        assert!(!finds(&seen(&back)), "{}", seen(&back));
    }
    let back = scene.pass(&agent, "GET", "/header", &[], "").await;
    assert_eq!(back.headers["x-echo"], format!("Bearer {REDACTED}"));
    assert_eq!(back.headers["location"], format!("https://a.b/?key={REDACTED}"));
    scene.until_events("redacted", 3).await;
}

/// The test would notice: each way brings the credential back to whoever asks the server directly.
#[test]
fn whoever_looks_finds_it_where_nobody_takes_it_out() {
    for (way, write) in WAYS {
        assert!(finds(&format!("before {} after", write(TOKEN))), "{way}");
    }
    assert!(!finds(&format!("before {REDACTED} after")));
}

#[tokio::test]
async fn an_answer_without_it_comes_back_as_it_is() {
    let text = "nothing here, kfb-canary+tok or /9f8e7d or a2ZiLWNhbmFyeQ== of it\n".repeat(1000);
    let body = text.clone();
    let upstream = Upstream::start(Speaks::Clear, move |_| {
        let body = body.clone();
        async move { crate::upstream::answer(body) }
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let back = scene.pass(&scene.app.agent(), "GET", "/", &[], "").await;
    assert_eq!(back.text(), text);
}
