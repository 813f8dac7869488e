//! The first minute: `picket up`, one pasted line, one alert, the same wherever one looks.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bson::{Document, doc};
use proto::query::v1::watch_alerts_response::Body;
use proto::query::v1::{ListAlertsRequest, WatchAlertsRequest};
use tests::system::{Options, System};

const WITHIN: Duration = Duration::from_secs(20);
const TITLE: &str = "SSH failed password";

#[tokio::test]
async fn one_pasted_line_becomes_one_alert_everywhere() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let mut client = system.query().await?;
    let mut stream = client
        .watch_alerts(system.authorized(WatchAlertsRequest::default())?)
        .await?
        .into_inner();
    let first = tokio::time::timeout(WITHIN, stream.message())
        .await??
        .context("the watch ended")?;
    ensure!(
        matches!(first.body, Some(Body::Heartbeat(_))),
        "a watch begins with a heartbeat, got {first:?}"
    );

    let line = pasted_line(&system)?;
    let began = Instant::now();
    ensure!(
        Command::new("sh").arg("-c").arg(&line).status()?.success(),
        "the pasted line fails: {line}"
    );
    let watched = loop {
        let message = tokio::time::timeout(WITHIN, stream.message())
            .await??
            .context("the watch ended")?;
        // One event may be of interest to several rules, and their order is not promised.
        if let Some(Body::Alert(watched)) = message.body
            && watched.alert.as_ref().is_some_and(|alert| alert.title == TITLE)
        {
            break watched;
        }
    };
    eprintln!("first alert after {:?}", began.elapsed());
    let alert = watched.alert.context("an alert without its content")?;
    ensure!(!watched.cursor.is_empty(), "an alert without a cursor");
    let document: serde_json::Value = serde_json::from_str(&alert.json)?;
    ensure!(document["event"]["process"]["name"] == "sshd", "{document}");
    ensure!(document["event"]["source"]["ip"].is_string(), "{document}");
    ensure!(document["event"]["event"]["outcome"] == "failure", "{document}");

    // REST shows the same one.
    let rest = system.get(&format!("/alerts/{}", alert.id)).await?;
    ensure!(
        rest["event"] == document["event"],
        "REST shows {rest}, the watch {document}"
    );
    let listed = system.get("/alerts?limit=20").await?;
    ensure!(
        listed["items"]
            .as_array()
            .is_some_and(|items| items.iter().any(|item| item["id"] == alert.id.as_str()))
    );

    // gRPC lists it.
    let answer = client
        .list_alerts(system.authorized(ListAlertsRequest::default())?)
        .await?
        .into_inner();
    ensure!(answer.alerts.iter().any(|listed| listed.id == alert.id));

    // And it is a plain document in MongoDB.
    let database = mongodb::Client::with_uri_str(&system.up.mongodb_uri)
        .await?
        .database("picket");
    let stored = database
        .collection::<Document>("alerts")
        .find_one(doc! { "_id": &alert.id })
        .await?;
    let stored = stored.context("not in MongoDB")?;
    ensure!(
        stored.get_document("event")?.get_document("process")?.get_str("name")? == "sshd",
        "{stored}"
    );
    ensure!(
        stored.get_datetime("@timestamp").is_ok(),
        "@timestamp is no date: {stored}"
    );
    ensure!(stored.get_str("tenant")? == "default");

    system.stop().await
}

/// The command that `picket up` told the user to paste.
fn pasted_line(system: &System) -> anyhow::Result<String> {
    let printed = std::fs::read_to_string(system.scratch().join("up.log")).context("read what was printed")?;
    let line = printed
        .lines()
        .map(str::trim)
        .find(|line| line.contains("Failed password") && line.contains(">>"));
    Ok(line
        .with_context(|| format!("no line to paste in:\n{printed}"))?
        .to_owned())
}

#[tokio::test]
async fn a_second_up_goes_on_with_the_same_data_and_in_one_process_too() -> anyhow::Result<()> {
    let mut system = System::start(Options {
        args: vec!["--in-process".to_owned()],
        ..Options::default()
    })
    .await?;
    let mut lines = super::numbered::Numbered::new(&system.try_file());
    lines.write(100)?;
    lines.all_arrived_once(&system).await?;
    let key = system.up.api_key.clone();
    system.restart().await?;
    lines.write(100)?;
    lines.all_arrived_once(&system).await?;
    ensure!(system.up.admin_password.len() >= 16, "a password anyone could guess");
    ensure!(key.len() >= 32, "a key anyone could guess");
    system.stop().await
}
