//! Where the detection rules are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::UsageError;
use super::dirs::{self, Dirs};
use super::embedded::RULES;

/// Finds the rules: what was asked for, a checkout's, those beside the program, else the pack in this program. Gives the
/// directory and what to say of it.
pub(super) fn find(place: &Dirs, asked: Option<&Path>) -> anyhow::Result<(PathBuf, String)> {
    if let Some(dir) = asked {
        if !dir.is_dir() {
            return Err(UsageError(format!("--rules {}: expected a directory", dir.display())).into());
        }
        let dir = std::path::absolute(dir).with_context(|| format!("--rules {}", dir.display()))?;
        let text = format!("rules from {}", dir.display());
        return Ok((dir, text));
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.join("rules")));
    let found = checkout().or_else(|| beside.filter(|dir| dir.is_dir()));
    if let Some(dir) = found {
        let text = format!("rules from {}", dir.display());
        return Ok((dir, text));
    }
    let dir = place.rules();
    unpack(&dir)?;
    let text = format!("{} rules of this program, kept in {}", RULES.len(), dir.display());
    Ok((dir, text))
}

/// The rules of the checkout that this is run in.
fn checkout() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .find(|dir| dir.join("picket/Cargo.toml").is_file() && dir.join("rules").is_dir())
        .map(|dir| dir.join("rules"))
}

/// Writes the pack where it differs; rules that an operator added beside it stay.
fn unpack(dir: &Path) -> anyhow::Result<()> {
    for (name, text) in RULES {
        let path = dir.join(name);
        if fs::read_to_string(&path).is_ok_and(|known| known == *text) {
            continue;
        }
        dirs::make(path.parent().unwrap_or(dir))?;
        identity::write_public(&path, text.as_bytes()).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pack_is_written_and_additions_stay() {
        let temp = tempfile::tempdir().unwrap();
        let own = temp.path().join("own.yml");
        fs::write(&own, "title: own").unwrap();
        unpack(temp.path()).unwrap();
        assert!(own.exists());
        assert!(RULES.len() >= 25);
        let (name, text) = RULES[0];
        assert_eq!(fs::read_to_string(temp.path().join(name)).unwrap(), text);
        assert!(RULES.iter().all(|(name, _)| !name.contains(".test.")));
    }
}
