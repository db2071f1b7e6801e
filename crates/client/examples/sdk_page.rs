//! What `docs/sdk.md` shows in Rust, one task at a time: `sdk_page TASK`. `tests/clients/node/sdk-docs.test.mjs` compares
//! it with the page, and runs it beside the other languages.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program of its own, with an environment, which prints what it is told"
)]

use std::env::var;

use keyfob_client::{Client, ExposeSecret, ProxyRequest, types::ContactFields};

type Done = Result<(), Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keyfob =
        Client::builder().base_url(var("KEYFOB_URL")?).secret(var("KEYFOB_TOKEN")?).build()?;
    match std::env::args().nth(1).as_deref() {
        Some("connect") => connect(&keyfob).await,
        Some("connected") => connected(&keyfob).await,
        Some("send") => send(&keyfob).await,
        Some("code") => code(&keyfob).await,
        Some("list") => list(&keyfob).await,
        Some("ask") => ask(&keyfob).await,
        task => Err(format!("no such task: {task:?}").into()),
    }
}

async fn connect(keyfob: &Client) -> Done {
    let ann = ContactFields {
        fingerprint: Some("customer:00000042".into()),
        name: Some("Ann".into()),
        ..ContactFields::default()
    };
    let contact = keyfob.contacts().ensure(&ann).await?.id;
    let verified = keyfob.contact(contact).secrets().verify("@weather").await?;
    if let Some(action) = verified.action {
        println!("Ann, please open {}", action.url.expose_secret());
    }
    Ok(())
}

async fn connected(keyfob: &Client) -> Done {
    for secret in keyfob.contact(var("CONTACT")?).secrets().list().await?.items {
        println!("{} ({})", secret.name, secret.secret_type);
    }
    Ok(())
}

async fn send(keyfob: &Client) -> Done {
    let request = ProxyRequest::get(format!("{}/today?city=Oslo", var("WEATHER_API")?));
    let answer = keyfob.contact(var("CONTACT")?).secrets().proxy("@weather", &request).await?;
    println!("{} {}", answer.status, answer.text());
    Ok(())
}

async fn code(keyfob: &Client) -> Done {
    let code = keyfob.totp().get_code(&var("TOTP")?).min_validity(10).await?;
    println!("{} for {} s", code.code, code.expires_in);
    Ok(())
}

async fn list(keyfob: &Client) -> Done {
    let mut contacts = keyfob.contacts().list().meta("team", "sales").stream();
    while let Some(contact) = contacts.try_next().await? {
        println!("{}", contact.name);
    }
    Ok(())
}

async fn ask(keyfob: &Client) -> Done {
    let secrets = keyfob.contact(var("CONTACT")?).secrets();
    let request = ProxyRequest::get(format!("{}/today", var("WEATHER_API")?));
    match secrets.proxy("@weather", &request).await {
        Ok(answer) => println!("{}", answer.text()),
        Err(error) => match error.authorization_url() {
            Some(link) => println!("Please open {}", link.expose_secret()),
            None => return Err(error.into()),
        },
    }
    Ok(())
}
