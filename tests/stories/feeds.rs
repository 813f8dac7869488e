//! Threat intelligence comes in by feeds: set up on the command line, matched within seconds, gone when it leaves.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use testkit::{Medallion, Publisher, Reply};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);

fn told(output: &Output) -> anyhow::Result<String> {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}

fn log_in_from(system: &System, address: &str, port: u32) -> anyhow::Result<()> {
    let line = format!("Mar  1 10:00:00 web-1 sshd[7]: Failed password for root from {address} port {port} ssh2\n");
    append(&system.try_file(), line.as_bytes())
}

/// Alerts by indicators, once nothing is pending.
async fn matches(system: &System) -> anyhow::Result<usize> {
    let alerts = system.get("/alerts?limit=1000").await?;
    let items = alerts["items"].as_array().context("no list of alerts")?;
    Ok(items.iter().filter(|alert| alert["rule"]["id"] == "ti_ip").count())
}

/// Sends lines until one of them does, or does not, raise an alert.
async fn until_matched(
    system: &System,
    address: &str,
    expected: bool,
    ports: std::ops::Range<u32>,
) -> anyhow::Result<()> {
    for port in ports {
        let before = matches(system).await?;
        log_in_from(system, address, port)?;
        let text = format!("port {port} ssh2");
        until("the line is evaluated", WITHIN, async || {
            let events = system.export().await?;
            let has_come = events.iter().any(|event| event.to_string().contains(&text));
            ensure!(has_come, "not stored");
            let status: Value = serde_json::from_str(&told(&system.picket(&["status", "--json"])?)?)?;
            ensure!(status["pending_blocks"] == 0, "{status}");
            Ok(Some(()))
        })
        .await?;
        if (matches(system).await? > before) == expected {
            return Ok(());
        }
    }
    anyhow::bail!("{address}: expected a match: {expected}")
}

// The command line blocks this thread while it talks to the publisher in this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_is_matched_stays_unchanged_and_what_leaves_it_does_not_match() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let publisher = Publisher::start().await;
    publisher.publish(
        "/list.txt",
        "# mine\n45.155.205.77 # c2 of a story\n45.155.205.78\n10.0.0.1\n",
    );
    let url = publisher.url("/list.txt");

    let preview = told(&system.picket(&["feeds", "preview", &url, "--kind", "list"])?)?;
    ensure!(
        preview.contains("45.155.205.77") && !preview.contains("10.0.0.1"),
        "{preview}"
    );
    ensure!(told(&system.picket(&["feeds", "list"])?)?.contains("no feeds"));

    let added = told(&system.picket(&[
        "feeds",
        "add",
        "story",
        "--kind",
        "list",
        "--from",
        &url,
        "--delete-missing",
    ])?)?;
    ensure!(added.contains("story added"), "{added}");
    until("the feed has run", WITHIN, async || {
        let feed = system.get("/ti/feeds/story").await?;
        ensure!(feed["status"]["state"] == "ok", "{feed}");
        ensure!(feed["status"]["counts"]["new"] == 2, "{feed}");
        Ok(Some(()))
    })
    .await?;
    until_matched(&system, "45.155.205.77", true, 1000..1050).await?;

    let second = told(&system.picket(&["feeds", "run", "story", "--wait"])?)?;
    ensure!(second.contains("unchanged"), "{second}");

    publisher.publish("/list.txt", "45.155.205.78\n");
    let third = told(&system.picket(&["feeds", "run", "story", "--wait"])?)?;
    ensure!(third.contains("1 removed"), "{third}");
    until_matched(&system, "45.155.205.77", false, 2000..2050).await?;
    until_matched(&system, "45.155.205.78", true, 3000..3050).await?;

    publisher.set("/list.txt", Reply::Status(500, None));
    let failed = system.picket(&["feeds", "run", "story", "--wait"])?;
    let text = String::from_utf8_lossy(&failed.stdout).into_owned();
    ensure!(failed.status.code() == Some(1) && text.contains("500"), "{text}");
    told(&system.picket(&["feeds", "disable", "story"])?)?;
    ensure!(told(&system.picket(&["feeds", "list"])?)?.contains("disabled"));
    let removed = told(&system.picket(&["feeds", "remove", "story"])?)?;
    ensure!(removed.contains("1 indicators"), "{removed}");
    system.stop().await
}

fn indicator(number: u32) -> Value {
    json!({
        "type": "indicator", "spec_version": "2.1",
        "id": format!("indicator--00000000-0000-4000-8000-{number:012}"),
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z",
        "pattern": format!("[ipv4-addr:value = '45.155.206.{number}']"), "pattern_type": "stix",
        "valid_from": "2020-01-01T00:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taxii_collection_is_matched() -> anyhow::Result<()> {
    let Some(server) = Medallion::start().await else {
        return Ok(());
    };
    let system = System::start(Options::default()).await?;
    let (user, password) = Medallion::CREDENTIALS;
    let media = "application/taxii+json;version=2.1";
    let objects: Vec<Value> = (1..=5).map(indicator).collect();
    let answer = reqwest::Client::new()
        .post(server.objects_url())
        .basic_auth(user, Some(password))
        .header("accept", media)
        .header("content-type", media)
        .body(json!({ "objects": objects }).to_string())
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    std::fs::write(system.data().join("feeds/secrets/taxii"), password)?;
    let url = server.discovery_url();
    told(&system.picket(&[
        "feeds",
        "add",
        "taxii",
        "--kind",
        "taxii",
        "--from",
        &url,
        "--collection",
        Medallion::TITLE,
        "--username",
        user,
        "--secret-file",
        "taxii",
    ])?)?;
    until("all pages are taken over", WITHIN, async || {
        let feed = system.get("/ti/feeds/taxii").await?;
        ensure!(feed["status"]["counts"]["seen"] == 5, "{feed}");
        Ok(Some(()))
    })
    .await?;
    until_matched(&system, "45.155.206.5", true, 1000..1050).await?;
    let shown = told(&system.picket(&["feeds", "show", "taxii", "--json"])?)?;
    ensure!(!shown.contains(password), "{shown}");
    system.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detector_that_dies_in_the_middle_of_a_feed_goes_on() -> anyhow::Result<()> {
    let mut system = System::start(Options::default()).await?;
    let publisher = Publisher::start().await;
    let root = r#"{"title":"r","versions":["application/taxii+json;version=2.1"]}"#;
    publisher.publish("/api/", root);
    publisher.publish(
        "/api/collections/",
        r#"{"collections":[{"id":"c","title":"C","can_read":true}]}"#,
    );
    let objects = "/api/collections/c/objects/?limit=1000&match%5Btype%5D=indicator%2Cmarking-definition";
    let page = |numbers: [u32; 2], more: bool| {
        let mut page = json!({ "more": more, "objects": numbers.map(indicator) });
        if more {
            page["next"] = json!("2");
        }
        let time = format!("2026-01-01T00:00:0{}Z", numbers[1]);
        Reply::With(page.to_string().into_bytes(), vec![("x-taxii-date-added-last", time)])
    };
    publisher.set(objects, page([1, 2], true));
    publisher.set(&format!("{objects}&next=2"), Reply::Stalled(Vec::new()));
    let url = publisher.url("/api/");
    told(&system.picket(&[
        "feeds",
        "add",
        "slow",
        "--kind",
        "taxii",
        "--from",
        &url,
        "--collection",
        "C",
    ])?)?;
    until("the second page is asked for", WITHIN, async || {
        Ok((!publisher.seen(&format!("{objects}&next=2")).is_empty()).then_some(()))
    })
    .await?;
    let resumed = format!("{objects}&added_after=2026-01-01T00%3A00%3A01.999000Z");
    publisher.set(&resumed, page([3, 4], false));
    system.kill_and_wait("detector-1").await?;
    until("the run is ended", WITHIN, async || {
        let feed = system.get("/ti/feeds/slow").await?;
        ensure!(feed["status"]["state"] == "ok", "{feed}");
        Ok(Some(()))
    })
    .await?;
    ensure!(publisher.seen(&resumed).len() == 1, "it began anew");
    until_matched(&system, "45.155.206.1", true, 1000..1050).await?;
    until_matched(&system, "45.155.206.4", true, 2000..2050).await?;
    system.stop().await
}
