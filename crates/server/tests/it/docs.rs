//! The page of the API: it needs nothing of anybody else's, and no key. What it looks like is tested in `tests/browser`.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::app::TestApp;

/// The files that the page names.
fn files(page: &str) -> Vec<&str> {
    let named = page.split(['"', '\'']).filter(|text| text.starts_with("/docs/"));
    named.collect()
}

#[tokio::test]
async fn the_page_of_the_api_consists_of_what_this_server_has_and_runs_nothing_else() {
    let app = TestApp::new().await;
    let page = app.anonymous().get("/docs").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'self'; "));
    for lax in ["unsafe", "*", "http", "nonce"] {
        assert!(!policy.contains(lax), "{policy}");
    }
    let text = page.text();
    let files = files(&text);
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        let answer = app.anonymous().get(file).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.body.len() > 100, "{file}");
    }
    app.anonymous().get("/docs/other.js").await.error(404, "not_found");
}

#[tokio::test]
async fn a_file_of_the_page_comes_compressed_to_whoever_understands_that() {
    let app = TestApp::new().await;
    let file = || app.anonymous().get("/docs/swagger-ui-bundle.js");
    let plain = file().await;
    for (accepted, is_compressed) in [
        ("gzip, br", true),
        ("br, GZIP", true),
        ("gzip;q=1.0", true),
        ("br , gzip ; q=0.001", true),
        ("*", true),
        ("br", false),
        ("gzip;q=0", false),
        ("gzip;q=0.000, *", false),
        ("*;q=0", false),
        ("gzip;q=x", false),
    ] {
        let answer = file().header("accept-encoding", accepted).await;
        let encoding = if is_compressed { "gzip" } else { "" };
        assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        let mut text = Vec::new();
        if is_compressed {
            GzDecoder::new(&*answer.body).read_to_end(&mut text).unwrap();
        } else {
            text = answer.body.clone();
        }
        assert!(text == plain.body, "{accepted}");
    }
}

#[tokio::test]
async fn a_file_of_the_page_is_sent_once_to_whoever_keeps_it() {
    let app = TestApp::new().await;
    for name in ["docs.js", "swagger-ui-bundle.js"] {
        let file = |coding| {
            let call = app.anonymous().get(format!("/docs/{name}"));
            call.header("accept-encoding", coding)
        };
        let tag = file("gzip").await.header("etag").to_owned();
        for known in [tag.clone(), format!("\"x\", W/{tag}"), "*".to_owned()] {
            let answer = file("gzip").header("if-none-match", &known).await;
            assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
            assert_eq!((answer.header("etag"), answer.header("vary")), (&*tag, "accept-encoding"));
        }
        assert_eq!(file("gzip").header("if-none-match", "\"x\"").await.status, 200);
        // What is not compressed is another text.
        let is_compressed = name != "docs.js";
        let plain = file("br").header("if-none-match", &tag).await;
        assert_eq!(plain.status, if is_compressed { 200 } else { 304 }, "{name}");
        assert_eq!(plain.header("etag") != tag, is_compressed, "{name}");
    }
}
