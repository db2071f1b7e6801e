//! Memory and start-up with many stored secrets.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use crate::{
    clock::{ms_since, now},
    context::Context,
    http::{self, Connection, Headers, Job, Response, with_progress},
    keyfob::{Keyfob, Setup, code_path, store},
    number::{float, median, scattered},
    process::{Resident, resident},
    report::{Goal, Section},
    sample::rounded,
};

const STARTS: usize = 10;
const READS: usize = 50_000;

/// Runs the section.
pub(crate) async fn run(context: &Context) -> Result<Section> {
    let count = context.args.memory_stored;
    // To fill it fast.
    let mut setup = Setup::new(context, "memory", "buffered")?;
    setup.variables.push(("KEYFOB_MAX_TOTP", count.saturating_mul(2).max(2_000_000).to_string()));
    let keyfob = setup.start().await?;
    let started = now();
    let filled = async {
        let headers = setup.key().await?;
        let ids = store("memory", keyfob.port, &headers, count, 64, 30).await?;
        ensure!(ids.len() == count, "only {} of {count} secrets were stored", ids.len());
        Ok((headers, ids))
    };
    let (headers, ids) = keyfob.explain(filled.await)?;
    let fill_seconds = ms_since(started) / 1000.0;
    let filled = resident(keyfob.server.pid())?;
    keyfob.server.stop().await?;
    eprintln!("  stored {count} secrets in {fill_seconds:.0} s");

    // From here on as it runs by default.
    setup.audit = "durable";
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let keyfob = setup.start().await?;
        starts.push(keyfob.ready_ms);
        keyfob.server.stop().await?;
    }
    let ready = median(starts.iter().copied());
    eprintln!("  ready after {ready:.1} ms (median of {STARTS} starts)");

    let keyfob = setup.start().await?;
    let idle = resident(keyfob.server.pid())?;
    let (read, listed, listing) = keyfob.explain(uses(&keyfob, &headers, ids).await)?;
    keyfob.server.stop().await?;

    let moments = [
        ("after storing them", filled),
        ("ready", idle),
        ("after 50,000 random codes", read),
        ("after a full list", listed),
    ];
    let disk_mib = folder_mib(&setup.data());
    Ok(section(&Found { count, disk_mib, fill_seconds, starts, ready, moments, listing }))
}

/// What was seen.
struct Found {
    count: usize,
    disk_mib: u64,
    fill_seconds: f64,
    /// Milliseconds until it was ready, of each start.
    starts: Vec<f64>,
    /// Their median.
    ready: f64,
    moments: [(&'static str, Resident); 4],
    listing: Listing,
}

fn section(found: &Found) -> Section {
    let Found { count, disk_mib, fill_seconds, starts, ready, moments, listing } = found;
    let worst = moments[1..].iter().map(|(_, memory)| memory.kib).max().unwrap_or(0);
    let peak = moments[3].1.peak_kib;
    Section {
        name: "memory",
        title: format!("Memory and start with {count} stored secrets"),
        how: format!(
            "SQLite, {} MiB on disk. Ready after {ready:.1} ms (median of {STARTS} starts, {:.1} to {:.1}), from the \
             start of the process until `/readyz` answers 200. The list held {} entries in {:.0} MiB and took {:.1} s.",
            disk_mib,
            starts.iter().copied().fold(f64::INFINITY, f64::min),
            starts.iter().copied().fold(0.0, f64::max),
            listing.entries,
            float(listing.bytes) / 1_048_576.0,
            listing.seconds,
        ),
        head: vec!["moment", "RSS MiB", "peak MiB", "threads"],
        rows: moments
            .iter()
            .map(|(name, memory)| {
                vec![
                    (*name).to_owned(),
                    format!("{:.1}", mib(memory.kib)),
                    format!("{:.1}", mib(memory.peak_kib)),
                    memory.threads.to_string(),
                ]
            })
            .collect(),
        goals: vec![
            Goal::at_most("resident MiB at any of these moments after the start", 64.0, mib(worst)),
            Goal::at_most("peak resident MiB, during the list as well", 64.0, mib(peak)),
            Goal::at_most("ms until ready", 100.0, *ready),
        ],
        figures: json!({
            "stored": count,
            "fill_seconds": rounded(*fill_seconds, 1),
            "ready_ms": starts.iter().map(|&ms| rounded(ms, 2)).collect::<Vec<_>>(),
            "ready_ms_median": rounded(*ready, 2),
            "list": {
                "entries": listing.entries,
                "bytes": listing.bytes,
                "seconds": rounded(listing.seconds, 2),
            },
            "moments": moments.iter().map(|(name, memory)| json!({
                "moment": name,
                "rss_kib": memory.kib,
                "peak_kib": memory.peak_kib,
                "threads": memory.threads,
            })).collect::<Vec<_>>(),
        }),
    }
}

/// What came of one full list.
struct Listing {
    entries: u64,
    bytes: u64,
    seconds: f64,
}

async fn uses(
    keyfob: &Keyfob,
    headers: &Headers,
    ids: Vec<String>,
) -> Result<(Resident, Resident, Listing)> {
    let pid = keyfob.server.pid();
    let count = ids.len();
    let ids: Arc<[String]> = ids.into();
    let job = Job {
        what: "memory: reading codes".to_owned(),
        port: keyfob.port,
        connections: 32,
        count: READS,
    };
    let codes = headers.clone();
    let make = move |index| {
        let id = &ids[scattered(index, ids.len())];
        http::request("GET", &code_path(id), &codes, None)
    };
    job.run(make, Response::check).await?;
    let read = resident(pid)?;

    let started = now();
    let mut connection = Connection::open(keyfob.port).await?;
    connection.send(&http::request("GET", "/api/v2/totp/secrets", headers, None)).await?;
    let mut counter = Counter::default();
    let mut bytes = 0;
    let status = with_progress(
        connection.receive_into(|piece| {
            counter.feed(piece);
            bytes += u64::try_from(piece.len()).unwrap_or(0);
        }),
        || "memory: the full list".to_owned(),
    )
    .await
    .context("the full list")?;
    let listing = Listing { entries: counter.found, bytes, seconds: ms_since(started) / 1000.0 };
    if status != 200 || listing.entries != u64::try_from(count)? {
        bail!("the full list answered {status} with {} of {count} entries", listing.entries);
    }
    Ok((read, resident(pid)?, listing))
}

/// Counts `"id":` in a body of any size that comes in pieces.
#[derive(Default)]
pub(crate) struct Counter {
    matched: usize,
    pub(crate) found: u64,
}

impl Counter {
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        const MARK: &[u8] = b"\"id\":";
        for &byte in piece {
            if byte == MARK[self.matched] {
                self.matched += 1;
                if self.matched == MARK.len() {
                    self.found += 1;
                    self.matched = 0;
                }
            } else {
                self.matched = usize::from(byte == MARK[0]);
            }
        }
    }
}

pub(crate) fn mib(kib: u64) -> f64 {
    float(kib) / 1024.0
}

/// Size of the files in a folder.
pub(crate) fn folder_mib(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum::<u64>() / 1_048_576
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_counted_across_pieces() {
        let body = br#"[{"id":"a","label":"x"},{"id":"b","label":"\"id"}]"#;
        for size in 1..body.len() {
            let mut counter = Counter::default();
            body.chunks(size).for_each(|piece| counter.feed(piece));
            assert_eq!(counter.found, 2, "pieces of {size}");
        }
    }
}
