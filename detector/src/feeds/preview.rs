//! Reading a feed without storing anything.

use std::collections::HashMap;
use std::time::Duration;

use model::feed::{FeedCounts, FeedSpec};
use model::indicator::Indicator;
use model::{Tenant, Timestamp};

use super::error::Error;
use super::fetch::{Limits, Origin, Validators};
use super::read::{Meter, read};
use super::secret::Places;
use super::sink::Sink;
use super::store::{Intake, Taken};
use feeds::Item;

/// Most bytes of a preview, unpacked.
const MAX_BYTES: u64 = 512 * 1024 * 1024;
/// How long a publisher may stay silent.
const SILENCE: Duration = Duration::from_secs(60);

/// What a feed would bring.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// The first indicators, as they would be stored.
    pub indicators: Vec<Indicator>,
    /// What was found; `new` is always zero.
    pub counts: FeedCounts,
    /// The first refusals.
    pub reasons: Vec<String>,
    /// Bytes read, unpacked.
    pub bytes: u64,
    /// Whether there is more that was not looked at.
    pub is_partial: bool,
}

/// Fetches and reads a feed as a detector would, with secrets and files taken from wherever the spec says, and stores
/// nothing. Reading stops after `most` indicators.
///
/// # Errors
/// What a detector would note as the error of the run; never holds a secret.
pub async fn preview(spec: &FeedSpec, most: usize) -> anyhow::Result<Preview> {
    let limits = Limits {
        max_bytes: MAX_BYTES,
        private_addresses: true,
        silence: SILENCE,
    };
    let read_all = async {
        let origin = Origin::of(spec, &Places::Anywhere, limits)?;
        let intake =
            Intake::new(spec, Timestamp::now()).map_err(|error| Error::failed(format!("options.allow: {error}")))?;
        let mut collecting = Collecting {
            intake,
            indicators: Vec::new(),
            part: None,
            most,
        };
        let mut meter = Meter::new(limits);
        read(spec, &origin, &Validators::default(), None, &mut meter, &mut collecting).await?;
        Ok::<_, Error>((collecting, meter))
    };
    let (collecting, meter) = read_all.await.map_err(|error| anyhow::anyhow!(error.message()))?;
    Ok(Preview {
        is_partial: collecting.is_full(),
        indicators: collecting.indicators,
        counts: collecting.intake.counts,
        reasons: collecting.intake.reasons,
        bytes: meter.used(),
    })
}

struct Collecting<'a> {
    intake: Intake<'a>,
    indicators: Vec<Indicator>,
    part: Option<String>,
    most: usize,
}

impl Sink for Collecting<'_> {
    async fn take(&mut self, items: &mut Vec<Item>) -> Result<(), Error> {
        for item in items.drain(..) {
            if self.is_full() {
                break;
            }
            if let Taken::Put(indicator) = self.intake.take(item, self.part.as_deref(), &Tenant::default()) {
                self.intake.counts.seen += 1;
                self.indicators.push(indicator);
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.indicators.len() >= self.most
    }

    async fn parts(&self) -> Result<HashMap<String, i64>, Error> {
        Ok(HashMap::new())
    }

    fn begin_part(&mut self, part: &str) {
        self.part = Some(part.to_owned());
    }

    async fn end_part(&mut self, _part: &str, _version: i64) -> Result<(), Error> {
        self.part = None;
        Ok(())
    }

    fn fail_part(&mut self, part: &str, reason: String) {
        self.intake.refuse("event", &format!("{part}: {reason}"));
    }

    async fn remove_part(&mut self, _part: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn added_up_to(&mut self, _cursor: String) -> Result<(), Error> {
        Ok(())
    }
}
