//! What a command reads that must not be an argument: others can see those.

use std::io::{IsTerminal, Read, stdin};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::{failure::Failure, output};

/// The most that is read, in bytes: more than the server takes.
const MOST: u64 = 64 * 1024;

/// All that comes on stdin. Whoever types it is told how.
pub(crate) fn stdin_text() -> Result<SecretString, Failure> {
    if stdin().is_terminal() {
        output::say("Paste it, then press Enter and Ctrl-D:");
    }
    text(stdin().lock(), "stdin")
}

/// The value that comes on stdin, without the line break that ends a line or a file.
pub(crate) fn stdin_value() -> Result<SecretString, Failure> {
    let text = stdin_text()?;
    let text = text.expose_secret();
    let value = text.strip_suffix('\n').unwrap_or(text);
    let value = value.strip_suffix('\r').unwrap_or(value);
    if value.is_empty() {
        return Err(Failure::Usage("no value came on stdin".into()));
    }
    Ok(value.into())
}

/// All that `from` holds, which is called `what` where it cannot be read.
pub(crate) fn text(from: impl Read, what: &str) -> Result<SecretString, Failure> {
    let mut text = Zeroizing::new(String::new());
    from.take(MOST + 1).read_to_string(&mut text).with_context(|| format!("reading {what}"))?;
    if text.len() as u64 > MOST {
        return Err(Failure::Usage(format!("{what} has more than {MOST} bytes")));
    }
    Ok(SecretString::from(text.as_str()))
}
