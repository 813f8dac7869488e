//! A database that does not answer fills windows, then spools; nothing grows without bound, and everything arrives.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::system::{Options, System};
use tests::until::until;

use super::numbered::Numbered;

/// Resident memory a collector may grow by while everything waits: its budget for events is 128 MiB.
const MAX_GROWTH_KIB: u64 = 200 << 10;

#[tokio::test]
async fn a_frozen_database_is_waited_for_within_bounds_and_the_status_tells() -> anyhow::Result<()> {
    let mut system = System::start(Options {
        // Operations that time out say so.
        expected_errors: vec!["the database", "MongoDB"],
        ..Options::default()
    })
    .await?;
    let mut lines = Numbered::new(&system.try_file());
    lines.write_steadily(500).await?;
    lines.all_arrived_once(&system).await?;
    let before = resident(&system, "collector")?;
    system.signal("mongod", Signal::SIGSTOP)?;
    lines.write_steadily(6000).await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let growth = resident(&system, "collector")?.saturating_sub(before);
    let spool = spool_bytes(&system)?;
    system.signal("mongod", Signal::SIGCONT)?;
    ensure!(growth < MAX_GROWTH_KIB, "the collector grew by {growth} KiB");
    ensure!(spool < 64 << 20, "the spool has {spool} bytes");
    until(
        "the status tells of the slow write",
        Duration::from_secs(60),
        async || {
            let output = system.picket(&["status", "--json"])?;
            let status: Value = serde_json::from_slice(&output.stdout)?;
            let slowest = status["collectors"][0]["slowest_write_millis"]
                .as_u64()
                .context("no load")?;
            ensure!(slowest >= 3000 && status["collectors"][0]["window"] == 32, "{status}");
            Ok(Some(()))
        },
    )
    .await?;
    lines.all_arrived_once(&system).await?;
    system.stop().await
}

fn resident(system: &System, role: &str) -> anyhow::Result<u64> {
    let pid = system.nodes(role).next().context("no such node")?.pid;
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let number = line.split_whitespace().nth(1).context("no number")?;
    Ok(number.parse()?)
}

fn spool_bytes(system: &System) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(system.data().join("agent/spool"))? {
        sum += entry?.metadata()?.len();
    }
    Ok(sum)
}
