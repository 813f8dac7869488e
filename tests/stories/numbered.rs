//! Numbered lines: written to a followed file, and counted again at the other end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::system::{System, append};
use tests::until::until;

/// Rule id of "SSH failed password".
pub(crate) const FAILED_PASSWORD: &str = "a6c7c567-bcd9-5191-9010-55aa97ba57c4";
/// Every so many lines, one is a failed password.
const ALERT_EVERY: u64 = 20;
/// How long everything may take to arrive, restarts included.
const ARRIVE: Duration = Duration::from_secs(120);

/// A writer of numbered lines.
pub(crate) struct Numbered {
    path: PathBuf,
    written: u64,
}

impl Numbered {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            written: 0,
        }
    }

    /// Appends so many lines in one write.
    pub(crate) fn write(&mut self, count: u64) -> anyhow::Result<()> {
        let mut text = String::new();
        for number in self.written..self.written + count {
            text.push_str(&line(number));
            text.push('\n');
        }
        self.written += count;
        append(&self.path, text.as_bytes())
    }

    /// Appends lines a few at a time until `end` is reached or `stop` says so, as a busy host would.
    pub(crate) async fn write_steadily(&mut self, end: u64) -> anyhow::Result<()> {
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        while self.written < end {
            self.write((end - self.written).min(20))?;
            pace.tick().await;
        }
        Ok(())
    }

    /// Waits until every line is stored, then requires each exactly once and each expected alert exactly once.
    pub(crate) async fn all_arrived_once(&self, system: &System) -> anyhow::Result<()> {
        until("every line is stored", ARRIVE, async || {
            let seen = count_by_number(&system.export().await?);
            ensure!(
                seen.len() as u64 >= self.written,
                "{} of {} lines",
                seen.len(),
                self.written
            );
            Ok(Some(()))
        })
        .await?;
        let seen = count_by_number(&system.export().await?);
        for number in 0..self.written {
            let count = seen.get(&number).copied().unwrap_or(0);
            ensure!(count == 1, "line {number} is stored {count} times");
        }

        let expected: Vec<u64> = (0..self.written)
            .filter(|number| number.is_multiple_of(ALERT_EVERY))
            .collect();
        until("every alert is there", ARRIVE, async || {
            let alerts = alerts_by_number(system).await?;
            ensure!(
                alerts.len() >= expected.len(),
                "{} of {} alerts",
                alerts.len(),
                expected.len()
            );
            Ok(Some(()))
        })
        .await?;
        until("no block is pending", ARRIVE, async || {
            let stats = storage::blocks::pending_stats(&system.store().await?).await?;
            ensure!(stats.count == 0, "{} blocks are pending", stats.count);
            Ok(Some(()))
        })
        .await?;
        let alerts = alerts_by_number(system).await?;
        for number in expected {
            let count = alerts.get(&number).copied().unwrap_or(0);
            ensure!(count == 1, "line {number} has {count} alerts");
        }
        Ok(())
    }
}

fn line(number: u64) -> String {
    let second = number / 1000 % 60;
    let head = format!("2026-03-01T10:00:{second:02}.{:06}+00:00 story", number % 1000 * 1000);
    if number.is_multiple_of(ALERT_EVERY) {
        format!(
            "{head} sshd[{}]: Failed password for user{number} from 203.0.113.7 port 4711 ssh2",
            1000 + number % 500
        )
    } else {
        format!("{head} app[7]: step {number} of the story")
    }
}

/// The number in a line's text.
fn number_of(event: &Value) -> Option<u64> {
    let message = event["message"].as_str()?;
    let rest = message
        .strip_prefix("step ")
        .or_else(|| message.strip_prefix("Failed password for user"))?;
    rest.split(' ').next()?.parse().ok()
}

fn count_by_number(events: &[Value]) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for number in events.iter().filter_map(number_of) {
        *counts.entry(number).or_insert(0) += 1;
    }
    counts
}

async fn alerts_by_number(system: &System) -> anyhow::Result<BTreeMap<u64, u32>> {
    let answer = system
        .get(&format!("/alerts?rule_id={FAILED_PASSWORD}&limit=1000"))
        .await?;
    let items = answer["items"].as_array().context("read items")?;
    ensure!(items.len() < 1000, "the story outgrew one page of alerts");
    let mut counts = BTreeMap::new();
    for number in items.iter().filter_map(|alert| number_of(&alert["event"])) {
        *counts.entry(number).or_insert(0) += 1;
    }
    Ok(counts)
}
