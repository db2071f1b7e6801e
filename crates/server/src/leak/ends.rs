//! Bodies whose end is known before they are taken.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use keyfob_core::leak::REDACTED;

use super::{
    tests::{NO_CAPS, Told, encode, guard, needles, told},
    *,
};

#[tokio::test]
async fn a_body_of_known_end_is_complete_when_its_last_frame_was_taken_and_else_the_caller_is_gone()
{
    for (take, end) in [(true, End::Complete), (false, End::CallerGone)] {
        let told = Told::default();
        let tell = {
            let told = Arc::clone(&told);
            move |outcome| told.lock().unwrap().push(outcome)
        };
        let full = Full::new(Bytes::from("all."));
        let mut guarded =
            GuardedBody::new(full, &Decoding::NONE, needles(), NO_CAPS, tell).unwrap();
        assert!(!guarded.is_end_stream());
        if take {
            guarded.frame().await.unwrap().unwrap();
        }
        assert_eq!(guarded.is_end_stream(), take);
        drop(guarded);
        assert_eq!(super::tests::told(&told).end, end);
    }
}

#[tokio::test]
async fn a_body_of_known_end_is_one_frame_although_it_ends_like_a_credential_begins() {
    for codings in ["identity", "gzip", "deflate", "br", "zstd"] {
        for (sent, left) in [
            ("it ends like the beginning: ghp_", "it ends like the beginning: ghp_"),
            ("ghp_canaryTOKEN0123456789/abc+Zq", REDACTED),
            ("100%", "100%"),
        ] {
            let full = Full::new(Bytes::from(encode(codings, sent.as_bytes())));
            let (mut guarded, outcome) =
                guard(full.map_err(|never| match never {}), codings, NO_CAPS);
            let out = guarded.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(out, left, "{codings}");
            assert!(guarded.is_end_stream(), "{codings}: {sent}");
            assert!(guarded.frame().await.is_none());
            let bytes = left.len() as u64;
            let redacted = u64::from(left == REDACTED);
            assert_eq!(told(&outcome), Outcome { bytes, redacted, end: End::Complete });
        }
        // What is cut off has no end, known or not.
        if codings != "identity" {
            let whole = encode(codings, b"all of it. all of it.");
            let cut = Full::new(Bytes::copy_from_slice(&whole[..whole.len() - 1]));
            let (guarded, outcome) = guard(cut.map_err(|never| match never {}), codings, NO_CAPS);
            guarded.collect().await.unwrap_err();
            assert_eq!(told(&outcome).end, End::UpstreamFailed, "{codings}");
        }
    }
}
