//! What of a WebSocket server's bytes is the header of a frame, and what its payload (RFC 6455, section 5.2).

/// Follows the frames of one direction.
#[derive(Default)]
pub(super) struct Frames {
    /// What is known of the header of the frame that is coming.
    header: Vec<u8>,
    /// So much of its payload is still to come, in bytes.
    left: u64,
    /// It is a control frame: a message of its own, between the frames of another one.
    is_control: bool,
    is_last: bool,
    /// A message of several frames has begun.
    is_open: bool,
}

/// The next bytes, which are all of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// So many bytes.
    pub(super) length: usize,
    pub(super) kind: Kind,
    /// The frame ends with them.
    pub(super) ends_frame: bool,
    /// So does the message that it is of.
    pub(super) ends_message: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a header that goes on.
    HalfHeader,
    /// A header, or the rest of one.
    Header { is_control: bool },
    /// The payload of a message, or of one of its fragments.
    Data,
    /// The payload of a control frame.
    Control,
}

/// Frames of which it cannot be said what a client makes of them, so that they cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server {0}, so that it could not be looked at")]
pub(super) struct Unreadable(&'static str);

const IS_LAST: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
/// The largest payload of a control frame, in bytes.
const LARGEST_CONTROL: u64 = 125;

impl Frames {
    /// What the next of `bytes` are, of which there are some.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Result<Piece, Unreadable> {
        if self.left > 0 {
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= length as u64;
            let kind = if self.is_control { Kind::Control } else { Kind::Data };
            return Ok(self.piece(length, kind));
        }
        for (at, byte) in bytes.iter().enumerate() {
            self.header.push(*byte);
            if let Some(length) = self.payload()? {
                self.begin(length)?;
                return Ok(self.piece(at + 1, Kind::Header { is_control: self.is_control }));
            }
        }
        let (length, kind) = (bytes.len(), Kind::HalfHeader);
        Ok(Piece { length, kind, ends_frame: false, ends_message: false })
    }

    fn piece(&self, length: usize, kind: Kind) -> Piece {
        let ends_frame = self.left == 0;
        Piece { length, kind, ends_frame, ends_message: ends_frame && self.is_last }
    }

    /// The length of the payload, once the header is whole.
    fn payload(&self) -> Result<Option<u64>, Unreadable> {
        let Some(second) = self.header.get(1) else { return Ok(None) };
        if second & MASKED != 0 {
            return Err(Unreadable("masked what it sent"));
        }
        let extended = match second & !MASKED {
            126 => 2,
            127 => 8,
            length => return Ok(Some(length.into())),
        };
        let Some(length) = self.header.get(2..2 + extended) else { return Ok(None) };
        let length = length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        if length > i64::MAX.unsigned_abs() {
            return Err(Unreadable("sent a frame longer than there may be"));
        }
        Ok(Some(length))
    }

    /// Begins a frame, whose header is whole.
    fn begin(&mut self, length: u64) -> Result<(), Unreadable> {
        let first = self.header[0];
        self.header.clear();
        if first & RESERVED != 0 {
            return Err(Unreadable("used an extension that was not agreed on"));
        }
        (self.is_last, self.left) = (first & IS_LAST != 0, length);
        self.is_control = match first & OPCODE {
            0 if self.is_open => false,
            1 | 2 if !self.is_open => false,
            0..=2 => return Err(Unreadable("mixed the frames of its messages up")),
            8..=10 if self.is_last && length <= LARGEST_CONTROL => true,
            8..=10 => return Err(Unreadable("sent a control frame that is none")),
            _ => return Err(Unreadable("sent frames of an unknown kind")),
        };
        if !self.is_control {
            self.is_open = !self.is_last;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame as a server sends it.
    pub(in super::super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(u8::try_from(length).unwrap()),
            length @ 126..=0xffff => {
                frame.push(126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            length => {
                frame.push(127);
                frame.extend_from_slice(&u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    /// Messages and control frames, in the order in which they end, when they come in such parts.
    fn read(bytes: &[u8], part: usize) -> Result<Vec<(Kind, Vec<u8>)>, Unreadable> {
        let (mut frames, mut all) = (Frames::default(), vec![]);
        let (mut data, mut control) = (vec![], vec![]);
        for mut part in bytes.chunks(part) {
            while !part.is_empty() {
                let Piece { length, kind, ends_frame, ends_message } = frames.next(part)?;
                assert!(length > 0 && (ends_frame || !ends_message));
                let (piece, rest) = part.split_at(length);
                part = rest;
                let is_control = frames.is_control;
                let payload = if is_control { &mut control } else { &mut data };
                if matches!(kind, Kind::Data | Kind::Control) {
                    assert_eq!(kind == Kind::Control, is_control);
                    payload.extend_from_slice(piece);
                }
                if ends_message {
                    let kind = if is_control { Kind::Control } else { Kind::Data };
                    all.push((kind, std::mem::take(payload)));
                }
            }
        }
        Ok(all)
    }

    #[test]
    fn payloads_are_told_from_headers_and_messages_from_fragments_however_they_come() {
        let bytes = [
            frame(0x81, b"one"),
            frame(0x89, b""),
            frame(0x01, &[b'a'; 126]),
            frame(0x8a, b"pong"),
            frame(0x00, b""),
            frame(0x80, b"z"),
            frame(0x82, &b"b".repeat(70_000)),
            frame(0x82, b""),
            frame(0x88, b"\x03\xe8bye"),
        ]
        .concat();
        let expected = [
            (Kind::Data, b"one".to_vec()),
            (Kind::Control, vec![]),
            (Kind::Control, b"pong".to_vec()),
            (Kind::Data, [[b'a'; 126].as_slice(), b"z"].concat()),
            (Kind::Data, vec![b'b'; 70_000]),
            (Kind::Data, vec![]),
            (Kind::Control, b"\x03\xe8bye".to_vec()),
        ];
        for part in [1, 2, 3, 7, 1000, 100_000] {
            assert_eq!(read(&bytes, part).unwrap(), expected, "{part}");
        }
    }

    #[test]
    fn what_a_client_may_read_in_another_way_is_refused() {
        let longest = [&[0x82, 127][..], &(1_u64 << 63).to_be_bytes()].concat();
        for (bytes, why) in [
            (vec![0x81, 0x83, 1, 2, 3, 4, 5, 6, 7], "masked"),
            (frame(0xc1, b"deflated"), "an extension"),
            (frame(0xa1, b"a"), "an extension"),
            (frame(0x91, b"a"), "an extension"),
            (frame(0xc9, b""), "an extension"),
            (frame(0x80, b"of none"), "mixed"),
            ([frame(0x81, b"one"), frame(0x80, b"more")].concat(), "mixed"),
            ([frame(0x01, b"one"), frame(0x81, b"two")].concat(), "mixed"),
            ([frame(0x02, b"one"), frame(0x89, b""), frame(0x01, b"two")].concat(), "mixed"),
            (frame(0x09, b"half a ping"), "control"),
            (frame(0x89, &[0; 126]), "control"),
            (frame(0x83, b"a"), "unknown"),
            (frame(0x8b, b"a"), "unknown"),
            (longest, "longer"),
        ] {
            for part in [1, 3, 1000] {
                let Err(Unreadable(text)) = read(&bytes, part) else { panic!("{bytes:?}") };
                assert!(text.contains(why), "{text}: {why}");
            }
        }
    }
}
