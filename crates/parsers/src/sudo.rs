//! sudo: who ran what as whom, and who was refused.

use model::ecs;

use crate::draft::Draft;
use crate::pam;
use crate::record::Warning;

/// Reads `USER : [REASON ; ]TTY=.. ; PWD=.. ; USER=.. ; COMMAND=..`; false when the message is not of that form.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    if pam::take(draft, message) {
        return true;
    }
    let Some((user, rest)) = message.trim().split_once(" : ") else {
        return false;
    };
    let user = user.trim();
    if user.is_empty() || user.contains(' ') {
        return false;
    }
    // The command comes last and is the rest of the line, whatever it holds.
    let (head, command) = match rest.split_once("COMMAND=") {
        Some((head, command)) => (head, Some(command)),
        None => (rest, None),
    };
    let mut reason = None;
    for part in head.split(" ; ").map(|part| part.trim().trim_end_matches(" ;")) {
        match part.split_once('=') {
            Some(("TTY", tty)) => draft.set_text(ecs::PROCESS_TTY, tty),
            Some(("PWD", directory)) => draft.set_text(ecs::PROCESS_WORKING_DIRECTORY, directory),
            Some(("USER", target)) => {
                draft.set_text(ecs::USER_EFFECTIVE_NAME, target);
            }
            Some(("GROUP", group)) => draft.set_text(ecs::GROUP_NAME, group),
            Some(_) => {}
            None if reason.is_none() && !part.is_empty() && part != ";" => reason = Some(part),
            None => {}
        }
    }
    if command.is_none() && reason.is_none() {
        return false;
    }
    // Both the directory and the command may hold what looks like another field; the whole text stays in the command.
    if command.is_some_and(|command| command.contains(" ; COMMAND=")) {
        draft.warn(Warning::Ambiguous);
    }
    draft.user(user);
    if let Some(target) = draft.str(ecs::USER_EFFECTIVE_NAME).map(str::to_owned) {
        draft.add_to_list(ecs::RELATED_USER, &target);
    }
    draft.set_text(ecs::PROCESS_COMMAND_LINE, command.unwrap_or(""));
    match reason {
        Some("(command continued)") => {
            draft.classify("process", &["start"], "sudo_command");
            draft.outcome(true);
        }
        Some(reason) => refused(draft, reason),
        None => {
            draft.classify("process", &["start"], "sudo_command");
            draft.outcome(true);
            draft.unified("SUDO_ESCALATION", 2);
        }
    }
    true
}

fn refused(draft: &mut Draft, reason: &str) {
    draft.classify("authentication", &["info"], "sudo_failure");
    draft.outcome(false);
    let known = if reason.contains("incorrect password attempt") {
        "incorrect_password"
    } else if reason.contains("NOT in sudoers") {
        "not_in_sudoers"
    } else if reason.contains("NOT authorized on host") {
        "not_authorized_on_host"
    } else if reason.contains("command not allowed") {
        "command_not_allowed"
    } else if reason.contains("password is required") {
        "password_required"
    } else if reason.contains("no tty present") || reason.contains("a terminal is required") {
        "no_tty"
    } else {
        reason
    };
    draft.set(ecs::EVENT_REASON, known);
    let severity = if known.starts_with("not_") { 4 } else { 3 };
    draft.unified("SUDO_FAIL", severity);
    let times = reason.split(' ').next().and_then(|count| count.parse::<i64>().ok());
    if let Some(times) = times.filter(|times| *times > 1) {
        draft.set(ecs::PICKET_REPEATED, times);
    }
}
