//! Many callers at once.

use std::{collections::BTreeMap, sync::Arc};

use reqwest::Method;
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    api::{Api, Code},
    hotp::secret_of,
    ledger::Told,
};

const CALLERS: u64 = 8;
/// All callers read the codes of these entries, so that they get into each other's way.
const SHARED: usize = 20;

/// Callers that store entries and read codes as fast as they are answered.
pub(crate) struct Load {
    callers: JoinSet<()>,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Load {
    /// Starts them; `known` are entries that are there already, labels by id.
    pub(crate) fn start(api: &Api, round: u64, known: &BTreeMap<String, String>) -> Self {
        let shared: Arc<[String]> = known.keys().take(SHARED).cloned().collect();
        let (tell, told) = mpsc::unbounded_channel();
        let mut callers = JoinSet::new();
        for number in 0..CALLERS {
            let caller = Caller {
                api: api.clone(),
                name: format!("{round}-{number}"),
                shared: Arc::clone(&shared),
                random: Random(round * CALLERS + number),
            };
            let tell = tell.clone();
            callers.spawn(async move {
                // Ends when the connection does.
                let _ = caller.work(&tell).await;
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

struct Caller {
    api: Api,
    name: String,
    shared: Arc<[String]>,
    random: Random,
}

impl Caller {
    async fn work(mut self, tell: &mpsc::UnboundedSender<Told>) -> reqwest::Result<()> {
        let mut own: Option<String> = None;
        for number in 0.. {
            let request_id = format!("{}-{number}", self.name);
            let told = match (self.random.below(4), &own) {
                (0, Some(id)) => self.read(id.clone(), request_id).await?,
                (1, _) if !self.shared.is_empty() => {
                    let at = self.random.below(self.shared.len() as u64);
                    let id = self.shared[usize::try_from(at).unwrap()].clone();
                    self.read(id, request_id).await?
                }
                _ => self.create(request_id).await?,
            };
            if let Told::Created { id, .. } = &told {
                own = Some(id.clone());
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
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
