//! `contact` and `contact.secret`.

use std::time::Duration;

use keyfob_client::{Client, Order, types::ContactFields};
use serde_json::{Map, Value, json};

use crate::{Done, of, send, stream};

pub(crate) fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

pub(crate) async fn send_all(client: &Client) -> Done {
    contacts(client).await?;
    connections(client).await?;
    unlike(client).await
}

async fn contacts(client: &Client) -> Done {
    let contacts = client.contacts();
    send("contact.list", contacts.list()).await?;
    let page = contacts.list().cursor("con_1 & more").order(Order::Asc).take(5);
    send("contact.list: a page", page).await?;
    send("contact.list: the newest first", contacts.list().order(Order::Desc)).await?;
    let kinds = json!({ "take": 10, "meta": {
        "team": "sales & more", "a&b": "1+1=2 %", "name": "Zoë 日本 👩‍👩‍👧‍👦", "empty": "",
        "trial": true, "seats": 3, "share": 0.5, "whole": 2.0, "large": 1e16, "small": 0.00001, "none": null,
    } });
    send("contact.list: meta of every kind", contacts.list().query(&kinds)).await?;
    let filtered = contacts.list().meta("team", "sales & more").meta("plan.tier", "gold");
    send("contact.list: filters by name", filtered).await?;
    stream("contact.list: as a stream", contacts.list().take(3).meta("team", "sales")).await?;
    for case in ["contact.list: remembered", "contact.list: remembered"] {
        of(case, contacts.list().take(7)).cached("week").await?;
    }

    send("contact.fetch", client.contact("con_1").fetch()).await?;
    send("contact.fetch: marks", contacts.fetch("~a-b.c_d!$&'()*+,;=:@")).await?;
    send("contact.fetch: beyond ASCII", contacts.fetch("(Käse 日本 1)")).await?;
    let whole = ContactFields {
        name: Some("Ann \"A\" Lee".into()),
        description: Some("line\nline".into()),
        fingerprint: Some("customer:00000042".into()),
        email: Some("ann@example.com".into()),
        phone: Some("+12025550123".into()),
        nick: Some("annie 🦊".into()),
        preferences: Some(String::new()),
        verified_at: Some(Some(1_775_390_400_000)),
        meta: object(
            json!({ "team": "sales", "deep": { "er": [1, 0.5, null, { "x": true }] }, "none": null }),
        ),
    };
    send("contact.create", contacts.create(&whole)).await?;
    send("contact.create: nothing", contacts.create(&ContactFields::default())).await?;
    let again = contacts.create(&ContactFields::default()).retry_delay(Duration::from_millis(1));
    send("contact.create: sent again", again.header("x-refuse", "2")).await?;
    let change = ContactFields {
        verified_at: Some(None),
        meta: object(json!({ "$update": { "team": null, "deep": { "er": [] } } })),
        ..ContactFields::default()
    };
    send("contact.update", client.contact("con_1").update(&change)).await?;
    let nothing = ContactFields::default();
    let nulls = contacts.update("con_1", &nothing).record(&json!({ "name": null, "meta": null }));
    send("contact.update: nulls", nulls).await?;
    send("contact.delete", client.contact("con_1").delete()).await?;
    let ann = ContactFields {
        fingerprint: Some("customer:00000042".into()),
        name: Some("Ann".into()),
        ..ContactFields::default()
    };
    send("contact.ensure", contacts.ensure(&ann)).await
}

async fn connections(client: &Client) -> Done {
    let secrets = client.contact("con_1").secrets();
    send("contact.secret.list", secrets.list()).await?;
    let page = secrets.list().cursor("sec_9").order(Order::Asc).take(100).meta("team", "a b");
    send("contact.secret.list: a page", page).await?;
    stream("contact.secret.list: as a stream", secrets.list()).await?;
    send("contact.secret.verify", secrets.verify("sec_1")).await?;
    send("contact.secret.verify: by alias", secrets.verify("@github")).await?;
    send("contact.secret.authenticate", secrets.authenticate("(Weather API)")).await?;
    send("contact.secret.revoke", secrets.revoke("sec_1")).await
}

/// What the published client sends elsewhere than it means to.
async fn unlike(client: &Client) -> Done {
    let contacts = client.contacts();
    send("contact.fetch: a slash", contacts.fetch("a/b")).await?;
    send("contact.fetch: dots that climb", contacts.fetch("a/../../secret/sec_1")).await?;
    send("contact.fetch: a question mark", contacts.fetch("a?b")).await?;
    send("contact.fetch: a hash", contacts.fetch("a#b")).await?;
    send("contact.fetch: a percent sign", contacts.fetch("a%2Fb")).await?;
    send("contact.fetch: brackets", contacts.fetch("a[b]|c^d")).await?;
    let deep = json!({ "meta": { "plan": { "tier": "gold" }, "tags": ["a", "b"] } });
    send("contact.list: meta in meta", contacts.list().query(&deep)).await
}
