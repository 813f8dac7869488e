//! One message a datagram.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::framing::{Frame, MAX_MESSAGE, trim};
use super::sources::Sources;

/// Time between two looks at what the kernel dropped.
const LOOK: Duration = Duration::from_secs(5);

pub(super) async fn receive(
    socket: UdpSocket,
    sources: Arc<Sources>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // One more than a message may have shows that one was cut off.
    let mut buffer = vec![0; MAX_MESSAGE + 1];
    loop {
        let received = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            received = socket.recv_from(&mut buffer) => received,
        };
        match received {
            Ok((length, from)) => {
                let kept = length.min(MAX_MESSAGE);
                let message = trim(Bytes::copy_from_slice(&buffer[..kept]));
                if !message.is_empty() {
                    let truncated = (length - kept) as u64;
                    sources.offer(from.ip().to_canonical(), Frame { message, truncated });
                }
            }
            // Such as an ICMP answer to something sent from this port; the socket goes on working.
            Err(error) => tracing::debug!(%error, "receiving a datagram failed"),
        }
    }
}

/// Counts datagrams that the kernel dropped because its buffer was full, where the system tells.
pub(super) async fn count_kernel_drops(
    addr: SocketAddr,
    sources: Arc<Sources>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut tick = tokio::time::interval(LOOK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut known = 0;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        let file = if addr.is_ipv4() {
            "/proc/net/udp"
        } else {
            "/proc/net/udp6"
        };
        let Ok(table) = tokio::fs::read_to_string(file).await else {
            return Ok(());
        };
        let total = dropped(&table, addr.port());
        if total > known {
            let count = total - known;
            metrics::counter!("picket_collector_events_dropped_total", "reason" => "syslog_udp_receive_buffer")
                .increment(count);
            sources.lost("syslog_udp_receive_buffer", count);
            tracing::warn!(
                datagrams = count,
                "the system dropped syslog datagrams, they came faster than they were read"
            );
        }
        known = total;
    }
}

/// The last column of the lines whose local port is ours.
fn dropped(table: &str, port: u16) -> u64 {
    let ours = |line: &&str| {
        let local = line.split_whitespace().nth(1).and_then(|local| local.rsplit_once(':'));
        local.is_some_and(|(_, number)| u16::from_str_radix(number, 16) == Ok(port))
    };
    table
        .lines()
        .skip(1)
        .filter(ours)
        .filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernels_table_is_read_by_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  \
            123: 0100007F:1414 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 42\n  \
            124: 0100007F:1415 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 7\n";
        assert_eq!(super::dropped(table, 5140), 42);
        assert_eq!(super::dropped(table, 1), 0);
        assert_eq!(super::dropped("", 5140), 0);
    }
}
