//! Bodies as upstreams send them: in every coding, in pieces of every size, too large, too slow, cut off.

use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};
use bytes::Bytes;
use data_encoding::{BASE64, HEXUPPER};
use flate2::{
    Compress, Compression, FlushCompress,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use futures_util::stream::{self, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Frame};
use keyfob_core::leak::{Needles, REDACTED};
use tokio::sync::mpsc;

use super::*;

const TOKEN: &str = "ghp_canaryTOKEN0123456789/abc+Zq";
pub(super) const NO_CAPS: Caps = Caps { largest: None, longest: None, quiet: None };

pub(super) type Told = Arc<Mutex<Vec<Outcome>>>;
type Sent = Result<Frame<Bytes>, std::io::Error>;

pub(super) fn needles() -> Arc<Needles> {
    Arc::new(Needles::new([&TOKEN.into()]))
}

fn decoding(codings: &'static str) -> Decoding {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(codings));
    Decoding::of(&headers).unwrap()
}

pub(super) fn guard<B>(body: B, codings: &'static str, caps: Caps) -> (GuardedBody<B>, Told)
where
    B: Body<Data = Bytes, Error = std::io::Error> + Unpin,
{
    let told = Told::default();
    let tell = {
        let told = Arc::clone(&told);
        move |outcome| told.lock().unwrap().push(outcome)
    };
    let body = GuardedBody::new(body, &decoding(codings), needles(), caps, tell).unwrap();
    (body, told)
}

fn body(frames: Vec<Sent>) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
    StreamBody::new(stream::iter(frames))
}

fn in_pieces(data: &[u8], len: usize) -> Vec<Sent> {
    data.chunks(len).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect()
}

pub(super) fn told(told: &Told) -> Outcome {
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1, "it is told once");
    told[0]
}

/// Something that compresses as it is written to.
pub(super) fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" | "x-gzip" => gzip(data),
        "deflate" => {
            let mut encoder = ZlibEncoder::new(vec![], Compression::default());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut encoder = brotli::CompressorWriter::new(vec![], 4096, 4, 20);
            encoder.write_all(data).unwrap();
            encoder.into_inner()
        }
        "zstd" => zstd::encode_all(data, 3).unwrap(),
        _ => data.to_vec(),
    }
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn unwrapped(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(vec![], Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A document that shows the credential in many ways, and what is left of it.
fn document() -> (String, String) {
    let lines = BASE64.encode(format!("{}{TOKEN}???", "x".repeat(36)).as_bytes());
    let forms = [
        TOKEN.to_owned(),
        TOKEN.replace('/', "%2F"),
        TOKEN.replace('/', "\\/"),
        TOKEN.replace('_', "\\u005f"),
        HEXUPPER.encode(TOKEN.as_bytes()),
    ];
    let filler =
        "{\"name\": \"Zo\\u00eb\", \"url\": \"https:\\/\\/example.com\\/%20\"},\n".repeat(40);
    let document = |form: &dyn Fn(&str) -> String, lines: String| {
        let forms: Vec<_> =
            forms.iter().map(|text| format!("{filler}\"{}\"", form(text))).collect();
        format!("[{}]({lines})", forms.concat())
    };
    let (first, second) = lines.split_at(64);
    let shown = document(&str::to_owned, format!("{first}\r\n{second}"));
    // 36 bytes before it are 48 characters, and the 32 of it and what they touch are 43.
    let left =
        document(&|_| REDACTED.to_owned(), format!("{}{REDACTED}{}", &lines[..48], &lines[91..]));
    (shown, left)
}

#[tokio::test]
async fn a_credential_is_taken_out_in_every_coding_however_it_comes() {
    let (shown, left) = document();
    for codings in
        ["identity", "gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br", "zstd, deflate"]
    {
        let encoded = codings
            .split(", ")
            .fold(shown.clone().into_bytes(), |data, coding| encode(coding, &data));
        for len in [1, 7, usize::MAX] {
            let frames = in_pieces(&encoded, len.min(encoded.len()));
            let (guarded, outcome) = guard(body(frames), codings, NO_CAPS);
            let out = guarded.collect().await.unwrap().to_bytes();
            assert_eq!(std::str::from_utf8(&out).unwrap(), left, "{codings} in pieces of {len}");
            let bytes = left.len() as u64;
            assert_eq!(told(&outcome), Outcome { bytes, redacted: 6, end: End::Complete });
        }
    }
}

#[tokio::test]
async fn deflate_is_decoded_without_its_wrapping_too_and_gzip_goes_on() {
    let (shown, left) = document();
    let (one, other) = shown.as_bytes().split_at(1000);
    let raw = unwrapped(shown.as_bytes());
    let members = [gzip(one), gzip(b""), gzip(other)].concat();
    let frames = [zstd::encode_all(one, 1).unwrap(), zstd::encode_all(other, 1).unwrap()].concat();
    let ended = [gzip(shown.as_bytes()), b"\0\0 what nobody decodes".to_vec()].concat();
    for (codings, data) in [("deflate", raw), ("gzip", members), ("zstd", frames), ("gzip", ended)]
    {
        for len in [1, 7, data.len()] {
            let (guarded, outcome) = guard(body(in_pieces(&data, len)), codings, NO_CAPS);
            let out = guarded.collect().await.unwrap().to_bytes();
            assert_eq!(std::str::from_utf8(&out).unwrap(), left, "{codings} in pieces of {len}");
            assert_eq!(told(&outcome).end, End::Complete);
        }
    }
}

#[tokio::test]
async fn what_is_cut_off_or_broken_ends_in_an_error() {
    let (shown, _) = document();
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let whole = encode(coding, shown.as_bytes());
        let mut broken = whole.clone();
        broken[whole.len() / 2..].fill(0x55);
        for data in [&whole[..whole.len() - 1], &whole[..1], &broken] {
            let (guarded, outcome) = guard(body(in_pieces(data, 100)), coding, NO_CAPS);
            guarded.collect().await.unwrap_err();
            assert_eq!(told(&outcome).end, End::UpstreamFailed, "{coding}");
        }
        // An answer without a body has none, whatever its headers say.
        let (guarded, outcome) = guard(body(vec![]), coding, NO_CAPS);
        assert_eq!(guarded.collect().await.unwrap().to_bytes(), "");
        assert_eq!(told(&outcome).end, End::Complete);
    }
    let failing = vec![Ok(Frame::data("a,".into())), Err(std::io::Error::other("gone"))];
    let (guarded, outcome) = guard(body(failing), "identity", NO_CAPS);
    assert_eq!(guarded.collect().await.unwrap_err().to_string(), "gone");
    assert_eq!(told(&outcome), Outcome { bytes: 2, redacted: 0, end: End::UpstreamFailed });
}

/// 16 MiB of zeros as a part of deflate that can be repeated.
fn zeros() -> Bytes {
    let zeros = vec![0; 16 << 20];
    let mut compress = Compress::new(Compression::default(), false);
    let mut packed = vec![0; 1 << 20];
    compress.compress(&zeros, &mut packed, FlushCompress::Full).unwrap();
    assert_eq!(compress.total_in(), 16 << 20);
    packed.truncate(usize::try_from(compress.total_out()).unwrap());
    packed.into()
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_ten_gibibytes_is_cut_and_never_unpacked_further_than_it_is_taken()
 {
    let part = zeros();
    assert!(part.len() < 20_000);
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    let parts = stream::iter(0..640).map(move |_| {
        count.fetch_add(1, Relaxed);
        Ok(Frame::data(part.clone()))
    });
    let header = Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0\0\xff");
    let all = stream::iter([Ok(Frame::data(header))]).chain(parts);
    let caps = Caps { largest: Some(40 << 20), ..NO_CAPS };
    let (mut guarded, outcome) = guard(StreamBody::new(all), "gzip", caps);
    let (mut bytes, mut error) = (0, None);
    while let Some(frame) = guarded.frame().await {
        match frame {
            Ok(frame) => {
                let len = frame.into_data().unwrap().len();
                assert!(len <= 64 * 1024, "{len} bytes at once");
                bytes += len;
                assert!(taken.load(Relaxed) <= bytes / (16 << 20) + 1);
            }
            Err(cut) => error = Some(cut),
        }
    }
    assert_eq!(error.unwrap().downcast_ref(), Some(&Cut::TooLarge));
    assert!(bytes <= 40 << 20 && bytes > 39 << 20, "{bytes}");
    assert_eq!(told(&outcome), Outcome { bytes: bytes as u64, redacted: 0, end: End::TooLarge });
}

/// Compresses events one by one, each so that it can be read when it comes.
fn events(coding: &'static str) -> Box<dyn FnMut(&str) -> Bytes> {
    fn taken<W: Write>(
        writer: &mut W,
        event: &str,
        take: impl FnOnce(&mut W) -> &mut Vec<u8>,
    ) -> Bytes {
        writer.write_all(event.as_bytes()).unwrap();
        writer.flush().unwrap();
        std::mem::take(take(writer)).into()
    }
    match coding {
        "gzip" => {
            let mut writer = GzEncoder::new(vec![], Compression::default());
            Box::new(move |event| taken(&mut writer, event, GzEncoder::get_mut))
        }
        "deflate" => {
            let mut writer = ZlibEncoder::new(vec![], Compression::default());
            Box::new(move |event| taken(&mut writer, event, ZlibEncoder::get_mut))
        }
        "br" => {
            let mut writer = brotli::CompressorWriter::new(vec![], 4096, 4, 20);
            Box::new(move |event| taken(&mut writer, event, brotli::CompressorWriter::get_mut))
        }
        "zstd" => {
            let mut writer = zstd::Encoder::new(vec![], 3).unwrap();
            Box::new(move |event| taken(&mut writer, event, zstd::Encoder::get_mut))
        }
        _ => Box::new(|event| event.to_owned().into()),
    }
}

/// A body whose frames are sent one by one.
fn sent() -> (mpsc::Sender<Sent>, impl Body<Data = Bytes, Error = std::io::Error> + Unpin) {
    let (sender, receiver) = mpsc::channel(1);
    let receive = |mut receiver: mpsc::Receiver<Sent>| async move {
        receiver.recv().await.map(|frame| (frame, receiver))
    };
    (sender, StreamBody::new(Box::pin(stream::unfold(receiver, receive))))
}

#[tokio::test]
async fn an_event_is_there_before_the_next_one_is_sent() {
    for coding in ["identity", "gzip", "deflate", "br", "zstd"] {
        let mut encode = events(coding);
        let (sender, upstream) = sent();
        let (mut guarded, outcome) = guard(upstream, coding, NO_CAPS);
        for number in 0..20 {
            let event = format!("data: {{\"number\": {number}, \"token\": \"{TOKEN}\"}}\n\n");
            sender.send(Ok(Frame::data(encode(&event)))).await.unwrap();
            let expected = event.replace(TOKEN, REDACTED);
            let mut seen = String::new();
            while seen.len() < expected.len() {
                let data = guarded.frame().await.unwrap().unwrap().into_data().unwrap();
                seen.push_str(std::str::from_utf8(&data).unwrap());
            }
            assert_eq!(seen, expected, "{coding}");
        }
        drop(guarded);
        let outcome = told(&outcome);
        assert_eq!((outcome.redacted, outcome.end), (20, End::CallerGone));
    }
}

#[tokio::test]
async fn trailers_come_behind_what_was_kept_back_and_without_the_credential() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-echo", HeaderValue::from_static("<ghp_canaryTOKEN0123456789/abc+Zq>"));
    let frames = vec![
        Ok(Frame::data("it ends like the beginning: ghp_".into())),
        Ok(Frame::trailers(trailers)),
    ];
    let (guarded, outcome) = guard(body(frames), "identity", NO_CAPS);
    let collected = guarded.collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-echo"], format!("<{REDACTED}>"));
    assert_eq!(collected.to_bytes(), "it ends like the beginning: ghp_");
    assert_eq!(told(&outcome), Outcome { bytes: 32, redacted: 1, end: End::Complete });
}

#[tokio::test]
async fn what_holds_no_credential_passes_without_a_copy() {
    let data = Bytes::from("nothing of it. ".repeat(1000));
    let (mut guarded, _) = guard(body(vec![Ok(Frame::data(data.clone()))]), "identity", NO_CAPS);
    let out = guarded.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((out.as_ptr(), out.len()), (data.as_ptr(), data.len()));

    let sent = Full::new(data.clone());
    let none = Arc::new(Needles::new([]));
    let mut free = GuardedBody::new(sent, &Decoding::NONE, none, NO_CAPS, |_| ()).unwrap();
    assert_eq!(free.size_hint().exact(), Some(data.len() as u64));
    let out = free.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!((out.as_ptr(), out.len()), (data.as_ptr(), data.len()));
    assert!(free.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_sends_nothing_for_too_long_is_given_up_and_one_that_goes_on_is_not() {
    let quiet = Duration::from_secs(10);
    let (sender, upstream) = sent();
    let (mut guarded, outcome) =
        guard(upstream, "identity", Caps { quiet: Some(quiet), ..NO_CAPS });
    let sending = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            sender.send(Ok(Frame::data("on. ".into()))).await.unwrap();
        }
        sender
    });
    for _ in 0..5 {
        guarded.frame().await.unwrap().unwrap();
        // Time that the caller takes is not the upstream's.
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let error = guarded.frame().await.unwrap().unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Cut::TooSlow));
    assert!(guarded.frame().await.is_none());
    assert_eq!(told(&outcome), Outcome { bytes: 20, redacted: 0, end: End::TooSlow });
    drop(sending);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_in_all_is_cut_although_it_goes_on() {
    let endless = stream::repeat(()).then(|()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Frame::data(Bytes::from("on. ")))
    });
    let caps = Caps { longest: Some(Duration::from_millis(30_500)), ..NO_CAPS };
    let (guarded, outcome) = guard(StreamBody::new(Box::pin(endless)), "identity", caps);
    let error = guarded.collect().await.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Cut::TooSlow));
    assert_eq!(told(&outcome), Outcome { bytes: 120, redacted: 0, end: End::TooSlow });
}

/// The sizes of the pieces in which a body passes on.
async fn sizes(sent: Vec<Sent>, codings: &'static str) -> Vec<usize> {
    let (mut guarded, _) = guard(body(sent), codings, NO_CAPS);
    let mut sizes = vec![];
    while let Some(frame) = guarded.frame().await {
        sizes.push(frame.unwrap().into_data().unwrap().len());
    }
    sizes
}

#[tokio::test]
async fn how_an_answer_is_cut_does_not_tell_how_much_of_a_guess_is_right() {
    // Just as much as is unpacked at once.
    let guessed = |guess: &str| {
        let before = "\n".repeat(32 * 1024 - guess.len());
        format!("{before}{guess}{}", "\n".repeat(32 * 1024))
    };
    let encoded = BASE64.encode(TOKEN.as_bytes());
    for codings in ["identity", "gzip"] {
        for right in [TOKEN, &encoded, &HEXUPPER.encode(TOKEN.as_bytes())] {
            for length in 1..right.len() - 4 {
                let wrong = format!("{}~", &right[..length - 1]);
                let [right, wrong] = [&right[..length], &wrong].map(|guess| async {
                    let answer = encode(codings, guessed(guess).as_bytes());
                    sizes(in_pieces(&answer, 32 * 1024), codings).await
                });
                assert_eq!(right.await, wrong.await, "{codings}: {length}");
            }
        }
    }
}
