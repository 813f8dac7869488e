//! Half a minute of random faults, the same in each run, with one MongoDB and with three; `cargo xtask chaos` does it for as long as one likes.

use std::time::Duration;

use anyhow::ensure;
use tests::chaos::{Kind, Plan, run};

#[tokio::test]
async fn nothing_is_lost_doubled_or_unproved_whatever_fails() -> anyhow::Result<()> {
    let plan = Plan {
        lasts: Duration::from_secs(30),
        seed: 4,
        lines_per_second: 50,
        members: 1,
    };
    let summary = run(plan, |what| eprintln!("{what}")).await?;
    eprintln!("{summary:?}");
    ensure!(summary.total() >= 5, "hardly anything failed: {summary:?}");
    ensure!(
        summary.agents == 3 && summary.lines > 0 && summary.alerts > 0,
        "{summary:?}"
    );
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_doubled_or_unproved_when_another_member_becomes_primary() -> anyhow::Result<()> {
    let plan = Plan {
        lasts: Duration::from_secs(30),
        seed: 11,
        lines_per_second: 50,
        members: 3,
    };
    let summary = run(plan, |what| eprintln!("{what}")).await?;
    eprintln!("{summary:?}");
    ensure!(summary.faults.contains_key(&Kind::StepDown), "{summary:?}");
    ensure!(
        summary.agents == 3 && summary.lines > 0 && summary.alerts > 0,
        "{summary:?}"
    );
    Ok(())
}
