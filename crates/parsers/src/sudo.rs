//! sudo: who ran what as whom, and who was refused.

use model::ecs;

use crate::draft::Draft;
use crate::pam;
use crate::record::Warning;
use crate::scan::Marks as _;

/// Reads `USER : [REASON ; ]TTY=.. ; PWD=.. ; USER=.. ; COMMAND=..`; false when the message is not of that form.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    if pam::take(draft, message) {
        return true;
    }
    let Some((user, rest)) = message.trim().cut(" : ") else {
        return false;
    };
    let user = user.trim();
    if user.is_empty() || user.has_byte(b' ') {
        return false;
    }
    // What did not fit in a line before is the user's text, whatever it looks like.
    if let Some(command) = rest.strip_prefix("(command continued) ") {
        draft.classify("process", &["start"], "sudo_command");
        draft.outcome(true);
        draft.user(user);
        draft.set_text(ecs::PROCESS_COMMAND_LINE, command);
        return true;
    }
    // The command comes last and is the rest of the line, whatever it holds.
    let (head, command) = match split_command(rest) {
        Some((head, command)) => (head, Some(command)),
        None => (rest, None),
    };
    let fields = Fields::read(head);
    let reason = fields.reason;
    if command.is_none() && reason.is_none() {
        return false;
    }
    // Both the directory and the command may hold what looks like another field; the whole text stays in the command.
    let again = command.is_some_and(|command| command.has(" ; COMMAND="));
    if again || fields.is_ambiguous {
        draft.warn(Warning::Ambiguous);
    }
    draft.set_text(ecs::PROCESS_TTY, fields.terminal);
    draft.set_text(ecs::PROCESS_WORKING_DIRECTORY, &fields.directory);
    // With another user further on, the first may be in a directory's name.
    let other = command.is_some_and(|command| again && command.has(" ; USER="));
    if !other && let [target] = fields.targets.as_slice() {
        draft.set_text(ecs::USER_EFFECTIVE_NAME, target);
    }
    if let [group] = fields.groups.as_slice() {
        draft.set_text(ecs::GROUP_NAME, group);
    }
    draft.user(user);
    if let Some(target) = draft.str(ecs::USER_EFFECTIVE_NAME).map(str::to_owned) {
        draft.add_to_list(ecs::RELATED_USER, &target);
    }
    draft.set_text(ecs::PROCESS_COMMAND_LINE, command.unwrap_or(""));
    match reason {
        Some(reason) if command.is_none() && is_complaint(reason) => {
            draft.classify("process", &["error"], "sudo_message");
            draft.set(ecs::EVENT_REASON, reason);
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

/// Splits at the first `COMMAND=` that a separator stands before.
fn split_command(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("COMMAND=")
        .map(|command| ("", command))
        .or_else(|| text.cut(" ; COMMAND="))
}

/// What stands before the command: `[REASON ; ]TTY=… ; PWD=… ; USER=…`. Only sudo's reason comes before the first field;
/// a later part without a name belongs to the directory, whose name its owner chose.
#[derive(Default)]
struct Fields<'a> {
    reason: Option<&'a str>,
    terminal: &'a str,
    directory: String,
    targets: Vec<&'a str>,
    groups: Vec<&'a str>,
    is_ambiguous: bool,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Self {
        let mut fields = Self::default();
        let mut begun = false;
        for part in text.split(" ; ").map(|part| part.trim().trim_end_matches(" ;")) {
            let named = part
                .cut_at(b'=')
                .filter(|(name, _)| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase()));
            match named {
                Some(("TTY", terminal)) if fields.terminal.is_empty() => fields.terminal = terminal,
                Some(("PWD", directory)) if fields.directory.is_empty() => directory.clone_into(&mut fields.directory),
                Some(("USER", target)) => fields.targets.push(target),
                Some(("GROUP", group)) => fields.groups.push(group),
                Some(_) => {}
                None if part.is_empty() || part == ";" => {}
                None if !begun && fields.reason.is_none() => fields.reason = Some(part),
                None => {
                    fields.is_ambiguous = true;
                    if !fields.directory.is_empty() {
                        fields.directory.push_str(" ; ");
                        fields.directory.push_str(part);
                    }
                }
            }
            begun |= named.is_some();
        }
        fields.is_ambiguous |= fields.targets.len() > 1 || fields.groups.len() > 1;
        fields
    }
}

/// Whether sudo speaks of its host or its files, and refuses nobody.
fn is_complaint(reason: &str) -> bool {
    const BEGINNINGS: [&str; 8] = [
        "unable to ",
        "problem with ",
        "parse error ",
        "error in ",
        "error parsing ",
        "error initializing ",
        "timestamp too far in the future",
        "ignoring ",
    ];
    BEGINNINGS.iter().any(|beginning| reason.starts_with(beginning))
}

fn refused(draft: &mut Draft, reason: &str) {
    draft.classify("authentication", &["info"], "sudo_failure");
    draft.outcome(false);
    let known = if reason.has("incorrect password attempt") {
        "incorrect_password"
    } else if reason.has("NOT in sudoers") {
        "not_in_sudoers"
    } else if reason.has("NOT authorized on host") {
        "not_authorized_on_host"
    } else if reason.has("command not allowed") {
        "command_not_allowed"
    } else if reason.has("password is required") {
        "password_required"
    } else if reason.has("no tty present") || reason.has("a terminal is required") {
        "no_tty"
    } else {
        reason
    };
    draft.set(ecs::EVENT_REASON, known);
    let severity = if known.starts_with("not_") { 4 } else { 3 };
    draft.unified("SUDO_FAIL", severity);
    let times = reason.parts(b' ').next().and_then(|count| count.parse::<i64>().ok());
    if let Some(times) = times.filter(|times| *times > 1) {
        draft.set(ecs::PICKET_REPEATED, times);
    }
}
