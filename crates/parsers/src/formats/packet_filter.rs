//! What the Linux kernel's packet filter logs: iptables and nftables LOG, UFW, and devices built on them.
//!
//! Source: the kernel's `nf_log_ipv4`, `nf_log_ipv6` and `nf_log_syslog`.

use model::{Text, ecs};

use super::{Format, Input};
use crate::clock::take_clf;
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "iptables",
    aliases: &["nftables", "ufw", "netfilter", "firewall", "pve-firewall", "unifi"],
    datasets: &["iptables.log"],
    programs: &[],
    begins: &[],
    looks,
    take,
};

/// Most words that are looked at.
const MAX_WORDS: usize = 96;

/// Longest text that an operator has put before a packet, in bytes.
const MAX_PREFIX: usize = 320;

/// What programs call themselves that hand on the kernel's messages, whose prefix may be words.
const HANDS_ON: [&str; 4] = ["kernel", "ulogd", "ulogd2", "pve-firewall"];

fn looks(text: &str) -> bool {
    text.has_byte(b'=')
}

/// The operator's prefix and the packet: `IN=eth0 OUT= …`, as the kernel begins it.
fn packet(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    // `[12345.678901] ` of the kernel's own clock.
    let text = match text.strip_prefix('[').and_then(|rest| rest.cut("] ")) {
        Some((clock, rest))
            if clock
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' ')) =>
        {
            rest
        }
        _ => text,
    };
    let at = crate::scan::first(text.as_bytes().get(..MAX_PREFIX.min(text.len()))?, b"IN=")?;
    let (prefix, body) = text.split_at_checked(at)?;
    let (_, after) = body.cut_at(b' ')?;
    (after.starts_with("OUT=") && after.has(" SRC=") && after.has(" DST=")).then_some((prefix.trim(), body))
}

/// Whether a prefix is of a form that tells it from somebody's words: none, one word, or one pair of brackets, which
/// UniFi describes in quotes.
fn is_label(prefix: &str) -> bool {
    let label = match prefix.cut(" DESCR=\"") {
        Some((label, description)) if description.ends_with('"') => label,
        _ => prefix,
    };
    match label.strip_prefix('[') {
        Some(inner) => inner.place_of(b']') == inner.len().checked_sub(1),
        None => !label.has_byte(b' ') || is_proxmox(label),
    }
}

/// Proxmox': `101 1 tap101i0-IN 20/Jun/2022:13:12:46 +0200 policy DROP:`
fn is_proxmox(label: &str) -> bool {
    let is_number = |word: Option<&str>| word.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let mut words = label.splitn(4, ' ');
    let begins = is_number(words.next()) && is_number(words.next()) && words.next().is_some();
    let policy = words.next().and_then(take_clf).map(|(_, policy)| policy.trim_start());
    begins && policy.is_some_and(|policy| !policy.strip_prefix("policy ").unwrap_or(policy).contains(' '))
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((prefix, body)) = packet(input.text) else {
        return false;
    };
    // Some devices write their name twice.
    let prefix = match draft.str(ecs::HOST_NAME).and_then(|host| prefix.strip_prefix(host)) {
        Some(rest) if input.program.is_empty() => rest.trim_start(),
        _ => prefix,
    };
    // The kernel also says what a device or a file system calls itself.
    let is_named = [
        "usb ",
        "hid",
        "input:",
        "scsi ",
        "sd ",
        "Bluetooth",
        "EXT4",
        "XFS",
        "BTRFS",
        "FAT",
    ]
    .iter()
    .any(|words| prefix.starts_with(words));
    let may_be_words = input.is_certain || HANDS_ON.contains(&input.program) && !is_named;
    // One word in front of a packet may be anything that a program writes there.
    let is_bare = input.program.is_empty() || prefix.is_empty() || prefix.starts_with('[');
    if !(may_be_words || is_label(prefix) && is_bare) {
        return false;
    }
    // UniFi describes the rule between its label and the packet.
    let prefix = match prefix.cut(" DESCR=\"") {
        Some((label, _)) => label,
        None => prefix,
    };
    let (mut source, mut destination, mut sport, mut dport) = ("", "", "", "");
    let mut transport = Text::default();
    let mut icmp = false;
    for word in body.parts(b' ').take(MAX_WORDS) {
        // What follows in brackets is the packet an ICMP error speaks of.
        if word.starts_with('[') {
            break;
        }
        let Some((name, value)) = word.cut_at(b'=') else {
            if word.len() <= 4 && !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase()) {
                match word {
                    "SYN" | "ACK" | "RST" | "FIN" | "PSH" | "URG" => draft.add_to_list("iptables.tcp.flags", word),
                    _ => draft.add_to_list("iptables.fragment_flags", word),
                }
            }
            continue;
        };
        match name {
            "SRC" if source.is_empty() => source = value,
            "DST" if destination.is_empty() => destination = value,
            "SPT" => sport = value,
            "DPT" => dport = value,
            "PROTO" => {
                icmp = value.starts_with("ICMP");
                transport = match value {
                    "ICMPv6" => Text::of_static("ipv6-icmp"),
                    other => Text::lowercase(other),
                };
            }
            "IN" => draft.set_text("observer.ingress.interface.name", value),
            "OUT" => draft.set_text("observer.egress.interface.name", value),
            "MAC" => mac(draft, value),
            "TYPE" if icmp => draft.set_int("icmp.type", value),
            "CODE" if icmp => draft.set_int("icmp.code", value),
            "LEN" => draft.set_int("network.bytes", value),
            _ => {}
        }
        if !value.is_empty() && name.len() <= 16 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            draft.set_own(name, value);
        }
    }
    endpoint(draft, &SOURCE, source, sport);
    endpoint(draft, &DESTINATION, destination, dport);
    draft.set_text("network.transport", &transport);
    if let Some(host) = draft.str(ecs::HOST_NAME).map(Text::from) {
        draft.set("observer.name", host);
    }
    verdict(draft, prefix.trim());
    true
}

/// `destination:source:type`, six, six and two bytes.
fn mac(draft: &mut Draft, value: &str) {
    if value.len() >= 41 && value.is_ascii() {
        draft.set_text("destination.mac", value.get(..17).unwrap_or(""));
        draft.set_text("source.mac", value.get(18..35).unwrap_or(""));
    }
}

/// What the operator's prefix says: UFW's `[UFW BLOCK]`, Ubiquiti's `[WAN_LOCAL-default-D]`, or words of a chain.
fn verdict(draft: &mut Draft, prefix: &str) {
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    let label = prefix
        .strip_prefix("iptables ")
        .unwrap_or(prefix)
        .trim_end_matches(':')
        .trim();
    let inner = label
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(label);
    let upper = inner.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    // `[zone-zone-rule-D]`: the last part is drop, reject or accept.
    let ubiquiti = label.starts_with('[') && inner.len() > 2;
    let last = inner.cut_last_at(b'-').map_or("", |(_, last)| last);
    // Newer devices put a number last: `[WAN_LOCAL-D-2147483647]`.
    let middle = inner.rsplit('-').nth(1).unwrap_or("");
    let numbered = matches!(middle, "D" | "R" | "A") && last.bytes().all(|byte| byte.is_ascii_digit());
    let letter = if numbered { middle } else { last };
    let kind = if ubiquiti && matches!(letter, "D" | "R")
        || has(&["BLOCK", "DROP", "REJECT", "DENY", "DENIED", "LIMIT", "DPT "])
    {
        "denied"
    } else if ubiquiti && letter == "A" || has(&["ALLOW", "ACCEPT", "PASS", "AUDIT"]) {
        "allowed"
    } else {
        ""
    };
    if ubiquiti && matches!(letter, "D" | "R" | "A") {
        let mut parts = inner.rsplitn(3, '-').skip(1);
        let rule = if numbered { last } else { parts.next().unwrap_or("") };
        if numbered {
            parts = inner.rsplitn(3, '-').skip(2);
        }
        let name = parts.next().unwrap_or("");
        if let Some((from, to)) = name.cut_at(b'-') {
            draft.set_text("observer.ingress.zone", from);
            draft.set_text("observer.egress.zone", to);
        }
        draft.set_text("rule.name", name);
        draft.set_text("rule.id", rule);
        draft.set(
            ecs::EVENT_ACTION,
            match letter {
                "D" => "drop",
                "R" => "reject",
                _ => "accept",
            },
        );
    } else if !inner.is_empty() {
        draft.set(ecs::EVENT_ACTION, inner.to_ascii_lowercase().replace(' ', "_"));
        draft.set("rule.name", inner);
    }
    let mut types = vec!["connection"];
    if !kind.is_empty() {
        types.push(kind);
    }
    draft.set_list(ecs::EVENT_TYPE, &types);
    if has(&["SCAN"]) {
        draft.unified("PORT_SCAN", 4);
    } else if has(&["INTRUSION", "ATTACK", "EXPLOIT"]) {
        draft.unified("INTRUSION_ATTEMPT", 5);
    }
}
