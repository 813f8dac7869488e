//! cron and crontab: `(USER) CMD (COMMAND)`.

use model::ecs;

use crate::draft::Draft;
use crate::pam;
use crate::scan::Marks as _;

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim_end();
    if pam::take(draft, message) {
        return true;
    }
    let Some((user, rest)) = message.strip_prefix('(').and_then(|rest| rest.cut(") ")) else {
        return false;
    };
    let Some((verb, detail)) = rest.cut(" (") else {
        return false;
    };
    let detail = detail.strip_suffix(')').unwrap_or(detail);
    match verb {
        "CMD" => {
            draft.classify("process", &["start"], "cron_command");
            draft.set_text(ecs::PROCESS_COMMAND_LINE, detail);
        }
        "CMDOUT" | "CMDEND" => draft.classify("process", &["info"], "cron_output"),
        "BEGIN EDIT" | "END EDIT" => crontab(draft, "crontab_edited", detail),
        "REPLACE" => crontab(draft, "crontab_replaced", detail),
        "DELETE" => crontab(draft, "crontab_deleted", detail),
        "LIST" => {
            draft.classify("configuration", &["access"], "crontab_listed");
            draft.set_text(ecs::USER_TARGET_NAME, detail);
        }
        "RELOAD" => draft.classify("configuration", &["change"], "crontab_reloaded"),
        "AUTH" => {
            draft.classify("configuration", &["denied"], "crontab_denied");
            draft.outcome(false);
        }
        "ERROR" | "error" => {
            draft.classify("process", &["error"], "cron_message");
            draft.set_text(ecs::EVENT_REASON, detail);
        }
        _ => draft.classify("process", &["info"], "cron_message"),
    }
    // `(CRON) INFO (..)` speaks of no user, `(*system*backup) RELOAD (..)` of a file in /etc/cron.d.
    if user != "CRON" && !user.starts_with("*system*") {
        draft.user(user);
    }
    true
}

fn crontab(draft: &mut Draft, action: &'static str, target: &str) {
    draft.classify("configuration", &["change"], action);
    draft.set_text(ecs::USER_TARGET_NAME, target);
    draft.add_to_list(ecs::RELATED_USER, target);
}
