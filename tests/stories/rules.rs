//! Rules as code: what a newcomer does with a directory of rules, from the first import to the last change.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(30);
const MARKED: &str = "7d1f0c52-5a0e-4f0e-9c3b-2f6a3f0f7a01";
const WITNESS: &str = "7d1f0c52-5a0e-4f0e-9c3b-2f6a3f0f7a02";

fn rule(id: &str, title: &str, level: &str, marker: &str) -> String {
    format!(
        "title: {title}\nid: {id}\nstatus: test\nlevel: {level}\nlogsource:\n  product: linux\ndetection:\n  \
         selection:\n    message|contains: {marker}\n  condition: selection\n"
    )
}

/// Exit code and everything that was printed.
fn told(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let code = output.status.code().or(output.status.signal());
    (code.unwrap_or(-1), text)
}

fn write(dir: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).context("make a directory")?;
    std::fs::write(dir.join(name), text).with_context(|| format!("write {name}"))
}

async fn alerts_of(system: &System, rule: &str, text: &str) -> anyhow::Result<Vec<Value>> {
    let alerts = system.get(&format!("/alerts?rule_id={rule}&limit=1000")).await?;
    let items = alerts["items"].as_array().cloned().unwrap_or_default();
    Ok(items
        .into_iter()
        .filter(|alert| {
            alert["event"]["message"]
                .as_str()
                .is_some_and(|message| message.contains(text))
        })
        .collect())
}

/// Sends a line that both rules look for, and waits until the witness has alerted on it.
async fn send(system: &System, number: u32) -> anyhow::Result<String> {
    let text = format!("marked-story witnessed-story {number}.");
    append(
        &system.try_file(),
        format!("Mar  1 10:00:00 web app[1]: {text}\n").as_bytes(),
    )?;
    until("the witness alerts", WITHIN, async || {
        let found = alerts_of(system, WITNESS, &text).await?;
        Ok((!found.is_empty()).then_some(()))
    })
    .await?;
    Ok(text)
}

#[tokio::test]
async fn a_newcomers_rules_go_from_a_directory_to_alerts_and_back() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let dir = system.scratch().join("own");
    write(
        &dir,
        "marked.yml",
        &rule(MARKED, "Marked story", "high", "marked-story"),
    )?;
    write(&dir, "witness.yml", &rule(WITNESS, "Witness", "low", "witnessed-story"))?;
    let broken = rule("7d1f0c52-5a0e-4f0e-9c3b-2f6a3f0f7a03", "Broken", "low", "x");
    write(
        &dir,
        "broken.yml",
        &broken.replace("condition: selection", "condition: selektion"),
    )?;
    let dir = dir.to_string_lossy().into_owned();

    // Trying stores nothing.
    let (code, text) = told(&system.picket(&["rules", "import", &dir, "--dry-run"])?);
    ensure!(code == 1 && text.contains("nothing was stored"), "{code}: {text}");
    ensure!(!system.picket(&["rules", "show", MARKED])?.status.success());

    // One broken rule costs only itself, and is told with its place.
    let (code, text) = told(&system.picket(&["rules", "import", &dir])?);
    ensure!(code == 1, "{code}: {text}");
    ensure!(
        text.contains("broken.yml:10:14") && text.contains("selektion"),
        "no place or reason in:\n{text}"
    );
    ensure!(text.contains("2 added") && text.contains("1 refused"), "{text}");

    let (code, text) = told(&system.picket(&["rules", "list", "marked story"])?);
    ensure!(
        code == 0 && text.contains(MARKED) && text.contains("1 rule, 1 enabled"),
        "{text}"
    );

    // It is in use, and says why.
    let sent = until("the imported rules are in use", WITHIN, async || {
        let sent = send(&system, 1).await?;
        Ok((!alerts_of(&system, MARKED, &sent).await?.is_empty()).then_some(sent))
    })
    .await?;
    let alert = alerts_of(&system, MARKED, &sent).await?.remove(0);
    let id = alert["id"].as_str().context("an alert without id")?;
    let (code, text) = told(&system.picket(&["rules", "explain", "--alert", id])?);
    ensure!(code == 0 && text.starts_with("MATCH  Marked story"), "{text}");
    ensure!(text.contains("message|contains: marked-story"), "{text}");
    let event = alert["event_id"].as_str().context("an alert without event")?;
    let by_id = system
        .post(&format!("/rules/{MARKED}/explain"), &json!({ "event_id": event }))
        .await?;
    ensure!(by_id["matched"] == true, "{by_id}");
    let other = json!({ "event": { "message": "nothing of note", "host.os.type": "linux" } });
    let missed = system.post(&format!("/rules/{MARKED}/explain"), &other).await?;
    ensure!(missed["matched"] == false, "{missed}");
    ensure!(missed["missing"][0]["key"] == "message|contains", "{missed}");

    // Switched off, it alerts no more; the witness goes on.
    let (code, text) = told(&system.picket(&["rules", "disable", MARKED, "--note", "seen enough"])?);
    ensure!(code == 0 && text.contains("disabled"), "{text}");
    let mut number = 1;
    until("the disabled rule is no longer in use", WITHIN, async || {
        number += 1;
        let sent = send(&system, number).await?;
        Ok(alerts_of(&system, MARKED, &sent).await?.is_empty().then_some(()))
    })
    .await?;
    let (_, text) = told(&system.picket(&["rules", "show", MARKED])?);
    ensure!(text.contains("disabled") && text.contains("seen enough"), "{text}");
    let (code, text) = told(&system.picket(&["rules", "enable", MARKED])?);
    ensure!(code == 0, "{text}");
    system.stop().await
}

#[tokio::test]
async fn a_change_is_told_before_it_is_made_and_kept_afterwards() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let dir = system.scratch().join("own");
    write(&dir, "marked.yml", &rule(MARKED, "Marked story", "low", "marked-story"))?;
    let path = dir.to_string_lossy().into_owned();
    let (code, text) = told(&system.picket(&["rules", "import", &path])?);
    ensure!(code == 0 && text.contains("1 added"), "{text}");
    let (code, text) = told(&system.picket(&["rules", "diff", &path, "--deployed"])?);
    ensure!(code == 0, "the same text is a difference: {text}");

    write(
        &dir,
        "marked.yml",
        &rule(MARKED, "Marked story", "critical", "marked-tale"),
    )?;
    let (code, text) = told(&system.picket(&["rules", "diff", &path, "--deployed"])?);
    ensure!(
        code == 1 && text.contains("level: \"low\" → \"critical\""),
        "{code}: {text}"
    );
    let (code, text) = told(&system.picket(&["rules", "import", &path])?);
    ensure!(code == 0 && text.contains("1 changed"), "{text}");
    let (_, text) = told(&system.picket(&["rules", "versions", MARKED])?);
    ensure!(
        text.contains("detection.selection.message|contains: \"marked-story\" → \"marked-tale\"")
            && text.contains("first seen"),
        "{text}"
    );

    // The gateway tells line and column of what it refuses.
    let request = system.request(reqwest::Method::POST, "/rules");
    let refused = request
        .header("content-type", "application/yaml")
        .body(rule(MARKED, "Marked story", "grave", "x"))
        .send()
        .await?;
    ensure!(refused.status() == 400, "{}", refused.status());
    let problem: Value = refused.json().await?;
    ensure!(
        problem["errors"][0]["line"] == 4 && problem["errors"][0]["column"].is_u64(),
        "{problem}"
    );
    ensure!(problem["errors"][0]["field"] == "level", "{problem}");

    // A viewer may look and try, and change nothing.
    let made = system
        .post("/security/api-keys", &json!({ "name": "vera", "role": "viewer" }))
        .await?;
    let key = made["api_key"].as_str().context("no key")?;
    let as_viewer = |args: &[&str]| -> anyhow::Result<(i32, String)> {
        Ok(told(&system.command(args)?.env("PICKET_API_KEY", key).output()?))
    };
    ensure!(as_viewer(&["rules", "list"])?.0 == 0);
    let (code, text) = as_viewer(&["rules", "import", &path, "--dry-run"])?;
    ensure!(code == 0, "{text}");
    for args in [
        &["rules", "import", &path][..],
        &["rules", "disable", MARKED],
        &["rules", "delete", MARKED],
        &[
            "exceptions",
            "add",
            "--rule",
            MARKED,
            "--where",
            "host.name=x",
            "--reason",
            "y",
        ],
    ] {
        let (code, text) = as_viewer(args)?;
        ensure!(code == 1 && text.contains("needs role analyst"), "{args:?}: {text}");
    }

    let (code, text) = told(&system.picket(&[
        "exceptions",
        "add",
        "--rule",
        MARKED,
        "--where",
        "host.name=build",
        "--reason",
        "the nightly run",
        "--for",
        "7d",
    ])?);
    ensure!(code == 0 && text.contains("added exception"), "{text}");
    let (_, text) = told(&system.picket(&["exceptions", "list"])?);
    ensure!(
        text.contains("host.name=build") && text.contains("the nightly run"),
        "{text}"
    );
    let (code, text) = told(&system.picket(&[
        "suppressions",
        "set",
        "--rule",
        MARKED,
        "--by",
        "host.name",
        "--for",
        "1h",
    ])?);
    ensure!(code == 0, "{text}");
    let (_, text) = told(&system.picket(&["suppressions", "list"])?);
    ensure!(text.contains(MARKED) && text.contains("1h"), "{text}");

    let (code, text) = told(&system.picket(&["rules", "delete", MARKED])?);
    ensure!(code == 0 && text.contains("deleted"), "{text}");
    let audit = system.get("/audit?limit=50").await?.to_string();
    ensure!(audit.contains(MARKED) && audit.contains("key:up"), "{audit}");
    system.stop().await
}
