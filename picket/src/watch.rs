//! `picket watch alerts`: alerts as they are made, one line each.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use proto::query::v1::watch_alerts_response::Body;
use proto::query::v1::{Alert, WatchAlertsRequest};
use serde_json::json;
use tonic::Code;

use crate::alerts::human_line;
use crate::client::{Connection, Target};

/// First and longest pause between tries to reconnect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The server sends a heartbeat about every 10 s; after three missed ones the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(32);

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show alerts as they are made, until interrupted
    Alerts(Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Continue after the alert with this cursor; --json prints each alert's cursor
    #[arg(long, value_name = "CURSOR", default_value = "", hide_default_value = true)]
    cursor: String,
    /// Leave out alerts below this level: informational, low, medium, high or critical
    #[arg(long, value_name = "LEVEL")]
    min_level: Option<model::Level>,
    /// One JSON object a line: {"cursor": …, "alert": …}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Alerts(args) = command;
    let target = args.connection.target()?;
    let color = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut cursor = args.cursor.clone();
    let mut pause = RECONNECT.0;
    let mut connected_before = false;
    loop {
        let ended = tokio::select! {
            ended = follow(&target, &args, color, &mut cursor, &mut connected_before, &mut pause) => ended,
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        };
        match ended {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            // Before the first answer, an error is the user's to read; later on, it is a break to get over.
            Err(error) if !connected_before => return Err(error),
            Err(error) => {
                if let Some(status) = error.downcast_ref::<tonic::Status>()
                    && matches!(
                        status.code(),
                        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
                    )
                {
                    bail!("the gateway refused: {}", status.message());
                }
                if let Some(status) = error.downcast_ref::<tonic::Status>()
                    && status.code() == Code::OutOfRange
                {
                    eprintln!("some alerts may be missing here: {}", status.message());
                    cursor.clear();
                }
                eprintln!("connection lost ({error:#}), trying again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
        pause = (pause * 2).min(RECONNECT.1);
    }
}

async fn follow(
    target: &Target,
    args: &Args,
    color: bool,
    cursor: &mut String,
    connected_before: &mut bool,
    pause: &mut Duration,
) -> anyhow::Result<()> {
    let request = WatchAlertsRequest {
        cursor: cursor.clone(),
        min_level: args.min_level.map(|level| level.to_string()).unwrap_or_default(),
    };
    let mut stream = target.query().await?.watch_alerts(request).await?.into_inner();
    loop {
        let Ok(message) = tokio::time::timeout(SILENCE, stream.message()).await else {
            bail!("the gateway has been silent for {} s", SILENCE.as_secs());
        };
        let Some(message) = message? else {
            bail!("the gateway closed the stream");
        };
        if !*connected_before && !args.json {
            eprintln!("watching alerts at {} (Ctrl-C ends it)", target.grpc_addr);
        }
        *connected_before = true;
        *pause = RECONNECT.0;
        match message.body {
            Some(Body::Alert(watched)) => {
                if let Some(alert) = &watched.alert
                    && show(alert, &watched.cursor, args.json, color).is_err()
                {
                    // Nobody reads on, as in `picket watch alerts | head`.
                    return Ok(());
                }
                *cursor = watched.cursor;
            }
            Some(Body::Heartbeat(heartbeat)) => *cursor = heartbeat.cursor,
            None => {}
        }
    }
}

fn show(alert: &Alert, cursor: &str, as_json: bool, color: bool) -> std::io::Result<()> {
    let line = if as_json {
        let document: serde_json::Value = serde_json::from_str(&alert.json).unwrap_or_default();
        json!({ "cursor": cursor, "alert": document }).to_string()
    } else {
        human_line(alert, color)
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
