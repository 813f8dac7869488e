//! An event of several records, one a line: who did it and whether it worked is in SYSCALL, what was run in EXECVE, where
//! in CWD, on which files in PATHs.
//!
//! The records' own fields are kept together. Where records have fields of one name and different values (`name` of
//! several PATHs), the field is the list of them, so a rule written for any single record holds for the event, too. Of
//! `a0` to `a3`, which are registers in SYSCALL and words in EXECVE, the words are kept when there are any.

use model::{Value, ecs};

use super::{Record, decoded, describe, own_value};
use crate::draft::Draft;

/// Most records of an event that are read; the text of all is kept.
const MAX_RECORDS: usize = 1024;
/// Most values of one field.
const MAX_VALUES: usize = 64;
/// Most names of fields.
const MAX_NAMES: usize = 192;

/// Reads an event. False when the lines are not records of one.
pub(super) fn take(draft: &mut Draft, text: &str) -> bool {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let Some(records) = lines
        .take(MAX_RECORDS)
        .map(Record::read)
        .collect::<Option<Vec<Record<'_>>>>()
    else {
        return false;
    };
    let Some(first) = records.first() else { return false };
    let same = |record: &Record<'_>| record.serial == first.serial && record.time == first.time;
    if !records.iter().all(same) {
        return false;
    }
    first.head(draft);
    kinds(draft, &records);
    let mut ordered: Vec<&Record<'_>> = records.iter().collect();
    ordered.sort_by_key(|record| rank(record.kind));
    for record in &ordered {
        describe(draft, record.kind, &record.fields);
    }
    own(draft, &records);
    files(draft, &records);
    if let Some(title) = records.iter().find_map(|record| record.written("proctitle")) {
        draft.set_text("process.title", &decoded(title));
    }
    true
}

/// Records that say more of what happened are described later, and win.
fn rank(kind: &str) -> u8 {
    match kind {
        "EOE" => 0,
        "PATH" | "CWD" | "PROCTITLE" | "SOCKADDR" | "BPRM_FCAPS" | "CAPSET" | "OBJ_PID" | "FD_PAIR" | "MMAP"
        | "IPC" | "IPC_SET_PERM" | "SOCKETCALL" | "OPENAT2" | "CONTAINER_ID" => 1,
        _ if kind.starts_with("MQ_") || kind.starts_with("TIME_") || kind.starts_with("UNKNOWN") => 1,
        "SYSCALL" => 2,
        "EXECVE" => 3,
        _ => 4,
    }
}

/// All types of records in it, once each.
fn kinds(draft: &mut Draft, records: &[Record<'_>]) {
    let mut kinds: Vec<&str> = Vec::new();
    for record in records {
        if !kinds.contains(&record.kind) && kinds.len() < MAX_VALUES {
            kinds.push(record.kind);
        }
    }
    draft.set_texts("auditd.log.record_type", &kinds);
    draft.set_texts("type", &kinds);
}

fn own(draft: &mut Draft, records: &[Record<'_>]) {
    let has_words = records.iter().any(|record| record.kind == "EXECVE");
    let mut fields: Vec<(&str, Vec<Value>)> = Vec::new();
    for record in records {
        for (key, value) in &record.fields {
            if has_words && record.kind == "SYSCALL" && matches!(*key, "a0" | "a1" | "a2" | "a3") {
                continue;
            }
            let Some(text) = own_value(record.kind, key, *value) else {
                continue;
            };
            let value = Value::from(text);
            if let Some((_, values)) = fields.iter_mut().find(|(name, _)| name == key) {
                if values.len() < MAX_VALUES && !values.contains(&value) {
                    values.push(value);
                }
            } else if fields.len() < MAX_NAMES {
                fields.push((key, vec![value]));
            } else {
                draft.refuse(1);
            }
        }
    }
    for (name, mut values) in fields {
        let value = match values.len() {
            1 => values.pop().unwrap_or(Value::Null),
            _ => Value::from(values),
        };
        draft.set_own(name, value);
    }
}

/// The file it is about: what was made or removed, else what was opened or run; never the directory around it.
fn files(draft: &mut Draft, records: &[Record<'_>]) {
    let paths = || records.iter().filter(|record| record.kind == "PATH");
    let of = |wanted: &'static str| move |record: &&Record<'_>| record.value("nametype") == Some(wanted);
    let made = paths().rfind(of("CREATE"));
    let removed = paths().rfind(of("DELETE"));
    let Some(path) = made.or(removed).or_else(|| paths().find(of("NORMAL"))) else {
        return;
    };
    let Some(name) = path.written("name").map(decoded).filter(|name| *name != "(null)") else {
        return;
    };
    let cwd = records
        .iter()
        .find(|record| record.kind == "CWD")
        .and_then(|record| record.written("cwd"));
    let full = match cwd.map(decoded) {
        Some(cwd) if !name.starts_with('/') => {
            format!("{}/{}", cwd.trim_end_matches('/'), name.trim_start_matches("./"))
        }
        _ => name.into_owned(),
    };
    draft.set("file.path", full);
    for (field, key) in [
        ("file.inode", "inode"),
        ("file.mode", "mode"),
        ("file.uid", "ouid"),
        ("file.gid", "ogid"),
    ] {
        if let Some(value) = path.value(key) {
            draft.set_text(field, value);
        }
    }
    let ran = records.iter().any(|record| record.kind == "EXECVE");
    let failed = draft.str(ecs::EVENT_OUTCOME) == Some("failure");
    if ran || failed || draft.str(ecs::EVENT_ACTION) != Some("syscall") {
        return;
    }
    if made.is_some() {
        draft.classify("file", &["creation"], "created-file");
    } else if removed.is_some() {
        draft.classify("file", &["deletion"], "deleted-file");
    }
}
