//! Grants on the command line: one that another program has obtained is taken over, renewed, handed out.

use std::time::Duration;

use keyfob_testkit::{Client, Endpoint, Options, Provider};
use serde_json::{Value, json};

use crate::{
    database::Kind,
    on_both_databases,
    process::{Ended, Server, keyfob, run_with},
    vault::Vault,
};

on_both_databases!(
    a_grant_is_taken_over_renewed_and_handed_out,
    a_token_of_what_is_not_connected_is_a_link_for_the_contact,
    a_shared_client_has_its_own_tokens,
    what_is_no_grant_is_refused_and_not_repeated,
);

const LIFE: Duration = Duration::from_mins(10);

/// A server, a provider that it may reach, and a contact with a personal secret, `@mail`.
struct Shell {
    provider: Provider,
    server: Server,
    _vault: Vault,
    token: String,
    contact: String,
}

impl Shell {
    async fn new(kind: Kind) -> Self {
        let options = Options::default().with_client(Client::confidential("app", "app-secret"));
        let provider = Provider::start(options).await.unwrap();
        let vault = Vault::new(kind);
        let server = vault.serve_with(&[("KEYFOB_EGRESS_ALLOW", "127.0.0.1")]);
        let token = vault.key("backend").token;
        let mut shell = Self { provider, server, _vault: vault, token, contact: String::new() };
        shell.contact = shell.id(&["contact", "create", "--verified-at", "now"]);
        shell.secret("personal", "mail", "authorization_code");
        shell
    }

    fn secret(&self, kind: &str, alias: &str, grant_type: &str) {
        let config = json!({
            "clientId": "app", "clientSecret": "app-secret", "grantType": grant_type,
            "authorizationUrl": self.provider.url("/authorize"), "tokenUrl": self.provider.url("/token"),
        });
        let fields = ["--kind", kind, "--alias", alias, "--type", "oauth", "--config-file", "-"];
        self.keyfob(&[&["secret", "create"], &fields[..]].concat(), &config.to_string()).ok();
    }

    fn keyfob(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = keyfob(args);
        command.env("KEYFOB_URL", &self.server.url).env("KEYFOB_TOKEN", &self.token);
        run_with(command, stdin)
    }

    fn id(&self, args: &[&str]) -> String {
        self.keyfob(args, "").ok().trim_end().to_owned()
    }

    fn connection(&self, action: &str, args: &[&str], stdin: &str) -> Ended {
        let of = ["connection", action, &self.contact, "@mail"];
        self.keyfob(&[&of[..], args].concat(), stdin)
    }

    fn refreshes(&self) -> usize {
        self.provider.ledger().at(Endpoint::Token).count()
    }
}

async fn a_grant_is_taken_over_renewed_and_handed_out(kind: Kind) {
    let shell = Shell::new(kind).await;
    let grant = shell.provider.issue_grant("app", LIFE).unwrap();
    let handed = json!({
        "accessToken": grant.access_token, "refreshToken": grant.refresh_token,
        "expiresAt": grant.expires_at.as_millis(), "scopes": "read write",
    });
    let connected = shell.connection("connect", &["--grant-stdin"], &format!("{handed}\n"));
    assert_eq!(connected.ok(), "");
    assert!(connected.stderr.ends_with("is connected\n"), "{}", connected.stderr);
    assert_eq!(shell.connection("mint", &[], "").ok(), format!("{}\n", grant.access_token));
    assert_eq!(shell.refreshes(), 0);

    assert_eq!(shell.connection("refresh", &[], "").ok(), "authenticated\n");
    let minted = shell.connection("mint", &["--json"], "").json();
    assert_ne!(minted["token"], grant.access_token);
    assert!(shell.provider.is_valid(minted["token"].as_str().unwrap()));
    assert!(minted["expiresAt"].as_u64().unwrap() > 0);
    assert_eq!(shell.refreshes(), 1);
    assert_eq!(shell.provider.ledger().reuses(), 0);
}

async fn a_token_of_what_is_not_connected_is_a_link_for_the_contact(kind: Kind) {
    let shell = Shell::new(kind).await;
    let refused = shell.connection("mint", &[], "");
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    let (why, link) = refused.stderr.trim_end().split_once('\n').unwrap();
    assert_eq!(why, "keyfob: Authorization required: it is not connected");
    let link = link.strip_prefix("to connect it: ").unwrap();
    assert!(link.starts_with(&format!("{}/connect/", shell.server.url)), "{link}");
}

async fn a_shared_client_has_its_own_tokens(kind: Kind) {
    let shell = Shell::new(kind).await;
    shell.secret("shared", "machine", "client_credentials");
    let token = shell.id(&["secret", "mint", "@machine"]);
    assert!(shell.provider.is_valid(&token));
    assert_eq!(shell.keyfob(&["secret", "refresh", "@machine"], "").ok(), "authenticated\n");
    assert_ne!(shell.id(&["secret", "mint", "@machine"]), token);
    assert_eq!(shell.refreshes(), 2);
    let refused = shell.keyfob(&["secret", "mint", "@mail"], "");
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
}

async fn what_is_no_grant_is_refused_and_not_repeated(kind: Kind) {
    let shell = Shell::new(kind).await;
    for text in [
        "CANARY",
        "[\"CANARY\"]",
        "{\"accessToken\":\"a\",\"expiresAt\":\"CANARY\"}",
        "{\"accessToken\":\"a\",\"CANARY\":1}",
        "{\"accessToken\":\"a\",\"value\":\"CANARY\"}",
        "{\"refreshToken\":\"CANARY\"}",
    ] {
        let refused = shell.connection("connect", &["--grant-stdin"], text);
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(2), ""), "{text}");
        assert!(refused.stderr.contains("no grant came on stdin"), "{}", refused.stderr);
        assert!(!refused.stderr.contains("CANARY"), "{}", refused.stderr);
    }
    let both = shell.connection("connect", &["--grant-stdin", "--value-stdin"], "x");
    assert_eq!(both.status, Some(2));
    let list = shell.keyfob(&["connection", "list", &shell.contact, "--json"], "").json();
    assert_eq!(list, Value::Array(Vec::new()));
}
