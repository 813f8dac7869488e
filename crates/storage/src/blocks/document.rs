//! Blocks as BSON: written by hand, because a tree of values for half a megabyte of columns is a waste.

use std::net::IpAddr;

use bson::spec::BinarySubtype;
use bson::{RawArrayBuf, RawBinaryRef, RawDocument, RawDocumentBuf, cstr};
use model::{Partition, SourceId, Timestamp};

use super::{BlockBatch, BlockId, Day, NewBlock, StoredBlock, classes};
use crate::Error;

/// Version of the document's form.
const VERSION: i32 = 1;

fn binary(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

pub(super) fn write(block: &NewBlock, id: BlockId) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), id.object_id());
    document.append(cstr!("tenant"), block.tenant.as_str());
    document.append(cstr!("part"), i32::from(block.partition.number()));
    document.append(cstr!("min"), bson::DateTime::from_millis(block.min.as_millis()));
    document.append(cstr!("max"), bson::DateTime::from_millis(ceil_millis(block.max)));
    document.append(cstr!("n"), block.events.cast_signed());
    if let Some(minutes) = &block.minutes {
        document.append(cstr!("minutes"), binary(minutes));
    }
    let mut batches = RawArrayBuf::new();
    let mut sources: Vec<SourceId> = Vec::new();
    for batch in &block.batches {
        batches.push(write_batch(batch));
        if !sources.contains(&batch.key.source) {
            sources.push(batch.key.source);
        }
    }
    document.append(cstr!("batches"), batches);
    let mut srcs = RawArrayBuf::new();
    for source in &sources {
        srcs.push(source.to_string());
    }
    document.append(cstr!("srcs"), srcs);
    if let Some(ips) = &block.ips {
        let mut list = RawArrayBuf::new();
        for ip in ips {
            list.push(ip.as_str());
        }
        document.append(cstr!("ips"), list);
    }
    if let Some(classes) = classes::of_body(&block.body) {
        document.append(cstr!("classes"), classes.as_str());
    }
    document.append(cstr!("v"), VERSION);
    document.append(cstr!("node"), block.node.as_str());
    document.append(cstr!("at"), bson::DateTime::from_millis(block.at.as_millis()));
    document.append(cstr!("pending"), true);
    document.append(cstr!("tf"), binary(&block.token_filter));
    document.append(cstr!("body"), binary(&block.body));
    document
}

fn write_batch(batch: &BlockBatch) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("k"), batch.key.to_string());
    document.append(cstr!("seq"), batch.key.first_seq.cast_signed());
    document.append(cstr!("n"), batch.count.cast_signed());
    document.append(cstr!("src"), batch.key.source.to_string());
    document.append(cstr!("hash"), binary(&batch.hash));
    document
}

/// Rounded up, so that `max` in whole milliseconds is not before the latest event.
fn ceil_millis(time: Timestamp) -> i64 {
    Timestamp(time.0.saturating_add(999)).as_millis()
}

/// Reads a block; `body` is left empty when it was not asked for. Also one that another took the place of, for whoever
/// still knows its name.
pub(super) fn read(raw: &RawDocument, day: Day) -> Result<StoredBlock, Error> {
    let mut block = read_without_body(raw, day)?;
    if let Ok(body) = raw.get_binary("body") {
        block.body = body.bytes.to_vec();
    }
    Ok(block)
}

/// [`read`] for whoever does not look at the body.
pub(super) fn read_without_body(raw: &RawDocument, day: Day) -> Result<StoredBlock, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("blocks.{field}"), expected);
    let number = |field: &'static str| raw.get_i32(field).map_err(|_| wrong(field, "a 32-bit number"));
    let time = |field: &'static str| {
        raw.get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| wrong(field, "a date"))
    };
    let id = raw.get_object_id("_id").map_err(|_| wrong("_id", "an object id"))?;
    let tenant = raw
        .get_str("tenant")
        .or_else(|_| raw.get_document("was").and_then(|was| was.get_str("tenant")))
        .map_err(|_| wrong("tenant", "text"))?;
    let mut sources = Vec::new();
    for source in raw.get_array("srcs").map_err(|_| wrong("srcs", "a list"))? {
        let source = source
            .ok()
            .and_then(|source| source.as_str().and_then(|text| text.parse().ok()))
            .ok_or_else(|| wrong("srcs", "source ids"))?;
        sources.push(source);
    }
    Ok(StoredBlock {
        day,
        id: BlockId(id.bytes()),
        tenant: tenant
            .parse()
            .map_err(|error| Error::invalid("blocks.tenant", format!("{error}")))?,
        partition: u16::try_from(number("part")?)
            .ok()
            .and_then(Partition::new)
            .ok_or_else(|| wrong("part", "the number of a partition"))?,
        min: time("min")?,
        max: time("max")?,
        events: u32::try_from(number("n")?).map_err(|_| wrong("n", "a count"))?,
        sources,
        at: time("at")?,
        body: Vec::new(),
    })
}

/// The addresses; `None` when they were not asked for or there are too many to list.
pub(super) fn ips(raw: &RawDocument) -> Option<Vec<IpAddr>> {
    let list = raw.get_array("ips").ok()?;
    let ips = list.into_iter().map(|ip| ip.ok()?.as_str()?.parse().ok());
    ips.collect()
}

/// The token filter; empty when there is none.
pub(super) fn token_filter(raw: &RawDocument) -> &[u8] {
    raw.get_binary("tf").map(|filter| filter.bytes).unwrap_or_default()
}
