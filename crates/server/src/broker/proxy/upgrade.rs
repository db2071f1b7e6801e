//! Connections that speak another protocol from now on: WebSocket (RFC 6455).
//!
//! What the server sends is looked at message by message. A message has its length in front, so nothing in it can
//! be replaced by something else: where a credential comes back, the connection ends before it.

use std::{io, sync::Arc, time::Duration};

use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use keyfob_core::leak::{Needles, Redactor};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{frames::Frames, send::Sending};

/// The longest that such a connection lasts: then its key is looked at anew.
const LONGEST: Duration = Duration::from_hours(1);
/// So much is read at once, in bytes.
const PART: usize = 16 * 1024;

/// How it ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the server sent the credential back: the connection was ended before it")]
    Leak,
    #[error("the server masked what it sent, so that it could not be looked at")]
    Masked,
    #[error("it was ended after an hour")]
    TooLong,
    #[error("{0}")]
    Lost(#[from] io::Error),
}

/// Carries what both sides send to the other one, until one of them ends it.
pub(super) fn tie(
    sending: Arc<Sending>,
    caller: OnUpgrade,
    server: OnUpgrade,
    needles: Arc<Needles>,
) {
    tokio::spawn(async move {
        let tied = async {
            let both = tokio::try_join!(caller, server).map_err(io::Error::other)?;
            carry(both, needles).await
        };
        let tied = tokio::time::timeout(LONGEST, tied).await.unwrap_or(Err(Ended::TooLong));
        match tied {
            Ok(()) => sending.ended("answered", "the connection ended"),
            Err(Ended::Leak) => sending.ended("redacted", &Ended::Leak.to_string()),
            Err(ended) => sending.ended("broke_off", &ended.to_string()),
        }
    });
}

async fn carry((caller, server): (Upgraded, Upgraded), needles: Arc<Needles>) -> Result<(), Ended> {
    let (mut caller_reads, mut caller_writes) = tokio::io::split(TokioIo::new(caller));
    let (mut server_reads, mut server_writes) = tokio::io::split(TokioIo::new(server));
    let up = async {
        tokio::io::copy(&mut caller_reads, &mut server_writes).await?;
        Ok::<_, Ended>(server_writes.shutdown().await?)
    };
    let down = async {
        guarded(&mut server_reads, &mut caller_writes, needles).await?;
        Ok(caller_writes.shutdown().await?)
    };
    // Who has nothing more to send may still be sent to.
    tokio::try_join!(up, down).map(|_| ())
}

/// Passes on what a server sends, up to where a credential begins.
async fn guarded(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    needles: Arc<Needles>,
) -> Result<(), Ended> {
    let (mut frames, mut redactor) = (Frames::default(), Redactor::new(Arc::clone(&needles)));
    let (mut part, mut clean) = (vec![0; PART], Vec::with_capacity(PART));
    loop {
        let read = from.read(&mut part).await?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &part[..read];
        while !rest.is_empty() {
            let (taken, ends) = frames.next(rest).map_err(|_| Ended::Masked)?;
            redactor.push(&rest[..taken], &mut clean);
            rest = &rest[taken..];
            if ends {
                redactor.finish(&mut clean);
            }
            if redactor.found() > 0 {
                return Err(Ended::Leak);
            }
            if ends {
                redactor = Redactor::new(Arc::clone(&needles));
            }
        }
        to.write_all(&clean).await?;
        to.flush().await?;
        clean.clear();
    }
}
