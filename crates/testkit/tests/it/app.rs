//! The client under test: `app`, with a secret, and what it asks of the provider.

use std::time::Duration;

use keyfob_testkit::{Client, IssuedGrant, ManualClock, Options, Provider};
use reqwest::{Response, StatusCode, redirect::Policy};
use serde_json::Value;

pub(crate) const ID: &str = "app";
pub(crate) const SECRET: &str = "app-secret";
pub(crate) const CALLBACK: &str = "https://app.example/callback";
pub(crate) const HOUR: Duration = Duration::from_hours(1);

/// A client that follows no redirect and keeps no connection.
pub(crate) fn http() -> reqwest::Client {
    #[expect(clippy::disallowed_methods, reason = "a test is a caller")]
    let builder = reqwest::Client::builder().no_proxy().redirect(Policy::none());
    builder.pool_max_idle_per_host(0).build().unwrap()
}

/// A provider with the client `app`, and a clock that is moved by hand.
pub(crate) struct App {
    pub(crate) provider: Provider,
    pub(crate) clock: ManualClock,
    pub(crate) http: reqwest::Client,
}

/// What an endpoint answered.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
}

impl Told {
    pub(crate) async fn of(response: Response) -> Self {
        let status = response.status();
        let text = response.text().await.unwrap();
        Self { status, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    /// A field of the answer, which must be there and be text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_else(|| panic!("no {name} in {self:?}")).to_owned()
    }

    pub(crate) fn assert_refused(&self, error: &str) {
        assert_eq!(self.body["error"], error, "{self:?}");
    }

    pub(crate) fn assert_ok(&self) {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
    }
}

impl App {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with other options.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let clock = ManualClock::default();
        let client = Client::confidential(ID, SECRET).redirecting_to(CALLBACK);
        let mut options = Options::default().with_client(client).with_clock(clock.clone());
        change(&mut options);
        Self { provider: Provider::start(options).await.unwrap(), clock, http: http() }
    }

    pub(crate) fn grant(&self) -> IssuedGrant {
        self.provider.issue_grant(ID, HOUR).unwrap()
    }

    /// Posts a form as nobody.
    pub(crate) async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
    ) -> reqwest::Result<Response> {
        self.http.post(self.provider.url(path)).form(form).send().await
    }

    /// Posts a form as `app`.
    pub(crate) async fn ask(&self, path: &str, form: &[(&str, &str)]) -> Told {
        let own = [("client_id", ID), ("client_secret", SECRET)];
        Told::of(self.post(path, &[form, &own].concat()).await.unwrap()).await
    }

    /// Refreshes as `app`, or fails as HTTP does.
    pub(crate) async fn try_refresh(&self, refresh_token: &str) -> reqwest::Result<Response> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", ID),
            ("client_secret", SECRET),
        ];
        self.post("/token", &form).await
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Told {
        Told::of(self.try_refresh(refresh_token).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Told {
        Told::of(self.http.get(self.provider.url(path)).send().await.unwrap()).await
    }

    pub(crate) async fn userinfo(&self, access_token: &str) -> StatusCode {
        let request = self.http.get(self.provider.url("/userinfo")).bearer_auth(access_token);
        request.send().await.unwrap().status()
    }
}
