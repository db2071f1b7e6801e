//! Sends what the published JavaScript clients send, call by call, to the server that `KEYFOB_URL` names.
//! `tests/clients/node/sdk-requests.test.mjs` has the other side of each call, and compares the requests.

#![expect(
    clippy::disallowed_methods,
    reason = "a program of its own, with an environment and a client of its own"
)]

mod contacts;
mod fetch;
mod options;
mod secrets;
mod totp;

use std::{env, error::Error};

use keyfob_client::{Client, ClientBuilder, FromAnswer, Request, types::Page};
use serde::de::DeserializeOwned;

type Done = Result<(), Box<dyn Error>>;

/// The server and the credentials that both sides have.
struct Setting {
    url: String,
    token: String,
    key: [String; 2],
}

impl Setting {
    fn read() -> Result<Self, env::VarError> {
        let key = [env::var("KEYFOB_KEY_ID")?, env::var("KEYFOB_KEY_SECRET")?];
        Ok(Self { url: env::var("KEYFOB_URL")?, token: env::var("KEYFOB_TOKEN")?, key })
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder().base_url(&self.url).secret(self.token.clone())
    }
}

/// Says in a request which case it is of.
fn of<T>(case: &str, request: Request<T>) -> Request<T> {
    request.header("x-case", case)
}

async fn send<T: FromAnswer + 'static>(case: &str, request: Request<T>) -> Done {
    of(case, request).await.map(drop).map_err(|error| format!("{case}: {error}").into())
}

async fn stream<T>(case: &str, request: Request<Page<T>>) -> Done
where
    T: DeserializeOwned + Send + 'static,
{
    let mut items = of(case, request).stream();
    while items.try_next().await.map_err(|error| format!("{case}: {error}"))?.is_some() {}
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Done {
    let setting = Setting::read()?;
    let client = setting.builder().build()?;
    contacts::send_all(&client).await?;
    secrets::send_all(&client).await?;
    options::send_all(&setting).await?;
    fetch::send_all(&client).await?;
    totp::send_all(&setting).await
}
