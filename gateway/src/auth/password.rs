//! Password hashing: argon2id, off the runtime's threads, a few at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use proto::{ErrorCode, ServiceError};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use crate::problem;

/// Shortest password that is taken, in bytes.
pub const MIN_PASSWORD_BYTES: usize = 10;
/// Longest password that is taken, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 256;

/// KiB of memory for one hash (OWASP: m=19 MiB, t=2, p=1).
const MEMORY_KIB: u32 = 19 * 1024;
const ITERATIONS: u32 = 2;
const LANES: u32 = 1;
/// How long a login waits for its turn before it is told to come back.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// Hashes and verifies passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Verified against for names nobody has, so that a wrong name takes as long as a wrong password.
    nobody: Arc<str>,
}

#[derive(Debug, thiserror::Error)]
#[error("hash a password: {0}")]
struct HashError(String);

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params = Params::new(MEMORY_KIB, ITERATIONS, LANES, None).map_err(|error| HashError(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash_now(password: &str) -> Result<String, HashError> {
    argon2()?
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| HashError(error.to_string()))
}

impl Passwords {
    /// At most `concurrency` hashes are computed at once.
    ///
    /// # Errors
    /// When the parameters do not fit the hash function.
    pub async fn new(concurrency: usize) -> Result<Self, ServiceError> {
        let turns = Arc::new(Semaphore::new(concurrency.max(1)));
        let mut passwords = Self {
            turns,
            nobody: Arc::from(""),
        };
        let random = SecretString::from(super::random_text::<32>());
        passwords.nobody = passwords.hash(random).await?.into();
        Ok(passwords)
    }

    /// The PHC string of a password.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] when too many others are waiting.
    pub async fn hash(&self, password: SecretString) -> Result<String, ServiceError> {
        self.run(move || hash_now(password.expose_secret()))
            .await?
            .map_err(|error| problem::internal("argon2", &error))
    }

    /// Whether the password belongs to the hash; always false, after the same work, when there is no hash.
    ///
    /// # Errors
    /// [`ErrorCode::Unavailable`] when too many others are waiting.
    pub async fn verify(&self, password: SecretString, hash: Option<String>) -> Result<bool, ServiceError> {
        let known = hash.is_some();
        let text = hash.unwrap_or_else(|| self.nobody.as_ref().to_owned());
        let matches = self
            .run(move || {
                let parsed = PasswordHash::new(&text).map_err(|error| HashError(error.to_string()))?;
                Ok(argon2()?
                    .verify_password(password.expose_secret().as_bytes(), &parsed)
                    .is_ok())
            })
            .await?
            .map_err(|error: HashError| problem::internal("argon2", &error))?;
        Ok(matches && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServiceError> {
        let busy = || {
            ServiceError::new(ErrorCode::Unavailable, "too many logins at once; try again")
                .with_retry_after(Duration::from_secs(2))
        };
        let turn = tokio::time::timeout(QUEUE_TIMEOUT, self.turns.clone().acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())?;
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(|error| problem::internal("argon2", &error))
    }
}

/// Checks a password that somebody chose.
///
/// # Errors
/// Naming the field and the length that is expected.
pub fn check_new_password(password: &str) -> Result<(), ServiceError> {
    if (MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES).contains(&password.len()) {
        Ok(())
    } else {
        Err(problem::invalid(format!(
            "password: expected {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_verifies() {
        let passwords = Passwords::new(2).await.unwrap();
        let hash = passwords.hash("correct horse".to_owned().into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = |password: &str, hash: Option<&str>| {
            let passwords = passwords.clone();
            let (password, hash) = (password.to_owned(), hash.map(str::to_owned));
            async move { passwords.verify(password.into(), hash).await }
        };
        assert!(verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!verify("correct hors", Some(&hash)).await.unwrap());
        assert!(!verify("correct horse", None).await.unwrap());
    }

    #[test]
    fn passwords_have_bounds() {
        assert!(check_new_password("short").is_err());
        assert!(check_new_password(&"x".repeat(300)).is_err());
        assert!(check_new_password("long enough").is_ok());
    }
}
