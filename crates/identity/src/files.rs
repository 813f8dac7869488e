//! Certificate and key files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Largest PEM file that is read, in bytes.
const MAX_PEM_BYTES: u64 = 1024 * 1024;

/// Where a process finds its identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Certificate of this process, PEM; certificates of intermediate authorities may follow.
    pub cert_file: PathBuf,
    /// Its private key, PEM, readable by nobody else.
    pub key_file: PathBuf,
    /// Certificates of the authorities that are trusted, PEM.
    pub ca_file: PathBuf,
}

/// Replaces a file in one step, readable and writable by its owner only (0600), durable when this returns.
///
/// # Errors
/// When the directory does not exist or cannot be written to.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace(path, bytes, 0o600)
}

/// Replaces a file in one step, readable by everybody (0644), durable when this returns.
///
/// # Errors
/// When the directory does not exist or cannot be written to.
pub fn write_public(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    replace(path, bytes, 0o644)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = write_beside(path, bytes, mode)?;
    fs::rename(&temporary, path).map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::io("replace", path, e)
    })?;
    sync_directory(path)
}

/// Like [`replace`], but fails with [`Error::Exists`] rather than replacing.
pub(crate) fn create(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let temporary = write_beside(path, bytes, mode)?;
    // A link, unlike a rename, never replaces what is there.
    let linked = fs::hard_link(&temporary, path);
    let _ = fs::remove_file(&temporary);
    linked.map_err(|e| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            Error::Exists(path.to_owned())
        } else {
            Error::io("create", path, e)
        }
    })?;
    sync_directory(path)
}

fn write_beside(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|e| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, e)
    })?;
    Ok(temporary)
}

fn sync_directory(path: &Path) -> Result<(), Error> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(|e| Error::io("sync", directory, e))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let size = fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
    if size > MAX_PEM_BYTES {
        return Err(Error::file(
            path,
            "a PEM file of at most 1 MiB",
            format!("{size} bytes"),
        ));
    }
    fs::read(path).map_err(|e| Error::io("read", path, e))
}

/// The certificates in a PEM file, at least one.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    const EXPECTED: &str = "PEM certificates";
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| Error::file(path, EXPECTED, e.to_string()))?;
    if certificates.is_empty() {
        return Err(Error::file(path, EXPECTED, "none"));
    }
    Ok(certificates)
}

/// The private key in a PEM file. Warns when others may read it.
pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let bytes = zeroize::Zeroizing::new(read(path)?);
    let mode = fs::metadata(path)
        .map_err(|e| Error::io("read", path, e))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            file = %path.display(),
            mode = %format_args!("{:04o}", mode & 0o7777),
            "private key is readable by others, chmod it to 0600"
        );
    }
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| Error::file(path, "a PEM private key", e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_private_even_when_it_replaces_a_public_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pem");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn create_refuses_to_replace() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.key");
        create(&path, b"one", 0o600).unwrap();
        assert!(matches!(create(&path, b"two", 0o600), Err(Error::Exists(p)) if p == path));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn errors_name_the_file_and_what_it_should_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cert.pem");
        assert!(read_certificates(&path).unwrap_err().to_string().contains("cert.pem"));
        fs::write(&path, "not pem at all").unwrap();
        let error = read_certificates(&path).unwrap_err().to_string();
        assert!(
            error.contains("cert.pem") && error.contains("PEM certificates"),
            "{error}"
        );
        assert!(read_key(&path).unwrap_err().to_string().contains("PEM private key"));
    }
}
