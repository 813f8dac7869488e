//! Daemons with a handful of messages each: fail2ban, ClamAV, vsftpd, OpenVPN, WireGuard, MongoDB.

use model::{Text, ecs};

use super::{Format, Input};
use crate::clock::{take_iso_spaced, take_written};
use crate::derive::{SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::record::Warning;
use crate::scan::Marks as _;

/// What the names of days begin with.
const DAYS: [char; 5] = ['S', 'M', 'T', 'W', 'F'];

pub(crate) const FAIL2BAN: Format = Format {
    name: "fail2ban",
    aliases: &[],
    datasets: &["fail2ban.log"],
    programs: &["fail2ban", "fail2ban.actions", "fail2ban.filter", "fail2ban-server"],
    begins: &["f", super::DIGITS],
    looks: |text| {
        // The time before its name need not be read in lines without it.
        text.has("fail2ban.") && {
            let rest = take_iso_spaced(text).map_or(text, |(_, rest)| rest.trim_start());
            rest.starts_with("fail2ban.")
        }
    },
    take: take_fail2ban,
};

pub(crate) const CLAMAV: Format = Format {
    name: "clamav",
    aliases: &["clamd", "clamscan"],
    datasets: &["clamav.log"],
    programs: &["clamd", "clamscan", "clamav-daemon"],
    begins: &[],
    looks: |text| {
        let is_found = text.ends_with(" FOUND") && infected(text).is_some_and(is_certainly_infected);
        is_found || text.starts_with(DAYS) && take_written(text).is_some_and(|(_, rest)| rest.starts_with(" -> "))
    },
    take: take_clamav,
};

pub(crate) const VSFTPD: Format = Format {
    name: "vsftpd",
    aliases: &["ftp", "xferlog"],
    datasets: &["vsftpd.log"],
    programs: &["vsftpd"],
    begins: &["SMTWF"],
    looks: |text| {
        take_written(text).is_some_and(|(_, rest)| {
            rest.starts_with(" [pid ") && rest.has("Client \"")
                || rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) && transfer(text).is_some()
        })
    },
    take: take_vsftpd,
};

pub(crate) const OPENVPN: Format = Format {
    name: "openvpn",
    aliases: &["ovpn"],
    datasets: &["openvpn.log"],
    programs: &["openvpn", "ovpn-server", "ovpn"],
    begins: &[],
    looks: |text| {
        openvpn(text).is_some_and(|Tunnel { message, .. }| {
            [
                "TLS Error",
                "VERIFY ERROR",
                "Peer Connection Initiated",
                "AUTH_FAILED",
                "TLS Auth Error",
                "client-instance exiting",
            ]
            .iter()
            .any(|words| message.has(words))
        })
    },
    take: take_openvpn,
};

pub(crate) const WIREGUARD: Format = Format {
    name: "wireguard",
    aliases: &["wg"],
    datasets: &["wireguard.log"],
    programs: &[],
    begins: &["[w"],
    looks: |text| wireguard(text).is_some(),
    take: take_wireguard,
};

pub(crate) const MONGODB: Format = Format {
    name: "mongodb",
    aliases: &["mongod"],
    datasets: &["mongodb.log"],
    programs: &["mongod", "mongos"],
    begins: &[super::DIGITS],
    looks: |text| {
        let begins = text.starts_with(|c: char| c.is_ascii_digit()) && text.as_bytes().get(4) == Some(&b'-');
        begins && text.has_byte(b'[')
    },
    take: take_mongodb,
};

/// `time fail2ban.actions [pid]: NOTICE  [jail] Ban 1.2.3.4`
fn take_fail2ban(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((before, message)) = input.text.cut(": ").or(Some(("", input.text))) else {
        return false;
    };
    let message = if before.has("fail2ban.") { message } else { input.text };
    let (level, rest) = message
        .trim_start()
        .split_once(char::is_whitespace)
        .unwrap_or(("", message));
    let (level, rest) = if level.bytes().all(|byte| byte.is_ascii_uppercase()) {
        (level, rest)
    } else {
        ("", message)
    };
    let Some((jail, rest)) = rest.trim_start().strip_prefix('[').and_then(|rest| rest.cut("] ")) else {
        // `time fail2ban.jail [pid]: INFO    Jail 'sshd' started`
        return before.has("fail2ban.") && chatter(draft, input.text, level);
    };
    let mut words = rest.parts(b' ');
    let verb = words.next().unwrap_or("");
    let (action, kind) = match verb {
        "Ban" | "Increase" | "Restore" => ("ban", "denied"),
        "Unban" => ("unban", "allowed"),
        "Found" => ("found", "info"),
        "Ignore" => ("ignore", "info"),
        _ => ("", "info"),
    };
    // `Restore Ban A`, `A already banned`; further on stand other programs' words.
    let address = if is_ip(verb) {
        verb
    } else {
        words.take(2).find(|word| is_ip(word)).unwrap_or("")
    };
    if action.is_empty() && level.is_empty() {
        return false;
    }
    if let Some((time, _)) = take_iso_spaced(input.text) {
        draft.timestamp = Some(time);
    }
    draft.set_known(ecs::LOG_LEVEL, &Text::lowercase(level));
    draft.set("rule.name", jail);
    draft.set("fail2ban.jail", jail);
    endpoint(draft, &SOURCE, address, "");
    draft.set_text(ecs::EVENT_ACTION, action);
    draft.set_list(ecs::EVENT_CATEGORY, &["intrusion_detection", "network"]);
    draft.set_list(ecs::EVENT_TYPE, &[kind]);
    match action {
        "ban" => draft.unified("IP_BANNED", 3),
        "unban" => draft.unified("IP_UNBANNED", 1),
        "found" => draft.unified("INTRUSION_ATTEMPT", 2),
        _ => {}
    }
    true
}

/// What a daemon says of itself behind a time.
fn chatter(draft: &mut Draft, text: &str, level: &str) -> bool {
    let Some((time, _)) = take_written(text).or_else(|| take_iso_spaced(text)) else {
        return false;
    };
    draft.timestamp = Some(time);
    draft.set_known(ecs::LOG_LEVEL, &Text::lowercase(level));
    draft.set_list(ecs::EVENT_CATEGORY, &["process"]);
    draft.set_list(ecs::EVENT_TYPE, &["info"]);
    true
}

/// `[time -> ]path: Name FOUND`; the path is free text, the signature the last word before the mark.
fn infected(text: &str) -> Option<(Option<model::Timestamp>, &str, &str)> {
    let dated = text
        .cut(" -> ")
        .and_then(|(head, rest)| Some((take_written(head).filter(|(_, end)| end.is_empty())?.0, rest)));
    let (time, text) = dated.map_or((None, text), |(time, rest)| (Some(time), rest));
    let (path, signature) = text.trim_end().strip_suffix(" FOUND")?.cut_last(": ")?;
    let signature = signature.parts(b'(').next().unwrap_or(signature);
    (!signature.is_empty() && !signature.has_byte(b' ')).then_some((time, path, signature))
}

/// Files have a whole path, and signatures are names of several parts: `/srv/a: NOT FOUND` is somebody's error.
fn is_certainly_infected((_, path, signature): (Option<model::Timestamp>, &str, &str)) -> bool {
    let is_drive = path.get(1..3).is_some_and(|mark| matches!(mark, ":\\" | ":/"));
    (path.starts_with('/') || is_drive)
        && signature.contains(['.', '-', '_'])
        && signature
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/'))
}

/// What else it writes to a file of its own: `time -> message`, `time -> ERROR: …`, `time -> FILE: OK`.
fn scanner(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((time, message)) =
        take_written(input.text).and_then(|(time, rest)| Some((time, rest.strip_prefix(" -> ")?)))
    else {
        return false;
    };
    draft.timestamp = Some(time);
    draft.set(ecs::MESSAGE, message);
    let level = ["ERROR", "WARNING"]
        .into_iter()
        .find(|level| message.trim_start_matches(['^', '!']).starts_with(level));
    draft.set(ecs::LOG_LEVEL, level.unwrap_or("info").to_ascii_lowercase());
    draft.set_list(ecs::EVENT_CATEGORY, &["process"]);
    draft.set_list(ecs::EVENT_TYPE, &["info"]);
    true
}

fn take_clamav(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((time, path, signature)) = infected(input.text) else {
        return scanner(draft, input);
    };
    draft.timestamp = time.or(draft.timestamp);
    draft.set_fixed(ecs::EVENT_KIND, "alert");
    draft.classify("malware", &["info"], "malware_found");
    draft.set("file.path", path);
    draft.set("rule.name", signature);
    draft.set("threat.indicator.name", signature);
    draft.unified("MALWARE", 5);
    true
}

/// `[time ][pid N] [user] OK LOGIN: Client "A"[, …]`
/// `time SECONDS HOST BYTES FILE TYPE FLAG DIRECTION MODE USER ftp AUTH ID STATUS`, the log of transfers of many FTP servers, in
/// which spaces of names are underscores.
fn transfer(text: &str) -> Option<(model::Timestamp, [&str; 13])> {
    let (time, rest) = take_written(text)?;
    let mut words = rest.strip_prefix(' ')?.split(' ');
    let mut read = [""; 13];
    for word in &mut read {
        *word = words.next()?;
    }
    let [
        seconds,
        host,
        bytes,
        path,
        kind,
        _,
        direction,
        mode,
        _,
        service,
        auth,
        _,
        status,
    ] = read;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = words.next().is_none()
        && is_number(seconds)
        && is_number(bytes)
        && is_ip(host.strip_prefix("::ffff:").unwrap_or(host))
        && path.starts_with('/')
        && matches!(kind, "a" | "b")
        && matches!(direction, "i" | "o" | "d")
        && matches!(mode, "a" | "g" | "r")
        && matches!(service, "ftp" | "sftp" | "scp")
        && is_number(auth)
        && matches!(status, "c" | "i");
    fits.then_some((time, read))
}

fn take_transfer(draft: &mut Draft, text: &str) -> bool {
    let Some((time, read)) = transfer(text) else {
        return false;
    };
    let [_, host, bytes, path, _, _, direction, _, user, service, _, _, status] = read;
    draft.timestamp = Some(time);
    let (kind, command) = match direction {
        "i" => ("creation", "UPLOAD"),
        "d" => ("deletion", "DELETE"),
        _ => ("access", "DOWNLOAD"),
    };
    draft.classify("file", &[kind], "ftp_transfer");
    draft.outcome(status == "c");
    endpoint(draft, &SOURCE, host, "");
    draft.user(user);
    draft.set_text("file.path", path);
    draft.set_int("file.size", bytes);
    draft.set_text("vsftpd.command", command);
    draft.set_text(ecs::NETWORK_PROTOCOL, service);
    true
}

fn take_vsftpd(draft: &mut Draft, input: &Input<'_>) -> bool {
    if take_transfer(draft, input.text) {
        return true;
    }
    // A user's or a file's name may hold the mark too; there is no telling which is vsftpd's then.
    if input.text.matches("Client \"").nth(1).is_some() {
        draft.warn(Warning::Ambiguous);
        draft.set_fixed(ecs::NETWORK_PROTOCOL, "ftp");
        if let Some((time, _)) = take_written(input.text) {
            draft.timestamp = Some(time);
        }
        return true;
    }
    let Some((head, rest)) = input.text.cut("Client \"") else {
        return false;
    };
    let begin = take_written(head).map_or(head, |(_, rest)| rest.trim_start());
    if !(begin.starts_with('[') || begin.starts_with("CONNECT")) {
        return false;
    }
    let Some((address, rest)) = rest.cut_at(b'"') else {
        return false;
    };
    let plain = address.strip_prefix("::ffff:").unwrap_or(address);
    if !is_ip(plain) {
        return false;
    }
    if let Some((time, _)) = take_written(input.text) {
        draft.timestamp = Some(time);
    }
    let head = head.trim_end().trim_end_matches(':');
    let head = match head.cut("[pid ") {
        Some((_, rest)) => {
            let (pid, rest) = rest.cut_at(b']').unwrap_or((rest, ""));
            draft.set_int(ecs::PROCESS_PID, pid);
            rest.trim_start()
        }
        None => head,
    };
    let (user, verb) = match head.strip_prefix('[').and_then(|rest| rest.cut_last("] ")) {
        Some((user, verb)) => (user, verb),
        None => ("", head),
    };
    endpoint(draft, &SOURCE, plain, "");
    draft.user(user);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "ftp");
    match verb {
        "OK LOGIN" | "FAIL LOGIN" => {
            let success = verb.starts_with("OK");
            draft.classify("authentication", &["start"], "ftp_login");
            draft.outcome(success);
            draft.unified(
                if success { "LOGIN_SUCCESS" } else { "LOGIN_FAIL" },
                if success { 1 } else { 3 },
            );
        }
        "CONNECT" => draft.classify("network", &["connection", "start"], "ftp_connect"),
        // `log_ftp_protocol`: what was said, not what came of it.
        "FTP command" | "FTP response" => {
            let is_command = verb == "FTP command";
            let action = if is_command { "ftp_command" } else { "ftp_response" };
            draft.classify("network", &["protocol"], action);
            let said = rest.strip_prefix(", \"").unwrap_or("");
            let said = said.strip_suffix('"').unwrap_or(said);
            draft.set_text(
                if is_command {
                    "vsftpd.command"
                } else {
                    "vsftpd.response"
                },
                said,
            );
        }
        _ => {
            let success = verb.starts_with("OK");
            let kind = if verb.ends_with("UPLOAD") || verb.ends_with("MKDIR") {
                "creation"
            } else if verb.ends_with("DELETE") || verb.ends_with("RMDIR") {
                "deletion"
            } else {
                "access"
            };
            draft.classify("file", &[kind], "ftp_transfer");
            draft.outcome(success);
            draft.set_text("vsftpd.command", verb);
            if let Some((_, path)) = rest.cut_at(b'"')
                && let Some((path, _)) = path.cut_last_at(b'"')
            {
                draft.set_text("file.path", path);
            }
        }
    }
    true
}

/// `[time ][client/]A:P message`
struct Tunnel<'a> {
    time: Option<model::Timestamp>,
    user: &'a str,
    host: &'a str,
    port: &'a str,
    message: &'a str,
}

fn openvpn(text: &str) -> Option<Tunnel<'_>> {
    let (time, text) = match take_written(text).or_else(|| take_iso_spaced(text)) {
        Some((time, rest)) => (Some(time), rest.trim_start()),
        None => (None, text),
    };
    // The microseconds of the time, where it is verbose.
    let text = text
        .strip_prefix("us=")
        .and_then(|rest| rest.cut_at(b' '))
        .map_or(text, |(_, rest)| rest);
    let (peer, message) = text.cut_at(b' ')?;
    let (user, address) = peer.cut_last_at(b'/').unwrap_or(("", peer));
    let address = address.cut_last_at(b']').map_or(address, |(_, address)| address);
    let (host, port) = split_port(address);
    is_ip(host).then_some(Tunnel {
        time,
        user,
        host,
        port,
        message,
    })
}

fn take_openvpn(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some(tunnel) = openvpn(input.text) else {
        return input.is_certain && chatter(draft, input.text, "");
    };
    let Tunnel {
        time,
        user,
        host,
        port,
        message,
    } = tunnel;
    draft.timestamp = time.or(draft.timestamp);
    endpoint(draft, &SOURCE, host, port);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "openvpn");
    draft.set(ecs::MESSAGE, message);
    if let Some(name) = message
        .strip_prefix('[')
        .and_then(|rest| rest.cut("] Peer Connection Initiated"))
    {
        draft.user(name.0);
        draft.classify("session", &["start"], "vpn_connected");
        draft.outcome(true);
        draft.unified("LOGIN_SUCCESS", 1);
        return true;
    }
    draft.user(user);
    // Names and what a peer says of itself stand further on; OpenVPN's own words come first.
    let refused = |rest: &str| rest.has("AUTH_FAILED");
    if message.starts_with("TLS Auth Error")
        || message.starts_with("AUTH_FAILED")
        || message.strip_prefix("SENT CONTROL [").is_some_and(refused)
        || message
            .strip_prefix("AUTH: Received control message: ")
            .is_some_and(refused)
        || message
            .strip_prefix("PUSH: Received control message: ")
            .is_some_and(refused)
    {
        draft.classify("authentication", &["start"], "vpn_login");
        draft.outcome(false);
        draft.unified("LOGIN_FAIL", 3);
    } else if message.starts_with("TLS Error") || message.starts_with("VERIFY ERROR") {
        draft.classify("network", &["connection", "error"], "vpn_handshake_failed");
        draft.outcome(false);
    } else if message.starts_with("SIG") && (message.has("client-instance exiting") || message.has("[soft")) {
        draft.classify("session", &["end"], "vpn_disconnected");
    } else {
        draft.classify("network", &["info"], "vpn_message");
    }
    true
}

/// What follows `wireguard: `, at the start or after the kernel's clock.
fn wireguard(text: &str) -> Option<&str> {
    let clocked = text.strip_prefix('[').and_then(|rest| rest.cut("] "));
    let text = match clocked {
        Some((clock, rest))
            if clock
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' ')) =>
        {
            rest
        }
        _ => text,
    };
    text.strip_prefix("wireguard: ")
}

/// `wireguard: wg0: Handshake for peer 5 (A:P) did not complete after 20 attempts, giving up`
fn take_wireguard(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some(rest) = wireguard(input.text) else {
        return false;
    };
    let Some((interface, message)) = rest.cut(": ") else {
        return false;
    };
    draft.set("observer.ingress.interface.name", interface);
    draft.set(ecs::MESSAGE, message);
    draft.set_fixed(ecs::NETWORK_PROTOCOL, "wireguard");
    if let Some((head, rest)) = message.cut(" (")
        && let Some((peer, _)) = rest.cut_at(b')')
    {
        let (host, port) = split_port(peer);
        if is_ip(host) {
            endpoint(draft, &SOURCE, host, port);
        }
        if let Some((_, number)) = head.cut_last("peer ") {
            draft.set_text("wireguard.peer", number);
        }
    }
    let (action, kind) = if message.starts_with("Receiving handshake initiation") {
        ("vpn_handshake", "start")
    } else if message.has("did not complete") || message.starts_with("Invalid") {
        ("vpn_handshake_failed", "error")
    } else if message.starts_with("Keypair") && message.has("created") {
        ("vpn_connected", "start")
    } else {
        ("vpn_message", "info")
    };
    draft.classify("network", &["connection", kind], action);
    true
}

/// `time S COMPONENT [context] message`
fn mongodb(text: &str) -> Option<(model::Timestamp, &str, &str, &str, &str)> {
    let (time, rest) = crate::clock::take_iso(text)?;
    let rest = rest.strip_prefix(' ')?;
    let (level, rest) = rest.cut_at(b' ')?;
    let (component, rest) = rest.cut_at(b' ')?;
    let (context, message) = rest.trim_start().strip_prefix('[')?.cut("] ")?;
    let fits = matches!(level, "F" | "E" | "W" | "I" | "D" | "D1" | "D2" | "D3" | "D4" | "D5")
        && component
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    fits.then_some((time, level, component, context, message))
}

fn take_mongodb(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((time, level, component, context, message)) = mongodb(input.text) else {
        return false;
    };
    draft.timestamp = Some(time);
    draft.set(ecs::LOG_LEVEL, level);
    draft.set("mongodb.log.component", component);
    draft.set("mongodb.log.context", context);
    draft.set(ecs::MESSAGE, message);
    draft.set_list(ecs::EVENT_CATEGORY, &["database"]);
    draft.set_list(
        ecs::EVENT_TYPE,
        &[if matches!(level, "F" | "E") { "error" } else { "info" }],
    );
    if let Some(rest) = message.strip_prefix("connection accepted from ") {
        let (host, port) = split_port(rest.parts(b' ').next().unwrap_or(""));
        endpoint(draft, &SOURCE, host, port);
    }
    true
}
