//! Rules change while events come in: who changes them learns when they are in use, and nothing is lost or told twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bson::{Document, doc};
use serde_json::{Value, json};
use tests::system::{Options, System};

const WITHIN: Duration = Duration::from_secs(120);
/// Who sends: each is a source of its own, and so many that both detectors have some of them.
const SENDERS: usize = 32;
/// Lines of each sender at least, and in all.
const LINES: usize = 10;
/// Addresses that are counted; lines of several senders are about one.
const ADDRESSES: usize = 4;

const FAILED: &str = "title: Failed\nid: failed\nlevel: low\nlogsource: {product: linux, service: sshd}\ndetection:\n  \
    s: {event.action: ssh_login, event.outcome: failure}\n  condition: s\n";
/// The count that decides is only reached when no event of the whole time is missing.
const EVERY: &str = "title: Every line\nid: every\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [failed]\n  \
    group-by: [source.ip]\n  timespan: 1h\n  condition: {gte: 80}\n  generate: true\n";

fn accepted(round: usize) -> String {
    format!(
        "title: Accepted in round {round}\nid: accepted\nlevel: low\nlogsource: {{product: linux, service: sshd}}\ndetection:\n  \
         s: {{event.action: ssh_login, event.outcome: success, user.name: round-{round}}}\n  condition: s\n"
    )
}

fn failed_line(sender: usize, number: usize) -> String {
    let (address, minute, second) = (sender % ADDRESSES, number / 60, number % 60);
    format!(
        "2026-03-01T10:{minute:02}:{second:02}.000000+00:00 web sshd[7]: Failed password for s{sender} from \
         203.0.113.{address} port {} ssh2",
        number + 1
    )
}

async fn send(system: &System, key: &str, line: &str) -> anyhow::Result<()> {
    let url = format!("{}/ingest?origin=/var/log/auth.log&log_type=sshd", system.up.rest_url);
    let request = system.client().post(url).header("x-api-key", key);
    let answer = request
        .header("content-type", "text/plain")
        .body(line.to_owned())
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

async fn database(system: &System) -> anyhow::Result<mongodb::Database> {
    let client = mongodb::Client::with_uri_str(&system.up.mongodb_uri).await?;
    Ok(client.database("picket"))
}

/// How many alerts a rule has, and on how many different events.
async fn count_alerts(system: &System, rule: &str) -> anyhow::Result<(usize, usize)> {
    let alerts = database(system).await?.collection::<Document>("alerts");
    let all = alerts.count_documents(doc! { "rule_id": rule }).await?;
    let different = alerts.distinct("event_id", doc! { "rule_id": rule }).await?;
    Ok((usize::try_from(all)?, different.len()))
}

/// Detectors that finished blocks.
async fn workers(system: &System) -> anyhow::Result<BTreeSet<String>> {
    let database = database(system).await?;
    let mut names = BTreeSet::new();
    for day in storage::blocks::list_days(&system.store().await?).await? {
        let blocks = database.collection::<Document>(&day.collection());
        let found = blocks.distinct("done.by", doc! {}).await?;
        names.extend(found.iter().filter_map(|name| name.as_str().map(str::to_owned)));
    }
    Ok(names)
}

#[tokio::test]
async fn a_new_rule_is_told_to_be_in_use_and_no_event_or_window_is_lost_meanwhile() -> anyhow::Result<()> {
    let rules = tempfile::tempdir()?;
    fs::write(rules.path().join("failed.yml"), FAILED)?;
    fs::write(rules.path().join("every.yml"), EVERY)?;
    let args = ["--no-agent", "--nodes", "detector=2", "--rules"].map(str::to_owned);
    let system = System::start(Options {
        args: [&args[..], &[rules.path().to_string_lossy().into_owned()]].concat(),
        ..Options::default()
    })
    .await?;
    let mut keys = Vec::new();
    for sender in 0..SENDERS {
        let asked = json!({ "name": format!("sender-{sender}"), "role": "analyst" });
        let made = system.post("/security/api-keys", &asked).await?;
        keys.push(made["api_key"].as_str().context("no key")?.to_owned());
    }

    // Every sender goes on for as long as rules change.
    let changing = AtomicBool::new(true);
    let sending = async |sender: usize, key: &str| -> anyhow::Result<usize> {
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        let mut number = 0;
        while number < LINES || changing.load(Ordering::Relaxed) {
            pace.tick().await;
            send(&system, key, &failed_line(sender, number)).await?;
            number += 1;
        }
        Ok(number)
    };
    let file = system.scratch().join("accepted.yml");
    let change = async || -> anyhow::Result<usize> {
        let mut accepted_lines = 0;
        for round in 0..4 {
            fs::write(&file, accepted(round))?;
            let mut command = system.command(&["rules", "import", &file.to_string_lossy(), "--json"])?;
            let output = tokio::task::spawn_blocking(move || command.output()).await??;
            let told: Value = serde_json::from_slice(&output.stdout)
                .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
            let active = &told["active"];
            ensure!(active["detectors"] == 2 && active["of"] == 2, "{told}");
            // From then on, and not a moment later, each detector evaluates with it.
            for (sender, key) in keys.iter().enumerate() {
                let line = format!(
                    "2026-03-01T11:00:00.000000+00:00 web sshd[7]: Accepted password for round-{round} from 203.0.113.9 \
                     port {} ssh2",
                    sender + 1
                );
                send(&system, key, &line).await?;
                accepted_lines += 1;
            }
        }
        changing.store(false, Ordering::Relaxed);
        Ok(accepted_lines)
    };
    let all_sending =
        futures_util::future::try_join_all(keys.iter().enumerate().map(|(sender, key)| sending(sender, key)));
    let (failed_lines, accepted_lines) = tokio::try_join!(all_sending, change())?;
    let failed_total: usize = failed_lines.iter().sum();
    system.all_done(failed_total + accepted_lines, WITHIN).await?;
    let workers = workers(&system).await?;
    ensure!(workers.len() == 2, "only {workers:?} worked");

    let mut by_round: BTreeMap<String, usize> = BTreeMap::new();
    for alert in system.alerts("accepted").await? {
        let user = alert.event["user"]["name"].as_str().context("no user")?.to_owned();
        *by_round.entry(user).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = (0..4).map(|round| (format!("round-{round}"), SENDERS)).collect();
    ensure!(by_round == expected, "{by_round:?}");

    let counts = count_alerts(&system, "failed").await?;
    ensure!(
        counts == (failed_total, failed_total),
        "alerts and their events are {counts:?}, events {failed_total}"
    );
    let every = system.alerts("every").await?;
    ensure!(every.len() == ADDRESSES, "{} windows were found", every.len());
    for alert in every {
        let found = alert.correlation.context("no correlation")?;
        ensure!(found.count >= 80 && !found.retracted && !found.overflowed, "{found:?}");
    }
    system.stop().await
}
