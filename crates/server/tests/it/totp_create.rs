//! `POST /api/v2/totp/secrets`.

use serde_json::{Value, json};

use crate::{
    app::{SECRETS, TestApp},
    call::Answer,
    guard::CANARY,
};

async fn create(app: &TestApp, body: Value) -> Answer {
    app.backend().post(SECRETS, body).await
}

/// The entry in the answer to a create that works.
async fn created(app: &TestApp, body: Value) -> Value {
    create(app, body).await.ok()["totp_secret"].clone()
}

#[tokio::test]
async fn a_create_answers_the_published_sample_and_the_additive_fields() {
    let app = TestApp::new().await;
    let body = json!({
        "label": "GitHub - agent@example.com", "issuer": "GitHub", "secret": CANARY,
        "algorithm": "SHA1", "digits": 6, "period": 30,
    });
    let answer = create(&app, body).await.ok();
    let mut expected = json!({"status": "OK", "totp_secret": {
        "algorithm": "SHA1", "created_at": "2026-04-05T12:00:00Z", "digits": 6, "issuer": "GitHub",
        "label": "GitHub - agent@example.com", "period": 30, "secret": CANARY,
        "type": "totp", "updated_at": "2026-04-05T12:00:00Z",
        "policy": {"unique": false, "min_validity": 0},
    }});
    expected["totp_secret"]["id"] = answer["totp_secret"]["id"].clone();
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn the_id_is_a_uuid() {
    let app = TestApp::new().await;
    let id = app.entry().await;
    let lengths: Vec<_> = id.split('-').map(str::len).collect();
    assert_eq!(lengths, [8, 4, 4, 4, 12]);
    assert!(id.bytes().all(|c| c == b'-' || c.is_ascii_hexdigit()));
}

#[tokio::test]
async fn only_a_label_makes_a_secret_of_160_bits_with_the_defaults() {
    let app = TestApp::new().await;
    let entry = created(&app, json!({"label": "Bare"})).await;
    let secret = entry["secret"].as_str().unwrap();
    assert_eq!(secret.len(), 32, "20 bytes in base32");
    assert_eq!(entry["algorithm"], "SHA1");
    assert_eq!((&entry["digits"], &entry["period"]), (&json!(6), &json!(30)));
    assert_eq!(entry["issuer"], Value::Null);
    assert_eq!(entry["warnings"], Value::Null);
    let other = created(&app, json!({"label": "Bare"})).await;
    assert_ne!(entry["secret"], other["secret"]);
}

#[tokio::test]
async fn the_secret_comes_back_in_upper_case_without_blanks_and_padding() {
    let app = TestApp::new().await;
    let secret = " canary-2345 67CA NARY\t234567CANARY23 ==\n";
    let entry = created(&app, json!({"label": "x", "secret": secret})).await;
    assert_eq!(entry["secret"], CANARY);
}

#[tokio::test]
async fn a_secret_of_80_bits_is_taken_with_a_warning() {
    let app = TestApp::new().await;
    let entry = created(&app, json!({"label": "x", "secret": "JBSWY3DPEHPK3PXP"})).await;
    assert_eq!(entry["warnings"], json!(["weak_secret"]));
}

#[tokio::test]
async fn a_secret_of_128_bits_needs_no_warning() {
    let app = TestApp::new().await;
    let secret = "CANARYCANARYCANARYCANARYCA";
    let entry = created(&app, json!({"label": "x", "secret": secret})).await;
    assert_eq!(entry["warnings"], Value::Null);
}

#[tokio::test]
async fn a_single_byte_is_a_secret() {
    let app = TestApp::new().await;
    let entry = created(&app, json!({"label": "x", "secret": "ME"})).await;
    assert_eq!(entry["secret"], "ME");
}

#[tokio::test]
async fn a_uri_overrides_all_other_fields() {
    let app = TestApp::new().await;
    let uri = format!("otpauth://totp/Ex:ann?secret={CANARY}&digits=8&period=60&algorithm=SHA512");
    let others = json!({
        "label": "other", "secret": "not base32!", "issuer": "other", "algorithm": "MD5",
        "digits": 99, "period": "never",
    });
    let mut wrong = others.clone();
    for value in wrong.as_object_mut().unwrap().values_mut() {
        *value = json!([true]);
    }
    wrong["uri"] = json!(uri);
    created(&app, wrong).await;
    let mut body = others;
    body["uri"] = json!(uri);
    let entry = created(&app, body).await;
    assert_eq!(entry["label"], "Ex - ann");
    assert_eq!(entry["issuer"], "Ex");
    assert_eq!(entry["secret"], CANARY);
    assert_eq!(entry["algorithm"], "SHA512");
    assert_eq!((&entry["digits"], &entry["period"]), (&json!(8), &json!(60)));
}

#[tokio::test]
async fn the_label_of_a_uri_is_issuer_and_account_or_whichever_there_is() {
    let app = TestApp::new().await;
    for (path, issuer, label) in [
        ("GitHub:ann", "GitHub", "GitHub - ann"),
        ("ann", "GitHub", "GitHub - ann"),
        ("ann", "", "ann"),
        ("", "GitHub", "GitHub"),
    ] {
        let uri = format!("otpauth://totp/{path}?secret={CANARY}&issuer={issuer}");
        let entry = created(&app, json!({"uri": uri})).await;
        assert_eq!(entry["label"], label, "{path} {issuer}");
    }
}

#[tokio::test]
async fn the_label_is_looked_at_where_the_uri_names_nothing() {
    let app = TestApp::new().await;
    let uri = format!("otpauth://totp/?secret={CANARY}");
    for field in ["uri", "secret"] {
        let entry = created(&app, json!({(field): uri, "label": "mine"})).await;
        assert_eq!(entry["label"], "mine");
        let entry = created(&app, json!({(field): uri})).await;
        assert_eq!(entry["label"], "unnamed");
        let refused = create(&app, json!({(field): uri, "label": 5})).await;
        refused.error(400, "invalid_label");
        let named = format!("otpauth://totp/ann?secret={CANARY}");
        let entry = created(&app, json!({(field): named, "label": 5})).await;
        assert_eq!(entry["label"], "ann");
    }
}

#[tokio::test]
async fn seven_digits_are_taken_from_a_uri_and_refused_in_the_body() {
    let app = TestApp::new().await;
    let uri = format!("otpauth://totp/x?secret={CANARY}&digits=7");
    assert_eq!(created(&app, json!({"uri": uri})).await["digits"], 7);
    for digits in [json!(7), json!(5), json!("8")] {
        let body = json!({"label": "x", "secret": CANARY, "digits": digits});
        let error = create(&app, body).await.error(400, "invalid_digits");
        assert_eq!(error["message"], "`digits` must be 6 or 8; most sites use 6.", "{digits}");
    }
    let uri = format!("otpauth://totp/x?secret={CANARY}&digits=9");
    let error = create(&app, json!({"uri": uri})).await.error(400, "invalid_digits");
    assert!(error["message"].as_str().unwrap().starts_with("`digits` must be 6, 7 or 8;"));
}

#[tokio::test]
async fn a_uri_in_the_secret_field_is_read_as_one() {
    let app = TestApp::new().await;
    let uri = format!("otpauth://totp/Ex:ann?secret={CANARY}&digits=8");
    let entry = created(&app, json!({"label": "x", "secret": uri})).await;
    assert_eq!(entry["secret"], CANARY);
    assert_eq!(entry["digits"], 8);
}

#[tokio::test]
async fn a_steam_uri_makes_a_steam_entry() {
    let app = TestApp::new().await;
    let uri = format!("steam://{CANARY}");
    let entry = created(&app, json!({"uri": uri, "label": "Steam"})).await;
    assert_eq!(entry["type"], "steam");
    assert_eq!(entry["digits"], 5);
    assert_eq!(entry["label"], "Steam");
}

#[tokio::test]
async fn a_period_has_1_to_3600_seconds() {
    let app = TestApp::new().await;
    for period in [1, 15, 3600] {
        let body = json!({"label": "x", "secret": CANARY, "period": period});
        assert_eq!(created(&app, body).await["period"], period);
    }
    for period in [json!(0), json!(3601), json!(-30), json!(30.5), json!("30"), json!(1e10)] {
        let body = json!({"label": "x", "secret": CANARY, "period": period});
        create(&app, body).await.error(400, "invalid_period");
    }
}

#[tokio::test]
async fn null_counts_as_absent() {
    let app = TestApp::new().await;
    let body = json!({
        "label": "x", "uri": null, "secret": null, "issuer": null, "algorithm": null,
        "digits": null, "period": null,
    });
    let entry = created(&app, body).await;
    assert_eq!(entry["issuer"], Value::Null);
    assert_eq!(entry["digits"], 6);
}

#[tokio::test]
async fn an_issuer_of_nothing_but_blanks_is_none() {
    let app = TestApp::new().await;
    for blank in ["", " ", "\u{a0}\u{3000}", &" ".repeat(300)] {
        let body = json!({"label": "x", "issuer": blank, "secret": CANARY});
        assert_eq!(created(&app, body).await["issuer"], Value::Null, "{blank:?}");
    }
}

#[tokio::test]
async fn each_wrong_field_has_an_error_of_its_own_that_repeats_no_value() {
    let app = TestApp::new().await;
    for (field, value, error) in [
        ("label", json!(7), "invalid_label"),
        ("label", json!(""), "missing_label"),
        ("label", json!(" "), "missing_label"),
        ("label", json!("\u{a0}\u{3000}\t"), "missing_label"),
        ("label", json!(null), "missing_label"),
        ("label", json!("x".repeat(256)), "invalid_label"),
        ("label", json!("line\nbreak"), "invalid_label"),
        ("label", json!("nul\0"), "invalid_label"),
        ("uri", json!(true), "invalid_uri"),
        ("uri", json!("https://example.com/"), "invalid_uri"),
        ("secret", json!(12_345_678), "invalid_secret"),
        ("secret", json!(format!("{CANARY}1")), "invalid_secret"),
        ("secret", json!([CANARY]), "invalid_secret"),
        ("issuer", json!({}), "invalid_issuer"),
        ("issuer", json!("x".repeat(256)), "invalid_issuer"),
        ("algorithm", json!("SHA3-256"), "invalid_algorithm"),
        ("algorithm", json!(1), "invalid_algorithm"),
        ("digits", json!(9), "invalid_digits"),
        ("digits", json!("6"), "invalid_digits"),
    ] {
        let mut body = json!({"label": "x", "secret": CANARY});
        body[field] = value.clone();
        // The guard looks for the canary in the answer.
        create(&app, body).await.error(400, error);
    }
    let list = app.backend().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"], json!([]));
}

#[tokio::test]
async fn a_label_of_255_characters_of_any_script_is_taken() {
    let app = TestApp::new().await;
    let label = "ж".repeat(254) + "🔑";
    let entry = created(&app, json!({"label": label, "secret": CANARY})).await;
    assert_eq!(entry["label"], label);
}

/// The message of a create's refusal for its fields.
async fn refusal(app: &TestApp, field: &str, value: Value) -> String {
    let mut body = json!({"label": "x"});
    body[field] = value;
    // The guard looks for the canary in the answer.
    let body = create(app, body).await.error(400, "bad_request");
    body["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name_and_its_value_is_not_repeated() {
    let app = TestApp::new().await;
    for field in ["secrett", "Secret", "contactId", "policy", "id", "", "`, expected `x"] {
        let message = refusal(&app, field, json!(CANARY)).await;
        let text = format!("unknown field `{field}`, expected one of `label`, `uri`, `secret`,");
        assert!(message.starts_with(&text), "{message}");
    }
    for (length, shown) in [(64, "🔑".repeat(64)), (65, "🔑".repeat(64) + "…")] {
        let message = refusal(&app, &"🔑".repeat(length), json!(CANARY)).await;
        assert!(message.starts_with(&format!("unknown field `{shown}`, expected ")), "{message}");
    }
    let list = app.backend().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"], json!([]));
}

#[tokio::test]
async fn a_picture_is_refused_with_what_to_send_instead() {
    let app = TestApp::new().await;
    for picture in [json!(CANARY), json!({"png": CANARY}), json!(null)] {
        let message = refusal(&app, "qr_image", picture).await;
        assert_eq!(message, "qr_image: pictures are not read yet; send uri or secret instead");
    }
    let list = app.backend().get(SECRETS).await.ok();
    assert_eq!(list["totp_secrets"], json!([]));
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let app = TestApp::new().await;
    let list = json!(["a label", null, CANARY, null, null, null, null]);
    for body in [json!(null), json!("x"), json!([]), json!(7), list] {
        create(&app, body).await.error(400, "bad_request");
    }
}

#[tokio::test]
async fn the_same_content_twice_makes_two_entries() {
    let app = TestApp::new().await;
    assert_ne!(app.entry().await, app.entry().await);
}

#[tokio::test]
async fn an_owner_and_a_backend_may_create_and_an_agent_may_not() {
    let app = TestApp::new().await;
    let body = json!({"label": "x", "secret": CANARY});
    app.owner().post(SECRETS, body.clone()).await.ok();
    app.backend().post(SECRETS, body.clone()).await.ok();
    let refused = app.agent().post(SECRETS, body).await;
    refused.error(403, "not_authorized");
}
