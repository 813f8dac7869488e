//! su: changing to another user.

use model::ecs;

use crate::draft::Draft;
use crate::pam;
use crate::scan::Marks as _;

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim();
    if pam::take(draft, message) {
        return true;
    }
    let Some((success, target, user, tty)) = attempt(message) else {
        return false;
    };
    draft.classify(
        "authentication",
        &["start"],
        if success { "su_session" } else { "su_failure" },
    );
    draft.outcome(success);
    draft.unified(
        if success { "SU_SESSION" } else { "SU_FAIL" },
        if success { 2 } else { 3 },
    );
    draft.user(user);
    draft.set_text(ecs::USER_EFFECTIVE_NAME, target);
    draft.add_to_list(ecs::RELATED_USER, target);
    draft.set_text(ecs::PROCESS_TTY, if tty == "none" || tty == "???" { "" } else { tty });
    true
}

/// Whether it worked, to whom, by whom, on which terminal. The target of a failed attempt is free text of the user.
fn attempt(message: &str) -> Option<(bool, &str, &str, &str)> {
    if let Some(rest) = message.strip_prefix("Successful su for ") {
        let (target, user) = rest.cut_last(" by ")?;
        return Some((true, target, user, ""));
    }
    if let Some(rest) = message.strip_prefix("FAILED su for ") {
        let (target, user) = rest.cut_last(" by ")?;
        return Some((false, target, user, ""));
    }
    let (success, rest) = match message.strip_prefix("FAILED SU ") {
        Some(rest) => (false, rest),
        None => (true, message),
    };
    if let Some(rest) = rest.strip_prefix("(to ") {
        let (target, rest) = rest.cut_last(") ")?;
        let (user, tty) = rest.cut_last(" on ")?;
        return Some((success, target, user, tty));
    }
    // BSD: `alice to root on /dev/pts/0`, `BAD SU alice to root on /dev/pts/0`
    let (success, whole) = message
        .strip_prefix("BAD SU ")
        .map_or((true, message), |rest| (false, rest));
    if let Some((people, tty)) = whole.cut_last(" on ").filter(|(_, tty)| tty.starts_with("/dev/"))
        && let Some((user, target)) = people.cut(" to ")
    {
        return Some((success, target, user, tty));
    }
    // `+ pts/0 alice:root` and `- pts/0 alice:root`
    let (success, rest) = match (message.strip_prefix("+ "), message.strip_prefix("- ")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return None,
    };
    let (tty, users) = rest.cut_at(b' ')?;
    // Names hold hyphens; some old versions separate with one.
    let (user, target) = users.cut_at(b':').or_else(|| users.cut_at(b'-'))?;
    Some((success, target, user, tty))
}
