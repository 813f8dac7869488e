//! abuse.ch `ThreatFox`: indicators of all kinds with a confidence.
//!
//! `https://threatfox.abuse.ch/export/csv/recent/`: `first_seen_utc,ioc_id,ioc_value,ioc_type,threat_type,fk_malware,
//! malware_alias,malware_printable,last_seen_utc,confidence_level,is_compromised,reference,tags,anonymous,reporter`.
//! Dumps from before 2026 lack `is_compromised`; their header says so.

use model::indicator::IndicatorType;

use crate::columns::{Columns, Row};
use crate::entry::{Class, Entry, Item, shown};
use crate::list;
use crate::parser::{Table, first_seen, single};

pub(crate) fn table() -> Table {
    Table {
        columns: Columns::new(
            "ioc_value",
            &[
                "first_seen_utc",
                "ioc_id",
                "ioc_value",
                "ioc_type",
                "threat_type",
                "fk_malware",
                "malware_alias",
                "malware_printable",
                "last_seen_utc",
                "confidence_level",
                "is_compromised",
                "reference",
                "tags",
                "anonymous",
                "reporter",
            ],
        ),
        read,
    }
}

fn read(place: &str, row: Row<'_>, items: &mut Vec<Item>) {
    let value = row.get("ioc_value").unwrap_or_default();
    let given = row.get("ioc_type").unwrap_or_default();
    let (kind, value) = match given {
        "ip:port" => (IndicatorType::Ip, list::without_port(value)),
        "domain" => (IndicatorType::Domain, value),
        "url" => (IndicatorType::Url, value),
        "md5_hash" => (IndicatorType::Md5, value),
        "sha1_hash" => (IndicatorType::Sha1, value),
        "sha256_hash" => (IndicatorType::Sha256, value),
        "envelope_from" | "body_from" => (IndicatorType::Email, value),
        other => {
            let reason = format!(
                "expected ip:port, domain, url, md5_hash, sha1_hash, sha256_hash, envelope_from or body_from, got {}",
                shown(other)
            );
            items.push(Item::refused(place, "ioc_type", Class::Unsupported, reason));
            return;
        }
    };
    let fill = |entry: &mut Entry| {
        entry.confidence = row
            .get("confidence_level")
            .and_then(|text| text.parse::<u8>().ok())
            .map(|confidence| confidence.min(100));
        entry.add_tag(row.get("threat_type").unwrap_or_default());
        entry.add_tag(row.get("malware_printable").unwrap_or_default());
        for tag in row.get("tags").unwrap_or_default().split(',') {
            entry.add_tag(tag);
        }
        if row
            .get("is_compromised")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
        {
            entry.add_tag("compromised");
        }
        let malware = row.get("malware_printable").unwrap_or("malware");
        let threat = row.get("threat_type").unwrap_or("threat");
        let alias = row
            .get("malware_alias")
            .map(|alias| format!(" ({alias})"))
            .unwrap_or_default();
        let port = match (given, row.get("ioc_value").and_then(|value| value.rsplit_once(':'))) {
            ("ip:port", Some((_, port))) => format!(" on port {port}"),
            _ => String::new(),
        };
        let reporter = row
            .get("reporter")
            .map(|name| format!(", reported by {name}"))
            .unwrap_or_default();
        let seen = first_seen(row.get("first_seen_utc"));
        entry.set_note(&format!("{malware}{alias}: {threat}{port}{reporter}{seen}"));
        match (row.get("reference"), row.get("ioc_id")) {
            (Some(reference), _) => entry.set_reference(reference),
            (None, Some(id)) => entry.set_reference(&format!("https://threatfox.abuse.ch/ioc/{id}/")),
            (None, None) => {}
        }
    };
    items.push(single(place, "ioc_value", kind, Some(value), fill));
}
