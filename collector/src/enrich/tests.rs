//! With a database made here: the format is a tree of bits and typed values, see maxmind.github.io/MaxMind-DB.

use std::collections::BTreeMap;
use std::path::Path;

use model::{Epoch, EventId, SourceId, Timestamp};

use super::*;

/// A value of the format.
enum Data {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Double(f64),
    List(Vec<Data>),
    Map(Vec<(&'static str, Data)>),
}

fn write(data: &Data, out: &mut Vec<u8>) {
    let control = |kind: u8, size: usize, out: &mut Vec<u8>| {
        let size = u8::try_from(size).unwrap();
        let short = size.min(29);
        if kind < 8 {
            out.push(kind << 5 | short);
        } else {
            out.extend([short, kind - 7]);
        }
        if short == 29 {
            out.push(size - 29);
        }
    };
    match data {
        Data::Text(text) => {
            control(2, text.len(), out);
            out.extend(text.as_bytes());
        }
        Data::Number(number) => {
            control(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Data::Short(number) => {
            control(5, 2, out);
            out.extend(number.to_be_bytes());
        }
        Data::Long(number) => {
            control(9, 8, out);
            out.extend(number.to_be_bytes());
        }
        Data::Double(number) => {
            control(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Data::List(list) => {
            control(11, list.len(), out);
            list.iter().for_each(|item| write(item, out));
        }
        Data::Map(map) => {
            control(7, map.len(), out);
            for (name, value) in map {
                write(&Data::Text(name), out);
                write(value, out);
            }
        }
    }
}

/// A database of IPv4 networks.
fn database(networks: Vec<([u8; 4], u32, Data)>) -> Vec<u8> {
    // Nodes: left and right, each another node, or data.
    #[derive(Clone, Copy)]
    enum Next {
        Nothing,
        Node(usize),
        Data(usize),
    }
    let mut nodes = vec![[Next::Nothing; 2]];
    let mut section = Vec::new();
    for (address, length, data) in networks {
        let place = section.len();
        write(&data, &mut section);
        let bits = u32::from_be_bytes(address);
        let mut at = 0;
        for depth in 0..length {
            let side = usize::try_from(bits >> (31 - depth) & 1).unwrap();
            if depth + 1 == length {
                nodes[at][side] = Next::Data(place);
            } else {
                at = match nodes[at][side] {
                    Next::Node(next) => next,
                    Next::Nothing | Next::Data(_) => {
                        nodes.push([Next::Nothing; 2]);
                        nodes[at][side] = Next::Node(nodes.len() - 1);
                        nodes.len() - 1
                    }
                };
            }
        }
    }
    let count = nodes.len();
    let mut out = Vec::new();
    for next in nodes.iter().flatten() {
        let value = match next {
            Next::Nothing => count,
            Next::Node(node) => *node,
            Next::Data(place) => count + 16 + place,
        };
        out.extend(u32::try_from(value).unwrap().to_be_bytes());
    }
    out.extend([0; 16]);
    out.extend(section);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let text = Data::Text;
    let metadata = Data::Map(vec![
        ("binary_format_major_version", Data::Short(2)),
        ("binary_format_minor_version", Data::Short(0)),
        ("build_epoch", Data::Long(1_790_000_000)),
        ("database_type", text("Test")),
        ("description", Data::Map(vec![("en", text("made for a test"))])),
        ("ip_version", Data::Short(4)),
        ("languages", Data::List(vec![text("en")])),
        ("node_count", Data::Number(u32::try_from(count).unwrap())),
        ("record_size", Data::Short(32)),
    ]);
    write(&metadata, &mut out);
    out
}

fn named(name: &'static str) -> (&'static str, Data) {
    (
        "names",
        Data::Map(vec![("de", Data::Text("nicht das")), ("en", Data::Text(name))]),
    )
}

fn city() -> Vec<u8> {
    database(vec![(
        [81, 2, 69, 0],
        24,
        Data::Map(vec![
            (
                "city",
                Data::Map(vec![("geoname_id", Data::Number(1)), named("London")]),
            ),
            (
                "continent",
                Data::Map(vec![("code", Data::Text("EU")), named("Europe")]),
            ),
            (
                "country",
                Data::Map(vec![("iso_code", Data::Text("GB")), named("United Kingdom")]),
            ),
            (
                "location",
                Data::Map(vec![
                    ("latitude", Data::Double(51.5142)),
                    ("longitude", Data::Double(-0.0931)),
                    ("time_zone", Data::Text("Europe/London")),
                ]),
            ),
            (
                "subdivisions",
                Data::List(vec![Data::Map(vec![("iso_code", Data::Text("ENG")), named("England")])]),
            ),
        ]),
    )])
}

fn systems() -> Vec<u8> {
    let record = Data::Map(vec![
        ("autonomous_system_number", Data::Number(20_712)),
        ("autonomous_system_organization", Data::Text("Andrews & Arnold Ltd")),
    ]);
    database(vec![([81, 2, 0, 0], 16, record)])
}

fn enricher(directory: &Path, scope: bool) -> (Enricher, Settings) {
    let (places, networks) = (directory.join("city.mmdb"), directory.join("asn.mmdb"));
    std::fs::write(&places, city()).unwrap();
    std::fs::write(&networks, systems()).unwrap();
    let settings = Settings {
        databases: vec![places, networks],
        address_scope: scope,
        ..Settings::default()
    };
    (Enricher::open(&settings).unwrap(), settings)
}

fn event(fields: &[(&'static str, &str)]) -> Event {
    let mut event = Event {
        id: EventId {
            source: SourceId::named("test", "a"),
            epoch: Epoch(1),
            seq: 1,
        },
        timestamp: Timestamp(0),
        fields: Fields::new(),
    };
    for (name, value) in fields {
        event.fields.insert(*name, *value);
    }
    event
}

fn enriched(enricher: &Enricher, fields: &[(&'static str, &str)]) -> BTreeMap<String, String> {
    let mut event = event(fields);
    enricher.event(&mut event, &enricher.databases.load());
    let all = event.fields.iter();
    all.map(|(name, value)| (name.to_owned(), value.to_text().into_owned()))
        .collect()
}

#[test]
fn public_addresses_are_placed_and_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let (enricher, _) = enricher(directory.path(), true);
    let fields = enriched(
        &enricher,
        &[("source.ip", "81.2.69.142"), ("destination.ip", "10.0.0.5")],
    );
    for (name, value) in [
        ("source.ip_scope", "public"),
        ("source.geo.city_name", "London"),
        ("source.geo.continent_code", "EU"),
        ("source.geo.country_iso_code", "GB"),
        ("source.geo.country_name", "United Kingdom"),
        ("source.geo.region_name", "England"),
        ("source.geo.timezone", "Europe/London"),
        ("source.geo.location.lat", "51.5142"),
        ("source.as.number", "20712"),
        ("source.as.organization.name", "Andrews & Arnold Ltd"),
        ("destination.ip_scope", "private"),
    ] {
        assert_eq!(
            fields.get(name).map(String::as_str),
            Some(value),
            "{name} of {fields:?}"
        );
    }
    assert!(
        !fields
            .keys()
            .any(|name| name.starts_with("destination.geo") || name.starts_with("destination.as"))
    );
}

#[test]
fn what_the_source_said_stays_and_what_is_no_address_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (enricher, _) = enricher(directory.path(), false);
    let fields = enriched(
        &enricher,
        &[("client.ip", "81.2.69.142"), ("client.geo.city_name", "Paris")],
    );
    assert_eq!(fields["client.geo.city_name"], "Paris");
    assert_eq!(fields["client.geo.country_iso_code"], "GB");
    assert!(!fields.contains_key("client.ip_scope"));
    assert_eq!(
        enriched(&enricher, &[("source.ip", "not one"), ("message", "x")]).len(),
        2
    );
    assert_eq!(
        enriched(&enricher, &[("source.ip", "9.9.9.9")]).len(),
        1,
        "in no database"
    );
}

#[test]
fn a_database_that_was_replaced_is_read_again_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (enricher, settings) = enricher(directory.path(), false);
    let known = enricher.databases.load_full();
    assert!(again(&settings.databases, &known).is_none());
    std::fs::write(&settings.databases[0], "broken").unwrap();
    assert!(again(&settings.databases, &known).is_none(), "the one before is kept");
    std::fs::write(&settings.databases[0], [city(), vec![0; 3]].concat()).ok();
    std::fs::write(&settings.databases[1], city()).unwrap();
    let fresh = again(&settings.databases, &known).unwrap();
    assert_eq!(
        fresh[1].look_up("81.2.69.1".parse().unwrap())[0].1,
        Value::from("London")
    );
}

#[test]
fn what_is_no_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.mmdb");
    std::fs::write(&path, "text").unwrap();
    let settings = |path: &Path| Settings {
        databases: vec![path.to_owned()],
        ..Settings::default()
    };
    let error = format!("{:#}", Enricher::open(&settings(&path)).unwrap_err());
    assert!(error.contains("x.mmdb"), "{error}");
    assert!(Enricher::open(&settings(&directory.path().join("none.mmdb"))).is_err());
    // Spoiled bytes must not do worse than find nothing.
    let good = city();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0xff;
        std::fs::write(&path, &bytes).unwrap();
        if let Ok(database) = Database::open(&path) {
            database.look_up("81.2.69.142".parse().unwrap());
        }
    }
}
