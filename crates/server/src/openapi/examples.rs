//! Examples of requests and answers, by the names of operations. A test validates each against its schema, and sends
//! the requests.

use serde_json::{Map, Value, json};

use super::each;

const EXAMPLES: &str = include_str!("examples.json");

/// Puts the examples where they belong.
pub(super) fn complete(document: &mut Value) {
    let all: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    each(document, |operation| {
        let name = operation.fields["operationId"].as_str().unwrap_or_default();
        // What is read with GET can be read with POST in two places.
        let found = all.get(name).or_else(|| all.get(name.strip_suffix("Post")?));
        let Some(mut examples) = found.cloned() else { return };
        if let Some(body) = operation.fields.get_mut("requestBody") {
            put(&mut body["content"]["application/json"], &mut examples["requests"]);
        }
        put(
            &mut operation.fields["responses"]["200"]["content"]["application/json"],
            &mut examples["answers"],
        );
    });
}

/// Named examples of one media type.
fn put(media_type: &mut Value, examples: &mut Value) {
    let named = examples.as_object().into_iter().flatten();
    let named: Map<_, _> = named
        .map(|(name, value)| (name.clone(), json!({"summary": name, "value": value})))
        .collect();
    if !named.is_empty() && media_type.is_object() {
        media_type["examples"] = named.into();
    }
}
