//! nginx's error log.
//!
//! File names, requests and referrers in it are the client's text and are not escaped, so `, client: ` can occur several
//! times. When the places disagree, none is believed.

use model::ecs;

use super::access::set_request;
use super::{Format, Input};
use crate::clock::take_written;
use crate::derive::{SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::record::Warning;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "nginx_error",
    aliases: &["nginx", "openresty"],
    datasets: &["nginx.error"],
    programs: &["nginx"],
    begins: &[],
    looks,
    take,
};

fn looks(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.get(4) == Some(&b'/') && bytes.get(7) == Some(&b'/') && bytes.get(20) == Some(&b'[')
}

/// `time [level] pid#tid: [*connection ]message[, client: A, server: S, request: "R", …]`
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let Some((time, rest)) = take_written(input.text) else {
        return false;
    };
    let Some((level, rest)) = rest.strip_prefix(" [").and_then(|rest| rest.cut("] ")) else {
        return false;
    };
    let Some((ids, rest)) = rest.cut(": ") else {
        return false;
    };
    let Some((pid, thread)) = ids.cut_at(b'#') else {
        return false;
    };
    let Ok(pid) = pid.parse::<i64>() else { return false };
    draft.timestamp = Some(time);
    draft.set_text(ecs::LOG_LEVEL, level);
    draft.set(ecs::PROCESS_PID, pid);
    draft.set_int("process.thread.id", thread);
    let message = match rest.strip_prefix('*').and_then(|rest| rest.cut_at(b' ')) {
        Some((connection, message)) if connection.bytes().all(|byte| byte.is_ascii_digit()) => {
            draft.set_int("nginx.error.connection_id", connection);
            message
        }
        _ => rest,
    };
    draft.set(ecs::MESSAGE, message);
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    let is_error = matches!(level, "error" | "crit" | "alert" | "emerg");
    draft.set_list(ecs::EVENT_TYPE, &[if is_error { "error" } else { "info" }]);
    let is_clear = peer(draft, message);
    if let Some(user) = refused_user(message) {
        // The name may hold a quote, and with it all that follows nginx's own.
        if is_clear {
            draft.user(user);
        }
        draft.classify("authentication", &["start"], "web_login");
        draft.outcome(false);
        draft.unified("LOGIN_FAIL", 3);
    }
    true
}

/// `user "U": password mismatch, client: …` and `user "U" was not found in "FILE", client: …`
fn refused_user(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("user \"")?;
    let rest = rest.cut_last(", client: ").map_or(rest, |(rest, _)| rest);
    rest.strip_suffix("\": password mismatch")
        .or_else(|| Some(rest.cut_last("\" was not found in \"")?.0))
}

/// Sets the client and its request; false when there is no telling which client is nginx's.
fn peer(draft: &mut Draft, message: &str) -> bool {
    let mut clients = message.split(", client: ").skip(1);
    let Some(first) = clients.next() else {
        let kept_alive = message
            .strip_prefix("client ")
            .and_then(|rest| rest.split_once(" closed keepalive connection"));
        if let Some((client, _)) = kept_alive.filter(|(client, _)| is_ip(client)) {
            endpoint(draft, &SOURCE, client, "");
        }
        return true;
    };
    if clients.next().is_some() {
        draft.warn(Warning::Ambiguous);
        return false;
    }
    let (client, rest) = first.cut(", ").unwrap_or((first, ""));
    if !is_ip(client) && !client.starts_with("unix:") {
        return true;
    }
    endpoint(draft, &SOURCE, client, "");
    let Some(rest) = rest.strip_prefix("server: ") else {
        return true;
    };
    let (server, rest) = rest.cut(", ").unwrap_or((rest, ""));
    // Before a request says which server is meant, it is the address that listens.
    let (address, port) = split_port(server);
    if port.is_empty() || !(is_ip(address) || address == "*") {
        draft.set_known("server.domain", server);
    } else if let Some(port) = crate::network::port(port) {
        draft.set("server.port", port);
    }
    if let Some((request, rest)) = rest.strip_prefix("request: \"").and_then(|rest| rest.cut_at(b'"')) {
        set_request(draft, request);
        if let Some((_, host)) = rest.cut("host: \"")
            && let Some((host, _)) = host.cut_at(b'"')
        {
            draft.set_known(ecs::URL_DOMAIN, split_port(host).0);
        }
    }
    true
}
