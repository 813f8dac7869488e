//! Putting it together.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use bootstrap::grpc::Limits;
use bootstrap::{Context, Running, grpc, tls};
use identity::{ClientAuth, Identity, RevocationList, Serial};
use model::node::{Node, Role};
use model::{NodeId, Timestamp};
use proto::response::v1::response_service_server::ResponseServiceServer;
use storage::{Store, certificates, nodes};
use tokio::sync::watch;

use crate::Config;
use crate::response::Responses;

/// Runs a responder as a process of its own, with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    main_with(std::env::args_os().skip(1))
}

/// Runs a responder as a process of its own, with arguments as on a command line, without the program's name.
#[must_use]
pub fn main_with(args: impl Iterator<Item = OsString>) -> ExitCode {
    bootstrap::run_service("responder", args, start)
}

/// Starts a responder. When it returns, the gRPC server accepts connections. Everything it does ends when the
/// context's shutdown is requested. A database that is away does not keep it from starting: it registers when it can.
///
/// # Errors
/// When the certificate is not a responder's of this name, or an address cannot be bound.
pub async fn start(config: Config, ctx: Context) -> anyhow::Result<Running> {
    let started_at = Timestamp::now();
    let node: NodeId = config.node.parse().context("read node")?;
    let identity = Identity::load(&config.tls).context("load the node's certificate")?;
    let id = identity.id();
    if id.role != Role::Responder || id.id != config.node {
        bail!("tls.cert_file: expected the certificate of responder {node}, got that of {id}");
    }
    let store = Store::connect(
        config.mongodb.uri.expose(),
        &config.mongodb.database,
        "picket-responder",
    )
    .await
    .context("read mongodb.uri")?;
    let listener = tls::bind_for(config.grpc.addr, "grpc.addr").await?;
    let addr = listener.local_addr().context("read the bound address")?;
    let (_, is_ready) = watch::channel(true);
    let admin_addr = bootstrap::admin::serve(config.admin.addr, ctx.clone(), is_ready).await?;

    let revoked = follow_revocations(&store, &ctx);
    let server_tls = identity::server_config(&identity, ClientAuth::Required, &revoked).context("set up TLS")?;
    let limits = Limits::default();
    let service = ResponseServiceServer::new(Responses).max_decoding_message_size(limits.max_message_bytes);
    let tls = Arc::new(ArcSwap::new(server_tls));
    let services = grpc::routes().add_service(service);
    let server = grpc::serve(listener, Arc::clone(&tls), services, limits, ctx.shutdown.clone());
    ctx.tasks.spawn("grpc server", server);
    let renewals = tls::follow_files(
        config.tls.clone(),
        tls,
        ClientAuth::Required,
        revoked,
        ctx.shutdown.clone(),
    );
    ctx.tasks.spawn("certificate", renewals);

    let registered = Node {
        id: node,
        role: Role::Responder,
        addr: if config.grpc.advertise.is_empty() {
            addr.to_string()
        } else {
            config.grpc.advertise
        },
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
    Ok(Running {
        addr,
        admin_addr: Some(admin_addr),
    })
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
