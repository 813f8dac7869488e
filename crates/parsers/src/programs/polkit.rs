//! polkitd: who was allowed to act as whom; pkexec: what was run so.
//!
//! The command in brackets is chosen by whoever runs it. It stands between an action and the owner, which polkitd wrote: the
//! line is read up to it from its beginning, and behind it from its end.

use model::ecs;

use super::digits;
use crate::draft::Draft;
use crate::scan::Marks as _;

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim();
    operator(draft, message) || agent(draft, message) || pkexec(draft, message) || daemon(draft, message)
}

/// `Operator of SESSION (successfully authenticated as unix-user:root|FAILED to authenticate) to gain KIND authorization for
/// action ACTION for SUBJECT [COMMAND] (owned by unix-user:ann)`
fn operator(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("Operator of ") else {
        return false;
    };
    let Some((head, rest)) = rest.cut(" authorization for action ") else {
        return false;
    };
    let success = head.has(" successfully authenticated as ");
    if !success && !head.has(" FAILED to authenticate ") {
        return false;
    }
    draft.classify("authentication", &["start"], "polkit_authorization");
    draft.outcome(success);
    if let Some((_, who)) = head.cut("authenticated as unix-user:") {
        let who = who.parts(b' ').next().unwrap_or(who);
        draft.set_text(ecs::USER_EFFECTIVE_NAME, who);
        draft.add_to_list(ecs::RELATED_USER, who);
    }
    let (action, rest) = rest.cut(" for ").unwrap_or((rest, ""));
    draft.set_text("polkit.action", action);
    draft.set_text("polkit.session", head.parts(b' ').next().unwrap_or(""));
    subject(draft, rest);
    draft.unified(
        if success { "PRIVILEGE_GRANTED" } else { "LOGIN_FAIL" },
        if success { 2 } else { 3 },
    );
    true
}

/// `unix-process:12:34 [COMMAND] (owned by unix-user:ann)`
fn subject(draft: &mut Draft, text: &str) {
    let (head, owner) = text.cut_last(" (owned by unix-user:").unwrap_or((text, ""));
    draft.user(owner.trim_end_matches(')'));
    if let Some((_, process)) = head.cut("unix-process:")
        && let Some((pid, _)) = digits(process)
    {
        draft.set_int(ecs::PROCESS_PID, pid);
    }
    if let Some((_, command)) = head.cut(" [") {
        draft.set_text(ecs::PROCESS_COMMAND_LINE, command.strip_suffix(']').unwrap_or(command));
    }
}

/// `Registered Authentication Agent for unix-session:1 (system bus name :1.2 [/usr/bin/agent], object path /.., locale en)`
fn agent(draft: &mut Draft, message: &str) -> bool {
    let (rest, kind, action) = if let Some(rest) = message.strip_prefix("Registered Authentication Agent for ") {
        (rest, "start", "polkit_agent_registered")
    } else if let Some(rest) = message.strip_prefix("Unregistered Authentication Agent for ") {
        (rest, "end", "polkit_agent_unregistered")
    } else {
        return false;
    };
    draft.classify("session", &[kind], action);
    let who = rest.parts(b' ').next().unwrap_or("");
    draft.set_text("polkit.session", who);
    if let Some((pid, _)) = who.strip_prefix("unix-process:").and_then(digits) {
        draft.set_int(ecs::PROCESS_PID, pid);
    }
    let command = rest.cut_at(b'[').and_then(|(_, rest)| rest.cut_last("], object path "));
    draft.set_text("process.executable", command.map_or("", |(command, _)| command));
    true
}

/// `ann: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/home/ann] [COMMAND=/usr/bin/id]`
fn pkexec(draft: &mut Draft, message: &str) -> bool {
    let Some((user, rest)) = message
        .cut(": ")
        .filter(|(user, _)| !user.is_empty() && !user.has_byte(b' '))
    else {
        return false;
    };
    let success = rest.starts_with("Executing command [");
    let suspicious = rest.has(" variable was not found the /etc/shells file")
        // The word is misspelt in pkexec's source.
        || rest.has(" contains suscipious content")
        || rest.has(" contains suspicious content");
    if !success && !suspicious && !rest.starts_with("Error executing command as another user") {
        return false;
    }
    draft.classify(
        "process",
        &["start"],
        if success { "pkexec_command" } else { "pkexec_failure" },
    );
    draft.outcome(success);
    draft.user(user);
    let (head, values) = rest.cut(" [USER=").unwrap_or((rest, ""));
    if let Some((effective, values)) = values.cut("] ") {
        draft.set_text(ecs::USER_EFFECTIVE_NAME, effective);
        draft.add_to_list(ecs::RELATED_USER, effective);
        if let Some((tty, values)) = values.strip_prefix("[TTY=").and_then(|rest| rest.cut("] ")) {
            draft.set_text(ecs::PROCESS_TTY, if tty == "unknown" { "" } else { tty });
            // A directory may have brackets, the command comes last.
            if let Some((cwd, command)) = values.strip_prefix("[CWD=").and_then(|rest| rest.cut("] [COMMAND=")) {
                draft.set_text("process.working_directory", cwd);
                draft.set_text(ecs::PROCESS_COMMAND_LINE, command.strip_suffix(']').unwrap_or(command));
            }
        }
    }
    if !success {
        let reason = head
            .strip_prefix("Error executing command as another user: ")
            .unwrap_or(head);
        draft.set_text(ecs::EVENT_REASON, reason);
    }
    draft.unified(
        if success { "SUDO_ESCALATION" } else { "SUDO_FAIL" },
        if suspicious {
            4
        } else if success {
            2
        } else {
            3
        },
    );
    true
}

fn daemon(draft: &mut Draft, message: &str) -> bool {
    let action = if message.starts_with("Loading rules from directory ") {
        "polkit_rules_loading"
    } else if message.starts_with("Finished loading, compiling and executing ") {
        "polkit_rules_loaded"
    } else if message.starts_with("Acquired the name ") || message.starts_with("Started polkitd version ") {
        "polkit_started"
    } else if message.starts_with("Error compiling script") || message.starts_with("Error evaluating") {
        draft.outcome(false);
        "polkit_rules_error"
    } else {
        return false;
    };
    draft.classify("configuration", &["info"], action);
    true
}
