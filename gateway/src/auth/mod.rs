//! Who is calling, and how they prove it: an API key, a token, or name and password.
//!
//! Whatever was proven is remembered for [`REMEMBERED`], so that Basic on every request does not cost a password hash
//! each time. A change made through this gateway takes effect at once; one made through another gateway within that
//! time.

mod bootstrap;
mod caller;
mod credentials;
mod password;
mod throttle;
mod token;
mod verified;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::{Tenant, Timestamp};
use proto::{ErrorCode, ServiceError};
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretString};
use storage::{Store, api_keys, users};
use subtle::ConstantTimeEq as _;

pub use bootstrap::{ensure_admin, ensure_api_key};
pub use caller::{Actor, Caller};
pub use credentials::Credentials;
pub use password::{MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES, Passwords, check_new_password};
pub use token::{Claims, MIN_KEY_BYTES, TTL_SECS, Tokens};

use crate::problem::from_storage;
use throttle::Throttle;
use verified::Verified;

/// How long proven credentials are taken without looking again.
pub const REMEMBERED: Duration = Duration::from_secs(10);
/// Every API key begins with this, so that secret scanners can find one that leaked.
pub const API_KEY_PREFIX: &str = "pk_";
/// Name under which failures of API keys and tokens are counted; no user can have it.
const NO_NAME: &str = "";

/// Verifies credentials; cheap to clone.
#[derive(Clone, Debug)]
pub struct Auth {
    store: Store,
    tenant: Tenant,
    passwords: Passwords,
    tokens: Tokens,
    throttle: Arc<Throttle>,
    verified: Arc<Verified>,
}

/// `N` random bytes as URL-safe base64.
pub(crate) fn random_text<const N: usize>() -> String {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A fresh API key.
#[must_use]
pub fn new_api_key() -> SecretString {
    format!("{API_KEY_PREFIX}{}", random_text::<32>()).into()
}

impl Auth {
    /// Users are looked up in `tenant`; API keys and tokens carry theirs.
    #[must_use]
    pub fn new(store: Store, tenant: Tenant, passwords: Passwords, tokens: Tokens) -> Self {
        Self {
            store,
            tenant,
            passwords,
            tokens,
            throttle: Arc::default(),
            verified: Arc::default(),
        }
    }

    /// Hashes passwords of new users.
    #[must_use]
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Makes this gateway look again at all credentials; to be called after each change of users and keys.
    pub fn forget_verified(&self) {
        self.verified.clear();
    }

    /// Who sent these headers; `None` when they hold no credentials.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthenticated`] when the credentials are wrong, [`ErrorCode::RateLimited`] after too many
    /// failures, [`ErrorCode::Unavailable`] when the database is away.
    pub async fn authenticate(&self, headers: &HeaderMap, address: IpAddr) -> Result<Option<Caller>, ServiceError> {
        let Some(credentials) = Credentials::from_headers(headers)? else {
            return Ok(None);
        };
        self.verify(credentials, address).await.map(Some)
    }

    /// Issues a token for a user that proved name and password in these headers.
    ///
    /// # Errors
    /// As [`Self::authenticate`]; also when the headers hold anything but name and password.
    pub async fn issue_token(&self, headers: &HeaderMap, address: IpAddr) -> Result<String, ServiceError> {
        let Some(Credentials::Basic { name, password }) = Credentials::from_headers(headers)? else {
            return Err(unauthenticated(
                "authorization: expected HTTP Basic with name and password",
            ));
        };
        let user = self.check_password(&name, password, address).await?;
        let now = Timestamp::now().as_secs();
        self.tokens
            .issue(&user.tenant, &user.name, user.role, &user.generation, now)
    }

    async fn verify(&self, credentials: Credentials, address: IpAddr) -> Result<Caller, ServiceError> {
        let mark = self.verified.mark(&credentials);
        if let Some(caller) = self.verified.get(&mark, Instant::now()) {
            return Ok(caller);
        }
        let generation = self.verified.generation();
        let (caller, valid_for) = match credentials {
            Credentials::Basic { name, password } => {
                let user = self.check_password(&name, password, address).await?;
                (user_caller(&user), REMEMBERED)
            }
            Credentials::Bearer(token) => self.check_token(&token, address).await?,
            Credentials::ApiKey(key) => self.check_api_key(&key, address).await?,
        };
        let until = Instant::now() + valid_for.min(REMEMBERED);
        self.verified.put(mark, caller.clone(), until, generation);
        Ok(caller)
    }

    async fn check_password(
        &self,
        name: &str,
        password: SecretString,
        address: IpAddr,
    ) -> Result<users::User, ServiceError> {
        if let Some(wait) = self.throttle.wait(name, address, Instant::now()) {
            metrics::counter!("picket_gateway_logins_failed_total", "reason" => "throttled").increment(1);
            return Err(too_many_failures(wait));
        }
        let user = users::get(&self.store, &self.tenant, name)
            .await
            .map_err(from_storage)?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let matches = self.passwords.verify(password, hash).await?;
        match user.filter(|_| matches) {
            Some(user) => {
                self.throttle.succeed(name, address);
                Ok(user)
            }
            None => Err(self.refuse(name, "password", address)),
        }
    }

    async fn check_token(&self, token: &SecretString, address: IpAddr) -> Result<(Caller, Duration), ServiceError> {
        let Some(claims) = self.tokens.verify(token.expose_secret()) else {
            return Err(self.refuse(NO_NAME, "token", address));
        };
        let user = users::get(&self.store, &claims.tenant, &claims.sub)
            .await
            .map_err(from_storage)?;
        let current = user.filter(|user| {
            let (ours, theirs) = (user.generation.as_bytes(), claims.generation.as_bytes());
            bool::from(ours.ct_eq(theirs))
        });
        match current {
            Some(user) => {
                let left = claims.exp.saturating_sub(Timestamp::now().as_secs());
                let valid_for = Duration::from_secs(u64::try_from(left).unwrap_or(0));
                Ok((user_caller(&user), valid_for))
            }
            None => Err(self.refuse(NO_NAME, "token", address)),
        }
    }

    async fn check_api_key(&self, key: &SecretString, address: IpAddr) -> Result<(Caller, Duration), ServiceError> {
        let hash = api_keys::hash(key.expose_secret());
        let found = api_keys::find(&self.store, &hash).await.map_err(from_storage)?;
        let now = Timestamp::now();
        let current = found.filter(|key| {
            let matches = bool::from(key.hash.ct_eq(&hash));
            matches && key.expires_at.is_none_or(|at| now < at)
        });
        let Some(key) = current else {
            return Err(self.refuse(NO_NAME, "api key", address));
        };
        if let Err(error) = api_keys::touch(&self.store, &key, now).await {
            tracing::warn!(key = key.name, error = %error, "api key's last use not noted");
        }
        let valid_for = key.expires_at.map_or(REMEMBERED, |at| {
            Duration::from_micros(u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0))
        });
        let caller = Caller {
            tenant: key.tenant,
            actor: Actor::Key {
                id: key.id,
                name: key.name,
            },
            role: key.role,
        };
        Ok((caller, valid_for))
    }

    /// Counts, logs and answers a failure.
    fn refuse(&self, name: &str, kind: &'static str, address: IpAddr) -> ServiceError {
        let now = Instant::now();
        let wait = self.throttle.wait(name, address, now);
        self.throttle.fail(name, address, now);
        metrics::counter!("picket_gateway_logins_failed_total", "reason" => kind).increment(1);
        match wait {
            Some(wait) => too_many_failures(wait),
            None => {
                tracing::warn!(user = ?name, kind, %address, "login refused");
                unauthenticated("the credentials are wrong, expired or revoked")
            }
        }
    }
}

fn user_caller(user: &users::User) -> Caller {
    Caller {
        tenant: user.tenant.clone(),
        actor: Actor::User {
            name: user.name.clone(),
        },
        role: user.role,
    }
}

/// The answer to a request without proof of who sent it.
pub(crate) fn unauthenticated(detail: &str) -> ServiceError {
    ServiceError::new(ErrorCode::Unauthenticated, detail)
}

fn too_many_failures(wait: Duration) -> ServiceError {
    ServiceError::new(ErrorCode::RateLimited, "too many failed logins; try again later").with_retry_after(wait)
}
