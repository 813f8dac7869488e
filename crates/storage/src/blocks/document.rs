//! Blocks as BSON: written by hand, because a tree of values for half a megabyte of columns is a waste.

use std::net::IpAddr;

use bson::spec::BinarySubtype;
use bson::{Document, RawArrayBuf, RawBinaryRef, RawDocument, RawDocumentBuf, cstr, doc};
use model::chain::Link;
use model::{BatchKey, Partition, SourceId, Tenant, Timestamp};

use super::parts::{self, Body, Columns};
use super::{BlockBatch, BlockId, Day, FoundBlock, NewBlock, Seal, StoredBlock, ask, classes};
use crate::Error;

/// Version of the document's form.
const VERSION: i32 = 2;

pub(super) fn binary(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

pub(super) fn write(block: &NewBlock, id: BlockId) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("_id"), id.object_id());
    // Searches ask for these of every block, and the database looks for a field from the front.
    document.append(cstr!("tfn"), ask::length(&block.token_filter));
    document.append(cstr!("tf"), binary(&block.token_filter));
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
    parts::write(&mut document, &block.body);
    document
}

fn write_batch(batch: &BlockBatch) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("k"), batch.key.to_string());
    document.append(cstr!("seq"), batch.key.first_seq.cast_signed());
    document.append(cstr!("n"), batch.count.cast_signed());
    document.append(cstr!("src"), batch.key.source.to_string());
    document.append(cstr!("hash"), binary(&batch.hash));
    if let Some(link) = &batch.link {
        // Only what the fields above do not say already.
        if link.first_seq != batch.key.first_seq {
            document.append(cstr!("first"), link.first_seq.cast_signed());
        }
        if link.count != batch.count {
            document.append(cstr!("of"), link.count.cast_signed());
        }
        document.append(cstr!("made"), link.created_at.0);
        document.append(cstr!("prev"), binary(&link.previous_hash));
        document.append(cstr!("payload"), binary(&link.payload_hash));
    }
    document
}

/// What a collector signs of a stored block: everything but its name and what changes later.
const SEALED: [&str; 20] = [
    "tenant", "part", "min", "max", "n", "minutes", "batches", "srcs", "ips", "classes", "trimmed", "v", "node", "at",
    "tfn", "tf", "body", "more", "head", "cols",
];

/// BLAKE3 over the sealed fields, as a BSON document of them in a fixed order.
pub(super) fn digest(raw: &RawDocument) -> Result<[u8; 32], Error> {
    let mut sealed = RawDocumentBuf::new();
    for name in SEALED {
        let value = raw
            .get(name)
            .map_err(|_| Error::invalid(format!("blocks.{name}"), "a readable value"))?;
        if let Some(value) = value {
            let name = <&bson::raw::CStr>::try_from(name)
                .map_err(|_| Error::invalid("blocks", "names of fields without zero bytes"))?;
            sealed.append(name, value);
        }
    }
    Ok(*blake3::hash(sealed.as_bytes()).as_bytes())
}

pub(super) fn append_seal(document: &mut RawDocumentBuf, seal: &Seal) {
    let mut proof = RawDocumentBuf::new();
    proof.append(cstr!("signer"), seal.signer.as_str());
    proof.append(cstr!("sig"), binary(&seal.signature));
    document.append(cstr!("proof"), proof);
}

/// The seal; `None` when there is none, or it has another form.
pub(super) fn seal(raw: &RawDocument) -> Option<Seal> {
    let proof = raw.get_document("proof").ok()?;
    Some(Seal {
        signer: proof.get_str("signer").ok()?.to_owned(),
        signature: proof.get_binary("sig").ok()?.bytes.to_vec(),
    })
}

/// The list of batches, of a block or of what is left of one.
pub(super) fn batches(raw: &RawDocument, tenant: &Tenant) -> Result<Vec<BlockBatch>, Error> {
    let wrong = || Error::invalid("blocks.batches", "a list of batches with k, n and hash");
    let list = raw.get_array("batches").map_err(|_| wrong())?;
    list.into_iter()
        .map(|batch| {
            let batch = batch.ok().and_then(|batch| batch.as_document()).ok_or_else(wrong)?;
            read_batch(batch, tenant).ok_or_else(wrong)
        })
        .collect()
}

fn read_batch(raw: &RawDocument, tenant: &Tenant) -> Option<BlockBatch> {
    let hash = |field: &str| <[u8; 32]>::try_from(raw.get_binary(field).ok()?.bytes).ok();
    let number = |field: &str| raw.get_i64(field).ok().map(i64::cast_unsigned);
    let count = |field: &str| raw.get_i32(field).ok().map(i32::cast_unsigned);
    // The name has the epoch as its third part; it must say what the other fields do.
    let name = raw.get_str("k").ok()?;
    let key = BatchKey {
        tenant: tenant.clone(),
        source: raw.get_str("src").ok()?.parse().ok()?,
        epoch: name.split('/').nth(2)?.parse().ok()?,
        first_seq: number("seq")?,
    };
    if key.to_string() != name {
        return None;
    }
    let own = count("n")?;
    let link = match raw.get_i64("made") {
        Err(_) => None,
        Ok(made) => Some(Link {
            epoch: key.epoch,
            first_seq: number("first").unwrap_or(key.first_seq),
            count: count("of").unwrap_or(own),
            created_at: Timestamp(made),
            previous_hash: hash("prev")?,
            payload_hash: hash("payload")?,
        }),
    };
    Some(BlockBatch {
        key,
        count: own,
        hash: hash("hash")?,
        link,
    })
}

/// Rounded up, so that `max` in whole milliseconds is not before the latest event.
fn ceil_millis(time: Timestamp) -> i64 {
    Timestamp(time.0.saturating_add(999)).as_millis()
}

/// Reads a block; `body` is left empty when it was not asked for. Also one that another took the place of, for whoever
/// still knows its name.
pub(super) fn read(raw: &RawDocument, day: Day) -> Result<StoredBlock, Error> {
    let mut block = read_without_body(raw, day)?;
    block.body = parts::whole(raw)?;
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

/// What has to be fetched for [`found`].
pub(super) fn projection(columns: &Columns) -> Document {
    let mut fields = doc! { "min": 1, "max": 1, "n": 1, "body": 1 };
    if !matches!(columns, Columns::Only(_)) {
        fields.insert("head", 1);
    }
    match columns {
        Columns::All => {
            fields.insert("cols", 1);
        }
        Columns::Of(names) | Columns::Only(names) => {
            for path in names.iter().flat_map(parts::paths) {
                fields.insert(path, 1);
            }
        }
    }
    fields
}

/// Reads what [`projection`] asks for.
pub(super) fn found(raw: &RawDocument, day: Day, columns: &Columns) -> Result<FoundBlock, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("blocks.{field}"), expected);
    let time = |field: &'static str| {
        raw.get_datetime(field)
            .map(|at| Timestamp::from_millis(at.timestamp_millis()))
            .map_err(|_| wrong(field, "a date"))
    };
    let id = raw.get_object_id("_id").map_err(|_| wrong("_id", "an object id"))?;
    Ok(FoundBlock {
        day,
        id: BlockId(id.bytes()),
        min: time("min")?,
        max: time("max")?,
        events: raw
            .get_i32("n")
            .ok()
            .and_then(|count| u32::try_from(count).ok())
            .ok_or_else(|| wrong("n", "a count"))?,
        body: match columns {
            Columns::All => Body::Whole(parts::whole(raw)?),
            Columns::Of(_) | Columns::Only(_) => parts::some(raw)?,
        },
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
