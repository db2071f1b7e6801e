//! How many requests may be under way at a time, and what their answers may take.

use std::pin::pin;

use axum::body::Body as AppBody;
use futures_util::future::{Either, join, select};
use http_body_util::BodyExt;
use hyper::{
    Request, Response,
    header::{CONTENT_ENCODING, HeaderValue},
};
use serde_json::json;

use crate::{
    app::{Setup, TestApp},
    call::Caller,
    passed_on::Scene,
    upstream::{Body, Speaks, Upstream},
};

#[tokio::test]
async fn an_account_has_so_many_requests_under_way_and_the_next_one_is_told_to_wait() {
    let never = async |_| std::future::pending::<Response<Body>>().await;
    let upstream = Upstream::start(Speaks::Clear, never).await;
    let mut setup = Setup::default();
    // Half of these are for requests, and half of those for one account.
    setup.limits.connections = 8;
    let scene = Scene::of(TestApp::with(setup).await, upstream, json!({})).await;
    let agent = scene.app.agent();
    {
        let send = || scene.pass(&agent, "GET", "/", &[], "");
        let under_way = join(send(), send());
        let refused = async {
            while scene.upstream.requests().len() < 2 {
                tokio::task::yield_now().await;
            }
            send().await
        };
        let (under_way, refused) = (pin!(under_way), pin!(refused));
        let Either::Right((back, _)) = select(under_way, refused).await else {
            panic!("the server never answers");
        };
        back.error(429, "too_many_at_once");
        assert_eq!(back.headers["retry-after"], "1");
    }
    // Those have ended with their callers.
    scene.until_events("broke_off", 2).await;
    assert_eq!(scene.upstream.requests().len(), 2);
    let body = json!({"url": "https://elsewhere.example/"});
    scene.send(&agent, body).await.error(400, "invalid_destination");
}

/// An answer whose body nobody takes yet.
async fn opened(scene: &Scene, caller: &Caller, path: &str) -> Response<AppBody> {
    let mut request = Request::builder().uri(scene.path_to(&scene.url(path)));
    for (name, value) in &caller.headers {
        request = request.header(name, value);
    }
    caller.app.handle(request.body(AppBody::empty()).unwrap(), None).await
}

#[tokio::test]
async fn the_decoders_of_an_accounts_answers_take_no_more_memory_than_their_share() {
    let upstream = Upstream::start(Speaks::Clear, async |came| {
        let coding = came.uri().path().trim_start_matches('/').replace('/', ", ");
        let never = http_body_util::StreamBody::new(futures_util::stream::pending());
        let mut response = Response::new(never.boxed_unsync());
        let coding = HeaderValue::try_from(coding).unwrap();
        response.headers_mut().insert(CONTENT_ENCODING, coding);
        response
    });
    let scene = Scene::at(upstream.await, json!({})).await;
    let agent = scene.app.agent();
    for (path, most) in [("/zstd", 14), ("/br", 7), ("/zstd/gzip", 14), ("/zstd/br", 4)] {
        let mut open = vec![];
        for _ in 0..most {
            let answer = opened(&scene, &agent, path).await;
            assert_eq!(answer.status(), 200, "{path}, {}", open.len());
            open.push(answer);
        }
        scene.pass(&agent, "GET", path, &[], "").await.error(502, "upstream_encoding");
        // What nearly all servers do is done all the same.
        assert_eq!(opened(&scene, &agent, "/gzip").await.status(), 200);
        // Those that have ended make room.
        drop(open);
        assert_eq!(opened(&scene, &agent, path).await.status(), 200);
    }
    // Nobody compresses three times.
    scene.pass(&agent, "GET", "/gzip/gzip/gzip", &[], "").await.error(502, "upstream_encoding");
}
