//! What the SDK adds to a call: CPU time of the thread that makes it, beside the same call by bare reqwest.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use keyfob_api::contact::Contact;
use keyfob_client::Client;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::{
    context::Context,
    number::median,
    report::{Goal, Section, short},
    sample::rounded,
};

/// Pairs of samples, so many that a disturbance does not count.
const PAIRS: usize = 60;
/// Calls of one sample, one after the other over one connection.
const CALLS: u32 = 1_000;
const CONTACT: &str = "c9qzy1f0o0002l8j5s7d3k4mn";
const TOKEN: &str = "kft_benchmark";
/// Microseconds of CPU time that the SDK may add to a call.
const MOST_ADDED: f64 = 20.0;

/// CPU time of a call, in microseconds, by bare reqwest and by the SDK, taken one after the other.
struct Pair {
    reqwest: f64,
    sdk: f64,
}

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let (server, port) = context.hello().await?;
    let base = format!("http://127.0.0.1:{port}");
    // On one thread, which does nothing else: what wakes another thread would be measured too.
    let pairs = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(measure(&base))
    });
    let pairs = pairs.await.context("the measuring thread")??;
    server.stop().await?;
    Ok(section(&pairs))
}

async fn measure(base: &str) -> Result<Vec<Pair>> {
    let plain = Bare::new(base)?;
    let client = Client::builder().base_url(base).secret(TOKEN).build()?;
    let mut pairs = Vec::new();
    // The first pair is to warm up.
    for number in 0..=PAIRS {
        let pair = Pair { reqwest: by_reqwest(&plain).await?, sdk: by_sdk(&client).await? };
        pairs.extend((number > 0).then_some(pair));
    }
    Ok(pairs)
}

/// The same call without the SDK.
struct Bare {
    http: reqwest::Client,
    base: String,
}

impl Bare {
    fn new(base: &str) -> Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "it is what the SDK is held against")]
        let http =
            reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, base: base.to_owned() })
    }

    async fn fetch(&self) -> Result<Contact> {
        let url = format!("{}/api/v1/contact/{CONTACT}/fetch", self.base);
        let request = self.http.get(url).bearer_auth(TOKEN).header("accept", "application/json");
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

async fn by_reqwest(plain: &Bare) -> Result<f64> {
    let before = cpu();
    for _ in 0..CALLS {
        check(&plain.fetch().await.context("reqwest")?)?;
    }
    Ok((cpu() - before) / f64::from(CALLS))
}

async fn by_sdk(client: &Client) -> Result<f64> {
    let before = cpu();
    for _ in 0..CALLS {
        check(&client.contacts().fetch(CONTACT).await.context("the SDK")?)?;
    }
    Ok((cpu() - before) / f64::from(CALLS))
}

/// CPU time of this thread so far, in microseconds.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default().as_secs_f64() * 1e6
}

fn check(contact: &Contact) -> Result<()> {
    ensure!(contact.id == CONTACT, "another contact came");
    Ok(())
}

fn section(pairs: &[Pair]) -> Section {
    let [reqwest, sdk] =
        [|pair: &Pair| pair.reqwest, |pair: &Pair| pair.sdk].map(|of| median(pairs.iter().map(of)));
    let added = median(pairs.iter().map(|pair| pair.sdk - pair.reqwest));
    Section {
        name: "sdk",
        title: "The Rust SDK".into(),
        how: format!(
            "CPU time of the client for one call (`GET /api/v1/contact/{{contact}}/fetch`, read into its type), of {CALLS} one after the other over one connection: bare reqwest, and the SDK, in turn; medians of {} pairs.",
            pairs.len(),
        ),
        head: vec!["client", "CPU per call, µs", "above reqwest, µs"],
        rows: vec![
            vec!["reqwest".into(), short(reqwest), String::new()],
            vec!["SDK".into(), short(sdk), short(added)],
        ],
        goals: vec![Goal::at_most("CPU that the SDK adds to a call, µs", MOST_ADDED, added)],
        figures: figures(pairs),
    }
}

fn figures(pairs: &[Pair]) -> Value {
    let one = |pair: &Pair| {
        json!({
            "reqwest_cpu_us": rounded(pair.reqwest, 2),
            "sdk_cpu_us": rounded(pair.sdk, 2),
        })
    };
    json!({ "pairs": pairs.iter().map(one).collect::<Vec<_>>() })
}
