//! Programs of a Linux host with many messages of their own, one a file.

pub(crate) mod dockerd;
pub(crate) mod kernel;
pub(crate) mod login;
pub(crate) mod polkit;
pub(crate) mod sftp;
pub(crate) mod systemd;

/// What stands between two texts, and what follows; `None` when one of them is missing.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<(&'a str, &'a str)> {
    text.split_once(before)?.1.split_once(after)
}

/// The digits a text begins with, and the rest; `None` when there are none.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}
