//! A feed from flags.

use anyhow::{Context as _, anyhow, bail};
use feeds::Preset;
use model::feed::{Auth, FeedKind, FeedOptions, FeedSpec, SecretRef};
use model::indicator::{IndicatorType, Tlp};

/// What a feed is.
#[derive(Clone, clap::Args)]
pub(super) struct SpecArgs {
    /// A public feed with everything set: feodo, urlhaus, threatfox or malwarebazaar
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// Format: feodo, urlhaus, threatfox, malwarebazaar, list, misp, stix or taxii
    #[arg(long, value_name = "KIND", required_unless_present = "preset")]
    pub kind: Option<FeedKind>,
    /// Where it is fetched from; `{secret}` stands for a key that is part of it
    #[arg(long, value_name = "URL")]
    pub from: Option<String>,
    /// A file, for feeds below the detectors' feeds.files_dir
    #[arg(long, value_name = "PATH", conflicts_with = "from")]
    pub file: Option<String>,
    /// User name for HTTP Basic; the password is the secret
    #[arg(long, value_name = "NAME", help_heading = "Secret")]
    pub username: Option<String>,
    /// Send the secret as a bearer token
    #[arg(long, conflicts_with = "username", help_heading = "Secret")]
    pub bearer: bool,
    /// Send the secret in this header
    #[arg(long, value_name = "NAME", conflicts_with_all = ["username", "bearer"], help_heading = "Secret")]
    pub header: Option<String>,
    /// File with the secret, below the detectors' feeds.secrets_dir
    #[arg(long, value_name = "PATH", help_heading = "Secret")]
    pub secret_file: Option<String>,
    /// Variable of the detectors' environment with the secret; begins with PICKET_FEED_
    #[arg(long, value_name = "NAME", conflicts_with = "secret_file", help_heading = "Secret")]
    pub secret_env: Option<String>,
    /// The publisher's certificate authority, below the detectors' feeds.secrets_dir
    #[arg(long, value_name = "PATH", help_heading = "Secret")]
    pub feed_ca_file: Option<String>,
    /// What the values of a plain list are [default: each line is asked for its own]
    #[arg(long = "type", value_name = "TYPE")]
    pub indicator_type: Option<IndicatorType>,
    /// TAXII: id, alias or title of the collection
    #[arg(long, value_name = "COLLECTION")]
    pub collection: Option<String>,
    /// Confidence of entries that state none, 0 to 100
    #[arg(long, value_name = "N")]
    pub confidence: Option<u8>,
    /// Leave entries below this confidence out, 0 to 100
    #[arg(long, value_name = "N")]
    pub min_confidence: Option<u8>,
    /// TLP label of entries that state none
    #[arg(long, value_name = "LABEL")]
    pub tlp: Option<Tlp>,
    /// Tag every entry; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Take this value although the false-positive guard would refuse it; a network or .domain takes everything below
    /// it; may be given several times
    #[arg(long = "allow", value_name = "VALUE")]
    pub allow: Vec<String>,
    /// Days after which an entry ends that was not seen again
    #[arg(long, value_name = "DAYS")]
    pub ttl_days: Option<u32>,
    /// Most mebibytes of one reading
    #[arg(long, value_name = "MIB")]
    pub max_mib: Option<u32>,
}

/// When a feed runs and what it is for.
#[derive(clap::Args)]
pub(super) struct ScheduleArgs {
    /// Time between two runs, such as 10m or 1d, at least 1m [default: 1h, or the preset's]
    #[arg(long, value_name = "TIME", value_parser = crate::durations::parse_ttl)]
    pub every: Option<std::time::Duration>,
    /// What leaves the feed stops matching
    #[arg(long)]
    pub delete_missing: bool,
    /// Look for new indicators in stored events too
    #[arg(long)]
    pub hunt: bool,
    /// Do not run it yet
    #[arg(long)]
    pub disabled: bool,
}

impl SpecArgs {
    /// The feed, named `name` or as its preset.
    pub(super) fn spec(&self, name: Option<&str>, schedule: Option<&ScheduleArgs>) -> anyhow::Result<FeedSpec> {
        let preset = self.preset()?;
        let has_secret = self.secret_file.is_some() || self.secret_env.is_some();
        let url = match (&self.from, &self.file, preset) {
            (Some(url), _, _) => Some(url.clone()),
            (None, Some(_), _) => None,
            (None, None, Some(preset)) => {
                let keyed = preset.keyed_url.filter(|_| has_secret);
                Some(keyed.unwrap_or(preset.url).to_owned())
            }
            (None, None, None) => bail!("a feed needs --from or --file"),
        };
        let name = name
            .or(preset.map(|preset| preset.name))
            .context("a feed needs a name")?;
        let kind = self
            .kind
            .or(preset.map(|preset| preset.kind))
            .context("a feed needs --kind")?;
        let every = schedule
            .and_then(|schedule| schedule.every)
            .map(|every| every.as_secs());
        Ok(FeedSpec {
            name: name.to_owned(),
            kind,
            auth: self.auth(url.as_deref())?,
            url,
            path: self.file.clone(),
            interval_secs: every.or(preset.map(|preset| preset.interval_secs)).unwrap_or(3600),
            options: FeedOptions {
                kind: self.indicator_type,
                confidence: self.confidence.or(preset.map(|preset| preset.confidence)),
                min_confidence: self.min_confidence,
                tlp: self.tlp,
                ttl_days: self.ttl_days.or(preset.map(|preset| preset.ttl_days)),
                tags: self.tags.clone(),
                allow: self.allow.clone(),
                hunt: schedule.is_some_and(|schedule| schedule.hunt),
                delete_missing: schedule.is_some_and(|schedule| schedule.delete_missing),
                collection: self.collection.clone(),
                ca_file: self.feed_ca_file.clone(),
                max_mib: self.max_mib,
            },
            enabled: !schedule.is_some_and(|schedule| schedule.disabled),
        })
    }

    fn preset(&self) -> anyhow::Result<Option<&'static Preset>> {
        let Some(name) = &self.preset else { return Ok(None) };
        Preset::named(name).map(Some).ok_or_else(|| {
            let names = Preset::ALL.map(|preset| preset.name).join(", ");
            anyhow!("--preset: expected one of {names}, got {name:?}")
        })
    }

    fn auth(&self, url: Option<&str>) -> anyhow::Result<Auth> {
        let secret = SecretRef {
            secret_file: self.secret_file.clone(),
            secret_env: self.secret_env.clone(),
        };
        if secret == SecretRef::default() {
            if self.username.is_some() || self.bearer || self.header.is_some() {
                bail!("a secret is needed: --secret-file or --secret-env");
            }
            return Ok(Auth::None);
        }
        let in_url = url.is_some_and(|url| url.contains(model::feed::SECRET_PLACE));
        Ok(match (&self.username, &self.header) {
            (Some(username), _) => Auth::Basic {
                username: username.clone(),
                secret,
            },
            (None, Some(name)) => Auth::Header {
                name: name.clone(),
                secret,
            },
            (None, None) if self.bearer => Auth::Bearer { secret },
            (None, None) if in_url => Auth::Url { secret },
            (None, None) => {
                bail!("say how to send the secret: --username, --bearer, --header, or {{secret}} in --from")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        spec: SpecArgs,
        #[command(flatten)]
        schedule: ScheduleArgs,
    }

    fn spec(line: &str) -> anyhow::Result<FeedSpec> {
        let cli = Cli::try_parse_from(std::iter::once("x").chain(line.split_whitespace()))?;
        let spec = cli
            .spec
            .spec(Some("mine").filter(|_| cli.spec.preset.is_none()), Some(&cli.schedule))?;
        spec.check()?;
        Ok(spec)
    }

    #[test]
    fn every_preset_is_a_feed_with_and_without_a_key() {
        for preset in Preset::ALL {
            let plain = spec(&format!("--preset {}", preset.name)).unwrap();
            assert_eq!((plain.name.as_str(), plain.auth), (preset.name, Auth::None));
            if preset.keyed_url.is_some() {
                let keyed = spec(&format!("--preset {} --secret-env PICKET_FEED_ABUSE_CH", preset.name)).unwrap();
                assert!(matches!(keyed.auth, Auth::Url { .. }));
                assert!(keyed.url.unwrap().contains("{secret}"));
            }
        }
    }

    #[test]
    fn flags_say_how_a_secret_is_sent() {
        let url = "--kind misp --from https://misp.example/feed/ --secret-file misp.key";
        assert!(matches!(
            spec(&format!("{url} --header Authorization")).unwrap().auth,
            Auth::Header { .. }
        ));
        assert!(matches!(
            spec(&format!("{url} --bearer")).unwrap().auth,
            Auth::Bearer { .. }
        ));
        assert!(matches!(
            spec(&format!("{url} --username me")).unwrap().auth,
            Auth::Basic { .. }
        ));
        assert!(spec(url).unwrap_err().to_string().contains("how to send"));
        assert!(spec("--kind list --from https://x.example/ --bearer").is_err());
        assert!(spec("--kind list").unwrap_err().to_string().contains("--from"));
    }
}
