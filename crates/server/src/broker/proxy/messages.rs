//! What a WebSocket server sends, without what would be the credential.
//!
//! A message is searched as its receiver puts it together: the payloads of its fragments as one text, and control
//! frames, which may come between them, each by itself. A frame has its length in front, so nothing in it can be
//! replaced by something else: where a credential comes back, the connection ends before it.

use std::{collections::VecDeque, sync::Arc};

use keyfob_core::leak::{Needles, Passed, Redactor, redact};

use super::{
    end::Ended,
    frames::{Frames, Kind, Piece},
};

/// Frames that came behind what may become a credential wait for it. There may be so much of them, in bytes: it is
/// more than any credential can have kept back, whatever it is encoded as.
const LARGEST_KEPT: usize = 512 * 1024;

/// Lets through what one server sends.
pub(super) struct Messages {
    needles: Arc<Needles>,
    frames: Frames,
    /// Looks through the message that is coming.
    redactor: Redactor,
    /// The payload of the control frame that is coming.
    control: Vec<u8>,
    /// What came and was not let through yet.
    kept: Vec<u8>,
    /// What it consists of, but for the header or the control frame at its end that is not whole.
    parts: VecDeque<Part>,
    /// The bytes of that.
    unread: usize,
    /// So many bytes of messages may pass that have not.
    cleared: usize,
    /// No frame has passed in part.
    is_between: bool,
}

struct Part {
    length: usize,
    /// It passes when the search is through with it.
    is_searched: bool,
    ends_frame: bool,
}

impl Messages {
    pub(super) fn new(needles: Arc<Needles>) -> Self {
        Self {
            redactor: Redactor::new(Arc::clone(&needles)),
            needles,
            frames: Frames::default(),
            control: Vec::new(),
            kept: Vec::new(),
            parts: VecDeque::new(),
            unread: 0,
            cleared: 0,
            is_between: true,
        }
    }

    /// Takes what has come, and adds to `out` what can be let through by now; of what must not be, the frames before
    /// it.
    pub(super) fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Ended> {
        let read = self.read(bytes);
        let passing = if read.is_ok() { self.passing() } else { self.whole_frames() };
        out.extend(self.kept.drain(..passing));
        if self.kept.len() > LARGEST_KEPT {
            return Err(Ended::KeptTooMuch);
        }
        read
    }

    /// Whether what was let through ends where a frame does.
    pub(super) fn is_between(&self) -> bool {
        self.is_between
    }

    fn read(&mut self, mut bytes: &[u8]) -> Result<(), Ended> {
        while !bytes.is_empty() {
            let piece = self.frames.next(bytes)?;
            let (here, rest) = bytes.split_at(piece.length);
            self.kept.extend_from_slice(here);
            self.unread += here.len();
            bytes = rest;
            self.search(piece, here)?;
        }
        Ok(())
    }

    fn search(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), Ended> {
        let Piece { kind, ends_frame, ends_message, .. } = piece;
        match kind {
            Kind::HalfHeader => return Ok(()),
            Kind::Header { is_control: true } if !ends_frame => return Ok(()),
            Kind::Header { .. } => {}
            Kind::Control => {
                self.control.extend_from_slice(bytes);
                if !ends_frame {
                    return Ok(());
                }
                let found = redact(&self.needles, &self.control).is_some();
                self.control.clear();
                if found {
                    return Err(Ended::Leak);
                }
            }
            Kind::Data => {
                let mut clean = Vec::new();
                let count = match self.redactor.pass(bytes, false, &mut clean) {
                    Passed::Same(count) => count,
                    Passed::Other => clean.len(),
                };
                self.clear(count)?;
            }
        }
        let is_control = matches!(kind, Kind::Control | Kind::Header { is_control: true });
        if ends_message && !is_control {
            let mut clean = Vec::new();
            self.redactor.finish(&mut clean);
            self.clear(clean.len())?;
        }
        let length = std::mem::take(&mut self.unread);
        self.parts.push_back(Part { length, is_searched: kind == Kind::Data, ends_frame });
        Ok(())
    }

    /// Notes that so much more of the message may pass, as long as nothing was found in it.
    fn clear(&mut self, count: usize) -> Result<(), Ended> {
        if self.redactor.found() > 0 {
            return Err(Ended::Leak);
        }
        self.cleared += count;
        Ok(())
    }

    /// How much of what was kept passes now.
    fn passing(&mut self) -> usize {
        let mut passing = 0;
        while let Some(part) = self.parts.front_mut() {
            let mut length = part.length;
            if part.is_searched {
                length = length.min(self.cleared);
                self.cleared -= length;
            }
            passing += length;
            part.length -= length;
            if part.length > 0 {
                self.is_between &= length == 0;
                break;
            }
            self.is_between = part.ends_frame;
            self.parts.pop_front();
        }
        passing
    }

    /// How much of it is frames that are whole, and can all pass.
    fn whole_frames(&mut self) -> usize {
        let (mut passing, mut whole) = (0, 0);
        for part in &self.parts {
            if part.is_searched {
                let Some(left) = self.cleared.checked_sub(part.length) else { break };
                self.cleared = left;
            }
            passing += part.length;
            if part.ends_frame {
                (whole, self.is_between) = (passing, true);
            }
        }
        self.parts.clear();
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::{super::frames::tests::frame, *};

    const CREDENTIAL: &str = "kfb-canary+token/9f8e7d6c5b4a39281706==";

    fn messages() -> Messages {
        Messages::new(Arc::new(Needles::new(&[CREDENTIAL.into()])))
    }

    /// What is let through of bytes that come in such parts, and how that ends.
    fn passed(bytes: &[u8], part: usize) -> (Vec<u8>, Result<Messages, Ended>) {
        let (mut messages, mut out) = (messages(), Vec::new());
        for part in bytes.chunks(part) {
            if let Err(ended) = messages.take(part, &mut out) {
                return (out, Err(ended));
            }
        }
        (out, Ok(messages))
    }

    /// The text of the message in these frames, as far as they go.
    fn text(mut bytes: &[u8]) -> String {
        let (mut frames, mut text) = (Frames::default(), Vec::new());
        while !bytes.is_empty() {
            let piece = frames.next(bytes).unwrap();
            if piece.kind == Kind::Data {
                text.extend_from_slice(&bytes[..piece.length]);
            }
            bytes = &bytes[piece.length..];
        }
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_credential_in_fragments_is_found_whatever_comes_between_them() {
        let (first, second) = CREDENTIAL.split_at(17);
        let [begin, end] =
            [0x01, 0x80].map(|first| move |text: &str| frame(first, text.as_bytes()));
        let ping = frame(0x89, b"ping");
        let by_one = CREDENTIAL.bytes().flat_map(|byte| frame(0x00, &[byte])).collect();
        for wire in [
            frame(0x81, CREDENTIAL.as_bytes()),
            [begin(first), end(second)].concat(),
            [begin(first), ping.clone(), end(second)].concat(),
            [begin(first), frame(0x00, b""), ping.clone(), ping.clone(), end(second)].concat(),
            [begin(""), by_one, end("")].concat(),
            [frame(0x81, b"before"), begin(first), end(second), frame(0x81, b"after")].concat(),
        ] {
            for part in [1, 2, 5, 1000] {
                let (out, ended) = passed(&wire, part);
                assert!(matches!(ended, Err(Ended::Leak)), "{wire:?}, {part}");
                let text = text(&out);
                let seen = text.strip_prefix("before").unwrap_or(&text);
                assert_eq!(seen, "", "{wire:?}, {part}");
                assert!(wire.starts_with(&out));
            }
        }
    }

    #[test]
    fn a_control_frame_is_searched_by_itself() {
        for first in [0x88, 0x89, 0x8a] {
            let leak = frame(first, format!("..{CREDENTIAL}").as_bytes());
            let wire = [frame(0x01, b"half,"), leak].concat();
            for part in [1, 7, 1000] {
                let (out, ended) = passed(&wire, part);
                assert!(matches!(ended, Err(Ended::Leak)));
                assert_eq!(out, frame(0x01, b"half,"), "{part}");
            }
        }
    }

    #[test]
    fn what_is_no_credential_passes_as_it_is_and_whole_messages_at_once() {
        let (first, second) = CREDENTIAL.split_at(17);
        for wire in [
            frame(0x81, b"one"),
            frame(0x82, &b"x".repeat(70_000)),
            // It ends as the credential begins.
            frame(0x81, first.as_bytes()),
            // Each message by itself.
            [frame(0x81, first.as_bytes()), frame(0x81, second.as_bytes())].concat(),
            // So is what is between the fragments of one.
            [frame(0x01, first.as_bytes()), frame(0x8a, second.as_bytes()), frame(0x80, b"x")]
                .concat(),
            [frame(0x01, b"a"), frame(0x89, first.as_bytes()), frame(0x80, second.as_bytes())]
                .concat(),
            [frame(0x89, b""), frame(0x82, b""), frame(0x88, b"\x03\xe8")].concat(),
        ] {
            for part in [1, 3, 1000, 100_000] {
                let (out, ended) = passed(&wire, part);
                assert!(out == wire && ended.unwrap().is_between(), "{part}");
            }
        }
    }

    #[test]
    fn what_is_let_through_waits_for_no_message_to_end() {
        let (mut messages, mut out) = (messages(), Vec::new());
        messages.take(&frame(0x01, b"so far and kfb-"), &mut out).unwrap();
        assert_eq!(text(&out), "so far and ");
        assert!(!messages.is_between());
        messages.take(&frame(0x00, b"no,"), &mut out).unwrap();
        assert_eq!(text(&out), "so far and kfb-no,");
        assert!(messages.is_between());
    }

    #[test]
    fn frames_before_the_one_that_is_refused_still_pass() {
        for (refused, is_leak) in
            [(frame(0x81, CREDENTIAL.as_bytes()), true), (frame(0xc1, b"x"), false)]
        {
            let (mut messages, mut out) = (messages(), Vec::new());
            let wire = [frame(0x81, b"one"), frame(0x89, b"two"), refused].concat();
            let ended = messages.take(&wire, &mut out).unwrap_err();
            assert_eq!(matches!(ended, Ended::Leak), is_leak);
            assert_eq!(out, [frame(0x81, b"one"), frame(0x89, b"two")].concat());
            assert!(messages.is_between());
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let wire = [frame(0x01, b"kfb-canary"), frame(0x89, &[b'p'; 125]).repeat(5000)].concat();
        let (out, ended) = passed(&wire, 1000);
        assert!(matches!(ended, Err(Ended::KeptTooMuch)));
        assert!(out.len() < 13);
    }
}
