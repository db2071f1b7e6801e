//! The guard: knows every secret of a test, and looks for it wherever no secret may be.

use std::{
    io::{self, Write},
    sync::{LazyLock, Mutex, Once},
};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use keyfob_server::log::is_loggable;
use memchr::memmem;
use tracing_subscriber::{filter::filter_fn, layer::SubscriberExt};

/// The secret that tests store unless they need a certain one.
pub(crate) const CANARY: &str = "CANARY234567CANARY234567CANARY23";
/// A shorter secret would be found by chance.
const SHORTEST: usize = 10;

static LOGS: LazyLock<Mutex<Vec<u8>>> = LazyLock::new(Mutex::default);

/// What was logged so far, by all tests.
pub(crate) fn logs() -> String {
    String::from_utf8(LOGS.lock().unwrap().clone()).unwrap()
}

struct Capture;

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGS.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Captures all that is logged at any level, once for all tests.
fn capture_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Capture)
            .finish()
            .with(filter_fn(is_loggable));
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// One form that a secret could leak in.
struct Form {
    what: &'static str,
    bytes: Vec<u8>,
}

/// The secrets of one test.
pub(crate) struct Guard {
    forms: Mutex<Vec<Form>>,
    /// Where the logs of this test begin at the earliest.
    logs_from: usize,
}

impl Guard {
    pub(crate) fn new() -> Self {
        capture_logs();
        let guard = Self { forms: Mutex::default(), logs_from: LOGS.lock().unwrap().len() };
        guard.know_totp(CANARY);
        guard
    }

    /// A one-time-password secret in base32.
    pub(crate) fn know_totp(&self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let mut forms = vec![
            form("a secret", secret),
            form("a secret in lower case", secret.to_ascii_lowercase()),
        ];
        if let Ok(raw) = BASE32_NOPAD.decode(secret.as_bytes()) {
            forms.push(form("a secret in hex", HEXLOWER.encode(&raw)));
            forms.push(form("a secret's bytes, printed", list(&raw)));
            forms.push(form("a secret's bytes", raw));
        }
        self.know(forms);
    }

    /// A credential of any other kind.
    pub(crate) fn know_value(&self, value: &str) {
        assert!(value.len() > SHORTEST, "{} characters", value.len());
        self.know(vec![form("a credential", value)]);
    }

    /// The secret part of an API key, as `kfs_…`.
    pub(crate) fn know_key(&self, secret: &str) {
        let body = secret.strip_prefix("kfs_").unwrap();
        assert!(body.len() > SHORTEST, "{} characters", body.len());
        self.know(vec![form("a key", body)]);
    }

    /// The tokens of the provider that tests script, which say so.
    pub(crate) fn know_tokens(&self) {
        let forms = ["at-f1-g", "at-f2-g", "rt-f1-g", "rt-f2-g"].map(|it| form("a token", it));
        self.know(forms.into());
    }

    fn know(&self, new: Vec<Form>) {
        let mut forms = self.forms.lock().unwrap();
        for form in new {
            if !forms.iter().any(|known| known.bytes == form.bytes) {
                forms.push(form);
            }
        }
    }

    /// Which secret is in there, if any.
    pub(crate) fn find_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let forms = self.forms.lock().unwrap();
        let found = forms.iter().find(|form| memmem::find(bytes, &form.bytes).is_some());
        found.map(|form| form.what)
    }

    /// Which secret other than a token is in there, if any.
    pub(crate) fn find_no_token_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let forms = self.forms.lock().unwrap();
        let mut others = forms.iter().filter(|form| form.what != "a token");
        others.find(|form| memmem::find(bytes, &form.bytes).is_some()).map(|form| form.what)
    }

    /// Which key is in there, if any.
    pub(crate) fn find_key_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let forms = self.forms.lock().unwrap();
        let mut keys = forms.iter().filter(|form| form.what == "a key");
        keys.find(|form| memmem::find(bytes, &form.bytes).is_some()).map(|form| form.what)
    }

    /// Fails if a secret is in there.
    pub(crate) fn check(&self, place: &str, bytes: &[u8]) {
        if let Some(what) = self.find_in(bytes) {
            panic!("the guard found {what} in {place}");
        }
    }

    /// Fails if a secret was logged since this test began.
    pub(crate) fn check_logs(&self) {
        let logs = LOGS.lock().unwrap()[self.logs_from..].to_vec();
        self.check("the logs", &logs);
    }
}

fn form(what: &'static str, bytes: impl Into<Vec<u8>>) -> Form {
    Form { what, bytes: bytes.into() }
}

/// The bytes as `Debug` prints them.
fn list(bytes: &[u8]) -> String {
    let numbers: Vec<_> = bytes.iter().map(u8::to_string).collect();
    numbers.join(", ")
}

mod tests {
    use keyfob_core::policy::Role;
    use serde_json::json;

    use super::{CANARY, Guard};
    use crate::app::{SECRETS, TestApp};

    #[test]
    fn the_guard_notices_a_secret_in_every_form_it_could_leak_in() {
        let guard = Guard::new();
        let raw = data_encoding::BASE32_NOPAD.decode(CANARY.as_bytes()).unwrap();
        let leaks: [&[u8]; 5] = [
            format!("secret={CANARY}.").as_bytes(),
            CANARY.to_lowercase().as_bytes(),
            &raw,
            format!("{raw:?}").as_bytes(),
            data_encoding::HEXLOWER.encode(&raw).as_bytes(),
        ]
        .map(|leak| -> &[u8] { Vec::leak(leak.to_vec()) });
        for leak in leaks {
            assert!(guard.find_in(leak).is_some(), "{leak:?}");
        }
        assert_eq!(guard.find_in(b"CANARY"), None);
    }

    /// Runs `leak` against an app, and tells how it or dropping the app failed.
    fn failure(leak: impl AsyncFnOnce(&TestApp) + Send + 'static) -> Option<String> {
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let app = TestApp::new().await;
                leak(&app).await;
            });
        };
        let failure = std::thread::spawn(run).join().err()?;
        Some(failure.downcast_ref::<String>().unwrap().clone())
    }

    #[test]
    fn dropping_an_app_that_leaked_nothing_is_no_failure() {
        assert_eq!(failure(async |_| ()), None);
    }

    #[test]
    fn dropping_an_app_fails_when_a_secret_was_logged() {
        const LEAKED: &str = "LEAKED234567LEAKED234567";
        let failure = failure(async |app| {
            app.guard().know_totp(LEAKED);
            tracing::trace!(secret = LEAKED, "oh no");
        });
        assert_eq!(failure.unwrap(), "the guard found a secret in the logs");
    }

    #[test]
    fn dropping_an_app_fails_when_a_secret_is_in_the_database() {
        let failure = failure(async |app| {
            let leak = format!("UPDATE account SET name = '{CANARY}'");
            app.database().execute(&leak);
        });
        let text = failure.unwrap();
        assert!(text.starts_with("the guard found a secret in "), "{text}");
    }

    #[test]
    fn an_answer_with_a_secret_fails_unless_it_is_a_reveal() {
        let failure = failure(async |app| {
            let label = json!({"label": CANARY, "secret": CANARY});
            app.backend().post(SECRETS, label).await.ok();
            app.backend().get(SECRETS).await.ok();
        });
        let text = failure.unwrap();
        assert!(text.contains("in the answer to GET /api/v2/totp/secrets"), "{text}");
    }

    #[test]
    fn an_answer_with_a_key_fails_also_if_it_reveals_something_else() {
        let failure = failure(async |app| {
            let label = json!({"label": app.key_of(Role::Agent).token});
            app.backend().post(SECRETS, label).await.ok();
        });
        let text = failure.unwrap();
        assert!(text.contains("a key"), "{text}");
    }
}
