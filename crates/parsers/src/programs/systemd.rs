//! systemd: units that start, stop and fail; logind: sessions.

use model::ecs;

use super::digits;
use crate::draft::Draft;
use crate::scan::Marks as _;

/// What a message about a unit begins with, what happened, and its event type.
const VERBS: &[(&str, &str, &str)] = &[
    ("Starting ", "service_starting", "start"),
    ("Started ", "service_started", "start"),
    ("Stopping ", "service_stopping", "end"),
    ("Stopped target ", "target_stopped", "end"),
    ("Stopped ", "service_stopped", "end"),
    ("Finished ", "service_finished", "end"),
    ("Reloading ", "service_reloading", "change"),
    ("Reloaded ", "service_reloaded", "change"),
    ("Reached target ", "target_reached", "info"),
    ("Listening on ", "socket_listening", "start"),
    ("Closed ", "socket_closed", "end"),
    ("Mounting ", "mount_starting", "start"),
    ("Mounted ", "mounted", "start"),
    ("Unmounting ", "unmount_starting", "end"),
    ("Unmounted ", "unmounted", "end"),
    ("Created slice ", "slice_created", "start"),
    ("Removed slice ", "slice_removed", "end"),
];
const KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".timer",
    ".mount",
    ".target",
    ".scope",
    ".slice",
    ".path",
    ".swap",
    ".device",
    ".automount",
];

fn is_unit(text: &str) -> bool {
    text.len() <= 256 && !text.has_byte(b' ') && KINDS.iter().any(|kind| text.ends_with(kind))
}

fn unit(draft: &mut Draft, name: &str) {
    draft.set_text("service.name", name);
    draft.set_text("service.id", name);
}

/// Reads a message of the manager; false when it is not known.
pub(crate) fn manager(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim();
    if let Some((name, rest)) = message.cut(": ").filter(|(name, _)| is_unit(name)) {
        return of_unit(draft, name, rest);
    }
    if let Some(rest) = message.strip_prefix("Failed to start ") {
        draft.classify("process", &["error"], "service_failed");
        draft.outcome(false);
        named(draft, rest);
        draft.unified("SERVICE_FAILED", 2);
        return true;
    }
    if let Some(rest) = message.strip_prefix("Started Session ").and_then(session) {
        return rest_of_session(draft, rest);
    }
    if let Some((name, rest)) = message
        .strip_prefix("Started ")
        .and_then(|rest| rest.cut(" - Session "))
        && let Some(found) = session(rest)
    {
        unit(draft, name);
        return rest_of_session(draft, found);
    }
    if message.starts_with("Reloading requested from ") || message.starts_with("Reexecuting requested from ") {
        draft.classify("configuration", &["change"], "manager_reloading");
        if let Some((_, rest)) = message.cut("client PID ")
            && let Some((pid, rest)) = digits(rest)
        {
            draft.set_int("process.parent.pid", pid);
            if let Some((name, _)) = rest.strip_prefix(" ('").and_then(|rest| rest.cut("')")) {
                draft.set_text("process.parent.name", name);
            }
        }
        return true;
    }
    if message == "Reloading." || message == "Reexecuting." {
        draft.classify("configuration", &["change"], "manager_reloading");
        return true;
    }
    if message.starts_with("Startup finished in ") {
        draft.classify("host", &["start"], "system_started");
        return true;
    }
    for (words, action) in [
        ("Shutting down", "system_stopping"),
        ("System Power Off", "system_stopping"),
    ] {
        if message.starts_with(words) {
            draft.classify("host", &["end"], action);
            return true;
        }
    }
    let Some((verb, action, kind)) = VERBS.iter().find(|(verb, ..)| message.starts_with(verb)) else {
        return false;
    };
    draft.classify("process", &[kind], action);
    named(draft, message.strip_prefix(verb).unwrap_or(message));
    if kind == &"start" && action.ends_with("started") {
        draft.outcome(true);
    }
    true
}

/// `cron.service - Regular background program processing daemon...`, or its description alone.
fn named(draft: &mut Draft, text: &str) {
    let text = text.trim_end_matches('.');
    match text.cut(" - ").filter(|(name, _)| is_unit(name)) {
        Some((name, description)) => {
            unit(draft, name);
            draft.set_text("service.description", description);
        }
        None if is_unit(text) => unit(draft, text),
        None => draft.set_text("service.name", text),
    }
}

/// What is said of a unit by its name.
fn of_unit(draft: &mut Draft, name: &str, rest: &str) -> bool {
    let (action, kind) = if rest.starts_with("Failed with result ") || rest.starts_with("Unit entered failed state") {
        draft.outcome(false);
        draft.unified("SERVICE_FAILED", 2);
        if let Some((result, _)) = rest.cut_at(b'\'').and_then(|(_, rest)| rest.cut_at(b'\'')) {
            draft.set_text(ecs::EVENT_REASON, result);
        }
        ("service_failed", "error")
    } else if rest.has("killed by the OOM killer") {
        draft.set_fixed(ecs::EVENT_REASON, "out of memory");
        draft.unified("PROCESS_KILLED", 3);
        ("oom_killed", "end")
    } else if let Some((_, how)) = rest.cut("rocess exited, code=") {
        let (code, status) = how.cut(", status=").unwrap_or((how, ""));
        let number = status.parts(b'/').next().unwrap_or("");
        draft.set_int("process.exit_code", number);
        draft.set_text(ecs::EVENT_REASON, code);
        draft.outcome(code == "exited" && number == "0");
        ("process_exited", "end")
    } else if rest.starts_with("Deactivated successfully") || rest.starts_with("Succeeded") {
        draft.outcome(true);
        ("service_deactivated", "end")
    } else if rest.starts_with("Scheduled restart job") || rest.has("scheduling restart") {
        ("service_restarting", "start")
    } else if rest.starts_with("Start request repeated too quickly") {
        draft.outcome(false);
        ("service_restart_refused", "error")
    } else if rest.has("timed out") {
        draft.outcome(false);
        ("service_timed_out", "error")
    } else if rest.starts_with("Consumed ") {
        ("service_consumed", "info")
    } else if rest.starts_with("Killing process ") || rest.starts_with("Sent signal ") {
        ("process_killed", "end")
    } else {
        return false;
    };
    draft.classify("process", &[kind], action);
    unit(draft, name);
    true
}

/// `3 of user ann.`: the session and the user.
fn session(text: &str) -> Option<(&str, &str)> {
    let (id, user) = text.cut(" of ")?;
    let user = user.strip_prefix("user ").or_else(|| user.strip_prefix("User "))?;
    let user = user.split(" with class ").next().unwrap_or(user);
    let bare = |text: &'_ str| text.trim_matches('\'').len() == text.len();
    let id = if bare(id) { id } else { id.trim_matches('\'') };
    Some((id, user.trim_end_matches('.').trim_matches('\'')))
}

fn rest_of_session(draft: &mut Draft, (id, user): (&str, &str)) -> bool {
    draft.classify("session", &["start"], "session_started");
    draft.set_text("systemd.session.id", id);
    draft.user(user);
    draft.outcome(true);
    draft.unified("SESSION_OPEN", 1);
    true
}

/// Reads a message of logind; false when it is not known.
pub(crate) fn logind(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim();
    if let Some(found) = message.strip_prefix("New session ").and_then(session) {
        return rest_of_session(draft, found);
    }
    if let Some(id) = message.strip_prefix("Removed session ") {
        draft.classify("session", &["end"], "session_removed");
        draft.set_text("systemd.session.id", id.trim_end_matches('.').trim_matches('\''));
        return true;
    }
    if let Some((id, rest)) = message.strip_prefix("Session ").and_then(|rest| rest.cut_at(b' '))
        && rest.starts_with("logged out")
    {
        draft.classify("session", &["end"], "session_logged_out");
        draft.set_text("systemd.session.id", id.trim_matches('\''));
        return true;
    }
    let (kind, action) = if message.starts_with("System is rebooting") || message.starts_with("The system will reboot")
    {
        ("end", "rebooting")
    } else if message.starts_with("System is powering down") || message.starts_with("The system will power off") {
        ("end", "powering_off")
    } else if message.has("ower key pressed") {
        ("info", "power_key_pressed")
    } else if message.starts_with("New seat ") {
        ("info", "seat_added")
    } else if message.starts_with("Watching system buttons on ") {
        ("info", "buttons_watched")
    } else if message.starts_with("Lid ") {
        ("info", "lid_moved")
    } else {
        return false;
    };
    draft.classify("host", &[kind], action);
    if kind == "end" {
        draft.unified("SYSTEM_SHUTDOWN", 2);
    }
    true
}
