//! What a client is built with.

use keyfob_client::Client;

use crate::{Done, Setting, send};

pub(crate) async fn send_all(setting: &Setting) -> Done {
    let list = async |case: &str, client: Client| send(case, client.contacts().list()).await;
    let builder = || setting.builder();

    let child = builder().run_as_user_id("acc_1").build()?;
    list("contact.list: as a child", child).await?;
    let by_email = builder().run_as_child_user_email("kid+1@example.com").build()?;
    list("contact.list: as a child by e-mail", by_email).await?;
    let both = builder().run_as_user_id("acc_1").run_as_child_user_email("kid@example.com");
    list("contact.list: as a child by both", both.build()?).await?;
    let nobody = builder().run_as_user_id("").run_as_child_user_email("").build()?;
    list("contact.list: as a child without a name", nobody).await?;
    list("contact.list: a timezone", builder().timezone("Europe/Berlin").build()?).await?;
    let headers = builder().header("x-team", "sales").header("x-trace", "a, b");
    list("contact.list: more headers", headers.build()?).await?;
    let beaten = builder().header("authorization", "Basic eA==").header("x-timezone", "UTC");
    let beaten = beaten.timezone("Asia/Tokyo").build()?;
    list("contact.list: headers that options replace", beaten).await?;

    let (_, host) = setting.url.split_once("://").ok_or("no URL")?;
    let elsewhere =
        Client::builder().base_url("https://keyfob.invalid").host(host).protocol("http:");
    let elsewhere = elsewhere.secret(setting.token.clone()).build()?;
    list("contact.list: host and protocol", elsewhere).await?;
    let mirrored = builder().endpoint("/api/v1/contact/list", "/mirror/contacts?from=here");
    send("contact.list: another endpoint", mirrored.build()?.contacts().list().take(1)).await?;

    let first = builder().header("x-team", "old").header("x-trace", "1").timezone("UTC").build()?;
    let second = first.to_builder().header("x-team", "new").run_as_user_id("acc_2").build()?;
    list("extend", second).await?;

    // What the published client does otherwise.
    let below = Client::builder().base_url(format!("{}/vault/", setting.url));
    let below = below.secret(setting.token.clone()).build()?;
    list("contact.list: below a path", below).await
}
