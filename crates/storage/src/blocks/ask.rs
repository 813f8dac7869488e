//! Asking the database which blocks' token filters have what is needed, so that filters are not sent.
//!
//! Which bits of a filter are asked for depends on its length, and telling lengths apart costs the database more than
//! looking at the bits. So it is asked first which lengths a day's filters have: mostly a few.

use block::Question;
use bson::{Document, doc};
use futures_util::TryStreamExt as _;
use mongodb::options::Hint;
use query::Need;

use super::snapshot::lacks_index;
use super::write::by_filter_length;
use super::{Day, ScanQuery, collection};
use crate::{Error, Store};

/// Most words asked for: each takes a few places in filters of every length. What more is needed is found out later.
const MAX_ASKED: usize = 24;

/// What is asked of a filter.
pub(super) enum Asked {
    /// Every block may have it.
    Anything,
    Bits(Question),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Asked {
    /// What a database can be asked for; `None` when every block may have it.
    pub(super) fn new(need: &Need) -> Option<Self> {
        let mut left = MAX_ASKED;
        Some(Self::of(need, &mut left)).filter(|asked| !matches!(asked, Self::Anything))
    }

    /// What the documents of blocks are like that may have it. Filters of other than these lengths, which are in order,
    /// may have anything.
    pub(super) fn condition(&self, lengths: &[usize]) -> Document {
        let lengths: Vec<(usize, i32)> = lengths
            .iter()
            .filter_map(|len| Some((*len, i32::try_from(*len).ok()?)))
            .collect();
        let known: Vec<i32> = lengths.iter().map(|(_, number)| *number).collect();
        let mut any = any_of(&lengths, self);
        any.push(doc! { "tfn": { "$nin": known } });
        doc! { "$or": any }
    }

    fn of(need: &Need, left: &mut usize) -> Self {
        let mut bits = |question: Question| match left.checked_sub(question.len()) {
            Some(rest) if !question.is_empty() => {
                *left = rest;
                Self::Bits(question)
            }
            _ => Self::Anything,
        };
        match need {
            Need::Nothing | Need::Network(_) => Self::Anything,
            Need::Words(words) => bits(Question::words(words)),
            Need::Address(ip) => bits(Question::address(*ip)),
            Need::All(parts) => {
                let mut all: Vec<Self> = parts.iter().map(|part| Self::of(part, left)).collect();
                all.retain(|part| !matches!(part, Self::Anything));
                if all.is_empty() { Self::Anything } else { Self::All(all) }
            }
            Need::Any(parts) => {
                let any: Vec<Self> = parts.iter().map(|part| Self::of(part, left)).collect();
                let is_open = any.iter().any(|part| matches!(part, Self::Anything));
                if is_open { Self::Anything } else { Self::Any(any) }
            }
        }
    }

    /// The condition on filters of so many bytes.
    fn in_filter(&self, len: usize) -> Document {
        let each = |parts: &[Self]| -> Vec<Document> { parts.iter().map(|part| part.in_filter(len)).collect() };
        match self {
            Self::Anything => Document::new(),
            Self::Bits(question) => {
                let bits: Vec<i32> = question.bits(len).filter_map(|bit| i32::try_from(bit).ok()).collect();
                doc! { "tf": { "$bitsAllSet": bits } }
            }
            Self::All(all) => doc! { "$and": each(all) },
            Self::Any(any) => doc! { "$or": each(any) },
        }
    }
}

/// The length of a filter as documents have it, for [`condition`].
pub(super) fn length(filter: &[u8]) -> i32 {
    i32::try_from(filter.len()).unwrap_or_default()
}

/// Lengths that are compared one after the other. Among more, a document's is looked for by halves.
const FEW: usize = 6;

/// The lengths that filters of the tenant's blocks have on a day, of those that filters have today; all of these when there
/// is no index to tell by.
pub(super) async fn lengths(store: &Store, query: &ScanQuery, day: Day) -> Result<Vec<usize>, Error> {
    let of_day = [
        doc! { "$match": { "tenant": query.tenant.as_str() } },
        doc! { "$group": { "_id": "$tfn" } },
    ];
    let blocks = collection(store, day);
    let found = blocks.aggregate(of_day).hint(Hint::Keys(by_filter_length()));
    let found = match query.max_time {
        Some(time) => found.max_time(time),
        None => found,
    };
    let mut found = match found.await.map_err(Error::from) {
        // Restored without it, or not built yet.
        Err(error) if lacks_index(&error) => return Ok(block::filter_sizes().collect()),
        found => found?,
    };
    let mut there = Vec::new();
    while let Some(length) = found.try_next().await? {
        there.extend(
            length
                .get_i32("_id")
                .ok()
                .and_then(|length| usize::try_from(length).ok()),
        );
    }
    Ok(block::filter_sizes().filter(|length| there.contains(length)).collect())
}

/// What is asked for in filters of these lengths.
fn any_of(lengths: &[(usize, i32)], asked: &Asked) -> Vec<Document> {
    let middle = lengths.len() / 2;
    match lengths.get(middle) {
        Some((_, first)) if lengths.len() > FEW => {
            let (low, high) = lengths.split_at(middle);
            let half = |side: Document, lengths| doc! { "$and": [side, { "$or": any_of(lengths, asked) }] };
            vec![
                half(doc! { "tfn": { "$lt": *first } }, low),
                half(doc! { "tfn": { "$gte": *first } }, high),
            ]
        }
        _ => lengths
            .iter()
            .map(|(len, number)| doc! { "$and": [{ "tfn": *number }, asked.in_filter(*len)] })
            .collect(),
    }
}
