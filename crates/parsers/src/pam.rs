//! What PAM modules log in the name of the program that called them: `pam_unix(sshd:auth): ...`.

use model::ecs;

use crate::draft::Draft;
use crate::network::set_source;
use crate::record::Warning;
use crate::scan::Marks as _;

/// Reads a message; false when no PAM module wrote it.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim_end();
    if let Some(rest) = message.strip_prefix("PAM ") {
        return rest.has(" more authentication failure") && more_failures(draft, message);
    }
    let Some((module, text)) = message.cut(": ") else {
        return false;
    };
    let Some((name, scope)) = module.cut_at(b'(') else {
        return false;
    };
    if !name.starts_with("pam_") || !scope.ends_with(')') {
        return false;
    }
    if let Some(rest) = text.strip_prefix("session opened for user ") {
        session_opened(draft, rest);
    } else if let Some(rest) = text.strip_prefix("session closed for user ") {
        draft.classify("session", &["end"], "session_closed");
        draft.outcome(true);
        draft.user(without_id(rest).0);
    } else if text.starts_with("authentication failure;") || text.starts_with("authentication failure ") {
        auth_failure(draft);
        failure_details(draft, text);
    } else if let Some(user) = text.strip_prefix("password changed for ") {
        draft.classify("iam", &["user", "change"], "password_changed");
        draft.outcome(true);
        draft.unified("PASSWORD_CHANGE", 3);
        draft.user(user);
        draft.set_text(ecs::USER_TARGET_NAME, user);
    } else if text.starts_with("check pass; user unknown") {
        auth_failure(draft);
        draft.set_fixed(ecs::EVENT_REASON, "invalid_user");
    } else if let Some(rest) = text.strip_prefix("Consecutive login failures for user ") {
        auth_failure(draft);
        draft.set_fixed(ecs::EVENT_REASON, "account_locked");
        draft.user(rest.parts(b' ').next().unwrap_or(rest));
    } else if let Some(user) =
        bracketed(text, "auth could not identify password for [").or_else(|| bracketed(text, "bad username ["))
    {
        auth_failure(draft);
        draft.user(user);
    } else if let Some(rest) = text.strip_prefix("account ").and_then(|rest| rest.cut(" has expired")) {
        auth_failure(draft);
        draft.set_fixed(ecs::EVENT_REASON, "account_expired");
        draft.user(rest.0);
    } else if name == "pam_succeed_if" && text.starts_with("requirement ") {
        draft.classify("authentication", &["info"], "pam_requirement");
        let (requirement, user) = text.cut(" by user \"").unwrap_or((text, ""));
        draft.outcome(!requirement.ends_with(" not met"));
        draft.user(user.strip_suffix('"').unwrap_or(user));
    } else {
        draft.classify("authentication", &["info"], "pam_message");
    }
    true
}

fn bracketed<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix(']')
}

fn auth_failure(draft: &mut Draft) {
    draft.classify("authentication", &["info"], "pam_auth_failure");
    draft.outcome(false);
    draft.unified("LOGIN_FAIL", 3);
}

/// `USER[(uid=N)] by [USER](uid=N)`
fn session_opened(draft: &mut Draft, rest: &str) {
    draft.classify("session", &["start"], "session_opened");
    draft.outcome(true);
    draft.unified("SESSION_OPEN", 1);
    let (target, by) = rest.cut_last(" by ").unwrap_or((rest, ""));
    let (target, target_id) = without_id(target);
    let (by, by_id) = without_id(by);
    if by.is_empty() {
        draft.user(target);
        draft.set_text(ecs::USER_ID, target_id);
    } else {
        draft.user(by);
        draft.set_text(ecs::USER_ID, by_id);
    }
    draft.set_text(ecs::USER_EFFECTIVE_NAME, target);
    draft.add_to_list(ecs::RELATED_USER, target);
}

/// Splits `root(uid=0)`.
fn without_id(text: &str) -> (&str, &str) {
    match text.cut_last("(uid=") {
        Some((name, id)) => (name, id.trim_end_matches(')')),
        None => (text, ""),
    }
}

/// `PAM 2 more authentication failures; logname= uid=0 ... rhost=192.0.2.1  user=root`
pub(crate) fn more_failures(draft: &mut Draft, message: &str) -> bool {
    let count = message.strip_prefix("PAM ").and_then(|rest| rest.parts(b' ').next());
    let Some(count) = count.and_then(|count| count.parse::<i64>().ok()) else {
        return false;
    };
    auth_failure(draft);
    draft.set(ecs::PICKET_REPEATED, count);
    failure_details(draft, message);
    true
}

/// `; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.1  user=root`: always in this order. The user is the peer's
/// free text and comes last, so after an empty `ruser` the address is the first there is and the user all that follows.
/// A `ruser` is the peer's text too, and with it a second address leaves no telling which is the program's.
fn failure_details(draft: &mut Draft, text: &str) {
    let value = |key: &str| {
        let (_, rest) = text.split_once(key)?;
        Some(rest.parts(b' ').next().unwrap_or(rest))
    };
    let after_ruser = text.cut(" ruser=").map_or("", |(_, rest)| rest);
    let is_named = !after_ruser.is_empty() && !after_ruser.starts_with(' ');
    let hosts = text.match_indices(" rhost=").take(2).count();
    let is_ambiguous = is_named && hosts > 1;
    if is_ambiguous {
        draft.warn(Warning::Ambiguous);
    } else if let Some(host) = value(" rhost=") {
        set_source(draft, host, None);
    }
    if let Some(tty) = value(" tty=") {
        draft.set_text(ecs::PROCESS_TTY, tty);
    }
    let actor = value(" logname=")
        .filter(|name| !name.is_empty())
        .or_else(|| value(" ruser="));
    let user = text
        .cut(" rhost=")
        .and_then(|(_, rest)| rest.cut(" user="))
        .filter(|_| !is_ambiguous)
        .map_or("", |(_, user)| user);
    draft.user(user);
    if let Some(actor) = actor.filter(|actor| !actor.is_empty()) {
        draft.set(ecs::SOURCE_USER_NAME, actor);
        draft.add_to_list(ecs::RELATED_USER, actor);
    }
}
