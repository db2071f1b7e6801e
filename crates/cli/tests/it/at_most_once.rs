//! 64 callers that each want a step of their own of one entry, on two processes over one PostgreSQL
//! and on one process over SQLite, with a `kill -9` in between: no step is handed out twice.
//!
//! A step begins each second, so this takes as many seconds as there are callers, and those that a
//! killed process had reserved are lost.

use std::{collections::HashSet, time::Duration};

use reqwest::Method;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    api::{Api, Code},
    database::Kind,
    hotp::{code, secret_of},
    process::Server,
    vault::Vault,
};

const CALLERS: usize = 64;
/// Then a process is killed.
const UNTIL_KILL: usize = 44;
const WITHIN: Duration = Duration::from_mins(3);

/// Both at once, and by its name the first of all tests: it waits for most of its time.
#[tokio::test(flavor = "multi_thread")]
async fn no_step_is_handed_out_twice_also_after_kill_9_on_sqlite_and_on_postgresql() {
    let both = [Kind::Sqlite, Kind::Postgres].map(|kind| {
        let within = tokio::time::timeout(WITHIN, scenario(kind));
        (kind, tokio::spawn(within))
    });
    for (kind, ended) in both {
        let ended = ended.await.unwrap_or_else(|error| panic!("on {kind:?}: {error}"));
        assert!(ended.is_ok(), "on {kind:?} not all had their codes in time");
    }
}

/// Where the servers are now.
#[derive(Clone, Default)]
struct Servers {
    /// Counts the changes.
    version: u32,
    urls: Vec<String>,
}

async fn scenario(kind: Kind) {
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let processes = if kind == Kind::Postgres { 2 } else { 1 };
    let mut servers: Vec<Server> = (0..processes).map(|_| vault.serve()).collect();
    let urls = |servers: &[Server]| servers.iter().map(|server| server.url.clone()).collect();
    let (announce, announced) = watch::channel(Servers { version: 0, urls: urls(&servers) });
    let api = servers[0].api(&token);
    let id = api.store("shared", &secret_of("shared"), 1).await;

    // Others know the codes of these two steps.
    let path = format!("/api/v2/totp/code/{id}");
    let plain = api.get(&format!("{path}?include=next")).await.ok();
    let plain = check(&Code::of(&plain));
    let told = [plain, plain + 1];

    let (tell, mut answers) = mpsc::unbounded_channel();
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        let caller = Caller {
            number,
            api: api.clone(),
            path: format!("{path}?unique=true"),
            servers: announced.clone(),
        };
        let tell = tell.clone();
        callers.spawn(async move { tell.send(caller.get_one().await).unwrap() });
    }
    drop(tell);

    let mut steps = Vec::new();
    while steps.len() < UNTIL_KILL {
        steps.push(check(&answers.recv().await.unwrap()));
    }
    let ended = servers.remove(0).kill();
    assert_eq!(ended.status, None, "it was still running: {}", ended.stderr);
    announce.send_replace(Servers { version: 1, urls: urls(&servers) });
    servers.push(vault.serve());
    announce.send_replace(Servers { version: 2, urls: urls(&servers) });

    while let Some(released) = answers.recv().await {
        steps.push(check(&released));
    }
    callers.join_all().await;
    assert_eq!(steps.len(), CALLERS);
    let different: HashSet<_> = steps.iter().chain(&told).collect();
    assert_eq!(different.len(), CALLERS + told.len(), "{told:?}, then {steps:?}");
    let released = "SELECT count(*) FROM event WHERE action = 'totp.code' AND result = 'ok'
                    AND request_id LIKE 'caller-%'";
    let released: usize = vault.database.rows(released)[0][0].parse().unwrap();
    assert!(released >= CALLERS, "every code has its event: {released}");
    for server in servers {
        assert_eq!(server.stop().status, Some(0));
    }
}

/// The code's step, if it is the right code.
fn check(released: &Code) -> i64 {
    assert_eq!(released.code, code(&secret_of("shared"), released.step, 6));
    released.step
}

struct Caller {
    number: usize,
    api: Api,
    path: String,
    servers: watch::Receiver<Servers>,
}

impl Caller {
    /// Asks until it has a code, as the published clients do.
    async fn get_one(mut self) -> Code {
        loop {
            let servers = self.servers.wait_for(|servers| !servers.urls.is_empty()).await;
            let servers = servers.unwrap().clone();
            let api = self.api.at(&servers.urls[self.number % servers.urls.len()]);
            let name = format!("caller-{}", self.number);
            match api.send(Method::GET, &self.path, None, &name).await {
                Ok(answer) if answer.status == 429 => {
                    tokio::time::sleep(answer.retry_after()).await;
                }
                Ok(answer) => return Code::of(&answer.ok()),
                // The process is gone: there is another one, or soon will be.
                Err(_) => {
                    let moved = self.servers.wait_for(|now| now.version != servers.version);
                    drop(moved.await.unwrap());
                }
            }
        }
    }
}
