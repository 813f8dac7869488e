//! Threat intelligence: what is known is matched, and what becomes known is found in what was stored before.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);

async fn alerts(system: &System, rule: &str) -> anyhow::Result<Vec<Value>> {
    let page = system.get(&format!("/alerts?rule_id={rule}&limit=1000")).await?;
    Ok(page["items"].as_array().cloned().unwrap_or_default())
}

#[tokio::test]
async fn indicators_of_every_kind_raise_alerts() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let md5 = "0123456789abcdef0123456789abcdef";
    let output = system.picket(&[
        "intel",
        "add",
        "45.155.205.0/24",
        "hxxp://evil[.]example/load.php",
        "bad@evil.example",
        md5,
        "--source",
        "story",
        "--confidence",
        "40",
        "--tag",
        "story",
    ])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(text.contains("4 indicators stored"), "{text}");
    let refused = system.picket(&["intel", "add", "8.8.8.8"]);
    ensure!(
        refused.is_err() || !refused?.status.success(),
        "a public resolver was taken"
    );
    let mut number = 0;
    until("all four match", WITHIN, async || {
        number += 1;
        let line = format!(
            "Mar  1 10:00:00 web app[1]: try {number} from 45.155.205.233 got http://evil.example/load.php as \
             <bad@evil.example> md5={md5}\n"
        );
        append(&system.try_file(), line.as_bytes())?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        for rule in ["ti_ip", "ti_url", "ti_email", "ti_md5"] {
            let found = alerts(&system, rule).await?;
            let first = found.first().with_context(|| format!("no {rule} alert"))?;
            ensure!(first["level"] == "medium", "{first}");
            ensure!(first["indicator"]["tags"] == json!(["story"]), "{first}");
        }
        Ok(Some(()))
    })
    .await?;
    let output = system.picket(&["intel", "lookup", "45.155.205.9", "--json"])?;
    let found: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(found["value"] == "45.155.205.0/24", "{found}");
    let output = system.picket(&["intel", "remove", "--source", "story"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(text.contains("4 indicators removed"), "{text}");
    system.stop().await
}

#[tokio::test]
async fn a_hunt_finds_what_was_stored_before_and_alerts_once_even_if_the_detector_is_killed() -> anyhow::Result<()> {
    let mut system = System::start(Options::default()).await?;
    let lines: String = (0..50)
        .map(|n| format!("Mar  1 10:00:00 web app[1]: connection {n} to cdn.evil.example done\n"))
        .collect();
    append(&system.try_file(), lines.as_bytes())?;
    until("all lines are stored", WITHIN, async || {
        let page = system.get("/events?q=cdn.evil.example&count=exact&limit=1").await?;
        ensure!(page["total"] == 50, "{}", page["total"]);
        Ok(Some(()))
    })
    .await?;
    let body = json!({ "indicators": ["domain:evil.example"], "alert": true });
    let id = system.post("/ti/hunts", &body).await?["id"]
        .as_str()
        .context("no id")?
        .to_owned();
    system.kill("detector-1")?;
    until("the hunt is done", WITHIN, async || {
        let hunt = system.get(&format!("/ti/hunts/{id}")).await?;
        ensure!(hunt["state"] == "done", "{hunt}");
        ensure!(hunt["progress"]["matches"].as_u64() >= Some(50), "{hunt}");
        Ok(Some(()))
    })
    .await?;
    for _ in 0..2 {
        let output = system.picket(&["hunt", "--indicator", "evil.example", "--alert", "--json"])?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(text.lines().count() == 50, "{} matches\n{text}", text.lines().count());
        let found = alerts(&system, "ti_domain").await?;
        ensure!(found.len() == 50, "{} alerts", found.len());
        ensure!(
            found.iter().all(|alert| alert["retroactive"] == true),
            "some are not retroactive"
        );
    }
    system.stop().await
}
