//! OpenSSH's server.
//!
//! The user name and, with certificates, the key's id are the peer's free text. So a message is read from the end that
//! sshd wrote: what follows the last ` from `, never the first.

use model::ecs;

use crate::derive::{DESTINATION, endpoint};
use crate::draft::Draft;
use crate::network::{is_ip, port, set_source, split_from_port, split_host_port};
use crate::pam;
use crate::record::Warning;
use crate::scan::Marks as _;

/// Reads a message; false when it is none of sshd's that is known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim_end();
    let message = message.strip_suffix(" [preauth]").unwrap_or(message);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let message = message.strip_prefix("fatal: ").unwrap_or(message);
    let Some(first) = message.parts(b' ').next() else {
        return false;
    };
    match first {
        "Accepted" => key_accepted(draft, message) || login(draft, message),
        "Failed" | "Postponed" | "Partial" => login(draft, message),
        "Certificate" => certificate_refused(draft, message),
        "beginning" => throttling(draft, message),
        "Invalid" | "Illegal" => invalid_user(draft, message),
        "Connection" => connection(draft, message),
        "Disconnected" | "Disconnecting" | "Disconnecting:" => disconnected(draft, message),
        "Received" => received_disconnect(draft, message),
        "Did" => no_identification(draft, message),
        "maximum" => too_many_attempts(draft, message),
        "User" => user_refused(draft, message),
        "Bad" => bad_protocol(draft, message),
        "Unable" => no_negotiation(draft, message),
        "Timeout" | "drop" | "Closing" => peer_notice(draft, message),
        "ROOT" => root_refused(draft, message),
        "reverse" | "Address" => break_in_attempt(draft, message),
        "subsystem" => subsystem(draft, message),
        "Starting" | "Close" => session(draft, message),
        "Server" => listening(draft, message),
        "message" => repeated(draft, message),
        "Access" => access_denied(draft, message),
        "banner" | "ssh_dispatch_run_fatal:" | "kex_exchange_identification:" | "kex_protocol_error:" | "Protocol" => {
            protocol_error(draft, message)
        }
        "input_userauth_request:" => match message.strip_prefix("input_userauth_request: invalid user ") {
            Some(user) => {
                unknown_user(draft, user);
                true
            }
            None => false,
        },
        "PAM" => pam::more_failures(draft, message),
        "PAM:" => pam_failure(draft, message),
        _ => false,
    }
}

fn login_event(draft: &mut Draft, success: bool) {
    draft.classify("authentication", &["start"], "ssh_login");
    draft.outcome(success);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "ssh");
    if success {
        draft.unified("LOGIN_SUCCESS", 1);
    } else {
        draft.unified("LOGIN_FAIL", 3);
    }
}

fn notice(draft: &mut Draft, category: &'static str, kind: &'static str, action: &'static str) {
    draft.classify(category, &[kind], action);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "ssh");
}

fn unknown_user(draft: &mut Draft, user: &str) {
    notice(draft, "authentication", "info", "ssh_invalid_user");
    draft.outcome(false);
    draft.set_fixed(ecs::EVENT_REASON, "invalid_user");
    draft.unified("LOGIN_FAIL", 3);
    draft.user(user);
}

/// `VERB METHOD for [invalid user ]USER from HOST port PORT[ ssh2][: KEY]`
fn login(draft: &mut Draft, message: &str) -> bool {
    let Some((verb, rest)) = message.cut_at(b' ') else {
        return false;
    };
    let Some((method, rest)) = rest.cut(" for ") else {
        return false;
    };
    if method.is_empty() || method.has_byte(b' ') {
        return false;
    }
    match verb {
        "Accepted" => login_event(draft, true),
        "Failed" => login_event(draft, false),
        _ => notice(draft, "authentication", "info", "ssh_login_step"),
    }
    draft.set(ecs::SSH_METHOD, method);
    let (rest, invalid) = match rest
        .strip_prefix("invalid user ")
        .or_else(|| rest.strip_prefix("illegal user "))
    {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    if invalid {
        draft.set_fixed(ecs::EVENT_REASON, "invalid_user");
    }
    match login_peer(rest, verb == "Accepted") {
        Some(peer) => {
            draft.user(peer.user);
            set_source(draft, peer.host, Some(peer.port));
            draft.set_text(ecs::SSH_SIGNATURE, peer.key);
        }
        None => draft.warn(Warning::Ambiguous),
    }
    true
}

/// How many places where a key may begin are looked at.
const MAX_READINGS: usize = 8;

struct Peer<'a> {
    user: &'a str,
    host: &'a str,
    port: i64,
    key: &'a str,
}

/// `USER from HOST port PORT[ ssh2][: KEY]`. A certificate's KEY may hold anything, and so may the USER, unless it is who
/// logged in: no account is named like a peer, so then the first reading is sshd's. Otherwise there is no telling.
fn login_peer(rest: &str, is_account: bool) -> Option<Peer<'_>> {
    let peer = |text: &'_ str| split_peer(text).map(|(user, host, port)| (user.len(), host.len(), port));
    let build = |(user_len, host_len, port): (usize, usize, i64), key| {
        let host_start = if user_len == 0 && rest.starts_with("from ") {
            5
        } else {
            user_len + 6
        };
        Some(Peer {
            user: rest.get(..user_len)?,
            host: rest.get(host_start..host_start + host_len)?,
            port,
            key,
        })
    };
    let plain = rest
        .strip_suffix(" ssh2")
        .or_else(|| rest.strip_suffix(" ssh1"))
        .unwrap_or(rest);
    if let Some(found) = peer(plain) {
        return build(found, "");
    }
    let mut found = None;
    for (count, (at, end)) in rest.match_indices(" ssh2: ").enumerate() {
        // Looking at each of very many would take time that grows with their square.
        if count == MAX_READINGS {
            return None;
        }
        if let Some(candidate) = peer(rest.get(..at)?) {
            if found.is_some() {
                return None;
            }
            found = Some((candidate, rest.get(at + end.len()..)?));
            if is_account {
                break;
            }
        }
    }
    let (found, key) = found?;
    build(found, key)
}

fn split_peer(text: &str) -> Option<(&str, &str, i64)> {
    split_from_port(text).filter(|(_, host, _)| !host.is_empty())
}

/// `Accepted key TYPE FINGERPRINT found at FILE:LINE`, `Accepted certificate ID "ID" (serial N) signed by TYPE CA FINGERPRINT
/// via FILE`: the key fits; the login comes later.
fn key_accepted(draft: &mut Draft, message: &str) -> bool {
    let key = message
        .strip_prefix("Accepted key ")
        .map(|rest| rest.cut(" found at ").map_or(rest, |(key, _)| key));
    let certificate = || {
        let rest = message.strip_prefix("Accepted certificate ID \"")?;
        rest.cut_last(" signed by ").map(|(_, authority)| authority)
    };
    let Some(key) = key.or_else(certificate) else {
        return false;
    };
    notice(draft, "authentication", "info", "ssh_key_accepted");
    draft.set_text(ecs::SSH_SIGNATURE, key);
    true
}

/// `Certificate invalid: REASON`
fn certificate_refused(draft: &mut Draft, message: &str) -> bool {
    let Some(reason) = message.strip_prefix("Certificate invalid: ") else {
        return false;
    };
    notice(draft, "authentication", "info", "ssh_certificate_refused");
    draft.outcome(false);
    draft.set_text(ecs::EVENT_REASON, reason);
    draft.set(ecs::EVENT_SEVERITY, 3_i64);
    true
}

fn throttling(draft: &mut Draft, message: &str) -> bool {
    let known = message.starts_with("beginning MaxStartups throttling");
    if known {
        notice(draft, "network", "info", "ssh_throttling");
        draft.set(ecs::EVENT_SEVERITY, 2_i64);
    }
    known
}

fn invalid_user(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message
        .strip_prefix("Invalid user ")
        .or_else(|| message.strip_prefix("Illegal user "))
    else {
        return false;
    };
    let (user, host, port) = match split_from_port(rest) {
        Some((user, host, port)) => (user, host, Some(port)),
        None => match rest
            .cut_last(" from ")
            .or_else(|| Some(("", rest.strip_prefix("from ")?)))
        {
            Some((user, host)) if !host.has_byte(b' ') => (user, host, None),
            _ => return false,
        },
    };
    unknown_user(draft, user);
    set_source(draft, host, port);
    true
}

/// `[authenticating |invalid ][user USER ]HOST port PORT` at the right end, or a lone HOST.
fn user_and_peer(draft: &mut Draft, rest: &str) {
    let (head, host, port) = match split_host_port(rest) {
        Some((head, host, port)) => (head, host, Some(port)),
        None => {
            let (head, host) = rest.cut_last_at(b' ').unwrap_or(("", rest));
            (head, host, None)
        }
    };
    set_source(draft, host, port);
    if head.starts_with("invalid user") {
        draft.set_fixed(ecs::EVENT_REASON, "invalid_user");
    }
    let user = ["invalid user ", "authenticating user ", "user "]
        .iter()
        .find_map(|prefix| head.strip_prefix(prefix));
    draft.user(user.unwrap_or(""));
}

fn connection(draft: &mut Draft, message: &str) -> bool {
    if let Some(rest) = message.strip_prefix("Connection from ") {
        notice(draft, "network", "connection", "ssh_connection");
        let (peer, own) = rest.cut(" on ").unwrap_or((rest, ""));
        user_and_peer(draft, peer);
        let mut own = own.parts(b' ');
        let (address, mark, number) = (own.next(), own.next(), own.next());
        if let (Some(address), Some("port"), Some(number)) = (address, mark, number) {
            endpoint(draft, &DESTINATION, address, number);
        }
        return true;
    }
    let (action, rest) = if let Some(rest) = message.strip_prefix("Connection closed by ") {
        ("ssh_connection_closed", rest)
    } else if let Some(rest) = message.strip_prefix("Connection reset by ") {
        ("ssh_connection_reset", rest)
    } else {
        return false;
    };
    notice(draft, "network", "end", action);
    user_and_peer(draft, rest);
    true
}

fn disconnected(draft: &mut Draft, message: &str) -> bool {
    if let Some(rest) = message.strip_prefix("Disconnected from ") {
        notice(draft, "network", "end", "ssh_disconnected");
        user_and_peer(draft, rest);
        return true;
    }
    if let Some(reason) = message.strip_prefix("Disconnecting: ") {
        notice(draft, "network", "end", "ssh_disconnecting");
        if let Some(user) = reason.strip_prefix("Too many authentication failures for ") {
            let user =
                split_from_port(user.strip_suffix(" ssh2").unwrap_or(user)).map_or(user, |(user, host, port)| {
                    set_source(draft, host, Some(port));
                    user
                });
            attempts_exceeded(draft);
            draft.user(user.strip_prefix("invalid user ").unwrap_or(user));
        }
        return true;
    }
    let Some(rest) = message.strip_prefix("Disconnecting ") else {
        return false;
    };
    notice(draft, "network", "end", "ssh_disconnecting");
    if peer_and_reason(draft, rest).starts_with("Too many authentication failures") {
        attempts_exceeded(draft);
    }
    true
}

/// Sets what `[authenticating |invalid ][user USER ]HOST port PORT: REASON` says of the peer, and gives the reason. USER
/// is the peer's text and a reason may hold more of it, so no end of it is safe to read from: where several places
/// read as an address, none is believed.
fn peer_and_reason<'a>(draft: &mut Draft, text: &'a str) -> &'a str {
    let mut readings = text.match_indices(" port ").filter_map(|(at, mark)| {
        let host = text.get(..at)?.rsplit(' ').next()?;
        let rest = text.get(at + mark.len()..)?;
        let digits = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
        let reason = rest.get(digits..)?.strip_prefix(": ")?;
        port(rest.get(..digits)?)?;
        (is_ip(host) || host == "UNKNOWN").then_some((text.get(..at + mark.len() + digits)?, reason))
    });
    let Some((peer, reason)) = readings.next() else {
        return "";
    };
    // sshd puts a word before every name, so what begins with an address has none.
    let is_first = peer.parts(b' ').next().is_some_and(is_ip);
    if !is_first && readings.next().is_some() {
        draft.warn(Warning::Ambiguous);
        return "";
    }
    user_and_peer(draft, peer);
    reason
}

fn attempts_exceeded(draft: &mut Draft) {
    draft.set_list(ecs::EVENT_CATEGORY, &["authentication"]);
    draft.set_fixed(ecs::EVENT_REASON, "max_auth_attempts");
    draft.outcome(false);
    draft.unified("LOGIN_FAIL", 3);
}

fn received_disconnect(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("Received disconnect from ") else {
        if message.starts_with("Received signal ") {
            notice(draft, "process", "info", "ssh_signal");
            return true;
        }
        return false;
    };
    notice(draft, "network", "end", "ssh_received_disconnect");
    // The peer's own reason comes last, so here the address is at the left end.
    let (host, behind) = rest.cut_at(b' ').unwrap_or((rest, ""));
    if is_ip(host) {
        let port_text = behind.strip_prefix("port ").and_then(|rest| rest.parts(b':').next());
        set_source(draft, host, port_text.and_then(port));
    } else if let Some((address, _)) = rest.cut(": ") {
        set_source(draft, address, None);
    }
    true
}

fn no_identification(draft: &mut Draft, message: &str) -> bool {
    let Some((_, rest)) = message.cut("identification string from ") else {
        return false;
    };
    notice(draft, "network", "info", "ssh_no_identification");
    user_and_peer(draft, rest);
    true
}

fn too_many_attempts(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("maximum authentication attempts exceeded for ") else {
        return false;
    };
    notice(draft, "authentication", "info", "ssh_max_auth_attempts");
    attempts_exceeded(draft);
    if let Some((user, host, port)) = split_from_port(rest.strip_suffix(" ssh2").unwrap_or(rest)) {
        draft.user(user.strip_prefix("invalid user ").unwrap_or(user));
        set_source(draft, host, Some(port));
    }
    true
}

fn user_refused(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("User ") else {
        return false;
    };
    let Some((who, reason)) = rest.cut_last(" not allowed because ") else {
        return false;
    };
    notice(draft, "authentication", "denied", "ssh_user_not_allowed");
    draft.outcome(false);
    draft.unified("LOGIN_FAIL", 3);
    draft.set_text(ecs::EVENT_REASON, reason);
    let (user, host) = who.cut_last(" from ").unwrap_or((who, ""));
    draft.user(user);
    set_source(draft, host, None);
    true
}

fn bad_protocol(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("Bad ") else {
        return false;
    };
    if !rest.starts_with("protocol version identification") && !rest.starts_with("packet length") {
        return false;
    }
    notice(draft, "network", "protocol", "ssh_bad_protocol");
    if let Some((_, host, port)) = split_from_port(rest) {
        set_source(draft, host, Some(port));
    } else if let Some((_, host)) = rest.cut_last(" from ") {
        set_source(draft, host, None);
    }
    true
}

fn no_negotiation(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("Unable to negotiate with ") else {
        return false;
    };
    notice(draft, "network", "protocol", "ssh_negotiation_failed");
    // What the peer offers comes last.
    let reason = peer_and_reason(draft, rest);
    let reason = reason.cut(". Their offer").map_or(reason, |(reason, _)| reason);
    draft.set_text(ecs::EVENT_REASON, reason);
    true
}

fn peer_notice(draft: &mut Draft, message: &str) -> bool {
    if let Some(rest) = message.strip_prefix("Timeout before authentication for ") {
        notice(draft, "network", "info", "ssh_auth_timeout");
        match rest.strip_prefix("connection from ").and_then(|rest| rest.cut(" to ")) {
            Some((host, _)) => set_source(draft, host, None),
            None => user_and_peer(draft, rest),
        }
        return true;
    }
    if let Some(rest) = message.strip_prefix("drop connection ") {
        notice(draft, "network", "denied", "ssh_connection_dropped");
        let peer = rest.cut(" from [").and_then(|(_, peer)| peer.cut("]:"));
        if let Some((host, rest)) = peer {
            set_source(draft, host, rest.parts(b' ').next().and_then(port));
        }
        return true;
    }
    if let Some(rest) = message.strip_prefix("Closing connection to ") {
        notice(draft, "network", "end", "ssh_connection_closed");
        user_and_peer(draft, rest);
        return true;
    }
    false
}

fn root_refused(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("ROOT LOGIN REFUSED FROM ") else {
        return false;
    };
    notice(draft, "authentication", "denied", "ssh_root_refused");
    draft.outcome(false);
    draft.unified("LOGIN_FAIL", 3);
    draft.user("root");
    let (host, rest) = rest.cut_at(b' ').unwrap_or((rest, ""));
    set_source(draft, host, rest.strip_prefix("port ").and_then(port));
    true
}

fn break_in_attempt(draft: &mut Draft, message: &str) -> bool {
    let host = if let Some(rest) = message.strip_prefix("reverse mapping checking getaddrinfo for ") {
        // The name is the peer's to choose, the address in brackets is not.
        rest.cut_last_at(b'[').and_then(|(_, rest)| rest.parts(b']').next())
    } else {
        message
            .strip_prefix("Address ")
            .and_then(|rest| rest.parts(b' ').next())
    };
    let Some(host) = host.filter(|host| is_ip(host)) else {
        return false;
    };
    notice(draft, "network", "info", "ssh_dns_mismatch");
    set_source(draft, host, None);
    true
}

fn subsystem(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("subsystem request for ") else {
        return false;
    };
    notice(draft, "session", "info", "ssh_subsystem_request");
    // The name is the peer's, and may hold another user.
    let rest = rest.cut_last(" failed, ").map_or(rest, |(rest, _)| rest);
    let (name, user) = rest.cut_last(" by user ").unwrap_or((rest, ""));
    draft.set_text(ecs::SSH_SUBSYSTEM, name);
    draft.user(user);
    true
}

/// `Starting session: KIND[ on TTY] for USER from HOST port PORT id N`, `Close session: user USER from HOST port PORT id N`
fn session(draft: &mut Draft, message: &str) -> bool {
    let (action, kind, rest) = if let Some(rest) = message.strip_prefix("Starting session: ") {
        let who = rest.cut_last(" for ").map_or("", |(_, who)| who);
        ("ssh_session_started", "start", who)
    } else if let Some(rest) = message.strip_prefix("Close session: user ") {
        ("ssh_session_closed", "end", rest)
    } else {
        return false;
    };
    notice(draft, "session", kind, action);
    let rest = rest.cut_last(" id ").map_or(rest, |(rest, _)| rest);
    if let Some((user, host, port)) = split_from_port(rest) {
        draft.user(user);
        set_source(draft, host, Some(port));
    }
    true
}

fn listening(draft: &mut Draft, message: &str) -> bool {
    let known = message.starts_with("Server listening on ");
    if known {
        notice(draft, "process", "start", "ssh_listening");
    }
    known
}

/// `message repeated N times: [ MESSAGE]`, as rsyslog shortens.
fn repeated(draft: &mut Draft, message: &str) -> bool {
    let inner = message
        .strip_prefix("message repeated ")
        .and_then(|rest| rest.cut(" times: ["))
        .and_then(|(times, inner)| Some((times.parse::<i64>().ok()?, inner.strip_suffix(']')?)));
    let Some((times, inner)) = inner else {
        return false;
    };
    let inner = inner.trim_start();
    if inner.starts_with("message repeated") || !take(draft, inner) {
        return false;
    }
    draft.set(ecs::PICKET_REPEATED, times);
    true
}

fn access_denied(draft: &mut Draft, message: &str) -> bool {
    let Some(user) = message
        .strip_prefix("Access denied for user ")
        .and_then(|rest| rest.cut_last(" by PAM"))
    else {
        return false;
    };
    notice(draft, "authentication", "denied", "ssh_access_denied");
    draft.outcome(false);
    draft.unified("LOGIN_FAIL", 3);
    draft.user(user.0);
    true
}

fn protocol_error(draft: &mut Draft, message: &str) -> bool {
    notice(draft, "network", "protocol", "ssh_protocol_error");
    // Anything further on may be what the peer sent.
    let from = ["banner exchange: ", "ssh_dispatch_run_fatal: "]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix)?.strip_prefix("Connection from "));
    if let Some(from) = from {
        peer_and_reason(draft, from);
    }
    true
}

/// `PAM: Authentication failure for [illegal user ]USER from HOST`
fn pam_failure(draft: &mut Draft, message: &str) -> bool {
    let Some((what, rest)) = message.strip_prefix("PAM: ").and_then(|rest| rest.cut(" for ")) else {
        return false;
    };
    notice(draft, "authentication", "info", "ssh_pam_failure");
    draft.outcome(false);
    draft.unified("LOGIN_FAIL", 3);
    draft.set(ecs::EVENT_REASON, what);
    let (user, host) = rest.cut_last(" from ").unwrap_or((rest, ""));
    let invalid = ["illegal user ", "invalid user "]
        .iter()
        .find_map(|prefix| user.strip_prefix(prefix));
    draft.user(invalid.unwrap_or(user));
    if !host.has_byte(b' ') {
        set_source(draft, host, None);
    }
    true
}
