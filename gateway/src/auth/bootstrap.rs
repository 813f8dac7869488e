//! The first user and the first API key, from files that whoever starts the gateway wrote.

use anyhow::{Context as _, ensure};
use model::{AccessRole, NodeId, Tenant, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use storage::api_keys::ApiKey;
use storage::audit::{self, NewEntry};
use storage::users::User;
use storage::{Store, api_keys, users};
use uuid::Uuid;

use super::{Passwords, check_new_password};

/// Name of the first user.
const ADMIN: &str = "admin";
/// Name of the first API key.
const FIRST_KEY: &str = "up";

fn entry(tenant: &Tenant, node: &NodeId, action: &str, object: &str) -> NewEntry {
    NewEntry {
        tenant: tenant.clone(),
        actor: format!("node:{node}"),
        action: action.to_owned(),
        object: object.to_owned(),
        detail: json!({ "role": AccessRole::Admin, "from": "configuration" }),
    }
}

/// Makes sure that user `admin` exists and has this password: who may write the gateway's files may sign in.
///
/// # Errors
/// When the password is too short or too long, or the database is away.
pub async fn ensure_admin(
    store: &Store,
    passwords: &Passwords,
    tenant: &Tenant,
    node: &NodeId,
    password: SecretString,
) -> anyhow::Result<()> {
    check_new_password(password.expose_secret()).context("check auth.admin_password_file")?;
    let now = Timestamp::from_millis(Timestamp::now().as_millis());
    let existing = users::get(store, tenant, ADMIN).await.context("look up user admin")?;
    if let Some(user) = &existing
        && user.role == AccessRole::Admin
        && passwords
            .verify(password.clone(), Some(user.password_hash.clone()))
            .await
            .context("verify the admin password")?
    {
        return Ok(());
    }
    let user = User {
        tenant: tenant.clone(),
        name: ADMIN.to_owned(),
        role: AccessRole::Admin,
        password_hash: passwords.hash(password).await.context("hash the admin password")?,
        generation: Uuid::new_v4().to_string(),
        created_at: existing.as_ref().map_or(now, |user| user.created_at),
        updated_at: now,
    };
    let action = if existing.is_some() {
        users::replace(store, &user).await.context("change user admin")?;
        "user.change"
    } else {
        match users::insert(store, &user).await {
            // Another gateway that starts with the same file was faster.
            Ok(()) | Err(storage::Error::Duplicate(_)) => "user.create",
            Err(error) => return Err(error).context("create user admin"),
        }
    };
    audit::append(store, entry(tenant, node, action, ADMIN))
        .await
        .context("write the audit log")?;
    tracing::info!(user = ADMIN, action, "user set up from the configured file");
    Ok(())
}

/// Makes sure that API key `up` exists with this text and role admin.
///
/// # Errors
/// When the text is too short or not printable, or the database is away.
pub async fn ensure_api_key(store: &Store, tenant: &Tenant, node: &NodeId, key: &SecretString) -> anyhow::Result<()> {
    let text = key.expose_secret();
    // Whoever configures a key may have one from elsewhere, so only its strength is checked, not its prefix.
    ensure!(
        (32..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()),
        "auth.api_key_file: expected 32 to 256 random printable ASCII characters without spaces"
    );
    let hash = api_keys::hash(text);
    let existing = api_keys::get(store, tenant, FIRST_KEY)
        .await
        .context("look up API key up")?;
    let action = match existing {
        Some(key) if key.hash == hash => return Ok(()),
        Some(key) => {
            api_keys::replace_hash(store, tenant, &key.id, &hash)
                .await
                .context("change API key up")?;
            "api_key.change"
        }
        None => {
            let key = ApiKey {
                id: Uuid::now_v7().to_string(),
                tenant: tenant.clone(),
                name: FIRST_KEY.to_owned(),
                role: AccessRole::Admin,
                hash,
                created_at: Timestamp::now(),
                expires_at: None,
                last_used_at: None,
            };
            match api_keys::insert(store, &key).await {
                Ok(()) | Err(storage::Error::Duplicate(_)) => "api_key.create",
                Err(error) => return Err(error).context("create API key up"),
            }
        }
    };
    audit::append(store, entry(tenant, node, action, FIRST_KEY))
        .await
        .context("write the audit log")?;
    tracing::info!(key = FIRST_KEY, action, "api key set up from the configured file");
    Ok(())
}
