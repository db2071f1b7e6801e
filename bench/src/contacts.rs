//! What a call costs with many contacts, against the same call with few.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{
    clock::{ms_since, now},
    context::Context,
    fill::fill,
    http::{self, Connection, Headers, with_progress},
    keyfob::{Keyfob, Setup},
    memory::{Counter, folder_mib, mib},
    number::{float, scattered},
    process::{Resident, resident},
    report::{Goal, Section, short},
    sample::{Sample, Samples, Subject, rounded},
    wrk::Script,
};

/// What a vault is compared with.
const FEW: usize = 1000;
/// Secrets that every contact has connected.
const SECRETS: usize = 3;
/// Rows of a page.
const PAGE: usize = 100;
/// Requests that are built ahead, for contacts chosen at random.
const REQUESTS: usize = 100_000;
/// Callers at a time.
const CONNECTIONS: usize = 8;

/// The calls, as the report names them.
const CALLS: [&str; 3] = ["verify a connected secret", "a page of contacts", "a contact's secrets"];

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let many = context.args.contacts;
    ensure!(many > PAGE, "--contacts must be more than {PAGE}");
    let few = Vault::make(context, "contacts-few", FEW).await?;
    let started = now();
    let many = Vault::make(context, "contacts-many", many).await?;
    let fill_seconds = ms_since(started) / 1000.0;
    eprintln!("  stored {} contacts in {fill_seconds:.0} s", many.contacts.len());

    let stream = many.stream().await?;
    let mut calls = Vec::new();
    let running = [few.setup.start().await?, many.setup.start().await?];
    for (index, name) in CALLS.iter().enumerate() {
        let subjects = [few.subject(&running[0], index)?, many.subject(&running[1], index)?];
        calls.push(pairs(context, name, &subjects).await?);
    }
    let after = resident(running[1].server.pid())?;
    for keyfob in running {
        keyfob.server.stop().await?;
    }
    let disk_mib = folder_mib(&many.setup.data());
    Ok(section(context, &Found { fill_seconds, disk_mib, calls, stream, after }))
}

/// A vault with contacts.
struct Vault {
    setup: Setup,
    headers: Headers,
    secrets: Vec<String>,
    /// Their ids, by age.
    contacts: Vec<String>,
}

impl Vault {
    async fn make(context: &Context, name: &str, count: usize) -> Result<Self> {
        let setup = Setup::new(context, name, "durable")?;
        let keyfob = setup.start().await?;
        let made = async {
            let headers = setup.key().await?;
            let mut secrets = Vec::new();
            for number in 0..SECRETS {
                let name = format!("Secret {number}");
                let body = json!({"name": name, "kind": "personal", "type": "bearer"});
                let path = "/api/v1/secret/create";
                let create = http::request("POST", path, &headers, Some(&body));
                let answer = http::ask(keyfob.port, &create).await?.json()?;
                secrets.push(answer["id"].as_str().context("no id")?.to_owned());
            }
            Ok((headers, secrets))
        };
        let (headers, secrets) = keyfob.explain(made.await)?;
        keyfob.server.stop().await?;
        let contacts = fill(&setup, count, &secrets).await?;
        Ok(Self { setup, headers, secrets, contacts })
    }

    /// The method and the headers of a call.
    fn head(&self, call: usize) -> (&'static str, Headers) {
        let mut headers = self.headers.clone();
        if call > 0 {
            return ("GET", headers);
        }
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        ("POST", headers)
    }

    /// The path of a call for a contact chosen by `seed`.
    fn path(&self, call: usize, seed: usize) -> String {
        // Newest first: a whole page is behind all but the oldest.
        let contact = PAGE + scattered(seed, self.contacts.len() - PAGE);
        let contact = &self.contacts[contact];
        match call {
            0 => {
                let secret = &self.secrets[scattered(REQUESTS + seed, SECRETS)];
                format!("/api/v1/contact/{contact}/secret/{secret}/verify")
            }
            1 => format!("/api/v1/contact/list?cursor={contact}"),
            _ => format!("/api/v1/contact/{contact}/secret/list"),
        }
    }

    fn subject(&self, keyfob: &Keyfob, call: usize) -> Result<Subject> {
        let (method, headers) = self.head(call);
        let paths = (0..REQUESTS).map(|seed| self.path(call, seed));
        let file = format!("call-{call}");
        let script = Script::random(&self.setup.folder, &file, method, &headers, paths)?;
        let name = format!("{}, {} contacts", CALLS[call], self.contacts.len());
        Ok(Subject::new(&name, keyfob.server.pid(), keyfob.port, script))
    }

    /// Takes all contacts as lines from a fresh server, and looks at each kind of answer first.
    async fn stream(&self) -> Result<Stream> {
        let keyfob = self.setup.start().await?;
        let stream = keyfob.explain(self.stream_from(&keyfob).await)?;
        keyfob.server.stop().await?;
        Ok(stream)
    }

    async fn stream_from(&self, keyfob: &Keyfob) -> Result<Stream> {
        for call in 0..CALLS.len() {
            self.check(keyfob, call).await?;
        }
        let mut headers = self.headers.clone();
        headers.push(("accept".to_owned(), "application/jsonl".to_owned()));
        let started = now();
        let mut connection = Connection::open(keyfob.port).await?;
        connection.send(&http::request("GET", "/api/v1/contact/list", &headers, None)).await?;
        let (mut counter, mut bytes) = (Counter::default(), 0);
        let take = connection.receive_into(|piece| {
            counter.feed(piece);
            bytes += piece.len();
        });
        let status = with_progress(take, || "contacts: the full stream".to_owned()).await?;
        let seconds = ms_since(started) / 1000.0;
        let (count, lines) = (self.contacts.len(), usize::try_from(counter.found)?);
        ensure!(status == 200, "the stream answered {status}");
        ensure!(lines == count, "the stream had {lines} lines for {count} contacts");
        let memory = resident(keyfob.server.pid())?;
        Ok(Stream { lines, bytes, seconds, memory })
    }

    /// Looks at an answer, so that a measured server is known to do its work.
    async fn check(&self, keyfob: &Keyfob, call: usize) -> Result<()> {
        let (method, headers) = self.head(call);
        let request = http::request(method, &self.path(call, 0), &headers, None);
        let answer = http::ask(keyfob.port, &request).await?.json()?;
        let items = answer["items"].as_array().map(Vec::len);
        let is_right = match call {
            0 => answer["status"] == "authenticated",
            1 => items == Some(PAGE),
            _ => items == Some(SECRETS),
        };
        ensure!(is_right, "{}: not what was asked for: {answer}", CALLS[call]);
        Ok(())
    }
}

/// What came of one full stream.
struct Stream {
    lines: usize,
    bytes: usize,
    seconds: f64,
    memory: Resident,
}

impl Stream {
    fn per_second(&self) -> f64 {
        number(self.lines) / self.seconds
    }
}

/// One call, with few and with many contacts.
struct Call {
    name: &'static str,
    few: Samples,
    many: Samples,
}

async fn pairs(context: &Context, name: &'static str, subjects: &[Subject; 2]) -> Result<Call> {
    let seconds = context.args.seconds;
    let mut call = Call { name, few: Samples::default(), many: Samples::default() };
    for subject in subjects {
        // To warm it up.
        Sample::take(subject, CONNECTIONS, seconds).await?;
    }
    for pair in 1..=context.args.pairs {
        let few = Sample::take(&subjects[0], CONNECTIONS, seconds).await?;
        let many = Sample::take(&subjects[1], CONNECTIONS, seconds).await?;
        eprintln!(
            "  {name}, pair {pair}: CPU {:.1} to {:.1} µs = {:.2}, p50 {:.3} to {:.3} ms = {:.2}",
            many.cpu_us,
            few.cpu_us,
            many.cpu_us / few.cpu_us,
            many.p50_ms,
            few.p50_ms,
            many.p50_ms / few.p50_ms,
        );
        call.few.0.push(few);
        call.many.0.push(many);
    }
    Ok(call)
}

impl Call {
    fn cpu_ratio(&self) -> f64 {
        self.many.ratio(&self.few, |sample| sample.cpu_us)
    }

    fn latency_ratio(&self) -> f64 {
        self.many.ratio(&self.few, |sample| sample.p50_ms)
    }

    fn rows(&self, many: usize) -> [Vec<String>; 2] {
        let row = |count: usize, samples: &Samples, ratios: [String; 2]| {
            let [cpu, latency] = ratios;
            vec![
                self.name.to_owned(),
                count.to_string(),
                format!("{:.0}", samples.median(|sample| sample.per_second)),
                short(samples.median(|sample| sample.cpu_us)),
                cpu,
                format!("{:.3}", samples.median(|sample| sample.p50_ms)),
                latency,
                format!("{:.2}", samples.median(|sample| sample.p99_ms)),
            ]
        };
        let ratios = [self.cpu_ratio(), self.latency_ratio()].map(|ratio| format!("{ratio:.2}"));
        let one = || "1".to_owned();
        [row(FEW, &self.few, [one(), one()]), row(many, &self.many, ratios)]
    }

    fn json(&self) -> Value {
        json!({
            "call": self.name,
            "cpu_ratio": rounded(self.cpu_ratio(), 3),
            "p50_ratio": rounded(self.latency_ratio(), 3),
            "few": self.few.json(),
            "many": self.many.json(),
        })
    }

    fn goals(&self) -> [Goal; 2] {
        let goal = |what: &str, ratio| Goal::at_most(&format!("{}: {what}", self.name), 1.5, ratio);
        [
            goal("CPU to that with few", self.cpu_ratio()),
            goal("p50 to that with few", self.latency_ratio()),
        ]
    }
}

/// What was seen.
struct Found {
    fill_seconds: f64,
    disk_mib: u64,
    calls: Vec<Call>,
    stream: Stream,
    /// After all calls of the vault with many contacts.
    after: Resident,
}

fn section(context: &Context, found: &Found) -> Section {
    let Found { fill_seconds, disk_mib, calls, stream, after } = found;
    let (many, args) = (context.args.contacts, &context.args);
    let peak = mib(stream.memory.peak_kib);
    let mut goals: Vec<Goal> = calls.iter().flat_map(Call::goals).collect();
    goals.push(Goal::at_most("peak resident MiB of a full stream", 100.0, peak));
    Section {
        name: "contacts",
        title: format!("{many} contacts with {SECRETS} connections each, against {FEW}"),
        how: format!(
            "SQLite, {disk_mib} MiB on disk. Contacts are chosen at random, {CONNECTIONS} connections, {} pairs of {} s that alternate; \
             medians, and medians of the ratios within a pair. A page has {PAGE} contacts. A full stream (`Accept: \
             application/jsonl`) from a fresh server held {} lines in {:.0} MiB and took {:.1} s, {:.0} rows/s; its resident \
             memory was {peak:.1} MiB at its peak, that of the server of the measured calls {:.1} MiB.",
            args.pairs,
            args.seconds,
            stream.lines,
            number(stream.bytes) / 1_048_576.0,
            stream.seconds,
            stream.per_second(),
            mib(after.peak_kib),
        ),
        head: vec![
            "call",
            "contacts",
            "requests/s",
            "CPU µs/request",
            "to few",
            "p50 ms",
            "to few",
            "p99 ms",
        ],
        rows: calls.iter().flat_map(|call| call.rows(many)).collect(),
        goals,
        figures: json!({
            "contacts": many,
            "few": FEW,
            "connections_of_each": SECRETS,
            "fill_seconds": rounded(*fill_seconds, 1),
            "disk_mib": disk_mib,
            "pairs": args.pairs,
            "seconds": args.seconds,
            "calls": calls.iter().map(Call::json).collect::<Vec<_>>(),
            "stream": {
                "lines": stream.lines,
                "bytes": stream.bytes,
                "seconds": rounded(stream.seconds, 2),
                "rows_per_second": rounded(stream.per_second(), 0),
                "rss_kib": stream.memory.kib,
                "peak_kib": stream.memory.peak_kib,
            },
            "peak_kib_after_calls": after.peak_kib,
        }),
    }
}

fn number(count: usize) -> f64 {
    float(u64::try_from(count).unwrap_or(u64::MAX))
}
