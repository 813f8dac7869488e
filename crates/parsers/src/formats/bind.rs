//! BIND: queries, refused queries and transfers, from its own files or syslog.
//!
//! BIND escapes what is unusual in names, so a name holds neither a space nor a parenthesis of its own.

use model::ecs;

use super::{Format, Input};
use crate::clock::take_written;
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "bind",
    aliases: &["named", "bind9"],
    datasets: &["bind.query"],
    programs: &["named"],
    begins: &[],
    looks: |text| text.has_byte(b'#'),
    take,
};

/// What follows `client [@0x…] `, at the start or after a time, a category and a level.
fn client(text: &str) -> Option<&str> {
    let mut rest = take_written(text).map_or(text, |(_, rest)| rest.trim_start());
    for _ in 0..2 {
        rest = match rest.get(..rest.floor_char_boundary(32))?.cut(": ") {
            Some((word, _)) if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') => {
                rest.get(word.len() + 2..)?
            }
            _ => rest,
        };
    }
    let rest = rest.strip_prefix("client ")?;
    let rest = match rest.strip_prefix('@') {
        Some(after) => after.cut_at(b' ')?.1,
        None => rest,
    };
    let (address, _) = rest.cut_at(b'#')?;
    crate::network::is_ip(address).then_some(rest)
}

/// `QNAME NXDOMAIN rewrite NAME/TYPE/CLASS via ZONE`: what a response policy zone made of an answer.
fn rewritten(draft: &mut Draft, text: &str) {
    let mut words = text.parts(b' ');
    let (_, policy) = (words.next(), words.next().unwrap_or(""));
    let name = words.nth(1).unwrap_or("");
    let mut parts = name.rsplitn(3, '/');
    let (class, kind) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    question(draft, parts.next().unwrap_or(""), class, kind);
    draft.set_text("rule.name", words.next_back().unwrap_or(""));
    draft.set_known(ecs::EVENT_REASON, policy);
    if policy == "PASSTHRU" {
        draft.set_fixed(ecs::EVENT_ACTION, "dns_query");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "allowed"]);
    } else {
        draft.set_fixed(ecs::EVENT_ACTION, "dns_block");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "denied"]);
        draft.unified("DNS_BLOCK", 1);
    }
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some(rest) = client(input.text) else {
        return input.is_certain && of_itself(draft, input.text);
    };
    let Some((peer, message)) = rest.cut(": ") else {
        return false;
    };
    let Some((address, port)) = peer.cut_at(b'#') else {
        return false;
    };
    let port = port.split([' ', '/']).next().unwrap_or("");
    // `view internal: ` stands between the peer and the message.
    let message = match message.strip_prefix("view ").and_then(|rest| rest.cut(": ")) {
        Some((_, message)) => message,
        None => message,
    };
    if let Some((time, _)) = take_written(input.text) {
        draft.timestamp = Some(time);
    }
    endpoint(draft, &SOURCE, address, port);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    let denied = message.ends_with(" denied") || message.has(" denied (");
    if let Some(query) = message.strip_prefix("query: ") {
        // `NAME CLASS TYPE FLAGS (SERVER)`
        let mut words = query.parts(b' ');
        question(
            draft,
            words.next().unwrap_or(""),
            words.next().unwrap_or(""),
            words.next().unwrap_or(""),
        );
        let flags = words.next().unwrap_or("");
        draft.set_known("bind.query.flags", flags);
        if flags.has_byte(b'T') {
            draft.set_fixed("network.transport", "tcp");
        } else {
            draft.set_fixed("network.transport", "udp");
        }
        if let Some(server) = words.next() {
            endpoint(draft, &DESTINATION, server.trim_matches(['(', ')']), "");
        }
        draft.set_fixed(ecs::EVENT_ACTION, "dns_query");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "info"]);
    } else if let Some(rest) = message.strip_prefix("query failed (") {
        // `query failed (REASON) for NAME/CLASS/TYPE at FILE:LINE`
        let (reason, rest) = rest.cut(") for ").unwrap_or((rest, ""));
        let mut parts = rest.split(' ').next().unwrap_or("").rsplitn(3, '/');
        let (kind, class) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        question(draft, parts.next().unwrap_or(""), class, kind);
        draft.set_fixed(ecs::EVENT_ACTION, "dns_query");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "error"]);
        draft.set_text(ecs::EVENT_REASON, reason);
        if reason.bytes().all(|byte| byte.is_ascii_uppercase()) {
            draft.set_known("dns.response_code", reason);
        }
        draft.outcome(false);
    } else if let Some(rest) = message.strip_prefix("rate limit ") {
        draft.set_fixed(ecs::EVENT_ACTION, "dns_rate_limit");
        let dropped = rest.starts_with("drop");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", if dropped { "denied" } else { "info" }]);
        draft.unified("DNS_REFUSED", 2);
        // `… response to NETWORK for NAME CLASS TYPE  (HASH)`
        if let Some((_, asked)) = rest.cut(" for ") {
            let mut words = asked.split(' ');
            let (name, class, kind) = (words.next(), words.next(), words.next());
            question(draft, name.unwrap_or(""), class.unwrap_or(""), kind.unwrap_or(""));
        }
    } else if let Some(rest) = message.strip_prefix("rpz ") {
        rewritten(draft, rest);
    } else if message.starts_with("request has invalid signature: ") {
        draft.set_fixed(ecs::EVENT_ACTION, "dns_signature_refused");
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "denied"]);
        draft.set_text(ecs::EVENT_REASON, message);
        draft.outcome(false);
        draft.unified("DNS_REFUSED", 3);
    } else {
        // `query (cache) 'NAME/TYPE/CLASS' denied`
        if let Some((_, rest)) = message.cut_at(b'\'')
            && let Some((name, _)) = rest.cut_at(b'\'')
        {
            let mut parts = name.rsplitn(3, '/');
            let (class, kind) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            match parts.next() {
                Some(name) => question(draft, name, class, kind),
                None => question(draft, kind, class, ""),
            }
        }
        draft.set(
            ecs::EVENT_ACTION,
            if message.starts_with("zone transfer") || message.has("AXFR") {
                "zone_transfer"
            } else if message.starts_with("updat") {
                "dns_update"
            } else if message.starts_with("signer ") {
                "dns_signature"
            } else {
                "dns_query"
            },
        );
        draft.set_list(ecs::EVENT_TYPE, &["protocol", if denied { "denied" } else { "info" }]);
    }
    if denied {
        draft.outcome(false);
        draft.unified("DNS_REFUSED", 2);
    }
    true
}

/// What it says of itself and its zones: `time [category: level: ]message`.
fn of_itself(draft: &mut Draft, text: &str) -> bool {
    let Some((time, _)) = take_written(text) else {
        return false;
    };
    draft.timestamp = Some(time);
    draft.set_list(ecs::EVENT_CATEGORY, &["process"]);
    draft.set_list(ecs::EVENT_TYPE, &["info"]);
    true
}

fn question(draft: &mut Draft, name: &str, class: &str, kind: &str) {
    draft.set_known(ecs::DNS_QUESTION_NAME, name.trim_end_matches('.'));
    draft.set_known("dns.question.class", class);
    draft.set_known("dns.question.type", kind);
}
