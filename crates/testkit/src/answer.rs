//! The answers of the token endpoint, in each style.

use axum::{
    Json,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use crate::{
    options::{AnswerStyle, Options},
    refusal::{Note, Refusal},
    state::Issued,
};

pub(crate) fn issued(options: &Options, issued: &Issued) -> Response {
    let tokens = tokens(options, issued);
    let mut response = match options.answer_style {
        AnswerStyle::Json => Json(tokens).into_response(),
        AnswerStyle::Form => form(&tokens),
        AnswerStyle::TextNumbers => {
            let texts = tokens.into_iter().map(|(name, value)| (name, number_as_text(value)));
            Json(texts.collect::<Map<_, _>>()).into_response()
        }
        AnswerStyle::SlackUser => Json(slack(issued, tokens)).into_response(),
    };
    // RFC 6749 section 5.1.
    response.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
    let issued = Some((issued.family, issued.generation));
    response.extensions_mut().insert(Note { error: None, issued });
    response
}

pub(crate) fn refused(options: &Options, refusal: Refusal) -> Response {
    let note = refusal.note();
    let mut response = match options.answer_style {
        AnswerStyle::Json | AnswerStyle::TextNumbers => return refusal.into_response(),
        AnswerStyle::Form => {
            let mut fields = Map::new();
            fields.insert("error".to_owned(), refusal.code.into());
            fields.insert("error_description".to_owned(), refusal.description.into());
            form(&fields)
        }
        AnswerStyle::SlackUser => {
            (StatusCode::OK, Json(json!({ "ok": false, "error": refusal.code }))).into_response()
        }
    };
    response.extensions_mut().insert(note);
    response
}

fn tokens(options: &Options, issued: &Issued) -> Map<String, Value> {
    let mut tokens = Map::new();
    tokens.insert("access_token".to_owned(), issued.access_token.clone().into());
    tokens.insert("token_type".to_owned(), "Bearer".into());
    if !options.omit_expires_in {
        tokens.insert("expires_in".to_owned(), issued.life.as_secs().into());
    }
    if let Some(refresh_token) = &issued.refresh_token {
        tokens.insert("refresh_token".to_owned(), refresh_token.clone().into());
        if let Some(life) = issued.refresh_life.filter(|_| options.tell_refresh_token_life) {
            tokens.insert("refresh_token_expires_in".to_owned(), life.as_secs().into());
        }
    }
    if !issued.scope.is_empty() {
        tokens.insert("scope".to_owned(), issued.scope.clone().into());
    }
    tokens
}

fn number_as_text(value: Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        other => other,
    }
}

fn form(fields: &Map<String, Value>) -> Response {
    let mut body = form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        body.append_pair(name, &text);
    }
    ([("content-type", "application/x-www-form-urlencoded")], body.finish()).into_response()
}

fn slack(issued: &Issued, mut tokens: Map<String, Value>) -> Value {
    tokens.insert("id".to_owned(), issued.subject.clone().into());
    tokens.insert("token_type".to_owned(), "user".into());
    json!({ "ok": true, "app_id": "A0TESTKIT", "team": { "id": "T0TESTKIT" }, "authed_user": tokens })
}
