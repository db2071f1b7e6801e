//! The codings of an answer's body, of its content (RFC 9110, section 8.4) and for its transfer (RFC 9112, section
//! 6.1), and what undoes them.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_ENCODING, TRANSFER_ENCODING},
};
use bytes::Bytes;

use super::decoder::{Corrupt, Decoder};

/// What is decoded at once, in bytes: a small answer that unpacks to a large one is not unpacked further
/// than it is taken.
const ROOM: usize = 32 * 1024;
/// Once for the content and once for its transfer; each time multiplies the work that a byte can make.
const MOST_CODINGS: usize = 2;
/// So many characters of an unknown coding's name are repeated.
const LONGEST_NAME: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The most that its decoder holds, in bytes: its window, which is what the coding itself or its decoder allows,
    /// and some more for tables and what is on its way.
    const fn memory(self) -> usize {
        const MIB: usize = 1024 * 1024;
        match self {
            Self::Gzip | Self::Deflate => MIB / 16,
            // A window of 16 MiB (RFC 7932, section 9.1).
            Self::Brotli => 18 * MIB,
            // A window of 8 MiB (RFC 9659).
            Self::Zstd => 9 * MIB,
        }
    }
}

/// The codings of an answer's body, in the order in which they were applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoding(Vec<Coding>);

/// A coding that cannot be undone, so nobody could look into the body; or there are more than two.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is encoded in a way that is not known: {0}")]
pub struct UnknownCoding(String);

impl Decoding {
    /// None: for a body that is not encoded, or that is not looked into.
    pub const NONE: Self = Self(Vec::new());

    /// What the headers of an answer say. Whatever was done for its transfer was done last.
    pub fn of(headers: &HeaderMap) -> Result<Self, UnknownCoding> {
        let mut codings = Vec::new();
        for name in names(headers, &CONTENT_ENCODING) {
            codings.extend(coding(name)?);
        }
        let mut transfer: Vec<_> = names(headers, &TRANSFER_ENCODING).collect();
        // That is undone when the body comes, if it is the very last. Anywhere else it is not known here, since the
        // framing would be left in the body.
        transfer.pop_if(|last| last.eq_ignore_ascii_case(b"chunked"));
        for name in transfer {
            codings.extend(coding(name)?);
        }
        if codings.len() > MOST_CODINGS {
            return Err(UnknownCoding("more than twice".into()));
        }
        Ok(Self(codings))
    }

    /// The most that the decoders hold, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.0.iter().map(|coding| coding.memory()).sum()
    }

    /// Whether there is nothing to decode. If there is, the caller gets what was decoded, and the answer no
    /// longer has the header `content-encoding`, nor any that is about the encoded bytes.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
    values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn coding(name: &[u8]) -> Result<Option<Coding>, UnknownCoding> {
    match name.to_ascii_lowercase().as_slice() {
        b"" | b"identity" => Ok(None),
        b"gzip" | b"x-gzip" => Ok(Some(Coding::Gzip)),
        b"deflate" => Ok(Some(Coding::Deflate)),
        b"br" => Ok(Some(Coding::Brotli)),
        b"zstd" => Ok(Some(Coding::Zstd)),
        other => {
            let printable =
                |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' };
            Err(UnknownCoding(other.iter().take(LONGEST_NAME).map(printable).collect()))
        }
    }
}

/// Decoders behind each other: what one makes, the next one takes.
pub(super) struct Pipeline {
    stages: Vec<Stage>,
    /// What came, if there is nothing to decode.
    input: Bytes,
    room: Box<[u8]>,
}

struct Stage {
    decoder: Decoder,
    input: Bytes,
    /// The room was filled: there may be more.
    was_filled: bool,
}

impl Pipeline {
    pub(super) fn new(decoding: &Decoding) -> std::io::Result<Self> {
        let stages =
            decoding.0.iter().rev().copied().map(Stage::new).collect::<Result<Vec<_>, _>>()?;
        let room = if stages.is_empty() { 0 } else { ROOM };
        Ok(Self { stages, input: Bytes::new(), room: vec![0; room].into() })
    }

    /// Gives it more, when it has nothing left.
    pub(super) fn push(&mut self, data: Bytes) {
        match self.stages.first_mut() {
            Some(stage) => stage.input = data,
            None => self.input = data,
        }
    }

    /// The next piece of what is decoded; `None` if it needs more.
    pub(super) fn pull(&mut self) -> Result<Option<Bytes>, Corrupt> {
        let piece = match self.stages.split_last_mut() {
            Some((last, before)) => last.pull(before, &mut self.room)?,
            None => Some(std::mem::take(&mut self.input)),
        };
        Ok(piece.filter(|piece| !piece.is_empty()))
    }

    /// Whether the body may end here.
    pub(super) fn may_end(&self) -> bool {
        let may_end = |stage: &Stage| stage.input.is_empty() && stage.decoder.may_end();
        self.input.is_empty() && self.stages.iter().all(may_end)
    }

    /// Whether the body may end here, and nothing more can be made of what was pushed.
    pub(super) fn is_done(&self) -> bool {
        self.may_end() && !self.stages.iter().any(|stage| stage.was_filled)
    }

    /// Whether it changes what it is given.
    pub(super) fn decodes(&self) -> bool {
        !self.stages.is_empty()
    }
}

impl Stage {
    fn new(coding: Coding) -> std::io::Result<Self> {
        let decoder = match coding {
            Coding::Gzip => Decoder::gzip(),
            Coding::Deflate => Decoder::deflate(),
            Coding::Brotli => Decoder::brotli(),
            Coding::Zstd => Decoder::zstd()?,
        };
        Ok(Self { decoder, input: Bytes::new(), was_filled: false })
    }

    /// The next piece that this stage makes, of what those before it make.
    fn pull(&mut self, before: &mut [Self], room: &mut [u8]) -> Result<Option<Bytes>, Corrupt> {
        loop {
            if self.input.is_empty() && !self.was_filled {
                let more = match before.split_last_mut() {
                    Some((last, before)) => last.pull(before, room)?,
                    None => None,
                };
                match more {
                    Some(more) => self.input = more,
                    None => return Ok(None),
                }
            }
            let made = self.decoder.decode(&mut self.input, room)?;
            self.was_filled = made == room.len();
            if made > 0 {
                return Ok(Some(Bytes::copy_from_slice(&room[..made])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Coding::*, *};

    fn of(content: &[&str]) -> Result<Decoding, UnknownCoding> {
        of_both(content, &[])
    }

    fn of_both(content: &[&str], transfer: &[&str]) -> Result<Decoding, UnknownCoding> {
        let mut headers = HeaderMap::new();
        for (name, values) in [(CONTENT_ENCODING, content), (TRANSFER_ENCODING, transfer)] {
            for value in values {
                headers.append(&name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
        }
        Decoding::of(&headers)
    }

    #[test]
    fn codings_are_known_in_any_case_and_in_lists_and_lines() {
        for (values, expected) in [
            (&[][..], &[][..]),
            (&["identity"], &[]),
            (&["gzip"], &[Gzip]),
            (&["X-GZip"], &[Gzip]),
            (&["deflate, br"], &[Deflate, Brotli]),
            (&["gzip ,, identity", "zstd"], &[Gzip, Zstd]),
        ] {
            assert_eq!(of(values).unwrap().0, expected, "{values:?}");
        }
    }

    #[test]
    fn codings_for_the_transfer_are_behind_those_of_the_content() {
        for (content, transfer, expected) in [
            (&[][..], &["chunked"][..], &[][..]),
            (&[], &["gzip, chunked"], &[Gzip]),
            (&[], &["gzip"], &[Gzip]),
            (&[], &["x-gzip", "Chunked"], &[Gzip]),
            (&["br"], &["gzip", "identity , CHUNKED"], &[Brotli, Gzip]),
            (&["zstd"], &["chunked"], &[Zstd]),
        ] {
            assert_eq!(of_both(content, transfer).unwrap().0, expected, "{content:?} {transfer:?}");
        }
        for transfer in [
            &["compress, chunked"][..],
            &["gzip;q=1, chunked"],
            // The chunks are in what was compressed, or nobody takes them out.
            &["chunked, gzip"],
            &["chunked, chunked"],
            &["chunked,"],
            &["chunked", ""],
            &["chunked", "identity"],
            &["gzip, br, zstd, chunked"],
        ] {
            of_both(&[], transfer).unwrap_err();
        }
        of_both(&["gzip, br"], &["gzip, chunked"]).unwrap_err();
    }

    #[test]
    fn what_cannot_be_looked_into_is_refused() {
        for values in [&["compress"][..], &["gzip, secret"], &["dcb"], &["br,br,br"], &["gzip;q=1"]]
        {
            of(values).unwrap_err();
        }
        assert_eq!(of(&["a b\u{e9}"]).unwrap_err().0, "a?b??");
    }
}
