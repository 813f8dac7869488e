//! The endpoint agent as a program of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    agentd::main_with(std::env::args_os().skip(1))
}
