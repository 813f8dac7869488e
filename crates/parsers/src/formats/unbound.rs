//! unbound: queries and replies, what its local zones answered, and names it could not resolve.

use model::ecs;

use super::{Format, Input};
use crate::clock::from_number;
use crate::derive::{SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "unbound",
    aliases: &[],
    datasets: &["unbound.query"],
    programs: &["unbound"],
    begins: &["[u"],
    looks: |text| after_stamp(text).1.starts_with("unbound[") && head(text).is_some(),
    take,
};

/// Zones that answer nothing to whoever asks.
const REFUSING: [&str; 10] = [
    "deny",
    "refuse",
    "static",
    "inform_deny",
    "always_deny",
    "always_refuse",
    "always_nxdomain",
    "always_nodata",
    "always_null",
    "block_a",
];

/// The time `[1700000000] ` in front, if there is one, and the rest.
fn after_stamp(text: &str) -> (&str, &str) {
    match text.strip_prefix('[').and_then(|rest| rest.cut("] ")) {
        Some((digits, rest)) if digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (digits, rest)
        }
        _ => ("", text),
    }
}

/// The time, the level or kind, and the words of `[time] unbound[pid:thread] LEVEL: …`, as far as it is there.
fn head(text: &str) -> Option<(&str, &str, &str)> {
    const LEVELS: [&str; 8] = [
        "info",
        "query",
        "reply",
        "error",
        "notice",
        "warning",
        "debug",
        "fatal error",
    ];
    let (time, rest) = after_stamp(text);
    let rest = match rest.strip_prefix("unbound").unwrap_or(rest).strip_prefix('[') {
        Some(rest) => rest.cut_at(b']')?.1.trim_start_matches([':', ' ']),
        None => rest,
    };
    let (level, body) = rest.split_once(": ")?;
    LEVELS.contains(&level).then_some((time, level, body))
}

/// `[time] unbound[pid:thread] info: client name. TYPE CLASS[ RCODE seconds cached size]`, with `query:` or `reply:` in the
/// place of `info:` or behind it. unbound writes what it cannot print in a name as `?`.
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((time, level, body)) = head(input.text) else {
        return false;
    };
    let body = body
        .strip_prefix("query: ")
        .or_else(|| body.strip_prefix("reply: "))
        .unwrap_or(body);
    let words: Vec<&str> = body.parts(b' ').up_to(10);
    let known = match words.as_slice() {
        [client, name, kind, class, rest @ ..] if is_ip(client) && name.ends_with('.') => {
            asked(draft, client, "", [name, kind, class]);
            answered(draft, rest);
            true
        }
        [zone, kind, client, name, question, class] if zone.ends_with('.') && name.ends_with('.') => {
            local(draft, [zone, kind, client], [name, question, class])
        }
        _ => level == "error" && failed(draft, body),
    };
    // Other words of its own are known by who says them.
    let speaks = input.is_certain || after_stamp(input.text).1.starts_with("unbound[");
    if !known && !speaks {
        return false;
    }
    draft.timestamp = time.parse().ok().and_then(from_number).or(draft.timestamp);
    if !known {
        draft.set(ecs::LOG_LEVEL, level);
        draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
        draft.set_list(ecs::EVENT_TYPE, &["info"]);
    }
    true
}

fn asked(draft: &mut Draft, client: &str, port: &str, [name, kind, class]: [&str; 3]) {
    endpoint(draft, &SOURCE, client, port);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(ecs::EVENT_TYPE, &["protocol"]);
    draft.set_known(ecs::DNS_QUESTION_NAME, name.trim_end_matches('.'));
    draft.set_known("dns.question.type", kind);
    draft.set_known("dns.question.class", class);
}

fn answered(draft: &mut Draft, rest: &[&str]) {
    draft.set(
        ecs::EVENT_ACTION,
        if rest.is_empty() { "dns_query" } else { "dns_reply" },
    );
    if let [rcode, seconds, ..] = rest {
        draft.set_known("dns.response_code", rcode);
        draft.outcome(*rcode == "NOERROR");
        if let Ok(seconds) = seconds.parse::<f64>() {
            #[allow(clippy::cast_possible_truncation, reason = "seconds of one query")]
            draft.set("event.duration", (seconds.clamp(0.0, 1e6) * 1e9) as i64);
        }
    }
}

/// `ZONE. KIND client@port name. TYPE CLASS`
fn local(draft: &mut Draft, [zone, kind, client]: [&str; 3], question: [&str; 3]) -> bool {
    let Some((client, port)) = client.rsplit_once('@').filter(|(client, _)| is_ip(client)) else {
        return false;
    };
    asked(draft, client, port, question);
    draft.set_known("rule.name", zone.trim_end_matches('.'));
    draft.set_text("rule.category", kind);
    if REFUSING.contains(&kind) {
        draft.set_fixed(ecs::EVENT_ACTION, "dns_block");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "denied"]);
        draft.unified("DNS_BLOCK", 1);
    } else {
        draft.set_fixed(ecs::EVENT_ACTION, "dns_local_zone");
    }
    true
}

/// `SERVFAIL <name. TYPE CLASS>: reason`
fn failed(draft: &mut Draft, body: &str) -> bool {
    let Some((question, reason)) = body.strip_prefix("SERVFAIL <").and_then(|rest| rest.cut(">: ")) else {
        return false;
    };
    let mut words = question.parts(b' ');
    let (Some(name), Some(kind), Some(class)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    asked(draft, "", "", [name, kind, class]);
    draft.set_fixed(ecs::EVENT_ACTION, "dns_reply");
    draft.set_fixed("dns.response_code", "SERVFAIL");
    draft.set_text(ecs::EVENT_REASON, reason);
    draft.outcome(false);
    true
}
