//! Finds files that were created and rotated away while nobody looked: between two looks, or while the agent was down.

use std::fs::{self, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::identity::{self, key_of};
use crate::spool::checkpoint::FileKey;

/// How long programs go on writing to a file after it was renamed.
const LATE: Duration = Duration::from_secs(10);
/// How compressed files begin: gzip, xz, bzip2, zstd, lz4.
const COMPRESSED: [&[u8]; 5] = [
    b"\x1f\x8b",
    b"\xfd7zXZ",
    b"BZh",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
];

/// Files beside `original` that took its name after the file that `rotated` describes had lost it, and lost it in turn.
/// They are told by their names, and because they were created when that file was written last, or later. Copies that
/// `copytruncate` has left in the past are older than that.
pub(super) fn successors(
    original: &Path,
    rotated: &Metadata,
    taken: impl Fn(FileKey) -> bool,
) -> Vec<(PathBuf, FileKey)> {
    let (Ok(born), Ok(written)) = (rotated.created(), rotated.modified()) else {
        return Vec::new();
    };
    let Some(dir) = original.parent() else {
        return Vec::new();
    };
    let followed = |path: &Path| {
        let metadata = fs::metadata(path).ok().filter(Metadata::is_file)?;
        let created = metadata.created().ok()?;
        let key = key_of(&metadata);
        let later = created > born && created + LATE >= written && key != key_of(rotated);
        (later && !taken(key) && is_text(path)).then_some(key)
    };
    identity::entries(dir)
        .filter(|path| path != original && is_generation(original, path))
        .filter_map(|path| followed(&path).map(|key| (path, key)))
        .collect()
}

/// `NAME.1`, `NAME-20260131`, `STEM-20260131.EXT` and the like.
fn is_generation(original: &Path, candidate: &Path) -> bool {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let (Some(original), Some(candidate)) = (name(original), name(candidate)) else {
        return false;
    };
    let after_name = candidate.strip_prefix(&original);
    let within_name = original
        .rsplit_once('.')
        .and_then(|(stem, extension)| candidate.strip_prefix(stem)?.strip_suffix(extension)?.strip_suffix('.'));
    let numbered = |rest: &str| {
        rest.bytes().any(|byte| byte.is_ascii_digit())
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_'))
    };
    after_name.into_iter().chain(within_name).any(numbered)
}

fn is_text(path: &Path) -> bool {
    let Ok((mut file, _)) = identity::open(path) else {
        return false;
    };
    let mut start = [0; 8];
    let length = file.read(&mut start).unwrap_or(0);
    let start = start.get(..length).unwrap_or_default();
    !start.is_empty() && !COMPRESSED.iter().any(|magic| start.starts_with(magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files_are_recognised() {
        let is = |candidate: &str| is_generation(Path::new("/v/auth.log"), &Path::new("/v").join(candidate));
        for name in [
            "auth.log.1",
            "auth.log-20260131",
            "auth-20260131.log",
            "auth.log.2026-01-31_2",
            "auth.1.log",
        ] {
            assert!(is(name), "{name}");
        }
        for name in [
            "auth.log",
            "auth.log.offset",
            "auth.log.1.gz",
            "auth.log.tmp",
            "authority.log.1",
            "auth.log.",
        ] {
            assert!(!is(name), "{name}");
        }
    }
}
