//! Control over HTTP, under `/control`, for tests in any language. Its requests are not in the ledger.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State as Extract,
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{
    device,
    endpoint::Endpoint,
    family::{Cause, FamilyId},
    fault::Fault,
    options::Options,
    provider::{self, IssuedGrant},
    refusal::Refusal,
    script::Rule,
    seconds,
    state::{Shared, State},
};

type Answer<T = Value> = Result<Json<T>, Refusal>;

pub(crate) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/script", post(script).delete(clear_script))
        .route("/release", post(release))
        .route("/ledger", get(ledger))
        .route("/reset", post(reset))
        .route("/grant", post(grant))
        .route("/withdraw", post(withdraw))
        .route("/token", post(token))
        .route("/device", post(decide))
        .route("/secret/retire", post(retire))
        .route("/options", get(options).post(change_options))
}

fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::request)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Script {
    endpoint: Endpoint,
    fault: Fault,
    #[serde(default)]
    times: Option<NonZeroU32>,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    grant_type: Option<String>,
    #[serde(default)]
    client: Option<String>,
}

async fn script(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Refusal> {
    let Script { endpoint, fault, times, always, grant_type, client } = read(&body)?;
    if always && times.is_some() {
        return Err(Refusal::request("give times or always, not both"));
    }
    if let Fault::Answer(answer) = &fault {
        answer.check().map_err(Refusal::request)?;
    }
    let times = if always { None } else { Some(times.map_or(1, NonZeroU32::get)) };
    let rule = Rule { times, grant_type, client, ..Rule::once(endpoint, fault) };
    shared.look(|state| state.script.add(rule));
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_script(Extract(shared): Extract<Arc<Shared>>) -> StatusCode {
    shared.look(|state| state.script.clear());
    StatusCode::NO_CONTENT
}

async fn release(Extract(shared): Extract<Arc<Shared>>) -> StatusCode {
    shared.release();
    StatusCode::NO_CONTENT
}

async fn ledger(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    shared.look(|state| {
        let mut ledger = json!(state.ledger);
        ledger["reuses"] = json!(state.ledger.reuses());
        Json(ledger)
    })
}

async fn reset(Extract(shared): Extract<Arc<Shared>>) -> StatusCode {
    shared.with(State::reset);
    shared.release();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Grant {
    client: String,
    #[serde(default = "read_only")]
    scope: String,
    #[serde(default, with = "seconds::optional")]
    access_token_life: Option<Duration>,
}

fn read_only() -> String {
    "read".to_owned()
}

async fn grant(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Answer<IssuedGrant> {
    let Grant { client, scope, access_token_life } = read(&body)?;
    shared.with(|state| {
        let life = access_token_life.unwrap_or(state.options.access_token_life);
        let issued = provider::issue_grant(state, &client, &scope, life);
        issued.map(Json).map_err(Refusal::request)
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Withdraw {
    family: FamilyId,
}

async fn withdraw(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Answer {
    let Withdraw { family } = read(&body)?;
    shared.with(|state| {
        let now = state.now();
        Ok(Json(json!({ "found": state.ledger.families.kill(family, Cause::Withdrawn, now) })))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Token {
    access_token: String,
}

async fn token(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Answer {
    let Token { access_token } = read(&body)?;
    shared.look(|state| {
        let issued = state.ledger.was_issued(&access_token);
        let valid = state.ledger.is_valid(&access_token, state.now());
        Ok(Json(json!({ "issued": issued, "valid": valid })))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Decide {
    user_code: String,
    approve: bool,
}

async fn decide(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Answer {
    let Decide { user_code, approve } = read(&body)?;
    shared.with(|state| {
        let own = state.options.subject.clone();
        let found = device::settle(state, &user_code, approve.then_some(&own));
        Ok(Json(json!({ "found": found })))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retire {
    client: String,
    secret: String,
}

async fn retire(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Answer {
    let Retire { client, secret } = read(&body)?;
    let found = shared.with(|state| provider::retire_secret(state, &client, &secret));
    Ok(Json(json!({ "found": found })))
}

async fn options(Extract(shared): Extract<Arc<Shared>>) -> Json<Value> {
    shared.look(|state| Json(json!(state.options)))
}

/// Changes the options that are given, and answers all of them.
async fn change_options(Extract(shared): Extract<Arc<Shared>>, body: Bytes) -> Answer<Options> {
    let given: Map<String, Value> = read(&body)?;
    shared.with(|state| {
        let mut merged = json!(state.options);
        for (name, value) in given {
            merged[name] = value;
        }
        let changed: Options = serde_json::from_value(merged).map_err(Refusal::request)?;
        state.options = Options { clock: state.options.clock.clone(), ..changed };
        Ok(Json(state.options.clone()))
    })
}
