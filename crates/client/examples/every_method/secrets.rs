//! `secret` and `platform.secret`.

use keyfob_client::{
    Client, Order,
    types::{Config, Search, SecretFields},
};
use serde_json::json;

use crate::{Done, contacts::object, send, stream};

pub(crate) async fn send_all(client: &Client) -> Done {
    secrets(client).await?;
    templates(client).await
}

async fn secrets(client: &Client) -> Done {
    let secrets = client.secrets();
    send("secret.list", secrets.list()).await?;
    let page = secrets.list().cursor("sec_9").order(Order::Asc).take(1).meta("team", "sales");
    send("secret.list: a page", page).await?;
    stream("secret.list: as a stream", secrets.list().order(Order::Desc)).await?;
    send("secret.fetch", secrets.fetch("sec_1")).await?;
    send("secret.fetch: by name", secrets.fetch("(CI token)")).await?;
    let whole = SecretFields {
        alias: Some("mail".into()),
        name: Some("Mail".into()),
        description: Some("To read \u{2028} mail".into()),
        blueprint_id: Some("blu_1".into()),
        kind: Some("personal".into()),
        secret_type: Some("oauth".into()),
        value: Some("hidden".into()),
        config: object(json!({
            "clientId": "me", "clientSecret": "********", "hosts": ["api.example.com"], "expiresInSeconds": 60,
            "inject": { "header": "X-Api-Key", "prefix": null },
        }))
        .map(Config),
        visibility: Some("private".into()),
        meta: object(json!({ "deep": { "er": null } })),
    };
    send("secret.create", secrets.create(&whole)).await?;
    let change = SecretFields { name: Some("Post".into()), ..SecretFields::default() };
    send("secret.update", secrets.update("@mail", &change)).await?;
    let nulls = json!({ "alias": null, "value": null, "config": null });
    send("secret.update: nulls", secrets.update("sec_1", &change).record(&nulls)).await?;
    send("secret.delete", secrets.delete("sec_1")).await?;
    send("secret.verify", secrets.verify("sec_1")).await?;
    send("secret.authenticate", secrets.authenticate("sec_1")).await?;
    send("secret.revoke", secrets.revoke("sec_1")).await
}

async fn templates(client: &Client) -> Done {
    let templates = client.templates();
    send("platform.secret.list", templates.list()).await?;
    let page = templates.list().cursor("gmail").order(Order::Asc).take(2);
    send("platform.secret.list: a page", page).await?;
    stream("platform.secret.list: as a stream", templates.list()).await?;
    let search = Search { search: "Google & mail".into(), take: Some(3) };
    send("platform.secret.search", templates.search(&search)).await
}
