//! Who stops sending is missed: once for each silence, and it is told when it is over.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use model::Tenant;
use serde_json::Value;
use storage::heard::{self, Origin};
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

#[tokio::test]
async fn a_source_is_silent_after_many_times_its_usual_pause_once_that_is_learned() -> anyhow::Result<()> {
    const RULE: &str = "picket_silence_source";
    let env = [
        ("FACTOR", "10"),
        ("MIN_SECS", "5"),
        ("CHECK_SECS", "1"),
        ("AGENT_SECS", "0"),
    ];
    let env = env.map(|(name, value)| match name {
        "FACTOR" => ("PICKET_DETECTOR__SILENCE__FACTOR", value.to_owned()),
        "MIN_SECS" => ("PICKET_DETECTOR__SILENCE__MIN_SECS", value.to_owned()),
        "CHECK_SECS" => ("PICKET_DETECTOR__SILENCE__CHECK_SECS", value.to_owned()),
        _ => ("PICKET_DETECTOR__SILENCE__AGENT_SECS", value.to_owned()),
    });
    let system = System::start(Options {
        env: env.to_vec(),
        ..Options::default()
    })
    .await?;
    // A collector notes a source every ten seconds at most. That would take minutes until a pause is usual, so what it
    // would note of another source is noted here, faster; one that was noted once only has no usual pause.
    let store = system.store().await?;
    let agents = storage::agents::list(&store, &Tenant::default(), 10).await?;
    let agent = agents.first().context("no agent")?.id;
    append(&system.try_file(), b"2026-03-01T10:00:00Z story app[7]: heard once\n")?;
    system.all_done(1, SOON).await?;
    let regular = [Origin {
        kind: "file".to_owned(),
        name: "/var/log/regular.log".to_owned(),
    }];
    let regular = regular.into_iter().collect();
    for _ in 0..25 {
        heard::note(&store, &Tenant::default(), agent, &regular, true).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    let told = until("the regular source is missed", SOON, async || {
        Ok(silences(&system, RULE).await?.first().cloned())
    })
    .await?;
    ensure!(told["event"]["log"]["file"]["path"] == "/var/log/regular.log", "{told}");
    let reason = told["event"]["event"]["reason"].as_str().context("no reason")?;
    let seconds: Option<u64> = reason.split(' ').find_map(|word| word.parse().ok());
    ensure!(
        seconds.is_some_and(|seconds| seconds >= 7),
        "ten times a pause of 0.7 s is more than the least: {reason}"
    );
    ensure!(
        silences(&system, RULE).await?.len() == 1,
        "who was heard once is missed"
    );
    system.stop().await
}
