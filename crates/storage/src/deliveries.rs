//! `deliveries`: what collectors told each endpoint and heard from it, one record for each epoch.
//!
//! Blocks say what is stored. This says the rest: how far the newest receipt reached and who signed it, which batches and
//! events were refused and why, which the endpoint gave up, and how often batches came again. Together they account for
//! every number.

use std::collections::BTreeMap;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, Document, doc};
use futures_util::TryStreamExt as _;
use model::{Epoch, NodeId, SourceId, Tenant, Timestamp};
use mongodb::IndexModel;

use crate::{Error, Store};

const COLLECTION: &str = "deliveries";
/// Epochs kept of one source; an endpoint starts a new one only with a fresh spool.
const MAX_EPOCHS: i64 = 64;
/// Entries kept of each kind in one epoch.
const MAX_ENTRIES: i32 = 1000;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let index = IndexModel::builder()
        .keys(doc! { "tenant": 1, "source": 1, "updated_at": -1 })
        .build();
    store.collection::<Document>(COLLECTION).create_index(index).await?;
    Ok(())
}

/// The life of one numbering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Whose.
    pub tenant: Tenant,
    /// Who numbers.
    pub source: SourceId,
    /// In which life.
    pub epoch: Epoch,
}

impl Numbering {
    fn id(&self) -> Document {
        doc! { "_id": format!("{}/{}/{}", self.tenant, self.source, self.epoch) }
    }

    /// What every update sets.
    fn set(&self) -> Document {
        doc! {
            "tenant": self.tenant.as_str(),
            "source": self.source.to_string(),
            "epoch": self.epoch.to_string(),
            "first_at": { "$ifNull": ["$first_at", "$$NOW"] },
            "updated_at": "$$NOW",
        }
    }
}

/// A receipt as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Everything below is settled.
    pub next_seq: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// The collector.
    pub node: NodeId,
    /// Serial number of its certificate.
    pub signer: String,
    /// See `identity::receipt`.
    pub signature: Vec<u8>,
}

/// Events of a batch that a collector did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// First number of the batch.
    pub first_seq: u64,
    /// Numbers in the batch.
    pub count: u32,
    /// Events of it that were not taken.
    pub events: u32,
    /// A name such as `batch_hash`.
    pub reason: String,
}

/// Numbers an endpoint gave up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// A name such as `spool_full`.
    pub reason: String,
    /// First number.
    pub first_seq: u64,
    /// How many.
    pub count: u64,
}

/// One epoch's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// In which life.
    pub epoch: Epoch,
    /// When the epoch was first heard of.
    pub first_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// The newest receipt that was recorded; up to some seconds behind the newest that was given.
    pub receipt: Option<Receipt>,
    /// What was refused.
    pub refused: Vec<Refused>,
    /// Refusals beyond what is kept.
    pub refused_left_out: u64,
    /// What the endpoint gave up.
    pub given_up: Vec<GivenUp>,
    /// Reports of runs beyond what is kept; a run that is reported again counts again.
    pub given_up_left_out: u64,
    /// Batches that came again and were stored already.
    pub repeated_batches: u64,
    /// Their events.
    pub repeated_events: u64,
    /// First numbers of batches that did not follow from the one before.
    pub chain_breaks: Vec<u64>,
}

/// What [`note`] adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// A receipt that was given.
    pub receipt: Option<Receipt>,
    /// Batches that came again since the last note.
    pub repeated_batches: u64,
    /// Their events.
    pub repeated_events: u64,
}

/// Notes that an epoch has begun, or goes on. Of one source at most 64 are kept, the last changed ones.
///
/// # Errors
/// When the database is away.
pub async fn open(store: &Store, numbering: &Numbering) -> Result<(), Error> {
    let collection = store.collection::<Document>(COLLECTION);
    let opened = collection
        .update_one(numbering.id(), vec![doc! { "$set": numbering.set() }])
        .upsert(true)
        .await?;
    if opened.upserted_id.is_none() {
        return Ok(());
    }
    let of_source = doc! { "tenant": numbering.tenant.as_str(), "source": numbering.source.to_string() };
    let excess: Vec<Document> = collection
        .find(of_source)
        .sort(doc! { "updated_at": -1 })
        .skip(MAX_EPOCHS.cast_unsigned())
        .limit(MAX_EPOCHS)
        .projection(doc! { "_id": 1 })
        .await?
        .try_collect()
        .await?;
    let ids: Vec<Bson> = excess
        .into_iter()
        .filter_map(|mut document| document.remove("_id"))
        .collect();
    if !ids.is_empty() {
        collection.delete_many(doc! { "_id": { "$in": ids } }).await?;
    }
    Ok(())
}

/// Notes a receipt, unless a later one is noted, and repeated batches.
///
/// # Errors
/// When the database is away.
pub async fn note(store: &Store, numbering: &Numbering, progress: &Progress) -> Result<(), Error> {
    let mut set = numbering.set();
    if let Some(receipt) = &progress.receipt {
        let next = receipt.next_seq.cast_signed();
        let signature = Binary {
            subtype: BinarySubtype::Generic,
            bytes: receipt.signature.clone(),
        };
        let new = doc! {
            "next_seq": next, "issued_at": receipt.issued_at.0, "node": receipt.node.as_str(), "signer": &receipt.signer,
            "signature": signature,
        };
        let known = doc! { "$gt": ["$receipt.next_seq", next] };
        set.insert("receipt", doc! { "$cond": [known, "$receipt", { "$literal": new }] });
    }
    for (field, grown) in [
        ("repeated_batches", progress.repeated_batches),
        ("repeated_events", progress.repeated_events),
    ] {
        if grown > 0 {
            let sum = doc! { "$add": [{ "$ifNull": [format!("${field}"), 0_i64] }, grown.cast_signed()] };
            set.insert(field, sum);
        }
    }
    update(store, numbering, set).await
}

/// Records that events were refused. Recording the same again changes nothing.
///
/// # Errors
/// When the database is away.
pub async fn refuse(store: &Store, numbering: &Numbering, refused: &Refused) -> Result<(), Error> {
    let entry = doc! {
        "seq": refused.first_seq.cast_signed(), "of": refused.count.cast_signed(), "n": refused.events.cast_signed(),
        "reason": &refused.reason,
    };
    let list = doc! { "$ifNull": ["$refused", []] };
    let known = doc! { "$in": [{ "$literal": &entry }, &list] };
    let full = doc! { "$gte": [{ "$size": &list }, MAX_ENTRIES] };
    let left_out = doc! { "$ifNull": ["$refused_left_out", 0_i64] };
    let mut set = numbering.set();
    set.insert(
        "refused_left_out",
        doc! { "$cond": [{ "$and": [&full, { "$not": [&known] }] }, { "$add": [&left_out, 1_i64] }, &left_out] },
    );
    let grown = doc! { "$concatArrays": [&list, [{ "$literal": &entry }]] };
    set.insert("refused", doc! { "$cond": [{ "$or": [known, full] }, &list, grown] });
    update(store, numbering, set).await
}

/// Records numbers that an endpoint gave up. What is recorded of a run only grows. Runs beyond those that are kept are
/// counted, each time they are reported.
///
/// # Errors
/// When the database is away.
pub async fn give_up(store: &Store, numbering: &Numbering, given_up: &GivenUp) -> Result<(), Error> {
    let field = format!("given_up.{}_{:016x}", given_up.reason, given_up.first_seq);
    let known = doc! { "$ifNull": [format!("${field}"), 0_i64] };
    let entries = doc! { "$size": { "$objectToArray": { "$ifNull": ["$given_up", {}] } } };
    let keep = doc! { "$or": [{ "$lt": [entries, MAX_ENTRIES] }, { "$gt": [&known, 0_i64] }] };
    let left_out = doc! { "$ifNull": ["$given_up_left_out", 0_i64] };
    let grown = doc! { "$max": [known, i64::try_from(given_up.count).unwrap_or(i64::MAX)] };
    let mut set = numbering.set();
    set.insert(
        "given_up_left_out",
        doc! { "$cond": [&keep, &left_out, { "$add": [&left_out, 1_i64] }] },
    );
    set.insert(field, doc! { "$cond": [keep, grown, "$$REMOVE"] });
    update(store, numbering, set).await
}

/// Records that a batch did not follow from the one before it.
///
/// # Errors
/// When the database is away.
pub async fn break_chain(store: &Store, numbering: &Numbering, first_seq: u64) -> Result<(), Error> {
    let list = doc! { "$ifNull": ["$chain_breaks", []] };
    let union = doc! { "$setUnion": [&list, [first_seq.cast_signed()]] };
    let mut set = numbering.set();
    let full = doc! { "$gte": [{ "$size": &list }, MAX_ENTRIES] };
    set.insert("chain_breaks", doc! { "$cond": [full, list, union] });
    update(store, numbering, set).await
}

async fn update(store: &Store, numbering: &Numbering, set: Document) -> Result<(), Error> {
    store
        .collection::<Document>(COLLECTION)
        .update_one(numbering.id(), vec![doc! { "$set": set }])
        .upsert(true)
        .await?;
    Ok(())
}

/// A source's epochs, the earliest first.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn of_source(store: &Store, tenant: &Tenant, source: SourceId) -> Result<Vec<Delivery>, Error> {
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "tenant": tenant.as_str(), "source": source.to_string() })
        .sort(doc! { "first_at": 1 })
        .await?
        .try_collect()
        .await?;
    documents.iter().map(from_document).collect()
}

fn from_document(document: &Document) -> Result<Delivery, Error> {
    let wrong = |field: &str, expected: &str| Error::invalid(format!("deliveries.{field}"), expected);
    let time = |field: &str| {
        let at = document.get_datetime(field).map_err(|_| wrong(field, "a date"))?;
        Ok::<_, Error>(Timestamp::from_millis(at.timestamp_millis()))
    };
    let count = |field: &str| document.get_i64(field).map_or(0, i64::cast_unsigned);
    let epoch = document.get_str("epoch").ok().and_then(|text| text.parse().ok());
    let receipt = document.get_document("receipt").ok();
    let refused = document.get_array("refused").into_iter().flatten();
    let given_up = document.get_document("given_up").ok();
    let breaks = document.get_array("chain_breaks").into_iter().flatten();
    Ok(Delivery {
        epoch: epoch.ok_or_else(|| wrong("epoch", "an epoch"))?,
        first_at: time("first_at")?,
        updated_at: time("updated_at")?,
        receipt: receipt
            .map(|receipt| read_receipt(receipt).ok_or_else(|| wrong("receipt", "a receipt")))
            .transpose()?,
        refused: refused
            .map(|entry| {
                let entry = entry.as_document().and_then(read_refused);
                entry.ok_or_else(|| wrong("refused", "a list of seq, of, n and reason"))
            })
            .collect::<Result<_, _>>()?,
        refused_left_out: count("refused_left_out"),
        given_up: given_up
            .into_iter()
            .flatten()
            .map(|(key, count)| read_given_up(key, count).ok_or_else(|| wrong("given_up", "runs of numbers")))
            .collect::<Result<_, _>>()?,
        given_up_left_out: count("given_up_left_out"),
        repeated_batches: count("repeated_batches"),
        repeated_events: count("repeated_events"),
        chain_breaks: breaks.filter_map(Bson::as_i64).map(i64::cast_unsigned).collect(),
    })
}

fn read_receipt(receipt: &Document) -> Option<Receipt> {
    let Some(Bson::Binary(signature)) = receipt.get("signature") else {
        return None;
    };
    Some(Receipt {
        next_seq: receipt.get_i64("next_seq").ok()?.cast_unsigned(),
        issued_at: Timestamp(receipt.get_i64("issued_at").ok()?),
        node: receipt.get_str("node").ok()?.parse().ok()?,
        signer: receipt.get_str("signer").ok()?.to_owned(),
        signature: signature.bytes.clone(),
    })
}

fn read_refused(entry: &Document) -> Option<Refused> {
    Some(Refused {
        first_seq: entry.get_i64("seq").ok()?.cast_unsigned(),
        count: entry.get_i32("of").ok()?.cast_unsigned(),
        events: entry.get_i32("n").ok()?.cast_unsigned(),
        reason: entry.get_str("reason").ok()?.to_owned(),
    })
}

fn read_given_up(key: &str, count: &Bson) -> Option<GivenUp> {
    let (reason, first) = key.rsplit_once('_')?;
    Some(GivenUp {
        reason: reason.to_owned(),
        first_seq: u64::from_str_radix(first, 16).ok()?,
        count: count.as_i64()?.cast_unsigned(),
    })
}

/// Events refused, by reason.
#[must_use]
pub fn refused_by_reason(deliveries: &[Delivery]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for refused in deliveries.iter().flat_map(|delivery| &delivery.refused) {
        *sums.entry(refused.reason.clone()).or_insert(0) += u64::from(refused.events);
    }
    sums
}
