//! The suite finds what is wrong with a broker that does as most first ones do: it refreshes without a lock, and
//! takes any failure for the end of the grant.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use keyfob_testkit::{
    Clock, IssuedGrant, Moment, SystemClock,
    suite::{self, Broker, Definition, Failed, Settings, State, Verdict},
};
use serde_json::Value;

use crate::app::http;

#[derive(Clone)]
struct Tokens {
    access: String,
    refresh: String,
    expires_at: Moment,
}

/// A holder's number, and the client that its grant is of.
#[derive(Clone)]
struct Holder(usize, Definition);

#[derive(Default)]
struct Naive {
    stored: Mutex<HashMap<usize, Tokens>>,
    held: Mutex<usize>,
}

impl Naive {
    fn find(&self, holder: &Holder) -> Result<Tokens, Failed> {
        let found = self.stored.lock().unwrap().get(&holder.0).cloned();
        found.ok_or_else(|| Failed::Ended("it is not there".into()))
    }

    fn store(&self, holder: &Holder, tokens: Tokens) {
        self.stored.lock().unwrap().insert(holder.0, tokens);
    }

    async fn ask(&self, client: &Definition, token: &str) -> Option<Tokens> {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token),
            ("client_id", &client.client_id),
            ("client_secret", client.client_secrets.first()?),
        ];
        let sent = http().post(&client.token_url).form(&form).timeout(Duration::from_secs(1));
        let answer: Value = sent.send().await.ok()?.json().await.ok()?;
        let life = Duration::from_secs(answer["expires_in"].as_u64().unwrap_or(3600));
        Some(Tokens {
            access: answer["access_token"].as_str()?.to_owned(),
            refresh: answer["refresh_token"].as_str().unwrap_or(token).to_owned(),
            expires_at: SystemClock.now().plus(life),
        })
    }
}

impl Broker for Naive {
    type Client = Definition;
    type Holder = Holder;

    fn nodes(&self) -> usize {
        2
    }

    async fn define(&self, definition: &Definition) -> Result<Definition, Failed> {
        Ok(definition.clone())
    }

    async fn hold(&self, client: &Definition, grant: &IssuedGrant) -> Result<Holder, Failed> {
        let number = {
            let mut held = self.held.lock().unwrap();
            *held += 1;
            *held
        };
        let holder = Holder(number, client.clone());
        self.replace(&holder, grant).await?;
        Ok(holder)
    }

    async fn replace(&self, holder: &Holder, grant: &IssuedGrant) -> Result<(), Failed> {
        let IssuedGrant { access_token, refresh_token, expires_at, .. } = grant.clone();
        self.store(holder, Tokens { access: access_token, refresh: refresh_token, expires_at });
        Ok(())
    }

    async fn token(&self, node: usize, holder: &Holder) -> Result<String, Failed> {
        // As a call over the network would.
        tokio::task::yield_now().await;
        if self.find(holder)?.expires_at <= SystemClock.now() {
            self.refresh(node, holder).await?;
        }
        Ok(self.find(holder)?.access)
    }

    async fn refresh(&self, _: usize, holder: &Holder) -> Result<(), Failed> {
        match self.ask(&holder.1, &self.find(holder)?.refresh).await {
            Some(tokens) => self.store(holder, tokens),
            None => drop(self.stored.lock().unwrap().remove(&holder.0)),
        }
        Ok(())
    }

    async fn revoke(&self, holder: &Holder) -> Result<(), Failed> {
        self.stored.lock().unwrap().remove(&holder.0);
        Ok(())
    }

    async fn state(&self, holder: &Holder) -> Result<State, Failed> {
        let is_connected = self.find(holder).is_ok();
        Ok(State { is_connected, reason: String::new() })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_a_lock_that_takes_any_failure_for_the_end_is_found_out() {
    let settings = Settings {
        duration: Duration::from_secs(2),
        patience: Duration::from_secs(3),
        ..Settings::default()
    };
    let checked = suite::run(Arc::new(Naive::default()), settings, &[]).await;
    let verdict = |name: &str| checked.iter().find(|one| one.name == name).unwrap().verdict;
    let wrong = [
        "a_token_that_has_expired_is_never_handed_out",
        "answers_are_read_in_every_style",
        "a_client_secret_is_replaced_without_a_gap",
        "many_callers_share_one_refresh",
        "callers_of_all_nodes_share_one_refresh",
        "a_caller_who_hangs_up_ends_no_refresh",
        "a_refusal_of_a_grant_that_was_replaced_meanwhile_breaks_nothing",
        "forced_refreshes_harm_nothing",
        "an_outage_costs_no_grant",
        "a_provider_that_hangs_costs_no_grant",
        "a_lost_answer_is_asked_for_once_more",
        "a_lost_answer_that_cost_the_grant_is_told",
        "revoking_ends_the_grant_at_the_provider",
    ];
    for name in wrong {
        assert_eq!(verdict(name), Verdict::Failed, "{name}: {checked:#?}");
    }
    for name in [
        "a_rotated_refresh_token_is_kept",
        "an_answer_without_a_refresh_token_keeps_the_old_one",
        "a_grant_that_the_provider_has_ended_is_told_and_left_alone",
    ] {
        assert_eq!(verdict(name), Verdict::Passed, "{name}: {checked:#?}");
    }
}
