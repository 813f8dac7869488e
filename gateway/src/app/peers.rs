//! Talking to the nodes that own what is to be changed: collectors and detectors.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use identity::{Identity, RevocationList};
use model::node::{Node, Role};
use proto::{ErrorCode, ServiceError};
use rand::seq::SliceRandom as _;
use storage::{Store, nodes};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::problem::from_storage;

/// How often a call is tried, each time on another node if there is one.
const TRIES: usize = 4;
/// Pause before the second try; doubles from try to try.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(8);

/// Connections to other nodes; cheap to clone.
#[derive(Clone)]
pub struct Peers {
    store: Store,
    identity: Arc<ArcSwap<Identity>>,
    revoked: RevocationList,
    channels: Arc<Mutex<HashMap<(Role, String), Channel>>>,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Peers")
    }
}

impl Peers {
    /// Nodes that are registered in this store, called under this identity.
    #[must_use]
    pub fn new(store: Store, identity: Identity, revoked: RevocationList) -> Self {
        Self {
            store,
            identity: Arc::new(ArcSwap::from_pointee(identity)),
            revoked,
            channels: Arc::default(),
        }
    }

    /// Takes over a renewed certificate for new connections, and drops the old ones.
    pub fn set_identity(&self, identity: Identity) {
        self.identity.store(Arc::new(identity));
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Makes a call on a live node of that role, and on another one when that fails for want of the node. The call must
    /// be one that may be repeated.
    ///
    /// # Errors
    /// What the node answered, or [`ErrorCode::Unavailable`] when no node is there.
    pub async fn call<T, F, Fut>(&self, role: Role, what: &'static str, call: F) -> Result<T, ServiceError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        self.call_within(role, what, TRY_TIMEOUT, call).await
    }

    /// The same for a call that may take longer.
    ///
    /// # Errors
    /// As [`Peers::call`].
    pub async fn call_within<T, F, Fut>(
        &self,
        role: Role,
        what: &'static str,
        timeout: Duration,
        call: F,
    ) -> Result<T, ServiceError>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut tried: Vec<String> = Vec::new();
        let mut last = format!("no {role} is running");
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            let Some(node) = self.choose(role, &tried).await? else {
                continue;
            };
            let status = match tokio::time::timeout(timeout, self.call_node(role, &node, &call)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(status)) if !is_passing(status.code()) => return Err(from_status(role, what, &status)),
                Ok(Err(status)) => status.to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            tracing::debug!(peer = %node.id, addr = node.addr, what, status, "call failed, trying again");
            metrics::counter!("picket_gateway_peer_calls_failed_total", "role" => role.as_str()).increment(1);
            last = format!("{role} {} did not answer", node.id);
            self.forget(role, &node.addr);
            tried.push(node.addr);
        }
        Err(ServiceError::new(ErrorCode::Unavailable, format!("{last}; try again"))
            .with_retry_after(Duration::from_secs(1)))
    }

    async fn call_node<T, F, Fut>(&self, role: Role, node: &Node, call: &F) -> Result<T, Status>
    where
        F: Fn(Channel) -> Fut,
        Fut: Future<Output = Result<T, Status>>,
    {
        let channel = self
            .channel(role, &node.addr)
            .await
            .map_err(|error| Status::unavailable(format!("{error:#}")))?;
        call(channel).await
    }

    /// A live node, at random, preferably one that was not tried.
    async fn choose(&self, role: Role, tried: &[String]) -> Result<Option<Node>, ServiceError> {
        let mut live = nodes::live(&self.store, Some(role)).await.map_err(from_storage)?;
        live.shuffle(&mut rand::rng());
        live.sort_by_key(|node| tried.contains(&node.addr));
        Ok(live.into_iter().next())
    }

    async fn channel(&self, role: Role, addr: &str) -> anyhow::Result<Channel> {
        let key = (role, addr.to_owned());
        let known = {
            let channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
            channels.get(&key).cloned()
        };
        if let Some(channel) = known {
            return Ok(channel);
        }
        let channel = bootstrap::grpc::connect(addr, &self.identity.load(), role, &self.revoked).await?;
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.insert(key, channel.clone());
        Ok(channel)
    }

    fn forget(&self, role: Role, addr: &str) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        channels.remove(&(role, addr.to_owned()));
    }
}

/// Whether another node, or the same one later, may do better.
fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::Unavailable
            | Code::Unknown
            | Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::ResourceExhausted
    )
}

/// What a node refused, for our caller. What is wrong between nodes is a fault of ours and stays in the log.
fn from_status(role: Role, what: &'static str, status: &Status) -> ServiceError {
    let code = match status.code() {
        Code::InvalidArgument => ErrorCode::InvalidArgument,
        Code::NotFound => ErrorCode::NotFound,
        Code::AlreadyExists | Code::FailedPrecondition => ErrorCode::Conflict,
        Code::OutOfRange => ErrorCode::TooLarge,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => {
            tracing::error!(%role, what, code = ?status.code(), message = status.message(), "call to another node refused");
            return ServiceError::new(ErrorCode::Internal, "a fault of Picket's own; its log says more");
        }
    };
    ServiceError::new(code, status.message())
}
