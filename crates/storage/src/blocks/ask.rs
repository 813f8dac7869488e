//! Asking the database which blocks' token filters have what is needed, so that filters are not sent.

use block::Question;
use bson::{Bson, Document, doc};
use query::Need;

/// Most words asked for: each takes a few places in filters of every length. What more is needed is found out later.
const MAX_ASKED: usize = 24;

enum Asked {
    /// Every block may have it.
    Anything,
    Bits(Question),
    All(Vec<Self>),
    Any(Vec<Self>),
}

impl Asked {
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

/// What the documents of blocks that may have what is needed are like; `None` when every block may. Filters of a length
/// that none has today may hold anything.
pub(super) fn condition(need: &Need) -> Option<Document> {
    let mut left = MAX_ASKED;
    let asked = Asked::of(need, &mut left);
    if matches!(asked, Asked::Anything) {
        return None;
    }
    let lengths: Vec<(usize, i32)> = block::filter_sizes()
        .filter_map(|len| Some((len, i32::try_from(len).ok()?)))
        .collect();
    // Halved again and again, so that a document is compared to a few lengths and not to all.
    fn any_of(lengths: &[(usize, i32)], asked: &Asked) -> Document {
        match lengths {
            [] => doc! { "tfn": { "$in": Vec::<Bson>::new() } },
            [(len, number)] => doc! { "$and": [{ "tfn": *number }, asked.in_filter(*len)] },
            more => {
                let (low, high) = more.split_at(more.len() / 2);
                let Some((_, first)) = high.first() else {
                    return Document::new();
                };
                doc! { "$or": [
                    { "$and": [{ "tfn": { "$lt": *first } }, any_of(low, asked)] },
                    { "$and": [{ "tfn": { "$gte": *first } }, any_of(high, asked)] },
                ] }
            }
        }
    }
    let known: Vec<i32> = lengths.iter().map(|(_, number)| *number).collect();
    Some(doc! { "$or": [any_of(&lengths, &asked), { "tfn": { "$nin": known } }] })
}
