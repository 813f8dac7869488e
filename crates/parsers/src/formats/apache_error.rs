//! Apache's error log, of 2.2 and 2.4.

use model::ecs;

use super::{Format, Input};
use crate::clock::take_written;
use crate::derive::{SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::scan::Marks as _;
use crate::scan::Scan;

pub(crate) const FORMAT: Format = Format {
    name: "apache_error",
    aliases: &["apache", "apache2", "httpd"],
    datasets: &["apache.error"],
    programs: &["httpd", "apache2"],
    begins: &["["],
    looks,
    take,
};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn looks(text: &str) -> bool {
    text.strip_prefix('[')
        .is_some_and(|rest| DAYS.iter().any(|day| rest.starts_with(day)))
}

/// `[time] [module:level] [pid N:tid N] [client A:P] message`; brackets from the left are Apache's own.
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let mut scan = Scan::new(input.text);
    let Some(time) = scan.enclosed('[', ']') else {
        return false;
    };
    let Some((time, "")) = take_written(time) else {
        return false;
    };
    scan.spaces();
    let Some(level) = scan.enclosed('[', ']') else {
        return false;
    };
    draft.timestamp = Some(time);
    let (module, level) = level.cut_at(b':').unwrap_or(("", level));
    draft.set_text("apache.error.module", module);
    draft.set_text(ecs::LOG_LEVEL, level);
    scan.spaces();
    if scan.rest.starts_with("[pid ")
        && let Some(ids) = scan.enclosed('[', ']')
    {
        for id in ids.parts(b':') {
            match id.cut_at(b' ') {
                Some(("pid", pid)) => draft.set_int(ecs::PROCESS_PID, pid),
                Some(("tid", thread)) => draft.set_int("process.thread.id", thread),
                _ => {}
            }
        }
        scan.spaces();
    }
    // `(2)No such file or directory: [client …] AH…`: the system's reason is Apache's own text too.
    let mut reason = "";
    if scan.rest.starts_with('(')
        && let Some((before, rest)) = scan.rest.cut(": [client ")
        && !before.contains(['[', '"', '\''])
        && before.len() < 128
    {
        reason = before;
        scan.rest = input.text.get(input.text.len() - rest.len() - 8..).unwrap_or(rest);
    }
    if scan.rest.starts_with("[client ")
        && let Some(client) = scan.enclosed('[', ']')
    {
        let (host, port) = split_port(client.trim_start_matches("client "));
        endpoint(draft, &SOURCE, host, port);
        scan.spaces();
    }
    draft.set_text("event.reason", reason);
    // `(111)Connection refused: AH00957: …` of what concerns no client.
    if reason.is_empty()
        && scan.rest.starts_with('(')
        && let Some((before, rest)) = scan.rest.cut(": AH")
        && !before.contains(['[', '"', '\'', ':'])
        && before.len() < 128
    {
        draft.set_text("event.reason", before);
        scan.rest = scan.rest.get(scan.rest.len() - rest.len() - 2..).unwrap_or(rest);
    }
    let message = scan.rest;
    draft.set(ecs::MESSAGE, message);
    draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
    let is_error = matches!(level, "error" | "crit" | "alert" | "emerg");
    draft.set_list(ecs::EVENT_TYPE, &[if is_error { "error" } else { "info" }]);
    // Requests, paths and what scripts write stand in messages too; only what one begins with is Apache's word.
    let message = code(draft, message);
    let body = message.cut(", referer: ").map_or(message, |(body, _)| body);
    if let Some(path) = body.strip_prefix("File does not exist: ") {
        draft.set_text("file.path", path);
    } else if let Some(path) = body.strip_prefix("client denied by server configuration: ") {
        draft.set_text("file.path", path);
        draft.set_list(ecs::EVENT_TYPE, &["access", "denied"]);
        draft.outcome(false);
    } else if let Some(rest) = body.strip_prefix("user ")
        && let Some((user, _)) = rest
            .cut(": authentication failure for ")
            .or_else(|| rest.cut(" not found: "))
    {
        // The name is the client's; it is only taken when it leaves no doubt where it ends.
        let once = rest.matches(" not found: ").count() + rest.matches(": authentication failure for ").count() == 1;
        if once && !user.contains(": ") {
            draft.user(user);
        }
        draft.classify("authentication", &["start"], "web_login");
        draft.outcome(false);
        draft.unified("LOGIN_FAIL", 3);
    }
    true
}

/// Takes `AH01617: ` off a message.
fn code<'a>(draft: &mut Draft, message: &'a str) -> &'a str {
    match message.cut(": ") {
        Some((code, rest)) if code.len() == 7 && code.starts_with("AH") => {
            draft.set("event.code", code);
            rest
        }
        _ => message,
    }
}
