//! What `mongodump` wrote is a backup. Skipped where MongoDB's tools are not installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);

fn lines(from: u32, to: u32) -> String {
    (from..to)
        .map(|n| format!("Mar  1 10:00:00 host app[1]: numbered {n}\n"))
        .collect()
}

/// A program of MongoDB's tools on the PATH.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|place| place.join(name));
    places.find(|place| place.is_file())
}

fn run(program: &Path, uri: &str, args: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(["--uri", uri]).args(args).output();
    let output = output.with_context(|| format!("run {}", program.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {args:?}: {errors}", program.display());
    Ok(())
}

async fn found(system: &System) -> anyhow::Result<u64> {
    let page = system.get("/search?q=numbered&count=exact&limit=1&from=9000d").await?;
    page["total"].as_u64().context("no total")
}

/// Waits until `more` were added to what was there, and gives what was there.
async fn goes_on(system: &System, from: u32, to: u32) -> anyhow::Result<u64> {
    let before = found(system).await?;
    append(&system.try_file(), lines(from, to).as_bytes())?;
    until("what comes now is found beside the backup", WITHIN, async || {
        let after = found(system).await?;
        ensure!(after == before + u64::from(to - from), "{before} and then {after}");
        Ok(Some(()))
    })
    .await?;
    Ok(before)
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "a test tells what it skips")]
async fn what_mongodump_wrote_while_events_came_is_a_backup() -> anyhow::Result<()> {
    let (Some(dump), Some(restore)) = (tool("mongodump"), tool("mongorestore")) else {
        println!("skipped: mongodump and mongorestore are not on the PATH");
        return Ok(());
    };
    let mut system = System::start(Options::default()).await?;
    append(&system.try_file(), lines(0, 50).as_bytes())?;
    system.all_done(50, WITHIN).await?;
    let uri = system.up.mongodb_uri.clone();
    let place = |name: &str| format!("--archive={}", system.scratch().join(name).display());
    let (one, all) = (place("picket.gz"), place("all.gz"));
    append(&system.try_file(), lines(50, 80).as_bytes())?;
    run(&dump, &uri, &["--db", "picket", "--gzip", &one])?;
    run(&dump, &uri, &["--oplog", "--gzip", &all])?;
    system.all_done(80, WITHIN).await?;

    // Beside the running system, under another name.
    let renamed = ["--nsFrom", "picket.*", "--nsTo", "restored.*"];
    run(
        &restore,
        &system.up.mongodb_uri,
        &[&["--gzip", one.as_str()], &renamed[..]].concat(),
    )?;
    system.change_args(&["--database", "restored"]);
    system.restart().await?;
    let had = goes_on(&system, 80, 100).await?;
    ensure!(
        (50..=80).contains(&had),
        "{had} of what was acknowledged before the dump"
    );

    // In place of a database that nobody uses meanwhile; its name is the one `picket up` uses by itself.
    run(&restore, &system.up.mongodb_uri, &["--gzip", &one, "--drop"])?;
    system.change_args(&[]);
    system.restart().await?;
    let had = goes_on(&system, 100, 120).await?;
    ensure!(
        (50..=80).contains(&had),
        "{had} of what was acknowledged before the dump"
    );

    system.change_args(&["--database", "restored"]);
    system.restart().await?;
    run(
        &restore,
        &system.up.mongodb_uri,
        &["--gzip", &all, "--drop", "--oplogReplay"],
    )?;
    system.change_args(&[]);
    system.restart().await?;
    let had = goes_on(&system, 120, 140).await?;
    ensure!(
        (50..=80).contains(&had),
        "{had} of what was acknowledged before the dump"
    );
    system.stop().await
}
