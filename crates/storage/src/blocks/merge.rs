//! Merging small blocks into one: the same events under the same ids, in the same batches.
//!
//! One transaction puts the merged block in the place of its originals, so that at any moment each batch, and with it each
//! event, is in exactly one block, and the unique index over batches goes on refusing repeats. The originals stay, hidden
//! from everything that is scoped by tenant, for whoever began to read before; [`forget_merged`] removes them later.

use bson::{Document, RawArrayBuf, RawDocumentBuf, cstr, doc};
use futures_util::TryStreamExt as _;
use model::{Event, Partition, Tenant, Timestamp};

use super::{BlockId, Day, Writer, document, rebuild, write};
use crate::{Error, Store};

/// Largest document a merged block may become, in bytes.
const MAX_STORED: usize = 15 << 20;
/// Most weight of the events of a merged block: as of blocks that are made of batches.
const MAX_WEIGHT: usize = 12 << 20;
/// Most events of a merged block.
const MAX_EVENTS: u32 = 4000;
/// Most blocks merged into one.
const MAX_ORIGINALS: usize = 1000;
const HOUR_MILLIS: i64 = 3_600_000;
/// The mark of blocks that were merged into another.
pub(super) const MERGED: &str = "merged";

/// Small blocks that may become one: of one tenant, partition and hour (that of their latest event).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The day.
    pub day: Day,
    /// Whose.
    pub tenant: Tenant,
    /// Which partition.
    pub partition: Partition,
    /// The first moment of the hour.
    pub hour: Timestamp,
    /// Small blocks in it.
    pub blocks: u64,
}

/// A small block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Small {
    /// Which.
    pub id: BlockId,
    /// Events in it.
    pub events: u32,
}

/// What merging did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merge {
    /// Blocks that became one; none when they were changed meanwhile or are too large together.
    pub originals: u64,
    /// Blocks that are so heavy that they stay as they are.
    pub too_heavy: Vec<BlockId>,
    /// Events in them.
    pub events: u64,
    /// Their bytes, as documents.
    pub bytes_before: u64,
    /// Bytes of the document that took their place.
    pub bytes_after: u64,
}

/// Cells of a day with at least two blocks of fewer than `small` events, whose hour ended before `ended`.
///
/// # Errors
/// When the database is away or a record is not readable.
pub async fn cells(store: &Store, day: Day, small: u32, ended: Timestamp) -> Result<Vec<Cell>, Error> {
    let last = bson::DateTime::from_millis(ended.as_millis().saturating_sub(HOUR_MILLIS));
    let pipeline = [
        doc! { "$match": { "tenant": { "$gt": "" }, "n": { "$lt": small.cast_signed() }, "max": { "$lt": last } } },
        doc! { "$group": {
            "_id": {
                "tenant": "$tenant", "part": "$part",
                "hour": { "$dateTrunc": { "date": "$max", "unit": "hour" } },
            },
            "blocks": { "$sum": 1_i64 },
        } },
        doc! { "$match": { "blocks": { "$gte": 2_i64 } } },
    ];
    let mut cursor = super::collection(store, day)
        .aggregate(pipeline)
        .hint(mongodb::options::Hint::Keys(write::by_time()))
        .await?;
    let mut cells = Vec::new();
    while let Some(found) = cursor.try_next().await? {
        cells.push(read_cell(day, &found)?);
    }
    Ok(cells)
}

fn read_cell(day: Day, found: &Document) -> Result<Cell, Error> {
    let wrong = |field: &str| Error::invalid(format!("blocks.{field}"), "a block's");
    let id = found.get_document("_id").map_err(|_| wrong("tenant"))?;
    let tenant = id.get_str("tenant").ok().and_then(|tenant| tenant.parse().ok());
    let partition = id.get_i32("part").ok().and_then(|part| u16::try_from(part).ok());
    Ok(Cell {
        day,
        tenant: tenant.ok_or_else(|| wrong("tenant"))?,
        partition: partition.and_then(Partition::new).ok_or_else(|| wrong("part"))?,
        hour: id
            .get_datetime("hour")
            .map(|hour| Timestamp::from_millis(hour.timestamp_millis()))
            .map_err(|_| wrong("max"))?,
        blocks: found.get_i64("blocks").unwrap_or(0).unsigned_abs(),
    })
}

fn mergeable(tenant: &Tenant) -> Document {
    doc! { "tenant": tenant.as_str(), "pending": { "$exists": false }, "marks": { "$exists": false } }
}

/// The small blocks of a cell that were stored before `stored_before`, detectors are done with and nothing holds; in the
/// order of time, at most 10,000.
///
/// # Errors
/// When the database is away.
pub async fn small(store: &Store, cell: &Cell, small: u32, stored_before: Timestamp) -> Result<Vec<Small>, Error> {
    let start = cell.hour.as_millis();
    let mut filter = mergeable(&cell.tenant);
    filter.extend(doc! {
        "part": i32::from(cell.partition.number()),
        "max": {
            "$gte": bson::DateTime::from_millis(start),
            "$lt": bson::DateTime::from_millis(start + HOUR_MILLIS),
        },
        "n": { "$lt": small.cast_signed() },
        "at": { "$lt": bson::DateTime::from_millis(stored_before.as_millis()) },
    });
    let mut cursor = super::collection(store, cell.day)
        .find(filter)
        .sort(doc! { "max": 1 })
        .projection(doc! { "n": 1 })
        .limit(10_000)
        .await?;
    let mut found = Vec::new();
    while let Some(block) = cursor.try_next().await? {
        let id = block.get_object_id("_id").ok();
        let events = block.get_i32("n").ok().and_then(|n| u32::try_from(n).ok());
        if let Some((id, events)) = id.zip(events) {
            found.push(Small {
                id: BlockId(id.bytes()),
                events,
            });
        }
    }
    Ok(found)
}

/// Which of a cell's blocks become one each: as many as fit, in their order; those that would stay alone are left out.
#[must_use]
pub fn plan(small: &[Small]) -> Vec<Vec<Small>> {
    let mut groups: Vec<Vec<Small>> = Vec::new();
    let mut events = 0;
    for block in small {
        let fits = |group: &Vec<Small>| group.len() < MAX_ORIGINALS && events + block.events <= MAX_EVENTS;
        match groups.last_mut().filter(|group| fits(group)) {
            Some(group) => {
                group.push(*block);
                events += block.events;
            }
            None => {
                groups.push(vec![*block]);
                events = block.events;
            }
        }
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// Makes one block of several of one tenant, partition and day. When one of them was changed meanwhile, nothing happens.
///
/// # Errors
/// When the database is away, or a block is not readable: then it is named, and nothing happened.
pub async fn merge(writer: &Writer, cell: &Cell, blocks: &[Small]) -> Result<Merge, Error> {
    let store = writer.store();
    let mut fitting = Fitting::new(MAX_STORED);
    let collection = store.collection::<RawDocumentBuf>(&cell.day.collection());
    for block in blocks {
        let Some(raw) = collection.find_one(doc! { "_id": block.id.object_id() }).await? else {
            return Ok(Merge::default());
        };
        if !fitting.add(raw.as_bytes().len(), (block.id, raw)) {
            break;
        }
    }
    let Fitting { taken, aside, .. } = fitting;
    let mut too_heavy: Vec<BlockId> = aside.into_iter().map(|(id, _)| id).collect();
    let originals = taken.into_iter().map(|(_, (_, raw))| raw).collect();
    let (day, id) = (cell.day, BlockId::generate());
    let signing = writer.clone();
    let (made, aside) = tokio::task::spawn_blocking(move || make(&signing, day, id, originals))
        .await
        .map_err(|error| Error::invalid("blocks.body", format!("a block ({error})")))??;
    too_heavy.extend(aside);
    let nothing = |too_heavy| Merge {
        too_heavy,
        ..Merge::default()
    };
    let Some(Made {
        document,
        originals,
        events,
        bytes_before,
    }) = made
    else {
        return Ok(nothing(too_heavy));
    };
    // Readers that go by id must come to it after its originals.
    if originals.iter().any(|(original, _)| *original >= id) {
        return Ok(nothing(too_heavy));
    }
    let bytes_after = document.as_bytes().len() as u64;
    if !replace(store, cell, id, &originals, document).await? {
        return Ok(nothing(too_heavy));
    }
    Ok(Merge {
        originals: originals.len() as u64,
        too_heavy,
        events,
        bytes_before,
        bytes_after,
    })
}

/// What fits together, in its order. Of two that do not even fit with each other the heavier one is set aside, so that it
/// does not keep those behind it from being merged.
struct Fitting<T> {
    max: usize,
    taken: Vec<(usize, T)>,
    aside: Vec<T>,
}

impl<T> Fitting<T> {
    fn new(max: usize) -> Self {
        Self {
            max,
            taken: Vec::new(),
            aside: Vec::new(),
        }
    }

    /// False when no more fits.
    fn add(&mut self, weight: usize, item: T) -> bool {
        let together = self.taken.iter().map(|(weight, _)| weight).sum::<usize>() + weight;
        if together <= self.max || self.taken.is_empty() {
            self.taken.push((weight, item));
            return true;
        }
        if self.taken.len() > 1 {
            return false;
        }
        match self.taken.pop() {
            Some((lighter, first)) if lighter < weight => {
                self.taken.push((lighter, first));
                self.aside.push(item);
            }
            first => {
                self.aside.extend(first.map(|(_, first)| first));
                self.taken.push((weight, item));
            }
        }
        true
    }
}

struct Made {
    document: RawDocumentBuf,
    /// With how many events each has.
    originals: Vec<(BlockId, u32)>,
    events: u64,
    bytes_before: u64,
}

/// The merged document of as many of the originals as fit, `None` when that is one; and those that are too heavy.
fn make(
    writer: &Writer,
    day: Day,
    id: BlockId,
    raws: Vec<RawDocumentBuf>,
) -> Result<(Option<Made>, Vec<BlockId>), Error> {
    let mut fitting = Fitting::new(MAX_WEIGHT);
    for raw in raws {
        let stored = document::read(&raw, day)?;
        let unreadable = |error: block::DecodeError| {
            Error::invalid(format!("blocks.body of {}", stored.id), format!("a block ({error})"))
        };
        let events = block::Block::open(&stored.body)
            .and_then(|block| block.events())
            .map_err(unreadable)?;
        let weight = events.iter().map(block::weight).sum();
        if !fitting.add(weight, (stored.id, raw, events)) {
            break;
        }
    }
    let mut too_heavy: Vec<BlockId> = fitting.aside.into_iter().map(|(id, ..)| id).collect();
    if fitting.taken.len() < 2 {
        return Ok((None, too_heavy));
    }
    let heaviest = fitting.taken.iter().max_by_key(|(weight, _)| *weight);
    let heaviest = heaviest.map(|(_, (id, ..))| *id);
    let mut events: Vec<Event> = Vec::new();
    let (mut originals, mut raws) = (Vec::new(), Vec::new());
    for (_, (original, raw, theirs)) in fitting.taken {
        let count = raw.get_i32("n").ok().and_then(|n| u32::try_from(n).ok());
        originals.push((original, count.unwrap_or_default()));
        raws.push(raw);
        events.extend(theirs);
    }
    let mut document = rebuild::rebuild(writer, day, id, &raws, &events)?;
    let mut of = RawArrayBuf::new();
    for (original, _) in &originals {
        of.push(original.object_id());
    }
    let mut merged = RawDocumentBuf::new();
    merged.append(cstr!("at"), bson::DateTime::now());
    merged.append(cstr!("of"), of);
    document.append(cstr!("merged"), merged);
    if document.as_bytes().len() > MAX_STORED {
        too_heavy.extend(heaviest);
        return Ok((None, too_heavy));
    }
    let made = Made {
        document,
        events: events.len() as u64,
        bytes_before: raws.iter().map(|raw| raw.as_bytes().len() as u64).sum(),
        originals,
    };
    Ok((Some(made), too_heavy))
}

/// False when an original is not as it was read; then nothing changed.
async fn replace(
    store: &Store,
    cell: &Cell,
    id: BlockId,
    originals: &[(BlockId, u32)],
    document: RawDocumentBuf,
) -> Result<bool, Error> {
    let as_read = originals
        .iter()
        .map(|(id, events)| doc! { "_id": id.object_id(), "n": events.cast_signed() });
    let mut filter = mergeable(&cell.tenant);
    filter.insert("$or", as_read.collect::<Vec<_>>());
    let hide = vec![
        doc! { "$set": {
            "was": { "tenant": "$tenant", "by": id.object_id(), "at": "$$NOW" },
            "marks": [MERGED],
            // The index over batches needs something of its own from every document.
            "batches": [{ "k": { "$concat": ["-/", { "$toString": "$_id" }] } }],
        } },
        doc! { "$unset": ["tenant"] },
    ];
    let mut session = store.database().client().start_session().await?;
    session.start_transaction().await?;
    let hidden = super::collection(store, cell.day)
        .update_many(filter, hide)
        .session(&mut session)
        .await?;
    if hidden.modified_count != originals.len() as u64 {
        session.abort_transaction().await?;
        return Ok(false);
    }
    store
        .collection::<RawDocumentBuf>(&cell.day.collection())
        .insert_one(document)
        .session(&mut session)
        .await?;
    session.commit_transaction().await?;
    Ok(true)
}

/// Removes the originals of blocks that were merged before `before`. Answers with how many.
///
/// # Errors
/// When the database is away.
pub async fn forget_merged(store: &Store, day: Day, before: Timestamp) -> Result<u64, Error> {
    let old = doc! { "marks": MERGED, "was.at": { "$lt": bson::DateTime::from_millis(before.as_millis()) } };
    Ok(super::collection(store, day).delete_many(old).await?.deleted_count)
}

/// Whether originals of merged blocks are left in a day.
///
/// # Errors
/// When the database is away.
pub async fn has_originals(store: &Store, day: Day) -> Result<bool, Error> {
    let found = super::collection(store, day).find_one(doc! { "marks": MERGED }).await?;
    Ok(found.is_some())
}

#[cfg(test)]
mod tests {
    use model::{BatchKey, Epoch, EventId, Fields, SourceId};
    use proptest::prelude::*;

    use super::super::{BlockBatch, NewBlock};
    use super::*;

    #[test]
    fn blocks_are_taken_in_order_as_long_as_they_fit() {
        let small = |events: &[u32]| -> Vec<Small> {
            events
                .iter()
                .map(|events| Small {
                    id: BlockId([7; 12]),
                    events: *events,
                })
                .collect()
        };
        let sizes = |events: &[u32]| -> Vec<Vec<u32>> {
            plan(&small(events))
                .iter()
                .map(|group| group.iter().map(|block| block.events).collect())
                .collect()
        };
        assert_eq!(sizes(&[1, 2, 3]), [vec![1, 2, 3]]);
        assert_eq!(
            sizes(&[1999, 1999, 3, 1999, 1998]),
            [vec![1999, 1999], vec![3, 1999, 1998]]
        );
        assert_eq!(sizes(&[4]), Vec::<Vec<u32>>::new());
        let many = vec![1; 2500];
        assert_eq!(plan(&small(&many[..200])).len(), 1);
        assert_eq!(sizes(&many).iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
    }

    #[test]
    fn what_is_too_heavy_does_not_stall_those_behind_it() {
        let fit = |weights: &[usize]| {
            let mut fitting = Fitting::new(10);
            for weight in weights {
                if !fitting.add(*weight, *weight) {
                    break;
                }
            }
            let taken: Vec<usize> = fitting.taken.into_iter().map(|(_, item)| item).collect();
            (taken, fitting.aside)
        };
        assert_eq!(fit(&[1, 2, 3]), (vec![1, 2, 3], vec![]));
        assert_eq!(fit(&[9, 2, 3, 4, 5]), (vec![2, 3, 4], vec![9]));
        assert_eq!(fit(&[2, 9, 3]), (vec![2, 3], vec![9]));
        assert_eq!(fit(&[30, 40, 3, 3]), (vec![3, 3], vec![40, 30]));
        assert_eq!(fit(&[2, 3, 9, 1]), (vec![2, 3], vec![]));
        assert_eq!(fit(&[30]), (vec![30], vec![]));
    }

    const DAY: i64 = 20_000;

    /// A block of some batches, each of some events.
    fn original(number: u8, batches: &[Vec<(i64, String)>]) -> (RawDocumentBuf, Vec<Event>) {
        let source = SourceId::named("test", &(number % 3).to_string());
        let mut events = Vec::new();
        let mut listed = Vec::new();
        for (batch, texts) in batches.iter().enumerate() {
            let first_seq = u64::from(number) * 1000 + batch as u64 * 100;
            for ((offset, text), seq) in texts.iter().zip(first_seq..) {
                let mut fields = Fields::new();
                fields.insert("message", text.as_str());
                let id = EventId {
                    source,
                    epoch: Epoch(7),
                    seq,
                };
                let timestamp = Timestamp(DAY * 86_400_000_000 + offset);
                events.push(Event { id, timestamp, fields });
            }
            listed.push(BlockBatch {
                key: BatchKey {
                    tenant: Tenant::default(),
                    source,
                    epoch: Epoch(7),
                    first_seq,
                },
                count: texts.len() as u32,
                hash: [number; 32],
                link: None,
            });
        }
        let encoded = block::encode(&events).unwrap();
        let new = NewBlock {
            tenant: Tenant::default(),
            partition: Partition::of(&Tenant::default(), &source),
            day: Day::from_number(DAY).unwrap(),
            min: encoded.meta.min_time,
            max: encoded.meta.max_time,
            events: encoded.meta.count,
            batches: listed,
            ips: encoded.meta.ips,
            minutes: encoded.meta.minutes,
            token_filter: encoded.meta.token_filter,
            body: encoded.bytes,
            node: "collector-1".parse().unwrap(),
            at: Timestamp(i64::from(number)),
        };
        (document::write(&new, BlockId([number; 12])), events)
    }

    fn batches_of(raw: &bson::RawDocument) -> Vec<Vec<u8>> {
        let list = raw.get_array("batches").unwrap();
        let bytes = |item: bson::RawBsonRef<'_>| item.as_document().unwrap().as_bytes().to_vec();
        list.into_iter().map(|item| bytes(item.unwrap())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn merging_is_the_identity_on_events_and_batches(
            blocks in proptest::collection::vec(
                proptest::collection::vec(
                    proptest::collection::vec((0_i64..3_600_000_000, "[a-z0-9. ]{0,20}"), 1..6),
                    1..4,
                ),
                2..8,
            ),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let writer = runtime.block_on(async {
                Writer::new(Store::connect("mongodb://127.0.0.1:1", "none", "test").await.unwrap())
            });
            let originals: Vec<_> = (1..).zip(&blocks).map(|(number, batches)| original(number, batches)).collect();
            let raws: Vec<_> = originals.iter().map(|(raw, _)| raw.clone()).collect();
            let events: Vec<Event> = originals.iter().flat_map(|(_, events)| events.clone()).collect();
            let day = Day::from_number(DAY).unwrap();
            let (made, too_heavy) = make(&writer, day, BlockId([200; 12]), raws.clone()).unwrap();
            let made = made.unwrap();
            prop_assert_eq!(too_heavy, Vec::new());
            let stored = document::read(&made.document, day).unwrap();
            prop_assert_eq!(block::Block::open(&stored.body).unwrap().events().unwrap(), events.clone());
            prop_assert_eq!(stored.events as usize, events.len());
            let expected: Vec<_> = raws.iter().flat_map(|raw| batches_of(raw)).collect();
            prop_assert_eq!(batches_of(&made.document), expected);
            prop_assert_eq!(made.originals.len(), blocks.len());
            // As if the events had come in together.
            let again = block::encode(&events).unwrap();
            prop_assert_eq!(&stored.body, &again.bytes);
            prop_assert_eq!(document::token_filter(&made.document), again.meta.token_filter.as_slice());
            prop_assert!(made.document.get_bool("pending").is_err());
        }
    }
}
