//! `bench memory`: what agentd, the program that runs on endpoints, holds in memory.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::binaries::binary;
use tests::lines;
use tests::system::{Options, System, append};

use crate::report::{cpu_seconds, machine, resident_mib};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds to watch in each state
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Lines a second under load
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    let system = System::start(Options {
        args: vec!["--no-agent".to_owned()],
        ..Options::default()
    })
    .await?;
    let dir = system.scratch().join("endpoint");
    std::fs::create_dir_all(&dir).context("make a directory")?;
    let log = dir.join("app.log");
    append(&log, b"")?;
    let agent = Agent(start_agent(&system, &dir, &log)?);
    let pid = i32::try_from(agent.0.id()).context("read the process id")?;

    let idle = peak(pid, args.seconds).await;
    let used = cpu_seconds(pid);
    let writer = {
        let log = log.clone();
        let per_tick = args.rate / 20;
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            let mut number = 0;
            loop {
                tick.tick().await;
                let text: String = (number..number + per_tick)
                    .map(|number| lines::line(number) + "\n")
                    .collect();
                number += per_tick;
                if append(&log, text.as_bytes()).is_err() {
                    return;
                }
            }
        })
    };
    let busy = peak(pid, args.seconds).await;
    let cpu = (cpu_seconds(pid) - used) / args.seconds as f64 * 100.0;
    writer.abort();
    println!("machine                    {}", machine());
    println!(
        "agentd idle                {idle:.1} MiB resident (highest in {} s)",
        args.seconds
    );
    println!(
        "agentd at {} events/s   {busy:.1} MiB resident (highest in {} s), {cpu:.1} % of a core",
        args.rate, args.seconds
    );
    drop(agent);
    system.stop().await
}

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_agent(system: &System, dir: &std::path::Path, log: &std::path::Path) -> anyhow::Result<Child> {
    let output = system.picket(&["enrol", "token", "create", "--json"])?;
    let token: Value = serde_json::from_slice(&output.stdout).context("read the token")?;
    let text = |name: &str| token[name].as_str().unwrap_or_default().to_owned();
    let data = dir.join("data");
    let enrolled = Command::new(binary("agentd")?)
        .args([
            "enrol",
            "--server",
            &text("server"),
            "--token",
            &text("token"),
            "--ca-fingerprint",
            &text("ca_fingerprint"),
        ])
        .arg("--data-dir")
        .arg(&data)
        .output()
        .context("enrol")?;
    ensure!(
        enrolled.status.success(),
        "enrolment failed: {}",
        String::from_utf8_lossy(&enrolled.stderr)
    );
    let config = dir.join("agentd.toml");
    let toml = format!(
        "data_dir = {:?}\ncollectors = [{:?}]\n[journald]\nenabled = false\n[[files]]\npaths = [{:?}]\n",
        data.to_string_lossy(),
        text("server"),
        log.to_string_lossy()
    );
    std::fs::write(&config, toml).context("write the agent's configuration")?;
    let out = std::fs::File::create(dir.join("agentd.log")).context("make the agent's log")?;
    Command::new(binary("agentd")?)
        .arg("run")
        .arg("--config")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(out.try_clone().context("share the log")?)
        .stderr(out)
        .spawn()
        .context("start agentd")
}

async fn peak(pid: i32, seconds: u64) -> f64 {
    let mut highest: f64 = 0.0;
    for _ in 0..seconds * 4 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        highest = highest.max(resident_mib(pid));
    }
    highest
}
