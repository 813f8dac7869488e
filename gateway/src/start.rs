//! Putting it together.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use arc_swap::ArcSwap;
use axum::middleware::from_fn_with_state;
use bootstrap::grpc::Limits as ServerLimits;
use bootstrap::{Context, Running, http, tls};
use identity::{Authorities, ClientAuth, Identity, RevocationList, Serial};
use model::node::{Node, Role};
use model::{NodeId, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use storage::{Store, certificates, nodes};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::app::accounts::Accounts;
use crate::app::events::Events;
use crate::app::peers::Peers;
use crate::app::watchers::Watchers;
use crate::auth::{self, Auth, MIN_KEY_BYTES, Passwords, Tokens};
use crate::config::Config;
use crate::limits::Limits;
use crate::state::App;
use crate::{grpc, rest};

/// Pause between two tries to reach the database at the start.
const RETRY: Duration = Duration::from_millis(500);
/// Largest secret file, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Runs a gateway as a process of its own, with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(std::env::args_os().skip(1))
}

/// Runs a gateway as a process of its own, with these arguments (without the program's name).
#[must_use]
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    bootstrap::run_service("gateway", args, start)
}

/// Starts a gateway. When it returns, the port accepts connections and the configured admin and API key work.
/// Everything it does ends when the context's shutdown is requested.
///
/// # Errors
/// When the certificate is not a gateway's of this name, a secret file cannot be used, or an address cannot be bound.
pub async fn start(config: Config, ctx: Context) -> anyhow::Result<Running> {
    let started_at = Timestamp::now();
    let node: NodeId = config.node.parse().context("read node")?;
    let identity = load_identity(&config)?;
    let tokens = load_tokens(config.auth.jwt_key_file.as_deref())?;
    let admin_password = config
        .auth
        .admin_password_file
        .as_deref()
        .map(read_secret)
        .transpose()?;
    let api_key = config.auth.api_key_file.as_deref().map(read_secret).transpose()?;
    let store = Store::connect(config.mongodb.uri.expose(), &config.mongodb.database, "picket-gateway")
        .await
        .context("read mongodb.uri")?;
    let listener = tls::bind_for(config.http.addr, "http.addr").await?;
    let addr = listener.local_addr().context("read the bound address")?;
    let (ready, is_ready) = watch::channel(false);
    let admin_addr = bootstrap::admin::serve(config.admin.addr, ctx.clone(), is_ready).await?;

    prepare_database(&store, &ctx.shutdown).await?;
    let hashes_at_once = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let passwords = Passwords::new(hashes_at_once)
        .await
        .context("set up password hashing")?;
    if let Some(password) = admin_password {
        auth::ensure_admin(&store, &passwords, &config.tenant, &node, password).await?;
    }
    if let Some(key) = api_key {
        auth::ensure_api_key(&store, &config.tenant, &node, &key).await?;
    }

    let revoked = follow_revocations(&store, &ctx);
    let auth = Auth::new(store.clone(), config.tenant.clone(), passwords, tokens);
    let limits = Arc::new(Limits::new(&config.rate_limit));
    let peers = Peers::new(store.clone(), identity.clone(), revoked.clone());
    let app = App {
        accounts: Accounts::new(store.clone(), auth.clone()),
        auth,
        events: Events::new(store.clone(), &config.search),
        peers: peers.clone(),
        authorities: Arc::new(Authorities::load(&config.tls.ca_file).context("read tls.ca_file")?),
        watchers: Watchers::new(config.http.max_watches_per_identity, config.http.max_watches),
        limits: limits.clone(),
        http: Arc::new(config.http.clone()),
        shutdown: ctx.shutdown.clone(),
        store: store.clone(),
    };
    spawn_upkeep(&ctx, &config, limits, peers);
    let (grpc, health) = grpc::router(&app).await?;
    let router = rest::router(&app, grpc)
        .layer(from_fn_with_state(app.clone(), rest::envelope))
        .layer(from_fn_with_state(app, rest::read_leftover));
    let tls = identity::server_config(&identity, ClientAuth::None, &revoked).context("set up TLS")?;
    let tls = Arc::new(ArcSwap::new(tls));
    ctx.tasks.spawn(
        "certificate",
        tls::follow_files(
            config.tls.clone(),
            tls.clone(),
            ClientAuth::None,
            revoked,
            ctx.shutdown.clone(),
        ),
    );
    let server_limits = ServerLimits {
        max_connections: config.http.max_connections,
        ..ServerLimits::default()
    };
    ctx.tasks.spawn(
        "server",
        http::serve(listener, tls, router, server_limits, ctx.shutdown.clone()),
    );
    register(&ctx, store, node, addr.to_string(), started_at);
    ready.send_replace(true);
    let shutdown = ctx.shutdown.clone();
    ctx.tasks.spawn("readiness", async move {
        shutdown.cancelled().await;
        ready.send_replace(false);
        grpc::set_stopping(&health).await;
        Ok(())
    });
    tracing::info!(%addr, "gateway is ready");
    Ok(Running {
        addr,
        admin_addr: Some(admin_addr),
    })
}

fn load_identity(config: &Config) -> anyhow::Result<Identity> {
    let identity = Identity::load(&config.tls).context("load the node's certificate")?;
    let id = identity.id();
    if id.role != Role::Gateway || id.id != config.node {
        bail!(
            "tls.cert_file: expected the certificate of gateway {}, got that of {id}",
            config.node
        );
    }
    Ok(identity)
}

fn read_secret(path: &Path) -> anyhow::Result<SecretString> {
    let describe = || format!("read the secret in {}", path.display());
    let size = std::fs::metadata(path).with_context(describe)?.len();
    ensure!(
        size <= MAX_SECRET_BYTES,
        "{}: expected at most {MAX_SECRET_BYTES} bytes, got {size}",
        path.display()
    );
    let text: SecretString = std::fs::read_to_string(path).with_context(describe)?.into();
    let trimmed = text.expose_secret().trim();
    ensure!(
        !trimmed.is_empty(),
        "{}: expected a secret, the file is empty",
        path.display()
    );
    Ok(trimmed.to_owned().into())
}

/// A key of random bytes is taken as it is, white space and all.
fn load_tokens(path: Option<&Path>) -> anyhow::Result<Tokens> {
    let Some(path) = path else {
        tracing::info!("auth.jwt_key_file is not set, tokens are valid for this process only");
        let key: SecretString = auth::random_text::<32>().into();
        return Ok(Tokens::new(key.expose_secret().as_bytes()));
    };
    let key = std::fs::read(path).with_context(|| format!("read auth.jwt_key_file {}", path.display()))?;
    ensure!(
        key.len() >= MIN_KEY_BYTES,
        "auth.jwt_key_file {}: expected at least {MIN_KEY_BYTES} bytes, got {}",
        path.display(),
        key.len()
    );
    Ok(Tokens::new(&key))
}

/// Waits for the database as long as it takes.
async fn prepare_database(store: &Store, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut is_logged = false;
    loop {
        match store.ensure_indexes().await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_retryable() => {
                if !is_logged {
                    tracing::warn!(%error, "waiting for the database");
                    is_logged = true;
                }
            }
            Err(error) => return Err(error).context("prepare the database"),
        }
        tokio::select! {
            () = shutdown.cancelled() => bail!("stopped while waiting for the database"),
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

fn follow_revocations(store: &Store, ctx: &Context) -> RevocationList {
    let revoked = RevocationList::default();
    let list = revoked.clone();
    let apply = move |serials: Vec<String>| {
        let serials = serials.iter().filter_map(|serial| serial.parse::<Serial>().ok());
        list.set(serials.collect());
    };
    let following = certificates::follow_revocations(store.clone(), apply, ctx.shutdown.clone());
    ctx.tasks.spawn("revocations", async move {
        following.await;
        Ok(())
    });
    revoked
}

fn spawn_upkeep(ctx: &Context, config: &Config, limits: Arc<Limits>, peers: Peers) {
    let shutdown = ctx.shutdown.clone();
    ctx.tasks.spawn("rate limits", async move {
        tokio::select! {
            () = limits.sweep() => {}
            () = shutdown.cancelled() => {}
        }
        Ok(())
    });
    let renew = move |identity: Identity| peers.set_identity(identity);
    ctx.tasks.spawn(
        "client certificate",
        tls::follow_identity(config.tls.clone(), renew, ctx.shutdown.clone()),
    );
}

fn register(ctx: &Context, store: Store, node: NodeId, addr: String, started_at: Timestamp) {
    let registered = Node {
        id: node,
        role: Role::Gateway,
        addr,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        heartbeat_at: started_at,
        rules_at: None,
    };
    let beating = nodes::register_and_beat(store, registered, ctx.shutdown.clone());
    ctx.tasks.spawn("heartbeat", async move {
        beating.await;
        Ok(())
    });
}
