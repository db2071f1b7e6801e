//! What the SDK adds to a call: CPU time of this process, beside the same call by bare reqwest.

use anyhow::{Context as _, Result, ensure};
use keyfob_api::contact::Contact;
use keyfob_client::Client;
use serde_json::{Value, json};

use crate::{
    context::Context,
    number::{float, median},
    process::{microseconds, usage},
    report::{Goal, Section, short},
    sample::rounded,
};

/// Calls of one sample, one after the other over one connection.
const CALLS: u64 = 20_000;
/// Calls before anything is measured.
const WARM_UP: u64 = 2_000;
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
    let plain = Bare::new(&base)?;
    let client = Client::builder().base_url(&base).secret(TOKEN).build()?;
    by_reqwest(&plain, WARM_UP).await?;
    by_sdk(&client, WARM_UP).await?;
    let mut pairs = Vec::new();
    for number in 1..=context.args.pairs {
        eprintln!("  pair {number} of {}", context.args.pairs);
        let reqwest = by_reqwest(&plain, CALLS).await?;
        pairs.push(Pair { reqwest, sdk: by_sdk(&client, CALLS).await? });
    }
    server.stop().await?;
    Ok(section(&pairs))
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

async fn by_reqwest(plain: &Bare, calls: u64) -> Result<f64> {
    let before = usage("self")?.own;
    for _ in 0..calls {
        check(&plain.fetch().await.context("reqwest")?)?;
    }
    Ok(microseconds(usage("self")?.own - before) / float(calls))
}

async fn by_sdk(client: &Client, calls: u64) -> Result<f64> {
    let before = usage("self")?.own;
    for _ in 0..calls {
        check(&client.contacts().fetch(CONTACT).await.context("the SDK")?)?;
    }
    Ok(microseconds(usage("self")?.own - before) / float(calls))
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
