//! One content coding, undone piece by piece (RFC 9110, section 8.4.1; RFC 7932; RFC 8878 and RFC 9659).

use std::io;

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdState, Operation};

/// The largest window of zstd, as a power of two: RFC 9659 allows no larger one here.
const ZSTD_WINDOW: u32 = 23;
/// The window of deflate, as a power of two.
const DEFLATE_WINDOW: u8 = 15;
/// What the next member of gzip begins with.
const GZIP_MAGIC: u8 = 0x1f;

/// What is sent is not what its coding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's answer is compressed, and broken")]
pub(super) struct Corrupt;

/// A decoder that gives all that its input so far allows.
pub(super) struct Decoder {
    state: State,
    /// The compressed data has ended; what comes behind it is nothing of the answer.
    is_over: bool,
    /// Nothing has come yet: an answer may have no body, whatever its headers say.
    is_fresh: bool,
}

enum State {
    Gzip(Decompress),
    /// Deflate, by most in the wrapping of zlib, as it should be, and by some without. Its first two bytes
    /// tell; here is the first, if it was alone.
    Unwrapped(Option<u8>),
    Deflate(Decompress),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd(ZstdState<'static>),
}

impl Decoder {
    pub(super) fn gzip() -> Self {
        Self::new(State::Gzip(Decompress::new_gzip(DEFLATE_WINDOW)))
    }

    pub(super) fn deflate() -> Self {
        Self::new(State::Unwrapped(None))
    }

    pub(super) fn brotli() -> Self {
        let alloc = StandardAlloc::default;
        // Not the large windows, of up to 1 GiB, which are no part of RFC 7932.
        Self::new(State::Brotli(Box::new(BrotliState::new_strict(alloc(), alloc(), alloc()))))
    }

    pub(super) fn zstd() -> io::Result<Self> {
        let mut state = ZstdState::new()?;
        state.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
        Ok(Self::new(State::Zstd(state)))
    }

    fn new(state: State) -> Self {
        Self { state, is_over: false, is_fresh: true }
    }

    /// Takes some of the input, and fills some of the room: how much. Unless the room is filled, no more can
    /// be made of the input that was taken.
    pub(super) fn decode(&mut self, input: &mut Bytes, room: &mut [u8]) -> Result<usize, Corrupt> {
        self.is_fresh &= input.is_empty();
        if self.is_over && !self.begin_again(input) {
            input.clear();
            return Ok(0);
        }
        if let State::Unwrapped(first) = &mut self.state {
            let Some(state) = unwrap(first, input)? else { return Ok(0) };
            self.state = State::Deflate(state);
        }
        let (read, written, is_over) = self.state.step(input, room)?;
        if read == 0 && written == 0 && !input.is_empty() && !is_over {
            return Err(Corrupt);
        }
        input.advance(read);
        self.is_over = is_over;
        Ok(written)
    }

    /// Whether the answer may end here.
    pub(super) fn may_end(&self) -> bool {
        self.is_over || self.is_fresh
    }

    /// Gzip and zstd may go on with another member or frame.
    fn begin_again(&mut self, input: &Bytes) -> bool {
        match &mut self.state {
            State::Gzip(state) if input.first() == Some(&GZIP_MAGIC) => {
                *state = Decompress::new_gzip(DEFLATE_WINDOW);
                self.is_over = false;
                true
            }
            State::Zstd(_) => !input.is_empty(),
            _ => false,
        }
    }
}

impl State {
    /// How much of the input was taken and how much of the room filled, and whether the data has ended.
    fn step(&mut self, input: &[u8], room: &mut [u8]) -> Result<(usize, usize, bool), Corrupt> {
        match self {
            Self::Gzip(state) | Self::Deflate(state) => inflate(state, input, room),
            Self::Unwrapped(_) => Ok((0, 0, false)),
            Self::Brotli(state) => {
                let (mut read, mut written) = (0, 0);
                let (mut unread, mut free) = (input.len(), room.len());
                let result = BrotliDecompressStream(
                    &mut unread,
                    &mut read,
                    input,
                    &mut free,
                    &mut written,
                    room,
                    &mut 0,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(Corrupt),
                    result => Ok((read, written, matches!(result, BrotliResult::ResultSuccess))),
                }
            }
            Self::Zstd(state) => {
                let status = state.run_on_buffers(input, room).map_err(|_| Corrupt)?;
                Ok((status.bytes_read, status.bytes_written, status.remaining == 0))
            }
        }
    }
}

fn inflate(
    state: &mut Decompress,
    input: &[u8],
    room: &mut [u8],
) -> Result<(usize, usize, bool), Corrupt> {
    let (read, written) = (state.total_in(), state.total_out());
    let status = state.decompress(input, room, FlushDecompress::None).map_err(|_| Corrupt)?;
    let since = |now: u64, then: u64| usize::try_from(now - then).map_err(|_| Corrupt);
    let (read, written) = (since(state.total_in(), read)?, since(state.total_out(), written)?);
    Ok((read, written, status == Status::StreamEnd))
}

/// The state for what begins like this, once two bytes are there; `first` keeps the one before.
fn unwrap(first: &mut Option<u8>, input: &mut Bytes) -> Result<Option<Decompress>, Corrupt> {
    let (one, two) = match (*first, &input[..]) {
        (_, []) => return Ok(None),
        (None, [one]) => {
            *first = Some(*one);
            input.advance(1);
            return Ok(None);
        }
        (Some(one), &[two, ..]) | (None, &[one, two, ..]) => (one, two),
    };
    // RFC 1950, section 2.2.
    let is_zlib = one & 15 == 8 && one >> 4 <= 7 && u16::from_be_bytes([one, two]) % 31 == 0;
    let mut state = Decompress::new(is_zlib);
    if let Some(one) = first {
        // One byte is too little for anything to come of it.
        inflate(&mut state, &[*one], &mut [0])?;
    }
    Ok(Some(state))
}
