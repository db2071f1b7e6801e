//! A vault with a thousand secrets, searched for them: the files of SQLite and its log, a dump of
//! PostgreSQL, and all that the server wrote to its log and its terminal.

use aho_corasick::AhoCorasick;
use data_encoding::{BASE32_NOPAD, BASE64, BASE64_NOPAD, HEXLOWER, HEXUPPER, Specification};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    api::{Api, Code},
    database::{Database, Kind},
    hotp::secret_of,
    on_both_databases,
    vault::{Key, Vault},
};

const SECRETS: usize = 1000;
const CALLERS: usize = 8;

on_both_databases!(no_secret_is_in_what_the_vault_writes);

async fn no_secret_is_in_what_the_vault_writes(kind: Kind) {
    let vault = Vault::new(kind);
    let server = vault.serve_with(&[("KEYFOB_LOG", "trace")]);
    let keys = ["owner", "backend", "agent"].map(|role| vault.key(role));
    let mut secrets = Secrets::default();
    let mut codes = Vec::new();
    let api = server.api(&keys[0].token);
    for (id, label) in fill(&api).await {
        secrets.know_totp(&secret_of(&label));
        if codes.len() < 50 {
            codes.push(api.code(&id).await.code);
        }
    }
    let made = api.post("/api/v2/totp/secrets", &json!({"label": "made by the server"})).await;
    secrets.know_totp(made.ok()["totp_secret"]["secret"].as_str().unwrap());
    for key in &keys {
        use_key(&server.api(&key.token), key).await;
        secrets.know_key(&key.secret);
    }
    let master_key = std::fs::read_to_string(vault.master_key_file()).unwrap();
    secrets.know_master_key(master_key.trim());
    assert!(secrets.texts > SECRETS, "{}", secrets.texts);

    let secrets = secrets.search();
    check_stored(&vault, &secrets, "while the server runs");
    let ended = server.stop();
    check_stored(&vault, &secrets, "after it has stopped");

    // The first owner key is the only thing that is meant to be seen.
    let first = ended.stdout.lines().find_map(|line| line.strip_prefix("secret  ")).unwrap();
    let body = first.strip_prefix("kfs_").unwrap();
    assert_eq!(ended.stdout.matches(body).count(), 2, "in the secret and in the token");
    let mut first_key = Secrets::default();
    first_key.know_key(first);
    let first_key = first_key.search();
    check_stored(&vault, &first_key, "of the first owner key");
    for (place, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        secrets.check(place, text.as_bytes());
        for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
            assert!(!codes.iter().any(|code| code == word), "a code is in {place}");
        }
    }
    first_key.check("stderr", ended.stderr.as_bytes());
    assert!(ended.stderr.contains("looked-for"), "the log is there, and is searched");
}

/// Stores the secrets of a thousand labels; ids and labels.
async fn fill(api: &Api) -> Vec<(String, String)> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let api = api.clone();
        callers.spawn(async move {
            let mut stored = Vec::new();
            for number in (caller..SECRETS).step_by(CALLERS) {
                let label = format!("leftover number {number}");
                let secret = secret_of(&label);
                let body = match number % 4 {
                    0 => json!({
                        "label": label,
                        "uri": format!("otpauth://totp/x?secret={secret}&digits=8"),
                    }),
                    1 => json!({"label": label, "secret": secret.to_lowercase(), "digits": 8}),
                    _ => json!({"label": label, "secret": secret, "digits": 8}),
                };
                stored.push((api.create(&body).await, label));
            }
            stored
        });
    }
    callers.join_all().await.concat()
}

/// Uses a key in each way that there is, and in some that are refused.
async fn use_key(api: &Api, key: &Key) {
    let id = api.list().await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v2/totp/code/{id}?include=next");
    let answer = api.send(Method::GET, &path, None, "looked-for").await.unwrap();
    Code::of(&answer.ok());
    let wrong = json!({"label": "x", "secret": format!("{}!", secret_of("x")), "period": "y"});
    assert_ne!(api.post("/api/v2/totp/secrets", &wrong).await.status, 200);
    #[expect(clippy::disallowed_methods, reason = "a test is a caller")]
    let pair = reqwest::Client::builder().no_proxy().build().unwrap();
    let pair = pair.get(api.url_of("/api/v2/totp/secrets"));
    let pair = pair.header("sb-api-key-id", &key.id).header("sb-api-secret-key", &key.secret);
    assert_eq!(pair.send().await.unwrap().status(), 200);
    // A mistyped token, and one in a place where it does not belong.
    let mistyped = api.with_token(&format!("{}x", key.token)).get("/api/v2/totp/secrets").await;
    assert_eq!(mistyped.status, 401);
    assert_eq!(api.get(&format!("/api/v2/{}", key.token)).await.status, 404);
}

/// Everything that is stored, but the master key's own file.
fn check_stored(vault: &Vault, secrets: &Search, when: &str) {
    let mut all = Vec::new();
    let mut files = 0;
    for file in std::fs::read_dir(vault.data_dir()).unwrap() {
        let path = file.unwrap().path();
        if path != vault.master_key_file() {
            let content = std::fs::read(&path).unwrap();
            secrets.check(&format!("{} {when}", path.display()), &content);
            all.extend(content);
            files += 1;
        }
    }
    if let Database::Postgres(_) = vault.database {
        all = vault.database.dump();
        secrets.check(&format!("the dump {when}"), &all);
    } else {
        assert!(files >= if when == "while the server runs" { 4 } else { 1 }, "{files} files");
    }
    // The search finds what is there.
    let label = &format!("leftover number {}", SECRETS - 1);
    let sealed = format!("SELECT secret FROM totp WHERE label = '{label}'");
    let sealed = vault.database.rows(&sealed)[0][0].strip_prefix("\\x").unwrap().to_owned();
    let mut controls = vec![label.as_bytes().to_vec()];
    match vault.database {
        Database::Sqlite(_) => controls.push(HEXLOWER.decode(sealed.as_bytes()).unwrap()),
        Database::Postgres(_) => controls.push(sealed.into_bytes()),
    }
    for control in controls {
        let control = Secrets { patterns: vec![control], texts: 1 }.search();
        assert!(control.find(&all).is_some(), "the search does not work {when}");
    }
}

/// What must not be found, in every form that it could be written in.
#[derive(Default)]
struct Secrets {
    patterns: Vec<Vec<u8>>,
    texts: usize,
}

/// The alphabet of keys: without i, l, o and u.
const KEY_ALPHABET: &str = "0123456789abcdefghjkmnpqrstvwxyz";

impl Secrets {
    fn know(&mut self, text: &str, raw: &[u8]) {
        assert!(raw.len() >= 16, "shorter ones could be there by chance");
        for bytes in [text.as_bytes(), raw] {
            // Without the end, which depends on what follows.
            let base64 = BASE64_NOPAD.encode(bytes);
            self.patterns.push(base64.as_bytes()[..base64.len() - 2].to_vec());
            self.patterns.push(HEXLOWER.encode(bytes).into());
            self.patterns.push(HEXUPPER.encode(bytes).into());
            self.patterns.push(bytes.to_vec());
        }
        self.patterns.push(text.to_lowercase().into());
        self.patterns.push(text.to_uppercase().into());
        self.patterns.push(format!("{raw:?}").trim_matches(['[', ']']).into());
        self.texts += 1;
    }

    fn know_totp(&mut self, secret: &str) {
        self.know(secret, &BASE32_NOPAD.decode(secret.as_bytes()).unwrap());
    }

    fn know_key(&mut self, secret: &str) {
        let mut base32 = Specification::new();
        base32.symbols.push_str(KEY_ALPHABET);
        base32.check_trailing_bits = false;
        let body = secret.strip_prefix("kfs_").unwrap();
        let raw = base32.encoding().unwrap().decode(body.as_bytes()).unwrap();
        // The rest is a checksum.
        self.know(body, &raw[..32]);
    }

    fn know_master_key(&mut self, text: &str) {
        self.know(text, &BASE64.decode(text.as_bytes()).unwrap());
    }

    fn search(self) -> Search {
        Search(AhoCorasick::new(&self.patterns).unwrap())
    }
}

struct Search(AhoCorasick);

impl Search {
    fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.0.find(bytes).map(|found| found.start())
    }

    #[track_caller]
    fn check(&self, place: &str, bytes: &[u8]) {
        if let Some(at) = self.find(bytes) {
            panic!("a secret is in {place}, at byte {at}");
        }
    }
}
