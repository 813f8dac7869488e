//! Who stops sending is missed: once for each silence, and it is told when it is over.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::system::{Options, System, append};
use tests::until::until;

const SOON: Duration = Duration::from_secs(60);

async fn silences(system: &System, rule: &str) -> anyhow::Result<Vec<Value>> {
    let answer = system.get(&format!("/alerts?rule_id={rule}&limit=100")).await?;
    Ok(answer["items"].as_array().context("no items")?.clone())
}

#[tokio::test]
async fn a_source_that_stops_sending_is_told_of_once_and_so_is_its_return() -> anyhow::Result<()> {
    const RULE: &str = "picket_silence_source";
    let env = [("SOURCE_SECS", "5"), ("CHECK_SECS", "1"), ("AGENT_SECS", "0")];
    let env = env.map(|(name, value)| match name {
        "SOURCE_SECS" => ("PICKET_DETECTOR__SILENCE__SOURCE_SECS", value.to_owned()),
        "CHECK_SECS" => ("PICKET_DETECTOR__SILENCE__CHECK_SECS", value.to_owned()),
        _ => ("PICKET_DETECTOR__SILENCE__AGENT_SECS", value.to_owned()),
    });
    let mut system = System::start(Options {
        env: env.to_vec(),
        ..Options::default()
    })
    .await?;
    append(&system.try_file(), b"2026-03-01T10:00:00Z story app[7]: one\n")?;
    let first = until("the silence is told of", SOON, async || {
        Ok(silences(&system, RULE).await?.first().cloned())
    })
    .await?;
    let path = system.try_file().display().to_string();
    ensure!(first["event"]["log"]["file"]["path"] == path.as_str(), "{first}");
    ensure!(first["event"]["event"].get("end").is_none(), "{first}");
    // Whoever takes over knows it too.
    system.kill_and_wait("detector-1").await?;
    append(&system.try_file(), b"2026-03-01T10:00:01Z story app[7]: two\n")?;
    until("its end is told, and the next silence", SOON, async || {
        let all = silences(&system, RULE).await?;
        let ended = all
            .iter()
            .filter(|alert| alert["event"]["event"].get("end").is_some())
            .count();
        ensure!(all.len() == 2 && ended == 1, "{all:?}");
        Ok(Some(()))
    })
    .await?;
    let ended = silences(&system, RULE).await?;
    ensure!(
        ended
            .iter()
            .any(|alert| alert["id"] == first["id"] && alert["event"]["event"]["end"].is_string()),
        "{ended:?}"
    );
    system.stop().await
}
