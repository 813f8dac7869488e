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
    address: Key,
    ip: Key,
    domain: Key,
    port: Key,
}

macro_rules! side {
    ($name:ident, $prefix:literal) => {
        pub(crate) static $name: Side = Side {
            address: Key::of(concat!($prefix, ".address")),
            ip: Key::of(concat!($prefix, ".ip")),
            domain: Key::of(concat!($prefix, ".domain")),
            port: Key::of(concat!($prefix, ".port")),
        };
    };
}
side!(SOURCE, "source");
side!(DESTINATION, "destination");
side!(CLIENT, "client");
side!(SERVER, "server");

/// Sets one end: its address as written, which is an IP or else a domain, and its port (0 or none when there is none).
pub(crate) fn endpoint(draft: &mut Draft, side: &Side, host: &str, port: &str) {
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
    draft.set_key(side.address, plain);
    if is_ip(plain) {
        draft.set_address(side.ip, plain);
    } else if is_host_name(plain) {
        draft.set_key(side.domain, plain);
    }
    if let Some(port) = crate::network::port(port) {
        draft.set_key(side.port, port);
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
    for side in [&SOURCE, &DESTINATION, &CLIENT, &SERVER] {
        if draft.may_have(&[side.ip, side.address]) != 0 {
            resolve(draft, side);
        }
    }
    url::derive(draft);
    useragent::derive(draft);
    domain::derive(draft);
    sum(
        draft,
        const { keys(["source.bytes", "destination.bytes", "network.bytes"]) },
    );
    sum(
        draft,
        const { keys(["source.packets", "destination.packets", "network.packets"]) },
    );
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

fn resolve(draft: &mut Draft, side: &Side) {
    // By [`endpoint`], which set the address too.
    if draft.is_address(side.ip) {
        return;
    }
    if let Some(ip) = draft.get_key(side.ip).and_then(Value::as_str) {
        let fits = is_ip(ip);
        if !fits || draft.get_key(side.address).is_none() {
            let ip = Text::from(ip);
            if !fits {
                // A name where an address belongs; kept as the name it is.
                draft.take(side.ip.name);
            }
            draft.set_default_key(side.address, ip);
        }
        if fits {
            return;
        }
    }
    let Some(address) = draft.get_key(side.address).and_then(Value::as_str) else {
        return;
    };
    let name = if is_ip(address) {
        side.ip
    } else if draft.get_key(side.domain).is_none() && is_host_name(address) {
        side.domain
    } else {
        return;
    };
    let address = Text::from(address);
    draft.set_key(name, address);
}

#[inline(always)]
fn sum(draft: &mut Draft, [one, other, total]: [Key; 3]) {
    let number = |key| draft.get_key(key).and_then(Value::as_i64);
    if let (Some(one), Some(other)) = (number(one), number(other)) {
        draft.set_default_key(total, one.saturating_add(other));
    }
}

/// The name, directory and extension of a path, and the name of a process's file.
fn file(draft: &mut Draft) {
    const PATHS: [Key; 3] = keys(["file.path", "process.executable", "process.parent.executable"]);
    const NAMES: [Key; 3] = keys(["file.name", "process.name", "process.parent.name"]);
    if draft.may_have(&PATHS) != 0 {
        for (path, name) in PATHS.into_iter().zip(NAMES) {
            if let Some(path) = draft.get_key(path).and_then(Value::as_str)
                && draft.get_key(name).is_none()
            {
                let base = path.rsplit(['/', '\\']).next().unwrap_or(path);
                if !base.is_empty() {
                    let base = Text::from(base);
                    draft.set_key(name, base);
                }
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
    gather(draft, Key::of(ecs::RELATED_IP), &RELATED_IP, u32::MAX, any);
    // Who is named in full is listed by that name, not by the login that stands for it, which is the first.
    let users = match draft.get("source.user.full_name") {
        Some(_) => !1,
        None => u32::MAX,
    };
    gather(draft, Key::of(ecs::RELATED_USER), &RELATED_USER, users, any);
    // What an URL or a peer names is an address often enough.
    gather(draft, Key::of("related.hosts"), &RELATED_HOSTS, u32::MAX, |text| {
        !is_ip(text)
    });
    gather(draft, Key::of("related.hash"), &RELATED_HASH, u32::MAX, any);
}

#[inline(always)]
fn gather<const N: usize>(draft: &mut Draft, into: Key, from: &[Key; N], among: u32, fits: fn(&str) -> bool) {
    let among = among & draft.may_have(from);
    if among != 0 || draft.may_have(&[into]) != 0 {
        draft.gather(into, from, among, fits);
    }
}
