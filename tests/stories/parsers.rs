//! A log format of one's own: described, stored, used by every collector, changed, and removed, while lines keep coming.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(30);

/// `field` is what the client's address becomes.
fn door(field: &str) -> String {
    format!(
        r#"name = "door"
dataset = "door.log"
time = ["time"]

[text]
contains = ["door="]
grok = ['%{{TIMESTAMP_ISO8601:time}} door=%{{WORD:door}} from %{{IP:client}}']

[[step]]
[step.set]
"event.category" = ["authentication"]
"event.type" = ["info"]
[step.fields]
"{field}" = "client"
"event.action" = "door"

[[test]]
line = "2026-11-21T10:00:00Z door=opened from 203.0.113.9"
expect = {{"{field}" = "203.0.113.9"}}
"#
    )
}

fn told(output: &Output) -> (bool, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

/// Sends lines from an address of their own until one is found whose event is as wanted; how many were sent.
async fn send_until(system: &System, net: u8, fits: impl Fn(&Value) -> bool) -> anyhow::Result<usize> {
    let mut sent = 0;
    until("a line is read as wanted", WITHIN, async || {
        sent += 1;
        let address = format!("198.51.{net}.{sent}");
        let line = format!("2026-11-21T11:00:00Z door=opened from {address}\n");
        append(&system.try_file(), line.as_bytes())?;
        let event = until("the line is stored", WITHIN, async || {
            let page = system.get(&format!("/search?q=%22{address}%22&from=9000d")).await?;
            Ok(page["items"].as_array().and_then(|items| items.first().cloned()))
        })
        .await?;
        Ok(fits(&event).then_some(()))
    })
    .await?;
    Ok(sent)
}

#[tokio::test]
async fn a_format_of_ones_own_is_read_changed_and_removed_without_losing_an_event() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let file = system.scratch().join("door.toml");
    let path = file.to_string_lossy().into_owned();
    let write = |text: &str| std::fs::write(&file, text).context("write the parser");
    let import = || -> anyhow::Result<(bool, String)> { Ok(told(&system.picket(&["parsers", "import", &path])?)) };

    // What cannot be used is refused with file, line, column, field and reason, and changes nothing.
    write(&door("source.ip").replace("%{IP:client}", "%{NOPE:client}"))?;
    let (good, text) = import()?;
    ensure!(!good && text.contains("door.toml:7:"), "{text}");
    ensure!(text.contains("text.grok: no pattern \"NOPE\""), "{text}");
    // So is one whose own tests fail.
    write(&door("source.ip").replace("\"203.0.113.9\"}", "\"203.0.113.8\"}"))?;
    let (good, text) = import()?;
    ensure!(!good && text.contains("expected \"203.0.113.8\""), "{text}");
    let listed = system.get("/parsers").await?;
    ensure!(listed["items"] == json!([]), "{listed}");
    let bad = system
        .request(reqwest::Method::POST, "/parsers")
        .json(&json!({ "text": "name = \"door\"\ndataset = 1\n" }))
        .send()
        .await
        .context("post a bad parser")?;
    ensure!(bad.status() == 400, "{}", bad.status());
    let problem: Value = bad.json().await.context("read the problem")?;
    ensure!(
        problem["errors"][0]["line"] == 2 && problem["errors"][0]["column"] == 11,
        "{problem}"
    );
    ensure!(problem["errors"][0]["field"] == "dataset", "{problem}");

    // Nobody knows these lines yet.
    let is = |event: &Value, path: &str, value: &str| event.pointer(path).and_then(Value::as_str) == Some(value);
    let before = send_until(&system, 100, |event| !is(event, "/picket/log_type", "door")).await?;

    write(&door("source.ip"))?;
    let (good, text) = import()?;
    ensure!(good && text.contains("door revision 1 stored"), "{text}");
    let (_, text) = told(&system.picket(&["parsers", "list"])?);
    ensure!(text.contains("door.log") && text.contains("1 parser"), "{text}");
    let first = send_until(&system, 101, |event| {
        is(event, "/picket/log_type", "door")
            && event.pointer("/source/ip").is_some_and(Value::is_string)
            && is(event, "/event/dataset", "door.log")
            && is(event, "/@timestamp", "2026-11-21T11:00:00.000000Z")
    })
    .await?;

    // Changed, new lines have the new field.
    write(&door("client.ip"))?;
    let (good, text) = import()?;
    ensure!(good && text.contains("door revision 2 stored"), "{text}");
    let second = send_until(&system, 102, |event| {
        event.pointer("/client/ip").is_some_and(Value::is_string)
    })
    .await?;
    let (_, text) = import()?;
    ensure!(text.contains("1 unchanged"), "{text}");

    // A log type asks for it by name, and says so when a line is not of it.
    let answer = system
        .request(reqwest::Method::POST, "/ingest?origin=door.log&log_type=door")
        .header("content-type", "text/plain")
        .body("no such line 198.51.103.1\n")
        .send()
        .await
        .context("send a line")?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    let other = until("the other line is stored", WITHIN, async || {
        let page = system.get("/search?q=%22198.51.103.1%22&from=9000d").await?;
        Ok(page["items"].as_array().and_then(|items| items.first().cloned()))
    })
    .await?;
    ensure!(
        other["picket"]["warnings"]
            .to_string()
            .contains("not of the log type its source has"),
        "{other}"
    );

    // Removed, lines are as they were; what it was stays on record.
    let (good, text) = told(&system.picket(&["parsers", "remove", "door"])?);
    ensure!(good, "{text}");
    let after = send_until(&system, 104, |event| !is(event, "/picket/log_type", "door")).await?;
    let versions = system.get("/parsers/door/versions").await?;
    let items = versions["items"].as_array().context("versions")?;
    ensure!(items.len() == 3 && items[0]["text"].is_null(), "{versions}");
    ensure!(
        items[1]["text"].as_str().is_some_and(|text| text.contains("client.ip")),
        "{versions}"
    );
    ensure!(items[2]["by"].as_str().is_some_and(|by| !by.is_empty()), "{versions}");

    // No event was lost on the way.
    let sent = before + first + second + after;
    let page = system
        .get("/search?q=event.original:*door=opened*&count=exact&from=9000d&limit=1")
        .await?;
    ensure!(
        page["total"] == json!(sent) || page["count"] == json!(sent),
        "{sent}: {page}"
    );
    system.stop().await
}

/// The event of an address once it is stored.
async fn event_of(system: &System, address: &str) -> anyhow::Result<Value> {
    until("the line is stored", WITHIN, async || {
        let page = system.get(&format!("/search?q=%22{address}%22&from=9000d")).await?;
        Ok(page["items"].as_array().and_then(|items| items.first().cloned()))
    })
    .await
}

#[tokio::test]
async fn files_are_read_as_they_say_or_as_their_sender_says_and_lines_are_kept() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    // A rotated log of Zeek with a column of one's own, packed.
    let zeek = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\t\
                id.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tconn_state\tsite\n#types\ttime\tstring\taddr\tport\taddr\t\
                port\tenum\tstring\tstring\n1795168800.5\tC1\t198.51.100.71\t51022\t10.0.0.5\t22\ttcp\tREJ\toffice\n";
    let path = system.scratch().join("conn.log.gz");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, zeek.as_bytes())?;
    std::fs::write(&path, packed.finish()?)?;
    let sent = system.picket(&["send", &path.to_string_lossy()])?;
    ensure!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let event = event_of(&system, "198.51.100.71").await?;
    ensure!(event["picket"]["log_type"] == "zeek", "{event:#}");
    ensure!(event["event"]["dataset"] == "zeek.connection", "{event:#}");
    ensure!(event["source"]["ip"] == "198.51.100.71", "{event:#}");
    ensure!(event["destination"]["port"] == 22, "{event:#}");
    ensure!(event["site"] == "office", "{event:#}");

    // An application's objects: whatever is made of them, the line stays as it was written.
    let object = r#"{"event.kind": "event",  "client": {"ip": "198.51.100.74"}, "amount": 1.50}"#;
    let path = system.scratch().join("app.json");
    std::fs::write(&path, format!("{object}\n"))?;
    let sent = system.picket(&[
        "send",
        &path.to_string_lossy(),
        "--log-type",
        "json",
        "--host",
        "till-3",
    ])?;
    ensure!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let event = event_of(&system, "198.51.100.74").await?;
    ensure!(event["event"]["original"] == object, "{event:#}");
    ensure!(event["host"]["name"] == "till-3", "{event:#}");
    ensure!(event["client"]["ip"] == "198.51.100.74", "{event:#}");
    ensure!(event["amount"] == 1.5, "{event:#}");

    // A followed file: the header came long before the line.
    let header =
        "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time c-ip cs-username sc-status\n";
    append(&system.try_file(), header.as_bytes())?;
    append(&system.try_file(), b"2026-11-21 11:00:00 198.51.100.72 ann 200\n")?;
    event_of(&system, "198.51.100.72").await?;
    append(&system.try_file(), b"2026-11-21 11:00:01 198.51.100.73 eve 401\n")?;
    let event = event_of(&system, "198.51.100.73").await?;
    ensure!(event["picket"]["log_type"] == "iis", "{event:#}");
    ensure!(event["user"]["name"] == "eve", "{event:#}");
    ensure!(event["event"]["outcome"] == "failure", "{event:#}");
    system.stop().await
}
