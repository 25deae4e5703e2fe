//! Days as lifecycle rules count them.

use std::time::Duration;

use crate::stamp::Timestamp;

/// Counts days and finds midnights: multiples of a day since 1970, in UTC. A shorter day makes time run faster for
/// everything that is counted in days; dates stay what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    day_nanos: u64,
}

impl Calendar {
    /// With days of 24 hours.
    pub const REAL: Calendar = Calendar { day_nanos: 24 * 60 * 60 * 1_000_000_000 };

    /// With days of that length, at least a nanosecond.
    pub fn new(day: Duration) -> Calendar {
        Calendar { day_nanos: u64::try_from(day.as_nanos()).unwrap_or(u64::MAX).max(1) }
    }

    /// The length of a day.
    pub fn day(&self) -> Duration {
        Duration::from_nanos(self.day_nanos)
    }

    /// `days` after `time`, rounded up to a midnight. What falls on a midnight stays there. Whatever is too far away to
    /// be told is the last midnight that can.
    pub fn days_after(&self, time: Timestamp, days: u32) -> Timestamp {
        let midnights = time.as_nanos().div_ceil(self.day_nanos).saturating_add(u64::from(days));
        let last = u64::MAX / self.day_nanos;
        Timestamp::from_nanos(midnights.min(last) * self.day_nanos)
    }

    /// The last midnight that is not after `time`: when its day began.
    pub fn midnight_before(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_nanos(time.as_nanos() / self.day_nanos * self.day_nanos)
    }

    /// The first midnight after `time`; the last that can be told, if that is past.
    pub fn midnight_after(&self, time: Timestamp) -> Timestamp {
        self.days_after(Timestamp::from_nanos(time.as_nanos().saturating_add(1)), 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Calendar;
    use crate::stamp::Timestamp;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;

    #[test]
    fn days_end_at_midnight() {
        fn check(seconds: u64, days: u32, expected: u64) {
            let found = Calendar::REAL.days_after(Timestamp::from_secs(seconds), days);
            assert_eq!(found, Timestamp::from_secs(expected), "{seconds} + {days}");
        }
        // 15 January 10:30 and 3 days make 19 January 00:00.
        check(15 * DAY + 10 * HOUR + 1800, 3, 19 * DAY);
        check(15 * DAY + 1, 0, 16 * DAY);
        check(15 * DAY - 1, 0, 15 * DAY);
        check(15 * DAY, 0, 15 * DAY);
        check(15 * DAY, 1, 16 * DAY);
        check(0, 30, 30 * DAY);
    }

    #[test]
    fn days_begin_at_midnight() {
        fn check(seconds: u64, expected: u64) {
            let found = Calendar::REAL.midnight_before(Timestamp::from_secs(seconds));
            assert_eq!(found, Timestamp::from_secs(expected), "{seconds}");
        }
        check(0, 0);
        check(DAY - 1, 0);
        check(DAY, DAY);
        check(DAY + 1, DAY);
        assert_eq!(Calendar::REAL.midnight_after(Timestamp::from_secs(DAY - 1)), Timestamp::from_secs(DAY));
        assert_eq!(Calendar::REAL.midnight_after(Timestamp::from_secs(DAY)), Timestamp::from_secs(2 * DAY));
    }

    #[test]
    fn days_can_be_short() {
        let calendar = Calendar::new(Duration::from_secs(2));
        assert_eq!(calendar.days_after(Timestamp::from_secs(3), 30), Timestamp::from_secs(64));
        assert_eq!(calendar.midnight_before(Timestamp::from_secs(3)), Timestamp::from_secs(2));
        assert_eq!(calendar.day(), Duration::from_secs(2));
        assert_eq!(Calendar::new(Duration::ZERO).day(), Duration::from_nanos(1));
    }

    #[test]
    fn the_far_future_is_a_midnight_too() {
        for calendar in [Calendar::REAL, Calendar::new(Duration::from_secs(7)), Calendar::new(Duration::MAX)] {
            let far = calendar.days_after(Timestamp::from_nanos(u64::MAX), u32::MAX);
            assert_eq!(calendar.midnight_before(far), far);
        }
        let far = Calendar::REAL.days_after(Timestamp::from_secs(0), u32::MAX);
        assert!(far > Timestamp::from_secs(500 * 365 * DAY));
    }
}
