//! OpenSSH's file transfers: what `sftp-server` and `internal-sftp` say of each request. Paths are the client's text and
//! their quotes are not escaped, so a line is read from both its ends.

use model::ecs;

use crate::draft::Draft;
use crate::network::set_source;
use crate::scan::Marks as _;

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    session(draft, message) || opened(draft, message) || closed(draft, message) || request(draft, message)
}

fn file(draft: &mut Draft, kind: &'static str, action: &'static str, path: &str) {
    draft.classify("file", &[kind], action);
    draft.set_text(ecs::FILE_PATH, path);
}

/// `session opened for local user USER from [HOST]`
fn session(draft: &mut Draft, message: &str) -> bool {
    let (kind, action, rest) = if let Some(rest) = message.strip_prefix("session opened for local user ") {
        ("start", "sftp_session_opened", rest)
    } else if let Some(rest) = message.strip_prefix("session closed for local user ") {
        ("end", "sftp_session_closed", rest)
    } else {
        return false;
    };
    draft.classify("session", &[kind], action);
    if let Some((user, host)) = rest.strip_suffix(']').and_then(|rest| rest.cut_last(" from [")) {
        draft.user(user);
        set_source(draft, host, None);
    }
    true
}

/// `open "PATH" flags READ,WRITE,CREATE mode 0644`
fn opened(draft: &mut Draft, message: &str) -> bool {
    let open = message
        .strip_prefix("open \"")
        .and_then(|rest| rest.cut_last("\" flags "));
    let Some((path, rest)) = open else { return false };
    let flags = rest.parts(b' ').next().unwrap_or("");
    let kind = if flags.has("WRITE") || flags.has("APPEND") {
        "change"
    } else {
        "access"
    };
    file(draft, kind, "sftp_open", path);
    if let Some((_, mode)) = rest.cut_last(" mode ") {
        draft.set_text("file.mode", mode);
    }
    true
}

/// `[forced ]close "PATH" bytes read N written N`
fn closed(draft: &mut Draft, message: &str) -> bool {
    let close = message
        .strip_prefix("forced ")
        .unwrap_or(message)
        .strip_prefix("close \"")
        .and_then(|rest| rest.cut_last("\" bytes read "));
    let Some((path, counts)) = close else { return false };
    let (read, written) = counts.cut(" written ").unwrap_or((counts, "0"));
    let is_written = written != "0";
    let (kind, action) = match (is_written, read != "0") {
        (true, _) => ("change", "sftp_upload"),
        (false, true) => ("access", "sftp_download"),
        (false, false) => ("access", "sftp_close"),
    };
    file(draft, kind, action, path);
    // Bytes the client sent, and got.
    draft.set_int("source.bytes", written);
    draft.set_int("destination.bytes", read);
    true
}

/// `remove name "PATH"`, `mkdir name "PATH" mode 0755`, `rename old "PATH" new "PATH"`, `set "PATH" mode 0777`
fn request(draft: &mut Draft, message: &str) -> bool {
    const ONE: [(&str, &str, &str); 6] = [
        ("remove name \"", "deletion", "sftp_remove"),
        ("rmdir name \"", "deletion", "sftp_rmdir"),
        ("mkdir name \"", "creation", "sftp_mkdir"),
        ("opendir \"", "access", "sftp_opendir"),
        ("readlink \"", "access", "sftp_readlink"),
        ("set \"", "change", "sftp_set_attributes"),
    ];
    const TWO: [(&str, &str, &str); 4] = [
        ("rename old \"", "change", "sftp_rename"),
        ("posix-rename old \"", "change", "sftp_rename"),
        ("symlink old \"", "creation", "sftp_symlink"),
        ("hardlink old \"", "creation", "sftp_hardlink"),
    ];
    if let Some((beginning, kind, action)) = ONE.into_iter().find(|(beginning, ..)| message.starts_with(beginning)) {
        let rest = message.get(beginning.len()..).unwrap_or("");
        let Some((path, _)) = rest.rsplit_once('"') else {
            return false;
        };
        file(draft, kind, action, path);
        return true;
    }
    let Some((beginning, kind, action)) = TWO.into_iter().find(|(beginning, ..)| message.starts_with(beginning)) else {
        return false;
    };
    let paths = message.get(beginning.len()..).and_then(|rest| rest.strip_suffix('"'));
    let Some(paths) = paths else { return false };
    draft.classify("file", &[kind], action);
    // With the mark in one of the names there is no telling where it ends.
    let mut parts = paths.split("\" new \"");
    match (parts.next(), parts.next(), parts.next()) {
        (Some(old), Some(new), None) => {
            draft.set_text(ecs::FILE_PATH, old);
            draft.set_text("file.target_path", new);
        }
        _ => draft.warn(crate::record::Warning::Ambiguous),
    }
    true
}
