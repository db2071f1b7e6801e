//! Database URLs, and what errors about them may say.

use std::{error::Error, fmt::Write};

use keyfob_store::{Options, Store, StoreError, Target};

use crate::database::{postgres_url, with_name};

const CANARY: &str = "hunter2canary";

/// Everything an error could show anywhere: its text, its sources' and their debug forms.
fn everything(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, "{error} {error:?}").unwrap();
        source = error.source();
    }
    text
}

/// What opening this URL fails with.
fn failure(url: &str) -> StoreError {
    let opened =
        url.parse::<Target>().and_then(|target| Store::open(&target, &Options::new([0; 16])));
    match opened {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error,
    }
}

#[test]
fn no_error_about_a_url_shows_its_password() {
    let (scheme, rest) = postgres_url()
        .split_once("://")
        .map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned()))
        .unwrap();
    let (user, server) = rest.split_once('@').unwrap();
    let user = user.split_once(':').map_or(user, |(user, _)| user);
    let known = format!("{scheme}://{user}:{CANARY}@{server}");
    let unknown = format!("{scheme}://nobody-at-all:{CANARY}@{server}");
    let failing = [
        with_name(&known, "no_such_database"),
        unknown,
        format!("postgres://keyfob:{CANARY}@127.0.0.1:1/keyfob"),
        format!("postgres://keyfob:{CANARY}@127.0.0.1:1/keyfob?sslmode=disable"),
        format!("postgres://keyfob:{CANARY}@127.0.0.1:1/keyfob?sslmode=require"),
        format!("postgres://keyfob:{CANARY}@no-such-host.invalid/keyfob"),
        format!("postgres://keyfob:{CANARY}@host:port/keyfob"),
        format!("postgres://keyfob:{CANARY}@host/keyfob?no_such_option={CANARY}"),
        format!("postgres://keyfob:{CANARY}%zz@host/keyfob"),
        format!("postgres://keyfob:x@/no/such/socket?password={CANARY}"),
        format!("mysql://keyfob:{CANARY}@host/keyfob"),
        format!("{CANARY}@host"),
    ];
    for url in failing {
        let text = everything(&failure(&url));
        assert!(!text.contains(CANARY), "{text}");
    }
}

#[test]
fn a_url_that_names_no_database_is_refused_in_words() {
    for (url, words) in [
        ("", "must start with"),
        ("keyfob.db", "must start with"),
        ("sqlite:", "names no file"),
        ("sqlite://", "names no file"),
        ("postgres://host:port", "malformed"),
    ] {
        let error = failure(url);
        assert!(matches!(error, StoreError::Open(_)), "{url}");
        assert!(error.to_string().contains(words), "{url}: {error}");
    }
}

#[test]
fn a_file_may_be_named_with_and_without_slashes() {
    for (url, path) in [
        ("sqlite:keyfob.db", "keyfob.db"),
        ("sqlite:/var/keyfob.db", "/var/keyfob.db"),
        ("sqlite:///var/keyfob.db", "/var/keyfob.db"),
    ] {
        let Ok(Target::Sqlite(parsed)) = url.parse() else {
            panic!("{url}");
        };
        assert_eq!(parsed.to_str(), Some(path));
    }
}
