//! Blocks in the order of searches, by an index that has it.

use bson::{Document, RawDocumentBuf, doc};
use mongodb::Cursor;
use mongodb::options::{Hint, ReadConcern};

use super::snapshot::{lacks_index, patiently};
use super::write::{by_address, by_time};
use super::{Day, ScanQuery};
use crate::{Error, Store};

/// Opens a cursor over a day's blocks with these properties, latest first, as they are at this moment.
///
/// Left to itself, the database may look at every block of the day and sort before it gives the first one.
pub(super) async fn open(
    store: &Store,
    day: Day,
    query: &ScanQuery,
    filter: &Document,
    projection: &Document,
    at_once: u32,
) -> Result<Cursor<RawDocumentBuf>, Error> {
    let collection = store.collection::<RawDocumentBuf>(&day.collection());
    let keys = if query.addresses.is_some() {
        by_address()
    } else {
        by_time()
    };
    let mut hint = Some(Hint::Keys(keys));
    loop {
        let opened = patiently!({
            let find = collection
                .find(filter.clone())
                .sort(doc! { "max": -1 })
                .projection(projection.clone())
                .batch_size(at_once)
                .read_concern(ReadConcern::snapshot());
            let find = match &hint {
                Some(hint) => find.hint(hint.clone()),
                None => find.allow_disk_use(true),
            };
            match query.max_time {
                Some(time) => find.max_time(time),
                None => find,
            }
        });
        match opened {
            // Restored without it, or not built yet.
            Err(error) if hint.is_some() && lacks_index(&error) => hint = None,
            done => return done,
        }
    }
}
