//! Reading a feed here.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use super::spec::SpecArgs;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// URL or file; --from and --file do the same
    place: Option<String>,
    /// Indicators to show
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Read all of the feed for its counts, not only as much as is shown
    #[arg(long)]
    all: bool,
    /// JSON, one indicator a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    spec: Box<SpecArgs>,
}

pub(super) async fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut given = args.spec.clone();
    match &args.place {
        Some(place) if place.contains("://") => given.from = Some(place.clone()),
        Some(place) => given.file = Some(place.clone()),
        None => {}
    }
    // Only detectors confine paths to their directories: what is read here is the operator's own.
    let here = given.file.take();
    if here.is_some() {
        given.file = Some("preview".to_owned());
    }
    let mut spec = given.spec(Some("preview"), None)?;
    spec.check()?;
    if let Some(path) = here {
        let path = std::path::absolute(Path::new(&path)).with_context(|| format!("find {path}"))?;
        spec.path = Some(path.to_string_lossy().into_owned());
    }
    let most = if args.all { usize::MAX } else { args.limit };
    let found = detector::preview(&spec, most).await?;
    for indicator in found.indicators.iter().take(args.limit) {
        if args.json {
            println!("{}", serde_json::to_string(indicator).context("write JSON")?);
        } else {
            let tlp = indicator.tlp.map(|tlp| format!(" tlp:{tlp}")).unwrap_or_default();
            println!(
                "{:<7} {:<44} {:>3}%{tlp} {}  {}",
                indicator.kind.as_str(),
                indicator.value,
                indicator.confidence,
                indicator.tags.join(","),
                indicator.note,
            );
        }
    }
    let refused: u64 = found.counts.refused.values().sum();
    eprintln!(
        "{}{} indicators, {} skipped, {refused} refused in {} bytes",
        if found.is_partial { "the first " } else { "" },
        found.counts.seen,
        found.counts.skipped,
        found.bytes
    );
    for reason in &found.reasons {
        eprintln!("  {reason}");
    }
    Ok(ExitCode::SUCCESS)
}
