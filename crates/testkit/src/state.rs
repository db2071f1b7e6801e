//! What a provider remembers, behind one lock.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::sync::watch;

use crate::{
    authorize::Code,
    clock::Moment,
    device::Waiting,
    family::{AccessToken, FamilyId, RefreshToken},
    ledger::Ledger,
    mint::{MintFailed, Signer, random_text},
    options::Options,
    script::Script,
};

/// What a provider remembers.
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) ledger: Ledger,
    pub(crate) script: Script,
    pub(crate) codes: HashMap<String, Code>,
    pub(crate) devices: Vec<Waiting>,
    /// The `jti` of every assertion that was taken: each is good once.
    pub(crate) assertions: HashSet<String>,
    /// Where it listens, which is its issuer too: `http://127.0.0.1:4711`.
    pub(crate) issuer: String,
    pub(crate) signer: Signer,
}

/// Tokens that were just issued.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) family: FamilyId,
    pub(crate) generation: u32,
    pub(crate) subject: String,
    pub(crate) scope: String,
    pub(crate) access_token: String,
    pub(crate) expires_at: Moment,
    pub(crate) life: Duration,
    pub(crate) refresh_token: Option<String>,
    pub(crate) refresh_life: Option<Duration>,
}

impl State {
    pub(crate) fn now(&self) -> Moment {
        self.options.clock.now()
    }

    /// Issues the newest tokens of a family.
    pub(crate) fn issue(
        &mut self,
        id: FamilyId,
        life: Duration,
        with_refresh_token: bool,
    ) -> Result<Issued, MintFailed> {
        let now = self.now();
        let family = self.ledger.families.all.get(&id).ok_or(MintFailed)?.clone();
        let generation = family.generation;
        let expires_at = now.plus(life);
        let access_token = self.access_token(id, &family, expires_at)?;
        let token =
            AccessToken { family: id, generation, issued_at: now, expires_at, revoked_at: None };
        self.ledger.families.add_access(&access_token, token);
        let refresh_life = self.options.refresh_token_life;
        let refresh_token = if with_refresh_token {
            let text = format!("rt-{id}-g{generation}-{}", random_text()?);
            let expires_at = refresh_life.map(|life| now.plus(life));
            let token = RefreshToken { family: id, generation, expires_at, used_at: None };
            self.ledger.families.add_refresh(&text, token);
            Some(text)
        } else {
            None
        };
        let (subject, scope) = (family.subject, family.scope);
        Ok(Issued {
            family: id,
            generation,
            subject,
            scope,
            access_token,
            expires_at,
            life,
            refresh_token,
            refresh_life,
        })
    }

    fn access_token(
        &self,
        id: FamilyId,
        family: &crate::family::Family,
        expires_at: Moment,
    ) -> Result<String, MintFailed> {
        let random = random_text()?;
        if !self.options.jwt_access_tokens {
            return Ok(format!("at-{id}-g{}-{random}", family.generation));
        }
        self.signer.sign(&json!({
            "iss": self.issuer,
            "aud": format!("{}/resource", self.issuer),
            "sub": family.subject,
            "client_id": family.client,
            "scope": family.scope,
            "iat": self.now().as_seconds(),
            "exp": expires_at.as_seconds(),
            "jti": random,
        }))
    }

    /// Forgets what happened, and what was to happen. Options stay.
    pub(crate) fn reset(&mut self) {
        self.ledger.reset();
        self.script.clear();
        self.codes.clear();
        self.devices.clear();
        self.assertions.clear();
    }
}

/// The state, shared by everybody who serves and by everybody who looks.
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    released: watch::Sender<()>,
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        let (changed, released) = (watch::Sender::new(()), watch::Sender::new(()));
        Self { state: Mutex::new(state), changed, released }
    }

    /// Works on the state, then wakes those who wait for a change.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let result = self.look(work);
        self.changed.send_replace(());
        result
    }

    /// Looks at the state without changing anything that somebody may wait for.
    pub(crate) fn look<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // A test that panicked in its own condition has changed nothing.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn releases(&self) -> watch::Receiver<()> {
        self.released.subscribe()
    }

    pub(crate) fn release(&self) {
        self.released.send_replace(());
    }
}
