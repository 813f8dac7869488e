//! Cisco ASA, FTD and PIX: `%ASA-6-302013: Built outbound TCP connection …`.
//! Source: the message tables of Cisco's syslog reference.

use model::{Text, ecs};

use super::{Format, Input};
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::dissect::dissect;
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "cisco_asa",
    aliases: &["asa", "ftd", "cisco", "pix"],
    datasets: &["cisco.asa", "cisco.ftd"],
    programs: &[],
    begins: &[],
    looks: |text| mark(text).is_some(),
    take,
};

/// What stands before `%ASA-`, of any form, and what follows.
fn find(text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr_iter(b'%', text.as_bytes().get(..256.min(text.len()))?).find(|at| {
        text.get(at + 1..at + 5)
            .is_some_and(|mark| matches!(mark, "ASA-" | "FTD-" | "PIX-"))
    })?;
    Some((text.get(..at)?, text.get(at + 5..)?))
}

/// The host before `%ASA-`, if any, and what follows: `%ASA-…`, `: %ASA-…`, `host %ASA-…`, `host : %ASA-…`.
fn mark(text: &str) -> Option<(&str, &str)> {
    let at = crate::bytes::first(text.as_bytes().get(..256.min(text.len()))?, b'%')?;
    let host = text.get(..at)?.trim().trim_end_matches(':').trim_end();
    if !host.is_empty() && !crate::network::is_host_name(host) {
        return None;
    }
    find(text.get(at..)?)
        .filter(|(before, _)| before.is_empty())
        .map(|(_, rest)| (host, rest))
}

const LEVELS: [&str; 8] = [
    "unknown",
    "alert",
    "critical",
    "error",
    "warning",
    "notification",
    "informational",
    "debug",
];

/// `%ASA[-group]-level-id: message`
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let found = if input.is_certain {
        find(input.text)
    } else {
        mark(input.text)
    };
    let Some((before, rest)) = found else {
        return false;
    };
    // A host is only in front where the envelope left it there; a program's message has none.
    let is_message = !input.program.is_empty();
    if is_message && !input.is_certain && !before.is_empty() {
        return false;
    }
    let Some((ids, message)) = rest.cut(": ") else {
        return false;
    };
    let mut ids = ids.rsplit('-');
    let (Some(id), Some(level)) = (ids.next(), ids.next()) else {
        return false;
    };
    let Some(name) = level.parse::<usize>().ok().and_then(|level| LEVELS.get(level)) else {
        return false;
    };
    if id.len() != 6 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    // `host : %ASA…`: what an envelope took for the program is the device.
    let host = before.trim().trim_end_matches(':').trim();
    if !host.is_empty() && draft.get(ecs::HOST_NAME).is_none() && crate::network::is_host_name(host) {
        draft.set(ecs::HOST_NAME, host);
    } else if draft.get(ecs::HOST_NAME).is_none() && !input.program.is_empty() {
        draft.set(ecs::HOST_NAME, input.program);
    }
    if let Some(host) = draft.str(ecs::HOST_NAME).map(Text::from) {
        draft.set("observer.hostname", host);
    }
    draft.set("event.code", id);
    draft.set_fixed(ecs::LOG_LEVEL, name);
    draft.set_fixed("observer.vendor", "Cisco");
    draft.set_fixed("observer.product", "asa");
    draft.set_fixed("observer.type", "firewall");
    draft.set(ecs::MESSAGE, message);
    read(draft, id, message.trim());
    true
}

/// Shapes of messages by their number, in its order. Names of one letter are short for what [`fill`] sets.
const SHAPES: &[(&str, &str)] = &[
    (
        "106001",
        "{dir} {proto} connection {outcome} from {s}/{sp} to {d}/{dp} flags {_} on interface {si}",
    ),
    (
        "106002",
        "{proto} Connection {outcome} by outbound list {_} src {s} dest {d}",
    ),
    (
        "106006",
        "{outcome} {dir} UDP from {s}/{sp} to {d}/{dp} on interface {si}",
    ),
    (
        "106007",
        "{outcome} {dir} UDP from {s}/{sp} to {d}/{dp} due to {reason}",
    ),
    ("106010", "{outcome} {dir} {proto} src {si}:{s}/{sp} dst {di}:{d}/{dp}"),
    ("106010", "{outcome} {dir} {proto} src {si}:{s} dst {di}:{d}"),
    ("106013", "Dropping echo request from {s} to PAT address {d}"),
    (
        "106014",
        "{outcome} {dir} icmp src {si}:{s} dst {di}:{d}(type {it}, code {ic})",
    ),
    (
        "106014",
        "{outcome} {dir} icmp src {si}:{s} dst {di}:{d} (type {it}, code {ic})",
    ),
    (
        "106015",
        "{outcome} {proto} (no connection) from {s}/{sp} to {d}/{dp} flags {_} on interface {si}",
    ),
    ("106016", "{outcome} IP spoof from ({s}) to {d} on interface {si}"),
    ("106017", "{outcome} IP due to Land Attack from {s} to {d}"),
    (
        "106018",
        "{proto} packet type {it} {outcome} by outbound list {_} src {s} dest {d}",
    ),
    (
        "106020",
        "{outcome} IP teardrop fragment (size = {_}, offset = {_}) from {s} to {d}",
    ),
    (
        "106021",
        "{outcome} {proto} reverse path check from {s} to {d} on interface {si}",
    ),
    (
        "106022",
        "{outcome} {proto} connection spoof from {s} to {d} on interface {si}",
    ),
    (
        "106023",
        "{outcome} {proto} src {si}:{s}/{sp}{susr} dst {di}:{d}/{dp}{dusr} by access-group \"{rule}\" [{_}]",
    ),
    (
        "106023",
        "{outcome} {proto} src {si}:{s} dst {di}:{d} (type {it}, code {ic}) by access-group \"{rule}\" [{_}]",
    ),
    (
        "106023",
        "{outcome} {proto} src {si}:{s}/{sp} dst {di}:{d}/{dp} by access-group \"{rule}\" [{_}]",
    ),
    (
        "106023",
        "{outcome} {proto} src {si}:{s} dst {di}:{d} by access-group \"{rule}\" [{_}]",
    ),
    (
        "106027",
        "{outcome} {proto} src {si}:{s} dst {di}:{d} by access-group \"{rule}\"",
    ),
    (
        "106100",
        "access-list {rule} {outcome} {proto} {si}/{s}({sp}){_}-> {di}/{d}({dp}) hit-cnt {_}",
    ),
    (
        "106100",
        "access-list {rule} {outcome} {proto} {si}/{s}({sp}){_}-> {di}/{d}({dp}){_} hit-cnt {_}",
    ),
    (
        "106102",
        "access-list {rule} {outcome} {proto} for user {u} {si}/{s}({sp}){_}-> {di}/{d}({dp}){_}hit-cnt {_}",
    ),
    (
        "106103",
        "access-list {rule} {outcome} {proto} for user {u} {si}/{s}({sp}){_}-> {di}/{d}({dp}){_}hit-cnt {_}",
    ),
    (
        "108004",
        "{_}: {outcome} by filter {_} for {_} from {si}:{s}/{sp} to {di}:{d}/{dp}{_}",
    ),
    (
        "109005",
        "Authentication succeeded for user '{u}' from {s}/{sp} to {d}/{dp} on interface {si}",
    ),
    (
        "109006",
        "Authentication failed for user '{u}' from {s}/{sp} to {d}/{dp} on interface {si}",
    ),
    (
        "109201",
        "UAUTH: Session={_}, User={u}, Assigned IP={s}, Succeeded adding entry.",
    ),
    ("111004", "{who} end configuration: {_}"),
    ("111008", "User '{ru}' executed the '{_}' command."),
    ("111009", "User '{ru}' executed cmd: {_}"),
    ("111010", "User '{ru}', running '{_}' from IP {s}, executed {_}"),
    ("113004", "AAA user {_} Successful : server = {d} : user = {u}"),
    (
        "113005",
        "AAA user authentication Rejected : reason = {reason} : server = {d} : user = {u} : user IP = {s}",
    ),
    (
        "113012",
        "AAA user authentication Successful : local database : user = {u}",
    ),
    (
        "113015",
        "AAA user authentication Rejected : reason = {reason} : local database : user = {u} : user IP = {s}",
    ),
    (
        "113019",
        "Group = {_}, Username = {u}, IP = {s}, Session disconnected. Session Type: {_}, Duration: {_}, Bytes xmt: {_}, Bytes rcv: {_}, Reason: {reason}",
    ),
    (
        "113039",
        "Group <{_}> User <{u}> IP <{s}> AnyConnect parent session started.",
    ),
    (
        "302013",
        "Built {dir} {proto} connection {_} for {si}:{s}/{sp} ({sn}/{snp}) to {di}:{d}/{dp} ({dn}/{dnp}){_}",
    ),
    (
        "302013",
        "Built {dir} {proto} connection {_} for {si}:{s}/{sp} ({sn}/{snp}){_} to {di}:{d}/{dp} ({dn}/{dnp}){_}",
    ),
    (
        "302014",
        "Teardown {proto} connection {_} for {si}:{s}/{sp} to {di}:{d}/{dp} duration {t} bytes {b} {reason}",
    ),
    (
        "302014",
        "Teardown {proto} connection {_} for {si}:{s}/{sp} to {di}:{d}/{dp} duration {t} bytes {b}",
    ),
    (
        "302014",
        "Teardown {proto} connection {_} for {si}:{s}/{sp}{_} to {di}:{d}/{dp}{_} duration {t} bytes {b}",
    ),
    (
        "302015",
        "Built {dir} {proto} connection {_} for {si}:{s}/{sp} ({sn}/{snp}){_}to {di}:{d}/{dp} ({dn}/{dnp}){_}",
    ),
    (
        "302016",
        "Teardown {proto} connection {_} for {si}:{s}/{sp}{_} to {di}:{d}/{dp}{_} duration {t} bytes {b}",
    ),
    (
        "302016",
        "Teardown {proto} connection {_} for {si}:{s}/{sp} to {di}:{d}/{dp} duration {t} bytes {b}",
    ),
    (
        "302020",
        "Built {dir} {p} connection for faddr {d}/{_} gaddr {sn}/{_} laddr {s}/{_}",
    ),
    (
        "302021",
        "Teardown {proto} connection for faddr {d}/{_} gaddr {sn}/{_} laddr {s}/{_}",
    ),
    (
        "302022",
        "Built {_} stub {proto} connection for {si}:{s}/{sp} ({_}) to {di}:{d}/{dp} ({_})",
    ),
    (
        "302023",
        "Teardown {_}stub {proto} connection for {si}:{s}/{sp} to {di}:{d}/{dp} duration {t} forwarded bytes {b} {reason}",
    ),
    (
        "302023",
        "Teardown {proto} connection for {si}:{s}/{sp} to {di}:{d}/{dp} duration {t} forwarded bytes {b} {reason}",
    ),
    ("304001", "{s} Accessed URL {_}@{d}:{url}"),
    ("304001", "{s} Accessed {_} URL {_}@{d}:{url}"),
    ("304001", "{u}@{s} Accessed {_} {d}:{url}"),
    ("304001", "{s} Accessed URL {d}:{url}"),
    ("304001", "{s} Accessed {_} URL {d}:{url}"),
    (
        "304002",
        "Access {outcome} URL {url} SRC {s} {_} DEST {d} on interface {si}",
    ),
    ("304002", "Access {outcome} URL {url} SRC {s} DEST {d}"),
    (
        "305011",
        "Built {_} {proto} translation from {si}:{s}/{sp} to {di}:{d}/{dp}",
    ),
    (
        "305012",
        "Teardown {_} {proto} translation from {si}:{s}/{sp} to {di}:{d}/{dp} duration {t}",
    ),
    (
        "313001",
        "{outcome} {proto} type={it}, code={ic} from {s} on interface {si}",
    ),
    (
        "313004",
        "{outcome} {proto} type={it}, from laddr {s} on interface {si} to {d}: {reason}",
    ),
    (
        "313005",
        "No matching connection for {proto} error message: {_} on {si} interface.{_}Original IP payload: {_}",
    ),
    (
        "313008",
        "{outcome} {proto} type={it}, code={ic} from {s} on interface {si}",
    ),
    (
        "313009",
        "{outcome} invalid {proto} code {ic}, for {si}:{s}/{sp} ({_}) to {di}:{d}/{dp} ({_}), ICMP id {_}",
    ),
    ("315011", "SSH session from {s} on interface {si} for user \"{u}\" {_}"),
    (
        "322001",
        "{outcome} MAC address {_}, possible spoof attempt on interface {si}",
    ),
    (
        "338001",
        "Dynamic filter {_} black{_}d {proto} traffic from {si}:{s}/{sp} ({_}) to {di}:{d}/{dp} ({_}), {_}",
    ),
    ("400013", "IPS:{_} from {s} to {d} on interface {si}"),
    ("500003", "Bad TCP hdr length {_} from {s}/{sp} to {d}/{dp}, {_}"),
    (
        "500004",
        "Invalid transport field for protocol={_}, from {s}/{sp} to {d}/{dp}",
    ),
    (
        "507003",
        "{proto} flow from {si}:{s}/{sp} to {di}:{d}/{dp} terminated by inspection engine, {_}",
    ),
    ("605004", "Login denied from {s}/{sp} to {di}:{d}/{_} for user \"{u}\""),
    (
        "605005",
        "Login permitted from {s}/{sp} to {di}:{d}/{_} for user \"{u}\"",
    ),
    (
        "607001",
        "Pre-allocate SIP {_} secondary channel for {si}:{s}/{sp} to {di}:{d} from {_} message",
    ),
    ("609001", "Built local-host {si}:{s}"),
    ("609002", "Teardown local-host {si}:{s} duration {t}"),
    ("611101", "User authentication succeeded: IP address: {s}, Uname: {u}"),
    ("611102", "User authentication failed: IP address: {s}, Uname: {u}"),
    ("710002", "{proto} access {outcome} from {s}/{sp} to {di}:{d}/{dp}"),
    (
        "710003",
        "{proto} access {outcome} by ACL from {s}/{sp} to {di}:{d}/{dp}",
    ),
    ("710005", "{proto} request {outcome} from {s}/{sp} to {di}:{d}/{dp}"),
    (
        "713049",
        "Group = {_}, Username = {u}, IP = {s}, Security negotiation complete for User ({_}) {_}",
    ),
    (
        "716002",
        "Group <{_}> User <{u}> IP <{s}> WebVPN session terminated: {reason}.",
    ),
    (
        "716039",
        "Group <{_}> User <{u}> IP <{s}> Authentication: rejected, Session Type: {_}.",
    ),
    (
        "722051",
        "Group <{_}> User <{u}> IP <{s}> IPv4 Address <{_}> IPv6 address <{_}> assigned to session",
    ),
    ("733100", "[{_}] drop rate-{_} exceeded. {_}"),
    ("733101", "Host {s} is attacking. {_}"),
    (
        "734001",
        "DAP: User {mail}, Addr {s}, Connection {_}: The following DAP records were selected for this connection: {_}",
    ),
    (
        "805001",
        "{proto} Flow is {_} for connection {_} from {si}:{s}/{sp} ({_}) to {di}:{d}/{dp} ({_})",
    ),
    (
        "805002",
        "{proto} Flow is {_} for connection {_} from {si}:{s}/{sp} ({_}) to {di}:{d}/{dp} ({_})",
    ),
];

/// The shapes of a number.
fn shapes(id: &str) -> impl Iterator<Item = &'static str> {
    let from = SHAPES.partition_point(|(number, _)| *number < id);
    let these = SHAPES.get(from..).unwrap_or_default().iter();
    let count = these.clone().take_while(|(number, _)| *number == id).count();
    these.take(count).map(|(_, shape)| *shape)
}

fn read(draft: &mut Draft, id: &str, message: &str) {
    let expired = matches!(
        id,
        "302014" | "302016" | "302018" | "302020" | "302021" | "302036" | "302304" | "302306" | "609001" | "609002"
    );
    draft.set(
        ecs::EVENT_ACTION,
        if expired { "flow-expiration" } else { "firewall-rule" },
    );
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(
        ecs::EVENT_TYPE,
        if expired { &["connection", "end"] } else { &["info"] },
    );
    let mut parts = shapes(id)
        .filter_map(|shape| dissect(shape, message))
        .find(|parts| fits(parts));
    if parts.is_none() && matches!(id, "302013" | "302015") {
        parts = dissect(
            "Built {dir} {proto} connection {_} for {si}:{s}/{sp} ({_}) to {di}:{d}/{dp} ({_})",
            message,
        )
        .filter(|parts| fits(parts));
    }
    if let Some(parts) = &parts {
        fill(draft, parts);
    }
    // A number is no login yet: one that succeeded must read whole, and one that failed begin as it does, so that a
    // name which spoils the rest hides nothing.
    let begins = || shapes(id).any(|shape| shape.parts(b'{').next().is_some_and(|words| message.starts_with(words)));
    match id {
        "109005" | "113004" | "113012" | "605005" | "611101" | "113039" if parts.is_some() => login(draft, true),
        "109006" | "113005" | "113015" | "605004" | "611102" | "716039" if begins() => login(draft, false),
        "733100" | "733101"
            if ["Host ", "Subnet ", "Object ", "["]
                .iter()
                .any(|words| message.starts_with(words)) =>
        {
            draft.unified("PORT_SCAN", 4);
        }
        "400013" | "106017" | "106016" => {}
        "304001" if parts.is_some() => verdict(draft, true),
        "111004" if message.ends_with("OK") => verdict(draft, true),
        _ => {}
    }
}

/// Whether what should be addresses and ports are: words in a free text cannot pose as them then.
fn fits(parts: &[(&str, &str)]) -> bool {
    parts.iter().all(|(name, value)| match *name {
        "s" | "d" | "sn" | "dn" => {
            !value.is_empty() && value.len() <= 128 && !value.contains([' ', '<', '\'', '/', '@'])
        }
        "sp" | "dp" => {
            port_of(value).is_some() || value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        }
        "si" | "di" => value.len() <= 64 && !value.contains([' ', '"']),
        _ => true,
    })
}

fn port_of(value: &str) -> Option<&str> {
    let port = value.split(['(', ' ']).next()?;
    port.parse::<u16>().ok().map(|_| port)
}

fn login(draft: &mut Draft, success: bool) {
    draft.set_list(ecs::EVENT_CATEGORY, &["authentication", "network"]);
    draft.set_list(ecs::EVENT_TYPE, &["start"]);
    draft.outcome(success);
    draft.unified(
        if success { "LOGIN_SUCCESS" } else { "LOGIN_FAIL" },
        if success { 1 } else { 3 },
    );
}

fn verdict(draft: &mut Draft, allowed: bool) {
    draft.set_list(ecs::EVENT_TYPE, &["info", if allowed { "allowed" } else { "denied" }]);
    draft.outcome(allowed);
}

/// What parts of a shape are called.
#[derive(Default)]
struct Named<'a> {
    s: &'a str,
    sp: &'a str,
    si: &'a str,
    sn: &'a str,
    d: &'a str,
    dp: &'a str,
    di: &'a str,
    dn: &'a str,
    u: &'a str,
    ru: &'a str,
    who: &'a str,
    mail: &'a str,
    url: &'a str,
    rule: &'a str,
    reason: &'a str,
    proto: &'a str,
    p: &'a str,
    dir: &'a str,
    outcome: &'a str,
    b: &'a str,
    it: &'a str,
    ic: &'a str,
}

impl<'a> Named<'a> {
    fn of(parts: &[(&str, &'a str)]) -> Self {
        let mut named = Self::default();
        for (name, text) in parts {
            let place = match *name {
                "s" => &mut named.s,
                "sp" => &mut named.sp,
                "si" => &mut named.si,
                "sn" => &mut named.sn,
                "d" => &mut named.d,
                "dp" => &mut named.dp,
                "di" => &mut named.di,
                "dn" => &mut named.dn,
                "u" => &mut named.u,
                "ru" => &mut named.ru,
                "who" => &mut named.who,
                "mail" => &mut named.mail,
                "url" => &mut named.url,
                "rule" => &mut named.rule,
                "reason" => &mut named.reason,
                "proto" => &mut named.proto,
                "p" => &mut named.p,
                "dir" => &mut named.dir,
                "outcome" => &mut named.outcome,
                "b" => &mut named.b,
                "it" => &mut named.it,
                "ic" => &mut named.ic,
                _ => continue,
            };
            *place = text;
        }
        named
    }
}

fn fill(draft: &mut Draft, parts: &[(&str, &str)]) {
    let named = Named::of(parts);
    endpoint(draft, &SOURCE, named.s, port_of(named.sp).unwrap_or(""));
    endpoint(draft, &DESTINATION, named.d, port_of(named.dp).unwrap_or(""));
    draft.set_text("observer.egress.interface.name", named.si.trim());
    draft.set_text("observer.ingress.interface.name", named.di.trim());
    draft.set_text("rule.name", named.rule.trim());
    draft.set_text("url.original", named.url.trim());
    draft.set_text("user.email", named.mail.trim());
    draft.set_text(ecs::SOURCE_DOMAIN, named.who.trim());
    draft.set_text(ecs::EVENT_REASON, named.reason.trim());
    draft.user(named.u);
    if !named.ru.is_empty() {
        draft.add_to_list(ecs::RELATED_USER, named.ru);
        draft.set("server.user.name", named.ru);
    }
    for (name, base, nat) in [
        ("source.nat.ip", named.s, named.sn),
        ("destination.nat.ip", named.d, named.dn),
    ] {
        let nat = split_port(nat).0;
        if is_ip(nat) && nat != base {
            draft.set(name, nat);
        }
    }
    let proto = Text::lowercase(named.proto);
    if !proto.is_empty() {
        if let Some(number) = crate::community::number(&proto) {
            draft.set("network.iana_number", number.to_string());
        }
        draft.set("network.transport", proto);
    } else if named.outcome == "Deny" && !named.dir.is_empty() {
        let transport = if named.it.is_empty() { "udp" } else { "icmp" };
        draft.set_fixed("network.transport", transport);
        draft.set_fixed("network.iana_number", if transport == "udp" { "17" } else { "1" });
    }
    if !named.p.is_empty() {
        draft.set(ecs::NETWORK_PROTOCOL, Text::lowercase(named.p));
    }
    let direction = Text::lowercase(named.dir);
    if matches!(direction.as_str(), "inbound" | "outbound") {
        draft.set("network.direction", direction);
    }
    draft.set_int("network.bytes", named.b.parts(b' ').next().unwrap_or(""));
    draft.set_int("icmp.type", named.it);
    draft.set_int("icmp.code", named.ic);
    match Text::lowercase(named.outcome.trim()).as_str() {
        "deny" | "denied" | "drop" | "dropped" | "discarded" | "rejected" | "dropping" => verdict(draft, false),
        "permitted" | "permit" | "est-allowed" | "allowed" => verdict(draft, true),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_found_by_their_number() {
        assert!(SHAPES.is_sorted_by_key(|(number, _)| *number));
        for (number, shape) in SHAPES {
            assert!(shapes(number).any(|found| found == *shape), "{number}");
        }
        assert_eq!(shapes("999999").count() + shapes("").count(), 0);
    }
}
