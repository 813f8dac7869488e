//! What must be true afterwards.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use model::Tenant;
use serde_json::Value;

use super::writers::{ALERT_EVERY, read};
use crate::system::System;
use crate::until::until;

/// Rule id of "SSH failed password".
const FAILED_PASSWORD: &str = "a6c7c567-bcd9-5191-9010-55aa97ba57c4";
/// How long everything may take to settle once nothing fails any more; restarts wait up to 30 s.
const SETTLE: Duration = Duration::from_secs(240);

type Counts = BTreeMap<(String, u64), u32>;

/// Waits until all lines are stored, then requires each once, each alert once, and every delivery proved. Answers with the
/// numbers of alerts and of agents.
pub(super) async fn settle(system: &System, written: &BTreeMap<String, u64>) -> anyhow::Result<(u64, u64)> {
    let total: u64 = written.values().sum();
    let all = usize::try_from(total).context("too many lines")?;
    system.all_done(all, SETTLE).await?;
    let mut stored = Counts::new();
    for event in system.export().await? {
        count(&mut stored, &event["message"]);
    }
    once(&stored, written, 1, "line")?;
    until("every alert is there", SETTLE, async || {
        let alerts = alerts(system).await?;
        once(&alerts, written, ALERT_EVERY, "alert of line")?;
        Ok(Some(()))
    })
    .await?;
    let expected: u64 = written.values().map(|lines| lines.div_ceil(ALERT_EVERY)).sum();
    let store = system.store().await?;
    let agents = storage::agents::list(&store, &Tenant::default(), 100).await?;
    for agent in &agents {
        let id = agent.id.to_string();
        let what = format!("the delivery of agent {id} is proved");
        until(&what, SETTLE, async || {
            let output = system.picket(&["agent", "delivery", &id, "--verify", "--json"])?;
            let report: Value = serde_json::from_slice(&output.stdout)
                .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
            ensure!(output.status.success() && report["holds"] == true, "{report}");
            Ok(Some(()))
        })
        .await?;
    }
    Ok((expected, agents.len() as u64))
}

fn count(counts: &mut Counts, message: &Value) {
    if let Some((name, number)) = message.as_str().and_then(read) {
        *counts.entry((name.to_owned(), number)).or_insert(0) += 1;
    }
}

/// Requires every `every`th number of each writer once, and no other.
fn once(seen: &Counts, written: &BTreeMap<String, u64>, every: u64, what: &str) -> anyhow::Result<()> {
    let mut expected = 0;
    for (name, lines) in written {
        for number in (0..*lines).filter(|number| number.is_multiple_of(every)) {
            expected += 1;
            let times = seen.get(&(name.clone(), number)).copied().unwrap_or(0);
            ensure!(times == 1, "{what} {number} of {name} is there {times} times");
        }
    }
    ensure!(seen.len() == expected, "{} of {expected} {what}s", seen.len());
    Ok(())
}

async fn alerts(system: &System) -> anyhow::Result<Counts> {
    let mut counts = Counts::new();
    let mut cursor = String::new();
    loop {
        let page = system
            .get(&format!("/alerts?rule_id={FAILED_PASSWORD}&limit=1000{cursor}"))
            .await?;
        for alert in page["items"].as_array().context("read items")? {
            count(&mut counts, &alert["event"]["message"]);
        }
        match page["next_cursor"].as_str() {
            Some(next) if !next.is_empty() => cursor = format!("&cursor={next}"),
            _ => return Ok(counts),
        }
    }
}
