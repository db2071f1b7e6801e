//! Connecting through `/mcp` anew what can be used already, and what is left in the trail of that.

use serde_json::{Value, json};

use crate::{
    mcp_client::{Client, opens_links},
    mcp_links::{Scene, is_link},
};

/// What says that something is to be connected anew.
fn reconnect(scene: &Scene) -> Value {
    let mut arguments = scene.which.clone();
    arguments["reconnect"] = json!(true);
    arguments
}

impl Scene {
    /// With something connected an hour ago.
    async fn connected() -> Self {
        let scene = Self::new().await;
        scene.reconnected().await;
        scene.app.clock.advance_seconds(3600);
        scene
    }

    /// Whether it can be used, and whether that is what the page brought that was asked for last.
    async fn verified(&self, client: &Client) -> [Value; 2] {
        let mut arguments = self.which.clone();
        let now = client.done("verify_secret", arguments.clone()).await["status"].clone();
        arguments["reconnected"] = json!(true);
        [now, client.done("verify_secret", arguments).await["status"].clone()]
    }

    async fn links_made(&self) -> usize {
        let events = self.app.events().await;
        events.iter().filter(|event| event.action == "connection.authenticate").count()
    }
}

#[tokio::test]
async fn a_client_with_a_session_calls_again_when_it_was_connected_anew_and_is_done() {
    let scene = Scene::connected().await;
    let client = Client::begin(scene.app.agent(), opens_links()).await;
    let asked = client.call("authenticate_secret", reconnect(&scene)).await;
    let url = asked["error"]["data"]["elicitations"][0]["url"].clone();
    assert!(is_link(&url), "{asked}");
    // The same page is shown as long as nobody was there.
    let again = client.call("authenticate_secret", reconnect(&scene)).await;
    assert_eq!(again["error"]["data"]["elicitations"][0]["url"], url, "{again}");
    scene.app.clock.advance_seconds(60);
    scene.connect_at(&url).await;
    let done = client.done("authenticate_secret", reconnect(&scene)).await;
    assert_eq!(done["status"], "authenticated", "{done}");
    // The next time is another one.
    scene.app.clock.advance_seconds(15 * 60);
    let asked = client.call("authenticate_secret", reconnect(&scene)).await;
    let next = &asked["error"]["data"]["elicitations"][0]["url"];
    assert!(is_link(next) && *next != url, "{asked}");
}

#[tokio::test]
async fn a_client_without_a_session_is_not_done_before_it_was_connected_anew() {
    let scene = Scene::connected().await;
    let client = Client::stateless(scene.app.agent(), opens_links());
    let ask = async |action| {
        let params = Scene::params("authenticate_secret", &reconnect(&scene), action);
        client.ask("tools/call", params).await.ok()["result"].clone()
    };
    for _ in 0..2 {
        let asked = ask(None).await;
        let url = asked["inputRequests"]["connect"]["params"]["url"].clone();
        assert!(is_link(&url), "{asked}");
        let waiting = ask(Some("accept")).await["structuredContent"].clone();
        assert_eq!(waiting["status"], "waiting", "{waiting}");
        assert!(waiting["next"].as_str().unwrap().contains("`reconnected`"), "{waiting}");
        assert_eq!(scene.verified(&client).await, ["authenticated", "unauthenticated"]);
        scene.app.clock.advance_seconds(60);
        scene.connect_at(&url).await;
        let done = ask(Some("accept")).await["structuredContent"].clone();
        assert_eq!(done["status"], "authenticated", "{done}");
        assert_eq!(scene.verified(&client).await, ["authenticated", "authenticated"]);
        scene.app.clock.advance_seconds(60);
    }
}

#[tokio::test]
async fn a_model_is_told_how_to_see_that_it_was_connected_anew() {
    let scene = Scene::connected().await;
    let client = Client::new(scene.app.agent());
    assert_eq!(scene.verified(&client).await, ["authenticated", "unauthenticated"]);
    for _ in 0..2 {
        let waiting = client.done("authenticate_secret", reconnect(&scene)).await;
        assert_eq!(waiting["status"], "waiting");
        assert!(waiting["next"].as_str().unwrap().contains("`reconnected`"), "{waiting}");
        assert_eq!(scene.verified(&client).await, ["authenticated", "unauthenticated"]);
        scene.app.clock.advance_seconds(60);
        scene.connect_at(&waiting["url"]).await;
        assert_eq!(scene.verified(&client).await, ["authenticated", "authenticated"]);
        scene.app.clock.advance_seconds(60);
    }
}

#[tokio::test]
async fn of_another_keys_link_nobody_is_told() {
    let scene = Scene::connected().await;
    let theirs = Client::new(scene.app.backend());
    let waiting = theirs.done("authenticate_secret", reconnect(&scene)).await;
    scene.connect_at(&waiting["url"]).await;
    let client = Client::new(scene.app.agent());
    assert_eq!(scene.verified(&client).await, ["authenticated", "unauthenticated"]);
}

#[tokio::test]
async fn no_link_is_made_that_nobody_is_handed() {
    let scene = Scene::new().await;
    let words = Client::new(scene.app.agent());
    words.done("verify_secret", scene.which.clone()).await;
    assert_eq!(scene.links_made().await, 0);
    let mut arguments = scene.which.clone();
    arguments["return_url"] = json!("https://evil.example/");
    assert_eq!(words.code_of("authenticate_secret", arguments).await, "INVALID_RETURN_URL");
    assert_eq!(scene.links_made().await, 0);
    let client = Client::stateless(scene.app.agent(), opens_links());
    for action in [None, Some("accept"), Some("decline")] {
        let params = Scene::params("authenticate_secret", &scene.which, action);
        client.ask("tools/call", params).await.ok();
        scene.app.clock.advance_seconds(6 * 60);
    }
    assert_eq!(scene.links_made().await, 1);
}

#[tokio::test]
async fn an_answer_of_a_person_counts_only_where_one_could_be_asked() {
    let scene = Scene::new().await;
    let client = Client::stateless(scene.app.agent(), opens_links());
    let mut nobody = scene.which.clone();
    nobody["contact"] = json!("con_nobody");
    for action in ["decline", "accept"] {
        let params = Scene::params("authenticate_secret", &nobody, Some(action));
        let answer = client.ask("tools/call", params).await.ok();
        assert_eq!(answer["result"]["isError"], true, "{action}: {answer}");
    }
    // Nobody was shown anything yet.
    let params = Scene::params("authenticate_secret", &scene.which, Some("accept"));
    let asked = client.ask("tools/call", params).await.ok();
    let url = &asked["result"]["inputRequests"]["connect"]["params"]["url"];
    assert!(is_link(url), "{asked}");
}
