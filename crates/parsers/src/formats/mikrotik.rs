//! MikroTik RouterOS: firewall lines and logins.

use model::{Text, ecs};

use super::{Format, Input};
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "mikrotik",
    aliases: &["routeros"],
    datasets: &["mikrotik.log"],
    programs: &[],
    begins: &[],
    looks: |text| chain(text).is_some() || login(text).is_some() || lease(text).is_some(),
    take,
};

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let is_firewall = input.is_certain || chain(input.text).is_some();
    is_firewall && firewall(draft, input.text) || session(draft, input.text) || leased(draft, input.text)
}

/// `dhcp,info SERVER assigned A to MAC`, which newer versions say as `assigned A for MAC NAME`.
fn lease(text: &str) -> Option<(bool, &str, &str, &str)> {
    let (topics, rest) = after_topics(text);
    let (_, rest) = rest.cut_at(b' ').filter(|_| topics.starts_with("dhcp,"))?;
    let mut words = rest.trim_end().splitn(5, ' ');
    let verb = words.next().filter(|verb| matches!(*verb, "assigned" | "deassigned"))?;
    let address = words.next().filter(|address| is_ip(address))?;
    words.next().filter(|word| matches!(*word, "to" | "for" | "from"))?;
    let mac = words.next().filter(|mac| mac.len() == 17)?;
    Some((verb == "assigned", address, mac, words.next().unwrap_or("")))
}

fn leased(draft: &mut Draft, text: &str) -> bool {
    let Some((assigned, address, mac, name)) = lease(text) else {
        return false;
    };
    let action = if assigned { "dhcp_assigned" } else { "dhcp_released" };
    draft.classify(
        "network",
        &["connection", if assigned { "start" } else { "end" }],
        action,
    );
    endpoint(draft, &crate::derive::CLIENT, address, "");
    draft.set("client.mac", mac.to_ascii_uppercase().replace(':', "-"));
    draft.set_text("client.domain", name);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "dhcp");
    draft.set_fixed("observer.vendor", "MikroTik");
    true
}

/// Splits off the topics that RouterOS writes first, `system,error,critical `.
fn after_topics(text: &str) -> (&str, &str) {
    let is_topic = |byte: u8| byte.is_ascii_lowercase() || matches!(byte, b',' | b'-' | b'!');
    let end = text.bytes().position(|byte| !is_topic(byte)).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((topics, rest)) if rest.starts_with(' ') && topics.has_byte(b',') => (topics, rest.get(1..).unwrap_or("")),
        _ => ("", text),
    }
}

/// The chain of a firewall line. A rule's prefix is one word; a chain of the operator's own is only known by the topics.
fn chain(text: &str) -> Option<&str> {
    let (topics, rest) = after_topics(text);
    let (head, rest) = rest
        .get(..rest.floor_char_boundary(160))
        .and_then(|head| head.cut(": in:"))?;
    let (prefix, chain) = head.cut_last_at(b' ').unwrap_or(("", head));
    let is_known = matches!(
        chain,
        "input" | "forward" | "output" | "prerouting" | "postrouting" | "srcnat" | "dstnat"
    );
    let is_ours = topics.parts(b',').any(|topic| topic == "firewall") || is_known && !prefix.has_byte(b' ');
    (is_ours && rest.has(" out:")).then_some(chain)
}

/// `[topics ][prefix ]chain: in:A out:B, connection-state:new src-mac M, proto TCP (SYN), A:P->B:P, len N`
fn firewall(draft: &mut Draft, text: &str) -> bool {
    let Some((head, body)) = text.cut(": in:") else {
        return false;
    };
    let Some((interfaces, body)) = body.cut(", ") else {
        return false;
    };
    let Some((_, protocol)) = body.cut("proto ") else {
        return false;
    };
    let (protocol, rest) = protocol.cut(", ").unwrap_or((protocol, ""));
    let flow = rest.split(", ").find(|part| part.has("->")).unwrap_or("");
    let Some((from, to)) = flow.cut("->") else {
        return false;
    };
    let ((source, sport), (destination, dport)) = (split_port(from), split_port(to));
    if !is_ip(source) || !is_ip(destination) {
        return false;
    }
    endpoint(draft, &SOURCE, source, sport);
    endpoint(draft, &DESTINATION, destination, dport);
    let mut words = head.parts(b' ').rev();
    draft.set_text("mikrotik.chain", words.next().unwrap_or(""));
    let prefix = words.next().filter(|word| !word.has_byte(b',')).unwrap_or("");
    draft.set_known("rule.name", prefix);
    let (inside, outside) = interfaces.cut(" out:").unwrap_or((interfaces, ""));
    draft.set_text("observer.ingress.interface.name", inside);
    if !outside.starts_with('(') {
        draft.set_text("observer.egress.interface.name", outside);
    }
    if let Some((_, mac)) = body.cut("src-mac ") {
        draft.set_text("source.mac", mac.split([',', ' ']).next().unwrap_or(""));
    }
    let name = protocol.split([' ', '(']).next().unwrap_or("");
    draft.set("network.transport", Text::lowercase(name));
    if let Some((_, length)) = rest.cut_last("len ") {
        draft.set_int("network.bytes", length);
    }
    draft.set_fixed("observer.vendor", "MikroTik");
    draft.set_fixed("observer.type", "firewall");
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    let lower = prefix.to_ascii_lowercase();
    let blocked = ["drop", "block", "reject", "deny"]
        .iter()
        .any(|word| lower.contains(word));
    let allowed = ["accept", "allow"].iter().any(|word| lower.contains(word));
    draft.set(ecs::EVENT_ACTION, if prefix.is_empty() { "firewall" } else { prefix });
    let kind = if blocked {
        "denied"
    } else if allowed {
        "allowed"
    } else {
        "info"
    };
    draft.set_list(ecs::EVENT_TYPE, &["connection", kind]);
    if lower.has("scan") {
        draft.unified("PORT_SCAN", 4);
    }
    true
}

/// `[topics ]user U logged in from A via ssh` and `login failure for user U from A via ssh`, read from their end.
fn login(text: &str) -> Option<(bool, bool, &str, &str, &str)> {
    let (head, via) = text.trim().cut_last(" via ")?;
    let (head, from) = head.cut_last(" from ")?;
    if !is_ip(from) || via.has_byte(b' ') {
        return None;
    }
    let (_, head) = after_topics(head);
    if let Some(user) = head.strip_prefix("login failure for user ") {
        return Some((false, true, user, from, via));
    }
    let rest = head.strip_prefix("user ")?;
    let (user, verb) = rest.cut_last(" logged ")?;
    matches!(verb, "in" | "out").then_some((true, verb == "in", user, from, via))
}

fn session(draft: &mut Draft, text: &str) -> bool {
    let Some((success, start, user, from, via)) = login(text) else {
        return false;
    };
    draft.classify(
        "authentication",
        &[if start { "start" } else { "end" }],
        if start { "login" } else { "logout" },
    );
    draft.outcome(success);
    draft.user(user);
    endpoint(draft, &SOURCE, from, "");
    draft.set_known(ecs::NETWORK_PROTOCOL, via);
    if start {
        draft.unified(
            if success { "LOGIN_SUCCESS" } else { "LOGIN_FAIL" },
            if success { 1 } else { 3 },
        );
    }
    true
}
