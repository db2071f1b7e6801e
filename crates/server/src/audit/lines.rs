//! Verifies an exported trail, or what was listed of one account's.

use std::io::{BufRead, Read};

use data_encoding::HEXLOWER_PERMISSIVE;
use keyfob_api::event::{self as wire, Event, TrailLine};
use keyfob_core::{
    audit::{Birth, Checkpoint, Hash, Head, Part, Report, Verifier},
    time::Timestamp,
};

use super::{AuditError, Expected, Teller, Told, Trust, database::unchained};
use crate::http::event::unshape;

/// No line is longer.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Verifies lines of JSON: an export of the whole trail, or events as they are listed, of which only each by
/// itself and its neighbours can be checked. `trust`: whose signatures count in an export.
pub fn verify_lines(
    lines: &mut dyn BufRead,
    trust: Option<&Trust>,
    expected: Option<Expected>,
    tell: &mut dyn FnMut(Told),
) -> Result<Report, AuditError> {
    let mut teller = Teller::new(tell);
    let mut first = Vec::new();
    let Some(line) = next(lines, &mut first, 1)? else {
        return Err(AuditError::Refused("there are no events".into()));
    };
    if let TrailLine::Item(event) = line {
        if expected.is_some() {
            let text = "this is a list of events, which has no checkpoints: leave out --expect, or give an export of the whole trail";
            return Err(AuditError::Refused(text.into()));
        }
        return part(event, lines, &mut teller);
    }
    let needs = "this is an export of the whole trail: give the vault's --public-key (`keyfob event public-key` prints it)";
    let trust = trust.ok_or_else(|| AuditError::Refused(needs.into()))?;
    let mut reading = Reading { verifier: trust.verifier(), log_is_open: true, chain: None };
    if let Some(Expected { number, hash }) = expected {
        reading.verifier.expect(number, hash);
    }
    whole(line, lines, reading, &mut teller)
}

/// The next line and what it says; `None` at the end.
fn next(
    lines: &mut dyn BufRead,
    buffer: &mut Vec<u8>,
    number: u64,
) -> Result<Option<TrailLine>, AuditError> {
    loop {
        buffer.clear();
        if Read::take(&mut *lines, LONGEST).read_until(b'\n', buffer)? == 0 {
            return Ok(None);
        }
        // A list says so while it finds nothing.
        if buffer.trim_ascii().is_empty() {
            continue;
        }
        let wrong =
            |error| AuditError::Refused(format!("line {number} is none of a trail: {error}"));
        return serde_json::from_slice(buffer).map(Some).map_err(wrong);
    }
}

fn part(
    first: Event,
    lines: &mut dyn BufRead,
    teller: &mut Teller<'_>,
) -> Result<Report, AuditError> {
    let (mut part, mut buffer) = (Part::default(), Vec::new());
    let mut report = Report { is_part: true, ..Report::default() };
    let (mut event, mut number) = (first, 1);
    loop {
        let stored = unshape(event);
        match stored.linked() {
            Some(linked) => {
                report.events += 1;
                let finding = part.event(&linked);
                report.findings += u64::from(finding.is_some());
                teller.found(finding);
            }
            None => report.unchained += 1,
        }
        teller.progress(report.events);
        number += 1;
        event = match next(lines, &mut buffer, number)? {
            Some(TrailLine::Item(event)) => event,
            Some(TrailLine::Error { message }) => {
                return Err(AuditError::Refused(format!("the list broke off: {message}")));
            }
            Some(_) => return Err(no_place(number)),
            None => return Ok(report),
        };
    }
}

fn no_place(number: u64) -> AuditError {
    AuditError::Refused(format!("line {number} has no place in such a file"))
}

/// How far an export was read.
struct Reading<'k> {
    verifier: Verifier<'k>,
    /// Whether the checkpoints of before the chains may still come.
    log_is_open: bool,
    /// The chain whose events come.
    chain: Option<String>,
}

fn whole(
    first: TrailLine,
    lines: &mut dyn BufRead,
    mut reading: Reading<'_>,
    teller: &mut Teller<'_>,
) -> Result<Report, AuditError> {
    let (mut line, mut number, mut buffer, mut events) = (first, 1, Vec::new(), 0);
    loop {
        match line {
            TrailLine::Checkpoint(checkpoint) => reading.checkpoint(checkpoint),
            TrailLine::Chain(chain) => reading.begin(chain),
            TrailLine::Event(event) => {
                events += 1;
                reading.event(event);
            }
            TrailLine::End(end) if end.events == events => {
                if next(lines, &mut buffer, number + 1)?.is_some() {
                    return Err(no_place(number + 1));
                }
                reading.end();
                teller.hear(&mut reading.verifier);
                return Ok(reading.verifier.report().clone());
            }
            _ => return Err(no_place(number)),
        }
        teller.hear(&mut reading.verifier);
        number += 1;
        let cut = || AuditError::Refused("the export is cut off: its last line is missing".into());
        line = next(lines, &mut buffer, number)?.ok_or_else(cut)?;
    }
}

impl Reading<'_> {
    fn checkpoint(&mut self, checkpoint: wire::Checkpoint) {
        let number = checkpoint.number;
        match unshape_checkpoint(checkpoint) {
            Some(checkpoint) if self.log_is_open => self.verifier.checkpoint(checkpoint),
            Some(checkpoint) => {
                self.close();
                self.verifier.later(checkpoint);
            }
            None => self.verifier.damaged(format!("checkpoint {number} is damaged")),
        }
    }

    fn begin(&mut self, wire::Chain { id, birth }: wire::Chain) {
        self.close();
        let birth = birth.and_then(|birth| {
            Some(Birth {
                chain: id.clone(),
                started_at: Timestamp::from_millis(birth.started_at),
                node: birth.node,
                checkpoint: (birth.checkpoint, Hash::parse(&birth.checkpoint_hash)?),
            })
        });
        self.verifier.begin(&id, birth.as_ref());
        self.chain = Some(id);
    }

    fn event(&mut self, event: Event) {
        let stored = unshape(event);
        match stored.linked() {
            Some(event) if self.chain.as_deref() == Some(event.chain) => {
                self.verifier.event(&event);
            }
            _ => {
                self.close();
                unchained(&mut self.verifier, &stored, stored.place.is_some());
            }
        }
    }

    /// The log, or the chain that is open, has no more.
    fn close(&mut self) {
        if std::mem::take(&mut self.log_is_open) {
            self.verifier.end_log();
        }
        if self.chain.take().is_some() {
            self.verifier.end();
        }
    }

    fn end(&mut self) {
        self.close();
        self.verifier.finish();
    }
}

fn unshape_checkpoint(checkpoint: wire::Checkpoint) -> Option<Checkpoint> {
    Some(Checkpoint {
        number: checkpoint.number,
        created_at: Timestamp::from_millis(checkpoint.created_at),
        previous: Hash::parse(&checkpoint.previous)?,
        heads: Head::read_all(&checkpoint.heads).ok()?,
        key_id: checkpoint.key_id,
        signature: HEXLOWER_PERMISSIVE.decode(checkpoint.signature.as_bytes()).ok()?,
    })
}
