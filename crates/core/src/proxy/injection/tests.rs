use http::Request;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_440_938_160);

fn text(text: &str) -> Credential {
    Credential::Text(text.into())
}

fn token(scheme: &str, token: &str) -> Credential {
    Credential::Token { scheme: scheme.to_owned(), token: token.into() }
}

fn pair_of(username: &str, password: &str) -> Credential {
    Credential::Pair { username: username.into(), password: password.into() }
}

fn header(name: &'static str, prefix: Option<&str>) -> Injection {
    let prefix = prefix.map(str::to_owned);
    Injection::Header { name: HeaderName::from_static(name), prefix }
}

fn query(name: &str) -> Injection {
    Injection::Query { name: name.to_owned() }
}

fn password_of(username: &str) -> Injection {
    Injection::BasicPassword { username: username.to_owned() }
}

fn parts(url: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn apply(
    injection: &Injection,
    credential: &Credential,
    parts: &mut Parts,
) -> Result<Vec<Place>, Unfit> {
    let payload = Payload::Whole(b"");
    let injected = Injected { credential, name: "My API key", payload, now: NOW };
    injection.apply(parts, &injected)
}

/// What the headers of this name are in the end.
fn sent(
    injection: &Injection,
    credential: &Credential,
    given: &[(&str, &str)],
    name: &str,
) -> Vec<String> {
    let mut parts = parts("https://a.b/", given);
    apply(injection, credential, &mut parts).unwrap();
    let values = parts.headers.get_all(name).iter();
    values.map(|value| std::str::from_utf8(value.as_bytes()).unwrap().to_owned()).collect()
}

#[test]
fn a_credential_goes_where_it_belongs_in_the_way_of_its_type() {
    let any = &Injection::Authorization;
    for (injection, credential, name, expected) in [
        (any, text("Key abc"), "authorization", "Key abc"),
        (any, text("é"), "authorization", "é"),
        (any, token("Bearer", "abc"), "authorization", "Bearer abc"),
        (any, token("Token", "abc"), "authorization", "Token abc"),
        // RFC 7617 section 2.
        (
            any,
            pair_of("Aladdin", "open sesame"),
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        (any, pair_of("test", "123£"), "authorization", "Basic dGVzdDoxMjPCow=="),
        (&header("x-api-key", None), text("abc"), "x-api-key", "abc"),
        (&header("x-api-key", None), token("Bearer", "abc"), "x-api-key", "abc"),
        (
            &header("authorization", Some("Token token=")),
            token("Bearer", "a"),
            "authorization",
            "Token token=a",
        ),
        (&header("x-auth", None), pair_of("a", "b"), "x-auth", "Basic YTpi"),
        (&header("x-auth", Some("")), pair_of("a", "b"), "x-auth", "YTpi"),
        (&Injection::BasicUsername, text("abc"), "authorization", "Basic YWJjOg=="),
        (&password_of("x"), token("Bearer", "abc"), "authorization", "Basic eDphYmM="),
    ] {
        assert_eq!(sent(injection, &credential, &[], name), [expected]);
        let own = [("x-api-key", "own"), ("x-auth", "own"), ("x-auth", "own")];
        assert_eq!(
            sent(injection, &credential, &own, name),
            [expected],
            "it replaces the caller's"
        );
    }
}

#[test]
fn what_it_is_in_is_sensitive_and_said() {
    let mut parts = parts("https://a.b/", &[]);
    let places = apply(&Injection::Authorization, &token("Bearer", "abc"), &mut parts).unwrap();
    assert_eq!(places, [Place::Header(AUTHORIZATION)]);
    assert_eq!(places[0].to_string(), "header authorization");
    assert!(!format!("{parts:?}").contains("abc"));
}

#[test]
fn an_authorization_of_the_callers_own_stays_and_goes_without_the_credential() {
    let own = [("authorization", "Bearer own")];
    for injection in [Injection::Authorization, Injection::BasicUsername, password_of("x")] {
        assert_eq!(sent(&injection, &text("abc"), &own, "authorization"), ["Bearer own"]);
    }
    let elsewhere = header("x-api-key", None);
    assert_eq!(sent(&elsewhere, &text("abc"), &own, "x-api-key"), ["abc"]);
    assert_eq!(sent(&elsewhere, &text("abc"), &own, "authorization"), ["Bearer own"]);
    let replaced = header("authorization", Some("Bearer "));
    assert_eq!(sent(&replaced, &text("abc"), &own, "authorization"), ["Bearer abc"]);
}

#[test]
fn placeholders_are_filled_where_credentials_stand_and_then_nothing_else_is() {
    let bearer = token("Bearer", "abc");
    let token_scheme = token("Token", "abc");
    let any = Injection::Authorization;
    for (credential, given, expected) in [
        (&bearer, "${SECRET_DEFAULT}", "Bearer abc"),
        (&bearer, "{{SECRET_DEFAULT}}", "Bearer abc"),
        (&bearer, "{{SECRET_MY_API_KEY}}", "Bearer abc"),
        (&bearer, "${SECRET_my_api_key}", "Bearer abc"),
        (&bearer, "Bearer ${SECRET_DEFAULT}", "Bearer abc"),
        (&bearer, "bearer  {{SECRET_DEFAULT}}", "Bearer abc"),
        (&token_scheme, "Token ${SECRET_DEFAULT}", "Token abc"),
        (&pair_of("a", "b"), "Basic ${SECRET_DEFAULT}", "Basic YTpi"),
        (&text("Bearer abc"), "Bearer ${SECRET_DEFAULT}", "Bearer abc"),
        (&text("abc"), " token\t${SECRET_DEFAULT} ", "token\tabc"),
        (&text("abc"), "SSWS ${SECRET_DEFAULT}", "SSWS abc"),
        (&text("${SECRET_OTHER}"), "${SECRET_DEFAULT}", "${SECRET_OTHER}"),
    ] {
        let headers = [("x-any-key", given), ("x-none", "$")];
        assert_eq!(sent(&any, credential, &headers, "x-any-key"), [expected], "{given}");
        assert_eq!(sent(&any, credential, &headers, "authorization"), [""; 0], "{given}");
        assert_eq!(sent(&any, credential, &headers, "x-none"), ["$"]);
    }
    let own = header("x-api-key", None);
    assert_eq!(sent(&own, &bearer, &[("x-any-key", "${SECRET_DEFAULT}")], "x-any-key"), ["abc"]);
    let mut parts = parts("https://a.b/?key=own", &[("x-any-key", "${SECRET_DEFAULT}")]);
    apply(&query("key"), &bearer, &mut parts).unwrap();
    assert_eq!(parts.uri, "https://a.b/?key=own");
    assert_eq!(parts.headers["x-any-key"], "abc");
}

#[test]
fn no_other_secret_is_ever_filled_in() {
    for name in ["OTHER", "MY_API", "MY_API_KEY_2", "_", "DEFAULT_"] {
        let value = format!("${{SECRET_DEFAULT}} ${{SECRET_{name}}}");
        let mut parts =
            parts("https://a.b/", &[("x-first-token", "${SECRET_DEFAULT}"), ("x-any-key", &value)]);
        let error = apply(&Injection::Authorization, &text("CANARY"), &mut parts).unwrap_err();
        assert!(error.is_of_the_request());
        let said = error.to_string();
        assert!(said.contains(name) && said.contains("${SECRET_MY_API_KEY}"), "{said}");
        assert!(!format!("{parts:?} {said}").contains("CANARY"), "nothing has been put in");
    }
}

/// A server that cannot read such a header repeats it in its own words, such as `unsupported charset "CANARY"`.
#[test]
fn a_placeholder_in_a_header_that_is_for_no_credential_is_refused() {
    for name in
        ["content-type", "accept", "user-agent", "if-none-match", "x-goog-meta-key", "x-any"]
    {
        let headers = [("x-first-token", "${SECRET_DEFAULT}"), (name, "{{SECRET_DEFAULT}}")];
        for injection in [Injection::Authorization, query("key"), header("x-key", None)] {
            let mut parts = parts("https://a.b/", &headers);
            let error = apply(&injection, &text("CANARY"), &mut parts).unwrap_err();
            assert!(error.is_of_the_request() && error.to_string().contains(name), "{error}");
            assert!(!format!("{parts:?} {error}").contains("CANARY"), "nothing has been put in");
        }
    }
    // But for the one that its config names.
    let named = [("sec-token", "${SECRET_DEFAULT}")];
    assert_eq!(sent(&header("sec-token", None), &text("abc"), &named, "sec-token"), ["abc"]);
}

/// What is around it could be a URL that the server fetches, or what it answers with.
#[test]
fn a_placeholder_among_other_text_is_refused() {
    for value in [
        "https://evil.example/?t=${SECRET_DEFAULT}",
        "key=${SECRET_DEFAULT}",
        "Token token=${SECRET_DEFAULT}",
        "${SECRET_DEFAULT}x",
        "${SECRET_DEFAULT} x",
        "Bearer x ${SECRET_DEFAULT}",
        "Bearer${SECRET_DEFAULT}",
        "Bearer, ${SECRET_DEFAULT}",
        "${SECRET_DEFAULT}${SECRET_DEFAULT}",
        "${SECRET_DEFAULT} {{SECRET_DEFAULT}}",
    ] {
        for name in ["authorization", "x-any-key", "x-named"] {
            let headers = [("x-first-token", "${SECRET_DEFAULT}"), (name, value)];
            let mut parts = parts("https://a.b/", &headers);
            let error = apply(&header("x-named", None), &text("CANARY"), &mut parts).unwrap_err();
            assert!(error.is_of_the_request() && error.to_string().contains(name), "{error}");
            assert!(!format!("{parts:?} {error}").contains("CANARY"), "nothing has been put in");
        }
    }
}

#[test]
fn what_gives_way_is_known_beforehand() {
    let gives_way = |injection: &Injection, given: &[(&str, &str)]| {
        let mut parts = parts("https://a.b/", given);
        let gives_way = injection.gives_way(has_own(&parts.headers));
        let places = apply(injection, &text("abc"), &mut parts).unwrap();
        assert_eq!(gives_way, places.is_empty(), "{injection:?} {given:?}");
        gives_way
    };
    let own = ("authorization", "Bearer own");
    for injection in [Injection::Authorization, Injection::BasicUsername, password_of("x")] {
        assert!(gives_way(&injection, &[own]));
        assert!(!gives_way(&injection, &[]));
        assert!(!gives_way(&injection, &[("authorization", "Bearer ${SECRET_DEFAULT}")]));
        assert!(!gives_way(&injection, &[own, ("x-any-key", "${SECRET_DEFAULT}")]));
    }
    assert!(!gives_way(&query("key"), &[own]) && !gives_way(&header("x-key", None), &[own]));
}

#[test]
fn a_query_has_the_credential_once_and_everything_else_as_it_was() {
    for (url, expected) in [
        ("https://a.b", "https://a.b/?api%20key=a%26b%3D%C3%A9"),
        ("https://a.b/x?", "https://a.b/x?api%20key=a%26b%3D%C3%A9"),
        ("https://a.b/x?y=1&z", "https://a.b/x?y=1&z&api%20key=a%26b%3D%C3%A9"),
        ("https://a.b/?api+key=own&y=%2f&api%20key&%61pi%20key=x&apikey=1", {
            "https://a.b/?y=%2f&apikey=1&api%20key=a%26b%3D%C3%A9"
        }),
    ] {
        let mut parts = parts(url, &[]);
        let places = apply(&query("api key"), &text("a&b=é"), &mut parts).unwrap();
        assert_eq!(parts.uri, expected);
        assert_eq!(places, [Place::Query("api key".into())]);
        assert!(parts.headers.is_empty());
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_anything_is_put_in() {
    for bad in ["a\r\nX-Evil: 1", "a\nb", "a\0", "\u{7f}", "a\u{85}", ""] {
        for credential in [text(bad), token("Bearer", bad), pair_of("a", bad), pair_of(bad, "a")] {
            for injection in [Injection::Authorization, query("key"), header("x-key", None)] {
                let mut parts = parts("https://a.b/", &[("x-any-key", "${SECRET_DEFAULT}")]);
                let error = apply(&injection, &credential, &mut parts);
                assert_eq!(error, Err(Unfit::Control));
                assert_eq!(parts.uri, "https://a.b/");
                assert_eq!(parts.headers.len(), 1);
            }
        }
    }
    for (injection, credential) in [
        (query("key"), pair_of("a", "b")),
        (Injection::BasicUsername, pair_of("a", "b")),
        (Injection::BasicUsername, text("a:b")),
        (password_of("x"), pair_of("a", "b")),
        (Injection::SigV4(SigV4::new("us-east-1", "s3").unwrap()), text("a")),
    ] {
        let error = apply(&injection, &credential, &mut parts("https://a.b/", &[])).unwrap_err();
        assert_eq!(error, Unfit::Type);
        assert!(!error.is_of_the_request());
    }
    let long = text(&"x".repeat(70_000));
    assert_eq!(apply(&query("key"), &long, &mut parts("https://a.b/", &[])), Err(Unfit::Long));
}

#[test]
fn a_secret_that_signs_is_shown_to_nobody() {
    let signs = Injection::SigV4(SigV4::new("us-east-1", "dynamodb").unwrap());
    let keys = pair_of("AKIDEXAMPLE", "CANARY");
    let mut signed =
        parts("https://dynamodb.us-east-1.amazonaws.com/", &[("host", "evil.example")]);
    assert_eq!(apply(&signs, &keys, &mut signed).unwrap(), [Place::Signature]);
    let authorization = signed.headers[AUTHORIZATION].to_str().unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/"));
    assert!(signed.headers.values().all(|value| !value.to_str().unwrap().contains("CANARY")));
    assert!(!signed.headers.contains_key(HOST));
    let mut asked = parts("https://a.b/", &[("x-any-key", "${SECRET_DEFAULT}")]);
    assert_eq!(apply(&signs, &keys, &mut asked), Err(Unfit::SignsOnly));
    assert!(signs.needs_body() && !Injection::Authorization.needs_body());
}

#[test]
fn every_text_that_would_tell_the_credential_is_a_needle() {
    let sent = parts("https://a.b/", &[]);
    let needles = |injection: &Injection, credential: &Credential| -> Vec<_> {
        let needles = injection.needles(credential, &sent);
        needles.iter().map(|needle| needle.expose_secret().to_owned()).collect()
    };
    let any = &Injection::Authorization;
    for (injection, credential, expected) in [
        (any, text("abc"), &["abc"][..]),
        (any, text("Key abc"), &["Key abc", "abc"]),
        (any, token("Bearer", "abc"), &["abc"]),
        (any, pair_of("a", "b"), &["a:b", "YTpi", "b"]),
        (&header("x-auth", None), pair_of("ann", "b"), &["ann:b", "YW5uOmI", "b"]),
        (&query("key"), text("abc"), &["abc"]),
        (&query("key"), text("a/b é"), &["a/b é", "é", "a%2Fb%20%C3%A9"]),
        (&Injection::BasicUsername, token("Bearer", "abc"), &["abc", "abc:", "YWJjOg"]),
        (&password_of("x"), text("abc"), &["abc", "x:abc", "eDphYmM"]),
        (any, token("Bearer", "0123456789ab=="), &["0123456789ab==", "0123456789ab"]),
        (any, pair_of("a", "0123456789ab="), {
            &["a:0123456789ab=", "YTowMTIzNDU2Nzg5YWI9", "0123456789ab=", "0123456789ab"]
        }),
        // A text may be made of several.
        (any, text("session=0123456789ab"), &["session=0123456789ab", "0123456789ab"]),
        (
            any,
            text(r#"Token token="0123456789ab", nonce="3456789""#),
            &[
                r#"Token token="0123456789ab", nonce="3456789""#,
                "0123456789ab",
                r#"token="0123456789ab", nonce="3456789""#,
            ],
        ),
        (any, text("a=0123456789ab;b=0123456789abc"), {
            &["a=0123456789ab;b=0123456789abc", "0123456789abc", "0123456789ab"]
        }),
        (any, text("Basic YW5uOnB3"), &["Basic YW5uOnB3", "YW5uOnB3", "ann:pw", "pw"]),
        (any, text("Basic !"), &["Basic !", "!"]),
        (any, text("0123456789ab"), &["0123456789ab"]),
    ] {
        assert_eq!(needles(injection, &credential), expected);
    }
    let many: Vec<_> = (0..20).map(|number| format!("{number:012}")).collect();
    assert_eq!(needles(any, &text(&many.join(":"))).len(), 9);
}

#[test]
fn the_signature_of_a_request_is_a_needle_of_that_request() {
    let signs = Injection::SigV4(SigV4::new("us-east-1", "dynamodb").unwrap());
    let keys = pair_of("AKIDEXAMPLE", "CANARY");
    let needles = |url| {
        let mut sent = parts(url, &[]);
        apply(&signs, &keys, &mut sent).unwrap();
        let said = sent.headers[AUTHORIZATION].to_str().unwrap().to_owned();
        let needles = signs.needles(&keys, &sent);
        let last = needles.last().unwrap().expose_secret().to_owned();
        assert!(needles.iter().any(|needle| needle.expose_secret() == "CANARY"));
        assert!(last.len() == 64 && said.ends_with(&format!("Signature={last}")), "{said}");
        last
    };
    assert_ne!(needles("https://a.b/1"), needles("https://a.b/2"));
}

proptest! {
    #[test]
    fn no_credential_begins_another_header(credential in "\\PC{0,20}|.{0,20}", prefix in "[ -~]{0,8}") {
        let mut parts = parts("https://a.b/", &[]);
        let injection = header("x-key", Some(&prefix));
        if apply(&injection, &text(&credential), &mut parts).is_ok() {
            let value = parts.headers["x-key"].as_bytes();
            let expected = format!("{prefix}{credential}");
            prop_assert_eq!(value, expected.as_bytes());
            prop_assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }

    #[test]
    fn a_query_reads_back_as_what_was_put_in(credential in "\\PC{1,20}", name in "\\PC{1,10}", own in "[a-z=&%+]{0,20}") {
        let mut parts = parts(&format!("https://a.b/?{own}"), &[]);
        apply(&query(&name), &text(&credential), &mut parts).unwrap();
        let read: Vec<_> = form_urlencoded::parse(parts.uri.query().unwrap().as_bytes()).collect();
        let ours: Vec<_> = read.iter().filter(|(known, _)| *known == name).collect();
        prop_assert_eq!(ours.len(), 1);
        prop_assert_eq!(&*ours[0].1, &*credential);
    }
}
