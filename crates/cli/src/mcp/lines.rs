//! What the client says, line by line.

use std::{
    io::{self, BufRead, Read},
    thread,
};

use tokio::sync::mpsc;

/// The longest line that is read, in bytes: a little more than the server takes, so that what is just too long gets the
/// server's own answer.
const LONGEST: u64 = 1024 * 1024 + 4096;

/// A line of the client's.
pub(super) enum Line {
    /// With its end.
    Text(String),
    NotUtf8,
    TooLong,
}

/// The lines of stdin, to its end. They are read in a thread of its own: a read that waits for the client cannot be
/// called off, and would keep the runtime from ending.
pub(super) fn of_stdin() -> mpsc::Receiver<io::Result<Line>> {
    let (sender, receiver) = mpsc::channel(1);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while let Some(line) = next(&mut stdin).transpose() {
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                break;
            }
        }
    });
    receiver
}

fn next(from: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let length = from.take(LONGEST).read_until(b'\n', &mut line)?;
    if length == 0 {
        return Ok(None);
    }
    if line.len() as u64 == LONGEST && !line.ends_with(b"\n") {
        from.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(String::from_utf8(line).map_or(Line::NotUtf8, Line::Text)))
}
