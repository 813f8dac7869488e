//! `correlations`: what detectors know of windows of event time, as logs.
//!
//! A **log** is about one correlation, one window of event time, and one share of its groups. It consists of segments
//! with the numbers 1, 2, 3, ...; a segment is only ever added as the next one ([`append`]), so that whoever adds
//! number `n` knows all before it, and two writers agree on the order. What is in a segment is the detector's business.
//!
//! Now and then a writer puts down the sum of all segments so far as a **checkpoint**. Then the segments before it are
//! deleted, except **milestones**: those whose number is a multiple of [`MILESTONE`]. A reader who knows a log up to `n`
//! asks for number `n + 1` and for the next milestone ([`newer`]). Neither is there: it knows all, for nothing beyond
//! `n` can have been deleted without a milestone beyond `n`. Somebody who adds a segment in place of a deleted one, as
//! they did not know better, finds out by asking once more: then the milestone is there.
//!
//! Records end by themselves at `expires` (a TTL index). A log's record `due` says when its window is to be judged;
//! `part` shares that work among detectors. Written by detectors only.
//!
//! Keys of records: the log's key, `/`, and eight hex digits of the number; `~` for the checkpoint; `!` for what is due.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use bson::spec::BinarySubtype;
use bson::{Binary, Bson, DateTime, Document, doc};
use futures_util::TryStreamExt as _;
use model::{PARTITIONS, Partition, Tenant, Timestamp};
use mongodb::IndexModel;
use mongodb::options::{IndexOptions, ReadConcern};

use crate::bulk::{self, Update, Updated};
use crate::{Error, Store};

const COLLECTION: &str = "correlations";
/// Every so many segments, one is kept for good.
pub const MILESTONE: u32 = 64;
/// Most ids in one query.
const IDS_AT_ONCE: usize = 2000;
/// Most ranges in one query.
const RANGES_AT_ONCE: usize = 16;
/// Tries to read a log while others delete from it.
const TRIES: usize = 5;

pub(crate) async fn ensure_indexes(store: &Store) -> Result<(), Error> {
    let at_its_time = IndexOptions::builder().expire_after(std::time::Duration::ZERO).build();
    let only_due = IndexOptions::builder()
        .partial_filter_expression(doc! { "due": { "$exists": true } })
        .build();
    let indexes = [
        IndexModel::builder()
            .keys(doc! { "expires": 1 })
            .options(at_its_time)
            .build(),
        IndexModel::builder()
            .keys(doc! { "part": 1, "due": 1 })
            .options(only_due)
            .build(),
    ];
    store.collection::<Document>(COLLECTION).create_indexes(indexes).await?;
    Ok(())
}

/// What a log is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Whose.
    pub tenant: Tenant,
    /// Id of the correlation.
    pub rule_id: String,
    /// Its revision.
    pub revision: String,
    /// Number of the window.
    pub window: i64,
    /// Which share of the groups.
    pub share: u8,
}

impl About {
    /// The log's key.
    #[must_use]
    pub fn key(&self) -> LogKey {
        let mut hasher = blake3::Hasher::new();
        for text in [self.tenant.as_str(), &self.rule_id, &self.revision] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&self.window.to_le_bytes());
        hasher.update(&[self.share]);
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        LogKey(u128::from_be_bytes(bytes))
    }
}

/// Names a log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey(u128);

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl LogKey {
    fn segment(self, number: u32) -> String {
        format!("{self}/{number:08x}")
    }

    fn checkpoint(self) -> String {
        format!("{self}/~")
    }

    fn due(self) -> String {
        format!("{self}/!")
    }

    /// The share of the work on due windows this log belongs to.
    fn partition(self) -> i32 {
        i32::try_from(self.0 % u128::from(PARTITIONS)).unwrap_or(0)
    }

    /// Log and rest of a record's key.
    fn parse(id: &str) -> Option<(Self, &str)> {
        let (key, rest) = id.split_once('/')?;
        Some((Self(u128::from_str_radix(key, 16).ok()?), rest))
    }
}

/// The first milestone after a number.
fn milestone_after(number: u32) -> u32 {
    (number / MILESTONE + 1).saturating_mul(MILESTONE)
}

/// A segment to be added.
#[derive(Debug)]
pub struct Segment {
    /// To which log.
    pub key: LogKey,
    /// As which number: one more than is known.
    pub number: u32,
    /// What it says.
    pub body: Vec<u8>,
    /// When it is no longer needed.
    pub expires: Timestamp,
}

/// Adds segments and says of each whether it is there now: not if somebody else added one with its number before.
///
/// # Errors
/// When the database is away or refuses a segment; some may be there then.
pub async fn append(store: &Store, segments: Vec<Segment>) -> Result<Vec<bool>, Error> {
    let documents = segments.into_iter().map(|segment| {
        doc! {
            "_id": segment.key.segment(segment.number),
            "body": binary(segment.body),
            "expires": date(segment.expires),
        }
    });
    bulk::insert(store, COLLECTION, documents.collect()).await
}

/// Which of these logs, known up to these numbers, have more.
///
/// # Errors
/// When the database is away.
pub async fn newer(store: &Store, known: &[(LogKey, u32)]) -> Result<HashSet<LogKey>, Error> {
    let mut found = HashSet::new();
    for known in known.chunks(IDS_AT_ONCE / 2) {
        let ids = known.iter().flat_map(|(key, number)| {
            let next = number.saturating_add(1);
            let milestone = milestone_after(*number);
            [Some(next), (milestone != next).then_some(milestone)]
                .into_iter()
                .flatten()
                .map(|number| key.segment(number))
        });
        let ids: Vec<String> = ids.collect();
        let mut cursor = store
            .collection::<Document>(COLLECTION)
            .find(doc! { "_id": { "$in": ids } })
            .projection(doc! { "_id": 1 })
            .read_concern(ReadConcern::majority())
            .batch_size(u32::try_from(IDS_AT_ONCE).unwrap_or(u32::MAX))
            .await?;
        while let Some(document) = cursor.try_next().await? {
            found.extend(document.get_str("_id").ok().and_then(LogKey::parse).map(|(key, _)| key));
        }
    }
    Ok(found)
}

/// What there is of a log beyond what is known.
#[derive(Clone, Debug, Default)]
pub struct Rest {
    /// The sum of everything up to a number, in place of what was known.
    pub checkpoint: Option<(u32, Vec<u8>)>,
    /// What comes next, in order and without a gap.
    pub segments: Vec<(u32, Vec<u8>)>,
}

/// Reads logs from what is known of them. With nothing known (0), or when parts are gone meanwhile, from the checkpoint.
///
/// # Errors
/// When the database is away.
pub async fn read(store: &Store, known: &[(LogKey, u32)]) -> Result<HashMap<LogKey, Rest>, Error> {
    let mut rests: HashMap<LogKey, Rest> = HashMap::with_capacity(known.len());
    let mut open: Vec<(LogKey, u32)> = known.to_vec();
    for again in 0..TRIES {
        let whole: Vec<LogKey> = open
            .iter()
            .filter(|(_, known)| again > 0 || *known == 0)
            .map(|(key, _)| *key)
            .collect();
        let mut checkpoints = checkpoints(store, &whole).await?;
        let from: Vec<(LogKey, u32)> = open
            .iter()
            .map(|(key, known)| match checkpoints.get(key) {
                Some((number, _)) => (*key, *number),
                None if again > 0 => (*key, 0),
                None => (*key, *known),
            })
            .collect();
        let mut segments = segments_after(store, &from).await?;
        open = Vec::new();
        for (key, from) in from {
            let found = segments.remove(&key).unwrap_or_default();
            let is_last_try = again + 1 == TRIES;
            // What is gone for good has ended by itself: the window is long over.
            let first = if is_last_try {
                found.keys().next().copied().unwrap_or(from + 1)
            } else {
                from.saturating_add(1)
            };
            let is_whole = found.keys().zip(first..).all(|(number, expected)| *number == expected);
            if is_whole || is_last_try {
                let segments = found.into_iter().collect();
                let checkpoint = checkpoints.remove(&key);
                rests.insert(key, Rest { checkpoint, segments });
            } else {
                open.push((key, from));
            }
        }
        if open.is_empty() {
            break;
        }
    }
    Ok(rests)
}

async fn checkpoints(store: &Store, keys: &[LogKey]) -> Result<HashMap<LogKey, (u32, Vec<u8>)>, Error> {
    let mut found = HashMap::new();
    for keys in keys.chunks(IDS_AT_ONCE) {
        let ids: Vec<String> = keys.iter().map(|key| key.checkpoint()).collect();
        let mut cursor = store
            .collection::<Document>(COLLECTION)
            .find(doc! { "_id": { "$in": ids } })
            .read_concern(ReadConcern::majority())
            .await?;
        while let Some(mut document) = cursor.try_next().await? {
            let key = document.get_str("_id").ok().and_then(LogKey::parse).map(|(key, _)| key);
            let number = document.get_i64("n").ok().and_then(|number| u32::try_from(number).ok());
            if let (Some(key), Some(number), Some(body)) = (key, number, take_body(&mut document)) {
                found.insert(key, (number, body));
            }
        }
    }
    Ok(found)
}

async fn segments_after(
    store: &Store,
    known: &[(LogKey, u32)],
) -> Result<HashMap<LogKey, BTreeMap<u32, Vec<u8>>>, Error> {
    let mut found: HashMap<LogKey, BTreeMap<u32, Vec<u8>>> = HashMap::new();
    for known in known.chunks(RANGES_AT_ONCE) {
        let ranges: Vec<Document> = known
            .iter()
            .map(|(key, number)| doc! { "_id": { "$gt": key.segment(*number), "$lte": key.segment(u32::MAX) } })
            .collect();
        let mut cursor = store
            .collection::<Document>(COLLECTION)
            .find(doc! { "$or": ranges })
            .read_concern(ReadConcern::majority())
            .await?;
        while let Some(mut document) = cursor.try_next().await? {
            let Some(body) = take_body(&mut document) else { continue };
            let id = document.get_str("_id").ok().and_then(LogKey::parse);
            let id = id.and_then(|(key, number)| Some((key, u32::from_str_radix(number, 16).ok()?)));
            if let Some((key, number)) = id {
                found.entry(key).or_default().insert(number, body);
            }
        }
    }
    Ok(found)
}

fn take_body(document: &mut Document) -> Option<Vec<u8>> {
    match document.remove("body") {
        Some(Bson::Binary(binary)) => Some(binary.bytes),
        _ => None,
    }
}

/// The sum of a log up to a number.
#[derive(Debug)]
pub struct Checkpoint {
    /// Which log.
    pub key: LogKey,
    /// Number of the last checkpoint that is known; 0 when none is.
    pub previous: u32,
    /// The last segment that it contains.
    pub number: u32,
    /// What it says.
    pub body: Vec<u8>,
    /// When it is no longer needed.
    pub expires: Timestamp,
}

/// Puts down the sum of a log up to a number, unless there is one of a higher number, and deletes what it makes
/// superfluous since the previous one.
///
/// # Errors
/// When the database is away or the checkpoint is too large for it.
pub async fn put_checkpoint(store: &Store, checkpoint: Checkpoint) -> Result<(), Error> {
    let Checkpoint {
        key,
        previous,
        number,
        body,
        expires,
    } = checkpoint;
    let update = Update {
        filter: doc! { "_id": key.checkpoint(), "n": { "$lt": i64::from(number) } },
        update: Bson::Document(doc! {
            "$set": { "n": i64::from(number), "body": binary(body) },
            "$max": { "expires": date(expires) },
        }),
        upsert: true,
    };
    let updated = bulk::update(store, COLLECTION, vec![update]).await?;
    if updated.first() == Some(&Updated::Duplicate) {
        return Ok(());
    }
    let gaps: Vec<Document> = (previous / MILESTONE..number / MILESTONE)
        .map(|milestones| milestones * MILESTONE)
        .map(|from| doc! { "_id": { "$gt": key.segment(from), "$lt": key.segment(from + MILESTONE) } })
        .collect();
    for gaps in gaps.chunks(RANGES_AT_ONCE) {
        store
            .collection::<Document>(COLLECTION)
            .delete_many(doc! { "$or": gaps })
            .await?;
    }
    Ok(())
}

/// Sees to it that the windows of logs are judged, and not before these times. To be called after what is to be judged
/// was added.
///
/// # Errors
/// When the database is away.
pub async fn arm(store: &Store, logs: &[(About, Timestamp)], expires: Timestamp) -> Result<(), Error> {
    let updates = logs.iter().map(|(about, due)| {
        let key = about.key();
        Update {
            filter: doc! { "_id": key.due() },
            update: Bson::Document(doc! {
                "$max": { "due": date(*due), "expires": date(expires.max(*due)) },
                "$setOnInsert": {
                    "tenant": about.tenant.as_str(),
                    "rule": &about.rule_id,
                    "rev": &about.revision,
                    "window": about.window,
                    "share": i32::from(about.share),
                    "part": key.partition(),
                },
            }),
            upsert: true,
        }
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

/// A log whose window's time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// What it is about.
    pub about: About,
    /// Since when.
    pub due: Timestamp,
}

/// Logs of these shares of the work that are due at `now`, the longest due first; at most `limit`. A record that is not
/// readable is reported and not due any more, so that it does not keep the others waiting.
///
/// # Errors
/// When the database is away.
pub async fn due(store: &Store, partitions: &[Partition], now: Timestamp, limit: u32) -> Result<Vec<Due>, Error> {
    let parts: Vec<i32> = partitions.iter().map(|part| i32::from(part.number())).collect();
    let documents: Vec<Document> = store
        .collection::<Document>(COLLECTION)
        .find(doc! { "part": { "$in": parts }, "due": { "$lte": date(now) } })
        .sort(doc! { "due": 1 })
        .limit(i64::from(limit))
        .await?
        .try_collect()
        .await?;
    let (mut found, mut unreadable) = (Vec::with_capacity(documents.len()), Vec::new());
    for document in &documents {
        match read_due(document) {
            Ok(due) => found.push(due),
            Err(error) => {
                let id = document.get("_id").cloned().unwrap_or(Bson::Null);
                tracing::error!(%id, error = &error as &dyn std::error::Error, "due window not readable, it is not judged");
                unreadable.push(Update {
                    filter: doc! { "_id": id },
                    update: Bson::Document(doc! { "$unset": { "due": "" } }),
                    upsert: false,
                });
            }
        }
    }
    if !unreadable.is_empty() {
        bulk::update(store, COLLECTION, unreadable).await?;
    }
    Ok(found)
}

fn read_due(document: &Document) -> Result<Due, Error> {
    let text = |field: &str| {
        document
            .get_str(field)
            .map(str::to_owned)
            .map_err(|_| Error::invalid(format!("correlations.{field}"), "text"))
    };
    let share = document
        .get_i32("share")
        .ok()
        .and_then(|share| u8::try_from(share).ok());
    Ok(Due {
        about: About {
            tenant: text("tenant")?
                .parse()
                .map_err(|error| Error::invalid("correlations.tenant", format!("{error}")))?,
            rule_id: text("rule")?,
            revision: text("rev")?,
            window: document
                .get_i64("window")
                .map_err(|_| Error::invalid("correlations.window", "a 64-bit number"))?,
            share: share.ok_or_else(|| Error::invalid("correlations.share", "a number from 0 to 255"))?,
        },
        due: document
            .get_datetime("due")
            .map(|due| Timestamp::from_millis(due.timestamp_millis()))
            .map_err(|_| Error::invalid("correlations.due", "a date"))?,
    })
}

/// Notes that windows were judged, unless they are to be judged again since.
///
/// # Errors
/// When the database is away.
pub async fn settle(store: &Store, judged: &[Due]) -> Result<(), Error> {
    let updates = judged.iter().map(|judged| Update {
        filter: doc! { "_id": judged.about.key().due(), "due": date(judged.due) },
        update: Bson::Document(doc! { "$unset": { "due": "" } }),
        upsert: false,
    });
    bulk::update(store, COLLECTION, updates.collect()).await?;
    Ok(())
}

fn binary(bytes: Vec<u8>) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Generic,
        bytes,
    })
}

fn date(time: Timestamp) -> DateTime {
    DateTime::from_millis(time.as_millis())
}
