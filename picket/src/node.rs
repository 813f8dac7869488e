//! `picket node ROLE` and `picket agent run`: one service in this process, as `picket up` starts them.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::ValueEnum;

/// What a node can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum NodeRole {
    /// Takes events in
    Collector,
    /// Turns events into alerts
    Detector,
    /// Turns alerts into incidents and actions
    Responder,
    /// Serves people and programs
    Gateway,
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to run
    role: NodeRole,
    /// Arguments of the service, such as --config FILE; `picket node ROLE -- --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Runs the service until it ends. It brings its own runtime and its own signal handling.
pub(crate) fn run(args: Args) -> ExitCode {
    let rest = args.rest.into_iter();
    match args.role {
        NodeRole::Collector => collector::main_with(rest),
        NodeRole::Detector => detector::main_with(rest),
        NodeRole::Responder => responder::main_with(rest),
        NodeRole::Gateway => gateway::main_with(rest),
    }
}

/// Runs the endpoint agent until it ends.
pub(crate) fn run_agent(args: Vec<OsString>) -> ExitCode {
    agentd::main_with(args)
}
