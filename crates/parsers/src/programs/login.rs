//! login: users at a terminal. Names of refused users are what was typed, so a line is read from both its ends.

use model::ecs;

use crate::derive::{SOURCE, endpoint};
use crate::draft::Draft;
use crate::scan::Marks as _;

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim();
    success(draft, message) || failure(draft, message) || no_login(draft, message)
}

/// `Attempted login by USER (UID: N) on TTY`, as nologin says in the place of a shell.
fn no_login(draft: &mut Draft, message: &str) -> bool {
    let Some((user, rest)) = message
        .strip_prefix("Attempted login by ")
        .and_then(|rest| rest.cut_last(" (UID: "))
    else {
        return false;
    };
    draft.classify("authentication", &["denied"], "login_refused");
    draft.outcome(false);
    draft.set_fixed(ecs::EVENT_REASON, "nologin");
    draft.user(if user == "UNKNOWN" { "" } else { user });
    let (id, tty) = rest.cut(") on ").unwrap_or((rest, ""));
    draft.set_text(ecs::USER_ID, id);
    draft.set_text(ecs::PROCESS_TTY, if tty == "UNKNOWN" { "" } else { tty });
    draft.unified("LOGIN_FAIL", 3);
    true
}

/// `LOGIN ON tty1 BY ann FROM host`, `ROOT LOGIN  ON tty1 FROM host`, `DIALUP AT ttyS0 BY ann`
fn success(draft: &mut Draft, message: &str) -> bool {
    let (rest, user) = if let Some(rest) = message.strip_prefix("ROOT LOGIN") {
        (rest.trim_start().strip_prefix("ON "), Some("root"))
    } else {
        (
            message
                .strip_prefix("LOGIN ON ")
                .or_else(|| message.strip_prefix("DIALUP AT ")),
            None,
        )
    };
    let Some(rest) = rest else { return false };
    let (tty, rest) = rest.cut_at(b' ').unwrap_or((rest, ""));
    let (who, from) = match rest.cut("FROM ") {
        Some((who, from)) => (who, from),
        None => (rest, ""),
    };
    let Some(user) = user.or_else(|| who.strip_prefix("BY ")) else {
        return false;
    };
    draft.classify("authentication", &["start"], "login");
    draft.outcome(true);
    draft.user(user.trim());
    draft.set_text(ecs::PROCESS_TTY, tty);
    endpoint(draft, &SOURCE, from.trim(), "");
    draft.unified("LOGIN_SUCCESS", if user == "root" { 2 } else { 1 });
    true
}

/// `FAILED LOGIN (1) on '/dev/tty1' FOR 'ann', Authentication failure`, `FAILED LOGIN 1 FROM tty1 FOR ann, ..`, `TOO MANY
/// LOGIN TRIES (3) on '/dev/tty1' FOR 'ann', ..`
fn failure(draft: &mut Draft, message: &str) -> bool {
    let many = message.starts_with("TOO MANY LOGIN TRIES ");
    if !many && !message.starts_with("FAILED LOGIN ") {
        return false;
    }
    let Some((head, rest)) = message.cut(" FOR ") else {
        return false;
    };
    let (user, reason) = rest.cut_last(", ").unwrap_or((rest, ""));
    let quoted = user.strip_prefix(['\'', '`']).and_then(|user| user.strip_suffix('\''));
    draft.classify(
        "authentication",
        &["start"],
        if many { "login_too_many_tries" } else { "login" },
    );
    draft.outcome(false);
    let user = quoted.unwrap_or(user);
    draft.user(if user == "UNKNOWN" || user == "(unknown)" {
        ""
    } else {
        user
    });
    draft.set_text(ecs::EVENT_REASON, reason);
    let place = head
        .cut(" on '")
        .map(|(_, place)| place.trim_end_matches('\''))
        .or_else(|| head.cut(" FROM ").map(|(_, place)| place))
        .unwrap_or("");
    let (tty, from) = match place.cut("' from '") {
        Some((tty, from)) => (tty, from),
        // Whoever comes over the network has a host for it.
        None if crate::network::is_ip(place) => ("", place),
        None => (place, ""),
    };
    draft.set_text(ecs::PROCESS_TTY, tty.strip_prefix("/dev/").unwrap_or(tty));
    endpoint(draft, &SOURCE, from, "");
    draft.unified("LOGIN_FAIL", 3);
    true
}
