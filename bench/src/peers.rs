//! Other ways to get a code over HTTP, under the same load in the same run.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::{process::Command, time::sleep};

use crate::{
    clock::{ms_since, now},
    context::{Context, HOME, clean},
    http::{self, Headers, Job, with_progress},
    keyfob::{Setup, check_code, code_path, store},
    number::{base32_secret, float},
    process::{Server, free_ports, resident},
    report::{Goal, Section, short},
    sample::{Sample, Samples, Subject, rounded},
    wrk::Script,
};

const CONNECTIONS: usize = 32;

const OPENBAO: &str = "OpenBao TOTP engine, raft, file audit";
const FASTIFY: &str = "Fastify + otplib + AES-GCM, no audit";

/// Installs the peers where they are missing.
pub(crate) async fn install() -> Result<()> {
    let mut command = Command::new("bash");
    command.arg(Path::new(HOME).join("peers").join("install.sh")).kill_on_drop(true);
    let status = with_progress(command.status(), || "installing the peers".to_owned()).await?;
    ensure!(status.success(), "a peer cannot be installed (--without-peers runs the rest)");
    Ok(())
}

/// Something that hands out codes.
struct Peer {
    server: Server,
    subject: Subject,
    samples: Samples,
}

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let mut setup = Setup::new(context, "keyfob", "durable")?;
    setup.database_url = None;
    let keyfob = setup.start().await?;
    let filled = async {
        let headers = setup.key().await?;
        let stored = context.args.stored;
        let ids = store("keyfob", keyfob.port, &headers, stored, CONNECTIONS, 30).await?;
        check_code(keyfob.port, &headers, &ids[0]).await?;
        keyfob.subject("Keyfob, SQLite, durable audit", &setup.folder, &headers, &ids)
    };
    let subject = keyfob.explain(filled.await)?;
    let mut peers = vec![Peer { server: keyfob.server, subject, samples: Samples::default() }];
    for audit in [true, false] {
        peers.push(openbao(context, audit).await.context("peer OpenBao")?);
    }
    peers.push(fastify(context).await.context("peer Fastify")?);
    peers.push(fastapi(context).await.context("peer FastAPI")?);

    let seconds = context.args.seconds * 5;
    for peer in &peers {
        Sample::take(&peer.subject, CONNECTIONS, context.args.seconds)
            .await
            .map_err(|error| peer.server.failure(&format!("failed: {error:#}")))?;
    }
    for round in 1..=context.args.rounds {
        for peer in &mut peers {
            let sample = Sample::take(&peer.subject, CONNECTIONS, seconds)
                .await
                .map_err(|error| peer.server.failure(&format!("failed: {error:#}")))?;
            eprintln!(
                "  round {round}: {}: {:.0} requests/s, CPU {:.1} µs",
                peer.subject.name, sample.per_second, sample.cpu_us
            );
            peer.samples.0.push(sample);
        }
    }
    let section = section(context, &peers)?;
    for peer in peers {
        peer.server.stop().await?;
    }
    Ok(section)
}

/// OpenBao with one key of its TOTP engine for each secret.
async fn openbao(context: &Context, audit: bool) -> Result<Peer> {
    let name = if audit { OPENBAO } else { "OpenBao TOTP engine, raft, no audit" };
    let folder = context.folder(if audit { "openbao-audit" } else { "openbao" })?;
    let [port, cluster_port] = free_ports()?;
    let raft = folder.join("raft");
    fs::create_dir(&raft)?;
    let device = if audit {
        let path = folder.join("audit.log");
        format!(
            r#"audit "file" "to-file" {{
  options {{
    file_path = "{}"
  }}
}}"#,
            path.display()
        )
    } else {
        String::new()
    };
    let config = format!(
        r#"storage "raft" {{
  path = "{}"
  node_id = "bench"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{cluster_port}"
disable_mlock = true
log_level = "error"
{device}
"#,
        raft.display()
    );
    let file = folder.join("config.hcl");
    fs::write(&file, config)?;
    let mut command = clean(&Path::new(HOME).join(".cache/venv/bin/bao"));
    command.arg("server").arg("-config").arg(&file).env("HOME", &folder);
    let server = Server::spawn(name, command)?;
    let prepared = prepare_openbao(port, context.args.stored).await;
    let headers = prepared.map_err(|error| server.failure(&format!("{error:#}")))?;
    if audit {
        let written = fs::metadata(folder.join("audit.log")).map_or(0, |file| file.len());
        ensure!(written > 0, "nothing was written to the audit file");
    }
    let paths = (0..context.args.stored).map(|index| format!("/v1/totp/code/bench-{index}"));
    let script = Script::random(&folder, "codes", "GET", &headers, paths)?;
    let subject = Subject::new(name, server.pid(), port, script);
    Ok(Peer { server, subject, samples: Samples::default() })
}

/// Initialises and unseals it, mounts the engine, stores the secrets; returns the headers of a call.
async fn prepare_openbao(port: u16, stored: usize) -> Result<Headers> {
    let none = Headers::new();
    let init = json!({"secret_shares": 1, "secret_threshold": 1});
    let init = http::request("PUT", "/v1/sys/init", &none, Some(&init));
    let started = now();
    let keys: Value = loop {
        match http::ask(port, &init).await.and_then(|answer| answer.json()) {
            Ok(keys) => break keys,
            Err(error) if ms_since(started) > 30_000.0 => return Err(error),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    };
    let unseal = json!({"key": keys["keys"][0]});
    http::ask(port, &http::request("PUT", "/v1/sys/unseal", &none, Some(&unseal)))
        .await?
        .check()?;
    let token = keys["root_token"].as_str().context("no root token")?.to_owned();
    let headers = vec![("X-Vault-Token".to_owned(), token)];
    let mount = json!({"type": "totp"});
    let mount = http::request("POST", "/v1/sys/mounts/totp", &headers, Some(&mount));
    // It has to become its own leader first.
    while let Err(error) = http::ask(port, &mount).await.and_then(|answer| answer.check()) {
        if ms_since(started) > 60_000.0 {
            return Err(error);
        }
        sleep(Duration::from_millis(100)).await;
    }
    let job = Job {
        what: "OpenBao: storing secrets".to_owned(),
        port,
        connections: CONNECTIONS,
        count: stored,
    };
    let sender = headers.clone();
    let make = move |index| {
        let body = json!({
            "key": base32_secret(index), "issuer": "bench", "account_name": format!("bench {index}"),
        });
        http::request("POST", &format!("/v1/totp/keys/bench-{index}"), &sender, Some(&body))
    };
    job.run(make, http::Response::check).await?;
    let code = http::request("GET", "/v1/totp/code/bench-0", &headers, None);
    let answer = http::ask(port, &code).await?.json()?;
    if answer["data"]["code"].as_str().map(str::len) != Some(6) {
        bail!("not a code: {answer}");
    }
    Ok(headers)
}

async fn fastify(context: &Context) -> Result<Peer> {
    let mut command = clean(Path::new("node"));
    command.arg(Path::new(HOME).join(".cache/fastify/server.mjs")).env("NODE_ENV", "production");
    script_peer(context, FASTIFY, "fastify", command).await
}

async fn fastapi(context: &Context) -> Result<Peer> {
    let mut command = clean(&Path::new(HOME).join(".cache/venv/bin/python"));
    let folder = context.folder("fastapi-data")?;
    command.arg(Path::new(HOME).join("peers/fastapi/server.py")).arg(folder.join("totp.db"));
    let name = "FastAPI + pyotp + SQLite + Fernet, no audit";
    script_peer(context, name, "fastapi", command).await
}

/// A script that speaks the same wire as Keyfob.
async fn script_peer(
    context: &Context,
    name: &str,
    short_name: &str,
    command: Command,
) -> Result<Peer> {
    let (server, port) = Server::listening(name, command).await?;
    let headers = vec![
        ("sb-api-key-id".to_owned(), "bench-id".to_owned()),
        ("sb-api-secret-key".to_owned(), "bench-secret".to_owned()),
    ];
    let filled = async {
        let ids = store(short_name, port, &headers, context.args.stored, CONNECTIONS, 30).await?;
        check_code(port, &headers, &ids[0]).await?;
        Ok::<_, anyhow::Error>(ids)
    };
    let ids = filled.await.map_err(|error| server.failure(&format!("failed: {error:#}")))?;
    let folder = context.folder(short_name)?;
    let paths = ids.iter().map(|id| code_path(id));
    let script = Script::random(&folder, "codes", "GET", &headers, paths)?;
    let subject = Subject::new(name, server.pid(), port, script);
    Ok(Peer { server, subject, samples: Samples::default() })
}

fn section(context: &Context, peers: &[Peer]) -> Result<Section> {
    let keyfob = &peers.first().context("no Keyfob")?.samples;
    let mut rows = Vec::new();
    let mut figures = Vec::new();
    for peer in peers {
        let rss_kib = resident(peer.subject.pid)?.kib;
        let faster = keyfob.ratio(&peer.samples, |sample| sample.per_second);
        let dearer = peer.samples.ratio(keyfob, |sample| sample.cpu_us);
        rows.push(vec![
            peer.subject.name.clone(),
            format!("{:.0}", peer.samples.median(|sample| sample.per_second)),
            short(peer.samples.median(|sample| sample.cpu_us)),
            format!("{:.2}", peer.samples.median(|sample| sample.p50_ms)),
            format!("{:.2}", peer.samples.median(|sample| sample.p99_ms)),
            format!("{:.0}", float(rss_kib) / 1024.0),
            short(faster),
            short(dearer),
        ]);
        figures.push(json!({
            "name": peer.subject.name,
            "rss_kib": rss_kib,
            "keyfob_throughput_to_this": rounded(faster, 2),
            "cpu_to_keyfob": rounded(dearer, 2),
            "samples": peer.samples.json(),
        }));
    }
    let of = |name: &str| peers.iter().find(|peer| peer.subject.name == name).map(|p| &p.samples);
    let (openbao, fastify) = (of(OPENBAO).context("OpenBao")?, of(FASTIFY).context("Fastify")?);
    let faster = |peer: &Samples| keyfob.ratio(peer, |sample| sample.per_second);
    let dearer = |peer: &Samples| peer.ratio(keyfob, |sample| sample.cpu_us);
    Ok(Section {
        name: "peers",
        title: "Against other ways to get a code over HTTP".to_owned(),
        how: format!(
            "{CONNECTIONS} connections, {} stored secrets in each, {} rounds of {} s for each in turn; medians, and \
             medians of the ratios within a round. The scripts check one hard-coded key pair and write no audit.",
            context.args.stored,
            context.args.rounds,
            context.args.seconds * 5
        ),
        head: vec![
            "peer",
            "requests/s",
            "CPU µs/request",
            "p50 ms",
            "p99 ms",
            "RSS MiB",
            "Keyfob's throughput to this",
            "its CPU to Keyfob's",
        ],
        rows,
        goals: vec![
            Goal::at_least("throughput to OpenBao with audit", 8.0, faster(openbao)),
            Goal::at_least("OpenBao's CPU with audit to Keyfob's", 15.0, dearer(openbao)),
            Goal::at_least("throughput to Fastify without audit", 1.0, faster(fastify)),
            Goal::at_least("Fastify's CPU to Keyfob's", 1.0, dearer(fastify)),
        ],
        figures: json!({"connections": CONNECTIONS, "peers": figures}),
    })
}
