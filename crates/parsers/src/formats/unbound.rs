//! unbound: queries and replies.

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
    looks: |text| {
        let stamp = text.strip_prefix('[').and_then(|rest| rest.cut("] "));
        let text = match stamp {
            Some((digits, rest)) if digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit()) => rest,
            _ => text,
        };
        text.starts_with("unbound[") && text.has(" info: ")
    },
    take,
};

/// `[time] unbound[pid:thread] info: [reply: ]client name. TYPE CLASS[ RCODE seconds cached size]`
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((head, body)) = input.text.cut("info: ") else {
        return false;
    };
    let body = body
        .strip_prefix("query: ")
        .or_else(|| body.strip_prefix("reply: "))
        .unwrap_or(body);
    let words: Vec<&str> = body.parts(b' ').take(10).collect();
    let [client, name, kind, class, rest @ ..] = words.as_slice() else {
        return false;
    };
    if !is_ip(client) || !name.ends_with('.') {
        return false;
    }
    if let Some(time) = head.strip_prefix('[').and_then(|rest| rest.cut_at(b']')) {
        draft.timestamp = time.0.parse().ok().and_then(from_number).or(draft.timestamp);
    }
    endpoint(draft, SOURCE, client, "");
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(ecs::EVENT_TYPE, &["protocol"]);
    draft.set_known(ecs::DNS_QUESTION_NAME, name.trim_end_matches('.'));
    draft.set_known("dns.question.type", kind);
    draft.set_known("dns.question.class", class);
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
    true
}
