//! What follows from the fields a format set: addresses from endpoints, the parts of an URL, what a user agent is, the
//! registered domain, the flow's community id, `related.*`, and Heimdall's unified view.

use model::{Text, Value, ecs};

use crate::community;
use crate::domain;
use crate::draft::Draft;
use crate::network::{is_host_name, is_ip};
use crate::scan::Marks as _;
use crate::slots::{Key, keys};
use crate::unified;
use crate::url;
use crate::useragent;

/// The names of one end of a conversation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side {
    pub(crate) address: &'static str,
    pub(crate) ip: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) port: &'static str,
    pub(crate) bytes: &'static str,
    pub(crate) packets: &'static str,
}

macro_rules! side {
    ($name:ident, $prefix:literal) => {
        pub(crate) const $name: Side = Side {
            address: concat!($prefix, ".address"),
            ip: concat!($prefix, ".ip"),
            domain: concat!($prefix, ".domain"),
            port: concat!($prefix, ".port"),
            bytes: concat!($prefix, ".bytes"),
            packets: concat!($prefix, ".packets"),
        };
    };
}
side!(SOURCE, "source");
side!(DESTINATION, "destination");
side!(CLIENT, "client");
side!(SERVER, "server");

/// Sets one end: its address as written, which is an IP or else a domain, and its port (0 or none when there is none).
pub(crate) fn endpoint(draft: &mut Draft, side: Side, host: &str, port: &str) {
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    if !crate::aliases::is_known(host) {
        return;
    }
    let plain = host
        .strip_prefix("::ffff:")
        .filter(|v4| v4.has_byte(b'.'))
        .unwrap_or(host);
    draft.set(side.address, plain);
    if is_ip(plain) {
        draft.set(side.ip, plain);
    } else if is_host_name(plain) {
        draft.set(side.domain, plain);
    }
    if let Some(port) = crate::network::port(port) {
        draft.set(side.port, port);
    }
}

/// Splits `1.2.3.4:80`, `[::1]:80` or an address alone into address and port.
pub(crate) fn split_port(text: &str) -> (&str, &str) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.cut_at(b']')) {
        return (host, rest.strip_prefix(':').unwrap_or(""));
    }
    match text.cut_last_at(b':') {
        Some((host, port)) if !host.has_byte(b':') => (host, port),
        // An IPv6 address and a port without brackets, where the whole is no address.
        Some((host, port)) if is_ip(host) && !is_ip(text) => (host, port),
        _ => (text, ""),
    }
}

/// Adds all that follows from what is set.
pub(crate) fn derive(draft: &mut Draft) {
    resolve(draft, SOURCE);
    resolve(draft, DESTINATION);
    resolve(draft, CLIENT);
    resolve(draft, SERVER);
    url::derive(draft);
    useragent::derive(draft);
    domain::derive(draft);
    sum(draft, SOURCE.bytes, DESTINATION.bytes, "network.bytes");
    sum(draft, SOURCE.packets, DESTINATION.packets, "network.packets");
    community::derive(draft);
    if draft.get("network.type").is_none()
        && let Some(ip) = draft.str(ecs::SOURCE_IP).or_else(|| draft.str("client.ip"))
    {
        let kind = if ip.has_byte(b':') { "ipv6" } else { "ipv4" };
        draft.set_fixed("network.type", kind);
    }
    file(draft);
    relate(draft);
    unified::derive(draft);
}

fn resolve(draft: &mut Draft, side: Side) {
    if let Some(ip) = draft.str(side.ip) {
        let fits = is_ip(ip);
        if !fits || draft.get(side.address).is_none() {
            let ip = Text::from(ip);
            if !fits {
                // A name where an address belongs; kept as the name it is.
                draft.take(side.ip);
            }
            draft.set_default(side.address, ip);
        }
        if fits {
            return;
        }
    }
    let Some(address) = draft.str(side.address) else { return };
    let name = if is_ip(address) {
        side.ip
    } else if draft.get(side.domain).is_none() && is_host_name(address) {
        side.domain
    } else {
        return;
    };
    let address = Text::from(address);
    draft.set(name, address);
}

fn sum(draft: &mut Draft, one: &'static str, other: &'static str, total: &'static str) {
    let number = |name| draft.get(name).and_then(Value::as_i64);
    if draft.get(total).is_none()
        && let (Some(one), Some(other)) = (number(one), number(other))
    {
        draft.set(total, one.saturating_add(other));
    }
}

/// The name, directory and extension of a path, and the name of a process's file.
fn file(draft: &mut Draft) {
    for (path, name) in [
        ("file.path", "file.name"),
        ("process.executable", "process.name"),
        ("process.parent.executable", "process.parent.name"),
    ] {
        if let Some(path) = draft.str(path)
            && draft.get(name).is_none()
        {
            let base = path.rsplit(['/', '\\']).next().unwrap_or(path);
            if !base.is_empty() {
                let base = Text::from(base);
                draft.set(name, base);
            }
        }
    }
    if let Some(name) = draft.str("file.name")
        && draft.get("file.extension").is_none()
        && let Some((stem, extension)) = name.cut_last_at(b'.')
        && !stem.is_empty()
        && !extension.is_empty()
        && extension.len() <= 16
    {
        let extension = Text::from(extension);
        draft.set("file.extension", extension);
    }
}

const RELATED_IP: [Key; 8] = keys([
    "source.ip",
    "destination.ip",
    "client.ip",
    "server.ip",
    "source.nat.ip",
    "destination.nat.ip",
    "host.ip",
    "dns.resolved_ip",
]);
const RELATED_USER: [Key; 7] = keys([
    "user.name",
    "user.effective.name",
    "user.target.name",
    "user.changes.name",
    "source.user.name",
    "destination.user.name",
    "client.user.name",
]);
const RELATED_HOSTS: [Key; 5] = keys([
    "host.hostname",
    "url.domain",
    "source.domain",
    "destination.domain",
    "observer.hostname",
]);
const RELATED_HASH: [Key; 9] = keys([
    "file.hash.md5",
    "file.hash.sha1",
    "file.hash.sha256",
    "process.hash.md5",
    "process.hash.sha1",
    "process.hash.sha256",
    "process.pe.imphash",
    "file.pe.imphash",
    "tls.server.hash.sha1",
]);

fn relate(draft: &mut Draft) {
    let any = |_: &str| true;
    draft.gather(Key::of(ecs::RELATED_IP), &RELATED_IP, any);
    // Who is named in full is listed by that name, not by the login that stands for it.
    let users = match draft.get("source.user.full_name") {
        Some(_) => RELATED_USER.get(1..).unwrap_or(&RELATED_USER),
        None => &RELATED_USER,
    };
    draft.gather(Key::of(ecs::RELATED_USER), users, any);
    // What an URL or a peer names is an address often enough.
    draft.gather(Key::of("related.hosts"), &RELATED_HOSTS, |text| !is_ip(text));
    draft.gather(Key::of("related.hash"), &RELATED_HASH, any);
}
