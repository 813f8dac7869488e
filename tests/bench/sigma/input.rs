//! Rules and events from files.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use serde_json::{Map, Value as Json};

use super::read;

/// Path and text of every `.yml` or `.yaml` file below the given paths, in order of their paths.
pub(crate) fn rule_texts(roots: &[PathBuf]) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut pending = roots.to_vec();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            for entry in std::fs::read_dir(&path).with_context(|| format!("read {}", path.display()))? {
                pending.push(entry?.path());
            }
        } else if is_rule(&path) {
            files.push(path);
        }
    }
    files.sort();
    files
        .iter()
        .map(|path| {
            let text = String::from_utf8(read(path)?).with_context(|| format!("read {}", path.display()))?;
            Ok((path.display().to_string(), text))
        })
        .collect()
}

fn is_rule(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (name.ends_with(".yml") || name.ends_with(".yaml")) && !name.ends_with(".test.yml")
}

/// The lines of a file, at most `limit`.
pub(super) fn lines(path: &Path, limit: usize) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut bytes = read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes.as_slice())
            .read_to_end(&mut plain)
            .with_context(|| format!("unpack {}", path.display()))?;
        bytes = plain;
    }
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .take(limit)
        .map(<[u8]>::to_vec)
        .collect())
}

/// The lines as decoded events.
pub(super) fn events(lines: &[Vec<u8>]) -> anyhow::Result<Vec<Event>> {
    lines.iter().zip(0..).map(|(line, seq)| event(line, seq)).collect()
}

/// Most events of a block, as collectors close them.
const BLOCK: usize = 4000;

/// The events as blocks.
pub(super) fn blocks(events: &[Event]) -> anyhow::Result<Vec<Vec<u8>>> {
    let encode = |events| Ok(block::encode(events).context("encode a block")?.bytes);
    events.chunks(BLOCK).map(encode).collect()
}

/// A line as a decoded event.
pub(super) fn event(line: &[u8], seq: u64) -> anyhow::Result<Event> {
    let object: Map<String, Json> = serde_json::from_slice(line).with_context(|| format!("parse line {}", seq + 1))?;
    let mut fields = Fields::new();
    fields.insert_json("", &object);
    let (source, epoch) = (SourceId::named("bench", "sigma"), Epoch(1));
    Ok(Event {
        id: EventId { source, epoch, seq },
        timestamp: Timestamp(1_700_000_000_000_000),
        fields,
    })
}
