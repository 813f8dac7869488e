//! Health and metrics over plain HTTP, for probes and Prometheus.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use crate::context::Context;
use crate::{metrics, tls};

/// How long a request in flight may delay the end.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// Serves `/live` (200 while the process runs), `/ready` and the same as `/health` (200 while `ready` is true and no
/// shutdown has begun, else 503) and `/metrics` (Prometheus text). Returns the address it listens on.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(addr: SocketAddr, ctx: Context, ready: watch::Receiver<bool>) -> anyhow::Result<SocketAddr> {
    let listener = tls::bind_for(addr, "admin.addr").await?;
    let bound = listener.local_addr().context("read the admin address")?;
    let shutdown = ctx.shutdown.clone();
    ctx.tasks.spawn(
        "metrics-upkeep",
        metrics::upkeep(ctx.metrics().clone(), shutdown.clone()),
    );
    let tasks = ctx.tasks.clone();
    let router = Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(show_ready))
        .route("/health", get(show_ready))
        .route("/metrics", get(show_metrics))
        .with_state(Admin { ctx, ready });
    tasks.spawn("admin", async move {
        let serve = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let deadline = async {
            shutdown.cancelled().await;
            tokio::time::sleep(CLOSE_GRACE).await;
        };
        tokio::select! {
            result = serve.into_future() => result.context("serve the admin port"),
            () = deadline => Ok(()),
        }
    });
    Ok(bound)
}

#[derive(Clone)]
struct Admin {
    ctx: Context,
    ready: watch::Receiver<bool>,
}

async fn show_ready(State(admin): State<Admin>) -> Response {
    if admin.ctx.shutdown.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
    } else if *admin.ready.borrow() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response()
    }
}

async fn show_metrics(State(admin): State<Admin>) -> Response {
    let text = admin.ctx.metrics().render();
    (
        [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        text,
    )
        .into_response()
}
