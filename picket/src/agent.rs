//! `picket agent`: the endpoint agent in this process, and what an agent delivered.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use identity::Authorities;
use indicatif::{ProgressBar, ProgressStyle};
use model::AgentId;
use proof::{Depth, EpochReport, Report};
use proto::query::v1::GetAgentDeliveryRequest;

use crate::client::{Connection, grpc_error};
use crate::data_dir::UpFile;
use crate::database::Database;
use crate::table::{Cell, Style, Table, Tone, counted, printable, thousands};

/// Problems that are printed; the others are counted, and in the JSON.
const PRINTED: usize = 20;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Account for what an agent sent: stored, refused, given up or missing. Exits with 1 when something does not fit
    Delivery(Box<DeliveryArgs>),
    /// Run the program agentd with these arguments, such as `run --config FILE`
    #[command(external_subcommand)]
    Agentd(Vec<OsString>),
}

#[derive(clap::Args)]
pub(crate) struct DeliveryArgs {
    /// Id of the agent
    id: AgentId,
    /// Read every block and check its signature and its events too. Reads the database itself: asking a server that may
    /// have been tampered with would prove little
    #[arg(long)]
    verify: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    connection: Connection,
}

/// What is to be done.
pub(crate) enum Chosen {
    /// `picket agent delivery`.
    Delivery(Box<DeliveryArgs>),
    /// Anything else: agentd's own arguments.
    Agentd(Vec<OsString>),
}

impl Args {
    pub(crate) fn chosen(self) -> Chosen {
        match self.command {
            Some(Command::Delivery(args)) => Chosen::Delivery(args),
            Some(Command::Agentd(args)) => Chosen::Agentd(args),
            None => Chosen::Agentd(vec!["--help".into()]),
        }
    }
}

pub(crate) async fn delivery(args: DeliveryArgs) -> anyhow::Result<ExitCode> {
    let report = if args.verify {
        verify(&args).await?
    } else {
        ask(&args).await?
    };
    if args.json {
        println!("{}", serde_json::to_string(&report).context("write JSON")?);
    } else {
        print!("{}", as_text(&report, Style::stdout()));
    }
    Ok(if report.holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn ask(args: &DeliveryArgs) -> anyhow::Result<Report> {
    let mut client = args.connection.target()?.query().await?;
    let request = GetAgentDeliveryRequest {
        agent_id: args.id.to_string(),
    };
    let answer = client.get_agent_delivery(request).await.map_err(grpc_error)?;
    serde_json::from_str(&answer.into_inner().delivery_json).context("read the answer")
}

async fn verify(args: &DeliveryArgs) -> anyhow::Result<Report> {
    let ca_file = match &args.connection.ca_file {
        Some(file) => file.clone(),
        None => {
            let up = UpFile::read(&args.connection.data_dir()?);
            up.context("no authority to check signatures against: start `picket up`, or give --ca-file")?
                .ca_file
        }
    };
    let authorities = Authorities::load(&ca_file).context("read --ca-file")?;
    let store = args.database.store(&args.connection).await?;
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    let show = |report: &Report| {
        bar.tick();
        bar.set_message(format!(
            "{} events in {} blocks",
            thousands(report.events),
            report.blocks
        ));
    };
    let report = proof::delivery(
        &store,
        &authorities,
        &args.database.tenant,
        args.id,
        Depth::Blocks,
        show,
    )
    .await
    .context("read the database")?;
    bar.finish_and_clear();
    report.with_context(|| format!("there is no agent {}", args.id))
}

fn batches(count: u64) -> String {
    if count == 1 {
        "1 batch".to_owned()
    } else {
        format!("{} batches", thousands(count))
    }
}

fn as_text(report: &Report, style: Style) -> String {
    let mut text = format!(
        "agent {}: {} in {}, {} {}\n",
        report.agent_id,
        counted(report.events, "event"),
        batches(report.batches),
        counted(report.blocks, "block"),
        if report.blocks_read {
            "read"
        } else {
            "not read (--verify reads them)"
        },
    );
    for epoch in &report.epochs {
        text.push_str(&epoch_text(epoch, style));
    }
    if !report.dropped.is_empty() {
        text.push_str("\ngiven up or refused, over all epochs\n");
        let mut table = Table::new(&["REASON", "EVENTS"]).right(&[1]);
        for (reason, events) in &report.dropped {
            table.row([
                Cell::from(printable(reason).as_str()),
                Cell::from(thousands(*events).as_str()),
            ]);
        }
        text.push_str(&table.render(style));
    }
    text.push('\n');
    for problem in report.problems.iter().take(PRINTED) {
        let mut place = String::new();
        if let Some(epoch) = &problem.epoch {
            let _ = write!(place, "epoch {epoch} ");
        }
        if let Some(first) = problem.first_seq {
            let _ = write!(place, "batch {first} ");
        }
        if let Some(block) = &problem.block {
            let _ = write!(place, "block {block} ");
        }
        let line = format!("DOES NOT FIT: {}: {}", place.trim_end(), printable(&problem.what));
        text.push_str(&style.red(&line));
        text.push('\n');
    }
    let more = report.problems.len().saturating_sub(PRINTED) as u64 + report.problems_left_out;
    if more > 0 {
        let _ = writeln!(text, "and {} more", thousands(more));
    }
    if report.holds {
        let verdict = if report.blocks_read {
            "the proof holds: every number a receipt covers is accounted for, and every block is as it was signed"
        } else {
            "every number a receipt covers is accounted for; --verify reads the blocks too"
        };
        text.push_str(&style.green(verdict));
        text.push('\n');
    }
    text
}

fn epoch_text(epoch: &EpochReport, style: Style) -> String {
    let mut text = format!("\nepoch {}", epoch.epoch);
    if let Some(first_at) = &epoch.first_at {
        let _ = write!(text, " since {first_at}");
    }
    let _ = writeln!(
        text,
        ": {} in {}",
        counted(epoch.events, "event"),
        batches(epoch.batches)
    );
    match &epoch.receipt {
        Some(receipt) => {
            let signature = if receipt.valid { "valid" } else { "NOT VALID" };
            let _ = writeln!(
                text,
                "receipt below {} of {} by {}, signature {signature} (certificate {})",
                receipt.next_seq, receipt.issued_at, receipt.node, receipt.signer
            );
        }
        None => text.push_str("no receipt on record\n"),
    }
    if epoch.repeated_batches > 0 {
        let _ = writeln!(
            text,
            "came again and were refused: {}, {}",
            batches(epoch.repeated_batches),
            counted(epoch.repeated_events, "event")
        );
    }
    let mut table = Table::new(&["NUMBERS", "EVENTS", "WHAT"]).right(&[1]);
    let span = |first: u64, count: u64| format!("{first}..{}", first + count.saturating_sub(1));
    let mut rows: Vec<(u64, [Cell; 3])> = epoch
        .stored
        .iter()
        .map(|stored| {
            let cells = [
                Cell::from(span(stored.first_seq, stored.count).as_str()),
                Cell::from(thousands(stored.count).as_str()),
                Cell::new("stored", Tone::Good),
            ];
            (stored.first_seq, cells)
        })
        .collect();
    rows.extend(epoch.gaps.iter().map(|gap| {
        let tone = match gap.reason.as_str() {
            "unexplained" => Tone::Bad,
            "open" | "expired" => Tone::Quiet,
            _ => Tone::Warning,
        };
        let cells = [
            Cell::from(span(gap.first_seq, gap.count).as_str()),
            Cell::from(thousands(gap.count).as_str()),
            Cell::new(printable(&gap.reason), tone),
        ];
        (gap.first_seq, cells)
    }));
    rows.sort_by_key(|(first, _)| *first);
    for (_, cells) in rows {
        table.row(cells);
    }
    text.push_str(&table.render(style));
    text
}

#[cfg(test)]
mod tests {
    use proof::{Gap, Problem, Span};

    use super::*;

    #[test]
    fn the_report_tells_what_is_stored_what_is_not_and_what_does_not_fit() {
        let report = Report {
            agent_id: "a".to_owned(),
            events: 1300,
            epochs: vec![EpochReport {
                epoch: "00000000000000ff".to_owned(),
                stored: vec![Span {
                    first_seq: 0,
                    count: 1300,
                }],
                gaps: vec![Gap {
                    first_seq: 1300,
                    count: 7,
                    reason: "spool_full".to_owned(),
                }],
                ..EpochReport::default()
            }],
            problems: vec![Problem {
                first_seq: Some(40),
                block: Some("20260304/b".to_owned()),
                what: "the block is not what was signed".to_owned(),
                ..Problem::default()
            }],
            ..Report::default()
        };
        let text = as_text(&report, Style::default());
        for part in [
            "1,300 events",
            "0..1299",
            "1300..1306",
            "spool_full",
            "DOES NOT FIT: batch 40 block 20260304/b: the block",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("holds"), "{text}");
    }
}
