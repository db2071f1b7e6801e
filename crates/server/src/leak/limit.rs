//! How much may pass, and for how long.

use std::{pin::Pin, task::Context, time::Duration};

use tokio::time::{Instant, Sleep, sleep, sleep_until};

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
    end: Option<Instant>,
    /// Made when nothing is there for the first time: most answers are short.
    alarm: Option<Pin<Box<Sleep>>>,
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
            end: caps.longest.map(|longest| Instant::now() + longest),
            alarm: None,
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

    /// Whether there is time left.
    pub(super) fn has_time(&self) -> Result<(), Cut> {
        if self.end.is_some_and(|end| Instant::now() >= end) { Err(Cut::TooSlow) } else { Ok(()) }
    }

    /// The same while nothing comes. If there is, the task is woken when there is not.
    pub(super) fn wait(&mut self, cx: &mut Context<'_>) -> Result<(), Cut> {
        if let Some(end) = self.end {
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
            is_over(alarm, cx)?;
        }
        let Some(quiet) = &mut self.quiet else { return Ok(()) };
        if !quiet.is_running {
            quiet.sleep.as_mut().reset(Instant::now() + quiet.longest);
            quiet.is_running = true;
        }
        is_over(&mut quiet.sleep, cx)
    }

    /// Something came.
    pub(super) fn came(&mut self) {
        if let Some(quiet) = &mut self.quiet {
            quiet.is_running = false;
        }
    }
}

fn is_over(sleep: &mut Pin<Box<Sleep>>, cx: &mut Context<'_>) -> Result<(), Cut> {
    if sleep.as_mut().poll(cx).is_ready() { Err(Cut::TooSlow) } else { Ok(()) }
}
