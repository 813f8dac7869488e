//! What an operator does from the command line.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bson::{Document, doc};
use serde_json::{Value, json};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);

fn stdout_json(output: &Output) -> anyhow::Result<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .with_context(|| format!("no JSON: {text}\nstderr: {}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn a_file_is_sent_once_however_often_it_is_sent() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let file = system.scratch().join("old.log");
    let text: String = (0..2_500)
        .map(|n| format!("Mar  1 10:00:00 old app[1]: imported {n}\n"))
        .collect();
    append(&file, text.as_bytes())?;
    let path = file.to_string_lossy();
    let first = stdout_json(&system.picket(&["send", &path, "--json"])?)?;
    ensure!(first["accepted"] == 2_500 && first["rejected"] == 0, "{first}");
    let second = stdout_json(&system.picket(&["send", &path, "--json"])?)?;
    ensure!(second["duplicate"] == 2_500 && second["accepted"] == 0, "{second}");
    let page = system.get("/events?count=exact&limit=1").await?;
    ensure!(page["total"] == 2_500, "{page}");
    let found = system.get("/search?q=imported&limit=1000").await?;
    ensure!(
        found["items"].as_array().is_some_and(|items| items.len() == 1000),
        "{}",
        found["items"]
    );
    system.stop().await
}

#[tokio::test]
async fn status_tells_every_node_and_no_lag() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    until("status is complete", WITHIN, async || {
        let status = stdout_json(&system.picket(&["status", "--json"])?)?;
        for role in ["collector", "detector", "responder", "gateway"] {
            let node = status["nodes"]
                .as_array()
                .and_then(|nodes| nodes.iter().find(|node| node["role"] == role));
            ensure!(node.is_some_and(|node| node["alive"] == true), "{role}: {status}");
        }
        ensure!(status["agents"] == 1 && status["pending_blocks"] == 0, "{status}");
        Ok(Some(()))
    })
    .await?;
    let text = String::from_utf8(system.picket(&["status"])?.stdout)?;
    ensure!(text.contains("collector-1") && text.contains("alive"), "{text}");
    let mode = std::fs::metadata(system.data().join("up.json"))?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "up.json has mode {mode:o}");
    system.stop().await
}

#[tokio::test]
async fn the_audit_log_shows_changes_and_tampering() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let indicator = json!({"type": "ip", "value": "198.51.100.77", "source": "story", "note": "audit"});
    system.post("/ti/iocs", &indicator).await?;
    let token = stdout_json(&system.picket(&["enrol", "token", "create", "--uses", "2", "--group", "web", "--json"])?)?;
    ensure!(token["token"].as_str().is_some_and(|token| token.len() > 30), "{token}");

    let whole = system.picket(&["audit", "verify", "--json"])?;
    let result = stdout_json(&whole)?;
    ensure!(whole.status.success() && result["broken"].is_null(), "{result}");
    ensure!(
        result["verified"].as_u64().is_some_and(|entries| entries >= 3),
        "{result}"
    );
    let list = String::from_utf8(system.picket(&["audit", "list", "--json"])?.stdout)?;
    ensure!(list.contains("198.51.100.77") || list.contains("indicator"), "{list}");
    ensure!(
        !list.contains(token["token"].as_str().unwrap_or("-")),
        "a secret is in the audit log"
    );

    let database = mongodb::Client::with_uri_str(&system.up.mongodb_uri)
        .await?
        .database("picket");
    database
        .collection::<Document>("audit")
        .update_one(doc! { "seq": 2_i64 }, doc! { "$set": { "actor": "user:nobody" } })
        .await?;
    let broken = system.picket(&["audit", "verify", "--json"])?;
    ensure!(!broken.status.success(), "tampering goes unnoticed");
    ensure!(stdout_json(&broken)?["broken"]["seq"] == 2);
    system.stop().await
}

#[tokio::test]
async fn an_indicator_matches_within_moments_of_being_added() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    system
        .post(
            "/ti/iocs",
            &json!({"type": "ip", "value": "198.51.100.78", "source": "story", "note": "n"}),
        )
        .await?;
    system
        .post(
            "/ti/iocs",
            &json!({"type": "domain", "value": "evil.example", "source": "story"}),
        )
        .await?;
    let listed = system.get("/ti/iocs?limit=50").await?;
    ensure!(listed.to_string().contains("198.51.100.78"), "{listed}");
    let mut number = 0;
    until("both indicators match", WITHIN, async || {
        // Detectors learn of an indicator a moment later; the first lines may come too early for it.
        number += 1;
        let line = format!("Mar  1 10:00:00 web app[1]: try {number} to 198.51.100.78 and cdn.evil.example ok\n");
        append(&system.try_file(), line.as_bytes())?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        for rule in ["ti_ip", "ti_domain"] {
            let alerts = system.get(&format!("/alerts?rule_id={rule}")).await?;
            ensure!(
                alerts["items"].as_array().is_some_and(|items| !items.is_empty()),
                "no {rule} alert"
            );
        }
        Ok(Some(()))
    })
    .await?;
    system.stop().await
}

#[tokio::test]
async fn a_watch_resumes_after_its_cursor() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let failed =
        |user: &str| format!("Mar  1 10:00:00 web sshd[1]: Failed password for {user} from 203.0.113.7 port 1 ssh2\n");
    let first = watch_until(&system, &[], async || {
        append(&system.try_file(), failed("one").as_bytes())
    })
    .await?;
    let cursor = first["cursor"].as_str().context("no cursor")?.to_owned();
    append(&system.try_file(), failed("two").as_bytes())?;
    until("the second alert is stored", WITHIN, async || {
        let alerts = system.get("/alerts").await?;
        Ok(alerts["items"].as_array().filter(|items| items.len() >= 2).map(|_| ()))
    })
    .await?;
    let next = watch_until(&system, &["--cursor", &cursor], async || Ok(())).await?;
    ensure!(next["alert"]["event"]["user"]["name"] == "two", "{next}");
    system.stop().await
}

/// First alert that `picket watch alerts --json` prints.
async fn watch_until<F>(system: &System, args: &[&str], act: F) -> anyhow::Result<Value>
where
    F: AsyncFn() -> anyhow::Result<()>,
{
    let mut child = system
        .command(&["watch", "alerts", "--json"])?
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("no output")?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).map(|_| line)
    });
    let mut reading = std::pin::pin!(reading);
    let deadline = tokio::time::Instant::now() + WITHIN;
    // The command does not say when it listens with --json, so the deed is repeated until it is seen.
    let line = loop {
        act().await?;
        tokio::select! {
            line = &mut reading => break line??,
            () = tokio::time::sleep(Duration::from_secs(3)) => ensure!(tokio::time::Instant::now() < deadline, "no alert"),
        }
    };
    child.kill()?;
    child.wait()?;
    serde_json::from_str(&line).with_context(|| format!("no JSON: {line:?}"))
}

#[tokio::test]
async fn a_taken_port_and_a_second_up_are_told_clearly() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let data = system.data();
    let second = system
        .command(&["up", "--no-host-logs", "--data"])?
        .arg(&data)
        .output()?;
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    ensure!(
        !second.status.success() && said.contains(&*data.to_string_lossy()),
        "{said}"
    );

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port().to_string();
    let other = system.scratch().join("other");
    let output = system
        .command(&[
            "up",
            "--no-host-logs",
            "--collector-port",
            "0",
            "--syslog-port",
            "0",
            "--http-port",
            &port,
            "--data",
        ])?
        .arg(&other)
        .args(["--mongodb-uri", &system.up.mongodb_uri])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        !output.status.success() && said.contains(&port) && said.contains("--http-port"),
        "{said}"
    );
    system.stop().await
}

#[tokio::test]
async fn nobody_gets_in_without_credentials() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let url = &system.up.rest_url;
    for path in ["/events", "/alerts", "/stats", "/ti/iocs", "/search?q=x", "/audit"] {
        let bare = system.client().get(format!("{url}{path}")).send().await?;
        ensure!(bare.status() == 401, "{path} without credentials: {}", bare.status());
        let wrong = system
            .client()
            .get(format!("{url}{path}"))
            .header("x-api-key", "pk_wrong")
            .send()
            .await?;
        // After some wrong keys from one address, more of them are not even looked at.
        let refused = [401, 429].contains(&wrong.status().as_u16());
        ensure!(refused, "{path} with a wrong key: {}", wrong.status());
    }
    let basic = system
        .client()
        .get(format!("{url}/alerts"))
        .basic_auth(&system.up.admin_user, Some(&system.up.admin_password))
        .send()
        .await?;
    ensure!(basic.status() == 200, "Basic: {}", basic.status());
    let token = system
        .client()
        .post(format!("{url}/security/user/authenticate?raw=true"))
        .basic_auth(&system.up.admin_user, Some(&system.up.admin_password))
        .send()
        .await?
        .text()
        .await?;
    let bearer = system
        .client()
        .get(format!("{url}/alerts"))
        .bearer_auth(token.trim())
        .send()
        .await?;
    ensure!(bearer.status() == 200, "Bearer: {}", bearer.status());
    let heimdall = system
        .client()
        .get(format!("{url}/events"))
        .header("api-key", &system.up.api_key)
        .send()
        .await?;
    ensure!(heimdall.status() == 200, "api-key: {}", heimdall.status());
    let health = system.client().get(format!("{url}/health")).send().await?;
    ensure!(health.status() == 200, "health: {}", health.status());
    system.stop().await
}
