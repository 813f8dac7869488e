//! abuse.ch `URLhaus`: addresses from which malware is distributed.
//!
//! `https://urlhaus.abuse.ch/downloads/csv_recent/`:
//! `id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter`.

use model::indicator::IndicatorType;

use crate::columns::{Columns, Row};
use crate::entry::{Entry, Item};
use crate::parser::{Table, first_seen, single};

pub(crate) fn table() -> Table {
    Table {
        columns: Columns::new(
            "url",
            &[
                "id",
                "dateadded",
                "url",
                "url_status",
                "last_online",
                "threat",
                "tags",
                "urlhaus_link",
                "reporter",
            ],
        ),
        read,
    }
}

fn read(place: &str, row: Row<'_>, items: &mut Vec<Item>) {
    let fill = |entry: &mut Entry| {
        entry.add_tag(row.get("threat").unwrap_or_default());
        for tag in row.get("tags").unwrap_or_default().split(',') {
            entry.add_tag(tag);
        }
        let threat = row.get("threat").unwrap_or("malware");
        let status = row
            .get("url_status")
            .map(|status| format!(", {status}"))
            .unwrap_or_default();
        let reporter = row
            .get("reporter")
            .map(|name| format!(", reported by {name}"))
            .unwrap_or_default();
        let seen = first_seen(row.get("dateadded"));
        entry.set_note(&format!("{threat}{status}{reporter}{seen}"));
        entry.set_reference(row.get("urlhaus_link").unwrap_or_default());
    };
    items.push(single(place, "url", IndicatorType::Url, row.get("url"), fill));
}
