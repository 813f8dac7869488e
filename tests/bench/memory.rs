//! `bench memory`: what agentd, the program that runs on endpoints, holds in memory.

use std::time::Duration;

use anyhow::Context as _;
use tests::endpoint::{Endpoint, Token};
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
    let token = Token::create(&system, &[])?;
    let mut endpoint = Endpoint::new(&system.scratch().join("endpoint"))?;
    endpoint.enrol_ok(&token)?;
    endpoint.start(&token.server)?;
    let pid = endpoint.pid().context("read the process id")?;

    let idle = peak(pid, args.seconds).await;
    let used = cpu_seconds(pid);
    let writer = {
        let log = endpoint.followed();
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
    endpoint.stop()?;
    system.stop().await
}

async fn peak(pid: i32, seconds: u64) -> f64 {
    let mut highest: f64 = 0.0;
    for _ in 0..seconds * 4 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        highest = highest.max(resident_mib(pid));
    }
    highest
}
