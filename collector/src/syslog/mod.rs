//! Syslog over UDP and TCP: sources that cannot be asked to send again.
//!
//! Every sender's address is a source with its own numbering. Messages are collected for a moment and stored like any
//! other events, as often as it takes. What they hold meanwhile is bounded: TCP senders are held back, and what cannot be
//! kept is dropped and counted.

mod framing;
mod sources;
mod tcp;
mod udp;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bootstrap::Context;
use tokio::net::{TcpListener, UdpSocket};

use crate::clock::Clock;
use crate::config::Syslog;
use crate::intake::Intake;
use crate::memory::Memory;

use sources::Sources;

/// Sockets that are bound and not served yet.
pub(crate) struct Bound {
    udp: Option<UdpSocket>,
    tcp: Option<TcpListener>,
}

/// Binds what the configuration asks for.
pub(crate) async fn bind(config: &Syslog) -> anyhow::Result<Bound> {
    let udp = match config.udp()? {
        Some(addr) => {
            let socket = UdpSocket::bind(addr).await;
            Some(socket.with_context(|| format!("listen on UDP {addr}: change syslog.udp_addr or stop what uses it"))?)
        }
        None => None,
    };
    let tcp = match config.tcp()? {
        Some(addr) => Some(bootstrap::tls::bind_for(addr, "syslog.tcp_addr").await?),
        None => None,
    };
    Ok(Bound { udp, tcp })
}

/// Serves what was bound, until shutdown; what was received by then is stored.
pub(crate) fn spawn(bound: Bound, config: &Syslog, intake: Intake, clock: Clock, ctx: &Context) -> anyhow::Result<()> {
    if bound.udp.is_none() && bound.tcp.is_none() {
        return Ok(());
    }
    let sources = Arc::new(Sources::new(config.tenant.clone(), Memory::new(config.memory_bytes)));
    if let Some(socket) = bound.udp {
        let addr = socket.local_addr().context("read the syslog UDP address")?;
        tracing::info!(%addr, "listening for syslog over UDP");
        let run = udp::receive(socket, Arc::clone(&sources), ctx.shutdown.clone());
        ctx.tasks.spawn("syslog-udp", run);
        ctx.tasks.spawn(
            "syslog-udp-drops",
            udp::count_kernel_drops(addr, Arc::clone(&sources), ctx.shutdown.clone()),
        );
    }
    if let Some(listener) = bound.tcp {
        let addr = listener.local_addr().context("read the syslog TCP address")?;
        tracing::info!(%addr, "listening for syslog over TCP");
        let idle = Duration::from_secs(config.idle_secs);
        let run = tcp::accept(
            listener,
            Arc::clone(&sources),
            config.max_connections,
            idle,
            ctx.shutdown.clone(),
        );
        ctx.tasks.spawn("syslog-tcp", run);
    }
    ctx.tasks
        .spawn("syslog-store", sources.store(intake, clock, ctx.shutdown.clone()));
    Ok(())
}
