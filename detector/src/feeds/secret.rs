//! Where secrets and files of feeds are, and no further.

use std::path::{Path, PathBuf};

use bootstrap::Secret;
use model::feed::{Auth, SecretRef};

use super::error::Error;

/// Longest secret in bytes.
const MAX_SECRET: u64 = 16 * 1024;

/// From where files and secrets may be taken.
#[derive(Clone, Debug)]
pub(crate) enum Places {
    /// From below these directories only; an empty one means none.
    Below {
        /// Of feeds that are files.
        files: PathBuf,
        /// Of secrets and authorities.
        secrets: PathBuf,
    },
    /// From anywhere: what is read is the reader's own.
    Anywhere,
}

/// How to authenticate, with the secret.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    None,
    Basic(String, Secret),
    Bearer(Secret),
    Header(String, Secret),
    Url(Secret),
}

impl Places {
    /// The file of a feed.
    pub(crate) fn file(&self, path: &str) -> Result<PathBuf, Error> {
        match self {
            Self::Below { files, .. } => below(files, path, "path", "feeds.files_dir"),
            Self::Anywhere => Ok(PathBuf::from(path)),
        }
    }

    /// A file beside the secrets, such as an authority.
    pub(crate) fn secret_file(&self, path: &str, field: &str) -> Result<PathBuf, Error> {
        match self {
            Self::Below { secrets, .. } => below(secrets, path, field, "feeds.secrets_dir"),
            Self::Anywhere => Ok(PathBuf::from(path)),
        }
    }

    /// Reads the secret that `auth` refers to.
    pub(crate) fn credentials(&self, auth: &Auth) -> Result<Credentials, Error> {
        let Some(reference) = auth.secret() else {
            return Ok(Credentials::None);
        };
        let secret = self.secret(reference)?;
        Ok(match auth {
            Auth::None => Credentials::None,
            Auth::Basic { username, .. } => Credentials::Basic(username.clone(), secret),
            Auth::Bearer { .. } => Credentials::Bearer(secret),
            Auth::Header { name, .. } => Credentials::Header(name.clone(), secret),
            Auth::Url { .. } => Credentials::Url(secret),
        })
    }

    fn secret(&self, reference: &SecretRef) -> Result<Secret, Error> {
        let (name, text) = match (&reference.secret_env, &reference.secret_file) {
            (Some(name), _) => {
                let text = std::env::var(name)
                    .map_err(|_| Error::failed(format!("auth.secret_env: the detector's environment has no {name}")))?;
                (name, text)
            }
            (None, Some(file)) => {
                let path = self.secret_file(file, "auth.secret_file")?;
                (
                    file,
                    read_small(&path).map_err(|error| Error::failed(format!("auth.secret_file {file}: {error}")))?,
                )
            }
            (None, None) => return Err(Error::failed("auth: expected secret_file or secret_env")),
        };
        let text = text.trim();
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Error::failed(format!("auth: expected one line of text in {name}")));
        }
        Ok(Secret::from(text.to_owned()))
    }
}

fn read_small(path: &Path) -> Result<String, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_SECRET {
        return Err(format!("expected at most {MAX_SECRET} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

/// The path, when it leads to something below `directory` after every link is followed.
fn below(directory: &Path, path: &str, field: &str, setting: &str) -> Result<PathBuf, Error> {
    if directory.as_os_str().is_empty() {
        let message = format!("{field}: this detector has no directory for it; configure {setting}");
        return Err(Error::failed(message));
    }
    let told = |error: std::io::Error| Error::failed(format!("{field} {path}: {error}"));
    let directory = directory
        .canonicalize()
        .map_err(|error| Error::failed(format!("{setting} {}: {error}", directory.display())))?;
    let found = directory.join(path).canonicalize().map_err(told)?;
    if found.starts_with(&directory) {
        Ok(found)
    } else {
        Err(Error::failed(format!(
            "{field} {path}: expected a path below {setting}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_directory_is_read() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("key"), "secret").unwrap();
        std::fs::write(inside.path().join("key"), "inner\n").unwrap();
        std::os::unix::fs::symlink(outside.path().join("key"), inside.path().join("link")).unwrap();
        let places = Places::Below {
            files: PathBuf::new(),
            secrets: inside.path().to_owned(),
        };
        let read = |file: &str| {
            places.secret(&SecretRef {
                secret_file: Some(file.to_owned()),
                secret_env: None,
            })
        };
        assert_eq!(read("key").unwrap().expose(), "inner");
        for file in ["link", "../key", "none", "/etc/passwd"] {
            let error = read(file).unwrap_err().to_string();
            assert!(
                error.contains("auth.secret_file") && !error.contains("inner"),
                "{error}"
            );
        }
        let error = places.file("list.txt").unwrap_err().to_string();
        assert!(error.contains("feeds.files_dir"), "{error}");
    }
}
