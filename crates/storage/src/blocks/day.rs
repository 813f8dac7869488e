//! Which day's collection a batch belongs to.

use std::fmt;
use std::time::Duration;

use chrono::{Datelike as _, NaiveDate};
use model::Timestamp;

/// Batches older than this are filed under [`Day::MISDATED`]: an endpoint's clock must not be able to make collections
/// without end.
const OLDEST: Duration = Duration::from_secs(32 * 86_400);
/// Batches further in the future than this are filed under [`Day::MISDATED`].
const NEWEST: Duration = Duration::from_secs(86_400);

const DAY_MICROS: i64 = 86_400_000_000;

/// A UTC day: days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// Where batches go whose date cannot be right: 1970-01-01.
    pub const MISDATED: Self = Self(0);

    /// The day of a batch: that on which its sender closed it, unless this lies outside 32 days before `now` to one day
    /// after it. [`super::Writer`] looks on both sides of that edge, so a retry that crosses it is still recognized.
    #[must_use]
    pub fn of_batch(created_at: Timestamp, now: Timestamp) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        let oldest = now.0.saturating_sub(micros(OLDEST));
        let newest = now.0.saturating_add(micros(NEWEST));
        if (oldest..=newest).contains(&created_at.0) {
            Self(created_at.day())
        } else {
            Self::MISDATED
        }
    }

    /// From the number of days since 1970-01-01; `None` outside the years 1970 to 9999.
    #[must_use]
    pub fn from_number(days: i64) -> Option<Self> {
        const LAST: i64 = 2_932_896;
        (0..=LAST).contains(&days).then_some(Self(days))
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub fn number(self) -> i64 {
        self.0
    }

    /// The first moment of the day.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(DAY_MICROS))
    }

    /// `blocks_YYYYMMDD`.
    #[must_use]
    pub fn collection(self) -> String {
        format!("blocks_{self}")
    }

    pub(crate) fn from_collection(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix("blocks_")?)
    }

    /// Reads `YYYYMMDD`; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok()?;
        Self::from_number(i64::from(
            date.num_days_from_ce() - NaiveDate::default().num_days_from_ce(),
        ))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.start().to_utc();
        write!(f, "{:04}{:02}{:02}", date.year(), date.month(), date.day())
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::Day;

    #[test]
    fn names_round_trip() {
        let day = Day::of_batch(Timestamp(1_700_000_000_000_000), Timestamp(1_700_000_000_000_000));
        assert_eq!(day.collection(), "blocks_20231114");
        assert_eq!(Day::from_collection("blocks_20231114"), Some(day));
        assert_eq!(Day::from_collection("blocks_19700101"), Some(Day::MISDATED));
        assert_eq!(Day::from_collection("blocks_20231399"), None);
        assert_eq!(Day::from_collection("alerts"), None);
        assert_eq!(Day::from_number(-1), None);
        assert_eq!(Day::from_number(2_932_896).unwrap().collection(), "blocks_99991231");
    }

    #[test]
    fn dates_that_cannot_be_right_share_one_day() {
        let now = Timestamp(1_700_000_000_000_000);
        for created in [
            i64::MIN,
            0,
            now.0 - 33 * 86_400_000_000,
            now.0 + 2 * 86_400_000_000,
            i64::MAX,
        ] {
            assert_eq!(Day::of_batch(Timestamp(created), now), Day::MISDATED, "{created}");
        }
        assert_ne!(
            Day::of_batch(Timestamp(now.0 - 31 * 86_400_000_000), now),
            Day::MISDATED
        );
    }
}
