//! `kill -9` at any moment under load, on both databases, fifty times each: every create that was
//! answered is there after the restart, every code that was released has its event, and nothing is
//! half-written.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::Method;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    api::{Api, Code},
    database::Kind,
    hotp::secret_of,
    ledger::{Ledger, Told},
    on_both_databases,
    process::Server,
    vault::Vault,
};

const KILLS: u64 = 50;
const CALLERS: u64 = 8;
/// The server is killed after this many answers at most.
const MOST_ANSWERS: u64 = 200;

on_both_databases!(nothing_answered_is_lost_by_kill_9);

async fn nothing_answered_is_lost_by_kill_9(kind: Kind) {
    let vault = Vault::new(kind);
    let token = vault.key("backend").token;
    let mut ledger = Ledger::default();
    // What the vault held after the last restart: also creates whose answers were cut off.
    let mut known = Arc::new(BTreeMap::new());
    let mut random = Random(0x6b65_7966_6f62);
    let api = Api::new("", &token);
    let mut server = vault.serve();
    for round in 1..=KILLS {
        let mut load = Load::start(&api.at(&server.url), round, &known);
        // Some are killed right at the first answer.
        let wanted = if round % 10 == 1 { 1 } else { 1 + random.below(MOST_ANSWERS) };
        let mut told = load.wait_for(wanted).await;
        kill(server);
        told.extend(load.rest().await);
        told.into_iter().for_each(|told| ledger.note(told, &known));

        server = vault.serve();
        let api = api.at(&server.url);
        let listed = ledger.check(&vault, &api).await;
        Ledger::check_codes(&api, listed.iter().filter(|(id, _)| !known.contains_key(*id))).await;
        if round % 10 == 0 {
            vault.check_health();
        }
        known = Arc::new(listed);
    }
    let answers = ledger.entries.len() + ledger.released();
    assert!(answers > usize::try_from(KILLS * MOST_ANSWERS / 4).unwrap(), "{answers} answers");
    assert!(ledger.released() > answers / 4, "{} codes", ledger.released());
    Ledger::check_codes(&api.at(&server.url), &*known).await;
    let ended = server.stop();
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
}

fn kill(server: Server) {
    let ended = server.kill();
    assert_eq!(ended.status, None, "it was still running: {}", ended.stderr);
    for word in ["panicked", "ERROR"] {
        assert!(!ended.stderr.contains(word), "{}", ended.stderr);
    }
}

/// Callers that store entries and read codes as fast as they are answered.
pub(crate) struct Load {
    callers: JoinSet<()>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Load {
    pub(crate) fn start(api: &Api, round: u64, known: &Arc<BTreeMap<String, String>>) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (api, known, tell) = (api.clone(), Arc::clone(known), tell.clone());
            callers.spawn(async move {
                let caller = Caller { api, name: format!("{round}-{caller}"), known };
                // Ends when the connection does.
                let _ = caller.work(round * CALLERS + caller_seed(&caller.name), &tell).await;
            });
        }
        Self { callers, told }
    }

    /// The first answers.
    pub(crate) async fn wait_for(&mut self, wanted: u64) -> Vec<Told> {
        let mut told = Vec::new();
        while (told.len() as u64) < wanted {
            told.push(self.told.recv().await.expect("the server still answers"));
        }
        told
    }

    /// The answers that came after those, once the server is gone.
    pub(crate) async fn rest(mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(one) = self.told.recv().await {
            told.push(one);
        }
        while let Some(ended) = self.callers.join_next().await {
            ended.unwrap();
        }
        told
    }
}

fn caller_seed(name: &str) -> u64 {
    name.bytes().fold(7, |seed, byte| seed * 31 + u64::from(byte))
}

struct Caller {
    api: Api,
    name: String,
    known: Arc<BTreeMap<String, String>>,
}

impl Caller {
    async fn work(
        &self,
        seed: u64,
        tell: &mpsc::UnboundedSender<Told>,
    ) -> reqwest::Result<()> {
        let mut random = Random(seed);
        let mut own = Vec::new();
        for number in 0.. {
            let request_id = format!("{}-{number}", self.name);
            let told = match own.len() + self.known.len() {
                0 => self.create(request_id).await?,
                _ if random.below(2) == 0 => self.create(request_id).await?,
                _ => {
                    let of_others = self.known.keys().nth(usize::try_from(random.below(20)).unwrap());
                    let id: &String = of_others.or(own.last()).unwrap_or(&self.name);
                    self.read(id.clone(), request_id).await?
                }
            };
            if let Told::Created { id, .. } = &told {
                own.push(id.clone());
            }
            // The receiver lives until all callers have ended.
            tell.send(told).unwrap();
        }
        Ok(())
    }

    async fn create(&self, label: String) -> reqwest::Result<Told> {
        let body = json!({"label": label, "secret": secret_of(&label)});
        let path = "/api/v2/totp/secrets";
        let body = self.api.send(Method::POST, path, Some(&body), &label).await?.ok();
        Ok(Told::Created { id: body["totp_secret"]["id"].as_str().unwrap().into(), label })
    }

    async fn read(&self, id: String, request_id: String) -> reqwest::Result<Told> {
        let path = format!("/api/v2/totp/code/{id}");
        let body = self.api.send(Method::GET, &path, None, &request_id).await?.ok();
        Ok(Told::Released { id, request_id, code: Code::of(&body) })
    }
}

/// Numbers that look random and are the same in each run (Numerical Recipes' generator).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
