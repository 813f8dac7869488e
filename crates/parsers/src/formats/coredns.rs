//! CoreDNS's log plugin.

use model::ecs;

use super::{Format, Input};
use crate::clock::take_iso_spaced;
use crate::derive::{SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "coredns",
    aliases: &[],
    datasets: &["coredns.log"],
    programs: &["coredns"],
    begins: &["[", super::DIGITS],
    looks: |text| {
        let begins = text.starts_with("[INFO] ") || text.starts_with(|c: char| c.is_ascii_digit());
        begins && text.has("[INFO] ") && text.has(" - ") && text.has_byte(b'"')
    },
    take,
};

/// `[time ][INFO] client:port - id "TYPE CLASS name. proto size do bufsize" RCODE flags size duration`
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let (time, rest) = match take_iso_spaced(input.text) {
        Some((time, rest)) => (Some(time), rest.trim_start()),
        None => (None, input.text),
    };
    let Some((level, rest)) = rest.strip_prefix('[').and_then(|rest| rest.cut("] ")) else {
        return false;
    };
    let Some((client, rest)) = rest.cut(" - ") else {
        return false;
    };
    let (host, port) = split_port(client);
    let Some((id, rest)) = rest.cut(" \"") else {
        return false;
    };
    // A name may hold a quote, the answer has none.
    let Some((question, answer)) = rest.cut_last("\" ") else {
        return false;
    };
    let (head, tail) = question.split_at(question.floor_char_boundary(question.len().min(4096)));
    let words: Vec<&str> = head.parts(b' ').collect();
    let [kind, class, name @ .., transport, _, _, _] = words.as_slice() else {
        return false;
    };
    if !tail.is_empty() {
        return false;
    }
    let name = name.join(" ");
    if !is_ip(host) {
        return false;
    }
    draft.timestamp = time.or(draft.timestamp);
    draft.set(ecs::LOG_LEVEL, level);
    endpoint(draft, &SOURCE, host, port);
    draft.set("dns.id", id);
    draft.set_known("dns.question.type", kind);
    draft.set_known("dns.question.class", class);
    draft.set_known(ecs::DNS_QUESTION_NAME, name.trim_end_matches('.'));
    draft.set_known("network.transport", transport);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(ecs::EVENT_TYPE, &["protocol"]);
    let mut words = answer.parts(b' ');
    let rcode = words.next().unwrap_or("");
    draft.set_known("dns.response_code", rcode);
    draft.outcome(rcode == "NOERROR");
    for flag in words.next().unwrap_or("").parts(b',') {
        // Whether it is an answer at all is not a flag of it.
        if !flag.is_empty() && flag.len() <= 4 {
            draft.add_to_list("dns.header_flags", &flag.to_ascii_uppercase());
        }
    }
    true
}
