//! What each format's sample comes to. `PICKET_BLESS=1 cargo test -p feeds` writes the expectations anew; read the
//! difference before you commit it.
#![allow(
    clippy::unwrap_used,
    reason = "a test may end where it finds something else than it expects"
)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use feeds::{Item, Kind, Options, Parser};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn render(items: &[Item]) -> String {
    let mut text = String::new();
    for item in items {
        match item {
            Item::Entry(entry) | Item::Withdrawn(entry) => {
                let gone = if matches!(item, Item::Withdrawn(_)) {
                    "withdrawn "
                } else {
                    ""
                };
                write!(text, "{gone}{} {}", entry.kind, entry.value).unwrap();
                if let Some(confidence) = entry.confidence {
                    write!(text, " confidence={confidence}").unwrap();
                }
                if let Some(tlp) = entry.tlp {
                    write!(text, " tlp={tlp}").unwrap();
                }
                if let Some(from) = entry.valid_from {
                    write!(text, " from={from}").unwrap();
                }
                if let Some(until) = entry.valid_until {
                    write!(text, " until={until}").unwrap();
                }
                if !entry.origin.is_empty() {
                    write!(text, " origin={}", entry.origin).unwrap();
                }
                writeln!(
                    text,
                    " tags={:?} note={:?} reference={:?}",
                    entry.tags, entry.note, entry.reference
                )
                .unwrap();
            }
            Item::Refused(refused) => writeln!(text, "refused ({}) {refused}", refused.class.as_str()).unwrap(),
            Item::Skipped(what) => writeln!(text, "skipped {what}").unwrap(),
        }
    }
    text
}

fn compare(sample: &str, items: &[Item]) {
    let expected = samples().join(format!("{sample}.expected"));
    let found = render(items);
    if std::env::var_os("PICKET_BLESS").is_some() {
        std::fs::write(&expected, &found).unwrap();
    }
    assert_eq!(
        found,
        std::fs::read_to_string(&expected).unwrap_or_default(),
        "{sample}"
    );
}

#[test]
fn every_sample_comes_to_what_is_expected_whatever_the_pieces() {
    for (sample, kind) in [
        ("feodo.csv", Kind::Feodo),
        ("urlhaus.csv", Kind::Urlhaus),
        ("threatfox.csv", Kind::ThreatFox),
        ("threatfox_before_2026.csv", Kind::ThreatFox),
        ("malwarebazaar.csv", Kind::MalwareBazaar),
        ("list.txt", Kind::List),
        ("stix21.json", Kind::Stix),
        ("stix20.json", Kind::Stix),
    ] {
        let bytes = std::fs::read(samples().join(sample)).unwrap();
        let mut whole = Vec::new();
        let mut parser = Parser::new(kind, Options::default()).unwrap();
        parser.push(&bytes, &mut whole);
        parser.finish(&mut whole);
        for piece in [1, 13] {
            let mut items = Vec::new();
            let mut parser = Parser::new(kind, Options::default()).unwrap();
            for bytes in bytes.chunks(piece) {
                parser.push(bytes, &mut items);
            }
            parser.finish(&mut items);
            assert_eq!(items, whole, "{sample} in pieces of {piece}");
        }
        compare(sample, &whole);
    }
}

#[test]
fn a_misp_event_comes_to_what_is_expected() {
    let bytes = std::fs::read(samples().join("misp.json")).unwrap();
    let mut items = Vec::new();
    feeds::misp::event(&bytes, &mut items).unwrap();
    compare("misp.json", &items);
}
