//! HAProxy: HTTP, TCP and connection lines behind its syslog envelope.

use model::ecs;

use super::access::{set_request, set_status};
use super::{Format, Input};
use crate::clock::take_clf;
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::dissect::dissect;
use crate::draft::Draft;
use crate::scan::{Marks as _, Scan};

pub(crate) const FORMAT: Format = Format {
    name: "haproxy",
    aliases: &[],
    datasets: &["haproxy.log"],
    programs: &["haproxy"],
    begins: &["[abcdefABCDEF", super::DIGITS],
    looks,
    take,
};

/// `A:P [time] `, which nothing in quotes follows.
fn looks(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_hexdigit() || c == '[');
    // Addresses have their first point or colon there, times have none.
    begins
        && text.bytes().take(6).any(|byte| matches!(byte, b'.' | b':'))
        && text.cut(" [").is_some_and(|(client, rest)| {
            crate::network::is_ip(split_port(client).0)
                && take_clf(rest).is_some_and(|(_, rest)| rest.starts_with("] ") && !rest.starts_with("] \""))
        })
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    connect(draft, input.text) || traffic(draft, input.text) || common(draft, input.text) || server(draft, input.text)
}

/// `Server BACKEND/SERVER is DOWN, reason: …`, `backend NAME has no server available!`
fn server(draft: &mut Draft, text: &str) -> bool {
    let named = text.strip_prefix("Server ").and_then(|rest| rest.cut(" is "));
    // `Health check for server BACKEND/SERVER failed, reason: …, status: 0/2 DOWN.`
    let checked = || text.strip_prefix("Health check for server ")?.cut_at(b' ');
    let down = if let Some((name, state)) = named.or_else(checked) {
        let Some((backend, server)) = name.cut_at(b'/') else {
            return false;
        };
        draft.set_text("haproxy.backend_name", backend);
        draft.set_text("haproxy.server_name", server);
        if let Some((_, reason)) = state.cut("reason: ") {
            draft.set(ecs::EVENT_REASON, reason.cut(", ").map_or(reason, |(reason, _)| reason));
        }
        state.starts_with("DOWN") || state.starts_with("failed")
    } else if let Some(backend) = text
        .strip_prefix("backend ")
        .and_then(|rest| rest.strip_suffix(" has no server available!"))
    {
        draft.set_text("haproxy.backend_name", backend);
        true
    } else {
        return false;
    };
    let (kind, action) = if down {
        ("error", "server_down")
    } else {
        ("info", "server_up")
    };
    draft.classify("network", &[kind], action);
    if down {
        draft.set(ecs::EVENT_SEVERITY, 3_i64);
    }
    true
}

/// `option httplog clf`: `A - - [time] "request" status bytes "" "" port millis "frontend" "backend" "server" timers… state …`
fn common(draft: &mut Draft, text: &str) -> bool {
    let Some((client, rest)) = text.cut(" - - [") else {
        return false;
    };
    let Some((time, rest)) = take_clf(rest).filter(|_| crate::network::is_ip(client)) else {
        return false;
    };
    let Some(rest) = rest.strip_prefix("] ") else {
        return false;
    };
    let mut scan = Scan::new(rest);
    let Some(request) = scan.quoted() else { return false };
    scan.spaces();
    let (status, bytes) = (scan.word().unwrap_or(""), scan.word().unwrap_or(""));
    let _captured = (scan.quoted(), scan.spaces(), scan.quoted());
    scan.spaces();
    let (port, _millis) = (scan.word().unwrap_or(""), scan.word());
    let mut names = ["haproxy.frontend_name", "haproxy.backend_name", "haproxy.server_name"].into_iter();
    let mut read = Vec::new();
    while let (Some(name), Some(value)) = (names.next(), scan.quoted()) {
        read.push((name, value.trim_end_matches('~')));
        scan.spaces();
    }
    if read.len() < 3 {
        return false;
    }
    draft.timestamp = Some(time);
    endpoint(draft, &SOURCE, client, port);
    for (name, value) in read {
        draft.set_text(name, value);
    }
    let timers: Vec<&str> = std::iter::from_fn(|| scan.word()).take(6).collect();
    if let [_, _, _, _, total, state] = timers.as_slice() {
        if let Ok(total) = total.trim_start_matches('+').parse::<i64>() {
            draft.set("event.duration", total.saturating_mul(1_000_000));
        }
        draft.set_text("haproxy.termination_state", state);
    }
    set_status(draft, status);
    draft.set_int("http.response.bytes", bytes.trim_start_matches('+'));
    set_request(draft, request);
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    draft.set_list(ecs::EVENT_TYPE, &["access"]);
    true
}

/// `Connect from A:P to B:Q (FRONTEND/MODE)`
fn connect(draft: &mut Draft, text: &str) -> bool {
    let Some(parts) = dissect("Connect from {source} to {destination} ({frontend}/{mode})", text) else {
        return false;
    };
    for (name, value) in parts {
        let (host, port) = split_port(value);
        match name {
            "source" => endpoint(draft, &SOURCE, host, port),
            "destination" => endpoint(draft, &DESTINATION, host, port),
            "frontend" => draft.set_text("haproxy.frontend_name", value),
            _ => draft.set_text("haproxy.mode", value),
        }
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["network", "web"]);
    draft.set_list(ecs::EVENT_TYPE, &["connection"]);
    true
}

/// `A:P [time] frontend backend/server timers [status] bytes … "request"`
fn traffic(draft: &mut Draft, text: &str) -> bool {
    let Some((client, rest)) = text.cut(" [") else {
        return false;
    };
    let (host, port) = split_port(client);
    if !crate::network::is_ip(host) {
        return false;
    }
    let Some((time, rest)) = take_clf(rest) else {
        return false;
    };
    let Some(rest) = rest.strip_prefix("] ") else {
        return false;
    };
    let mut words = rest.parts(b' ');
    let (Some(frontend), Some(second)) = (words.next(), words.next()) else {
        return false;
    };
    draft.timestamp = Some(time);
    endpoint(draft, &SOURCE, host, port);
    // `web/2: SSL handshake failure` names the listener too.
    let complaint = frontend.strip_suffix(':');
    let name = complaint.map_or(frontend, |name| name.parts(b'/').next().unwrap_or(name));
    draft.set_text("haproxy.frontend_name", name.trim_end_matches('~'));
    let Some((backend, server)) = second.cut_at(b'/').filter(|_| complaint.is_none()) else {
        draft.set(ecs::MESSAGE, rest);
        draft.outcome(false);
        draft.set(ecs::EVENT_REASON, rest.cut(": ").map_or(rest, |(_, reason)| reason));
        draft.set_list(ecs::EVENT_CATEGORY, &["network", "web"]);
        draft.set_list(ecs::EVENT_TYPE, &["connection", "error"]);
        return true;
    };
    draft.set_text("haproxy.backend_name", backend);
    draft.set_text("haproxy.server_name", server);
    let timers = words.next().unwrap_or("");
    if let Some(total) = timers
        .rsplit('/')
        .next()
        .and_then(|total| total.trim_start_matches('+').parse::<i64>().ok())
    {
        draft.set("event.duration", total.saturating_mul(1_000_000));
    }
    if timers.matches('/').count() < 4 {
        // TCP: `timers bytes state`
        draft.set_int("source.bytes", words.next().unwrap_or("").trim_start_matches('+'));
        draft.set_text("haproxy.termination_state", words.next().unwrap_or(""));
        draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
        draft.set_list(ecs::EVENT_TYPE, &["connection"]);
        return true;
    }
    set_status(draft, words.next().unwrap_or(""));
    draft.set_int(
        "http.response.bytes",
        words.next().unwrap_or("").trim_start_matches('+'),
    );
    draft.set_text("haproxy.termination_state", words.nth(2).unwrap_or(""));
    // Quotes in what clients send are written as `#22`, so the next one ends the request; a line cut short has none.
    if let Some((_, request)) = rest.cut_at(b'"') {
        let (request, tail) = request.cut_at(b'"').unwrap_or((request.trim_end(), ""));
        set_request(draft, request);
        encryption(draft, tail);
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    draft.set_list(ecs::EVENT_TYPE, &["access"]);
    true
}

/// `errors sni/TLSv1.3/CIPHER`, as `option httpslog` appends.
fn encryption(draft: &mut Draft, tail: &str) {
    let Some((_, last)) = tail.trim().rsplit_once(' ') else {
        return;
    };
    let mut parts = last.rsplitn(3, '/');
    let (Some(cipher), Some(version), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let Some(version) = version.strip_prefix("TLSv") else {
        return;
    };
    draft.set_text("tls.version", version);
    draft.set_fixed("tls.version_protocol", "tls");
    draft.set_known("tls.cipher", cipher);
    draft.set_known("tls.client.server_name", name);
}
