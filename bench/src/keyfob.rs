//! The server under test: starting it, making a key, storing secrets.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{process::Command, time::sleep};

use crate::{
    args::Auth,
    clock::{ms_since, now},
    context::{Context, clean},
    http::{self, Headers, Job},
    number::base32_secret,
    process::{Server, output},
    sample::Subject,
    wrk::Script,
};

/// How a Keyfob server is to be started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    binary: PathBuf,
    /// Its data directory, which also takes the scripts that ask it.
    pub(crate) folder: PathBuf,
    pub(crate) audit: &'static str,
    pub(crate) database_url: Option<String>,
    pub(crate) variables: Vec<(&'static str, String)>,
    auth: Auth,
}

/// A running Keyfob server.
#[derive(Debug)]
pub(crate) struct Keyfob {
    pub(crate) server: Server,
    pub(crate) port: u16,
    /// From the start of the process until it said that it is ready.
    pub(crate) ready_ms: f64,
}

impl Setup {
    /// A server on SQLite in a folder of its own.
    pub(crate) fn new(context: &Context, name: &str, audit: &'static str) -> Result<Self> {
        Ok(Self {
            binary: context.keyfob.clone(),
            folder: context.folder(name)?,
            audit,
            database_url: None,
            variables: Vec::new(),
            auth: context.args.auth,
        })
    }

    /// Where the server keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = clean(&self.binary);
        command
            .args(words)
            .current_dir(&self.folder)
            .env("KEYFOB_LISTEN", "127.0.0.1:0")
            .env("KEYFOB_DATA_DIR", self.data())
            .env("KEYFOB_AUDIT", self.audit)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(url) = &self.database_url {
            command.env("KEYFOB_DATABASE_URL", url);
        }
        command
    }

    /// Starts the server and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Keyfob> {
        let started = now();
        let (server, port) = Server::listening("keyfob", self.command(&["serve"])).await?;
        match self.ready(port, started).await {
            Ok(ready_ms) => Ok(Keyfob { server, port, ready_ms }),
            Err(error) => Err(server.failure(&format!("is not ready: {error:#}"))),
        }
    }

    async fn ready(&self, port: u16, started: Instant) -> Result<f64> {
        let request = http::request("GET", "/readyz", &Headers::new(), None);
        loop {
            let answer = http::ask(port, &request).await;
            let passed = ms_since(started);
            match answer {
                Ok(answer) if answer.status == 200 => return Ok(passed),
                Ok(answer) if passed > 60_000.0 => bail!("/readyz answers {}", answer.status),
                Err(error) if passed > 60_000.0 => return Err(error),
                _ => sleep(Duration::from_millis(1)).await,
            }
        }
    }

    /// The same, reaching providers on this machine.
    pub(crate) fn reaching_loopback(mut self) -> Self {
        self.variables.push(("KEYFOB_EGRESS_ALLOW", "127.0.0.1".to_owned()));
        self
    }

    /// The token of a new key of role `backend`.
    pub(crate) async fn token(&self) -> Result<String> {
        let key = self.new_key().await?;
        Ok(key["token"].as_str().context("the new key has no token")?.to_owned())
    }

    /// Makes a key of role `backend`, straight on the database.
    async fn new_key(&self) -> Result<Value> {
        let data = self.data();
        let mut words = vec!["key", "create", "--role", "backend", "--name", "bench", "--json"];
        let data = data.to_str().context("the folder's name is not text")?;
        words.extend(["--data-dir", data]);
        if let Some(url) = &self.database_url {
            words.extend(["--database-url", url]);
        }
        serde_json::from_str(&output(self.command(&words)).await?)
            .context("keyfob key create --json printed no JSON")
    }

    /// The headers of a new key of role `backend`.
    pub(crate) async fn key(&self) -> Result<Headers> {
        let key = self.new_key().await?;
        let part = |name: &str| {
            key[name]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("keyfob key create --json printed no {name}"))
        };
        Ok(match self.auth {
            Auth::Pair => vec![
                ("sb-api-key-id".to_owned(), part("id")?),
                ("sb-api-secret-key".to_owned(), part("secret")?),
            ],
            Auth::Bearer => {
                vec![("authorization".to_owned(), format!("Bearer {}", part("token")?))]
            }
        })
    }
}

impl Keyfob {
    /// Where it is.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The server as something to put under load: codes of random ids.
    pub(crate) fn subject(
        &self,
        name: &str,
        folder: &Path,
        headers: &Headers,
        ids: &[String],
    ) -> Result<Subject> {
        let paths = ids.iter().map(|id| code_path(id));
        let script = Script::random(folder, "codes", "GET", headers, paths)?;
        Ok(Subject::new(name, self.server.pid(), self.port, script))
    }

    /// An error with the server's last output, if there was an error.
    pub(crate) fn explain<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| self.server.failure(&format!("did not do as expected: {error:#}")))
    }
}

/// The path of an entry's code.
pub(crate) fn code_path(id: &str) -> String {
    format!("/api/v2/totp/code/{id}")
}

/// Stores `count` secrets over the wire that Keyfob and the scripts share; returns their ids.
pub(crate) async fn store(
    what: &str,
    port: u16,
    headers: &Headers,
    count: usize,
    connections: usize,
    period: u64,
) -> Result<Vec<String>> {
    let job = Job { what: format!("{what}: storing secrets"), port, connections, count };
    let headers = headers.clone();
    let make = move |index: usize| {
        let mut body = json!({"label": format!("bench {index}"), "secret": base32_secret(index)});
        if period != 30 {
            body["period"] = period.into();
        }
        http::request("POST", "/api/v2/totp/secrets", &headers, Some(&body))
    };
    job.run(make, |answer| {
        let answer = answer.json()?;
        let id = answer["totp_secret"]["id"].as_str().context("the answer has no id")?;
        Ok(id.to_owned())
    })
    .await
}

/// Asks for one code and looks at it, so that a measured server is known to do its work.
pub(crate) async fn check_code(port: u16, headers: &Headers, id: &str) -> Result<()> {
    let answer = http::ask(port, &http::request("GET", &code_path(id), headers, None)).await?;
    let answer = answer.json()?;
    let code = answer["code"].as_str().unwrap_or_default();
    if code.len() != 6 || !code.bytes().all(|b| b.is_ascii_digit()) {
        bail!("not a code: {answer}");
    }
    Ok(())
}
