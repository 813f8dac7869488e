//! A database that does not answer fills windows, then spools; nothing grows without bound, and everything arrives.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tests::endpoint::{Endpoint, Token};
use tests::system::{Options, System, append};
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

#[tokio::test]
async fn what_a_full_spool_gave_up_is_an_event_and_accounted_for() -> anyhow::Result<()> {
    const SOON: Duration = Duration::from_secs(90);
    let system = System::start(Options::default()).await?;
    let mut endpoint = Endpoint::new(&system.scratch().join("full"))?;
    let token = Token::create(&system, &["--uses", "1"])?;
    endpoint.enrol_ok(&token)?;
    let small = [
        ("PICKET_AGENT__SPOOL__SEGMENT_BYTES", "65536"),
        ("PICKET_AGENT__SPOOL__MAX_BYTES", "196608"),
    ];
    endpoint.set_env(small.map(|(name, value)| (name, value.to_owned())).to_vec());
    // Nobody listens there.
    endpoint.start("127.0.0.1:9")?;
    let lost = until("the spool has overflown", SOON, async || {
        // Text that does not get much smaller.
        let lines: String = (0..200)
            .map(|_| {
                let noise: Vec<String> = (0..8).map(|_| uuid::Uuid::new_v4().to_string()).collect();
                format!("2026-03-01T10:00:00Z full app[7]: {}\n", noise.join(" "))
            })
            .collect();
        append(&endpoint.followed(), lines.as_bytes())?;
        let lost = endpoint.status()?["spool"]["dropped"]["spool_full"].as_u64();
        Ok(lost.filter(|lost| *lost > 0))
    })
    .await?;
    // It is told of within seconds, whether anybody listens or not; what was told of is sent later.
    tokio::time::sleep(Duration::from_secs(8)).await;
    endpoint.stop()?;
    endpoint.start(&token.server)?;
    let query = "/search?q=event.action:events-lost%20AND%20event.reason:spool_full&from=9000d";
    let found = until("the loss is found", SOON, async || {
        let page = system.get(query).await?;
        Ok(page["items"].as_array().and_then(|items| items.first().cloned()))
    })
    .await?;
    ensure!(found["picket"]["source"] == "agentd", "{found}");
    let told = found["lost"]["events"].as_u64().context("no count")?;
    ensure!(told > 0, "{found}");
    let agent = found["agent"]["id"].as_str().context("no agent")?.to_owned();
    until("every number is accounted for", SOON, async || {
        let output = system.picket(&["agent", "delivery", &agent, "--verify", "--json"])?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let full = report["dropped"]["spool_full"].as_u64();
        ensure!(report["holds"] == true && full >= Some(told.max(lost)), "{report}");
        Ok(Some(()))
    })
    .await?;
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
