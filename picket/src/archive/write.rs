//! Writing an archive.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _};
use indicatif::{HumanBytes, HumanCount};
use serde_json::json;
use storage::Store;
use storage::audit::{self, NewEntry};
use storage::blocks::portable::{self, Chunk, Summary};
use storage::blocks::{self, BlockId, Day, REPEATS_DAYS};

use super::file::{End, Header, Reader, Writer};
use super::manifest::{Entry, Manifest, sync_dir};
use super::{Args, Both, COMPANIONS, progress};
use crate::hold::actor;

/// A file is closed when it has so many bytes.
const FILE: u64 = 256 << 20;
/// Blocks deleted at once.
const DELETE: usize = 200;

/// What was done.
#[derive(Default)]
struct Sum {
    blocks: u64,
    events: u64,
    bytes: u64,
    deleted: u64,
    stayed: u64,
}

pub(super) async fn archive(store: &Store, args: &Args, duty: &mut Both) -> anyhow::Result<ExitCode> {
    let today = store.now().await?.day();
    ensure!(
        args.before.number() <= today,
        "--before: today's events are still coming in"
    );
    std::fs::create_dir_all(&args.to).with_context(|| format!("make {}", args.to.display()))?;
    let mut manifest = Manifest::open_or_new(&args.to)?;
    let entry = NewEntry {
        tenant: args.database.tenant.clone(),
        actor: actor(),
        action: "archive".to_owned(),
        object: args.to.display().to_string(),
        detail: json!({ "before": args.before.to_string(), "only": args.only, "delete": args.delete }),
    };
    audit::append(store, entry).await.context("write the audit log")?;

    let mut chunks = Vec::new();
    for day in blocks::list_days(store).await?.into_iter().rev() {
        if day < args.before && day != Day::MISDATED {
            let of_day = portable::chunks(store, day).await.context("read what there is")?;
            let wanted = |chunk: &Chunk| args.only.as_ref().is_none_or(|tenant| chunk.tenant == *tenant);
            chunks.extend(of_day.into_iter().filter(wanted));
        }
    }
    let bar = progress(chunks.iter().map(|chunk| chunk.blocks).sum(), args.json);
    let mut sum = Sum::default();
    for chunk in &chunks {
        bar.set_message(format!("{} {}", chunk.day, chunk.tenant));
        let mut one = One {
            store,
            args,
            chunk,
            day: chunk.day.to_string(),
        };
        let done = one.run(&mut manifest, duty, &bar).await?;
        sum.blocks += done.blocks;
        sum.events += done.events;
        sum.bytes += done.bytes;
        sum.deleted += done.deleted;
        sum.stayed += done.stayed;
    }
    companions(store, &args.to, &mut manifest).await?;
    bar.finish_and_clear();
    if args.json {
        let Sum {
            blocks,
            events,
            bytes,
            deleted,
            stayed,
        } = sum;
        println!(
            "{}",
            json!({ "blocks": blocks, "events": events, "bytes": bytes, "deleted": deleted, "stayed": stayed })
        );
    } else {
        println!(
            "archived {} events in {} blocks ({}) to {}",
            HumanCount(sum.events),
            HumanCount(sum.blocks),
            HumanBytes(sum.bytes),
            args.to.display()
        );
        if args.delete {
            println!(
                "deleted {} blocks; {} stay, as they are held or not looked at yet",
                sum.deleted, sum.stayed
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One chunk on its way.
struct One<'a> {
    store: &'a Store,
    args: &'a Args,
    chunk: &'a Chunk,
    day: String,
}

impl One<'_> {
    async fn run(
        &mut self,
        manifest: &mut Manifest,
        duty: &mut Both,
        bar: &indicatif::ProgressBar,
    ) -> anyhow::Result<Sum> {
        let (tenant, partition) = (self.chunk.tenant.as_str(), self.chunk.partition.number());
        let known = manifest.chunk(&self.day, tenant, partition).clone();
        let same = known.complete
            && !known.deleted
            && (known.blocks(), known.events()) == (self.chunk.blocks, self.chunk.events);
        if !same {
            let mut fresh = known.clone();
            if !known.deleted {
                // What was written before is not all of it: again, so that no batch is in two files.
                fresh.files.clear();
            }
            fresh.complete = false;
            let before = fresh.files.len();
            *manifest.chunk(&self.day, tenant, partition) = fresh;
            manifest.save(&self.args.to)?;
            self.write(manifest, duty, bar, before).await?;
            let chunk = manifest.chunk(&self.day, tenant, partition);
            chunk.complete = true;
            manifest.save(&self.args.to)?;
        } else {
            bar.inc(self.chunk.blocks);
        }
        let chunk = manifest.chunk(&self.day, tenant, partition).clone();
        let mut sum = Sum {
            blocks: chunk.blocks(),
            events: chunk.events(),
            bytes: chunk.files.iter().map(|file| file.bytes).sum(),
            ..Sum::default()
        };
        if self.args.delete {
            // From here on the files are all there is, so they are never written again.
            manifest.chunk(&self.day, tenant, partition).deleted = true;
            manifest.save(&self.args.to)?;
            for file in &chunk.files {
                let (deleted, stayed) = self.delete(&self.args.to.join(&file.path), duty).await?;
                sum.deleted += deleted;
                sum.stayed += stayed;
            }
        }
        Ok(sum)
    }

    async fn write(
        &self,
        manifest: &mut Manifest,
        duty: &mut Both,
        bar: &indicatif::ProgressBar,
        first_file: usize,
    ) -> anyhow::Result<()> {
        let (day, tenant, partition) = (self.chunk.day, &self.chunk.tenant, self.chunk.partition);
        let header = Header {
            kind: "blocks".to_owned(),
            day: self.day.clone(),
            tenant: tenant.to_string(),
            partition: partition.number(),
        };
        let dir = self.args.to.join(&self.day);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let mut documents = std::pin::pin!(portable::documents(self.store, day, tenant, partition).peekable());
        let mut number = first_file;
        while documents.as_mut().peek().await.is_some() {
            let name = format!("{tenant}-p{:02}-{number:04}.pkta", partition.number());
            let (partial, path) = (dir.join(format!("{name}.partial")), dir.join(&name));
            let mut writer = Writer::create(&partial, &header)?;
            while writer.bytes() < FILE
                && let Some(document) = documents.as_mut().try_next().await.context("read blocks")?
            {
                duty.keep().await?;
                let summary = summarize(day, &document)?;
                tokio::task::block_in_place(|| writer.record(&document, summary.events, summary.batches))?;
                bar.inc(1);
            }
            let (bytes, blake3, end) = tokio::task::block_in_place(|| writer.finish())?;
            std::fs::rename(&partial, &path).with_context(|| format!("name {}", path.display()))?;
            sync_dir(&dir)?;
            manifest
                .chunk(&self.day, tenant.as_str(), partition.number())
                .files
                .push(Entry {
                    path: format!("{}/{name}", self.day),
                    bytes,
                    blake3,
                    end,
                });
            manifest.save(&self.args.to)?;
            number += 1;
        }
        sync_dir(&self.args.to)
    }

    /// Deletes what the file holds, read anew from the disk to its end.
    async fn delete(&self, path: &Path, duty: &mut Both) -> anyhow::Result<(u64, u64)> {
        let ids = tokio::task::block_in_place(|| verified(path, self.chunk))?;
        let leave = self.chunk.day.number() + REPEATS_DAYS >= self.store.now().await?.day();
        let mut deleted = 0;
        for some in ids.chunks(DELETE) {
            duty.keep().await?;
            deleted += blocks::remove_blocks(self.store, &self.chunk.tenant, self.chunk.day, some, leave)
                .await
                .context("delete blocks")?;
        }
        Ok((deleted, (ids.len() as u64).saturating_sub(deleted)))
    }
}

fn summarize(day: Day, document: &[u8]) -> anyhow::Result<Summary> {
    tokio::task::block_in_place(|| portable::summarize(day, document))
        .context("a block in the database is not readable; nothing of this chunk is deleted")
}

/// The names of the blocks in a file that was read to its end and found right.
fn verified(path: &Path, chunk: &Chunk) -> anyhow::Result<Vec<BlockId>> {
    let mut reader = Reader::open(path)?;
    let mut ids = Vec::new();
    while let Some(record) = reader.next()? {
        let number = ids.len() + 1;
        let summary =
            portable::summarize(chunk.day, &record).with_context(|| format!("{}: record {number}", path.display()))?;
        let fits = summary.tenant == chunk.tenant && summary.partition == chunk.partition;
        ensure!(
            fits,
            "{}: record {number} is of another tenant or partition",
            path.display()
        );
        reader.count(summary.events, summary.batches);
        ids.push(summary.id);
    }
    Ok(ids)
}

/// What goes with the blocks is small and written anew each time.
async fn companions(store: &Store, dir: &Path, manifest: &mut Manifest) -> anyhow::Result<()> {
    let mut entries = Vec::new();
    for collection in COMPANIONS {
        let name = format!("{collection}.pkta");
        let (partial, path): (PathBuf, PathBuf) = (dir.join(format!("{name}.partial")), dir.join(&name));
        let header = Header {
            kind: collection.to_owned(),
            day: String::new(),
            tenant: String::new(),
            partition: 0,
        };
        let mut writer = Writer::create(&partial, &header)?;
        let mut documents = std::pin::pin!(portable::companions(store, collection));
        while let Some(document) = documents.as_mut().try_next().await.context("read proofs of delivery")? {
            writer.record(&document, 0, 0)?;
        }
        let (bytes, blake3, end): (u64, String, End) = writer.finish()?;
        std::fs::rename(&partial, &path).with_context(|| format!("name {}", path.display()))?;
        entries.push(Entry {
            path: name,
            bytes,
            blake3,
            end,
        });
    }
    manifest.companions = entries;
    manifest.save(dir)
}
