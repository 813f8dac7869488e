//! dnsmasq and Pi-hole: queries, answers and what was blocked; and dnsmasq's DHCP.

use model::ecs;

use super::{Format, Input};
use crate::derive::{CLIENT, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::record::Warning;
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
    let mut text = input.text.trim();
    // `2871625 DHCPACK(eth0) …` with log-dhcp.
    let unnumbered = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    if unnumbered.starts_with("DHCP") && !unnumbered.starts_with("DHCP ") {
        return lease(draft, unnumbered);
    }
    // `12345 192.168.1.5/40000 query[A] …` with log-queries=extra.
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
    let Some((action, name, answer)) = read(draft, text, &mut client) else {
        return false;
    };
    endpoint(draft, &SOURCE, client.0, client.1);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dns");
    draft.set(ecs::EVENT_ACTION, action);
    if name != "<name unprintable>" {
        draft.set_known(ecs::DNS_QUESTION_NAME, name.trim_end_matches('.'));
    }
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

/// What was done with which name, and the answer. Names hold what clients ask for, spaces too, so what dnsmasq adds is
/// read from the end.
fn read<'a>(
    draft: &mut Draft,
    text: &'a str,
    client: &mut (&'a str, &'a str),
) -> Option<(&'static str, &'a str, &'a str)> {
    let (verb, rest) = text.cut_at(b' ')?;
    if let Some(kind) = verb.strip_prefix("query[") {
        let (name, peer) = rest.cut_last(" from ").filter(|(_, peer)| is_ip(peer))?;
        // With another address in the name there is no telling which is the client's.
        let others = name.match_indices(" from ");
        if others.take(8).any(|(at, mark)| {
            name.get(at + mark.len()..)
                .is_some_and(|rest| is_ip(rest.parts(b' ').next().unwrap_or("")))
        }) {
            draft.warn(Warning::Ambiguous);
            return Some(("dns_query", "", ""));
        }
        draft.set_known("dns.question.type", kind.trim_end_matches(']'));
        if client.0.is_empty() {
            *client = (peer, "");
        }
        return Some(("dns_query", name, ""));
    }
    if verb == "forwarded" {
        let (name, server) = rest.cut_last(" to ")?;
        draft.set_known("dnsmasq.forwarded_to", server);
        return Some(("dns_forward", name, ""));
    }
    let (name, answer) = rest.cut_last(" is ")?;
    // A name that goes nowhere is a blocked one.
    let nowhere = matches!(answer, "0.0.0.0" | "::" | "NXDOMAIN" | "127.0.0.1");
    let (action, name) = match verb {
        "gravity" | "exactly" | "regex" | "special" => ("dns_block", name.cut_at(b' ')?.1),
        "blacklisted" | "/etc/pihole/gravity.list" | "/etc/pihole/black.list" | "/etc/pihole/local.list" => {
            ("dns_block", name)
        }
        "reply" | "cached" | "cached-stale" | "DHCP" => ("dns_reply", name),
        "config" => (if nowhere { "dns_block" } else { "dns_reply" }, name),
        // A file of hosts.
        file if file.starts_with('/') => {
            let block = matches!(answer, "0.0.0.0" | "::");
            (if block { "dns_block" } else { "dns_reply" }, name)
        }
        _ => return None,
    };
    Some((action, name, answer))
}

/// `DHCPACK(eth0) 192.168.1.5 aa:bb:cc:dd:ee:ff name`, the name being the client's.
fn lease(draft: &mut Draft, text: &str) -> bool {
    let Some((verb, rest)) = text.cut_at(b'(') else {
        return false;
    };
    let Some((interface, rest)) = rest.cut(") ") else {
        return false;
    };
    let words: Vec<&str> = rest.parts(b' ').up_to(4);
    let (address, mac, name) = match words.as_slice() {
        [first, second, rest @ ..] if is_ip(first) => (*first, *second, rest.first().copied().unwrap_or("")),
        [mac, rest @ ..] => ("", *mac, rest.first().copied().unwrap_or("")),
        [] => return false,
    };
    super::dhcpd::lease(draft, verb, address, mac, name, interface);
    endpoint(draft, &CLIENT, address, "");
    true
}
