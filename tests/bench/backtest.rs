//! `bench backtest`: stored blocks through rules, by column as backtests do it and event by event, in the same run.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use block::Block;
use detector::backtest::{columns_of, find_matches};
use model::id::{Epoch, SourceId};
use model::{Event, EventId, Fields, Timestamp};
use sigma::{Rule, RuleSet, Scratch};

use crate::report::{machine, median};
use crate::sigma::{input, rate};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Blocks
    #[arg(long, default_value_t = 20)]
    blocks: u64,
    /// Events in each
    #[arg(long, default_value_t = 10_000)]
    events: u64,
    /// Directory or file with rules, measured beside a simple rule
    #[arg(long, default_value = "rules", value_name = "PATH")]
    rules: PathBuf,
    /// Rounds; the middle one counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Matches one event in 500.
const SIMPLE: &str = "
id: simple
title: Failed login as root
logsource: {product: linux}
detection:
  s: {event.action: ssh_login, event.outcome: failure, user.name: root}
  condition: s
";

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    println!("machine               {}", machine());
    let mut bodies = Vec::new();
    for number in 0..args.blocks {
        let first = number * args.events;
        let events: Vec<Event> = (first..first + args.events).map(event).collect();
        bodies.push(block::encode(&events).context("encode a block")?.bytes);
    }
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let count = usize::try_from(args.blocks * args.events)?;
    println!(
        "blocks                {} of {} events, {:.1} bytes an event",
        args.blocks,
        args.events,
        bytes as f64 / count.max(1) as f64
    );
    let simple = vec![("simple.yml".to_owned(), SIMPLE.trim_start().to_owned())];
    measure(args, "simple rule", &simple, &bodies, count)?;
    let pack = input::rule_texts(std::slice::from_ref(&args.rules))?;
    measure(args, "rule pack", &pack, &bodies, count)
}

fn measure(
    args: &Args,
    name: &str,
    texts: &[(String, String)],
    bodies: &[Vec<u8>],
    count: usize,
) -> anyhow::Result<()> {
    let mut rules: Vec<Rule> = Vec::new();
    for (path, text) in texts {
        rules.extend(sigma::parse_rules(path, text).into_iter().flatten());
    }
    let (set, _) = RuleSet::compile(rules);
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    let mut hits = (0, 0);
    for _ in 0..args.rounds.max(1) {
        let (mut by_row, mut by_column) = (Ok(0), Ok(0));
        rows.push(rate(count, || by_row = run_rows(&set, bodies)));
        columns.push(rate(count, || by_column = run_columns(&set, bodies)));
        hits = (by_row?, by_column?);
        ensure!(hits.0 == hits.1, "rows matched {} times, columns {}", hits.0, hits.1);
    }
    println!("\n{name:<21} {} rules, {} matches", set.len(), hits.0);
    let (rows, columns) = (median(&rows), median(&columns));
    println!("event by event        {rows:>9.0} events/s and core");
    println!(
        "by column             {columns:>9.0} events/s and core, {:.1}x",
        columns / rows
    );
    Ok(())
}

fn run_rows(set: &RuleSet, bodies: &[Vec<u8>]) -> anyhow::Result<usize> {
    let (mut scratch, mut hits, mut count) = (Scratch::new(), Vec::new(), 0);
    for body in bodies {
        for event in Block::open(body)?.events()? {
            hits.clear();
            set.evaluate(&event, &mut scratch, &mut hits);
            count += hits.len();
        }
    }
    Ok(count)
}

/// With the events of the hits, as alerts need them.
fn run_columns(set: &RuleSet, bodies: &[Vec<u8>]) -> anyhow::Result<usize> {
    let (mut scratch, mut count) = (Scratch::new(), 0);
    for body in bodies {
        let block = Block::open(body)?;
        let columns = columns_of(&block)?.context("a block has fields without a column")?;
        let found = find_matches(set, &columns, |_| true, &mut scratch)?.context("a block has too many matches")?;
        let events = columns.events_at(&found.rows)?;
        ensure!(events.len() == found.rows.len(), "an event is missing");
        count += found.matches().map(<[u32]>::len).sum::<usize>();
    }
    Ok(count)
}

/// Logins, processes and web requests of a few hosts, as collectors store them.
fn event(number: u64) -> Event {
    let mut fields = Fields::new();
    let host = number * 7 % 40;
    let user = match number % 50 {
        0 => "root".to_owned(),
        other => format!("user{}", other * host % 90),
    };
    let address = format!("10.{}.{}.{}", host, number % 251, number * 13 % 253);
    fields.insert("host.os.type", "linux");
    fields.insert("host.name", format!("web-{host}"));
    fields.insert("agent.id", format!("0191d3f0-0000-7000-8000-{host:012}"));
    match number % 10 {
        0..5 => {
            let outcome = if number.is_multiple_of(500) {
                "failure"
            } else {
                "success"
            };
            let verb = if outcome == "failure" { "Failed" } else { "Accepted" };
            let port = 1024 + number * 31 % 60_000;
            let message = format!("{verb} password for {user} from {address} port {port} ssh2");
            fields.insert("message", message.clone());
            fields.insert(
                "event.original",
                format!("<38>Nov 21 09:00:00 web-{host} sshd[{port}]: {message}"),
            );
            fields.insert("event.category", "authentication");
            fields.insert("event.action", "ssh_login");
            fields.insert("event.outcome", outcome);
            fields.insert("source.ip", address);
            fields.insert("source.port", i64::try_from(port).unwrap_or_default());
            fields.insert("user.name", user);
            fields.insert("process.name", "sshd");
        }
        5..8 => {
            let pid = 300 + number * 17 % 30_000;
            let line = format!(
                "/usr/bin/python3 /opt/job/run.py --shard {} --host web-{host}",
                number % 977
            );
            fields.insert("message", format!("exec pid={pid} {line}"));
            fields.insert("event.category", "process");
            fields.insert("event.action", "exec");
            fields.insert("process.pid", i64::try_from(pid).unwrap_or_default());
            fields.insert("process.executable", "/usr/bin/python3");
            fields.insert("process.command_line", line);
            fields.insert("process.parent.executable", "/usr/sbin/cron");
            fields.insert("user.name", user);
        }
        _ => {
            let path = format!("/shop/item/{}?ref={}", number % 4001, number % 97);
            fields.insert(
                "message",
                format!("{address} - - \"GET {path} HTTP/1.1\" 200 {}", number % 9001),
            );
            fields.insert("event.category", "web");
            fields.insert("http.request.method", "GET");
            fields.insert("http.response.status_code", 200_i64);
            fields.insert("url.original", path);
            fields.insert("source.ip", address);
            fields.insert(
                "user_agent.original",
                "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
            );
        }
    }
    Event {
        id: EventId {
            source: SourceId::named("bench", "backtest"),
            epoch: Epoch(1),
            seq: number,
        },
        timestamp: Timestamp(1_700_000_000_000_000 + i64::try_from(number).unwrap_or_default() * 1_000),
        fields,
    }
}
