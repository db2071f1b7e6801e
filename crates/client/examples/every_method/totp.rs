//! `v2.totp` and `v2.totp.secrets`, of Sendblue's client.

use keyfob_client::{Client, types::CreateTotp};
use serde_json::json;

use crate::{Done, Setting, send};

pub(crate) async fn send_all(setting: &Setting) -> Done {
    let [id, secret] = setting.key.clone();
    let client = Client::builder().base_url(&setting.url).key_pair(id, secret).build()?;
    let (totp, secrets) = (client.totp(), client.totp().secrets());
    send("v2.totp.getCode", totp.get_code("550e8400-e29b-41d4-a716-446655440000")).await?;
    let wish = totp.get_code("t1").min_validity(10).unique();
    send("v2.totp.getCode: a wish", wish).await?;
    send("v2.totp.getCode: the next one too", totp.get_code("t1").include_next()).await?;
    send("v2.totp.getCode: an id that is encoded", totp.get_code("a b/c?d#e%é[]|^\"@:!$&'()*+,;="))
        .await?;
    let more = totp.get_code("t1").header("x-team", "sales").query(&json!({ "q": "a b/é*~" }));
    send("v2.totp.getCode: options", more).await?;
    let retried = totp.get_code("t1").header("x-refuse", "1");
    send("v2.totp.getCode: a retry", retried).await?;

    send("v2.totp.secrets.list", secrets.list()).await?;
    let whole = CreateTotp {
        label: Some("GitHub - agent@example.com".into()),
        secret: Some("JBSWY3DPEHPK3PXP".into()),
        issuer: Some("GitHub".into()),
        algorithm: Some("SHA256".into()),
        digits: Some(8),
        period: Some(60),
        ..CreateTotp::default()
    };
    send("v2.totp.secrets.create", secrets.create(&whole)).await?;
    let scanned = CreateTotp {
        uri: Some("otpauth://totp/A%20B:c?secret=JBSWY3DPEHPK3PXP&issuer=A%20B".into()),
        ..CreateTotp::default()
    };
    send("v2.totp.secrets.create: a URI", secrets.create(&scanned)).await?;
    send("v2.totp.secrets.delete", secrets.delete("550e8400-e29b-41d4-a716-446655440000")).await?;

    let bearer = setting.builder().build()?;
    send("v2.totp.secrets.list: with a token", bearer.totp().secrets().list()).await
}
