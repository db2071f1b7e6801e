//! The trail as lines: exported as a whole, or listed by its account.

use std::io::Cursor;

use keyfob_server::audit::{self, Expected, Told, Trust};

use crate::event_chain::{LONGEST, kinds, look, public, signed};

#[tokio::test]
async fn an_export_of_the_whole_trail_is_verified_with_the_public_key_alone() {
    let mut app = signed().await;
    let public = public(&mut app);
    let mut lines = Vec::new();
    audit::export(app.store(), &mut lines).await.unwrap();
    assert_eq!(app.guard().find_in(&lines), None);
    let verify = |lines: &[u8], trust: Option<&Trust>| {
        let mut found = Vec::new();
        let mut tell = |told| {
            if let Told::Found(finding) = told {
                found.push(finding);
            }
        };
        let report = audit::verify_lines(&mut Cursor::new(lines), trust, None, &mut tell);
        report.map(|report| (found, report)).map_err(|error| error.to_string())
    };
    let (found, report) = verify(&lines, Some(&public)).unwrap();
    assert_eq!(found, []);
    assert_eq!(report, look(&app, &public, None).await.1);
    let text = String::from_utf8(lines.clone()).unwrap();
    let changed = text.replacen("\"result\":\"ok\"", "\"result\":\"no\"", 1);
    assert_eq!(kinds(&verify(changed.as_bytes(), Some(&public)).unwrap().0), ["changed"]);
    let other = Trust::public(&"ab".repeat(32)).unwrap();
    assert_eq!(kinds(&verify(&lines, Some(&other)).unwrap().0), ["checkpoint_forged"]);
    assert!(verify(&lines, None).unwrap_err().contains("--public-key"));
    let twice = [&lines[..], &lines].concat();
    let more = verify(&twice, Some(&public)).unwrap_err();
    assert!(more.contains(&format!("line {} has no place", text.lines().count() + 1)), "{more}");
    let cut = text.trim_end().rsplit_once('\n').unwrap().0;
    assert!(verify(cut.as_bytes(), Some(&public)).unwrap_err().contains("cut off"));
    assert!(verify(b"{}\n", Some(&public)).unwrap_err().contains("line 1"));
    assert!(verify(b"", Some(&public)).unwrap_err().contains("no events"));
}

#[tokio::test]
async fn what_an_account_lists_is_verified_event_by_event() {
    let app = signed().await;
    let lines = app.backend().get("/api/v1/event/list").header("accept", "application/jsonl");
    let text = lines.await.text();
    let verify = |text: &str| {
        let mut found = Vec::new();
        let mut tell = |told| {
            if let Told::Found(finding) = told {
                found.push(finding);
            }
        };
        let mut lines = Cursor::new(text.as_bytes());
        let report = audit::verify_lines(&mut lines, None, None, &mut tell).unwrap();
        assert!(report.is_part);
        (found, report.events)
    };
    let (found, events) = verify(&text);
    assert_eq!(found, []);
    assert_eq!(events, text.lines().count() as u64);
    let changed = text.replacen("\"result\":\"ok\"", "\"result\":\"no\"", 1);
    assert_eq!(kinds(&verify(&changed).0), ["changed"]);
    // It has no checkpoints, so none can be expected of it.
    let expected = Expected::parse(&format!("99:{}", "0".repeat(64))).ok();
    let refused =
        audit::verify_lines(&mut Cursor::new(text.as_bytes()), None, expected, &mut |_| ());
    assert!(refused.unwrap_err().to_string().contains("leave out --expect"));
}

#[tokio::test]
async fn an_export_leaves_no_row_out_without_a_word() {
    let app = signed().await;
    let copy = |position: i64| {
        app.database().execute(&format!(
            "INSERT INTO event (id, account_id, created_at, actor_type, actor_id, actor_name, action,
                 object_type, object_id, result, request_id, chain, position)
             SELECT 'evt_x{position}', account_id, created_at, actor_type, actor_id, actor_name, action,
                 object_type, object_id, result, request_id, NULL, {position}
             FROM event WHERE position = 1 AND chain = {LONGEST}"
        ));
    };
    (1..=600).for_each(copy);
    let mut lines = Vec::new();
    let events = audit::export(app.store(), &mut lines).await.unwrap();
    assert_eq!(events, u64::try_from(app.database().number("SELECT count(*) FROM event")).unwrap());
    app.database()
        .execute("UPDATE event SET hash = NULL, created_at = 999999999999999 WHERE id = 'evt_x7'");
    assert!(audit::export(app.store(), &mut Vec::new()).await.is_err());
}
