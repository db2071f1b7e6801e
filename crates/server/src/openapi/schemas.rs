//! What derived schemas need beside: errors with the codes that there are, and objects whose fields are in one place.

use serde_json::{Map, Value, json};

use crate::error::CODES;

/// Completes the schemas of a document.
pub(super) fn complete(document: &mut Value) {
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
    else {
        return;
    };
    // No operation names it: errors are what all have in common.
    let error = <keyfob_api::error::ErrorBody as utoipa::PartialSchema>::schema();
    let error = serde_json::to_value(error).unwrap_or_default();
    schemas.insert("Error".into(), one_dialect(&error, false));
    schemas.insert("TotpError".into(), one_dialect(&error, true));
    flatten(schemas);
    refer(schemas);
    for (name, ways) in ALTERNATIVES {
        let of = |fields: &&[&str]| json!({"required": fields});
        schemas[*name]["anyOf"] = ways.iter().map(of).collect();
    }
}

/// The error of one dialect: with the codes that it has, and with the fields that it always has.
fn one_dialect(error: &Value, v2: bool) -> Value {
    let mut error = error.clone();
    let codes = || CODES.iter().filter(|code| code.dialects.has(v2)).map(|code| code.name);
    let mut lower: Vec<_> = codes().collect();
    lower.sort_unstable();
    lower.dedup();
    let upper: Vec<_> = lower.iter().map(|code| code.to_ascii_uppercase()).collect();
    error["properties"]["error"]["enum"] = json!(lower);
    error["properties"]["code"]["enum"] = json!(upper);
    if v2 {
        error["properties"]["error_code"]["enum"] = json!(lower);
        error["properties"]["status"]["enum"] = json!(["ERROR"]);
        error["required"] = json!([
            "status",
            "message",
            "code",
            "error",
            "error_message",
            "error_code",
            "request_id"
        ]);
    } else if let Some(properties) = error["properties"].as_object_mut() {
        properties
            .retain(|name, _| !["status", "error_message", "error_code"].contains(&name.as_str()));
    }
    error
}

/// Bodies of which one field or another is required.
const ALTERNATIVES: &[(&str, &[&[&str]])] = &[
    ("CreateTotp", &[&["label"], &["uri"]]),
    ("Connect", &[&["value"], &["username", "password"], &["accessToken"]]),
];

/// Has fields of a part (`#[serde(flatten)]`) where the others are: many tools know no other way to refuse unknown
/// ones.
fn flatten(schemas: &mut Map<String, Value>) {
    let parts = schemas.clone();
    let part = |of: &Value| match of["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        Some(name) => parts[name].clone(),
        None => of.clone(),
    };
    for schema in schemas.values_mut() {
        let Some(all) = schema["allOf"].as_array().cloned() else { continue };
        let mut whole = json!({"type": "object", "properties": {}, "required": [], "description": schema["description"]});
        for part in all.iter().map(part) {
            if let (Some(into), Some(properties)) =
                (whole["properties"].as_object_mut(), part["properties"].as_object())
            {
                into.extend(properties.clone());
            }
            if let (Some(into), Some(required)) =
                (whole["required"].as_array_mut(), part["required"].as_array())
            {
                into.extend(required.iter().cloned());
            }
        }
        *schema = whole;
    }
    for name in CLOSED {
        schemas[*name]["additionalProperties"] = json!(false);
    }
}

/// Bodies with parts, which refuse unknown fields: serde has no attribute for both.
const CLOSED: &[&str] = &["CreateKey"];

/// Has pages and lines name what they are of, of which utoipa puts a copy into each.
fn refer(schemas: &mut Map<String, Value>) {
    for (name, schema) in schemas.iter_mut() {
        let (place, item) = match name.split_once('_') {
            Some(("Page", item)) => ("/properties/items/items", item),
            Some(("Line", item)) => ("/oneOf/0/properties/data", item),
            _ => continue,
        };
        if let Some(copy) = schema.pointer_mut(place) {
            *copy = json!({"$ref": format!("#/components/schemas/{item}")});
        }
    }
}
