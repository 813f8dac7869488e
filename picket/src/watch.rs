//! `picket watch alerts`: alerts as they are made, one line each.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use proto::query::v1::watch_alerts_response::Body;
use proto::query::v1::{Alert, WatchAlertsRequest, WatchedAlert};
use serde_json::json;
use tonic::{Code, Status};

use crate::alerts::{human_line, is_retracted};
use crate::client::{Connection, Target, grpc_error};

/// First and longest pause between tries to reconnect.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The server sends a heartbeat about every 10 s; after three missed ones the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(32);

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Show alerts as they are made, and again when they are taken back, until interrupted
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
    /// One JSON object a line: {"cursor": …, "is_update": …, "alert": …}
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
    let mut link = Link::default();
    loop {
        let ended = tokio::select! {
            ended = follow(&target, &args, color, &mut cursor, &mut link, &mut pause) => ended,
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        };
        match ended {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            // Before the first answer, an error is the user's to read; later on, it is a break to get over.
            Err(End::Refused(status)) if !link.connected_before || is_final(&status) => {
                return Err(grpc_error(*status));
            }
            Err(End::Broken(error)) if !link.connected_before => return Err(error),
            Err(End::Refused(status)) if status.code() == Code::OutOfRange => {
                eprintln!("some alerts may be missing here: {}", status.message());
                cursor.clear();
            }
            Err(End::Refused(status)) => link.lost(status.message()),
            Err(End::Broken(error)) => link.lost(&format!("{error:#}")),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
        }
        pause = (pause * 2).min(RECONNECT.1);
    }
}

/// Why following ended.
enum End {
    /// The gateway said so.
    Refused(Box<Status>),
    /// The connection did.
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for End {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        // What did not come from the gateway has a cause.
        if std::error::Error::source(&status).is_some() {
            return Self::Broken(anyhow!("the connection broke"));
        }
        Self::Refused(Box::new(status))
    }
}

/// Trying again would change nothing.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
    )
}

/// What the user was told of the connection.
#[derive(Default)]
struct Link {
    connected_before: bool,
    lost: bool,
}

impl Link {
    fn up(&mut self, quiet: bool, addr: &str) {
        if self.lost {
            eprintln!("connected again");
        } else if !self.connected_before && !quiet {
            eprintln!("watching alerts at {addr} (Ctrl-C ends it)");
        }
        *self = Self {
            connected_before: true,
            lost: false,
        };
    }

    fn lost(&mut self, why: &str) {
        if !self.lost {
            eprintln!("no connection ({why}), trying until there is one");
        }
        self.lost = true;
    }
}

async fn follow(
    target: &Target,
    args: &Args,
    color: bool,
    cursor: &mut String,
    link: &mut Link,
    pause: &mut Duration,
) -> Result<(), End> {
    let request = WatchAlertsRequest {
        cursor: cursor.clone(),
        min_level: args.min_level.map(|level| level.to_string()).unwrap_or_default(),
    };
    let mut stream = target.query().await?.watch_alerts(request).await?.into_inner();
    loop {
        let Ok(message) = tokio::time::timeout(SILENCE, stream.message()).await else {
            return Err(anyhow!("the gateway has been silent for {} s", SILENCE.as_secs()).into());
        };
        let Some(message) = message? else {
            return Err(anyhow!("the gateway closed the stream").into());
        };
        link.up(args.json, &target.grpc_addr);
        *pause = RECONNECT.0;
        match message.body {
            Some(Body::Alert(watched)) => {
                if let Some(alert) = &watched.alert
                    && show(alert, &watched, args.json, color).is_err()
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

fn show(alert: &Alert, watched: &WatchedAlert, as_json: bool, color: bool) -> std::io::Result<()> {
    let line = if as_json {
        let document: serde_json::Value = serde_json::from_str(&alert.json).unwrap_or_default();
        json!({ "cursor": watched.cursor, "is_update": watched.is_update, "alert": document }).to_string()
    } else {
        let line = human_line(alert, color);
        // One that was taken back says so itself.
        let stands_again = watched.is_update && !is_retracted(alert);
        if stands_again {
            format!("{line}  STANDS AGAIN")
        } else {
            line
        }
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_broken_connection() {
        let refused = End::from(Status::unauthenticated("the credentials are wrong"));
        assert!(matches!(refused, End::Refused(status) if is_final(&status)));
        let mut broken = Status::unknown("h2 protocol error");
        broken.set_source(std::sync::Arc::new(std::io::Error::from(
            std::io::ErrorKind::UnexpectedEof,
        )));
        assert!(matches!(End::from(broken), End::Broken(_)));
        let away = End::from(Status::unavailable("the database is away"));
        assert!(matches!(away, End::Refused(status) if !is_final(&status)));
    }
}
