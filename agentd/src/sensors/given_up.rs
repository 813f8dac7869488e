//! What the spool gave up, as events: how many numbers have no event any more, and why. The numbers themselves are reported
//! upstream until a receipt covers them; this is for whoever searches and for rules.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::gap::Lost;
use super::{Input, Sink};
use crate::spool::{Drops, Spool};

/// Time between two looks: a spool that goes on overflowing is told of this often, and not with every segment.
const LOOK: Duration = Duration::from_secs(5);

/// What was told of so far, of this life of the spool.
#[derive(Debug)]
struct Told {
    spool_full: u64,
    spool_corrupt: u64,
}

impl Told {
    /// What was given up before is counted, but not told of: whether it was is not known.
    fn new(drops: &Drops) -> Self {
        Self {
            spool_full: drops.spool_full,
            spool_corrupt: drops.spool_corrupt,
        }
    }

    /// What came since, when so many are given up by now.
    fn grown(&mut self, now: &Self) -> Vec<Lost> {
        let mut lost = Vec::new();
        for (reason, told, total) in [
            ("spool_full", &mut self.spool_full, now.spool_full),
            ("spool_corrupt", &mut self.spool_corrupt, now.spool_corrupt),
        ] {
            let grown = total.saturating_sub(*told);
            *told = total;
            if grown > 0 {
                lost.push(Lost {
                    reason,
                    name: "the agent's spool".to_owned(),
                    events: Some(grown),
                    bytes: None,
                });
            }
        }
        lost
    }
}

/// Tells of what is given up from now on, until `stop`.
pub(crate) async fn tell(spool: Arc<Spool>, sink: Sink, stop: CancellationToken) -> anyhow::Result<()> {
    let mut told = Told::new(&spool.depth().drops);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK) => {}
        }
        let lost = told.grown(&Told::new(&spool.depth().drops));
        if lost.is_empty() {
            continue;
        }
        let sink = sink.clone();
        let sent = tokio::task::spawn_blocking(move || {
            lost.iter()
                .try_for_each(|lost| sink.send(Input::Chunk(lost.chunk(None, None))))
        });
        if sent.await?.is_err() {
            // The process is ending.
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_spool_gave_up_is_told_once_and_by_reason() {
        let total = |spool_full, spool_corrupt| Told {
            spool_full,
            spool_corrupt,
        };
        let mut told = total(10, 0);
        assert!(told.grown(&total(10, 0)).is_empty());
        let lost = told.grown(&total(25, 3));
        let reasons: Vec<_> = lost.iter().map(|lost| (lost.reason, lost.events)).collect();
        assert_eq!(reasons, [("spool_full", Some(15)), ("spool_corrupt", Some(3))]);
        assert!(told.grown(&total(25, 3)).is_empty());
    }
}
