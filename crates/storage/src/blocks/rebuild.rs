//! A stored block again, with other events in it than it had.

use bson::raw::RawArrayBuf;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use model::{Event, NodeId};

use super::{BlockId, Day, NewBlock, Writer, document};
use crate::Error;

/// What is not a function of the events and goes on with the block.
const CARRIED: [&str; 4] = ["done", "marks", "holds", "keep_until"];
/// Fields written by hand below.
const REPLACED: [&str; 3] = ["batches", "srcs", "pending"];

/// A document under `id` that holds `events` instead of those of `originals`, which are of one tenant and partition, in
/// their order. Their batches stay as they are, to the byte. Detectors are done with it.
///
/// # Errors
/// When an original is not readable or the events cannot be one block.
pub(super) fn rebuild(
    writer: &Writer,
    day: Day,
    id: BlockId,
    originals: &[RawDocumentBuf],
    events: &[Event],
) -> Result<RawDocumentBuf, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("blocks.{field}"), expected);
    let encoded = block::encode(events).map_err(|error| Error::invalid("blocks.body", format!("a block ({error})")))?;
    let first = originals.first().ok_or_else(|| wrong("_id", "at least one block"))?;
    let stored = document::read(first, day)?;
    let node: NodeId = first
        .get_str("node")
        .ok()
        .and_then(|node| node.parse().ok())
        .ok_or_else(|| wrong("node", "the name of a node"))?;
    let (mut at, mut before) = (stored.at, 0_usize);
    for original in originals {
        let original = document::read_without_body(original, day)?;
        at = at.max(original.at);
        before += original.events as usize;
    }
    let new = NewBlock {
        tenant: stored.tenant,
        partition: stored.partition,
        day,
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: encoded.meta.count,
        batches: Vec::new(),
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node,
        at,
    };
    let mut rebuilt = RawDocumentBuf::new();
    for field in document::write(&new, id).iter() {
        let (name, value) = field?;
        if !REPLACED.contains(&name.as_str()) {
            rebuilt.append(name, value);
        }
    }
    rebuilt.append(cstr!("batches"), concatenated(originals, "batches")?);
    rebuilt.append(cstr!("srcs"), distinct_texts(originals, "srcs")?);
    let trimmed: i64 = originals.iter().filter_map(|raw| raw.get_i64("trimmed").ok()).sum();
    let trimmed = trimmed.saturating_add(before.saturating_sub(events.len()) as i64);
    if trimmed > 0 {
        rebuilt.append(cstr!("trimmed"), trimmed);
    }
    for name in CARRIED {
        let found = originals.iter().rev().find_map(|original| field(original, name));
        if let Some((name, value)) = found {
            rebuilt.append(name, value);
        }
    }
    writer.seal(rebuilt)
}

fn field<'a>(document: &'a RawDocument, wanted: &str) -> Option<(&'a bson::raw::CStr, RawBsonRef<'a>)> {
    document.iter().flatten().find(|(name, _)| name.as_str() == wanted)
}

fn concatenated(originals: &[RawDocumentBuf], field: &'static str) -> Result<RawArrayBuf, Error> {
    let mut all = RawArrayBuf::new();
    for original in originals {
        let list = original
            .get_array(field)
            .map_err(|_| Error::invalid(format!("blocks.{field}"), "a list"))?;
        for item in list {
            all.push(item?);
        }
    }
    Ok(all)
}

fn distinct_texts(originals: &[RawDocumentBuf], field: &'static str) -> Result<RawArrayBuf, Error> {
    let mut texts: Vec<&str> = Vec::new();
    for original in originals {
        let list = original
            .get_array(field)
            .map_err(|_| Error::invalid(format!("blocks.{field}"), "a list"))?;
        for item in list {
            if let RawBsonRef::String(text) = item?
                && !texts.contains(&text)
            {
                texts.push(text);
            }
        }
    }
    let mut all = RawArrayBuf::new();
    for text in texts {
        all.push(text);
    }
    Ok(all)
}
