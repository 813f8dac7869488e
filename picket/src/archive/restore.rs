//! Bringing an archive back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use indicatif::HumanCount;
use model::Timestamp;
use serde_json::json;
use storage::Store;
use storage::audit::{self, NewEntry};
use storage::blocks::portable::{self, Restore, Restored};
use storage::blocks::{self, Day};

use super::file::Reader;
use super::manifest::{Entry, Manifest};
use super::{Both, COMPANIONS, progress};
use crate::client::Connection;
use crate::database::Database;
use crate::durations::parse_ttl;
use crate::hold::actor;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The archive's directory
    dir: PathBuf,
    /// How long retention leaves the events alone, whatever their age, such as 7d
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_ttl)]
    keep: Duration,
    /// Let detectors look at the events again, with the rules of now
    #[arg(long)]
    detect: bool,
    /// Only check the files, and store nothing
    #[arg(long)]
    verify: bool,
    /// One JSON object at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Default)]
struct Sum {
    blocks: u64,
    events: u64,
    present: u64,
    in_part: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let manifest = Manifest::open(&args.dir)?;
    let incomplete = manifest.chunks.iter().filter(|chunk| !chunk.complete).count();
    if incomplete > 0 {
        eprintln!("warning: {incomplete} parts of this archive were not written to their end");
    }
    let total = manifest.chunks.iter().map(super::manifest::Chunk::blocks).sum();
    if args.verify {
        let bar = progress(total, args.json);
        let sum = walk(&args, &manifest, &bar, None).await?;
        bar.finish_and_clear();
        return Ok(answer(&args, &sum, "verified"));
    }
    let store = args.database.store(&args.connection).await?;
    let entry = NewEntry {
        tenant: args.database.tenant.clone(),
        actor: actor(),
        action: "restore".to_owned(),
        object: args.dir.display().to_string(),
        detail: json!({ "keep_secs": args.keep.as_secs(), "detect": args.detect, "blocks": total }),
    };
    audit::append(&store, entry).await.context("write the audit log")?;
    let keep = i64::try_from(args.keep.as_micros()).unwrap_or(i64::MAX);
    let how = Restore {
        keep_until: Timestamp(store.now().await?.0.saturating_add(keep)),
        detect: args.detect,
    };
    let mut duty = Both::take(&store).await?;
    let bar = progress(total, args.json);
    let done = walk(&args, &manifest, &bar, Some((&store, how, &mut duty))).await;
    duty.release().await?;
    bar.finish_and_clear();
    Ok(answer(&args, &done?, "restored"))
}

fn answer(args: &Args, sum: &Sum, what: &str) -> ExitCode {
    if args.json {
        let Sum {
            blocks,
            events,
            present,
            in_part,
        } = sum;
        println!(
            "{}",
            json!({ what: blocks, "events": events, "present": present, "in_part": in_part })
        );
    } else {
        println!(
            "{what} {} events in {} blocks",
            HumanCount(sum.events),
            HumanCount(sum.blocks)
        );
        if sum.present > 0 {
            println!("{} blocks were there already", HumanCount(sum.present));
        }
        if sum.in_part > 0 {
            println!(
                "{} blocks were left out: other blocks hold a part of their events",
                HumanCount(sum.in_part)
            );
        }
    }
    if sum.in_part > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

type Into<'a> = Option<(&'a Store, Restore, &'a mut Both)>;

async fn walk(
    args: &Args,
    manifest: &Manifest,
    bar: &indicatif::ProgressBar,
    mut into: Into<'_>,
) -> anyhow::Result<Sum> {
    let mut sum = Sum::default();
    for file in &manifest.companions {
        let (mut reader, kind) = open(&args.dir, file)?;
        ensure!(
            COMPANIONS.contains(&kind.as_str()),
            "{}: holds {kind}, which is not known here",
            file.path
        );
        tokio::task::block_in_place(|| check(&args.dir, file))?;
        while let Some(record) = reader.next()? {
            if let Some((store, ..)) = &into {
                portable::restore_companion(store, &kind, &record)
                    .await
                    .with_context(|| format!("restore from {}", file.path))?;
            }
        }
    }
    for chunk in &manifest.chunks {
        let day = Day::parse(&chunk.day).with_context(|| format!("the manifest names the day {:?}", chunk.day))?;
        bar.set_message(format!("{day} {}", chunk.tenant));
        if let Some((store, ..)) = &into {
            blocks::prepare(store, day).await.context("prepare the day")?;
        }
        for file in &chunk.files {
            // To its end before its first block is stored: of a corrupt file nothing is.
            tokio::task::block_in_place(|| check(&args.dir, file))?;
            let (mut reader, kind) = open(&args.dir, file)?;
            let same = kind == "blocks"
                && reader.header.day == chunk.day
                && reader.header.tenant == chunk.tenant
                && reader.header.partition == chunk.partition;
            ensure!(same, "{}: is not the file the manifest means", file.path);
            let mut number = 0_u64;
            while let Some(record) = reader.next()? {
                number += 1;
                let place = || format!("{}: record {number}", file.path);
                let summary = tokio::task::block_in_place(|| portable::summarize(day, &record)).with_context(place)?;
                ensure!(
                    summary.tenant.as_str() == chunk.tenant,
                    "{}: is of another tenant",
                    place()
                );
                reader.count(summary.events, summary.batches);
                bar.inc(1);
                let restored = match &mut into {
                    Some((store, how, duty)) => {
                        duty.keep().await?;
                        portable::restore(store, day, &record, *how).await.with_context(place)?
                    }
                    None => Restored::Stored,
                };
                match restored {
                    Restored::Stored => {
                        sum.blocks += 1;
                        sum.events += summary.events;
                    }
                    Restored::Present => sum.present += 1,
                    Restored::InPart => {
                        eprintln!("warning: {}: block {} is stored in part", place(), summary.id);
                        sum.in_part += 1;
                    }
                }
            }
        }
    }
    Ok(sum)
}

fn open(dir: &Path, file: &Entry) -> anyhow::Result<(Reader, String)> {
    let reader = Reader::open(&dir.join(&file.path))?;
    let kind = reader.header.kind.clone();
    Ok((reader, kind))
}

/// Reads a file to its end, and compares it with the manifest.
fn check(dir: &Path, file: &Entry) -> anyhow::Result<()> {
    let (mut reader, kind) = open(dir, file)?;
    let day = Day::parse(&reader.header.day);
    let mut number = 0_u64;
    while let Some(record) = reader.next()? {
        number += 1;
        if kind == "blocks" {
            let day = day.with_context(|| format!("{}: names no day", file.path))?;
            let summary =
                portable::summarize(day, &record).with_context(|| format!("{}: record {number}", file.path))?;
            reader.count(summary.events, summary.batches);
        }
    }
    ensure!(
        number == file.end.records,
        "{}: holds {number} records, the manifest says {}",
        file.path,
        file.end.records
    );
    ensure!(
        reader.sum() == (file.bytes, Some(file.blake3.as_str())),
        "{}: is not the file the manifest means: its size and checksum are others",
        file.path
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file::{Header, Writer};
    use super::*;

    #[test]
    fn files_that_changed_places_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, record: &[u8]| {
            let header = Header {
                kind: "signers".to_owned(),
                day: String::new(),
                tenant: String::new(),
                partition: 0,
            };
            let mut writer = Writer::create(&dir.path().join(path), &header).unwrap();
            writer.record(record, 0, 0).unwrap();
            let (bytes, blake3, end) = writer.finish().unwrap();
            Entry {
                path: path.to_owned(),
                bytes,
                blake3,
                end,
            }
        };
        let (first, second) = (write("a.pkta", b"one"), write("b.pkta", b"two"));
        assert_eq!(first.bytes, second.bytes);
        check(dir.path(), &first).unwrap();
        check(dir.path(), &second).unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::rename(path("a.pkta"), path("c.pkta")).unwrap();
        std::fs::rename(path("b.pkta"), path("a.pkta")).unwrap();
        std::fs::rename(path("c.pkta"), path("b.pkta")).unwrap();
        for entry in [&first, &second] {
            let error = check(dir.path(), entry).unwrap_err().to_string();
            assert!(error.contains(&entry.path) && error.contains("checksum"), "{error}");
        }
    }
}
