//! Which files there are.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::identity::key_of;
use super::{Group, MAX_FILES};
use crate::spool::checkpoint::FileKey;

/// A regular file that a pattern matches.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// Index of its group.
    pub(super) group: usize,
    /// The pattern that found it first.
    pub(super) pattern: String,
    pub(super) size: u64,
}

/// What a look around found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) files: HashMap<FileKey, Found>,
    /// Some files were left out because of [`MAX_FILES`].
    pub(super) too_many: bool,
}

/// Evaluates all patterns. The first group that matches a file has it; directories, pipes and devices never count.
pub(super) fn scan(groups: &[Group]) -> Scan {
    let mut found = Scan::default();
    for (index, group) in groups.iter().enumerate() {
        for pattern in &group.patterns {
            // Patterns were checked when the configuration was read; directories that cannot be read are passed by.
            for path in glob::glob(pattern.as_str()).into_iter().flatten().flatten() {
                if group.exclude.iter().any(|exclude| exclude.matches_path(&path)) {
                    continue;
                }
                let Ok(metadata) = fs::metadata(&path) else { continue };
                if !metadata.is_file() {
                    continue;
                }
                if found.files.len() >= MAX_FILES {
                    found.too_many = true;
                    return found;
                }
                found.files.entry(key_of(&metadata)).or_insert_with(|| Found {
                    size: metadata.len(),
                    group: index,
                    pattern: pattern.as_str().to_owned(),
                    path,
                });
            }
        }
    }
    found
}

/// The group a path belongs to, whether or not a file is there.
pub(super) fn group_of<'a>(groups: &'a [Group], path: &Path) -> Option<&'a Group> {
    groups.iter().find(|group| {
        group.patterns.iter().any(|pattern| pattern.matches_path(path))
            && !group.exclude.iter().any(|exclude| exclude.matches_path(path))
    })
}

/// The directories in which new files may appear, as far as they are known without looking: the part of each pattern
/// before its first wildcard.
pub(super) fn roots(groups: &[Group]) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = groups
        .iter()
        .flat_map(|group| &group.patterns)
        .filter_map(root)
        .collect();
    roots.sort();
    roots.dedup();
    roots
}

fn root(pattern: &glob::Pattern) -> Option<PathBuf> {
    let plain: PathBuf = Path::new(pattern.as_str())
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    if plain.as_os_str().len() == pattern.as_str().len() {
        plain.parent().map(Path::to_path_buf)
    } else {
        Some(plain)
    }
}
