//! `picket intel add`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use model::Timestamp;
use model::indicator::{IndicatorType, Tlp};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::durations::parse_ttl;
use crate::table::counted;

/// Indicators sent at once.
const CHUNK: usize = 2000;
/// Refusals that are printed.
const MAX_SHOWN: usize = 50;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Indicators: TYPE:VALUE, or a value whose form tells its type
    #[arg(value_name = "INDICATOR", required_unless_present = "file")]
    indicators: Vec<String>,
    /// A file with one indicator a line
    #[arg(long)]
    file: Option<PathBuf>,
    /// Who says so
    #[arg(long, default_value = "operator")]
    source: String,
    /// How sure they are, 0 to 100; decides the level of alerts
    #[arg(long, value_name = "NUMBER", default_value_t = 75, value_parser = clap::value_parser!(u8).range(0..=100))]
    confidence: u8,
    /// A word to find them by; may be given more than once
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// How far they may be passed on: clear, green, amber, amber+strict or red
    #[arg(long)]
    tlp: Option<Tlp>,
    /// What people should know
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Where to read more
    #[arg(long, value_name = "URL", default_value = "", hide_default_value = true)]
    reference: String,
    /// How long events match from now on, such as 30d; for ever when not given
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_ttl)]
    duration: Option<Duration>,
    /// Take what would match things that are not malicious, too: public resolvers, popular sites, wide networks
    #[arg(long)]
    allow: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut values = Vec::new();
    for text in &args.indicators {
        match IndicatorType::parse_typed(text) {
            Ok(value) => values.push(value),
            Err(error) => bail!("{text}: {error}"),
        }
    }
    if let Some(path) = &args.file {
        values.extend(super::read::file(path)?);
    }
    let until = args.duration.map(|duration| {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Timestamp(Timestamp::now().0.saturating_add(micros)).to_string()
    });
    let common = json!({
        "source": args.source, "confidence": args.confidence, "tags": args.tags, "tlp": args.tlp,
        "note": args.note, "reference": args.reference, "valid_until": until, "allow": args.allow,
    });
    let rest = args.connection.target()?.rest()?;
    let mut stored = 0;
    let mut refused = 0;
    for chunk in values.chunks(CHUNK) {
        let bodies = super::list::bodies(chunk, &common);
        let answer = rest.post("/ti/iocs", &Value::Array(bodies)).await?;
        stored += answer["stored"].as_u64().unwrap_or_default();
        for error in answer["errors"].as_array().into_iter().flatten() {
            refused += 1;
            let index = error["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            let value = index.and_then(|index| chunk.get(index));
            if let Some((kind, value)) = value.filter(|_| refused <= MAX_SHOWN) {
                eprintln!(
                    "refused {kind}:{value}: {}",
                    error["error"].as_str().unwrap_or_default()
                );
            }
        }
    }
    println!("{} stored, {refused} refused", counted(stored, "indicator"));
    Ok(if refused == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
