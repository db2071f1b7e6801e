//! Starting and stopping what is measured, and what the kernel says about it.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::timeout,
};

/// The kernel's `USER_HZ`: what /proc counts CPU time in.
const TICKS_PER_SECOND: u64 = 100;
/// How many lines of a server's output are kept to show when it fails.
const TAIL: usize = 30;

type Tail = Arc<Mutex<VecDeque<String>>>;

/// A server that was started here. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    pid: u32,
    child: Child,
    ports: mpsc::Receiver<u16>,
    tail: Tail,
}

impl Server {
    /// Starts a server whose output nobody waits for.
    pub(crate) fn spawn(name: &str, mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let pid = child.id().with_context(|| format!("{name} ended at once"))?;
        let (sender, ports) = mpsc::channel(1);
        let tail = Tail::default();
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(drain(stdout, sender.clone(), Arc::clone(&tail)));
        }
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(drain(stderr, sender, Arc::clone(&tail)));
        }
        Ok(Self { name: name.to_owned(), pid, child, ports, tail })
    }

    /// Starts a server and waits for the port it says it listens on.
    pub(crate) async fn listening(name: &str, command: Command) -> Result<(Self, u16)> {
        let mut server = Self::spawn(name, command)?;
        match timeout(Duration::from_mins(1), server.ports.recv()).await {
            Ok(Some(port)) => Ok((server, port)),
            Ok(None) => Err(server.failure("ended before it listened")),
            Err(_) => Err(server.failure("did not listen within 60 s")),
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// An error that carries the server's last words.
    pub(crate) fn failure(&self, what: &str) -> anyhow::Error {
        let tail = self.tail.lock().map_or_else(
            |_| String::new(),
            |lines| lines.iter().flat_map(|line| ["\n  ", line]).collect(),
        );
        anyhow!("{} {what}; its last output:{tail}", self.name)
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("{} cannot be killed", self.name))
    }

    /// Asks the server to end, and kills it if it does not.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let asked = Command::new("kill")
            .args(["-TERM", &self.pid.to_string()])
            .kill_on_drop(true)
            .status()
            .await;
        if asked.is_ok_and(|status| status.success())
            && timeout(Duration::from_secs(20), self.child.wait()).await.is_ok()
        {
            return Ok(());
        }
        eprintln!("{} did not end when asked and is killed", self.name);
        self.child.kill().await.with_context(|| format!("{} cannot be killed", self.name))
    }
}

/// Reads a server's output to its end, so that it never blocks, and finds the port in it.
async fn drain(output: impl AsyncRead + Unpin, ports: mpsc::Sender<u16>, tail: Tail) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(port) = announced_port(&line) {
            // Only the first is waited for.
            let _ = ports.try_send(port);
        }
        if let Ok(mut tail) = tail.lock() {
            if tail.len() == TAIL {
                tail.pop_front();
            }
            tail.push_back(line);
        }
    }
}

/// Ports that nothing listens on at this moment, for a server that cannot pick its own.
pub(crate) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut ports = [0; COUNT];
    // All are held until the last is found, so that they differ.
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// The port in `listening on http://127.0.0.1:PORT`.
fn announced_port(line: &str) -> Option<u16> {
    let rest = line.split_once("listening on")?.1.split_once("127.0.0.1:")?.1;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// What one process has used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The process that started it.
    pub(crate) parent: u32,
    /// CPU time of all its threads, in ticks.
    pub(crate) own: u64,
    /// CPU time of the children it has waited for, in ticks.
    pub(crate) reaped: u64,
}

/// Reads /proc/PID/stat; `pid` may be `self`.
pub(crate) fn usage(pid: &str) -> Result<Usage> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    parse_usage(&text).with_context(|| format!("/proc/{pid}/stat cannot be read"))
}

fn parse_usage(stat: &str) -> Option<Usage> {
    // The name before the last bracket may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Usage {
        parent: fields.get(1)?.parse().ok()?,
        own: ticks(11)? + ticks(12)?,
        reaped: ticks(13)? + ticks(14)?,
    })
}

/// CPU time of a process and all its direct children, living and dead: a database cluster.
pub(crate) fn family_ticks(pid: u32) -> Result<u64> {
    let root = usage(&pid.to_string())?;
    let mut ticks = root.own + root.reaped;
    for entry in fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(name) =
            name.to_str().filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        else {
            continue;
        };
        // A process may end while the list is read.
        if let Ok(child) = usage(name)
            && child.parent == pid
        {
            ticks += child.own;
        }
    }
    Ok(ticks)
}

/// CPU time that all processes of the machine have used, in ticks.
pub(crate) fn machine_ticks() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat")?;
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    // user nice system (idle iowait) irq softirq steal
    match fields[..] {
        [user, nice, system, _, _, irq, softirq, steal, ..] => {
            Ok(user + nice + system + irq + softirq + steal)
        }
        _ => bail!("/proc/stat cannot be read"),
    }
}

/// Ticks in microseconds.
pub(crate) fn microseconds(ticks: u64) -> f64 {
    crate::number::float(ticks * (1_000_000 / TICKS_PER_SECOND))
}

/// Memory and threads of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resident {
    /// Resident memory in KiB.
    pub(crate) kib: u64,
    /// The most that was ever resident, in KiB.
    pub(crate) peak_kib: u64,
    /// Threads.
    pub(crate) threads: u64,
}

/// Reads /proc/PID/status.
pub(crate) fn resident(pid: u32) -> Result<Resident> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} is gone"))?;
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse().ok()
    };
    match (field("VmRSS"), field("VmHWM"), field("Threads")) {
        (Some(kib), Some(peak_kib), Some(threads)) => Ok(Resident { kib, peak_kib, threads }),
        _ => bail!("/proc/{pid}/status cannot be read"),
    }
}

/// How many files below `folder` the process has open.
pub(crate) fn open_files(pid: u32, folder: &Path) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|target| target.starts_with(folder))
        .count())
}

/// Runs a short command to its end and returns what it printed.
pub(crate) async fn output(mut command: Command) -> Result<String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let result = timeout(Duration::from_mins(2), command.output())
        .await
        .with_context(|| format!("{name} did not end within 120 s"))?
        .with_context(|| format!("{name} cannot be started"))?;
    if !result.status.success() {
        bail!("{name} failed ({}): {}", result.status, String::from_utf8_lossy(&result.stderr));
    }
    Ok(String::from_utf8(result.stdout)?)
}

/// The kind of file system that a folder lies on, such as `ext2/ext3` or `tmpfs`.
pub(crate) async fn file_system(folder: &Path) -> Result<String> {
    let mut stat = Command::new("stat");
    stat.args(["-f", "-c", "%T"]).arg(folder);
    Ok(output(stat).await?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_found_in_a_log_line() {
        let found = announced_port("2026 INFO listening on http://127.0.0.1:41234 (2 ms)");
        assert_eq!(found, Some(41234));
        assert_eq!(announced_port("listening on http://127.0.0.1:80/"), Some(80));
        assert_eq!(announced_port("connected to 127.0.0.1:41234"), None);
    }

    #[test]
    fn stat_is_read_behind_any_name() -> Result<()> {
        let stat = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 99";
        let usage = parse_usage(stat).context("unreadable")?;
        assert_eq!((usage.parent, usage.own, usage.reaped), (3, 56, 15));
        Ok(())
    }

    #[test]
    fn this_process_can_be_read() -> Result<()> {
        let pid = std::process::id();
        assert!(resident(pid)?.kib > 0 && resident(pid)?.threads > 0);
        assert!(machine_ticks()? > 0);
        family_ticks(pid)?;
        Ok(())
    }
}
