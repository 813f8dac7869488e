//! Changes to users and groups: the shadow tools, which name the account, and who did it only sometimes.
//!
//! `user.target.name` is the account; `user.name` is who changed it when that is told, else the account too.

use model::ecs;

use crate::draft::Draft;
use crate::pam;
use crate::scan::Marks as _;

/// The programs whose messages these are.
pub(crate) const PROGRAMS: &[&str] = &[
    "useradd",
    "usermod",
    "userdel",
    "groupadd",
    "groupmod",
    "groupdel",
    "gpasswd",
    "passwd",
    "chage",
    "chpasswd",
    "chgpasswd",
    "chfn",
    "chsh",
    "newusers",
    "adduser",
    "deluser",
    "addgroup",
    "delgroup",
];

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim_end();
    pam::take(draft, message)
        || created(draft, message)
        || membership(draft, message)
        || removed(draft, message)
        || changed(draft, message)
        || password(draft, message)
        || failed(draft, message)
}

fn iam(draft: &mut Draft, kind: &[&'static str], action: &'static str, unified: &'static str, severity: i64) {
    draft.classify("iam", kind, action);
    draft.outcome(true);
    draft.unified(unified, severity);
}

fn target(draft: &mut Draft, account: &str, actor: &str) {
    draft.set_text(ecs::USER_TARGET_NAME, account);
    draft.user(if actor.is_empty() { account } else { actor });
    draft.add_to_list(ecs::RELATED_USER, account);
}

/// `failed adding user 'USER', data deleted`, `failed adding group 'GROUP', ..`, `failed to change user 'USER' ..`
fn failed(draft: &mut Draft, message: &str) -> bool {
    let Some(rest) = message.strip_prefix("failed ") else {
        return false;
    };
    let is_group = rest.starts_with("adding group ") || rest.starts_with("deleting group ");
    let is_known = [
        "adding user ",
        "deleting user ",
        "changing user ",
        "to change user ",
        "to add user ",
    ]
    .iter()
    .any(|verb| rest.starts_with(verb));
    let Some((name, why)) = quoted(rest).filter(|_| is_group || is_known) else {
        return false;
    };
    draft.classify(
        "iam",
        &[if is_group { "group" } else { "user" }, "error"],
        "account_change_failed",
    );
    draft.outcome(false);
    draft.unified(if is_group { "GROUP_MODIFY" } else { "ACCOUNT_MODIFY" }, 2);
    draft.set_text(ecs::EVENT_REASON, why.trim_start_matches([',', ' ']));
    if is_group {
        draft.set_text(ecs::GROUP_NAME, name);
    } else {
        target(draft, name, "");
    }
    true
}

/// The text between the first pair of quotes, `'..'` or `` `..' ``, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let start = text.find(['\'', '`'])?;
    text.get(start + 1..)?.cut_at(b'\'')
}

/// `new user: name=NAME, UID=N, GID=N, home=DIR, shell=FILE[, from=TTY]`, `new group: name=NAME, GID=N`
fn created(draft: &mut Draft, message: &str) -> bool {
    let details = |text: &str, key: &str| -> Option<String> {
        let (_, rest) = format!(", {text}")
            .split_once(&format!(", {key}="))
            .map(|(head, rest)| (head.len(), rest.to_owned()))?;
        Some(rest.cut(", ").map_or(rest.as_str(), |(value, _)| value).to_owned())
    };
    let group = message
        .strip_prefix("new group: ")
        .or_else(|| message.strip_prefix("group added to /etc/group: "));
    if let Some(rest) = group {
        iam(draft, &["group", "creation"], "group_added", "GROUP_CREATE", 3);
        draft.set_text(ecs::GROUP_NAME, &details(rest, "name").unwrap_or_default());
        draft.set_text(ecs::GROUP_ID, &details(rest, "GID").unwrap_or_default());
        return true;
    }
    let Some(rest) = message.strip_prefix("new user: ") else {
        return message.starts_with("group added to /etc/gshadow: ") && {
            iam(draft, &["group", "info"], "group_shadow_added", "GROUP_CREATE", 1);
            draft.set_text(ecs::GROUP_NAME, &details(message, "name").unwrap_or_default());
            true
        };
    };
    iam(draft, &["user", "creation"], "user_added", "ACCOUNT_CREATE", 4);
    target(draft, &details(rest, "name").unwrap_or_default(), "");
    draft.set_text(ecs::USER_TARGET_ID, &details(rest, "UID").unwrap_or_default());
    draft.set_text(ecs::GROUP_ID, &details(rest, "GID").unwrap_or_default());
    draft.set_text(ecs::USER_HOME, &details(rest, "home").unwrap_or_default());
    draft.set_text(ecs::USER_SHELL, &details(rest, "shell").unwrap_or_default());
    let tty = details(rest, "from").unwrap_or_default();
    draft.set_text(ecs::PROCESS_TTY, if tty == "none" { "" } else { &tty });
    true
}

/// `add 'USER' to [shadow ]group 'GROUP'`, `user USER added by ACTOR to group GROUP`, and the same for removing
fn membership(draft: &mut Draft, message: &str) -> bool {
    if let Some((account, rest)) = message.strip_prefix("add ").and_then(quoted) {
        return rest.starts_with(" to ")
            && joined(draft, account, "", quoted(rest).map_or("", |(group, _)| group), true);
    }
    if let Some((account, rest)) = message.strip_prefix("delete ").and_then(quoted)
        && rest.starts_with(" from ")
    {
        return joined(draft, account, "", quoted(rest).map_or("", |(group, _)| group), false);
    }
    let Some(rest) = message.strip_prefix("user ") else {
        return false;
    };
    let (account, rest, added) = match (rest.cut(" added by "), rest.cut(" removed by ")) {
        (Some((account, rest)), _) => (account, rest, true),
        (None, Some((account, rest))) => (account, rest, false),
        (None, None) => return false,
    };
    let split = if added {
        rest.cut(" to group ")
    } else {
        rest.cut(" from group ")
    };
    let Some((actor, group)) = split else {
        return false;
    };
    joined(draft, account, actor, group, added)
}

fn joined(draft: &mut Draft, account: &str, actor: &str, group: &str, added: bool) -> bool {
    if added {
        iam(
            draft,
            &["group", "change"],
            "user_added_to_group",
            "GROUP_MEMBER_ADD",
            3,
        );
    } else {
        iam(
            draft,
            &["group", "change"],
            "user_removed_from_group",
            "GROUP_MEMBER_REMOVE",
            2,
        );
    }
    target(draft, account, actor);
    draft.set_text(ecs::GROUP_NAME, group.trim_matches('\''));
    true
}

/// `delete user 'USER'`, `removed [shadow ]group 'GROUP' owned by 'USER'`, `group 'GROUP' removed[ from FILE]`
fn removed(draft: &mut Draft, message: &str) -> bool {
    if let Some((account, _)) = message.strip_prefix("delete user ").and_then(quoted) {
        iam(draft, &["user", "deletion"], "user_deleted", "ACCOUNT_DELETE", 3);
        target(draft, account, "");
        return true;
    }
    let group = if message.starts_with("removed group ") || message.starts_with("removed shadow group ") {
        quoted(message)
    } else if message.starts_with("group ") {
        quoted(message).filter(|(_, rest)| rest.starts_with(" removed"))
    } else {
        None
    };
    let Some((group, _)) = group else {
        return false;
    };
    iam(draft, &["group", "deletion"], "group_deleted", "GROUP_DELETE", 3);
    draft.set_text(ecs::GROUP_NAME, group);
    true
}

/// `change user 'USER' WHAT from 'OLD' to 'NEW'`, `lock user 'USER' password`, `changed user 'USER' shell to 'FILE'`
fn changed(draft: &mut Draft, message: &str) -> bool {
    let verbs = [
        "change user ",
        "changed user ",
        "lock user ",
        "unlock user ",
        "change user name ",
    ];
    let account = verbs
        .iter()
        .any(|verb| message.starts_with(verb))
        .then(|| quoted(message))
        .flatten();
    if let Some((account, rest)) = account {
        iam(draft, &["user", "change"], "user_modified", "ACCOUNT_MODIFY", 3);
        target(draft, account, "");
        if message.starts_with("change user name ")
            && let Some((name, _)) = rest.strip_prefix(" to ").and_then(quoted)
        {
            draft.set_text("user.changes.name", name);
        }
        if rest.has(" shell ") {
            let shell = rest.cut_last(" to ").and_then(|(_, shell)| quoted(shell));
            draft.set_text(ecs::USER_SHELL, shell.map_or("", |(shell, _)| shell));
        }
        return true;
    }
    if let Some(account) = message.strip_prefix("changed password expiry for ") {
        iam(draft, &["user", "change"], "user_modified", "ACCOUNT_MODIFY", 2);
        draft.set_fixed(ecs::EVENT_REASON, "password_expiry");
        target(draft, account, "");
        return true;
    }
    if let Some(rest) = message.strip_prefix("group changed in ") {
        iam(draft, &["group", "change"], "group_modified", "GROUP_MODIFY", 2);
        let name = rest
            .cut("(group ")
            .and_then(|(_, rest)| rest.split(['/', ',', ')']).next());
        draft.set_text(ecs::GROUP_NAME, name.unwrap_or(""));
        return true;
    }
    if let Some((group, rest)) = message
        .strip_prefix("members of group ")
        .and_then(|rest| rest.cut(" set by "))
    {
        iam(draft, &["group", "change"], "group_modified", "GROUP_MODIFY", 3);
        draft.set_text(ecs::GROUP_NAME, group);
        draft.user(rest.parts(b' ').next().unwrap_or(rest));
        return true;
    }
    let of_group = message
        .strip_prefix("administrators of group ")
        .and_then(|rest| rest.cut(" set by "))
        .or_else(|| {
            let rest = message.strip_prefix("password of group ")?;
            rest.cut(" changed by ").or_else(|| rest.cut(" removed by "))
        });
    if let Some((group, rest)) = of_group {
        iam(draft, &["group", "change"], "group_modified", "GROUP_MODIFY", 3);
        draft.set_text(ecs::GROUP_NAME, group);
        let (actor, administrators) = rest.cut(" to ").unwrap_or((rest, ""));
        draft.user(actor);
        draft.set_text(ecs::USER_TARGET_NAME, administrators);
        return true;
    }
    false
}

/// `password for 'USER' changed by 'ACTOR'`, `password changed for USER`
fn password(draft: &mut Draft, message: &str) -> bool {
    let (account, actor) = if let Some(account) = message.strip_prefix("password changed for ") {
        (account, "")
    } else if let Some((account, rest)) = message.strip_prefix("password for ").and_then(quoted) {
        let Some(actor) = rest.strip_prefix(" changed by ").and_then(quoted) else {
            return false;
        };
        (account, actor.0)
    } else {
        return false;
    };
    iam(draft, &["user", "change"], "password_changed", "PASSWORD_CHANGE", 3);
    target(draft, account, actor);
    true
}
