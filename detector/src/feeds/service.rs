//! `FeedService`: changes to feeds that gateways ask for.

use bootstrap::grpc::require_role;
use model::Tenant;
use model::feed::FeedSpec;
use model::node::Role;
use proto::intel::v1::feed_service_server::FeedService;
use proto::intel::v1::{
    DeleteFeedRequest, DeleteFeedResponse, PutFeedOutcome, PutFeedRequest, PutFeedResponse, RunFeedRequest,
    RunFeedResponse,
};
use proto::{ErrorCode, ServiceError};
use serde_json::json;
use storage::feeds::{self as records, Put};
use storage::indicators::{self, Selector};
use storage::{Store, audit};
use tonic::{Request, Response, Status};

use super::store::Intake;

/// Longest `spec_json` in bytes.
const MAX_SPEC: usize = 256 * 1024;
/// Longest `requested_by` in characters.
const MAX_ACTOR: usize = 256;

/// Changes feeds for gateways and operators.
pub(crate) struct Feeds {
    pub(crate) store: Store,
}

/// Whose feeds, and for whom.
struct Asked {
    tenant: Tenant,
    actor: String,
}

#[tonic::async_trait]
impl FeedService for Feeds {
    async fn put_feed(&self, request: Request<PutFeedRequest>) -> Result<Response<PutFeedResponse>, Status> {
        let asked = asked(&request, |request| (&request.tenant, &request.requested_by))?;
        let text = request.into_inner().spec_json;
        if text.len() > MAX_SPEC {
            return Err(invalid(format!("spec_json: expected at most {MAX_SPEC} bytes")));
        }
        let spec: FeedSpec = serde_json::from_str(&text).map_err(|error| invalid(format!("feed: {error}")))?;
        spec.check().map_err(|error| invalid(error.to_string()))?;
        Intake::new(&spec, model::Timestamp(0)).map_err(|error| invalid(format!("options.allow: {error}")))?;
        let put = records::put(&self.store, &asked.tenant, &spec, &asked.actor)
            .await
            .map_err(from_storage)?;
        let outcome = match put {
            Put::Added => PutFeedOutcome::Added,
            Put::Changed => PutFeedOutcome::Changed,
            Put::Unchanged => PutFeedOutcome::Unchanged,
        };
        if put != Put::Unchanged {
            let detail = serde_json::to_value(&spec).unwrap_or_default();
            self.note(asked, "feed.put", spec.name, detail).await?;
        }
        Ok(Response::new(PutFeedResponse {
            outcome: outcome.into(),
        }))
    }

    async fn delete_feed(&self, request: Request<DeleteFeedRequest>) -> Result<Response<DeleteFeedResponse>, Status> {
        let asked = asked(&request, |request| (&request.tenant, &request.requested_by))?;
        let request = request.into_inner();
        let is_there = records::delete(&self.store, &asked.tenant, &request.name)
            .await
            .map_err(from_storage)?;
        // Of a deletion that was cut off after the record, the rest is done by asking again.
        let mut removed = 0;
        if !request.keep_indicators && !request.name.is_empty() {
            let selector = Selector {
                feed: Some(request.name.clone()),
                ..Selector::default()
            };
            removed = indicators::remove(&self.store, &asked.tenant, &selector)
                .await
                .map_err(from_storage)?;
        }
        if !is_there && removed == 0 {
            return Err(not_found(&request.name));
        }
        let detail = json!({ "indicators_removed": removed });
        self.note(asked, "feed.delete", request.name, detail).await?;
        Ok(Response::new(DeleteFeedResponse {
            indicators_removed: removed,
        }))
    }

    async fn run_feed(&self, request: Request<RunFeedRequest>) -> Result<Response<RunFeedResponse>, Status> {
        let asked = asked(&request, |request| (&request.tenant, &request.requested_by))?;
        let name = request.into_inner().name;
        if records::ask_for_run(&self.store, &asked.tenant, &name)
            .await
            .map_err(from_storage)?
        {
            self.note(asked, "feed.run", name, json!({})).await?;
            return Ok(Response::new(RunFeedResponse {}));
        }
        let known = records::get(&self.store, &asked.tenant, &name)
            .await
            .map_err(from_storage)?;
        Err(match known {
            Some(_) => ServiceError::new(ErrorCode::Conflict, format!("feed {name} is disabled")).into(),
            None => not_found(&name),
        })
    }
}

impl Feeds {
    async fn note(&self, asked: Asked, action: &str, name: String, detail: serde_json::Value) -> Result<(), Status> {
        let entry = audit::NewEntry {
            tenant: asked.tenant,
            actor: asked.actor,
            action: action.to_owned(),
            object: name,
            detail,
        };
        audit::append(&self.store, entry).await.map(drop).map_err(from_storage)
    }
}

fn asked<T>(request: &Request<T>, of: impl Fn(&T) -> (&String, &String)) -> Result<Asked, Status> {
    let peer = require_role(request, &[Role::Gateway, Role::Operator])?;
    let (tenant, requested_by) = of(request.get_ref());
    let tenant: Tenant = tenant.parse().map_err(|error| invalid(format!("tenant: {error}")))?;
    if peer.id.tenant != tenant {
        return Err(ServiceError::new(ErrorCode::PermissionDenied, "tenant: not the caller's").into());
    }
    let actor = if requested_by.is_empty() {
        format!("node:{}", peer.id.id)
    } else {
        requested_by.chars().take(MAX_ACTOR).collect()
    };
    Ok(Asked { tenant, actor })
}

fn invalid(detail: String) -> Status {
    ServiceError::new(ErrorCode::InvalidArgument, detail).into()
}

fn not_found(name: &str) -> Status {
    let name: String = name.chars().take(80).collect();
    ServiceError::new(ErrorCode::NotFound, format!("no feed {name}")).into()
}

fn from_storage(error: storage::Error) -> Status {
    let code = if matches!(error, storage::Error::Invalid { .. }) {
        ErrorCode::Conflict
    } else if error.is_retryable() {
        ErrorCode::Unavailable
    } else {
        ErrorCode::Internal
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "feeds not changed");
    ServiceError::new(code, error.to_string()).into()
}
