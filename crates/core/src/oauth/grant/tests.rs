//! Grants: how they are read, how long they live, and what a renewal leaves of them.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_775_390_400_000);
const HOUR: Duration = Duration::from_hours(1);

fn tokens(access: &str, refresh: Option<&str>, expires_in: Option<Duration>) -> Tokens {
    Tokens {
        access_token: access.into(),
        refresh_token: refresh.map(Into::into),
        expires_in,
        refresh_token_expires_in: None,
        scope: None,
    }
}

fn grant(life: Duration) -> Grant {
    Grant::obtained(tokens("CANARY-a", Some("CANARY-r"), Some(life)), NOW, None)
}

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", BASE64URL_NOPAD.encode(claims.as_bytes()))
}

#[test]
fn an_import_is_known_again_after_it_was_renewed() {
    let first = grant(HOUR).imported();
    let renewed = first.renewed(tokens("a2", Some("r2"), None), NOW, None);
    let stored = Grant::parse(&renewed.to_bytes()).unwrap();
    assert_eq!(stored.imported, grant(HOUR).imported().imported);
    assert_eq!(stored.imported.as_deref().map(str::len), Some(64));
    assert_eq!(grant(HOUR).imported, None);
}

#[test]
fn a_grant_is_the_same_however_often_it_is_renewed_and_another_one_is_not() {
    let first = grant(HOUR);
    let renewed = first.renewed(tokens("a2", Some("r2"), None), NOW, None);
    let stored = Grant::parse(&renewed.to_bytes()).unwrap();
    assert!(first.began_as.is_some());
    assert_eq!(stored.renewed(tokens("a3", None, None), NOW, None).began_as, first.began_as);
    let other = Grant::obtained(tokens("a2", Some("r2"), None), NOW, None);
    assert_ne!(other.began_as, first.began_as);
}

#[test]
fn a_grant_reads_back_and_shows_no_token() {
    let mut grant = grant(HOUR);
    grant.scope = Some("a b".into());
    grant.token_url = Some("https://example.com/token".into());
    grant.client = Some(GrantClient { id: "id".into(), secret: Some("CANARY-s".into()) });
    grant.method = Some(AuthMethod::Basic);
    grant.resource = Some("https://example.com/mcp".into());
    let bytes = grant.to_bytes();
    assert_eq!(bytes.len(), bytes.capacity());
    let text = format!("{grant:?}");
    assert!(!text.contains("CANARY"), "{text}");
    let read = Grant::parse(&bytes).unwrap();
    assert_eq!(read.to_bytes(), bytes);
    assert_eq!(read.refresh_token.unwrap().expose_secret(), "CANARY-r");
    assert_eq!(read.method, Some(AuthMethod::Basic));
    assert_eq!(read.resource.as_deref(), Some("https://example.com/mcp"));
    assert_eq!(read.client.unwrap().secret.unwrap().expose_secret(), "CANARY-s");
}

#[test]
fn a_grant_of_the_contracts_names_is_read_and_one_without_a_token_is_none() {
    let read = Grant::parse(br#"{"accessToken":"a","accessTokenExpiresAt":60000}"#).unwrap();
    assert_eq!(read.access_token_expires_at, Some(Timestamp::from_seconds(60)));
    assert!(read.obtained_at.is_none() && read.client.is_none());
    for bytes in [&b"{}"[..], b"[]", b"", br#"{"accessToken":""}"#] {
        assert!(Grant::parse(bytes).is_none());
    }
}

#[test]
fn an_end_is_what_the_answer_says_then_the_token_then_what_is_assumed() {
    let exp = |millis: i64| format!(r#"{{"exp":{}}}"#, (NOW.as_millis() + millis) / 1000);
    let end = |access: &str, refresh, life, assumed| {
        let grant = Grant::obtained(tokens(access, refresh, life), NOW, assumed);
        grant.access_token_expires_at.map(|end| end.as_millis() - NOW.as_millis())
    };
    let (token, day) = (jwt(&exp(5000)), Some(Duration::from_hours(24)));
    assert_eq!(end(&token, None, Some(HOUR), day), Some(3_600_000));
    assert_eq!(end(&token, None, None, day), Some(5000));
    assert_eq!(end("opaque", Some("r"), None, day), Some(86_400_000));
    assert_eq!(end("opaque", Some("r"), None, None), Some(3_600_000));
    assert_eq!(end("opaque", None, None, None), None);
    for claims in [&exp(-1000), &exp(0), &exp(400_000_000_000), r#"{"exp":"x"}"#, "{", "[]"] {
        assert_eq!(end(&jwt(claims), None, None, None), None, "{claims}");
    }
}

#[test]
fn what_a_refresh_leaves_out_stays() {
    let mut before = grant(HOUR);
    before.scope = Some("a".into());
    before.refresh_token_expires_at = Some(NOW.plus(HOUR * 9));
    before.revoke_url = Some("https://example.com/revoke".into());
    let later = NOW.plus(HOUR);
    let kept = before.renewed(tokens("b", None, Some(HOUR)), later, None);
    assert_eq!(Grant::parse(&kept.to_bytes()).unwrap().renewed_at, Some(later));
    assert_eq!(kept.refresh_token.as_ref().unwrap().expose_secret(), "CANARY-r");
    assert_eq!(kept.refresh_token_expires_at, before.refresh_token_expires_at);
    assert_eq!((kept.scope, kept.revoke_url), (before.scope.clone(), before.revoke_url.clone()));
    assert_eq!(kept.access_token_expires_at, Some(later.plus(HOUR)));
    assert_eq!((kept.obtained_at, kept.renewed_at), (Some(later), Some(later)));
    assert_eq!(before.renewed_at, None);
    let unsaid = before.renewed(tokens("b", None, None), later, None);
    assert_eq!(unsaid.access_token_expires_at, Some(later.plus(HOUR)));
    let rotated = before.renewed(tokens("b", Some("r2"), None), later, None);
    assert_eq!(rotated.refresh_token.as_ref().unwrap().expose_secret(), "r2");
    assert_eq!(rotated.refresh_token_expires_at, None);
}

#[test]
fn a_token_is_due_a_minute_or_a_tenth_of_its_life_before_its_end() {
    for (life, due_at) in [(3600, 3540), (600, 540), (100, 90), (10, 9)] {
        let grant = grant(Duration::from_secs(life));
        let due = NOW.plus(Duration::from_secs(due_at));
        assert!(grant.is_due(due) && !grant.is_due(due.minus(Duration::from_millis(1))));
        let end = NOW.plus(Duration::from_secs(life));
        assert!(grant.is_expired(end) && !grant.is_expired(end.minus(Duration::from_millis(1))));
    }
    let endless = Grant::obtained(tokens("a", None, None), NOW, None);
    let late = Timestamp::from_millis(i64::MAX);
    assert!(!endless.is_due(late) && !endless.is_expired(late));
}

#[test]
fn a_connection_ends_with_its_refresh_token_or_with_its_only_one() {
    let mut grant = grant(HOUR);
    assert_eq!(grant.ends_at(), None);
    assert!(grant.can_renew(NOW));
    grant.refresh_token_expires_at = Some(NOW.plus(HOUR * 2));
    assert_eq!(grant.ends_at(), grant.refresh_token_expires_at);
    assert!(grant.can_renew(NOW) && !grant.can_renew(NOW.plus(HOUR * 2)));
    grant.refresh_token_expires_at = Some(NOW);
    assert_eq!(grant.ends_at(), grant.access_token_expires_at);
    grant.refresh_token = None;
    assert_eq!(grant.ends_at(), grant.access_token_expires_at);
    assert!(!grant.can_renew(NOW) && grant.renew_at(0).is_none());
}

#[test]
fn a_token_that_lives_for_less_than_two_minutes_is_renewed_on_demand_only() {
    let renew_at = |seconds| grant(Duration::from_secs(seconds)).renew_at(0);
    assert_eq!((renew_at(1), renew_at(119)), (None, None));
    assert_eq!(renew_at(120), Some(NOW.plus(Duration::from_secs(90))));
}

proptest! {
    #[test]
    fn renewals_spread_from_a_quarter_to_a_tenth_of_the_life(
        random: u32, millis in 1_u64..=315_360_000_000, other in proptest::option::of(1_u64..=10_000_000),
    ) {
        let mut grant = grant(Duration::from_millis(millis));
        grant.refresh_token_expires_at = other.map(|life| NOW.plus(Duration::from_millis(life)));
        let life = i64::try_from(other.unwrap_or(millis).min(millis)).unwrap();
        let Some(at) = grant.renew_at(random) else {
            prop_assert!(life < 120_000, "{life}");
            return Ok(());
        };
        prop_assert!(at >= NOW.plus(Duration::from_mins(1)));
        let left = NOW.as_millis() + life - at.as_millis();
        prop_assert!((life / 10..=life / 4).contains(&left), "{left} of {life}");
        prop_assert!(!grant.is_due(at.minus(Duration::from_millis(1))));
    }
}
