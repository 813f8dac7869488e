//! `picket up`: a whole system on this machine, from one command.
//!
//! It finds a MongoDB, makes or opens a certificate authority, writes a configuration for every node, starts the nodes
//! as processes of their own (or inside this one), enrols an agent for this host, watches over all of it, and stops it
//! in order. What it keeps lies in one directory; starting again with the same directory continues with the same data.

mod agent;
mod args;
mod banner;
mod board;
mod certs;
mod configs;
mod dirs;
mod embedded;
mod mongo;
mod node;
mod plan;
mod ports;
mod process;
mod rules;
mod secrets;
mod start;
mod steps;
mod stop;
mod system;
mod tail;

use std::process::ExitCode;

pub(crate) use args::Args;

use dirs::Dirs;
use stop::Stop;
use system::System;

/// Exit code when what was asked for cannot be done as asked (`EX_USAGE`): a port is taken, the directory is in use.
const EXIT_USAGE: u8 = 64;
/// Exit code after the second signal.
const EXIT_INTERRUPTED: u8 = 130;

/// Something the operator can put right by asking differently.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Runs until it is told to stop.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match run_inner(args).await {
        Ok(code) => Ok(code),
        Err(error) if error.downcast_ref::<UsageError>().is_some() => {
            eprintln!("error: {error:#}");
            Ok(ExitCode::from(EXIT_USAGE))
        }
        Err(error) => Err(error),
    }
}

async fn run_inner(args: Args) -> anyhow::Result<ExitCode> {
    let dirs = Dirs::open(args.data.clone())?;
    let settings = args.settle()?;
    let stop = Stop::on_signals()?;
    let mut system = System::new(dirs, stop.clone());
    let started = tokio::select! {
        started = start::start(&mut system, &settings) => Some(started),
        () = stop.asked() => None,
    };
    let failure = match started {
        Some(Ok(facts)) => {
            banner::print(&system, &settings, &facts);
            system.run().await
        }
        Some(Err(error)) => Some(error),
        None => None,
    };
    if stop.is_asked() {
        eprintln!("\nstopping; once more to stop at once");
    }
    system.stop().await;
    match failure {
        Some(error) => Err(error),
        None if stop.is_urgent() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        None => Ok(ExitCode::SUCCESS),
    }
}
