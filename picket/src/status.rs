//! `picket status`: nodes, backlog and rates.

use std::process::ExitCode;

use model::Timestamp;
use proto::query::v1::{GetStatusRequest, GetStatusResponse};
use serde_json::json;

use crate::client::{Connection, grpc_error};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut client = args.connection.target()?.query().await?;
    let status = client
        .get_status(GetStatusRequest {})
        .await
        .map_err(grpc_error)?
        .into_inner();
    if args.json {
        println!("{}", as_json(&status));
    } else {
        print!("{}", as_text(&status, Timestamp::now()));
    }
    Ok(if status.nodes.iter().all(|node| node.alive) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn as_json(status: &GetStatusResponse) -> serde_json::Value {
    let nodes: Vec<_> = status
        .nodes
        .iter()
        .map(|node| {
            json!({
                "role": node.role, "name": node.name, "addr": node.addr, "version": node.version, "alive": node.alive,
                "started_at": Timestamp(node.started_at_micros).to_string(),
                "heartbeat_at": Timestamp(node.heartbeat_at_micros).to_string(),
            })
        })
        .collect();
    json!({
        "nodes": nodes,
        "agents": status.agents,
        "pending_blocks": status.pending_blocks,
        "oldest_pending_millis": status.oldest_pending_millis,
        "events_per_second": status.events_per_second,
        "events_total": status.events_total,
        "alerts_total": status.alerts_total,
    })
}

fn as_text(status: &GetStatusResponse, now: Timestamp) -> String {
    let mut text = format!(
        "{:<10} {:<16} {:<22} {:<9} {:<6} {}\n",
        "ROLE", "NAME", "ADDRESS", "VERSION", "STATE", "UP"
    );
    for node in &status.nodes {
        let state = if node.alive { "alive" } else { "DEAD" };
        let up = duration(now.0.saturating_sub(node.started_at_micros) / 1_000_000);
        text.push_str(&format!(
            "{:<10} {:<16} {:<22} {:<9} {state:<6} {up}\n",
            node.role, node.name, node.addr, node.version
        ));
    }
    text.push_str(&format!(
        "\nagents          {}\nevents          {} ({:.1}/s over the last minute)\nalerts          {}\n",
        status.agents, status.events_total, status.events_per_second, status.alerts_total
    ));
    let lag = match status.pending_blocks {
        0 => "nothing; all events were looked at".to_owned(),
        blocks => format!(
            "{blocks} blocks for detection, the oldest for {} ms",
            status.oldest_pending_millis
        ),
    };
    text.push_str(&format!("waiting         {lag}\n"));
    text
}

fn duration(secs: i64) -> String {
    match secs {
        ..60 => format!("{}s", secs.max(0)),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
        _ => format!("{}d{:02}h", secs / 86_400, secs / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn durations_read_in_two_units() {
        assert_eq!([5, 61, 3_700, 90_000].map(duration), ["5s", "1m01s", "1h01m", "1d01h"]);
    }
}
