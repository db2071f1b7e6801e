//! Processes of the binary.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};

use crate::api::Api;

/// How long a server may take to listen, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The binary, with nothing of the caller's own Keyfob in its environment.
pub(crate) fn keyfob(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyfob"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KEYFOB_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// What it printed, if it ended well.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.status, Some(0), "it failed: {}", self.stderr);
        &self.stdout
    }

    /// What it printed as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.ok()).expect("stdout is JSON")
    }
}

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Ended {
    run_with(command, "")
}

/// Runs a command to its end with something to read.
pub(crate) fn run_with(mut command: Command, stdin: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read has closed it.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

type Bytes = Arc<Mutex<Vec<u8>>>;

/// A process that runs until it is told to end. Dropping it kills it.
pub(crate) struct Running {
    child: Child,
    stdout: Bytes,
    stderr: Bytes,
    readers: Vec<JoinHandle<()>>,
}

impl Running {
    /// Starts it. `on_stdout` and `on_stderr` are called with each line.
    pub(crate) fn start(
        mut command: Command,
        on_stdout: impl FnMut(&str) + Send + 'static,
        on_stderr: impl FnMut(&str) + Send + 'static,
    ) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdout, stderr) = (Bytes::default(), Bytes::default());
        let readers = vec![
            read(child.stdout.take().unwrap(), &stdout, on_stdout),
            read(child.stderr.take().unwrap(), &stderr, on_stderr),
        ];
        Self { child, stdout, stderr, readers }
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.wait()
    }

    /// Sends a signal and waits for the end.
    pub(crate) fn signal(self, signal: Signal) -> Ended {
        self.send(signal);
        self.wait()
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap()
    }

    /// Waits until it ends by itself.
    pub(crate) fn wait(mut self) -> Ended {
        let status = self.child.wait().unwrap().code();
        for reader in self.readers.drain(..) {
            reader.join().unwrap();
        }
        Ended { status, stdout: text(&self.stdout), stderr: text(&self.stderr) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.lock().unwrap().clone()).unwrap()
}

fn read(
    from: impl Read + Send + 'static,
    into: &Bytes,
    mut each: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
            into.lock().unwrap().extend_from_slice(&line);
            each(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// A server that listens.
pub(crate) struct Server {
    process: Running,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// That of its second listener.
    pub(crate) admin: Option<String>,
}

impl Server {
    /// Starts a server and waits until it listens, or has ended instead.
    pub(crate) fn start(command: Command) -> Result<Self, Ended> {
        let (tell, told) = mpsc::channel();
        let on_stderr = move |line: &str| {
            for what in ["admin on ", "listening on "] {
                if let Some(url) = url_after(line, what) {
                    // Nobody waits any more after the first one.
                    let _ = tell.send((what, url));
                }
            }
        };
        let process = Running::start(command, |_| (), on_stderr);
        let mut admin = None;
        loop {
            match told.recv_timeout(PATIENCE) {
                Ok(("admin on ", url)) => admin = Some(url),
                Ok((_, url)) => return Ok(Self { process, url, admin }),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(process.wait()),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    panic!("no server within {PATIENCE:?}: {:?}", process.kill())
                }
            }
        }
    }

    /// The server's API, as the holder of this token.
    pub(crate) fn api(&self, token: &str) -> Api {
        Api::new(&self.url, token)
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// The largest file it may write from now on, in bytes; `None` is any.
    pub(crate) fn limit_files(&self, size: Option<u64>) {
        let limit = Rlimit { current: size, maximum: None };
        prlimit(Some(self.process.pid()), Resource::Fsize, limit).unwrap();
    }

    /// `kill -9`.
    pub(crate) fn kill(self) -> Ended {
        self.process.kill()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(self) -> Ended {
        self.process.signal(Signal::TERM)
    }

    /// Asks it to end.
    pub(crate) fn ask_to_stop(&self) {
        self.process.send(Signal::TERM);
    }

    /// Waits until it has ended.
    pub(crate) fn wait(self) -> Ended {
        self.process.wait()
    }
}

fn url_after(line: &str, what: &str) -> Option<String> {
    let (_, rest) = line.split_once(what)?;
    let rest = rest.strip_prefix("http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || ".:".contains(c)));
    Some(format!("http://{}", &rest[..end.unwrap_or(rest.len())]))
}
