//! Devices without a browser (RFC 8628).

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State as Extract,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use crate::{
    client::Client,
    client_auth::authenticate,
    clock::Moment,
    family::Beginning,
    fields::{Fields, Form, Query},
    mint::{random_text, user_code},
    page::{self, Page},
    refusal::Refusal,
    state::{Issued, Shared, State},
    token::{self, DEVICE_CODE},
};

/// What is added to the interval of a device that polls too fast (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// A device that waits for a person.
pub(crate) struct Waiting {
    device_code: String,
    user_code: String,
    client: String,
    scope: String,
    expires_at: Moment,
    interval: Duration,
    polled_at: Option<Moment>,
    decision: Decision,
}

enum Decision {
    Open,
    Approved(String),
    Denied,
    Issued,
}

pub(crate) async fn begin(
    Extract(shared): Extract<Arc<Shared>>,
    headers: HeaderMap,
    Form(fields): Form,
) -> Result<Response, Refusal> {
    shared.with(|state| Ok(Json(wait(state, &headers, &fields)?).into_response()))
}

fn wait(state: &mut State, headers: &HeaderMap, fields: &Fields) -> Result<Value, Refusal> {
    let client = authenticate(state, headers, fields)?;
    let (device_code, user_code) = (format!("dc-{}", random_text()?), user_code()?);
    let options = &state.options;
    let (life, interval) = (options.device_code_life, options.device_interval);
    let decision = if options.auto_approve {
        Decision::Approved(options.subject.clone())
    } else {
        Decision::Open
    };
    let page = format!("{}/device", state.issuer);
    let answer = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": life.as_secs(),
        "interval": interval.as_secs(),
    });
    state.devices.push(Waiting {
        device_code,
        user_code,
        client: client.id,
        scope: fields.get("scope").unwrap_or_default().to_owned(),
        expires_at: state.now().plus(life),
        interval,
        polled_at: None,
        decision,
    });
    Ok(answer)
}

/// The device asks whether somebody has approved.
pub(crate) fn poll(state: &mut State, client: &Client, fields: &Fields) -> Result<Issued, Refusal> {
    let now = state.now();
    let code = fields.need("device_code")?;
    let own = |waiting: &&mut Waiting| waiting.device_code == code && waiting.client == client.id;
    let waiting = state.devices.iter_mut().find(own);
    let waiting = waiting.ok_or_else(|| Refusal::grant("the device_code is unknown"))?;
    if waiting.expires_at <= now {
        return Err(Refusal::bad("expired_token", "the device_code has expired"));
    }
    let last = waiting.polled_at.replace(now);
    if last.is_some_and(|last| now.since(last) < waiting.interval) {
        waiting.interval += SLOWER;
        return Err(Refusal::bad("slow_down", "wait five seconds longer between polls"));
    }
    let subject = match std::mem::replace(&mut waiting.decision, Decision::Issued) {
        Decision::Approved(subject) => subject,
        Decision::Open => {
            waiting.decision = Decision::Open;
            return Err(Refusal::bad("authorization_pending", "nobody has decided yet"));
        }
        Decision::Denied => return Err(Refusal::bad("access_denied", "the person declined")),
        Decision::Issued => return Err(Refusal::grant("the device_code was used before")),
    };
    let (client, scope) = (client.id.clone(), waiting.scope.clone());
    let beginning = Beginning { client, subject, scope, grant_type: DEVICE_CODE };
    token::begin(state, beginning, true)
}

/// Decides for a person. Whether there was something to decide.
pub(crate) fn settle(state: &mut State, user_code: &str, approver: Option<&str>) -> bool {
    let now = state.now();
    let typed = |code: &str| code.replace(['-', ' '], "").to_ascii_uppercase();
    let waiting = state.devices.iter_mut().find(|waiting| {
        typed(&waiting.user_code) == typed(user_code)
            && now < waiting.expires_at
            && matches!(waiting.decision, Decision::Open)
    });
    let Some(waiting) = waiting else { return false };
    waiting.decision = match approver {
        Some(subject) => Decision::Approved(subject.to_owned()),
        None => Decision::Denied,
    };
    true
}

pub(crate) async fn show(Extract(shared): Extract<Arc<Shared>>, Query(fields): Query) -> Response {
    shared.look(|state| {
        let code = ("user_code", "Code", fields.get("user_code").unwrap_or_default());
        let name = ("username", "Who are you?", state.options.subject.as_str());
        let form = page::Form { action: "/device", hidden: Vec::new(), shown: vec![code, name] };
        let text = "Enter the code that your device shows.";
        Page { title: "Connect a device?", text, form: Some(form) }.answer(StatusCode::OK)
    })
}

pub(crate) async fn decide(
    Extract(shared): Extract<Arc<Shared>>,
    Form(fields): Form,
) -> Result<Response, Refusal> {
    let code = fields.need("user_code")?;
    let approve = fields.get("decision") == Some("approve");
    let known = shared.with(|state| {
        let own = state.options.subject.clone();
        let person = approve.then_some(fields.get("username").unwrap_or(&own));
        settle(state, code, person)
    });
    Ok(match (known, approve) {
        (false, _) => page::message(
            StatusCode::BAD_REQUEST,
            "This code does not work",
            "It is unknown, has expired, or was decided on before.",
        ),
        (true, true) => page::message(StatusCode::OK, "Connected", "Go back to your device."),
        (true, false) => page::message(StatusCode::OK, "Declined", "Nothing was connected."),
    })
}
