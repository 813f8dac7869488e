//! Ports, checked before anything is started: a port that is taken is said with the flag that changes it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

use super::UsageError;
use super::args::Args;

/// How many ports are tried.
const TRIES: usize = 32;
/// Below what any common system uses for outgoing connections.
const FREE_PORTS: std::ops::Range<u16> = 15_000..32_000;

/// Where everything listens. `collectors` and `syslog` have one entry per collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub http: SocketAddr,
    pub collectors: Vec<SocketAddr>,
    pub syslog: Vec<SocketAddr>,
}

/// Chooses and checks all of them.
pub(super) fn settle(args: &Args) -> Result<Ports, UsageError> {
    // Held until all are chosen, so that no free port is chosen twice.
    let mut held = Vec::new();
    let http = tcp(args.http_addr, args.http_port, 0, "--http-port", &mut held)?;
    let mut collectors = Vec::new();
    let mut syslog = Vec::new();
    for offset in 0..args.nodes.collector {
        collectors.push(tcp(
            args.collector_addr,
            args.collector_port,
            offset,
            "--collector-port",
            &mut held,
        )?);
        syslog.push(tcp_and_udp(args.collector_addr, args.syslog_port, offset, &mut held)?);
    }
    Ok(Ports {
        http,
        collectors,
        syslog,
    })
}

fn tcp(ip: IpAddr, port: u16, offset: u16, flag: &str, held: &mut Vec<TcpListener>) -> Result<SocketAddr, UsageError> {
    let port = nth(port, offset, flag)?;
    let listener = match port {
        0 => free(ip),
        port => TcpListener::bind((ip, port)),
    };
    let listener = listener.map_err(|error| refused("TCP", ip, port, flag, &error))?;
    let addr = listener
        .local_addr()
        .map_err(|error| refused("TCP", ip, port, flag, &error))?;
    held.push(listener);
    Ok(addr)
}

/// A port that systems do not give to outgoing connections, one of which could take it before the service is started, or
/// while it is restarted.
fn free(ip: IpAddr) -> io::Result<TcpListener> {
    let chosen = (0..TRIES).find_map(|_| TcpListener::bind((ip, rand::random_range(FREE_PORTS))).ok());
    chosen.map_or_else(|| TcpListener::bind((ip, 0)), Ok)
}

fn tcp_and_udp(ip: IpAddr, port: u16, offset: u16, held: &mut Vec<TcpListener>) -> Result<SocketAddr, UsageError> {
    const FLAG: &str = "--syslog-port";
    let mut last = None;
    for _ in 0..TRIES {
        let addr = tcp(ip, port, offset, FLAG, held)?;
        match UdpSocket::bind(addr) {
            Ok(_) => return Ok(addr),
            Err(error) => last = Some(refused("UDP", ip, addr.port(), FLAG, &error)),
        }
        if port != 0 {
            break;
        }
    }
    Err(last.unwrap_or_else(|| UsageError(format!("no port is free for syslog; choose one with {FLAG}"))))
}

fn nth(port: u16, offset: u16, flag: &str) -> Result<u16, UsageError> {
    if port == 0 {
        return Ok(0);
    }
    port.checked_add(offset).ok_or_else(|| {
        UsageError(format!(
            "{flag} {port}: there is no port {offset} above it; choose a lower one"
        ))
    })
}

fn refused(protocol: &str, ip: IpAddr, port: u16, flag: &str, error: &io::Error) -> UsageError {
    let addr = SocketAddr::new(ip, port);
    let advice = format!("choose another port with {flag} (0 takes a free one)");
    UsageError(if error.kind() == io::ErrorKind::AddrInUse {
        format!("{protocol} port {port} on {ip} is taken by another process; {advice}")
    } else if error.kind() == io::ErrorKind::AddrNotAvailable {
        format!("{ip} is no address of this machine ({addr})")
    } else {
        format!("cannot listen on {protocol} {addr}: {error}; {advice}")
    })
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_taken_port_is_named_with_its_flag() {
        let other = TcpListener::bind((LOCAL, 0)).unwrap();
        let port = other.local_addr().unwrap().port();
        let error = tcp(LOCAL, port, 0, "--http-port", &mut Vec::new())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("--http-port"),
            "{error}"
        );
        let taken_for_udp_only = || {
            let udp = UdpSocket::bind((LOCAL, 0)).unwrap();
            let port = udp.local_addr().unwrap().port();
            TcpListener::bind((LOCAL, port)).is_ok().then_some((udp, port))
        };
        let (_udp, port) = std::iter::repeat_with(taken_for_udp_only).flatten().next().unwrap();
        let error = tcp_and_udp(LOCAL, port, 0, &mut Vec::new()).unwrap_err().to_string();
        assert!(error.contains("UDP") && error.contains("--syslog-port"), "{error}");
    }

    #[test]
    fn zero_takes_different_free_ports() {
        let mut held = Vec::new();
        let one = tcp_and_udp(LOCAL, 0, 0, &mut held).unwrap();
        let other = tcp_and_udp(LOCAL, 0, 1, &mut held).unwrap();
        assert_ne!(one.port(), 0);
        assert_ne!(one, other);
        assert!(nth(u16::MAX, 1, "--collector-port").is_err());
    }
}
