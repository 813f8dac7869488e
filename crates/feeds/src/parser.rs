//! One parser for every format that is one body.

use model::indicator::IndicatorType;

use crate::Kind;
use crate::columns::{self, Columns, Row};
use crate::entry::{Class, Entry, Item, shown};
use crate::lines::{Line, Lines, MAX_LINE_BYTES};
use crate::list;
use crate::stix::Bundle;
use crate::{feodo, malwarebazaar, threatfox, times, urlhaus};

/// How to read a feed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What the values of a plain list are; each line is asked for its own when absent.
    pub kind: Option<IndicatorType>,
}

/// Reads a feed piece by piece.
#[derive(Debug)]
pub struct Parser(Inner);

#[derive(Debug)]
enum Inner {
    Table(Lines, Table),
    List(Lines, Options),
    Stix(Box<Bundle>),
}

/// A format of rows.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) columns: Columns,
    pub(crate) read: fn(place: &str, row: Row<'_>, items: &mut Vec<Item>),
}

impl Parser {
    /// A parser for that kind; `None` for kinds that are not one body: [`Kind::Misp`] and [`Kind::Taxii`].
    #[must_use]
    pub fn new(kind: Kind, options: Options) -> Option<Self> {
        let table = |table| Inner::Table(Lines::default(), table);
        Some(Self(match kind {
            Kind::Feodo => table(feodo::table()),
            Kind::Urlhaus => table(urlhaus::table()),
            Kind::ThreatFox => table(threatfox::table()),
            Kind::MalwareBazaar => table(malwarebazaar::table()),
            Kind::List => Inner::List(Lines::default(), options),
            Kind::Stix => Inner::Stix(Box::default()),
            Kind::Misp | Kind::Taxii => return None,
        }))
    }

    /// Reads the next bytes; what they complete is added to `items`.
    pub fn push(&mut self, bytes: &[u8], items: &mut Vec<Item>) {
        match &mut self.0 {
            Inner::Table(lines, table) => lines.push(bytes, &mut |number, line| table.line(number, line, items)),
            Inner::List(lines, options) => {
                lines.push(bytes, &mut |number, line| list_line(number, line, *options, items));
            }
            Inner::Stix(bundle) => bundle.push(bytes, items),
        }
    }

    /// Ends the feed. What an end in the middle leaves unusable is added to `items`.
    pub fn finish(&mut self, items: &mut Vec<Item>) {
        match &mut self.0 {
            Inner::Table(lines, table) => lines.finish(&mut |number, line| table.line(number, line, items)),
            Inner::List(lines, options) => {
                lines.finish(&mut |number, line| list_line(number, line, *options, items));
            }
            Inner::Stix(bundle) => bundle.finish(items),
        }
    }
}

impl Table {
    fn line(&mut self, number: u64, line: Line<'_>, items: &mut Vec<Item>) {
        let place = format!("line {number}");
        let Some(text) = text_of(&place, line, items) else {
            return;
        };
        let text = text.trim();
        if let Some(comment) = text.strip_prefix('#') {
            self.columns.take_header(comment.trim());
            return;
        }
        if text.is_empty() || self.columns.take_header(text) {
            return;
        }
        match columns::split(text) {
            Some(fields) => (self.read)(&place, self.columns.row(&fields), items),
            None => {
                let reason = format!("expected fields parted by commas, got {}", shown(text));
                items.push(Item::refused(place, "row", Class::Malformed, reason));
            }
        }
    }
}

fn list_line(number: u64, line: Line<'_>, options: Options, items: &mut Vec<Item>) {
    let place = format!("line {number}");
    if let Some(text) = text_of(&place, line, items) {
        list::read(&place, text, options.kind, items);
    }
}

fn text_of<'a>(place: &str, line: Line<'a>, items: &mut Vec<Item>) -> Option<&'a str> {
    let (class, reason) = match line {
        Line::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(_) => (Class::Malformed, "expected UTF-8".to_owned()),
        },
        Line::TooLong => (Class::TooLarge, format!("expected at most {MAX_LINE_BYTES} bytes")),
    };
    items.push(Item::refused(place, "line", class, reason));
    None
}

/// When the publisher first saw it, for the note. It is no `valid_from`: what was seen today was there before, and
/// looking back for it is what stored events are for.
pub(crate) fn first_seen(text: Option<&str>) -> String {
    text.and_then(times::parse)
        .map(|time| format!(", first seen {}", time.to_utc().format("%Y-%m-%d %H:%M")))
        .unwrap_or_default()
}

/// The entry of a field, or why there is none.
pub(crate) fn single(
    place: &str,
    field: &'static str,
    kind: IndicatorType,
    value: Option<&str>,
    fill: impl FnOnce(&mut Entry),
) -> Item {
    let Some(value) = value else {
        return Item::refused(
            place,
            field,
            Class::Malformed,
            format!("expected a value of type {kind}"),
        );
    };
    match Entry::new(kind, value) {
        Ok(mut entry) => {
            fill(&mut entry);
            Item::Entry(entry)
        }
        Err((class, reason)) => Item::refused(place, field, class, reason),
    }
}
