//! abuse.ch Feodo Tracker: addresses of botnet command and control servers.
//!
//! `https://feodotracker.abuse.ch/downloads/ipblocklist.csv`:
//! `first_seen_utc,dst_ip,dst_port,c2_status,last_online,malware`.

use model::indicator::IndicatorType;

use crate::columns::{Columns, Row};
use crate::entry::{Entry, Item};
use crate::parser::{Table, first_seen, single};

pub(crate) fn table() -> Table {
    Table {
        columns: Columns::new(
            "dst_ip",
            &[
                "first_seen_utc",
                "dst_ip",
                "dst_port",
                "c2_status",
                "last_online",
                "malware",
            ],
        ),
        read,
    }
}

fn read(place: &str, row: Row<'_>, items: &mut Vec<Item>) {
    let fill = |entry: &mut Entry| {
        entry.add_tag("botnet_cc");
        entry.add_tag(row.get("malware").unwrap_or_default());
        let malware = row.get("malware").unwrap_or("botnet");
        let port = row
            .get("dst_port")
            .map(|port| format!(" on port {port}"))
            .unwrap_or_default();
        let status = row
            .get("c2_status")
            .map(|status| format!(", {status}"))
            .unwrap_or_default();
        let online = row
            .get("last_online")
            .map(|day| format!(", last online {day}"))
            .unwrap_or_default();
        let seen = first_seen(row.get("first_seen_utc"));
        entry.set_note(&format!("{malware} command and control{port}{status}{online}{seen}"));
        entry.set_reference(&format!("https://feodotracker.abuse.ch/browse/host/{}/", entry.value));
    };
    items.push(single(place, "dst_ip", IndicatorType::Ip, row.get("dst_ip"), fill));
}
