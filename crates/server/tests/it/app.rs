//! The service under test, in this process.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use keyfob_core::{
    crypto::{DataKey, MasterKey, Sealed},
    id::AccountId,
    policy::Role,
    totp::{Algorithm, Kind, Parameters, Seed},
};
use keyfob_server::{
    app::App,
    broker::{Broker, KeyPlan, LimitsChange, NewKey, Surroundings},
    clock::Clock,
    config::{Audit, LeakGuard, Limits, VaultConfig, public_url},
    egress::{Allow, Egress},
    metrics::Metrics,
    random::SystemRandom,
    vault,
};
use keyfob_store::{Store, StoreError, WriteTx};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::{
    call::{Caller, Key},
    database::Database,
    guard::{CANARY, Guard},
    manual_clock::ManualClock,
};

/// The path of entries.
pub(crate) const SECRETS: &str = "/api/v2/totp/secrets";
/// Where people would reach the pages.
pub(crate) const PUBLIC_URL: &str = "https://keyfob.example.com";
/// Where tests have their servers.
pub(crate) const LOOPBACK: &str = "127.0.0.0/8, ::1";

/// What a test's service differs in from the default one.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) audit: Audit,
    pub(crate) limits: Limits,
    /// Another way out than to all that is public and to [`LOOPBACK`].
    pub(crate) egress: Option<Egress>,
    /// Where people reach the pages.
    pub(crate) public_url: String,
}

impl Default for Setup {
    fn default() -> Self {
        let (audit, limits) = (Audit::Durable, Limits::default());
        Self { audit, limits, egress: None, public_url: PUBLIC_URL.into() }
    }
}

/// A running service with a database and a clock of its own.
pub(crate) struct TestApp {
    setup: Setup,
    config: VaultConfig,
    temporary: TempDir,
    database: Database,
    pub(crate) clock: Arc<ManualClock>,
    guard: Arc<Guard>,
    running: Running,
    /// Other nodes.
    others: Vec<Running>,
    keys: [Key; 3],
}

/// What a restart replaces.
struct Running {
    app: App,
    admin: App,
    broker: Broker,
    store: Store,
    first: Option<NewKey>,
}

impl Running {
    async fn start(
        setup: Setup,
        config: &VaultConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, vault::OpenError> {
        let (metrics, random) = (Arc::new(Metrics::default()), Arc::new(SystemRandom));
        let vault = vault::open(config, &*clock, random.clone(), metrics.observe_batches()).await?;
        let store = vault.store.clone();
        let public_url = public_url(&setup.public_url).unwrap();
        let allow = Allow::parse(LOOPBACK).unwrap();
        let egress = setup.egress;
        let egress = egress.unwrap_or_else(|| Egress::new(allow, clock.clone()).unwrap());
        let surroundings =
            Surroundings { clock, random, metrics: Arc::clone(&metrics), public_url, egress };
        let broker = Broker::new(vault, surroundings, (setup.audit, LeakGuard::On), setup.limits);
        let first = broker.make_first_account().await.unwrap();
        let app = App::new(broker.clone(), Arc::clone(&metrics), &SystemRandom);
        let admin = App::admin(broker.clone(), metrics, &SystemRandom);
        Ok(Self { app, admin, broker, store, first })
    }
}

impl TestApp {
    /// The service as it is by default.
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let temporary = TempDir::with_prefix("keyfob-it-").unwrap();
        let data_dir = temporary.path().join("data");
        let database = Database::new(&data_dir);
        let config = VaultConfig {
            data_dir,
            database_url: Some(database.url()),
            master_key_file: None,
            master_key: None,
        };
        let clock = Arc::new(ManualClock::new());
        let guard = Arc::new(Guard::new());
        let mut running = Running::start(setup.clone(), &config, clock.clone()).await.unwrap();
        let first = running.first.take().expect("a first start makes a key");
        let keys = keys(&running.broker, &first).await;
        for key in &keys {
            guard.know_key(&key.secret);
        }
        Self { setup, config, temporary, database, clock, guard, running, others: Vec::new(), keys }
    }

    /// Starts another server on the same database, and the caller that calls it.
    pub(crate) async fn on_another_node(&mut self, caller: Caller) -> Caller {
        let running = Running::start(self.setup.clone(), &self.config, self.clock.clone());
        let running = running.await.unwrap();
        let app = running.app.clone();
        self.others.push(running);
        Caller { app, ..caller }
    }

    /// The same on a node whose clock is ahead, which stands still.
    pub(crate) async fn on_a_node_ahead(&mut self, caller: Caller, span: Duration) -> Caller {
        let clock = ManualClock::new();
        clock.advance(span);
        let running = Running::start(self.setup.clone(), &self.config, Arc::new(clock));
        let running = running.await.unwrap();
        let app = running.app.clone();
        self.others.push(running);
        Caller { app, ..caller }
    }

    /// Closes the vault and opens it again, as another process would.
    pub(crate) async fn restart(&mut self) {
        self.try_restart().await.unwrap();
    }

    /// [`TestApp::restart`], which may be refused.
    pub(crate) async fn try_restart(&mut self) -> Result<(), vault::OpenError> {
        self.running.broker.close();
        let config = self.config.clone();
        self.running = Running::start(self.setup.clone(), &config, self.clock.clone()).await?;
        assert!(self.running.first.is_none(), "only the first start makes a key");
        Ok(())
    }

    /// What the next restart opens the vault with.
    pub(crate) fn config(&mut self) -> &mut VaultConfig {
        &mut self.config
    }

    /// How the next restart differs.
    pub(crate) fn setup(&mut self) -> &mut Setup {
        &mut self.setup
    }

    /// Ends the database under the running service.
    pub(crate) fn close(&self) {
        self.running.broker.close();
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn broker(&self) -> &Broker {
        &self.running.broker
    }

    /// That of the last other node that was started.
    pub(crate) fn other_broker(&self) -> &Broker {
        &self.others.last().expect("another node was started").broker
    }

    /// Keeps every writer busy until the answer is dropped.
    pub(crate) async fn hold_writers(&self) -> Vec<mpsc::Sender<()>> {
        let mut held = Vec::new();
        for _ in 0..self.database.writers() {
            let (release, may_end) = mpsc::channel::<()>();
            let (begun, has_begun) = oneshot::channel();
            let mut begun = Some(begun);
            let store = self.running.store.clone();
            let unit = move |tx: &mut WriteTx<'_>| {
                if let Some(begun) = begun.take() {
                    begun.send(()).unwrap();
                }
                // It ends when the sender is dropped.
                let _ = may_end.recv();
                Ok::<_, StoreError>(tx.commit_unaudited(()))
            };
            tokio::spawn(async move { store.write(unit).await });
            has_begun.await.unwrap();
            held.push(release);
        }
        held
    }

    /// Ends when so many units wait for the writers.
    pub(crate) async fn until_depth(&self, depth: usize) {
        let reached = async {
            while self.broker().depth() != depth {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
        assert!(reached.is_ok(), "{} units wait instead of {depth}", self.broker().depth());
    }

    /// A caller without a key.
    pub(crate) fn anonymous(&self) -> Caller {
        Caller {
            app: self.running.app.clone(),
            guard: Arc::clone(&self.guard),
            headers: Vec::new(),
        }
    }

    /// A caller of the second listener.
    pub(crate) fn operator(&self) -> Caller {
        Caller { app: self.running.admin.clone(), ..self.anonymous() }
    }

    pub(crate) fn owner(&self) -> Caller {
        self.anonymous().with_token(&self.keys[0])
    }

    pub(crate) fn backend(&self) -> Caller {
        self.anonymous().with_pair(&self.keys[1])
    }

    pub(crate) fn agent(&self) -> Caller {
        self.anonymous().with_token(&self.keys[2])
    }

    /// The key of the owner, the backend or the agent.
    pub(crate) fn key_of(&self, role: Role) -> &Key {
        match role {
            Role::Owner => &self.keys[0],
            Role::Backend => &self.keys[1],
            Role::Agent => &self.keys[2],
        }
    }

    /// A caller with a new key.
    pub(crate) async fn new_caller(&self, role: &str) -> (Key, Caller) {
        let body = json!({"role": role, "name": "another"});
        let key = Key::from_answer(&self.owner().post("/api/v1/key/create", body).await.ok());
        (key.clone(), self.anonymous().with_token(&key))
    }

    /// The owner of another account.
    pub(crate) async fn other_account(&self) -> Caller {
        let call = self.owner().post("/api/v1/account/create", json!({}));
        let key = Key::from_answer(&call.await.ok()["key"]);
        self.anonymous().with_token(&key)
    }

    /// The id of a new entry with the canary as its secret.
    pub(crate) async fn entry(&self) -> String {
        self.entry_with(json!({})).await
    }

    /// The id of a new entry that has these fields too.
    pub(crate) async fn entry_with(&self, fields: Value) -> String {
        let mut body = json!({"label": "GitHub", "secret": CANARY});
        let fields = fields.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(fields);
        let answer = self.backend().post(SECRETS, body).await.ok();
        answer["totp_secret"]["id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.running.store
    }

    /// The account's newest data key, opened with the master key's file.
    pub(crate) fn data_key(
        &self,
        account: &AccountId,
        (number, wrapped): (u32, Sealed),
    ) -> DataKey {
        let master = std::fs::read_to_string(self.config.key_file()).unwrap();
        let master = MasterKey::parse(&master.into()).unwrap();
        master.unwrap_data_key(account, number, &wrapped).unwrap()
    }

    /// Everything that the database holds once it is closed, bytes that were deleted included. The service
    /// cannot be used after that.
    pub(crate) fn left_behind(&self) -> Vec<u8> {
        self.close();
        let mut all = self.database.dump();
        for file in std::fs::read_dir(self.temporary.path().join("data")).unwrap() {
            all.extend(std::fs::read(file.unwrap().path()).unwrap());
        }
        all
    }

    fn check(&self, dump: &[u8]) {
        self.guard.check_logs();
        self.guard.check("the database", dump);
        for file in std::fs::read_dir(self.temporary.path().join("data")).unwrap() {
            let path = file.unwrap().path();
            self.guard.check(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

/// The owner's key, and one of each other role.
async fn keys(broker: &Broker, first: &NewKey) -> [Key; 3] {
    let operator = broker.operator().await.unwrap();
    let make = async |role: Role| {
        let (name, limits) = (role.as_str().into(), LimitsChange::default());
        let plan = KeyPlan { role, name, expires_at: None, limits };
        known(&broker.create_key(&operator, plan).await.unwrap())
    };
    [known(first), make(Role::Backend).await, make(Role::Agent).await]
}

fn known(key: &NewKey) -> Key {
    Key {
        id: key.id.to_string(),
        secret: key.secret.to_text().expose_secret().to_owned(),
        token: key.secret.to_token(&key.id).expose_secret().to_owned(),
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.running.broker.close();
        self.others.iter().for_each(|other| other.broker.close());
        let dump = (!std::thread::panicking()).then(|| self.database.dump());
        self.database.remove();
        if let Some(dump) = dump {
            self.check(&dump);
        }
    }
}

/// The canary's code at a time, by the core's own reckoning.
pub(crate) fn canary_code(period: u32, seconds: i64) -> String {
    let parameters = Parameters::new(Kind::Totp, Algorithm::Sha1, 6, period).unwrap();
    let seed = Seed::from_base32(CANARY).unwrap();
    let step = parameters.step_at(seconds).unwrap();
    parameters.code(&seed, step).as_str().to_owned()
}

/// The path of an entry's code.
pub(crate) fn code_path(id: &str, query: &str) -> String {
    format!("/api/v2/totp/code/{id}{query}")
}

/// The path of an entry.
pub(crate) fn entry_path(id: &str) -> String {
    format!("{SECRETS}/{id}")
}
