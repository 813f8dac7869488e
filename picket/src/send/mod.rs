//! `picket send FILE`: any log file as events, each line once whatever happens to single requests.
//!
//! A line that holds many records is many events, and the audit daemon's lines of one event are one ([`records`]).
//! Records go to `POST /ingest` in batches. Each batch has an idempotency key derived from the file's content so far, so
//! a batch whose answer got lost is not counted twice when it is sent again, and neither is a file whose sending was
//! interrupted and started over.

mod source;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use records::event_log::Damage;
use source::Source;

use crate::client::{Connection, Rest, problem_detail, trouble};
use crate::table::counted;

/// A request holds at most this many lines.
const MAX_LINES: usize = 1_000;
/// And about this many bytes of them.
const MAX_BYTES: usize = 700_000;
/// Lines beyond this are cut; the server would refuse them.
const MAX_LINE_BYTES: usize = 200_000;
/// Tries for one batch while the server is away or busy.
const MAX_TRIES: u32 = 12;
/// Longest pause between them.
const MAX_PAUSE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file, of lines, also compressed (.gz, .zst), or a Windows Event Log (.evtx); `-` reads lines from standard input
    file: PathBuf,
    /// Parser to use, such as sshd; detected when not given. With json, each line that is an object is an event with its
    /// members as fields
    #[arg(long, value_name = "TYPE")]
    log_type: Option<String>,
    /// Host the lines come from, for lines that do not say
    #[arg(long, value_name = "NAME")]
    host: Option<String>,
    /// Count the lines anew even if this very file was sent before; always so for standard input
    #[arg(long)]
    again: bool,
    /// Each line is an event by itself: no array is taken apart, no audit records are joined
    #[arg(long)]
    each_line: bool,
    /// One JSON object at the end
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Default)]
struct Totals {
    lines: u64,
    bytes: u64,
    accepted: u64,
    rejected: u64,
    duplicate: u64,
    cut: u64,
    /// What could not be read of an Event Log.
    damage: Vec<Damage>,
    /// Records that are missing because of it.
    missing: u64,
    first_error: Option<String>,
}

pub(crate) async fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let (source, length) = if args.file.as_os_str() == "-" {
        let input = Box::new(tokio::io::stdin());
        (Source::new(input, MAX_LINE_BYTES, args.each_line), None)
    } else {
        // One file, however its path was written.
        args.file = std::fs::canonicalize(&args.file).with_context(|| format!("open {}", args.file.display()))?;
        let (source, length) = Source::open(&args.file, MAX_LINE_BYTES, args.each_line).await?;
        (source, length)
    };
    let progress = progress_bar(length, args.json);
    let started = Instant::now();
    let sent = send_all(&rest, &args, source, &progress).await;
    progress.finish_and_clear();
    let (totals, failure) = sent;
    report(&args, &totals, started.elapsed());
    if let Some(error) = failure {
        return Err(error.context(format!(
            "stopped after {} lines",
            totals.accepted + totals.rejected + totals.duplicate
        )));
    }
    Ok(if totals.rejected == 0 && totals.damage.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn send_all(
    rest: &Rest,
    args: &Args,
    mut source: Source,
    progress: &ProgressBar,
) -> (Totals, Option<anyhow::Error>) {
    let mut totals = Totals::default();
    let mut chain = start_of_chain(args);
    if args.again || args.file.as_os_str() == "-" {
        chain.update(&rand::random::<[u8; 16]>());
    }
    loop {
        let batch = match read_batch(&mut source, args, &mut totals, &mut chain).await {
            Ok(batch) => batch,
            Err(error) => return (totals, Some(error)),
        };
        totals.damage.clone_from(&source.damage);
        totals.missing = source.missing;
        if batch.is_empty() {
            return (totals, None);
        }
        let count = batch.len() as u64;
        let is_first = totals.accepted + totals.rejected + totals.duplicate == 0;
        let key = format!("send-{}", &chain.finalize().to_hex()[..40]);
        match post(rest, &key, &json!({ "events": batch }), progress, is_first).await {
            Ok(answer) => take_answer(&answer, count, &mut totals),
            Err(error) => return (totals, Some(error)),
        }
        progress.set_position(totals.bytes);
        progress.set_message(HumanCount(totals.lines).to_string());
    }
}

/// Everything beside the lines that shapes a request: the same key must never stand for two different ones.
fn start_of_chain(args: &Args) -> blake3::Hasher {
    let mut chain = blake3::Hasher::new();
    let path = args.file.to_string_lossy();
    let each_line = args.each_line.then_some("each line");
    let parts = [Some(path.as_ref()), args.log_type.as_deref(), args.host.as_deref()];
    for part in parts.into_iter().chain(each_line.map(Some)) {
        let part = part.map(str::as_bytes);
        chain.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
        chain.update(part.unwrap_or_default());
    }
    chain
}

fn take_answer(answer: &Value, count: u64, totals: &mut Totals) {
    if answer["duplicate"] == true {
        totals.duplicate += count;
        return;
    }
    let rejected = answer["rejected"].as_u64().unwrap_or(0).min(count);
    totals.rejected += rejected;
    totals.accepted += count - rejected;
    if totals.first_error.is_none() {
        totals.first_error = answer["errors"][0]["error"].as_str().map(str::to_owned);
    }
}

async fn read_batch(
    source: &mut Source,
    args: &Args,
    totals: &mut Totals,
    chain: &mut blake3::Hasher,
) -> anyhow::Result<Vec<Value>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < MAX_LINES && bytes < MAX_BYTES {
        let record = source.next().await?;
        totals.bytes = source.read;
        let Some(record) = record else { break };
        let line = record.body;
        totals.lines += 1;
        totals.cut += u64::from(record.cut_bytes > 0);
        bytes += line.len();
        chain.update(&(line.len() as u64).to_le_bytes());
        chain.update(&line);
        let mut event = json!({ "source": "file", "message": String::from_utf8_lossy(&line) });
        let mut fields = serde_json::Map::new();
        if let Some(header) = record.header.as_deref() {
            bytes += header.len();
            fields.insert(parsers::HEADER_MEMBER.to_owned(), json!(header));
        }
        if let Some(log_type) = &args.log_type {
            fields.insert("log_type".to_owned(), json!(log_type));
        }
        if args.file.as_os_str() != "-" {
            fields.insert("log.file.path".to_owned(), json!(args.file.to_string_lossy()));
        }
        event["fields"] = Value::Object(fields);
        if let Some(host) = &args.host {
            event["host"] = json!(host);
        }
        batch.push(event);
    }
    Ok(batch)
}

async fn post(rest: &Rest, key: &str, body: &Value, progress: &ProgressBar, is_first: bool) -> anyhow::Result<Value> {
    let mut pause = Duration::from_millis(200);
    for attempt in 1..=MAX_TRIES {
        let request = rest
            .request(Method::POST, "/ingest")
            .header("idempotency-key", key)
            .json(body);
        let (reason, wait) = match request.send().await {
            Ok(response) => {
                let status = response.status();
                let retry_after = response
                    .headers()
                    .get("retry-after")
                    .and_then(|value| value.to_str().ok()?.parse().ok())
                    .map(Duration::from_secs);
                let text = response.text().await.unwrap_or_default();
                if status.is_success() {
                    return serde_json::from_str(&text).context("read the gateway's answer as JSON");
                }
                let reason = format!("the gateway answered {status}: {}", problem_detail(&text));
                if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
                    bail!(reason);
                }
                (reason, retry_after)
            }
            // Nobody there, or somebody else: a user who mistyped wants to know at once.
            Err(error) if error.is_connect() && is_first => bail!("reach the gateway: {}", trouble(&error)),
            Err(error) => (format!("reach the gateway: {}", trouble(&error)), None),
        };
        if attempt == MAX_TRIES {
            bail!("{reason} (tried {MAX_TRIES} times)");
        }
        progress.suspend(|| eprintln!("{reason}; trying again"));
        tokio::time::sleep(wait.unwrap_or(pause).min(MAX_PAUSE)).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
    bail!("no try was made")
}

fn progress_bar(length: Option<u64>, quiet: bool) -> ProgressBar {
    if quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
    }
    let template = match length {
        Some(_) => "{bar:30} {percent}%  {bytes}/{total_bytes}  {msg} lines  {bytes_per_sec}  {eta} left",
        None => "{spinner} {bytes}  {msg} lines  {bytes_per_sec}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    bar.with_style(style)
}

fn report(args: &Args, totals: &Totals, took: Duration) {
    let rate = totals.lines as f64 / took.as_secs_f64().max(0.001);
    if args.json {
        println!(
            "{}",
            json!({
                "lines": totals.lines, "bytes": totals.bytes, "accepted": totals.accepted,
                "rejected": totals.rejected, "duplicate": totals.duplicate, "cut": totals.cut, "seconds": took.as_secs_f64(),
                "first_error": totals.first_error, "unreadable": totals.missing,
                "damage": totals.damage.iter().map(described).collect::<Vec<_>>(),
            })
        );
        return;
    }
    println!(
        "{} ({}) in {:.1} s, {:.0} lines/s: {} accepted, {} rejected",
        counted(totals.lines, "line"),
        HumanBytes(totals.bytes),
        took.as_secs_f64(),
        rate,
        HumanCount(totals.accepted),
        HumanCount(totals.rejected)
    );
    if totals.duplicate > 0 {
        let repeated = counted(totals.duplicate, "line");
        println!("sent before and not counted again (--again does): {repeated}");
    }
    if totals.cut > 0 {
        let cut = counted(totals.cut, "line");
        println!("longer than {MAX_LINE_BYTES} bytes and cut: {cut}");
    }
    for damage in &totals.damage {
        println!("damaged: {}", described(damage));
    }
    if totals.missing > 0 {
        println!("not readable: {}", counted(totals.missing, "record"));
    }
    if let Some(error) = &totals.first_error {
        println!("first rejection: {error}");
    }
}

fn described(damage: &Damage) -> String {
    format!("chunk {}: {}", damage.chunk, damage.reason)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn what_shapes_a_request_shapes_its_key() {
        let key = |words: &[&str]| {
            let args = Wrapper::parse_from([&["send"], words].concat()).args;
            start_of_chain(&args).finalize()
        };
        let keys = [
            key(&["a.log"]),
            key(&["b.log"]),
            key(&["a.log", "--host", "web"]),
            key(&["a.log", "--log-type", "web"]),
            key(&["a.log", "--each-line"]),
        ];
        for (index, one) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(one), "{index}");
        }
        assert_eq!(keys[0], key(&["a.log", "--json"]));
    }

    #[derive(clap::Parser)]
    struct Wrapper {
        #[command(flatten)]
        args: Args,
    }
}
