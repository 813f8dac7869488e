//! Bad input costs one event at most and disturbs nothing else.

use std::io::Write as _;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::system::{Options, System, append};
use tests::until::until;

use super::numbered::Numbered;

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test]
async fn hostile_lines_are_kept_or_cut_and_their_neighbours_are_whole() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let path = system.try_file();
    let mut lines = Numbered::new(&path);
    lines.write(100)?;

    append(&path, b"bad utf-8 \xff\xfe\xc3\x28 marker-utf8\n")?;
    append(&path, b"nul \0\0\0 marker-nul\n")?;
    let mut long = vec![b'x'; 10 * 1024 * 1024];
    long.splice(0..0, b"marker-long ".iter().copied());
    long.push(b'\n');
    append(&path, &long)?;
    let mut deep = b"{\"marker\":\"marker-deep\",\"d\":".to_vec();
    deep.extend(std::iter::repeat_n(b'[', 50_000));
    deep.extend(std::iter::repeat_n(b']', 50_000));
    deep.extend(b"}\n");
    append(&path, &deep)?;
    append(
        &path,
        b"<999999999999>Jan 99 99:99:99 marker-syslog sshd[99999999999999999999]: Failed password for\n",
    )?;
    append(&path, b"Mar  1 10:00:00 h sshd[1]: Failed password for x from 9.9.9.9 port 22 ssh2 from 203.0.113.9 port 1 ssh2 marker-inject\n")?;
    append(
        &path,
        b"\r\n\n\n   \nMar  1 10:00:00 h sudo: \x1b[31m marker-escape ; COMMAND=\n",
    )?;
    lines.write(100)?;

    let markers = ["utf8", "nul", "long", "deep", "syslog", "inject", "escape"];
    until("every marker is stored", WITHIN, async || {
        let text = serde_json::to_string(&system.export().await?)?;
        for marker in markers {
            ensure!(text.contains(&format!("marker-{marker}")), "marker-{marker} is missing");
        }
        Ok(Some(()))
    })
    .await?;
    lines.all_arrived_once(&system).await?;

    let events = system.export().await?;
    let with = |marker: &str| -> anyhow::Result<Value> {
        let mut found = events
            .iter()
            .filter(|event| event.to_string().contains(&format!("marker-{marker}")));
        let event = found.next().with_context(|| format!("no {marker}"))?.clone();
        ensure!(found.next().is_none(), "marker-{marker} twice");
        Ok(event)
    };
    let long = with("long")?;
    let cut = long["picket"]["truncated_bytes"]
        .as_u64()
        .context("nobody counted what was cut")?;
    let kept = long["event"]["original"]
        .as_str()
        .or(long["message"].as_str())
        .context("no text")?
        .len() as u64;
    ensure!(kept + cut == 10 * 1024 * 1024 + 12, "{kept} bytes kept and {cut} cut");
    system.stop().await
}

#[tokio::test]
async fn requests_that_are_wrong_get_problems_that_name_the_field() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;

    let answer = system
        .post(
            "/ingest",
            &json!({"events": [{"message": "fine-1"}, 7, {"message": "fine-2"}, {}]}),
        )
        .await?;
    ensure!(answer["accepted"] == 2 && answer["rejected"] == 2, "{answer}");
    ensure!(
        answer["errors"][0]["index"] == 1 && answer["errors"][1]["index"] == 3,
        "{answer}"
    );
    let page = system.get("/events?count=exact").await?;
    ensure!(page["total"] == 2, "{page}");

    for (path, names) in [
        ("/events?limit=0", "limit"),
        ("/events?limit=many", "limit"),
        ("/events?colour=red", "colour"),
        ("/events?from=yesterday", "from"),
        ("/alerts?ip=300.1.1.1", "ip"),
        ("/search", "q"),
    ] {
        let response = system.request(reqwest::Method::GET, path).send().await?;
        let status = response.status();
        let kind = response.headers().get("content-type").cloned();
        let problem: Value = response.json().await.with_context(|| format!("{path}: no JSON"))?;
        ensure!(status == 400, "{path}: {status} {problem}");
        ensure!(
            kind.is_some_and(|kind| kind == "application/problem+json"),
            "{path}: not a problem document"
        );
        ensure!(
            problem["detail"].as_str().is_some_and(|detail| detail.contains(names)),
            "{path}: {problem}"
        );
    }
    let response = system
        .request(reqwest::Method::POST, "/ti/iocs")
        .json(&json!({"type": "ip", "value": "x"}))
        .send()
        .await?;
    ensure!(response.status() == 400, "{}", response.status());
    let too_large = vec![b' '; 64 * 1024 * 1024];
    // A server may answer 413 or close the connection while it is still being sent to.
    let request = system
        .request(reqwest::Method::POST, "/ingest")
        .header("content-type", "application/json");
    if let Ok(response) = request.body(too_large).send().await {
        ensure!(response.status() == 413, "{}", response.status());
    }
    ensure!(system.get("/health").await?["status"] == "ok");
    system.stop().await
}

#[tokio::test]
async fn syslog_is_taken_in_both_framings_and_garbage_disturbs_nobody() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let (udp, tcp) = syslog_addresses(&system)?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(
        b"<34>Mar  1 10:00:00 fw sshd[7]: Failed password for root from 203.0.113.50 port 22 ssh2",
        &udp,
    )?;
    socket.send_to(&[0xff; 2_000], &udp)?;
    socket.send_to(b"", &udp)?;
    let mut stream = TcpStream::connect(&tcp)?;
    let framed = "<165>1 2026-03-01T10:00:00.000Z host app 7 ID1 [x@1 k=\"v\"] marker-5424";
    write!(stream, "{} {framed}", framed.len())?;
    writeln!(stream, "<13>Mar  1 10:00:01 host app: marker-3164")?;
    stream.flush()?;
    let mut garbage = TcpStream::connect(&tcp)?;
    garbage.write_all(b"99999999999999999999 nonsense\n")?;

    until("all three are stored", WITHIN, async || {
        let text = serde_json::to_string(&system.export().await?)?;
        for part in ["203.0.113.50", "marker-5424", "marker-3164"] {
            ensure!(text.contains(part), "{part} is missing in {text}");
        }
        Ok(Some(()))
    })
    .await?;
    until("the alert is there", WITHIN, async || {
        let alerts = system.get("/alerts?ip=203.0.113.50").await?;
        ensure!(
            alerts["items"].as_array().is_some_and(|items| !items.is_empty()),
            "{alerts}"
        );
        Ok(Some(()))
    })
    .await?;
    system.stop().await
}

/// Where the collector says it listens for syslog.
fn syslog_addresses(system: &System) -> anyhow::Result<(String, String)> {
    let log = std::fs::read_to_string(system.data().join("logs/collector-1.log")).context("read the log")?;
    let find = |kind: &str| -> anyhow::Result<String> {
        let line = log
            .lines()
            .find(|line| line.to_lowercase().contains("syslog") && line.to_lowercase().contains(kind));
        let line = line.with_context(|| format!("no syslog {kind} address in the log"))?;
        let start = line
            .find("127.0.0.1:")
            .with_context(|| format!("no address in {line}"))?;
        Ok(line[start..]
            .split(|c: char| c.is_whitespace() || c == '"' || c == ',')
            .next()
            .unwrap_or("")
            .to_owned())
    };
    Ok((find("udp")?, find("tcp")?))
}
