//! Postfix and Dovecot: who logged in, who was refused.
//!
//! User names are the client's text. Postfix and Dovecot put them between marks and write their own fields after them, so
//! a line is read from its end where it can be.

use model::{Text, ecs};

use super::{Format, Input};
use crate::derive::{SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::record::Warning;
use crate::scan::Marks as _;

pub(crate) const POSTFIX: Format = Format {
    name: "postfix",
    aliases: &["smtpd"],
    datasets: &["postfix.log"],
    programs: &[
        "smtpd",
        "smtp",
        "submission",
        "postscreen",
        "cleanup",
        "qmgr",
        "anvil",
        "smtps",
        "tlsproxy",
        // Whatever stands behind `postfix/`.
        "postfix",
    ],
    begins: &[],
    looks: |_| false,
    take: take_postfix,
};

pub(crate) const DOVECOT: Format = Format {
    name: "dovecot",
    aliases: &[],
    datasets: &["dovecot.log"],
    programs: &[
        "dovecot",
        "auth",
        "imap-login",
        "pop3-login",
        "submission-login",
        "managesieve-login",
    ],
    begins: &[],
    looks: |_| false,
    take: take_dovecot,
};

/// `name[1.2.3.4]` and what follows it. The peer chooses its name, which goes on behind what looks like its end.
fn peer(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.cut_at(b'[')?;
    let (address, rest) = rest.cut_at(b']')?;
    if rest.starts_with(['.', '-', '_', '[']) || rest.starts_with(|c: char| c.is_alphanumeric()) {
        return None;
    }
    (is_ip(address) && !name.has_byte(b' ')).then_some((name, address, rest))
}

fn set_peer(draft: &mut Draft, name: &str, address: &str) {
    endpoint(draft, &SOURCE, address, "");
    if name != "unknown" {
        draft.set_known(ecs::SOURCE_DOMAIN, name);
    }
}

fn take_postfix(draft: &mut Draft, input: &Input<'_>) -> bool {
    let text = input.text;
    if let Some(rest) = text.strip_prefix("warning: ")
        && let Some((name, address, rest)) = peer(rest)
        && let Some((method, reason)) = rest
            .strip_prefix(": SASL ")
            .and_then(|rest| rest.cut(" authentication failed"))
    {
        set_peer(draft, name, address);
        draft.classify("authentication", &["start"], "smtp_login");
        draft.outcome(false);
        draft.unified("LOGIN_FAIL", 3);
        draft.set_text("postfix.sasl_method", method);
        // `: reason, sasl_username=x` ends the line in newer versions.
        if let Some((_, user)) = reason.cut(", sasl_username=")
            && user != "(unavailable)"
        {
            draft.user(user);
        }
        draft.set_text(
            ecs::EVENT_REASON,
            reason
                .split(", sasl_username=")
                .next()
                .unwrap_or("")
                .trim_start_matches([':', ' ']),
        );
        return network(draft);
    }
    if told(draft, text) {
        return network(draft);
    }
    for (verb, action) in [
        ("connect from ", "smtp_connect"),
        ("disconnect from ", "smtp_disconnect"),
        ("lost connection after ", "smtp_lost"),
    ] {
        if let Some(rest) = text.strip_prefix(verb)
            && let Some((name, address, _)) = peer(rest.cut_last(" from ").map_or(rest, |(_, peer)| peer))
        {
            set_peer(draft, name, address);
            draft.classify("network", &["connection"], action);
            return network(draft);
        }
    }
    if let Some(rest) = queued(text).and_then(|(_, rest)| {
        rest.strip_prefix("reject: ")
            .or_else(|| rest.strip_prefix("milter-reject: "))
    }) {
        draft.classify("email", &["denied"], "smtp_reject");
        draft.outcome(false);
        draft.unified("MAIL_REJECT", 2);
        let Some((command, name, address, rest)) = rejected(draft, rest) else {
            return network(draft);
        };
        set_peer(draft, name, address);
        draft.set_text("postfix.command", command);
        let reason = rest
            .trim_start_matches([':', ' '])
            .split("; from=")
            .next()
            .unwrap_or("");
        let reason = reason.cut("; to=").map_or(reason, |(reason, _)| reason);
        draft.set_text(ecs::EVENT_REASON, reason);
        envelope(draft, rest);
        return network(draft);
    }
    if let Some((id, rest)) = queued(text) {
        if let Some((name, address, rest)) = rest.strip_prefix("client=").and_then(peer) {
            set_peer(draft, name, address);
            draft.set("postfix.queue_id", id);
            if let Some((_, user)) = rest.cut("sasl_username=") {
                draft.user(user);
                draft.classify("authentication", &["start"], "smtp_login");
                draft.outcome(true);
                draft.unified("LOGIN_SUCCESS", 1);
            } else {
                draft.classify("email", &["info"], "smtp_client");
            }
            return network(draft);
        }
        if rest.has(", status=") && !rest.starts_with("message-id=") {
            draft.classify("email", &["info"], "smtp_delivery");
            draft.set("postfix.queue_id", id);
            match delivery(rest) {
                Some((addresses, status)) => {
                    draft.outcome(status == "sent");
                    draft.set_text("postfix.status", status);
                    envelope(draft, addresses);
                }
                None => draft.warn(Warning::Ambiguous),
            }
            return network(draft);
        }
        let of_queue = ["from=<", "message-id=", "uid="];
        if of_queue.iter().any(|beginning| rest.starts_with(beginning)) || rest == "removed" {
            draft.classify("email", &["info"], "smtp_queue");
            draft.set("postfix.queue_id", id);
            envelope(draft, rest);
            return network(draft);
        }
    }
    false
}

/// What it says of a client before there is a message: `non-SMTP command from NAME[A]: text`, `Anonymous TLS connection
/// established from NAME[A]: …`. The client's text comes last, so its address is the first.
fn told(draft: &mut Draft, text: &str) -> bool {
    const BEGINNINGS: [(&str, &str, &str); 8] = [
        ("non-SMTP command", "protocol", "smtp_protocol_error"),
        ("improper command pipelining", "protocol", "smtp_protocol_error"),
        ("SSL_accept error", "protocol", "smtp_tls_error"),
        ("timeout after ", "connection", "smtp_timeout"),
        ("too many errors after ", "connection", "smtp_too_many_errors"),
        ("Connection rate limit exceeded: ", "denied", "smtp_rate_limit"),
        ("Connection concurrency limit exceeded: ", "denied", "smtp_rate_limit"),
        (
            "Message delivery request rate limit exceeded: ",
            "denied",
            "smtp_rate_limit",
        ),
    ];
    let text = text.strip_prefix("warning: ").unwrap_or(text);
    if let Some((name, rest)) = text
        .strip_prefix("hostname ")
        .and_then(|rest| rest.cut(" does not resolve to address "))
    {
        let address = rest.split([' ', ':']).next().unwrap_or("");
        let address = if is_ip(address) {
            address
        } else {
            rest.cut(": ").map_or(rest, |(address, _)| address)
        };
        if name.contains(' ') || !is_ip(address) {
            return false;
        }
        draft.classify("network", &["info"], "smtp_dns_mismatch");
        endpoint(draft, &SOURCE, address, "");
        return true;
    }
    let tls = text
        .cut(" TLS connection established from ")
        .filter(|(trust, _)| ["Anonymous", "Untrusted", "Trusted", "Verified"].contains(trust));
    if let Some((name, address, rest)) = tls.and_then(|(_, rest)| peer(rest)) {
        set_peer(draft, name, address);
        draft.classify("network", &["connection"], "smtp_tls");
        let mut words = rest.trim_start_matches([':', ' ']).parts(b' ');
        if let Some(version) = words.next().and_then(|word| word.strip_prefix("TLSv")) {
            draft.set_text("tls.version", version);
            draft.set_fixed("tls.version_protocol", "tls");
        }
        if (words.next(), words.next()) == (Some("with"), Some("cipher")) {
            draft.set_text("tls.cipher", words.next().unwrap_or(""));
        }
        return true;
    }
    let Some((beginning, kind, action)) = BEGINNINGS
        .into_iter()
        .find(|(beginning, ..)| text.starts_with(beginning))
    else {
        return false;
    };
    let from = text.get(beginning.len()..).and_then(|rest| {
        let (_, rest) = rest.cut("from ")?;
        peer(rest)
    });
    let Some((name, address, _)) = from else { return false };
    set_peer(draft, name, address);
    draft.classify("network", &[kind], action);
    draft.set(ecs::EVENT_SEVERITY, 2_i64);
    true
}

/// `4AB12CD: …` or `NOQUEUE: …`
fn queued(text: &str) -> Option<(&str, &str)> {
    text.cut(": ")
        .filter(|(id, _)| (4..=20).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `COMMAND from NAME[A]: reason`, or `header TEXT from NAME[A]; from=<…` where the text is the sender's.
fn rejected<'a>(draft: &mut Draft, text: &'a str) -> Option<(&'a str, &'a str, &'a str, &'a str)> {
    let (command, rest) = text.cut_at(b' ')?;
    if command
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'))
    {
        // Of a client without a name, postscreen writes the address alone.
        let (name, address, rest) = peer(rest.strip_prefix("from ")?)?;
        return Some((command, name, address, rest));
    }
    let mut ends = rest.match_indices("]; from=<");
    let (end, _) = ends.next()?;
    if ends.next().is_some() {
        draft.warn(Warning::Ambiguous);
        return None;
    }
    let (_, name) = rest.get(..end + 1)?.cut_last(" from ")?;
    let (name, address, _) = peer(name)?;
    Some((command, name, address, rest.get(end + 1..)?))
}

/// The addresses and the status of `to=<A>, [orig_to=<B>, ]relay=R, …, status=S (reply)` or `from=<A>, status=S, …`. An
/// address may hold anything in quotes, and the reply is another server's text.
fn delivery(text: &str) -> Option<(&str, &str)> {
    let word = |text: &'_ str| text.find([' ', ',']).unwrap_or(text.len());
    if text.starts_with("from=<") {
        let (address, status) = text.cut_last(">, status=")?;
        return Some((text.get(..address.len() + 1)?, status.get(..word(status))?));
    }
    let mut relays = text.strip_prefix("to=<")?.split(">, relay=");
    let (address, relay) = (relays.next()?, relays.next()?);
    if relays.next().is_some() {
        return None;
    }
    let (_, status) = relay.cut(", status=")?;
    Some((
        text.get(.."to=<".len() + address.len() + 1)?,
        status.get(..word(status))?,
    ))
}

fn network(draft: &mut Draft) -> bool {
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "smtp");
    true
}

/// `from=<a@b> to=<c@d>`
fn envelope(draft: &mut Draft, text: &str) {
    for (mark, name) in [("from=<", "email.from.address"), ("to=<", "email.to.address")] {
        if let Some((_, rest)) = text.split_once(mark)
            && let Some((address, _)) = rest.cut_at(b'>')
            && address.len() <= 320
        {
            draft.set_text(name, address);
        }
    }
}

/// `imap-login: Login: user=<U>, method=PLAIN, rip=A, lip=B, …`
fn take_dovecot(draft: &mut Draft, input: &Input<'_>) -> bool {
    let text = input.text;
    let (service, rest) = match text.cut(": ") {
        Some((service, rest)) if service.ends_with("-login") || service.starts_with("auth") => (service, rest),
        _ => (input.program, text),
    };
    // In a file of its own it says how grave it is.
    let (level, rest) = ["Info", "Warning", "Error", "Debug", "Fatal", "Panic"]
        .into_iter()
        .find_map(|level| Some((level, rest.strip_prefix(level)?.strip_prefix(": ")?)))
        .unwrap_or(("", rest));
    let taken = of_client(draft, service, rest) || session(draft, rest);
    if taken && !level.is_empty() {
        draft.set(ecs::LOG_LEVEL, Text::lowercase(level));
    }
    taken
}

/// `imap(USER)<PID><ID>: Disconnected: Logged out …`
fn session(draft: &mut Draft, text: &str) -> bool {
    let Some((service, rest)) = text.cut_at(b'(') else {
        return false;
    };
    let Some((user, rest)) = rest.cut(")<") else {
        return false;
    };
    let ended = rest.cut(">: ").is_some_and(|(_, rest)| {
        let rest = rest.strip_prefix("Info: ").unwrap_or(rest);
        rest.starts_with("Disconnected") || rest.starts_with("Logged out")
    });
    if !ended || !matches!(service, "imap" | "pop3" | "submission" | "managesieve") {
        return false;
    }
    draft.user(user);
    draft.classify("authentication", &["end"], "mail_logout");
    draft.set(ecs::NETWORK_PROTOCOL, service);
    true
}

/// What a worker says, without its own name: `conn unix:auth-worker (pid=1,uid=2): auth-worker<3>: pam(…`.
fn worker(text: &str) -> &str {
    let is_worker = text.strip_prefix("conn ").and_then(|rest| rest.cut("): auth-worker<"));
    is_worker
        .filter(|(peer, _)| peer.len() < 256)
        .and_then(|(_, rest)| rest.cut(">: "))
        .map_or(text, |(_, rest)| rest)
}

fn of_client(draft: &mut Draft, service: &str, rest: &str) -> bool {
    let success = rest.starts_with("Login: ");
    // What Dovecot says comes before the name, which may say anything.
    let words = rest.cut("user=<").map_or(rest, |(words, _)| words);
    let ends = ["Disconnected", "Aborted login", "Login aborted"];
    let failed =
        ends.iter().any(|end| words.starts_with(end)) && (words.has("auth failed") || words.has("Aborted login"));
    let logout = rest.starts_with("Disconnected") || rest.starts_with("Logged out");
    if let Some((_, fields)) = rest.cut("user=<")
        && (success || failed || logout)
        && !service.starts_with("auth")
    {
        // The name is the client's; `>, method=` and `>, rip=` are Dovecot's, and the last of them the real one.
        let end = fields.rfind(">, method=").or_else(|| fields.rfind(">, rip="));
        let (user, tail) = end.map_or(("", fields), |end| fields.split_at(end));
        if user.has_byte(b'>') {
            draft.warn(Warning::Ambiguous);
        } else {
            draft.user(user);
        }
        let value = |key: &str| {
            tail.split(", ")
                .find_map(|part| part.trim_start_matches('>').strip_prefix(key))
                .unwrap_or("")
        };
        endpoint(draft, &SOURCE, value("rip="), "");
        endpoint(draft, &crate::derive::DESTINATION, value("lip="), "");
        draft.set_known("dovecot.method", value("method="));
        let kind = if success || failed { "start" } else { "end" };
        draft.classify(
            "authentication",
            &[kind],
            if kind == "start" { "mail_login" } else { "mail_logout" },
        );
        if kind == "start" {
            draft.outcome(success);
            draft.unified(
                if success { "LOGIN_SUCCESS" } else { "LOGIN_FAIL" },
                if success { 1 } else { 3 },
            );
        }
        draft.set_known(ecs::NETWORK_PROTOCOL, service.trim_end_matches("-login"));
        return true;
    }
    // `auth: passwd-file(U,A,<id>): unknown user`
    let database = worker(rest);
    if service.starts_with("auth")
        && let Some((head, reason)) = database.cut_last("): ")
        && let Some((_, inner)) = head.cut_at(b'(')
    {
        let mut parts = inner.rsplitn(3, ',');
        let last = parts.next().unwrap_or("");
        let (address, user) = if is_ip(last) {
            (last, parts.next().unwrap_or(""))
        } else {
            (parts.next().unwrap_or(""), parts.next().unwrap_or(""))
        };
        if is_ip(address) {
            endpoint(draft, &SOURCE, address, "");
            // `?` where the name is not told, as it is none.
            draft.user(if user == "?" { "" } else { user });
            draft.classify("authentication", &["start"], "mail_login");
            draft.outcome(false);
            draft.unified("LOGIN_FAIL", 3);
            draft.set_text(ecs::EVENT_REASON, reason);
            return true;
        }
    }
    false
}
