//! Load from `wrk`, which takes far less CPU than a client written here would.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::{http::Headers, number::float, process::output};

/// Ends every script: one line that is easy to read back.
const DONE: &str = r#"
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %.0f %.0f\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout, errors.status,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// What to ask for, ready for `wrk`.
#[derive(Clone, Debug)]
pub(crate) struct Script(PathBuf);

impl Script {
    /// Asks for one of `paths` at random each time, without a body. The requests are built before the clock
    /// starts.
    pub(crate) fn random(
        folder: &Path,
        name: &str,
        method: &str,
        headers: &Headers,
        paths: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let list = folder.join(format!("{name}.paths"));
        let mut text = String::new();
        for path in paths {
            text.push_str(&path);
            text.push('\n');
        }
        fs::write(&list, text)?;
        let headers: Vec<String> = headers
            .iter()
            .map(|(name, value)| format!("wrk.headers[ [[{name}]] ] = [[{value}]]\n"))
            .collect();
        let lua = format!(
            "{}local requests = {{}}
function init(args)
  math.randomseed(os.time())
  for path in io.lines([[{}]]) do requests[#requests + 1] = wrk.format('{method}', path) end
end
function request() return requests[math.random(#requests)] end
{DONE}",
            headers.concat(),
            list.display()
        );
        let script = folder.join(format!("{name}.lua"));
        fs::write(&script, lua)?;
        Ok(Self(script))
    }
}

/// What a run of `wrk` gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// Drives a server over `connections` kept-alive connections; any error or status other than 2xx fails.
pub(crate) async fn run(
    script: &Script,
    port: u16,
    connections: usize,
    seconds: u64,
) -> Result<Outcome> {
    let mut command = Command::new("wrk");
    command
        .args(["-t1", "--latency", "--timeout", "30s"])
        .arg(format!("-c{connections}"))
        .arg(format!("-d{seconds}s"))
        .arg("-s")
        .arg(&script.0)
        .arg(format!("http://127.0.0.1:{port}/"));
    let text = output(command).await?;
    parse(&text)
}

fn parse(text: &str) -> Result<Outcome> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("RESULT "))
        .with_context(|| format!("wrk gave no result:\n{text}"))?;
    let fields: Vec<u64> = line.split(' ').filter_map(|field| field.parse().ok()).collect();
    let [requests, duration_us, broken, refused, p50_us, p99_us] = fields[..] else {
        bail!("wrk's result cannot be read: {line}");
    };
    if broken > 0 || refused > 0 {
        bail!("{broken} broken connections and {refused} answers other than 2xx in {requests}");
    }
    if requests == 0 {
        bail!("no request was answered");
    }
    Ok(Outcome {
        requests,
        seconds: float(duration_us) / 1e6,
        p50_ms: float(p50_us) / 1000.0,
        p99_ms: float(p99_us) / 1000.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_and_errors_fail_it() -> Result<()> {
        let outcome = parse("noise\nRESULT 1000 2000000 0 0 1500 9000\n")?;
        assert_eq!(outcome.requests, 1000);
        assert!((outcome.p99_ms - 9.0).abs() < 1e-9 && (outcome.seconds - 2.0).abs() < 1e-9);
        assert!(parse("RESULT 1000 2000000 0 1 1500 9000").is_err());
        assert!(parse("RESULT 1000 2000000 1 0 1500 9000").is_err());
        assert!(parse("RESULT 0 2000000 0 0 0 0").is_err());
        assert!(parse("nothing").is_err());
        Ok(())
    }
}
