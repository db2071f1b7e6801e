//! What stands between a caller and the upstream: starting each candidate, and making sure that it does its work.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::{process::Command, time::sleep};

use super::{TOKEN, upstream::Upstream};
use crate::{
    clock::{ms_since, now},
    context::{Context, HOME, clean},
    http::{self, Headers, Response},
    process::{Server, free_ports, resident},
    sample::{Sample, Samples, Subject},
    wrk::Script,
};

/// The upstream itself, which is asked with the credential.
pub(super) const DIRECT: &str = "no proxy: the upstream";
/// What a proxy in Rust costs at least.
const HYPER: &str = "hyper, passing through";
pub(super) const NGINX: &str = "nginx, proxy_set_header";
pub(super) const ENVOY: &str = "Envoy, credential_injector";

/// One way to the upstream, and what was measured of it.
pub(super) struct Candidate {
    pub(super) subject: Subject,
    route: Route,
    /// `None` for the upstream, which is not the candidate's to stop.
    server: Option<Server>,
    /// Over many connections.
    pub(super) load: Samples,
    /// Over one, so that nobody waits for others.
    pub(super) alone: Samples,
    pub(super) streams: Vec<super::events::Delays>,
}

/// How a candidate is asked.
pub(super) struct Route {
    pub(super) headers: Headers,
    /// What precedes the path at the upstream, and its port.
    pub(super) answers: (u16, String),
    /// The same for event streams.
    pub(super) events: (u16, String),
    /// Whether the credential is taken out of answers.
    pub(super) redacts: bool,
}

impl Route {
    /// By the path at the upstream, as a caller that all but Keyfob know.
    fn plain(port: u16) -> Self {
        let headers = [("sb-api-key-id", "bench-id"), ("sb-api-secret-key", "bench-secret")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let at = || (port, "/".to_owned());
        Self { headers, answers: at(), events: at(), redacts: false }
    }
}

impl Candidate {
    /// Whatever needs no start.
    pub(super) fn direct(upstream: &Upstream) -> Result<Self> {
        let headers = vec![("authorization".to_owned(), format!("Bearer {TOKEN}"))];
        let route = Route {
            headers,
            answers: (upstream.port, "/".to_owned()),
            events: (upstream.events.port, "/".to_owned()),
            redacts: false,
        };
        let script = script(&upstream.folder, &route)?;
        let subject = Subject::new(DIRECT, upstream.server.pid(), upstream.port, script);
        Ok(Self::new(subject, route, None))
    }

    /// The bare proxy.
    pub(super) async fn hyper(context: &Context, upstream: &Upstream) -> Result<Self> {
        let mut command = clean(&context.beside("passthrough")?);
        let address = |port: u16| format!("127.0.0.1:{port}");
        command.args([address(upstream.port), address(upstream.events.port)]);
        let (server, port) = Server::listening(HYPER, command).await?;
        let folder = context.folder("proxy-hyper")?;
        Self::started(HYPER, server, &folder, Route::plain(port), upstream)
    }

    /// nginx with the credential in its configuration.
    pub(super) fn nginx(context: &Context, upstream: &Upstream) -> Result<Self> {
        let folder = context.folder("proxy-nginx")?;
        let [port] = free_ports()?;
        let config = upstream.fill(&folder, "nginx/proxy.conf", port)?;
        let server = Server::spawn(NGINX, nginx(&folder, &config))?;
        Self::started(NGINX, server, &folder, Route::plain(port), upstream)
    }

    /// Envoy with the credential in a file.
    pub(super) fn envoy(context: &Context, upstream: &Upstream) -> Result<Self> {
        let folder = context.folder("proxy-envoy")?;
        let [port] = free_ports()?;
        upstream.fill(&folder, "envoy/credential.yaml", port)?;
        let config = upstream.fill(&folder, "envoy/proxy.yaml", port)?;
        let mut command = clean(&installed("venv/bin/envoy"));
        command
            .args(["--concurrency", "1", "--service-node", "n", "--service-cluster", "c"])
            .args(["--log-level", "error", "--disable-hot-restart", "--config-path"])
            .arg(config);
        let server = Server::spawn(ENVOY, command)?;
        Self::started(ENVOY, server, &folder, Route::plain(port), upstream)
    }

    /// A candidate of its own that was just started.
    pub(super) fn started(
        name: &str,
        server: Server,
        folder: &Path,
        route: Route,
        upstream: &Upstream,
    ) -> Result<Self> {
        let script = script(folder, &route)?;
        let mut subject = Subject::new(name, server.pid(), route.answers.0, script);
        subject.upstream = Some(upstream.server.pid());
        Ok(Self::new(subject, route, Some(server)))
    }

    fn new(subject: Subject, route: Route, server: Option<Server>) -> Self {
        let (load, alone) = (Samples::default(), Samples::default());
        Self { subject, route, server, load, alone, streams: Vec::new() }
    }

    /// Waits until it answers, then looks at its answers: what is measured is to do its work.
    pub(super) async fn check(&self) -> Result<()> {
        let checked = async {
            let answer = until_answered(self.route.answers.0, &self.request("answer")).await?;
            let answer = answer.json()?;
            ensure!(answer["ok"] == true, "not what the upstream says: {answer}");
            let (port, path) = &self.route.answers;
            let stranger = http::request("GET", &format!("{path}answer"), &Headers::new(), None);
            let status = http::ask(*port, &stranger).await?.status;
            ensure!((400..500).contains(&status), "a stranger was answered {status}");
            let echo = http::ask(*port, &self.request("echo")).await?;
            echo.check()?;
            let shown = String::from_utf8_lossy(&echo.body).contains(TOKEN);
            ensure!(shown != self.route.redacts, "the credential in an answer: shown is {shown}");
            Ok(())
        };
        checked.await.map_err(|error| self.explain(&error))
    }

    fn request(&self, path: &str) -> Vec<u8> {
        let path = format!("{}{path}", self.route.answers.1);
        http::request("GET", &path, &self.route.headers, None)
    }

    /// Puts it under load.
    pub(super) async fn sample(&self, connections: usize, seconds: u64) -> Result<Sample> {
        let sample = Sample::take(&self.subject, connections, seconds).await;
        sample.map_err(|error| self.explain(&error))
    }

    /// Listens to its event streams.
    pub(super) async fn listen(&self, upstream: &Upstream) -> Result<super::events::Delays> {
        let (port, path) = &self.route.events;
        let delays = upstream.events.listen(*port, path, &self.route.headers).await;
        delays.map_err(|error| self.explain(&error))
    }

    /// Resident memory in KiB.
    pub(super) fn rss_kib(&self) -> Result<u64> {
        Ok(resident(self.subject.pid)?.kib)
    }

    /// Ends it, but not the upstream.
    pub(super) async fn stop(self) -> Result<()> {
        match self.server {
            Some(server) => server.stop().await,
            None => Ok(()),
        }
    }

    fn explain(&self, error: &anyhow::Error) -> anyhow::Error {
        match &self.server {
            Some(server) => server.failure(&format!("did not do as expected: {error:#}")),
            None => anyhow::anyhow!("{}: {error:#}", self.subject.name),
        }
    }
}

fn script(folder: &Path, route: &Route) -> Result<Script> {
    let path = format!("{}answer", route.answers.1);
    Script::random(folder, "answers", "GET", &route.headers, [path])
}

/// The first answer of a server that is starting.
pub(super) async fn until_answered(port: u16, request: &[u8]) -> Result<Response> {
    let started = now();
    loop {
        match http::ask(port, request).await {
            Err(error) if ms_since(started) > 30_000.0 => return Err(error),
            Err(_) => sleep(Duration::from_millis(20)).await,
            Ok(answer) => return Ok(answer),
        }
    }
}

/// The nginx of the peers with that configuration.
pub(super) fn nginx(folder: &Path, config: &Path) -> Command {
    let mut command = clean(&installed("nginx/nginx"));
    command.args(["-e", "stderr", "-p"]).arg(folder).arg("-c").arg(config);
    command
}

/// Where `peers/install.sh` has put something.
pub(super) fn installed(path: &str) -> PathBuf {
    Path::new(HOME).join(".cache").join(path)
}

/// Copies a configuration of a peer into `folder`, with the values in the places that it names; where it lies now.
pub(super) fn fill_in(folder: &Path, from: &str, values: &[(&str, String)]) -> Result<PathBuf> {
    let from = Path::new(HOME).join("peers").join(from);
    let mut text = fs::read_to_string(&from)?;
    for (name, value) in values {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    ensure!(!text.contains("{{"), "{} has a place that nothing is for", from.display());
    let to = folder.join(from.file_name().context("a configuration without a name")?);
    fs::write(&to, text)?;
    Ok(to)
}
