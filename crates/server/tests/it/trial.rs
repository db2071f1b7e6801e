//! `validateUrl`: whether whoever a token is for takes it. What an answer says changes nothing that is stored.

use keyfob_testkit::{Endpoint, Fault};
use serde_json::{Value, json};

use crate::scene::{LIFE, Scene};

/// A connected scene whose secret says where tokens are tried.
async fn tried_at(path: &str) -> Scene {
    let (scene, _) = Scene::connected().await;
    scene.configure(&json!({"validateUrl": scene.provider.url(path)})).await.ok();
    scene
}

fn told(verified: &Value) -> (&str, &str) {
    let text = |name: &str| verified[name].as_str().unwrap_or_default();
    (text("status"), text("reason"))
}

#[tokio::test]
async fn a_token_that_is_taken_is_good() {
    let scene = tried_at("/userinfo").await;
    assert_eq!(told(&scene.verify().await), ("authenticated", ""));
    assert_eq!(scene.provider.ledger().at(Endpoint::Userinfo).count(), 1);
    scene.outlive();
    assert_eq!(told(&scene.verify().await), ("authenticated", ""), "it is renewed first");
    assert_eq!(scene.asked(), 1);
}

/// W5: one bad answer must not cost anybody their grant.
#[tokio::test]
async fn a_token_that_is_refused_is_said_so_and_kept() {
    let scene = tried_at("/userinfo").await;
    let before = scene.token().await;
    scene.provider.script(Endpoint::Userinfo, Fault::status(401, "text/plain", "no")).times(2);
    for _ in 0..2 {
        let verified = scene.verify().await;
        assert_eq!(
            told(&verified),
            ("unauthenticated", "the service that it is for does not take the token")
        );
    }
    assert_eq!(told(&scene.verify().await), ("authenticated", ""));
    assert_eq!((scene.token().await, scene.asked()), (before, 0));
}

#[tokio::test]
async fn any_other_answer_says_nothing_of_the_token() {
    let scene = tried_at("/userinfo").await;
    for (fault, says) in [
        (Fault::status(403, "text/plain", "no"), "HTTP 403"),
        (Fault::status(404, "text/plain", "no"), "HTTP 404"),
        (Fault::internal_error(), "HTTP 500"),
        (Fault::redirect("http://127.0.0.1:9/"), "HTTP 302"),
        (Fault::DropBefore, "could not be tried"),
    ] {
        scene.provider.script(Endpoint::Userinfo, fault);
        let verified = scene.verify().await;
        let (status, reason) = told(&verified);
        assert!(status == "authenticated" && reason.contains(says), "{says}: {verified}");
    }
    scene.app.clock.advance(LIFE / 2);
    assert_eq!(told(&scene.verify().await), ("authenticated", ""));
}

/// A token that has ended is refused, which says nothing of a grant that will be renewed.
#[tokio::test]
async fn a_token_that_cannot_be_renewed_yet_is_not_tried() {
    let scene = tried_at("/userinfo").await;
    scene.outlive();
    scene.provider.script(Endpoint::Token, Fault::internal_error()).always();
    let verified = scene.verify().await;
    let (status, reason) = told(&verified);
    assert!(status == "authenticated" && reason.contains("HTTP 500"), "{verified}");
    assert_eq!(scene.provider.ledger().at(Endpoint::Userinfo).count(), 0);
}
