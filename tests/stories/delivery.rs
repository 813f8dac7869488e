//! Nothing accepted is lost, nothing is counted twice: each process is killed under load, and every line is there once.

use std::time::Duration;

use tests::system::{Options, System};

use super::numbered::Numbered;

/// Lines per story; about 10 seconds of writing.
const LINES: u64 = 10_000;

/// Writes steadily, kills `name` in the middle, writes on while it is away.
async fn survives_the_death_of(name: &str) -> anyhow::Result<()> {
    let mut system = System::start(Options::default()).await?;
    let mut lines = Numbered::new(&system.try_file());
    lines.write_steadily(LINES / 3).await?;
    let (killed, written) = tokio::join!(system.kill_and_wait(name), lines.write_steadily(LINES));
    killed?;
    written?;
    lines.all_arrived_once(&system).await?;
    system.stop().await
}

#[tokio::test]
async fn a_killed_collector_loses_and_repeats_nothing() -> anyhow::Result<()> {
    survives_the_death_of("collector-1").await
}

#[tokio::test]
async fn a_killed_detector_loses_and_repeats_nothing() -> anyhow::Result<()> {
    survives_the_death_of("detector-1").await
}

#[tokio::test]
async fn a_killed_agent_loses_and_repeats_nothing() -> anyhow::Result<()> {
    survives_the_death_of("agent").await
}

#[tokio::test]
async fn a_killed_mongodb_loses_and_repeats_nothing() -> anyhow::Result<()> {
    survives_the_death_of("mongod").await
}

#[tokio::test]
async fn everything_killed_again_and_again_loses_and_repeats_nothing() -> anyhow::Result<()> {
    let mut system = System::start(Options::default()).await?;
    let mut lines = Numbered::new(&system.try_file());
    for round in 1..=2 {
        for name in ["agent", "collector-1", "detector-1"] {
            lines.write(500 * round)?;
            // Killed at once: the lines just written are in every stage of their way.
            system.kill_and_wait(name).await?;
        }
    }
    lines.all_arrived_once(&system).await?;
    tokio::time::timeout(Duration::from_secs(60), system.stop()).await?
}
