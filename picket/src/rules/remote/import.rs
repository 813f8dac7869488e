//! `picket rules import`: files into a running system, in portions, with a word on each that is refused.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use model::Timestamp;
use proto::rules::v1::{ImportOutcome, ImportRulesRequest, ImportRulesResponse, Outcome, RuleFile};
use serde_json::{Value, json};
use sigma::Status;

use super::active::{self, Active};
use super::portions::{Limits, portions};
use crate::client::{Connection, RuleClient, Target, grpc_error};
use crate::rules::files;
use crate::table::{Cell, Style, Table, Tone, counted, printable, shortened, thousands};

/// Of one request.
const LIMITS: Limits = Limits {
    files: 200,
    bytes: 2 << 20,
};
/// A shorter import shows no bar.
const SHOW_AFTER: Duration = Duration::from_secs(2);
/// An import of at most so many documents tells of each.
const TELL_ALL: usize = 20;
/// Tries for one portion while the system is busy.
const TRIES: u32 = 5;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Files and directories; a SigmaHQ checkout is known as one
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only say what would come of it
    #[arg(long)]
    dry_run: bool,
    /// Take rules whose status is deprecated or unsupported, too
    #[arg(long)]
    include_deprecated: bool,
    /// Tell of every document, not only of those that are refused
    #[arg(long)]
    all: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let found = files::collect(&args.paths)?;
    let mut deprecated = 0;
    let mut chosen: Vec<RuleFile> = Vec::with_capacity(found.files.len());
    for file in found.files {
        if !args.include_deprecated && is_deprecated(&file.text) {
            deprecated += 1;
            continue;
        }
        chosen.push(RuleFile {
            path: file.name.chars().take(1024).collect(),
            content: file.text,
        });
    }
    let unreadable = found.unreadable.iter().map(|error| ImportOutcome {
        path: error.path.clone(),
        outcome: Outcome::Refused.into(),
        field: error.field.clone(),
        reason: error.reason.clone(),
        ..ImportOutcome::default()
    });
    let mut outcomes: Vec<ImportOutcome> = unreadable.collect();
    if chosen.is_empty() && outcomes.is_empty() {
        bail!("expected rule files (.yml), found none");
    }
    if !args.json {
        for note in &found.notes {
            eprintln!("{note}");
        }
    }
    let target = args.connection.target()?;
    let mut client = target.rules().await?;
    let (found, stored_at) = import(&mut client, chosen, &args).await?;
    outcomes.extend(found);
    let failed = outcomes.iter().any(|outcome| outcome.outcome() == Outcome::Refused);
    if args.json {
        let active = is_active(&target, stored_at).await;
        println!("{}", to_json(&outcomes, deprecated, args.dry_run, active.as_ref()));
    } else {
        report(&outcomes, deprecated, &args);
        if let Some(active) = is_active(&target, stored_at).await {
            println!("{}", active.told());
        }
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn is_deprecated(text: &str) -> bool {
    let mut rules = sigma::parse_rules("", text).into_iter().flatten().peekable();
    rules.peek().is_some() && rules.all(|rule| matches!(rule.status, Some(Status::Deprecated | Status::Unsupported)))
}

/// Waits until what was stored is in use. That it is stored is what counts: when this cannot be told, it is left out.
async fn is_active(target: &Target, stored_at: Option<Timestamp>) -> Option<Active> {
    active::wait(target, stored_at?).await.ok()
}

/// Outcomes, and when the last was stored.
async fn import(
    client: &mut RuleClient,
    files: Vec<RuleFile>,
    args: &Args,
) -> anyhow::Result<(Vec<ImportOutcome>, Option<Timestamp>)> {
    let bar = progress(files.len(), args.json);
    let began = Instant::now();
    let (mut outcomes, mut stored_at) = (Vec::with_capacity(files.len()), 0);
    for portion in portions(files, args.dry_run, LIMITS) {
        if began.elapsed() >= SHOW_AFTER && bar.is_hidden() && std::io::stderr().is_terminal() && !args.json {
            bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        let count = portion.files.len() as u64;
        let (files, again) = portion.take();
        let found = send(client, files, args.dry_run).await?;
        stored_at = stored_at.max(found.stored_at_micros);
        outcomes.extend(
            found
                .outcomes
                .into_iter()
                .filter(|outcome| !again.contains(&outcome.path)),
        );
        bar.inc(count);
    }
    bar.finish_and_clear();
    Ok((outcomes, (stored_at > 0).then_some(Timestamp(stored_at))))
}

fn progress(files: usize, _json: bool) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::hidden());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} files, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Importing is safe to repeat: what is stored already is unchanged.
async fn send(client: &mut RuleClient, files: Vec<RuleFile>, dry_run: bool) -> anyhow::Result<ImportRulesResponse> {
    let request = ImportRulesRequest {
        files,
        dry_run,
        ..ImportRulesRequest::default()
    };
    let mut pause = Duration::from_millis(500);
    for _ in 1..TRIES {
        match client.import_rules(request.clone()).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status)
                if matches!(
                    status.code(),
                    tonic::Code::Unavailable | tonic::Code::ResourceExhausted | tonic::Code::DeadlineExceeded
                ) =>
            {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(status) => return Err(grpc_error(status)),
        }
    }
    client
        .import_rules(request)
        .await
        .map(|answer| answer.into_inner())
        .map_err(grpc_error)
        .context("nothing of this portion is known to be stored; import again")
}

fn word(outcome: Outcome, dry_run: bool) -> (&'static str, Tone) {
    match (outcome, dry_run) {
        (Outcome::Added, false) => ("added", Tone::Good),
        (Outcome::Added, true) => ("new", Tone::Good),
        (Outcome::Changed, false) => ("changed", Tone::Warning),
        (Outcome::Changed, true) => ("differs", Tone::Warning),
        (Outcome::Unchanged, _) => ("unchanged", Tone::Quiet),
        (Outcome::Refused | Outcome::Unspecified, _) => ("REFUSED", Tone::Bad),
    }
}

fn place(outcome: &ImportOutcome) -> String {
    let mut place = outcome.path.clone();
    for number in [outcome.line, outcome.column] {
        if number > 0 {
            place.push_str(&format!(":{number}"));
        }
    }
    place
}

fn count(outcomes: &[ImportOutcome], wanted: Outcome) -> usize {
    outcomes.iter().filter(|outcome| outcome.outcome() == wanted).count()
}

fn report(outcomes: &[ImportOutcome], deprecated: usize, args: &Args) {
    let style = Style::stdout();
    let tell_all = args.all || outcomes.len() <= TELL_ALL;
    let is_refused = |outcome: &&ImportOutcome| outcome.outcome() == Outcome::Refused;
    let mut table = Table::new(&["RESULT", "KIND", "TITLE", "FILE"]);
    let mut told = 0;
    for outcome in outcomes.iter().filter(|outcome| tell_all && !is_refused(outcome)) {
        told += 1;
        let (word, tone) = word(outcome.outcome(), args.dry_run);
        table.row([
            Cell::new(word, tone),
            outcome.kind.clone().into(),
            shortened(&outcome.title, 80).into(),
            Cell::new(place(outcome), Tone::Quiet),
        ]);
    }
    if told > 0 {
        print!("{}", table.render(style));
    }
    // A reason can be long; under its place it can be read.
    for outcome in outcomes.iter().filter(is_refused) {
        println!("{}  {}", style.red("REFUSED"), style.bold(&printable(&place(outcome))));
        println!("         {}: {}", printable(&outcome.field), printable(&outcome.reason));
    }
    for outcome in outcomes {
        for warning in &outcome.warnings {
            println!(
                "{} {}: {}",
                style.yellow("warning"),
                printable(&place(outcome)),
                printable(warning)
            );
        }
    }
    let number = |wanted| thousands(count(outcomes, wanted));
    let refused = count(outcomes, Outcome::Refused);
    let mut summary = format!(
        "{}: {} {}, {} {}, {} unchanged, {}",
        counted(outcomes.len(), "document"),
        number(Outcome::Added),
        word(Outcome::Added, args.dry_run).0,
        number(Outcome::Changed),
        word(Outcome::Changed, args.dry_run).0,
        number(Outcome::Unchanged),
        if refused == 0 {
            "0 refused".to_owned()
        } else {
            style.red(&format!("{} refused", thousands(refused)))
        }
    );
    if deprecated > 0 {
        summary.push_str(&format!(
            "; {} left out as deprecated (--include-deprecated takes them)",
            counted(deprecated, "file")
        ));
    }
    println!("{summary}");
    if args.dry_run {
        println!("nothing was stored; run it without --dry-run to do so");
    }
}

fn to_json(outcomes: &[ImportOutcome], deprecated: usize, dry_run: bool, active: Option<&Active>) -> Value {
    let known = |number: u32| (number > 0).then_some(number);
    let rows: Vec<Value> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "outcome": match outcome.outcome() {
                    Outcome::Added => "added",
                    Outcome::Changed => "changed",
                    Outcome::Unchanged => "unchanged",
                    Outcome::Refused | Outcome::Unspecified => "refused",
                },
                "path": outcome.path, "line": known(outcome.line), "column": known(outcome.column),
                "id": outcome.id, "kind": outcome.kind, "title": outcome.title,
                "field": outcome.field, "reason": outcome.reason, "warnings": outcome.warnings,
            })
        })
        .collect();
    json!({
        "dry_run": dry_run,
        "added": count(outcomes, Outcome::Added),
        "changed": count(outcomes, Outcome::Changed),
        "unchanged": count(outcomes, Outcome::Unchanged),
        "refused": count(outcomes, Outcome::Refused),
        "deprecated": deprecated,
        "outcomes": rows,
        "active": active,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_deprecated_rules_alone_are_left_out() {
        let rule = |status: &str| {
            format!(
                "title: T\nid: {status}\nstatus: {status}\nlogsource: {{product: linux}}\ndetection:\n  s: {{a: 1}}\n  \
                 condition: s\n"
            )
        };
        assert!(is_deprecated(&rule("deprecated")));
        assert!(!is_deprecated(&rule("test")));
        assert!(!is_deprecated(&format!(
            "{}---\n{}",
            rule("deprecated"),
            rule("stable")
        )));
        assert!(!is_deprecated("title: broken"));
    }
}
