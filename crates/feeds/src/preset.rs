//! Feeds that many want, with their addresses.

use crate::Kind;

/// A public feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// As in `picket feeds add --preset`.
    pub name: &'static str,
    /// Its format.
    pub kind: Kind,
    /// Its address.
    pub url: &'static str,
    /// Seconds between two readings that its publisher is content with.
    pub interval_secs: u64,
    /// Confidence of entries that state none, 0 to 100.
    pub confidence: u8,
    /// Days after which an entry that is not listed any more ends.
    pub ttl_days: u32,
    /// Its address for holders of a key, with `{secret}` where the key goes.
    pub keyed_url: Option<&'static str>,
    /// What it holds.
    pub about: &'static str,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self {
            name: "feodo",
            kind: Kind::Feodo,
            url: "https://feodotracker.abuse.ch/downloads/ipblocklist.csv",
            interval_secs: 300,
            confidence: 90,
            ttl_days: 30,
            keyed_url: None,
            about: "addresses of botnet command and control servers",
        },
        Self {
            name: "urlhaus",
            kind: Kind::Urlhaus,
            url: "https://urlhaus.abuse.ch/downloads/csv_recent/",
            interval_secs: 300,
            confidence: 75,
            ttl_days: 30,
            keyed_url: Some("https://urlhaus-api.abuse.ch/v2/files/exports/{secret}/recent.csv"),
            about: "URLs that spread malware, of the last 30 days",
        },
        Self {
            name: "threatfox",
            kind: Kind::ThreatFox,
            url: "https://threatfox.abuse.ch/export/csv/recent/",
            interval_secs: 3600,
            confidence: 50,
            ttl_days: 90,
            keyed_url: Some("https://threatfox-api.abuse.ch/v2/files/exports/{secret}/recent.csv"),
            about: "indicators of malware of all kinds, of the last 48 hours",
        },
        Self {
            name: "malwarebazaar",
            kind: Kind::MalwareBazaar,
            url: "https://bazaar.abuse.ch/export/csv/recent/",
            interval_secs: 3600,
            confidence: 90,
            ttl_days: 180,
            keyed_url: Some("https://mb-api.abuse.ch/v2/files/exports/{secret}/recent.csv"),
            about: "hashes of malware samples of the last 48 hours",
        },
    ];

    /// The preset of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        static PRESETS: [Preset; 4] = Preset::ALL;
        PRESETS.iter().find(|preset| preset.name == name)
    }
}
