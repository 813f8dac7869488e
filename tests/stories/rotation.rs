//! Log files are rotated under load, both ways that logrotate knows.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use anyhow::ensure;
use tests::system::{Options, System};
use tests::until::until;

use super::numbered::Numbered;

#[tokio::test]
async fn rotation_by_rename_during_load_loses_and_repeats_nothing() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let path = system.try_file();
    let mut lines = Numbered::new(&path);
    for generation in 1..=5 {
        lines.write_steadily(generation * 1_000).await?;
        fs::rename(&path, path.with_extension(format!("log.{generation}")))?;
    }
    lines.write_steadily(6_000).await?;
    lines.all_arrived_once(&system).await?;
    system.stop().await
}

#[tokio::test]
async fn rotation_by_copytruncate_repeats_nothing() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let path = system.try_file();
    let mut lines = Numbered::new(&path);
    for generation in 1..=3_u64 {
        lines.write(1_000)?;
        // What was written between the copy and the truncation is lost by copytruncate itself, so the story waits
        // until the file has been read.
        until("the file is read", Duration::from_secs(60), async || {
            let stored = system.export().await?.len() as u64;
            ensure!(stored >= generation * 1_000, "{stored} events");
            Ok(Some(()))
        })
        .await?;
        fs::copy(&path, path.with_extension(format!("log.{generation}")))?;
        OpenOptions::new().write(true).truncate(true).open(&path)?;
    }
    lines.write(1_000)?;
    lines.all_arrived_once(&system).await?;
    system.stop().await
}
