//! How much may pass, and for how long.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// What an answer's body may take. By default, anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// The most bytes, after they are decoded and before anything is replaced.
    pub largest: Option<u64>,
    /// The longest time in all, whoever takes it.
    pub longest: Option<Duration>,
    /// The longest time for which the upstream sends nothing although it is waited for.
    pub quiet: Option<Duration>,
}

/// Which cap ended a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cut {
    /// There was more than the largest size.
    #[error("the upstream's answer is larger than it may be")]
    TooLarge,
    /// It took longer than the longest time, in all or without anything coming.
    #[error("the upstream's answer takes longer than it may")]
    TooSlow,
}

/// What is left of the caps.
pub(super) struct Limits {
    left: Option<u64>,
    end: Option<Pin<Box<Sleep>>>,
    quiet: Option<Quiet>,
}

struct Quiet {
    longest: Duration,
    sleep: Pin<Box<Sleep>>,
    is_running: bool,
}

impl Limits {
    /// From now on.
    pub(super) fn new(caps: Caps) -> Self {
        let quiet = |longest| Quiet { longest, sleep: Box::pin(sleep(longest)), is_running: false };
        Self {
            left: caps.largest,
            end: caps.longest.map(|longest| Box::pin(sleep(longest))),
            quiet: caps.quiet.map(quiet),
        }
    }

    /// Whether so many bytes more may pass.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Cut> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes as u64).ok_or(Cut::TooLarge)?;
        }
        Ok(())
    }

    /// Whether there is time left. If so, the task is woken when there is not.
    pub(super) fn has_time(&mut self, cx: &mut Context<'_>) -> Result<(), Cut> {
        is_over(self.end.as_mut(), cx)
    }

    /// The same while nothing comes.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), Cut> {
        let Some(quiet) = &mut self.quiet else { return Ok(()) };
        if !quiet.is_running {
            quiet.sleep.as_mut().reset(Instant::now() + quiet.longest);
            quiet.is_running = true;
        }
        is_over(Some(&mut quiet.sleep), cx)
    }

    /// Something came.
    pub(super) fn came(&mut self) {
        if let Some(quiet) = &mut self.quiet {
            quiet.is_running = false;
        }
    }
}

fn is_over(sleep: Option<&mut Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Result<(), Cut> {
    match sleep.map(|sleep| sleep.as_mut().poll(cx)) {
        Some(Poll::Ready(())) => Err(Cut::TooSlow),
        _ => Ok(()),
    }
}
