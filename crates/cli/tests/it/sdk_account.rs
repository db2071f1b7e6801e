//! The Rust SDK against the binary: what is about the account itself, its keys, its children and its trail.

use futures_util::TryStreamExt;
use keyfob_client::{
    ExposeSecret, Order,
    types::{CreateAccount, CreateKey, EventQuery, Limits, Search, UpdateAccount, UpdateKey},
};

use crate::{
    database::Kind,
    on_both_databases,
    sdk::{Scene, client},
};

on_both_databases!(
    keys_are_made_limited_and_ended,
    accounts_have_children_that_are_acted_as,
    what_was_done_is_in_the_trail,
    templates_are_listed_and_found,
);

async fn keys_are_made_limited_and_ended(kind: Kind) {
    let scene = Scene::new(kind, "owner");
    let keys = scene.client.keys();
    let agent = CreateKey { role: "agent".into(), name: "bot".into(), ..CreateKey::default() };
    let made = keys.create(&agent).await.unwrap();
    let bot = client(&scene.server, made.token.expose_secret());
    bot.totp().secrets().list().await.unwrap();
    let names: Vec<_> = keys.list().stream().map_ok(|key| key.name).try_collect().await.unwrap();
    assert!(names.contains(&"bot".into()), "{names:?}");
    let limits = UpdateKey { rate: Some(Some(7)), ..UpdateKey::default() };
    assert_eq!(keys.update(&made.id, &limits).await.unwrap().id, made.id);
    let fetched = keys.fetch(&made.id).await.unwrap();
    assert_eq!(fetched.limits, Limits { rate: Some(7), ..Limits::default() });
    assert_eq!(keys.revoke(&made.id).await.unwrap().id, made.id);
    let refused = bot.totp().secrets().list().await.unwrap_err();
    assert_eq!(
        (refused.status().unwrap().as_u16(), refused.code()),
        (401, Some("INVALID_CREDENTIALS"))
    );
}

async fn accounts_have_children_that_are_acted_as(kind: Kind) {
    let scene = Scene::new(kind, "owner");
    let email = Some("child@example.com".into());
    let child = CreateAccount { name: "Child".into(), email };
    let child = scene.client.account().create(&child).await.unwrap();
    for builder in [
        scene.client.to_builder().run_as_user_id(&child.id),
        scene.client.to_builder().run_as_child_user_email("child@example.com"),
    ] {
        let account = builder.build().unwrap().account().fetch().await.unwrap();
        assert_eq!((account.id.as_str(), account.name.as_str()), (child.id.as_str(), "Child"));
    }
    let own = client(&scene.server, child.key.token.expose_secret());
    let renamed = UpdateAccount { name: Some("Grown".into()), ..UpdateAccount::default() };
    assert_eq!(own.account().update(&renamed).await.unwrap().name, "Grown");
    assert_eq!(scene.client.account().delete(&child.id).await.unwrap().id, child.id);
    assert!(own.account().fetch().await.is_err());
}

async fn what_was_done_is_in_the_trail(kind: Kind) {
    let scene = Scene::new(kind, "owner");
    let contact = scene.contact().await;
    scene.client.contact(&contact).delete().await.unwrap();
    let of = EventQuery { object: Some(format!("contact:{contact}")), ..EventQuery::default() };
    let list = || scene.client.events().list().of(&of);
    let wanted = ["contact.delete", "contact.create"];
    for events in [list().items(), list().stream()] {
        let actions: Vec<_> = events.map_ok(|event| event.action).try_collect().await.unwrap();
        assert_eq!(actions, wanted);
    }
}

async fn templates_are_listed_and_found(kind: Kind) {
    let scene = Scene::new(kind, "backend");
    let all =
        scene.client.templates().list().order(Order::Asc).items().try_take(1000).await.unwrap();
    assert!(all.len() > 10 && all.iter().any(|template| template.id == "github"));
    let search = Search { search: "github".into(), take: Some(3) };
    assert_eq!(
        scene.client.templates().search(&search).await.unwrap().items[0].template.id,
        "github"
    );
}
