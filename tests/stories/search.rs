//! An analyst looks for what happened: the same question over REST and on the command line.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::system::{Options, System};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(30);
/// Two failed logins of every three lines, from four addresses.
const LINES: u64 = 900;

async fn fill(system: &System) -> anyhow::Result<()> {
    let now = model::Timestamp::now();
    let events: Vec<Value> = (0..LINES)
        .map(|n| {
            let ago = i64::try_from(LINES - n).unwrap_or_default() * 2_000_000;
            let time = model::Timestamp(now.0 - ago);
            let what = if n % 3 == 0 { "Accepted" } else { "Failed" };
            json!({
                "source": "syslog", "host": format!("web-{}", n % 5), "timestamp": time,
                "message": format!("{what} password for user{} from 10.1.{}.7 port {} ssh2", n % 10, n % 4, 20_000 + n),
                "fields": { "program": "sshd" },
            })
        })
        .collect();
    let answer = system.post("/ingest", &json!(events)).await?;
    ensure!(answer["accepted"] == LINES, "{answer}");
    until("all events are found", WITHIN, async || {
        let page = system.get("/search?q=process.name:sshd&count=exact&limit=1").await?;
        ensure!(page["total"] == LINES, "{page}");
        Ok(Some(()))
    })
    .await
}

fn lines(output: &Output) -> anyhow::Result<Vec<String>> {
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", output.status);
    let text = String::from_utf8(output.stdout.clone()).context("read what was printed")?;
    Ok(text.lines().map(str::to_owned).collect())
}

#[tokio::test]
async fn one_language_answers_over_rest_and_on_the_command_line() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    fill(&system).await?;

    let query = "event.outcome:failure source.ip:10.1.2.0/24 user.name:(user2 OR user4) NOT user.name:user4";
    let expected = (0..LINES).filter(|n| n % 3 != 0 && n % 4 == 2 && n % 10 == 2).count();
    let found = lines(&system.picket(&["search", query, "--json"])?)?;
    ensure!(found.len() == expected, "{} of {expected}", found.len());
    let times: Vec<String> = found
        .iter()
        .map(|line| {
            let event: Value = serde_json::from_str(line)?;
            ensure!(
                event["source"]["ip"] == "10.1.2.7" && event["user"]["name"] == "user2",
                "{event}"
            );
            Ok(event["@timestamp"].to_string())
        })
        .collect::<anyhow::Result<_>>()?;
    ensure!(times.is_sorted_by(|a, b| a >= b), "not newest first");
    let count = lines(&system.picket(&["search", query, "--count"])?)?;
    ensure!(count == [expected.to_string()], "{count:?}");

    let table = lines(&system.picket(&["search", "failed", "--limit", "3", "--from", "1h"])?)?;
    ensure!(table.len() == 4 && table[0].starts_with("TIME"), "{table:?}");
    let csv = lines(&system.picket(&[
        "search",
        "accepted",
        "--format",
        "csv",
        "--fields",
        "user.name,source.ip",
    ])?)?;
    ensure!(
        csv.len() as u64 == 1 + LINES / 3 && csv[0] == "user.name,source.ip",
        "{:?}",
        csv.first()
    );
    let ocsf = lines(&system.picket(&["search", "accepted", "--format", "ocsf", "--limit", "1"])?)?;
    let login: Value = serde_json::from_str(&ocsf[0])?;
    ensure!(login["class_uid"] == 3002 && login["status_id"] == 1, "{login}");

    let top = lines(&system.picket(&["search", "failed", "--top", "source.ip", "--json"])?)?;
    let top: Value = serde_json::from_str(&top[0])?;
    let counts: u64 = top["values"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v["count"].as_u64())
        .sum();
    ensure!(top["distinct"] == 4 && counts == LINES / 3 * 2, "{top}");
    let histogram = lines(&system.picket(&[
        "search",
        "process.name=sshd",
        "--histogram",
        "--interval",
        "1m",
        "--json",
    ])?)?;
    let histogram: Value = serde_json::from_str(&histogram[0])?;
    ensure!(
        histogram["total"] == LINES && histogram["interval_secs"] == 60,
        "{histogram}"
    );

    let refused = system.picket(&["search", "failed AND (user.name:"])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(2), "{}: {said}", refused.status);
    let (_, under) = said.trim_end().rsplit_once('\n').context("no caret")?;
    ensure!(under.len() == 23 && under.ends_with('^'), "{said}");
    system.stop().await
}
