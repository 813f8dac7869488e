//! `picket send FILE`: any log file as events, each line once whatever happens to single requests.
//!
//! Lines go to `POST /ingest` in batches. Each batch has an idempotency key derived from the file's content so far, so
//! a batch whose answer got lost is not counted twice when it is sent again, and neither is a file whose sending was
//! interrupted and started over.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use crate::client::{Connection, Rest, problem_detail, trouble};

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
    /// The file; `-` reads standard input
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
    first_error: Option<String>,
}

pub(crate) async fn run(mut args: Args) -> anyhow::Result<ExitCode> {
    let rest = args.connection.target()?.rest()?;
    let (reader, length): (Box<dyn AsyncBufRead + Unpin + Send>, Option<u64>) = if args.file.as_os_str() == "-" {
        (Box::new(BufReader::new(tokio::io::stdin())), None)
    } else {
        // One file, however its path was written.
        args.file = std::fs::canonicalize(&args.file).with_context(|| format!("open {}", args.file.display()))?;
        let file = tokio::fs::File::open(&args.file)
            .await
            .with_context(|| format!("open {}", args.file.display()))?;
        let length = file
            .metadata()
            .await
            .with_context(|| format!("read {}", args.file.display()))?
            .len();
        (Box::new(BufReader::with_capacity(256 * 1024, file)), Some(length))
    };
    let progress = progress_bar(length, args.json);
    let started = Instant::now();
    let sent = send_all(&rest, &args, reader, &progress).await;
    progress.finish_and_clear();
    let (totals, failure) = sent;
    report(&args, &totals, started.elapsed());
    if let Some(error) = failure {
        return Err(error.context(format!(
            "stopped after {} lines",
            totals.accepted + totals.rejected + totals.duplicate
        )));
    }
    Ok(if totals.rejected == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn send_all(
    rest: &Rest,
    args: &Args,
    mut reader: Box<dyn AsyncBufRead + Unpin + Send>,
    progress: &ProgressBar,
) -> (Totals, Option<anyhow::Error>) {
    let mut totals = Totals::default();
    let mut chain = start_of_chain(args);
    if args.again || args.file.as_os_str() == "-" {
        chain.update(&rand::random::<[u8; 16]>());
    }
    loop {
        let batch = match read_batch(&mut reader, args, &mut totals, &mut chain).await {
            Ok(batch) => batch,
            Err(error) => return (totals, Some(error)),
        };
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
    for part in [Some(path.as_ref()), args.log_type.as_deref(), args.host.as_deref()] {
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

/// A line that is to be taken as JSON and is an object is the event itself.
fn object(line: &[u8], args: &Args) -> Option<Value> {
    if args.log_type.as_deref() != Some("json") {
        return None;
    }
    let mut event: Value = serde_json::from_slice(line).ok()?;
    let fields = event.as_object_mut()?;
    if let Some(host) = &args.host {
        fields.entry("host.name").or_insert_with(|| json!(host));
    }
    Some(event)
}

async fn read_batch(
    reader: &mut (dyn AsyncBufRead + Unpin + Send),
    args: &Args,
    totals: &mut Totals,
    chain: &mut blake3::Hasher,
) -> anyhow::Result<Vec<Value>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while batch.len() < MAX_LINES && bytes < MAX_BYTES {
        let Some(line) = read_line(reader, totals).await? else {
            break;
        };
        if line.is_empty() {
            continue;
        }
        totals.lines += 1;
        bytes += line.len();
        chain.update(&(line.len() as u64).to_le_bytes());
        chain.update(&line);
        if let Some(event) = object(&line, args) {
            batch.push(event);
            continue;
        }
        let mut event = json!({ "source": "file", "message": String::from_utf8_lossy(&line) });
        let mut fields = serde_json::Map::new();
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

/// One line without its end; what is beyond the limit is read and cut. `None` at the end of the file.
async fn read_line(
    reader: &mut (dyn AsyncBufRead + Unpin + Send),
    totals: &mut Totals,
) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut limited = (&mut *reader).take(MAX_LINE_BYTES as u64);
    let mut read = limited.read_until(b'\n', &mut line).await.context("read the file")?;
    if read == 0 {
        return Ok(None);
    }
    if !line.ends_with(b"\n") && read == MAX_LINE_BYTES {
        let mut cut = false;
        loop {
            let available = reader.fill_buf().await.context("read the file")?;
            if available.is_empty() {
                break;
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let skip = end.map_or(available.len(), |end| end + 1);
            cut |= end != Some(0);
            reader.consume(skip);
            read += skip;
            if end.is_some() {
                break;
            }
        }
        totals.cut += u64::from(cut);
    }
    totals.bytes += read as u64;
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Ok(Some(line))
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
                "first_error": totals.first_error,
            })
        );
        return;
    }
    println!(
        "{} lines ({}) in {:.1} s, {:.0} lines/s: {} accepted, {} rejected",
        HumanCount(totals.lines),
        HumanBytes(totals.bytes),
        took.as_secs_f64(),
        rate,
        HumanCount(totals.accepted),
        HumanCount(totals.rejected)
    );
    if totals.duplicate > 0 {
        println!(
            "{} lines were sent before and are not counted again (--again does)",
            HumanCount(totals.duplicate)
        );
    }
    if totals.cut > 0 {
        println!(
            "{} lines were longer than {MAX_LINE_BYTES} bytes and were cut",
            totals.cut
        );
    }
    if let Some(error) = &totals.first_error {
        println!("first rejection: {error}");
    }
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

    #[tokio::test]
    async fn long_lines_are_cut_at_the_limit_and_the_next_line_is_whole() {
        let mut text = vec![b'a'; MAX_LINE_BYTES + 10];
        text.extend(b"\r\nnext\r\n\nlast");
        let mut reader: Box<dyn AsyncBufRead + Unpin + Send> = Box::new(BufReader::new(std::io::Cursor::new(text)));
        let mut totals = Totals::default();
        let mut lines = Vec::new();
        while let Some(line) = read_line(&mut reader, &mut totals).await.unwrap() {
            lines.push(line);
        }
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].len(), MAX_LINE_BYTES);
        assert_eq!(&lines[1..], [b"next".to_vec(), b"".to_vec(), b"last".to_vec()]);
        assert_eq!(totals.cut, 1);
    }
}
