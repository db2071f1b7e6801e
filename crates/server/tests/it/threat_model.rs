//! What docs/threat-model.md names is there: each guarantee has its number, the files that hold it and the tests
//! that show it.

use std::path::Path;

use crate::weaknesses::{is_run, is_test_of};

/// What is wrong with a page. `read` answers the text of a file of the repository.
fn problems(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let guarantees: Vec<_> = page.split("\n### ").skip(1).map(section).collect();
    let mut problems = Vec::new();
    for (at, guarantee) in guarantees.iter().enumerate() {
        let number = format!("G{}", at + 1);
        if !guarantee.starts_with(&format!("{number}. ")) {
            problems.push(format!("{number} is missing"));
        }
        let files = spans(item(guarantee, "\n- Held by:"));
        if files.is_empty() {
            problems.push(format!("{number} names no file that holds it"));
        }
        let gone = files.into_iter().filter(|file| read(file).is_none());
        problems.extend(gone.map(|file| format!("{number}: there is no {file}")));
        problems
            .extend(tests(guarantee, &read).into_iter().map(|text| format!("{number}: {text}")));
    }
    let mentioned = page.split(|c: char| !c.is_ascii_alphanumeric());
    let mentioned = mentioned.filter_map(|word| word.strip_prefix('G')?.parse().ok());
    let beyond = mentioned.filter(|number: &usize| !(1..=guarantees.len()).contains(number));
    problems.extend(beyond.map(|number| format!("there is no G{number}")));
    problems
}

/// What is wrong with the tests of a guarantee: each file, and behind it the tests in it, which are run.
fn tests(guarantee: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let (mut problems, mut file, mut count) = (Vec::new(), None, 0);
    for name in spans(item(guarantee, "\n- Shown by:")) {
        if name.contains('/') {
            file = Some((name, read(name)));
            if let Some((tests, module)) =
                name.rsplit_once('/').filter(|(it, _)| it.ends_with("tests/it"))
            {
                let main = read(&format!("{tests}/main.rs")).unwrap_or_default();
                if !is_run(&main, module.trim_end_matches(".rs")) {
                    problems.push(format!("{name} is never run"));
                }
            }
            continue;
        }
        count += 1;
        match &file {
            Some((_, Some(source))) if is_test_of(source, name) => {}
            Some((file, _)) => problems.push(format!("there is no test {name} in {file}")),
            None => problems.push(format!("{name} is in no file")),
        }
    }
    if count == 0 {
        problems.push("no test shows it".into());
    }
    problems
}

/// What stands under a heading, up to the next larger one.
fn section(text: &str) -> &str {
    text.split("\n## ").next().unwrap_or_default()
}

/// What an item of a list says behind its name.
fn item<'a>(section: &'a str, name: &str) -> &'a str {
    let (_, rest) = section.split_once(name).unwrap_or_default();
    let end = ["\n- ", "\n\n"].into_iter().filter_map(|next| rest.find(next)).min();
    &rest[..end.unwrap_or(rest.len())]
}

/// What stands between backticks.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_guarantee_has_its_number_its_files_and_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let read = |file: &str| std::fs::read_to_string(root.join(file)).ok();
    let page = read("docs/threat-model.md").unwrap();
    assert_eq!(problems(&page, read), Vec::<String>::new());
    assert!(page.matches("\n### G").count() >= 20, "the page was not read as it is written");
}

#[test]
fn what_is_not_there_is_found_out() {
    let read = |file: &str| {
        let source = match file {
            "a/b.rs" | "a/tests/it/c.rs" | "a/tests/it/d.rs" => {
                "#[test]\nfn one() {}\n\non_both_databases!(\n    two_more,\n);\n\nasync fn two_more() {}\n\nfn three() {}\n"
            }
            "a/tests/it/main.rs" => "mod b;\nmod c;\nmod e;\n",
            _ => return None,
        };
        Some(source.to_owned())
    };
    let page = |heading: &str, held: &str, shown: &str| {
        format!(
            "# Page\n\n### {heading}\n\nText, `x`.\n\n- Held by: {held}.\n- Shown by: {shown}.\n\n## More\n"
        )
    };
    let whole =
        page("G1. One", "`a/b.rs`", "`a/b.rs`:\n  `one`, `two_more`, `a/tests/it/c.rs`: `one`");
    assert_eq!(problems(&whole, read), Vec::<String>::new());
    for (page, problem) in [
        (page("G2. One", "`a/b.rs`", "`a/b.rs`: `one`"), "G1 is missing"),
        (page("G1. One", "nothing", "`a/b.rs`: `one`"), "G1 names no file that holds it"),
        (page("G1. One", "`a/c.rs`", "`a/b.rs`: `one`"), "G1: there is no a/c.rs"),
        (page("G1. One", "`a/b.rs`", "`a/b.rs`: `two`"), "G1: there is no test two in a/b.rs"),
        (page("G1. One", "`a/b.rs`", "`a/b.rs`: `three`"), "G1: there is no test three in a/b.rs"),
        (page("G1. One", "`a/b.rs`", "`a/c.rs`: `one`"), "G1: there is no test one in a/c.rs"),
        (page("G1. One", "`a/b.rs`", "`a/tests/it/d.rs`: `one`"), {
            "G1: a/tests/it/d.rs is never run"
        }),
        (page("G1. One", "`a/b.rs`", "`one`"), "G1: one is in no file"),
        (page("G1. One", "`a/b.rs`", "`a/b.rs`"), "G1: no test shows it"),
        (format!("{whole}\nSee G1–G4.\n"), "there is no G4"),
        (format!("{whole}\n### G3. Three\n"), "G2 is missing"),
    ] {
        let found = problems(&page, read);
        assert!(found.iter().any(|found| found == problem), "{problem}: {found:?}");
    }
}
