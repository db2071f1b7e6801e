//! The OpenAPI document says what the service does: the same routes and methods, schemas that its own examples fit, codes
//! and words that there are, and bodies with the fields that are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use keyfob_core::{
    policy::Role,
    proxy,
    secret::{Kind, SecretType, Visibility},
};
use keyfob_server::{error::CODES, openapi, router::ROUTES};
use serde_json::{Value, json};

use crate::app::TestApp;

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[test]
fn the_document_in_docs_is_the_one_that_is_served() {
    let file = docs().join("openapi.json");
    let served = format!("{:#}\n", openapi::document());
    if std::env::var_os("KEYFOB_WRITE_OPENAPI").is_some() {
        fs::write(&file, &served).unwrap();
    }
    let is_same = fs::read_to_string(file).unwrap_or_default() == served;
    assert!(
        is_same,
        "docs/openapi.json is another one: KEYFOB_WRITE_OPENAPI=1 writes this one, and git shows how they differ"
    );
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let app = TestApp::new().await;
    let answer = app.anonymous().get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text(), openapi::json());
}

/// The operations of the document: path, method, and what it says.
fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_and_every_method_of_it_is_in_the_document_and_no_other_is() {
    let app = TestApp::new().await;
    let document = openapi::document();
    let mut described = BTreeMap::<_, BTreeSet<_>>::new();
    for (path, method, _) in operations(&document) {
        described.entry(path).or_default().insert(method.to_uppercase());
    }
    let mut served = BTreeMap::new();
    for route in ROUTES.iter().chain(&["/healthz", "/readyz"]) {
        let path = route.replace("{*url}", "{url}");
        let refused = app.owner().call("TRACE", &filled(&path), Vec::new()).await;
        let mut methods: BTreeSet<_> =
            refused.header("allow").split(',').map(str::to_owned).collect();
        refused.error(405, "method_not_allowed");
        if !path.starts_with("/proxy/") {
            // The router takes it for granted; what it does is said once for all.
            methods.remove("HEAD");
        }
        served.insert(path, methods);
    }
    let described: BTreeMap<_, _> =
        described.into_iter().map(|(path, methods)| (path.to_owned(), methods)).collect();
    assert_eq!(described, served);
}

#[test]
fn every_operation_has_a_name_of_its_own_a_summary_a_tag_and_says_who_may_ask() {
    let document = openapi::document();
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{name} is there twice");
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        let tags = document["tags"].as_array().unwrap();
        assert!(tags.iter().any(|tag| tag["name"] == operation["tags"][0]), "{name}");
        let needs_key = ROUTES.iter().any(|route| route.replace("{*url}", "{url}") == path);
        assert_eq!(operation["security"].is_array(), needs_key, "{method} {path}");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let text = parameter["description"].as_str().or(parameter["$ref"].as_str());
            assert!(text.is_some_and(|text| !text.is_empty()), "{name}: {parameter}");
        }
    }
}

/// Whether a value fits a schema of the document.
fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = json!({"allOf": [schema], "components": document["components"]});
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.validate(value).err().map(|error| format!("{error} at {}", error.instance_path()))
}

#[test]
fn every_body_and_every_answer_in_json_has_an_example_that_fits_its_schema() {
    let document = openapi::document();
    for (_, _, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        let bodies = [&operation["requestBody"], &operation["responses"]["200"]];
        for media_type in bodies.map(|body| &body["content"]["application/json"]) {
            if media_type.is_null() {
                continue;
            }
            let named = media_type["examples"].as_object().into_iter().flatten();
            let examples: Vec<_> = named
                .map(|(_, example)| &example["value"])
                .chain(media_type.get("example"))
                .collect();
            assert!(!examples.is_empty(), "{name} has no example: {}", media_type["schema"]);
            for example in examples {
                let misfit = misfit(&document, &media_type["schema"], example);
                assert_eq!(misfit, None, "{name}: {example}");
            }
        }
    }
}

#[test]
fn the_codes_of_errors_are_those_that_the_documentation_explains() {
    let table = fs::read_to_string(docs().join("api.md")).unwrap();
    let mut explained = BTreeSet::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| ")) {
        let mut cells = row.split(" | ");
        let (Some(Ok(status)), Some(codes)) = (cells.next().map(str::parse::<u16>), cells.next())
        else {
            continue;
        };
        // In brackets is what the other dialect says, with a status of its own.
        let codes = codes.split('(').next().unwrap();
        let codes = codes.split('`').skip(1).step_by(2);
        explained.extend(codes.map(|code| (status, code.to_owned())));
    }
    let listed: BTreeSet<_> = CODES.iter().map(|it| (it.status, it.name.to_owned())).collect();
    let other = BTreeSet::from([(401, "not_authenticated".to_owned())]);
    assert_eq!(listed, &explained | &other);
}

#[test]
fn the_words_of_schemas_are_those_that_there_are() {
    let document = openapi::document();
    let words = |name: &str| document["components"]["schemas"][name]["enum"].clone();
    assert_eq!(
        words("SecretType"),
        json!(SecretType::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>())
    );
    assert_eq!(
        words("SecretKind"),
        json!(Kind::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>())
    );
    assert_eq!(
        words("Visibility"),
        json!(Visibility::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>())
    );
    assert_eq!(words("Method"), json!(proxy::Method::ALL.map(proxy::Method::as_str)));
    for role in words("Role").as_array().unwrap() {
        assert!(Role::parse(role.as_str().unwrap()).is_some(), "{role}");
    }
}

/// An operation that refuses unknown fields: its method, its path, its fields, and a body that it takes.
struct Closed {
    method: String,
    path: String,
    fields: BTreeSet<String>,
    example: Value,
}

fn closed(document: &Value) -> Vec<Closed> {
    let mut all = Vec::new();
    for (path, method, operation) in operations(document) {
        let media_type = &operation["requestBody"]["content"]["application/json"];
        let Some(name) = media_type["schema"]["$ref"].as_str() else { continue };
        let schema = &document["components"]["schemas"][name.rsplit('/').next().unwrap()];
        if schema["additionalProperties"] != json!(false) {
            continue;
        }
        let examples = media_type["examples"].as_object().unwrap();
        all.push(Closed {
            method: method.to_uppercase(),
            path: filled(path),
            fields: schema["properties"].as_object().unwrap().keys().cloned().collect(),
            // Behind a URI no other field is looked at.
            example: examples
                .values()
                .map(|example| example["value"].clone())
                .find(|example| example.get("uri").is_none())
                .unwrap(),
        });
    }
    all
}

#[tokio::test]
async fn a_body_has_the_fields_that_its_schema_names_and_no_others() {
    let app = TestApp::new().await;
    let closed = closed(&openapi::document());
    assert!(closed.len() > 10);
    let names: BTreeSet<_> = closed.iter().flat_map(|one| one.fields.clone()).collect();
    for Closed { method, path, fields, example } in &closed {
        for name in &names {
            let mut body = example.clone();
            // No field takes it.
            body[name] = json!([[]]);
            let answer = app.owner().call(method, path, body.to_string().into()).await;
            assert_eq!(answer.status, 400, "{method} {path} takes {name}");
            let text = answer.json()["message"].as_str().unwrap().to_owned();
            let is_unknown = text.contains("is not allowed") || text.contains("unknown field");
            assert_eq!(is_unknown, !fields.contains(name), "{method} {path}, {name}: {text}");
        }
    }
}
