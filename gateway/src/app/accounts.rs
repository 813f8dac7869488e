//! Users and API keys, and the log of who changed them.

use model::{AccessRole, Timestamp};
use proto::{ErrorCode, ServiceError};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use storage::Store;
use storage::api_keys::{self, ApiKey};
use storage::audit::{self, Entry, NewEntry};
use storage::users::{self, User};
use uuid::Uuid;

use crate::auth::{self, Auth, Caller, check_new_password};
use crate::problem::{from_storage, invalid, quote};

/// Longest life of an API key, in days.
const MAX_KEY_DAYS: u64 = 3650;

/// Changes users and keys of the caller's tenant; each change is written to the audit log.
#[derive(Clone, Debug)]
pub struct Accounts {
    store: Store,
    auth: Auth,
}

/// A new key, with its text: the only time it is shown.
#[derive(Debug)]
pub struct NewApiKey {
    /// What is stored.
    pub key: ApiKey,
    /// What the program has to send.
    pub text: SecretString,
}

fn check_name(name: &str) -> Result<(), ServiceError> {
    let fits = (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@'));
    if fits {
        Ok(())
    } else {
        Err(invalid(format!(
            "name: expected 1 to 63 letters, digits, '-', '_', '.' or '@', got {}",
            quote(name)
        )))
    }
}

impl Accounts {
    /// Over this store; `auth` looks again at all credentials after each change.
    #[must_use]
    pub fn new(store: Store, auth: Auth) -> Self {
        Self { store, auth }
    }

    async fn record(
        &self,
        caller: &Caller,
        action: &str,
        object: &str,
        detail: serde_json::Value,
    ) -> Result<(), ServiceError> {
        self.auth.forget_verified();
        let entry = NewEntry {
            tenant: caller.tenant.clone(),
            actor: caller.actor.to_string(),
            action: action.to_owned(),
            object: object.to_owned(),
            detail,
        };
        audit::append(&self.store, entry).await.map_err(from_storage)
    }

    /// All users, by name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_users(&self, caller: &Caller) -> Result<Vec<User>, ServiceError> {
        users::list(&self.store, &caller.tenant).await.map_err(from_storage)
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When name or password do not fit, or [`ErrorCode::Conflict`] when the name is taken.
    pub async fn create_user(
        &self,
        caller: &Caller,
        name: &str,
        password: SecretString,
        role: AccessRole,
    ) -> Result<User, ServiceError> {
        check_name(name)?;
        check_new_password(password.expose_secret())?;
        let now = Timestamp::from_millis(Timestamp::now().as_millis());
        let user = User {
            tenant: caller.tenant.clone(),
            name: name.to_owned(),
            role,
            password_hash: self.auth.passwords().hash(password).await?,
            generation: Uuid::new_v4().to_string(),
            created_at: now,
            updated_at: now,
        };
        match users::insert(&self.store, &user).await {
            Ok(()) => {}
            Err(storage::Error::Duplicate(_)) => {
                let detail = format!("name: a user {name} exists already");
                return Err(ServiceError::new(ErrorCode::Conflict, detail));
            }
            Err(error) => return Err(from_storage(error)),
        }
        self.record(caller, "user.create", name, json!({ "role": role }))
            .await?;
        Ok(user)
    }

    /// Removes a user; its tokens become void.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when there is none, [`ErrorCode::Conflict`] for the last admin.
    pub async fn delete_user(&self, caller: &Caller, name: &str) -> Result<(), ServiceError> {
        let not_found = || ServiceError::new(ErrorCode::NotFound, format!("no user {}", quote(name)));
        let user = users::get(&self.store, &caller.tenant, name)
            .await
            .map_err(from_storage)?
            .ok_or_else(not_found)?;
        let admins = users::count(&self.store, &caller.tenant, AccessRole::Admin)
            .await
            .map_err(from_storage)?;
        if user.role == AccessRole::Admin && admins <= 1 {
            return Err(ServiceError::new(
                ErrorCode::Conflict,
                "the last admin cannot be deleted; make another one first",
            ));
        }
        if !users::delete(&self.store, &caller.tenant, name)
            .await
            .map_err(from_storage)?
        {
            return Err(not_found());
        }
        self.record(caller, "user.delete", name, json!({ "role": user.role }))
            .await
    }

    /// All API keys, by name.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_api_keys(&self, caller: &Caller) -> Result<Vec<ApiKey>, ServiceError> {
        api_keys::list(&self.store, &caller.tenant).await.map_err(from_storage)
    }

    /// Makes an API key.
    ///
    /// # Errors
    /// When name or life do not fit, or [`ErrorCode::Conflict`] when the name is taken.
    pub async fn create_api_key(
        &self,
        caller: &Caller,
        name: &str,
        role: AccessRole,
        expires_in_days: Option<u64>,
    ) -> Result<NewApiKey, ServiceError> {
        check_name(name)?;
        let now = Timestamp::from_millis(Timestamp::now().as_millis());
        let expires_at = match expires_in_days {
            None => None,
            Some(days) if (1..=MAX_KEY_DAYS).contains(&days) => {
                let micros = i64::try_from(days).unwrap_or(0).saturating_mul(86_400_000_000);
                Some(Timestamp(now.0.saturating_add(micros)))
            }
            Some(days) => {
                return Err(invalid(format!(
                    "expires_in_days: expected a number from 1 to {MAX_KEY_DAYS}, got {days}"
                )));
            }
        };
        let text = auth::new_api_key();
        let key = ApiKey {
            id: Uuid::now_v7().to_string(),
            tenant: caller.tenant.clone(),
            name: name.to_owned(),
            role,
            hash: api_keys::hash(text.expose_secret()),
            created_at: now,
            expires_at,
            last_used_at: None,
        };
        match api_keys::insert(&self.store, &key).await {
            Ok(()) => {}
            Err(storage::Error::Duplicate(_)) => {
                let detail = format!("name: an API key {name} exists already");
                return Err(ServiceError::new(ErrorCode::Conflict, detail));
            }
            Err(error) => return Err(from_storage(error)),
        }
        let detail = json!({ "id": key.id, "role": role, "expires_at": expires_at });
        self.record(caller, "api_key.create", name, detail).await?;
        Ok(NewApiKey { key, text })
    }

    /// Removes an API key; it stops working at once here, and within ten seconds on other gateways.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when there is none.
    pub async fn delete_api_key(&self, caller: &Caller, id: &str) -> Result<(), ServiceError> {
        let key = api_keys::delete(&self.store, &caller.tenant, id)
            .await
            .map_err(from_storage)?
            .ok_or_else(|| ServiceError::new(ErrorCode::NotFound, format!("no API key {}", quote(id))))?;
        let detail = json!({ "id": key.id, "role": key.role });
        self.record(caller, "api_key.delete", &key.name, detail).await
    }

    /// The newest entries of the audit log, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn audit_log(&self, caller: &Caller, limit: usize) -> Result<Vec<Entry>, ServiceError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        audit::list(&self.store, &caller.tenant, limit)
            .await
            .map_err(from_storage)
    }
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_are_bounded() {
        for good in ["a", "Ana.B-c_d@example.com", &"x".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a:b", "a/b", "ä", "a\n", &"x".repeat(64)] {
            assert!(check_name(bad).unwrap_err().detail.starts_with("name: "), "{bad}");
        }
    }
}
