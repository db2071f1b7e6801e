//! The OpenAPI document says what the service does: the same routes and methods, schemas that its own examples fit, codes
//! that there are.

use std::{collections::BTreeSet, fs, path::Path};

use keyfob_server::openapi;

/// Where people read the document without running anything.
fn in_docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json")
}

#[test]
fn the_document_in_docs_is_the_one_that_is_served() {
    if std::env::var_os("KEYFOB_WRITE_OPENAPI").is_some() {
        fs::write(in_docs(), openapi::json()).unwrap();
    }
    let written = fs::read_to_string(in_docs()).unwrap_or_default();
    assert!(
        written == openapi::json(),
        "docs/openapi.json is another one: look at the difference that KEYFOB_WRITE_OPENAPI=1 makes"
    );
}
