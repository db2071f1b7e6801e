//! How often a key may be used: so many times in any minute, and on a day of UTC.
//!
//! A minute is not one of the clock's, of which two next to each other could see twice the rate within a second:
//! it is the sixty seconds before each use. Uses are remembered by the second, each second as if all its uses
//! had been at its last one; so no minute ever sees more than the rate, and a place becomes free at most a second
//! late. A use that is refused counts for nothing: whoever keeps asking does not make himself wait longer.
//!
//! Nodes count in the time of the one whose clock is furthest ahead: a use never counts as earlier than the newest
//! one. Otherwise each of two clocks that are minutes apart would have a rate of its own.

use super::Limits;
use crate::time::Timestamp;

/// So long a use counts for the rate, in milliseconds.
const MINUTE: i64 = 60_000;
/// So long a use counts for the quota, from the beginning of a day of UTC.
const DAY: i64 = 86_400_000;
/// So far the clocks of nodes may differ. What is further ahead comes from a clock that was wrong, which must not
/// lock a key until that time has come.
const SKEW: i64 = 3_600_000;
/// The bytes of one second's uses as they are stored.
const SECOND: usize = 12;

/// How often a key was used lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The uses of the last minute.
    seconds: Vec<Second>,
    /// Which day the uses of `today` were on, in days since 1970-01-01.
    pub day: i64,
    /// Uses on that day.
    pub today: u32,
    /// When it was last told that there were too many in a minute, in unix milliseconds.
    pub rate_told_at: Option<i64>,
    /// The day of which it was told that there were too many on it.
    pub quota_told_on: Option<i64>,
}

/// The uses of one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second {
    /// When the last of them was, in unix milliseconds.
    last: i64,
    uses: u32,
}

/// Which limit a use would exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// The uses of a minute.
    Rate,
    /// The uses of a day.
    Quota,
}

/// A use that is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Of what.
    pub exceeded: Exceeded,
    /// From when on there is room for another one.
    pub until: Timestamp,
    /// Whether it is the first of its minute or day, which is the one to tell of.
    pub is_first: bool,
}

impl Usage {
    /// Counts one use at `now`, unless the limits do not allow it. Also what was refused may change something: that
    /// it was told of.
    pub fn count(&mut self, limits: &Limits, now: Timestamp) -> Result<(), Refusal> {
        let (now, latest) = (now.as_millis(), now.as_millis() + SKEW);
        self.seconds.retain(|it| it.last <= latest);
        let now = self.seconds.iter().map(|it| it.last).fold(now, i64::max);
        self.seconds.retain(|it| it.last > now - MINUTE);
        let (today, last_day) = (now.div_euclid(DAY), latest.div_euclid(DAY));
        // Around midnight another node may be a day ahead.
        if !(today..=last_day).contains(&self.day) {
            (self.day, self.today) = (today, 0);
        }
        if limits.quota.is_some_and(|quota| self.today >= quota) {
            return Err(self.refuse_day());
        }
        if let Some(until) = limits.rate.and_then(|rate| self.full_until(rate)) {
            return Err(self.refuse_minute(until, now));
        }
        self.today = self.today.saturating_add(1);
        let second = |at: i64| at.div_euclid(1_000);
        match self.seconds.iter_mut().find(|it| second(it.last) == second(now)) {
            Some(it) => {
                it.last = it.last.max(now);
                it.uses = it.uses.saturating_add(1);
            }
            None => self.seconds.push(Second { last: now, uses: 1 }),
        }
        Ok(())
    }

    /// When the last minute, which is all that is kept, has room again for `rate` uses; `None` if it has.
    fn full_until(&mut self, rate: u32) -> Option<i64> {
        self.seconds.sort_unstable_by_key(|it| it.last);
        let mut left: u64 = self.seconds.iter().map(|it| u64::from(it.uses)).sum();
        let mut until = None;
        for second in &self.seconds {
            if left < u64::from(rate) {
                break;
            }
            left -= u64::from(second.uses);
            until = Some(second.last + MINUTE);
        }
        until
    }

    fn refuse_minute(&mut self, until: i64, now: i64) -> Refusal {
        let told = self.rate_told_at.filter(|at| (now - MINUTE + 1..=now + MINUTE).contains(at));
        self.rate_told_at = told.or(Some(now));
        let (exceeded, until) = (Exceeded::Rate, Timestamp::from_millis(until));
        Refusal { exceeded, until, is_first: told.is_none() }
    }

    fn refuse_day(&mut self) -> Refusal {
        let is_first = self.quota_told_on != Some(self.day);
        self.quota_told_on = Some(self.day);
        let until = Timestamp::from_millis((self.day + 1).saturating_mul(DAY));
        Refusal { exceeded: Exceeded::Quota, until, is_first }
    }

    /// The uses of the last minute as they are stored.
    #[must_use]
    pub fn minute_to_stored(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.seconds.len() * SECOND);
        for Second { last, uses } in &self.seconds {
            bytes.extend(last.to_be_bytes());
            bytes.extend(uses.to_be_bytes());
        }
        bytes
    }

    /// The same with the uses of the last minute as they were stored; `None` if those are none.
    #[must_use]
    pub fn with_stored_minute(self, bytes: &[u8]) -> Option<Self> {
        let (seconds, rest) = bytes.as_chunks::<SECOND>();
        let read = |bytes: &[u8; SECOND]| {
            let (last, uses) = bytes.split_at(8);
            let last = i64::from_be_bytes(last.try_into().ok()?);
            Some(Second { last, uses: u32::from_be_bytes(uses.try_into().ok()?) })
        };
        let seconds = seconds.iter().map(read).collect::<Option<_>>()?;
        rest.is_empty().then_some(Self { seconds, ..self })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-01-02T00:00:00Z
    const START: i64 = 1_767_312_000_000;

    fn limits(rate: Option<u32>, quota: Option<u32>) -> Limits {
        Limits { rate, quota, ..Limits::NONE }
    }

    fn use_at(usage: &mut Usage, limits: &Limits, after: i64) -> Result<(), Refusal> {
        usage.count(limits, Timestamp::from_millis(START + after))
    }

    #[test]
    fn a_minute_has_its_rate_and_then_room_as_uses_become_a_minute_old() {
        let (mut usage, limits) = (Usage::default(), limits(Some(2), None));
        use_at(&mut usage, &limits, 0).unwrap();
        use_at(&mut usage, &limits, 30_000).unwrap();
        let refused = use_at(&mut usage, &limits, 59_999).unwrap_err();
        assert_eq!(refused.until.as_millis(), START + 60_000);
        assert_eq!((refused.exceeded, refused.is_first), (Exceeded::Rate, true));
        use_at(&mut usage, &limits, 60_000).unwrap();
        assert!(use_at(&mut usage, &limits, 89_999).is_err());
        use_at(&mut usage, &limits, 90_000).unwrap();
    }

    #[test]
    fn a_minute_of_the_clock_that_ends_gives_nothing_back() {
        let (mut usage, limits) = (Usage::default(), limits(Some(3), None));
        for _ in 0..3 {
            use_at(&mut usage, &limits, 59_000).unwrap();
        }
        assert!(use_at(&mut usage, &limits, 61_000).is_err());
    }

    #[test]
    fn a_day_has_its_quota_until_midnight_utc() {
        let (mut usage, limits) = (Usage::default(), limits(None, Some(2)));
        use_at(&mut usage, &limits, DAY - 2).unwrap();
        use_at(&mut usage, &limits, DAY - 1).unwrap();
        let refused = use_at(&mut usage, &limits, DAY - 1).unwrap_err();
        assert_eq!(refused.until.as_millis(), START + DAY);
        assert_eq!((refused.exceeded, refused.is_first), (Exceeded::Quota, true));
        use_at(&mut usage, &limits, DAY).unwrap();
    }

    #[test]
    fn a_refused_use_counts_for_nothing_and_is_told_of_once() {
        let (mut usage, limits) = (Usage::default(), limits(Some(1), Some(2)));
        use_at(&mut usage, &limits, 0).unwrap();
        for after in 1..1_000 {
            let refused = use_at(&mut usage, &limits, after).unwrap_err();
            assert_eq!(refused.is_first, after == 1);
        }
        use_at(&mut usage, &limits, 60_000).unwrap();
        for after in 60_001..60_100 {
            let refused = use_at(&mut usage, &limits, after).unwrap_err();
            assert_eq!((refused.exceeded, refused.is_first), (Exceeded::Quota, after == 60_001));
        }
        let next = DAY + 60_000;
        use_at(&mut usage, &limits, next).unwrap();
        assert!(use_at(&mut usage, &limits, next + 1).unwrap_err().is_first, "a minute later");
    }

    #[test]
    fn a_lowered_rate_holds_at_once() {
        let mut usage = Usage::default();
        for after in 0..10 {
            use_at(&mut usage, &limits(Some(10), None), after * 1_000).unwrap();
        }
        let refused = use_at(&mut usage, &limits(Some(3), None), 10_000).unwrap_err();
        assert_eq!(refused.until.as_millis(), START + 67_000);
    }

    #[test]
    fn a_clock_that_was_ahead_locks_nobody_out() {
        let (mut usage, limits) = (Usage::default(), limits(Some(1), Some(1)));
        use_at(&mut usage, &limits, 10 * DAY).unwrap();
        use_at(&mut usage, &limits, 0).unwrap();
        // Nodes may differ a little, also at midnight.
        let mut usage = Usage::default();
        use_at(&mut usage, &limits, DAY).unwrap();
        assert!(use_at(&mut usage, &limits, DAY - 3_000).is_err());
    }

    #[test]
    fn it_reads_back_as_it_was_stored() {
        let mut usage = Usage::default();
        for after in 0..100 {
            use_at(&mut usage, &limits(Some(1_000), None), after * 700).unwrap();
        }
        let stored = usage.minute_to_stored();
        assert!(stored.len() <= 67 * SECOND, "{}", stored.len());
        let blank = Usage { seconds: Vec::new(), ..usage.clone() };
        assert_eq!(blank.clone().with_stored_minute(&stored), Some(usage));
        assert_eq!(blank.with_stored_minute(&stored[1..]), None);
    }

    #[test]
    fn a_use_of_a_node_that_is_behind_counts_with_those_of_the_one_ahead() {
        for behind in [70_000, 10 * MINUTE, SKEW] {
            let (mut usage, limits) = (Usage::default(), limits(Some(5), Some(100)));
            for _ in 0..3 {
                use_at(&mut usage, &limits, behind).unwrap();
            }
            for _ in 0..2 {
                use_at(&mut usage, &limits, 0).unwrap();
            }
            assert!(use_at(&mut usage, &limits, 0).is_err());
            assert!(use_at(&mut usage, &limits, behind + 100).is_err());
            // As time goes on, there is room again on either.
            use_at(&mut usage, &limits, behind + MINUTE).unwrap();
            use_at(&mut usage, &limits, MINUTE).unwrap();
        }
        // Across midnight, too.
        let (mut usage, limits) = (Usage::default(), limits(None, Some(2)));
        use_at(&mut usage, &limits, DAY + 60 * 1_000).unwrap();
        use_at(&mut usage, &limits, DAY - 9 * MINUTE).unwrap();
        assert!(use_at(&mut usage, &limits, DAY - 8 * MINUTE).is_err());
        assert!(use_at(&mut usage, &limits, DAY + 2 * MINUTE).is_err());
    }

    /// Uses at a time that goes on, by nodes whose clocks are so far apart; when, by that time and by the clock
    /// that is furthest ahead, each was counted.
    fn taken(limits: &Limits, nodes: &[i64], steps: &[(i64, usize)]) -> Vec<[i64; 2]> {
        let (mut usage, mut now, mut ahead, mut taken) = (Usage::default(), 0, 0, Vec::new());
        for (pause, node) in steps {
            now += pause;
            let at = now + nodes[node % nodes.len()];
            if use_at(&mut usage, limits, at).is_ok() {
                ahead = at.max(ahead);
                taken.push([now, ahead]);
            }
        }
        taken
    }

    fn most_in(span: i64, times: &[i64]) -> usize {
        let within = |end: i64| times.iter().filter(move |at| (end - span + 1..=end).contains(*at));
        times.iter().map(|end| within(*end).count()).max().unwrap_or_default()
    }

    proptest! {
        /// However uses come, on nodes whose clocks are up to an hour apart.
        #[test]
        fn no_minute_sees_more_than_the_rate_by_the_clock_that_is_furthest_ahead(
            rate in 1_u32..20,
            nodes in prop::collection::vec(0_i64..SKEW, 1..4),
            steps in prop::collection::vec((0_i64..4_000, 0_usize..4), 1..400),
        ) {
            let taken = taken(&limits(Some(rate), None), &nodes, &steps);
            let (rate, first) = (rate as usize, taken[0][0]);
            let [by_now, by_ahead] = [0, 1].map(|of| taken.iter().map(|it| it[of]).collect::<Vec<_>>());
            prop_assert!(most_in(MINUTE, &by_ahead) <= rate);
            // By a clock that is right the time that they are apart comes on top, once, and no more on average.
            let minutes = (by_now[by_now.len() - 1] - first) / MINUTE + 1;
            prop_assert!(taken.len() <= rate * (usize::try_from(minutes).unwrap() + nodes.len() + 1));
        }

        #[test]
        fn no_day_sees_more_than_the_quota_on_clocks_that_are_minutes_apart(
            quota in 1_u32..20,
            nodes in prop::collection::vec(0_i64..SKEW, 1..4),
            steps in prop::collection::vec((0_i64..60_000, 0_usize..4), 1..400),
        ) {
            // The longest of these take less than seven hours, so that midnight comes once.
            let before = DAY - 3 * SKEW;
            let nodes: Vec<_> = nodes.into_iter().map(|it| it + before).collect();
            let taken = taken(&limits(None, Some(quota)), &nodes, &steps);
            prop_assert!(taken.len() <= 2 * quota as usize);
            let day = |[_, ahead]: &[i64; 2]| ahead.div_euclid(DAY);
            prop_assert!(taken.iter().filter(|it| day(it) == 0).count() <= quota as usize);
        }

        #[test]
        fn no_place_is_lost_on_one_clock(
            rate in 1_u32..20,
            pauses in prop::collection::vec(0_i64..4_000, 1..400),
        ) {
            let (mut usage, limits) = (Usage::default(), limits(Some(rate), None));
            let (mut now, mut taken) = (0, Vec::<i64>::new());
            for pause in pauses {
                now += pause;
                let within = |span: i64| taken.iter().filter(|it| **it > now - span).count();
                match use_at(&mut usage, &limits, now) {
                    Ok(()) => {
                        prop_assert!(within(MINUTE) < rate as usize);
                        taken.push(now);
                    }
                    Err(refusal) => {
                        prop_assert!(within(MINUTE + 1_000) >= rate as usize);
                        prop_assert!(refusal.until.as_millis() > START + now);
                    }
                }
            }
        }
    }
}
