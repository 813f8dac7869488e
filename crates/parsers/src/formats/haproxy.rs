//! HAProxy: HTTP, TCP and connection lines behind its syslog envelope.

use model::ecs;

use super::access::{set_request, set_status};
use super::{Format, Input};
use crate::clock::take_clf;
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::dissect::dissect;
use crate::draft::Draft;
use crate::scan::Marks as _;

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
    text.starts_with(|c: char| c.is_ascii_hexdigit() || c == '[')
        && text.cut(" [").is_some_and(|(client, rest)| {
            crate::network::is_ip(split_port(client).0)
                && take_clf(rest).is_some_and(|(_, rest)| rest.starts_with("] ") && !rest.starts_with("] \""))
        })
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    connect(draft, input.text) || traffic(draft, input.text)
}

/// `Connect from A:P to B:Q (FRONTEND/MODE)`
fn connect(draft: &mut Draft, text: &str) -> bool {
    let Some(parts) = dissect("Connect from {source} to {destination} ({frontend}/{mode})", text) else {
        return false;
    };
    for (name, value) in parts {
        let (host, port) = split_port(value);
        match name {
            "source" => endpoint(draft, SOURCE, host, port),
            "destination" => endpoint(draft, DESTINATION, host, port),
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
    endpoint(draft, SOURCE, host, port);
    draft.set_text("haproxy.frontend_name", frontend.trim_end_matches('~'));
    let Some((backend, server)) = second.cut_at(b'/') else {
        draft.set(ecs::MESSAGE, rest);
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
    if let Some((_, request)) = rest.cut_at(b'"') {
        set_request(draft, request.trim_end().trim_end_matches('"'));
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    draft.set_list(ecs::EVENT_TYPE, &["access"]);
    true
}
