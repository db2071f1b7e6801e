//! How long something that failed at a provider waits before it is tried again.

use std::time::Duration;

/// The first pause before a provider is asked again that does not say when; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(2);
/// The longest time that a provider can put it off.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How long to wait after so many failures before, up to `longest`; `chance` spreads those that failed
/// together over the second half. A provider that says when it wants to be asked again can put it off by an
/// hour.
pub(super) fn pause(
    failures: u32,
    longest: Duration,
    retry_after: Option<Duration>,
    chance: u32,
) -> Duration {
    let doubled = FIRST.saturating_mul(2_u32.saturating_pow(failures.min(16)));
    let longest = doubled.min(longest);
    let spread = longest / 2 + longest / 2 * (chance >> 16) / (1 << 16);
    spread.max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_mins(5);

    #[test]
    fn pauses_double_up_to_a_limit_and_are_spread_over_their_second_half() {
        let seconds = |failures, chance| pause(failures, LONGEST, None, chance).as_secs_f32();
        assert!((seconds(0, 0) - 1.0).abs() < 0.01 && (seconds(0, u32::MAX) - 2.0).abs() < 0.01);
        assert!((seconds(3, 0) - 8.0).abs() < 0.01 && (seconds(3, u32::MAX) - 16.0).abs() < 0.01);
        assert!((seconds(u32::MAX, u32::MAX) - 300.0).abs() < 0.1);
    }

    #[test]
    fn a_provider_can_put_it_off_for_an_hour_and_never_have_it_sooner() {
        let after = |seconds| pause(0, LONGEST, Some(Duration::from_secs(seconds)), 0).as_secs();
        assert_eq!(after(0), 1);
        assert_eq!(after(90), 90);
        assert_eq!(after(86_400), 3_600);
    }
}
