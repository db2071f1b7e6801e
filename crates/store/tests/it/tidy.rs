//! The contract is complete: no public function of a table is left out.

use std::{fs, path::Path};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The tests' own text, all of it.
fn tests() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| read(&file)).collect()
}

/// What a caller writes to use each public function of this module.
fn uses(module: &str, source: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let (indent, rest) = line.split_once("pub fn ")?;
        let name = rest.split_once(['(', '<'])?.0;
        match indent {
            "" => Some(format!("{module}::{name}")),
            _ if indent.trim().is_empty() => Some(format!(".{name}(")),
            _ => None,
        }
    };
    source.lines().filter_map(of_line).collect()
}

/// Whether `name` stands in the text and does not go on: `totp::find` is not `totp::find_sealed`.
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, found)| {
        let next = text[at + found.len()..].chars().next();
        found.ends_with('(') || !next.is_some_and(|next| next.is_alphanumeric() || next == '_')
    })
}

/// The text of a module: one file, or a folder of them.
fn text_of(source: &Path, module: &str) -> String {
    let folder = source.join(module);
    if !folder.is_dir() {
        return read(&folder.with_extension("rs"));
    }
    let files = fs::read_dir(folder).unwrap();
    files.map(|file| read(&file.unwrap().path())).collect()
}

#[test]
fn every_public_function_of_every_table_has_a_contract_test() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let tests = tests();
    let root = read(&source.join("lib.rs"));
    let modules: Vec<_> =
        root.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(modules.len() >= 7, "{modules:?}");
    let mut functions = 0;
    for module in modules {
        for name in uses(module, &text_of(&source, module)) {
            functions += 1;
            let tested = tests.iter().any(|text| names(text, &name));
            assert!(tested, "no contract test names `{name}`");
        }
    }
    assert!(functions >= 30, "{functions} functions were found");
}
