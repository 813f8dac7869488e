//! Reading one day's blocks latest first, whatever happens to them meanwhile.
//!
//! The cursor reads a snapshot, so blocks that are merged meanwhile are read as they were. The server keeps a snapshot for
//! minutes only; whoever reads longer loses the cursor, and goes on behind what was read with another. What may have been
//! merged between the two are blocks of one hour with each other, so only in the hour at hand has it to be found out which
//! events were read already: merged blocks name their originals, and those stay for a day.

use std::collections::{HashSet, VecDeque};

use bson::oid::ObjectId;
use bson::{Document, RawDocumentBuf, doc};
use futures_util::TryStreamExt as _;
use mongodb::Cursor;
use mongodb::options::ReadConcern;

use super::ask::{self, Asked};
use super::scan::{filter, in_span};
use super::snapshot::{is_lost, patiently};
use super::{Columns, Day, ScanQuery, document, ordered};
use crate::{Error, Store};

/// Blocks fetched from the database at once. Bounds the memory of a scan to a few of them.
const FETCH: u32 = 8;
/// The same where only parts of them are.
const FETCH_PARTS: u32 = 32;
/// The same where the first are likely to be enough.
const FETCH_FEW: u32 = 2;
/// The same where of each only a few events are likely to match.
const FETCH_FEW_PARTS: u32 = 8;
const HOUR_MILLIS: i64 = 3_600_000;
/// Cursors lost one after the other without a block between them.
const MAX_LOST: u32 = 5;

/// A day that is being read.
pub(super) struct OpenDay {
    pub(super) day: Day,
    /// `max` of the next block, or later.
    pub(super) next_max: i64,
    pub(super) next: Option<RawDocumentBuf>,
    /// What blocks that may match are like; `None` until the day is due.
    filter: Option<Document>,
    cursor: Option<Cursor<RawDocumentBuf>>,
    /// Blocks of the hour at hand that were read.
    seen: HashSet<ObjectId>,
    /// `max` of the last of them.
    last_max: Option<i64>,
    /// Blocks of the hour at hand that are left of a lost cursor.
    left: VecDeque<ObjectId>,
    lost: u32,
}

/// A block's place in the order, and what it was made of.
struct Place {
    id: ObjectId,
    max: i64,
    of: Vec<ObjectId>,
}

impl OpenDay {
    /// The day, when it has blocks of the span. Which of them may match is asked when the day is due: of a day without any
    /// the database looks at every block.
    pub(super) async fn find(store: &Store, query: &ScanQuery, day: Day) -> Result<Option<Self>, Error> {
        let collection = super::collection(store, day);
        let find = collection
            .find_one(in_span(query))
            .sort(doc! { "max": -1 })
            .projection(doc! { "_id": 0, "max": 1 });
        let find = match query.max_time {
            Some(time) => find.max_time(time),
            None => find,
        };
        let Some(latest) = find.await? else { return Ok(None) };
        let max = latest
            .get_datetime("max")
            .map_err(|_| Error::invalid("blocks.max", "a date"))?;
        Ok(Some(Self {
            day,
            next_max: max.timestamp_millis(),
            next: None,
            filter: None,
            cursor: None,
            seen: HashSet::new(),
            last_max: None,
            left: VecDeque::new(),
            lost: 0,
        }))
    }

    /// Makes the next block ready; false when there is none.
    pub(super) async fn advance(&mut self, store: &Store, query: &ScanQuery) -> Result<bool, Error> {
        let Some(raw) = self.read(store, query).await? else {
            return Ok(false);
        };
        let max = raw
            .get_datetime("max")
            .map_err(|_| Error::invalid("blocks.max", "a date"))?
            .timestamp_millis();
        if self.last_max.is_none_or(|last| hour(last) != hour(max)) {
            self.seen.clear();
        }
        if let Ok(id) = raw.get_object_id("_id") {
            self.seen.insert(id);
        }
        self.last_max = Some(max);
        self.next_max = max;
        self.next = Some(raw);
        self.lost = 0;
        Ok(true)
    }

    async fn read(&mut self, store: &Store, query: &ScanQuery) -> Result<Option<RawDocumentBuf>, Error> {
        loop {
            while let Some(id) = self.left.pop_front() {
                let raw = store
                    .collection::<RawDocumentBuf>(&self.day.collection())
                    .find_one(doc! { "_id": id, "gone": { "$exists": false } })
                    .projection(projection(query))
                    .await?;
                // Retention may have removed it meanwhile.
                if raw.is_some() {
                    return Ok(raw);
                }
            }
            let Some(cursor) = &mut self.cursor else {
                self.cursor = Some(self.open(store, query).await?);
                continue;
            };
            match cursor.try_next().await {
                Ok(raw) => return Ok(raw),
                Err(error) if is_lost(&error) && self.lost < MAX_LOST => {
                    self.lost += 1;
                    self.cursor = None;
                    self.go_on(store, query).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// What blocks that may match are like, as far as the server can tell.
    async fn wanted(&mut self, store: &Store, query: &ScanQuery) -> Result<Document, Error> {
        if let Some(wanted) = &self.filter {
            return Ok(wanted.clone());
        }
        let mut wanted = filter(query);
        if let Some(asked) = Asked::new(&query.need) {
            wanted.extend(asked.condition(&ask::lengths(store, query, self.day).await?));
        }
        self.filter = Some(wanted.clone());
        Ok(wanted)
    }

    /// A cursor over what was not read yet.
    async fn open(&mut self, store: &Store, query: &ScanQuery) -> Result<Cursor<RawDocumentBuf>, Error> {
        let mut wanted = self.wanted(store, query).await?;
        if let Some(before) = self.last_max.map(hour) {
            wanted = doc! { "$and": [wanted, { "max": { "$lt": bson::DateTime::from_millis(before) } }] };
        }
        let fetch = match query.columns {
            // What an agent sends stands together; a word or an address may stand once in a block.
            Columns::Of(_) | Columns::Only(_) if query.few && query.need.is_selective() && query.source.is_none() => {
                FETCH_FEW_PARTS
            }
            _ if query.few => FETCH_FEW,
            Columns::All => FETCH,
            Columns::Of(_) | Columns::Only(_) => FETCH_PARTS,
        };
        ordered::open(store, self.day, query, &wanted, &projection(query), fetch).await
    }

    /// Finds out what is left of the hour at hand.
    async fn go_on(&mut self, store: &Store, query: &ScanQuery) -> Result<(), Error> {
        let Some(last) = self.last_max else { return Ok(()) };
        let start = hour(last);
        let date = |millis: i64| bson::DateTime::from_millis(millis);
        let of_hour = doc! { "max": { "$gte": date(start), "$lt": date(start + HOUR_MILLIS) } };
        let filter = doc! { "$and": [self.wanted(store, query).await?, of_hour] };
        let mut left: Vec<(i64, ObjectId)> = Vec::new();
        for place in places(store, self.day, filter).await? {
            // What came in since is not looked for.
            if place.of.is_empty() && place.max > last {
                continue;
            }
            let (unseen, some_seen) = unseen(store, self.day, &self.seen, &place).await?;
            if some_seen {
                left.extend(unseen);
            } else {
                left.push((place.max, place.id));
            }
        }
        left.sort_unstable_by(|a, b| b.cmp(a));
        self.left = left.into_iter().map(|(_, id)| id).collect();
        Ok(())
    }
}

/// Which parts of a block were not read, and whether any part was.
async fn unseen(
    store: &Store,
    day: Day,
    seen: &HashSet<ObjectId>,
    place: &Place,
) -> Result<(Vec<(i64, ObjectId)>, bool), Error> {
    if seen.contains(&place.id) {
        return Ok((Vec::new(), true));
    }
    let whole = (vec![(place.max, place.id)], false);
    if place.of.is_empty() {
        return Ok(whole);
    }
    let originals = places(store, day, doc! { "_id": { "$in": &place.of } }).await?;
    if originals.len() < place.of.len() {
        // They were removed a day after the merge, so before this reading began.
        return Ok(whole);
    }
    let (mut all, mut any) = (Vec::new(), false);
    for original in &originals {
        let (unseen, some_seen) = Box::pin(unseen(store, day, seen, original)).await?;
        all.extend(unseen);
        any |= some_seen;
    }
    Ok(if any { (all, true) } else { whole })
}

async fn places(store: &Store, day: Day, filter: Document) -> Result<Vec<Place>, Error> {
    let cursor = patiently!(
        super::collection(store, day)
            .find(filter.clone())
            .projection(doc! { "max": 1, "merged.of": 1 })
            .read_concern(ReadConcern::snapshot())
    )?;
    let found: Vec<Document> = cursor.try_collect().await?;
    let places = found.iter().filter_map(|found| {
        let of = found.get_document("merged").and_then(|merged| merged.get_array("of"));
        Some(Place {
            id: found.get_object_id("_id").ok()?,
            max: found.get_datetime("max").ok()?.timestamp_millis(),
            of: of.into_iter().flatten().filter_map(bson::Bson::as_object_id).collect(),
        })
    });
    Ok(places.collect())
}

/// The first millisecond of the hour.
fn hour(millis: i64) -> i64 {
    millis.div_euclid(HOUR_MILLIS) * HOUR_MILLIS
}

fn projection(query: &ScanQuery) -> Document {
    let mut fields = document::projection(&query.columns);
    if query.need.asks_for_networks() {
        fields.insert("ips", 1);
    }
    fields
}
