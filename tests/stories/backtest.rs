//! Backtests: what rules would have done with what is stored, told before they are deployed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use detector::backtest::{self, Question};
use model::Tenant;
use serde_json::{Value, json};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);
/// Hosts and days that events are from; each host fails one more time a day than the one before it.
const HOSTS: usize = 3;
const DAYS: usize = 4;

fn rule(id: &str, user: &str) -> String {
    format!(
        "title: Failed login\nid: {id}\nlevel: low\nlogsource: {{product: linux, service: sshd}}\ndetection:\n  \
         s: {{event.action: ssh_login, event.outcome: failure, user.name: {user}}}\n  condition: s\n"
    )
}

const MANY: &str = "---\ntitle: Many failures\nid: many\nlevel: high\ncorrelation:\n  type: event_count\n  rules: [failed]\n  \
    group-by: [host.name]\n  timespan: 1h\n  condition: {gte: 3}\n  generate: true\n";

fn lines(day: usize) -> String {
    let line = |host: usize, attempt: usize| {
        let user = if attempt == 0 { "root" } else { "guest" };
        format!(
            "2026-03-0{}T10:00:{:02}.000000+00:00 host-{host} sshd[7]: Failed password for {user} from 203.0.113.9 port \
             {} ssh2\n",
            day + 1,
            host * 10 + attempt,
            attempt + 1
        )
    };
    (0..HOSTS)
        .flat_map(|host| (0..=host).map(move |attempt| line(host, attempt)))
        .collect()
}

fn per_day() -> usize {
    (1..=HOSTS).sum()
}

fn backtest(system: &System, file: &Path, args: &[&str]) -> anyhow::Result<Value> {
    let file = file.to_string_lossy();
    let output = system.picket(&[&["rules", "backtest", "--rule", &file, "--json"], args].concat())?;
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn stored(system: &System, events: usize) -> anyhow::Result<()> {
    let store = system.store().await?;
    until("the events are stored and looked at", WITHIN, async || {
        let stored = storage::blocks::events_total(&store, &Tenant::default()).await?;
        let pending = storage::blocks::pending_stats(&store).await?.count;
        Ok((stored >= events as u64 && pending == 0).then_some(()))
    })
    .await
}

#[tokio::test]
async fn rules_are_tried_on_what_is_stored_and_do_afterwards_what_was_told() -> anyhow::Result<()> {
    let system = System::start(Options::default()).await?;
    let scratch = system.scratch();
    // One that was deployed before the events came: what it did is known.
    let live = scratch.join("live.yml");
    fs::write(&live, rule("live", "[root, guest]"))?;
    let imported = system.picket(&["rules", "import", &live.to_string_lossy()])?;
    ensure!(
        String::from_utf8_lossy(&imported.stdout).contains("active on 1 of 1 detector"),
        "{}",
        String::from_utf8_lossy(&imported.stdout)
    );
    for day in 0..DAYS {
        append(&system.try_file(), lines(day).as_bytes())?;
        stored(&system, (day + 1) * per_day()).await?;
    }
    let all = DAYS * per_day();
    let told = backtest(&system, &live, &[])?;
    let page = system.get("/alerts?rule_id=live&count=exact&limit=1").await?;
    ensure!(
        told["result"]["alerts"] == page["total"] && page["total"] == all,
        "{told} and {}",
        page["total"]
    );

    // A new rule and a correlation over it, for two of the days.
    let new = scratch.join("new.yml");
    fs::write(&new, rule("failed", "[root, guest]") + MANY)?;
    let two_days = ["--from", "2026-03-02T00:00:00Z", "--to", "2026-03-04T00:00:00Z"];
    let told = backtest(&system, &new, &[&two_days[..], &["--samples", "2"]].concat())?;
    let found = &told["result"];
    ensure!(told["complete"] == true && told["events"] == 2 * per_day(), "{told}");
    ensure!(
        found["by_rule"] == json!({"failed": 2 * per_day(), "many": 2}),
        "only the host with three failures has many a day: {found}"
    );
    ensure!(
        found["by_host"] == json!({"host-0": 2, "host-1": 4, "host-2": 8}),
        "{found}"
    );
    ensure!(
        found["by_day"] == json!({"2026-03-02": per_day() + 1, "2026-03-03": per_day() + 1}),
        "{found}"
    );
    let samples = found["samples"].as_array().context("no samples")?;
    ensure!(
        samples.len() == 2
            && samples[0]["time"]
                .as_str()
                .is_some_and(|time| time.starts_with("2026-03-02T10:00:00")),
        "not the earliest: {samples:?}"
    );
    let rest = json!({
        "yaml": fs::read_to_string(&new)?, "from": two_days[1], "to": two_days[3], "samples": 2,
    });
    let by_rest = system.post("/rules/backtest", &rest).await?;
    ensure!(by_rest["result"] == *found && by_rest["complete"] == true, "{by_rest}");
    let shown = system.picket(&["rules", "backtest", "--rule", &new.to_string_lossy()])?;
    let text = String::from_utf8_lossy(&shown.stdout);
    ensure!(
        text.contains("host-2") && text.contains("2026-03-03") && text.contains("nothing was stored"),
        "{text}"
    );
    ensure!(
        system.get("/alerts?rule_id=failed&count=exact").await?["total"] == 0,
        "a backtest alerts"
    );

    // What changing the deployed rule would change.
    fs::write(&live, rule("live", "root"))?;
    let told = backtest(&system, &live, &["--diff"])?;
    ensure!(
        told["result"]["alerts"] == DAYS * HOSTS && told["deployed"]["alerts"] == all,
        "{told}"
    );
    ensure!(
        told["only_new"] == 0 && told["only_deployed"] == all - DAYS * HOSTS,
        "{told}"
    );

    // Exceptions hold as they do live.
    let added = system.picket(&[
        "exceptions",
        "add",
        "--rule",
        "live",
        "--where",
        "host.name=host-1",
        "--reason",
        "a test bench",
    ])?;
    ensure!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let told = backtest(&system, &live, &[])?;
    ensure!(
        told["result"]["alerts"] == DAYS * (HOSTS - 1) && told["excepted"] == DAYS,
        "{told}"
    );

    // One that is ended early says so.
    let question = Question {
        tenant: Tenant::default(),
        from: None,
        to: None,
        files: vec![("live.yml".to_owned(), rule("live", "root"))],
        diff: false,
        samples: 1,
        threads: 1,
    };
    let outcome = backtest::run(&system.store().await?, &question, |_, _| false).await?;
    ensure!(
        !outcome.complete && outcome.events < outcome.events_in_all && outcome.events_in_all == all as u64,
        "{outcome:?}"
    );
    system.stop().await
}
