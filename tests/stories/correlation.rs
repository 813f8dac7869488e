//! Brute force over several hosts is one finding, whatever dies meanwhile; and rules change while events come in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use model::{Tenant, Timestamp};
use serde_json::Value;
use tests::endpoint::{Endpoint, Token};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(120);
/// Addresses that try; every second one often enough.
const ADDRESSES: usize = 16;
const THRESHOLD: usize = 10;

const FAILED: &str = "title: Failed\nid: failed\nlevel: low\nlogsource: {product: linux, service: sshd}\ndetection:\n  \
    s: {event.action: ssh_login, event.outcome: failure}\n  condition: s\n";
const BRUTE_FORCE: &str = "title: Brute force\nid: brute-force\nlevel: high\ncorrelation:\n  type: event_count\n  \
    rules: [failed]\n  group-by: [source.ip]\n  timespan: 5m\n  condition: {gte: 10}\n";
const ACCEPTED: &str = "title: Accepted\nid: accepted\nlevel: low\nlogsource: {product: linux, service: sshd}\ndetection:\n  \
    s: {event.action: ssh_login, event.outcome: success}\n  condition: s\n";

const FEW: &str = "title: Few\nid: few\nlevel: low\ncorrelation:\n  type: event_count\n  rules: [failed]\n  \
    group-by: [source.ip]\n  timespan: 5m\n  condition: {lt: 3}\n";

fn failed(address: usize, second: usize) -> String {
    format!(
        "2026-03-01T10:0{}:{:02}.000000+00:00 web sshd[7]: Failed password for root from 203.0.113.{address} port {second} ssh2\n",
        second / 60,
        second % 60,
    )
}

fn accepted(number: usize) -> String {
    format!(
        "2026-03-01T11:00:00.000000+00:00 web sshd[7]: Accepted password for u{number} from 203.0.113.1 port 1 ssh2\n"
    )
}

/// Every attempt of every address, for one of the hosts: those that try often enough do so only over all hosts.
fn attempts(host: usize, hosts: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for attempt in 0..THRESHOLD + 2 {
        for address in 0..ADDRESSES {
            let is_enough = address.is_multiple_of(2);
            if (is_enough || attempt < THRESHOLD - 1) && (attempt + address) % hosts == host {
                lines.push(failed(address, attempt * 20 + address));
            }
        }
    }
    lines
}

async fn write_slowly(path: &Path, lines: &[String]) -> anyhow::Result<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(60));
    for chunk in lines.chunks(2) {
        append(path, chunk.concat().as_bytes())?;
        pace.tick().await;
    }
    Ok(())
}

/// Alerts of the correlation by address.
async fn by_address(system: &System) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut found = BTreeMap::new();
    for alert in system.alerts("brute-force").await? {
        let correlation = alert.correlation.context("an alert of a correlation says so")?;
        ensure!(correlation.count >= THRESHOLD as u64, "{correlation:?}");
        ensure!(
            correlation.first_event >= Timestamp(0) && !correlation.retracted,
            "{correlation:?}"
        );
        let address = correlation.group["source.ip"].as_str().context("the group")?.to_owned();
        *found.entry(address).or_default() += 1;
    }
    Ok(found)
}

#[tokio::test]
async fn brute_force_over_hosts_is_found_exactly_while_detectors_die_and_rules_change() -> anyhow::Result<()> {
    let rules = tempfile::tempdir()?;
    fs::write(rules.path().join("failed.yml"), FAILED)?;
    fs::write(rules.path().join("brute-force.yml"), BRUTE_FORCE)?;
    let args = ["--no-agent", "--nodes", "detector=2", "--rules"].map(str::to_owned);
    let mut system = System::start(Options {
        args: [&args[..], &[rules.path().to_string_lossy().into_owned()]].concat(),
        ..Options::default()
    })
    .await?;
    let token = Token::create(&system, &["--uses", "3", "--ttl", "1h"])?;
    let mut endpoints = Vec::new();
    for host in 0..3 {
        let mut endpoint = Endpoint::new(&system.scratch().join(format!("host-{host}")))?;
        endpoint.enrol_ok(&token)?;
        endpoint.start(&token.server)?;
        endpoints.push(endpoint);
    }
    let paths: Vec<_> = endpoints.iter().map(Endpoint::followed).collect();
    let lines: Vec<Vec<String>> = (0..3).map(|host| attempts(host, 3)).collect();
    let written: usize = lines.iter().map(Vec::len).sum();

    let (one, two, three, killed) = tokio::join!(
        write_slowly(&paths[0], &lines[0]),
        write_slowly(&paths[1], &lines[1]),
        write_slowly(&paths[2], &lines[2]),
        async {
            system.kill_and_wait("detector-2").await?;
            system.kill_and_wait("detector-1").await
        }
    );
    one?;
    two?;
    three?;
    killed?;
    system.all_done(written, WITHIN).await?;
    let expected: BTreeMap<String, usize> = (0..ADDRESSES)
        .step_by(2)
        .map(|address| (format!("203.0.113.{address}"), 1))
        .collect();
    ensure!(
        by_address(&system).await? == expected,
        "found {:?}",
        by_address(&system).await?
    );
    ensure!(
        system.alerts("failed").await?.is_empty(),
        "rules of correlations alert by themselves"
    );

    // Each says how it came to be.
    let alert = system.alerts("brute-force").await?.pop().context("no alert")?;
    let explained = system.picket(&["rules", "explain", "--alert", alert.id.as_str()])?;
    let text = String::from_utf8_lossy(&explained.stdout);
    ensure!(
        explained.status.success() && text.starts_with("ALERT  Brute force"),
        "{text}"
    );
    for part in [
        "event_count gte 10 within 300 s",
        "source.ip=203.0.113.",
        "no limit was hit",
        "Failed password",
    ] {
        ensure!(text.contains(part), "no {part} in:\n{text}");
    }
    let event = alert.correlation.context("no correlation")?.event_ids.remove(0);
    let explained = system.picket(&["rules", "explain", "--rule", "brute-force", "--event", &event])?;
    let text = String::from_utf8_lossy(&explained.stdout);
    ensure!(
        explained.status.success() && text.starts_with("CONTRIBUTES  Brute force") && text.contains("MATCH  Failed"),
        "{text}"
    );

    // Looking at everything once more changes nothing.
    let store = system.store().await?;
    let before = system.alerts("brute-force").await?;
    for day in storage::blocks::list_days(&store).await? {
        storage::blocks::reopen(&store, &Tenant::default(), day).await?;
    }
    system.all_done(written, WITHIN).await?;
    ensure!(
        system.alerts("brute-force").await? == before,
        "alerts changed when blocks came again"
    );

    // A rule that is imported is in use on every host's partition, and from then on misses nothing.
    let file = system.scratch().join("accepted.yml");
    fs::write(&file, ACCEPTED)?;
    let imported = system.picket(&["rules", "import", &file.to_string_lossy()])?;
    ensure!(
        imported.status.success(),
        "{}{}",
        String::from_utf8_lossy(&imported.stdout),
        String::from_utf8_lossy(&imported.stderr)
    );
    let mut number = 0;
    for (path, endpoint) in paths.iter().zip(&endpoints) {
        let status: Value = endpoint.status()?;
        until(&format!("the new rule sees {status}"), WITHIN, async || {
            append(path, accepted(number).as_bytes())?;
            number += 1;
            system.all_done(written + number, WITHIN).await?;
            let last = format!("u{}", number - 1);
            let seen = system.alerts("accepted").await?;
            Ok(seen
                .iter()
                .any(|alert| alert.event["user"]["name"] == last.as_str())
                .then_some(()))
        })
        .await?;
    }
    let first = number;
    for path in &paths {
        let lines: Vec<String> = (number..number + 50).map(accepted).collect();
        append(path, lines.concat().as_bytes())?;
        number += 50;
    }
    system.all_done(written + number, WITHIN).await?;
    let seen = system.alerts("accepted").await?;
    for user in first..number {
        let name = format!("u{user}");
        let count = seen
            .iter()
            .filter(|alert| alert.event["user"]["name"] == name.as_str())
            .count();
        ensure!(count == 1, "{name} has {count} alerts");
    }
    for endpoint in &mut endpoints {
        endpoint.stop()?;
    }
    system.stop().await
}

#[tokio::test]
async fn who_watches_is_told_that_an_alert_was_taken_back() -> anyhow::Result<()> {
    let rules = tempfile::tempdir()?;
    fs::write(rules.path().join("failed.yml"), FAILED)?;
    fs::write(rules.path().join("few.yml"), FEW)?;
    let system = System::start(Options {
        args: vec!["--rules".to_owned(), rules.path().to_string_lossy().into_owned()],
        ..Options::default()
    })
    .await?;
    let mut watch = system
        .command(&["watch", "alerts"])?
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines = BufReader::new(watch.stdout.take().context("no output")?).lines();
    // It says when it listens.
    let mut said = String::new();
    BufReader::new(watch.stderr.take().context("no errors")?).read_line(&mut said)?;
    ensure!(said.contains("watching alerts"), "{said}");

    append(&system.try_file(), failed(7, 1).as_bytes())?;
    until("few events alert once their window is over", WITHIN, async || {
        Ok((system.alerts("few").await?.len() == 1).then_some(()))
    })
    .await?;
    let late: String = (2..6).map(|second| failed(7, second)).collect();
    append(&system.try_file(), late.as_bytes())?;
    until("the alert is taken back", WITHIN, async || {
        let few = system.alerts("few").await?;
        let correlation = few.first().and_then(|alert| alert.correlation.as_ref());
        Ok(correlation.is_some_and(|found| found.retracted).then_some(()))
    })
    .await?;
    let id = system.alerts("few").await?.remove(0).id;
    let mut told = Vec::new();
    for line in lines.take(2) {
        told.push(line?);
    }
    watch.kill()?;
    watch.wait()?;
    ensure!(told.iter().all(|line| line.contains(id.as_str())), "{told:?}");
    ensure!(
        told[0].ends_with(id.as_str()) && told[1].ends_with("RETRACTED"),
        "an update is not told from a new alert: {told:?}"
    );
    let listed = system.picket(&["alerts", "list"])?;
    ensure!(String::from_utf8_lossy(&listed.stdout).contains("RETRACTED"));
    system.stop().await
}
