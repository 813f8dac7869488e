//! One file in the MaxMind DB format: cities, countries, autonomous systems, of whichever publisher.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use maxminddb::Reader;
use model::Value;
use serde::Deserialize;

/// Largest file that is read into memory, in bytes.
const MAX_BYTES: u64 = 2 << 30;

/// Held in memory as a whole: a file that is mapped and then written over would end the process.
pub(crate) struct Database {
    reader: Reader<Vec<u8>>,
    size: u64,
    modified: Option<SystemTime>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// What records hold, in the names of GeoIP2 and of those who use others. All of it may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place<'a> {
    #[serde(borrow)]
    city: Named<'a>,
    #[serde(borrow)]
    continent: Named<'a>,
    #[serde(borrow)]
    country: Named<'a>,
    #[serde(borrow)]
    subdivisions: Vec<Named<'a>>,
    location: Location<'a>,
    postal: Postal<'a>,
    autonomous_system_number: Option<u32>,
    autonomous_system_organization: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named<'a> {
    code: Option<&'a str>,
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names<'a> {
    en: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    latitude: Option<f64>,
    longitude: Option<f64>,
    time_zone: Option<&'a str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Postal<'a> {
    code: Option<&'a str>,
}

impl Database {
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let read = || format!("read the address database {}", path.display());
        let metadata = fs::metadata(path).with_context(read)?;
        ensure!(
            metadata.len() <= MAX_BYTES,
            "{}: expected at most {MAX_BYTES} bytes",
            read()
        );
        let bytes = fs::read(path).with_context(read)?;
        let reader = Reader::from_source(bytes).with_context(read)?;
        Ok(Self {
            reader,
            size: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    /// Whether the file is still the one that was read. A file that is gone counts as such.
    pub(crate) fn is_current(&self, path: &Path) -> bool {
        fs::metadata(path).map_or(true, |metadata| {
            metadata.len() == self.size && metadata.modified().ok() == self.modified
        })
    }

    /// What it says of an address, in ECS's names behind `source.` and the like.
    pub(crate) fn look_up(&self, ip: IpAddr) -> Vec<(&'static str, Value)> {
        let found = self.reader.lookup(ip).and_then(|result| result.decode::<Place<'_>>());
        let Ok(Some(place)) = found else { return Vec::new() };
        let mut fields = Vec::new();
        let mut text = |name: &'static str, text: Option<&str>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                fields.push((name, Value::from(text)));
            }
        };
        let region = place.subdivisions.first();
        text("geo.city_name", place.city.names.en);
        text("geo.continent_code", place.continent.code);
        text("geo.continent_name", place.continent.names.en);
        text("geo.country_iso_code", place.country.iso_code);
        text("geo.country_name", place.country.names.en);
        text("geo.region_iso_code", region.and_then(|region| region.iso_code));
        text("geo.region_name", region.and_then(|region| region.names.en));
        text("geo.postal_code", place.postal.code);
        text("geo.timezone", place.location.time_zone);
        text("as.organization.name", place.autonomous_system_organization);
        if let Some(number) = place.autonomous_system_number {
            fields.push(("as.number", Value::Int(i64::from(number))));
        }
        if let (Some(latitude), Some(longitude)) = (place.location.latitude, place.location.longitude) {
            fields.push(("geo.location.lat", Value::Float(latitude)));
            fields.push(("geo.location.lon", Value::Float(longitude)));
        }
        fields
    }
}
