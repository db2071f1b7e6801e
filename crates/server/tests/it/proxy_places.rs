//! How many requests may be under way at a time.

use std::pin::pin;

use futures_util::future::{Either, join, select};
use hyper::Response;
use serde_json::json;

use crate::{
    app::{Setup, TestApp},
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
