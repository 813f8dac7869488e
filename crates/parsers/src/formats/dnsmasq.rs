//! dnsmasq and Pi-hole: queries, answers and what was blocked; and dnsmasq's DHCP.

use model::ecs;

use super::{Format, Input};
use crate::derive::{CLIENT, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "dnsmasq",
    aliases: &["pihole", "pi-hole", "dnsmasq-dhcp"],
    datasets: &["dnsmasq.log"],
    programs: &["dnsmasq", "dnsmasq-dhcp", "pihole-FTL"],
    begins: &[],
    looks: |_| false,
    take,
};

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    if input.text.starts_with("DHCP") {
        return lease(draft, input.text);
    }
    // `12345 192.168.1.5/40000 query[A] …` with log-queries=extra.
    let mut text = input.text.trim();
    let mut client = ("", "");
    if text.starts_with(|c: char| c.is_ascii_digit())
        && let Some((serial, rest)) = text.cut_at(b' ')
        && let Some((peer, rest)) = rest.cut_at(b' ')
        && serial.bytes().all(|byte| byte.is_ascii_digit())
        && let Some((address, port)) = peer.cut_at(b'/')
        && is_ip(address)
    {
        client = (address, port);
        text = rest;
    }
    let words: Vec<&str> = text.parts(b' ').take(8).collect();
    let read = match words.as_slice() {
        [verb, name, "from", peer] if verb.starts_with("query[") => {
            let kind = verb.trim_start_matches("query[").trim_end_matches(']');
            draft.set_known("dns.question.type", kind);
            client = if client.0.is_empty() { (peer, "") } else { client };
            Some(("dns_query", *name, ""))
        }
        ["gravity", "blocked", name, "is", answer]
        | ["exactly" | "regex", "denied" | "blacklisted", name, "is", answer]
        | ["blacklisted", name, "is", answer]
        | [
            "/etc/pihole/gravity.list" | "/etc/pihole/black.list" | "/etc/pihole/local.list",
            name,
            "is",
            answer,
        ] => Some(("dns_block", *name, *answer)),
        ["special", "domain", name, "is", answer] => Some(("dns_block", *name, *answer)),
        ["forwarded", name, "to", server] => {
            draft.set_known("dnsmasq.forwarded_to", server);
            Some(("dns_forward", *name, ""))
        }
        ["reply" | "cached" | "cached-stale", name, "is", answer] => Some(("dns_reply", *name, *answer)),
        ["config", name, "is", answer] => {
            // A name configured to nowhere is a blocked one.
            let block = matches!(*answer, "0.0.0.0" | "::" | "NXDOMAIN" | "127.0.0.1");
            Some((if block { "dns_block" } else { "dns_reply" }, *name, *answer))
        }
        _ => None,
    };
    let Some((action, name, answer)) = read else {
        return false;
    };
    endpoint(draft, SOURCE, client.0, client.1);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set(ecs::EVENT_ACTION, action);
    draft.set_known(ecs::DNS_QUESTION_NAME, name.trim_end_matches('.'));
    if is_ip(answer) {
        draft.add_to_list("dns.resolved_ip", answer);
    }
    if !answer.is_empty() {
        draft.set_texts("dns.answers.data", &[answer]);
    }
    if matches!(answer, "NXDOMAIN" | "NODATA" | "SERVFAIL" | "REFUSED") {
        draft.set("dns.response_code", answer);
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    if action == "dns_block" {
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "denied"]);
        draft.unified("DNS_BLOCK", 1);
    } else {
        draft.set_list(ecs::EVENT_TYPE, &["protocol", "info"]);
    }
    true
}

/// `DHCPACK(eth0) 192.168.1.5 aa:bb:cc:dd:ee:ff name`, the name being the client's.
fn lease(draft: &mut Draft, text: &str) -> bool {
    let Some((verb, rest)) = text.cut_at(b'(') else {
        return false;
    };
    let Some((interface, rest)) = rest.cut(") ") else {
        return false;
    };
    let words: Vec<&str> = rest.parts(b' ').take(4).collect();
    let (address, mac, name) = match words.as_slice() {
        [first, second, rest @ ..] if is_ip(first) => (*first, *second, rest.first().copied().unwrap_or("")),
        [mac, rest @ ..] => ("", *mac, rest.first().copied().unwrap_or("")),
        [] => return false,
    };
    super::dhcpd::lease(draft, verb, address, mac, name, interface);
    endpoint(draft, CLIENT, address, "");
    true
}
