//! `picket status`: nodes, backlog and rates.

use std::process::ExitCode;

use model::Timestamp;
use proto::query::v1::{AgentBacklog, CollectorLoad, GetStatusRequest, GetStatusResponse};
use serde_json::json;

use crate::client::{Connection, grpc_error};
use crate::table::{counted, printable};

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
        "collectors": status.collectors.iter().map(load_json).collect::<Vec<_>>(),
        "backlogs": status.backlogs.iter().map(backlog_json).collect::<Vec<_>>(),
    })
}

fn load_json(load: &CollectorLoad) -> serde_json::Value {
    json!({
        "name": load.name, "streams": load.streams, "batches_in_flight": load.batches_in_flight, "window": load.window,
        "memory_bytes": load.memory_bytes, "memory_limit_bytes": load.memory_limit_bytes,
        "blocks_waiting": load.blocks_waiting, "blocks_writing": load.blocks_writing,
        "write_millis": load.write_millis, "slowest_write_millis": load.slowest_write_millis, "waits": load.waits,
    })
}

fn backlog_json(backlog: &AgentBacklog) -> serde_json::Value {
    let wait_until = Some(backlog.wait_until_micros).filter(|until| *until > 0);
    json!({
        "agent_id": backlog.agent_id, "name": backlog.name, "at": Timestamp(backlog.at_micros).to_string(),
        "events": backlog.events, "spool_bytes": backlog.spool_bytes, "spool_limit_bytes": backlog.spool_limit_bytes,
        "oldest_millis": backlog.oldest_millis,
        "wait_until": wait_until.map(|until| Timestamp(until).to_string()),
    })
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// Where events pile up, if anywhere.
fn pressure(status: &GetStatusResponse) -> String {
    let mut text = String::new();
    for load in &status.collectors {
        text.push_str(&format!(
            "{:<15} {}, {} batches in flight (window {}), {} of {} held, {} blocks wait, {} being written\n\
             {:<15} a write takes {} ms, at most {} ms in the last minute; agents were asked to wait {} times\n",
            load.name,
            counted(load.streams, "stream"),
            load.batches_in_flight,
            load.window,
            mib(load.memory_bytes),
            mib(load.memory_limit_bytes),
            load.blocks_waiting,
            load.blocks_writing,
            "",
            load.write_millis,
            load.slowest_write_millis,
            load.waits,
        ));
    }
    for backlog in &status.backlogs {
        text.push_str(&format!(
            "agent {}: {} events wait, spool {} of {}, the oldest on its way for {} ms",
            printable(&backlog.name),
            backlog.events,
            mib(backlog.spool_bytes),
            mib(backlog.spool_limit_bytes),
            backlog.oldest_millis,
        ));
        if backlog.wait_until_micros > 0 {
            text.push_str(&format!(
                ", told to wait until {}",
                Timestamp(backlog.wait_until_micros)
            ));
        }
        text.push('\n');
    }
    text
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
    text.push_str(&pressure(status));
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
