//! The provider as a process.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::app::{Told, http};

/// Ends the process with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn start(arguments: &[&str]) -> (Running, Vec<String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keyfob-testkit"));
    let mut child = command.arg("provider").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(2);
    let lines = lines.map(Result::unwrap).collect();
    (Running(child), lines)
}

#[tokio::test]
async fn it_prints_its_address_and_what_it_is_like() {
    let (_running, lines) =
        start(&["--client", "app:app-secret", "--client", "spa", "--auto-approve"]);
    let configured: Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(configured["issuer"], lines[0]);
    assert_eq!(configured["options"]["autoApprove"], true);
    assert_eq!(configured["options"]["clients"][0]["secrets"], json!(["app-secret"]));
    let request = http().post(format!("{}/control/grant", lines[0]));
    let told = Told::of(request.json(&json!({ "client": "spa" })).send().await.unwrap()).await;
    let form = [
        ("grant_type", "refresh_token".to_owned()),
        ("client_id", "spa".to_owned()),
        ("refresh_token", told.text("refreshToken")),
    ];
    let request = http().post(format!("{}/token", lines[0])).form(&form);
    Told::of(request.send().await.unwrap()).await.assert_ok();
}

#[test]
fn a_file_of_options_that_is_wrong_is_named() {
    let command = Command::new(env!("CARGO_BIN_EXE_keyfob-testkit"))
        .args(["provider", "--options", "not/there.json"])
        .output()
        .unwrap();
    assert!(!command.status.success());
    assert!(String::from_utf8(command.stderr).unwrap().contains("not/there.json"));
}
