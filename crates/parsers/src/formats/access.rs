//! Access logs of web servers in the common and combined formats and what servers add to them: Apache and nginx with
//! virtual host or forwarded addresses in front, Apache's SSL request log, the ingress controller's and traefik's tail.
//!
//! Servers escape quotes and control characters in what clients send, so the first time in brackets that a quote follows
//! is the server's own: a user name or address list of a client cannot hold `] "` unescaped.

use model::ecs;

use super::{Format, Input};
use crate::clock::take_clf;
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::network::{is_host_name, is_ip};
use crate::scan::Marks as _;
use crate::scan::{Scan, unescape};

pub(crate) const FORMAT: Format = Format {
    name: "access",
    aliases: &[
        "apache",
        "apache2",
        "httpd",
        "nginx",
        "traefik",
        "combined",
        "common",
        "ingress",
        "litespeed",
    ],
    datasets: &[
        "web.access",
        "apache.access",
        "nginx.access",
        "traefik.access",
        "nginx.ingress_controller",
    ],
    programs: &["nginx", "httpd", "apache2", "apache", "traefik"],
    begins: &[],
    looks,
    take,
};

/// How far a line's time may be from its start.
const MAX_HEAD: usize = 4096;

fn looks(text: &str) -> bool {
    text.has_byte(b'[')
}

/// Whether a head begins with an address, with a virtual host and one, or with a client's name and its ident. Others'
/// texts may have a time in brackets and a request after words; so a name without a dot is only a client's where no
/// program is named that would write one word of its own.
fn begins_with_client(head: &str, any_name: bool) -> bool {
    let is_address = |word: &str| {
        let word = word.trim_matches(['"', ',']);
        is_ip(word) || is_ip(split_port(word).0)
    };
    let mut words = head.parts(b' ').filter(|word| !word.is_empty());
    let (first, second) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (host, port) = split_port(first.trim_end_matches(','));
    let is_name = is_host_name(host)
        && (any_name || host.has_byte(b'.') || !port.is_empty() || matches!(host, "localhost" | "_"));
    let is_list = first.ends_with(',') && head.has(" - ");
    // A virtual host is what the client called it, with what is not printed of it as `\x22`.
    let is_escaped = first.has("\\x") && is_address(second);
    first.is_empty()
        || is_escaped
        || is_address(first)
        || matches!(first, "-" | "\"-\"")
        || is_name && (second == "-" || is_list || is_address(second))
}

/// Where the head ends, the time, and what follows the bracket and a space.
fn find_time(text: &str) -> Option<(&str, model::Timestamp, &str)> {
    let mut from = 0;
    while let Some(at) = text.get(from..)?.place_of(b'[').map(|at| from + at) {
        if at > MAX_HEAD {
            return None;
        }
        if let Some((time, rest)) = take_clf(text.get(at + 1..)?)
            && let Some(rest) = rest.strip_prefix("] ")
            && (rest.starts_with('"') || at == 0)
        {
            return Some((text.get(..at)?, time, rest));
        }
        from = at + 1;
    }
    None
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((head, time, rest)) = find_time(input.text) else {
        return false;
    };
    if !input.is_certain && !begins_with_client(head, input.program.is_empty()) {
        return false;
    }
    let mut scan = Scan::new(rest);
    let mut ssl_client = "";
    if head.is_empty() {
        // `[time] client protocol cipher "request" bytes`
        let (Some(client), Some(protocol), Some(cipher)) = (scan.word(), scan.word(), scan.word()) else {
            return false;
        };
        if !scan.rest.starts_with('"') {
            return false;
        }
        ssl_client = client;
        draft.set_known("tls.cipher", cipher);
        if let Some(version) = protocol.strip_prefix("TLSv") {
            draft.set("tls.version", version);
            draft.set_fixed("tls.version_protocol", "tls");
        }
    }
    let Some(request) = scan.quoted() else { return false };
    draft.timestamp = Some(time);
    if ssl_client.is_empty() {
        clients(draft, head);
    } else {
        endpoint(draft, &SOURCE, ssl_client, "");
    }
    set_request(draft, request);
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    draft.set_list(ecs::EVENT_TYPE, &["access"]);
    scan.spaces();
    let first = scan.word().unwrap_or("");
    if head.is_empty() {
        draft.set_int("http.response.body.bytes", first);
    } else {
        set_status(draft, first);
        let bytes = scan.word().unwrap_or("");
        draft.set_int("http.response.body.bytes", bytes);
    }
    if let Some(referrer) = scan.quoted() {
        draft.set_known("http.request.referrer", &unescape(referrer));
    } else if scan.rest.starts_with("- ") {
        scan.word();
    }
    scan.spaces();
    if let Some(agent) = scan.quoted() {
        draft.set_known("user_agent.original", &unescape(agent));
    }
    scan.spaces();
    tail(draft, scan);
    true
}

/// `METHOD url HTTP/version`, of which only the first is sure.
pub(crate) fn set_request(draft: &mut Draft, request: &str) {
    let request = unescape(request);
    let Some((method, rest)) = request.cut_at(b' ') else {
        return;
    };
    if method.is_empty()
        || method == "-"
        || method.len() > 32
        || !method
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'-')
    {
        return;
    }
    let (url, version) = match rest.cut_last(" HTTP/") {
        Some((url, version)) => (url, version),
        None => (rest, ""),
    };
    draft.set("http.request.method", method);
    draft.set_text("url.original", url);
    draft.set_text("http.version", version.trim_end());
}

/// A status and what it means.
pub(crate) fn set_status(draft: &mut Draft, status: &str) {
    if let Some(code) = status.parse::<i64>().ok().filter(|code| (100..1000).contains(code)) {
        draft.set("http.response.status_code", code);
        draft.outcome(code < 400);
    }
}

/// `[host[:port] ][forwarded, …] client ident user`
fn clients(draft: &mut Draft, head: &str) {
    let head = head.trim();
    let (addresses, user) = match head.cut(" - ") {
        Some((addresses, user)) => (addresses, user),
        None => {
            let mut parts = head.splitn(3, ' ');
            let client = parts.next().unwrap_or("");
            let _ident = parts.next();
            (client, parts.next().unwrap_or(""))
        }
    };
    draft.set_known(ecs::USER_NAME, &unescape(user));
    let mut words: Vec<&str> = addresses
        .split([' ', '"'])
        .filter(|word| !word.is_empty())
        .take(64)
        .collect();
    let listed = words.first().is_some_and(|word| word.ends_with(','));
    let quoted = addresses.starts_with('"');
    if words.len() > 1 && !listed && !quoted {
        let (host, port) = split_port(words.remove(0));
        endpoint(draft, &DESTINATION, host, port);
        if !is_ip(host) {
            draft.set("url.domain", host);
        }
    }
    let trimmed = words.iter().map(|word| word.trim_end_matches(','));
    let client = trimmed
        .clone()
        .find(|word| is_public(word))
        .or_else(|| trimmed.clone().next());
    endpoint(draft, &SOURCE, client.unwrap_or(""), "");
}

/// Whether the text is an address that the Internet routes.
pub(crate) fn is_public(text: &str) -> bool {
    match crate::network::ip(text) {
        Some(std::net::IpAddr::V4(ip)) => {
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified())
        }
        Some(std::net::IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
        None => false,
    }
}

/// What follows the user agent: nothing, forwarded addresses, or the words of an ingress controller or traefik.
fn tail(draft: &mut Draft, mut scan: Scan<'_>) {
    if scan.rest.starts_with('"') || scan.rest.is_empty() {
        return;
    }
    let quoted = scan;
    let words: Vec<&str> = std::iter::from_fn(|| scan.word()).take(16).collect();
    // `length time [upstream] [alternative] address bytes seconds status id`
    if let [length, _, upstream, .., address, bytes, seconds, status, id] = words.as_slice()
        && upstream.starts_with('[')
        && id.len() == 32
    {
        draft.set_int("http.request.bytes", length);
        draft.set_known("http.request.id", id);
        draft.set_known(
            "nginx.ingress_controller.upstream.name",
            upstream.trim_matches(['[', ']']),
        );
        draft.set_known("nginx.ingress_controller.upstream.address", address);
        draft.set_known("nginx.ingress_controller.upstream.response.length", bytes);
        draft.set_known("nginx.ingress_controller.upstream.response.time", seconds);
        draft.set_known("nginx.ingress_controller.upstream.response.status_code", status);
        draft.set_fixed(ecs::EVENT_DATASET, "nginx.ingress_controller");
        return;
    }
    // `count "frontend" "backend" 12ms`
    let mut scan = quoted;
    let count = scan.word().unwrap_or("");
    let frontend = scan.quoted().unwrap_or("");
    scan.spaces();
    let backend = scan.quoted().unwrap_or("");
    if let Some(millis) = scan
        .rest
        .trim()
        .strip_suffix("ms")
        .and_then(|millis| millis.parse::<i64>().ok())
    {
        draft.set_int("traefik.access.request_count", count);
        draft.set_known("traefik.access.frontend_name", frontend);
        draft.set_known("traefik.access.backend_url", backend);
        draft.set("event.duration", millis.saturating_mul(1_000_000));
        draft.set_fixed(ecs::EVENT_DATASET, "traefik.access");
    }
}
