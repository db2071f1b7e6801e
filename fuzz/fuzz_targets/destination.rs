//! Any URL that a credential may be sent to: no panic, what was read reads as itself, and what is allowed goes to
//! the host, and below the path, that are named.
#![no_main]

use keyfob_core::proxy::{Destination, Method, Rules};
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;

fuzz_target!(|text: &str| {
    let Ok(to) = Destination::parse(text, Method::Get) else { return };
    assert_eq!(to, Destination::parse(to.url().as_str(), Method::Get).unwrap());
    assert_eq!(to.uri().to_string(), to.url().as_str());
    assert_eq!(to.uri().host(), Some(to.host()));
    assert!(to.url().username().is_empty() && to.url().password().is_none());

    let rules = Rules {
        hosts: vec!["*.example.com".parse().unwrap(), "a.b".parse().unwrap()],
        methods: None,
        paths: Some(vec!["/v1/".parse().unwrap()]),
    };
    if rules.allow(&to).is_err() {
        return;
    }
    assert!(to.host() == "a.b" || to.host().ends_with(".example.com"));
    assert!(matches!(to.port(), 443 | 80));
    let mut path = to.path().to_owned();
    for _ in 0..4 {
        assert!(path.starts_with("/v1/") && !path.contains('\\'));
        assert!(!path.split('/').any(|part| matches!(part, "." | "..")));
        path = percent_decode_str(&path).decode_utf8().unwrap().into_owned();
    }
});
