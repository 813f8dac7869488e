//! `bench latency`: from a line in a followed file to its alert on the Watch stream, with other lines in between.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use proto::query::v1::WatchAlertsRequest;
use proto::query::v1::watch_alerts_response::Body;
use tests::lines;
use tests::system::{Options, System, append};

use crate::report::{machine, percentile};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Lines to time
    #[arg(long, default_value_t = 300)]
    samples: u32,
    /// Other lines a second meanwhile
    #[arg(long, default_value_t = 1_000)]
    background: u64,
}

/// Pause between two timed lines; not a multiple of the agent's 200 ms, so that all phases occur.
const PAUSE: Duration = Duration::from_millis(137);
/// How often background lines are written.
const TICK: Duration = Duration::from_millis(50);
/// Longest wait for a single alert.
const LOST: Duration = Duration::from_secs(30);

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let mut client = system.query().await?;
    let mut stream = client
        .watch_alerts(system.authorized(WatchAlertsRequest::default())?)
        .await?
        .into_inner();
    stream.message().await?.context("the watch ended")?;

    let file = system.try_file();
    let background = {
        let file = file.clone();
        let per_tick = args.background * TICK.as_millis() as u64 / 1000;
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(TICK);
            let mut number = 0;
            loop {
                tick.tick().await;
                let text: String = (number..number + per_tick)
                    .map(|number| lines::line(number).replace("Failed password", "Postponed keyboard") + "\n")
                    .collect();
                number += per_tick;
                if append(&file, text.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };

    let mut began: HashMap<u32, Instant> = HashMap::new();
    let mut took = Vec::new();
    let mut pace = tokio::time::interval(PAUSE);
    let mut next = 0;
    while took.len() < args.samples as usize {
        tokio::select! {
            _ = pace.tick(), if next < args.samples => {
                let line = format!(
                    "2026-03-01T10:00:00.000000+00:00 timed sshd[1]: Failed password for sample{next} from 203.0.113.7 port 1 ssh2\n"
                );
                append(&file, line.as_bytes())?;
                began.insert(next, Instant::now());
                next += 1;
            }
            message = tokio::time::timeout(LOST, stream.message()) => {
                let message = message.context("an alert is missing")??.context("the watch ended")?;
                if let Some(Body::Alert(watched)) = message.body
                    && let Some(alert) = watched.alert
                    && alert.title == "SSH failed password"
                {
                    let document: serde_json::Value = serde_json::from_str(&alert.json)?;
                    let user = document["event"]["user"]["name"].as_str().unwrap_or_default();
                    let sample = user.strip_prefix("sample").and_then(|number| number.parse().ok());
                    if let Some(start) = sample.and_then(|number: u32| began.remove(&number)) {
                        took.push(start.elapsed().as_secs_f64() * 1000.0);
                    }
                }
            }
        }
    }
    background.abort();
    println!("machine        {}", machine());
    println!("background     {} events/s", args.background);
    println!("samples        {}", took.len());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)] {
        println!("{name}            {:.0} ms", percentile(&took, share));
    }
    system.stop().await
}
