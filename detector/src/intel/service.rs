//! `IndicatorService`: changes to indicators that other services ask for.

use bootstrap::grpc::require_role;
use model::indicator::{Indicator, canonical_value};
use model::node::Role;
use model::{Tenant, Timestamp};
use proto::detection::v1::indicator_service_server::IndicatorService;
use proto::detection::v1::{self as wire, PutIndicatorsRequest, PutIndicatorsResponse};
use proto::{ErrorCode, ServiceError};
use storage::{Store, audit, indicators};
use tonic::{Request, Response, Status};

/// Most indicators in one request.
const MAX_INDICATORS: usize = 10_000;
/// Longest `source` in characters.
const MAX_SOURCE_CHARS: usize = 256;
/// Longest `note` in characters.
const MAX_NOTE_CHARS: usize = 4096;
/// Most values an audit entry lists.
const MAX_LISTED: usize = 100;

/// Stores indicators for gateways and operators.
pub(crate) struct Indicators {
    pub(crate) store: Store,
}

#[tonic::async_trait]
impl IndicatorService for Indicators {
    async fn put_indicators(
        &self,
        request: Request<PutIndicatorsRequest>,
    ) -> Result<Response<PutIndicatorsResponse>, Status> {
        let peer = require_role(&request, &[Role::Gateway, Role::Operator])?;
        let request = request.into_inner();
        let tenant: Tenant = request
            .tenant
            .parse()
            .map_err(|error| invalid(format!("tenant: {error}")))?;
        if peer.id.tenant != tenant {
            return Err(ServiceError::new(ErrorCode::PermissionDenied, "tenant: not the caller's").into());
        }
        if request.indicators.len() > MAX_INDICATORS {
            let got = request.indicators.len();
            return Err(invalid(format!(
                "indicators: expected at most {MAX_INDICATORS}, got {got}"
            )));
        }
        let now = Timestamp::now();
        let mut errors = Vec::with_capacity(request.indicators.len());
        let mut valid = Vec::with_capacity(request.indicators.len());
        for asked in request.indicators {
            match check(asked, &tenant, now) {
                Ok(indicator) => {
                    valid.push(indicator);
                    errors.push(String::new());
                }
                Err(error) => errors.push(error),
            }
        }
        if !valid.is_empty() {
            let actor = if request.requested_by.is_empty() {
                format!("node:{}", peer.id.id)
            } else {
                request.requested_by.chars().take(MAX_SOURCE_CHARS).collect()
            };
            self.store(tenant, actor, &valid).await.map_err(unavailable)?;
        }
        Ok(Response::new(PutIndicatorsResponse { errors }))
    }
}

impl Indicators {
    async fn store(&self, tenant: Tenant, actor: String, valid: &[Indicator]) -> Result<(), storage::Error> {
        indicators::upsert(&self.store, valid).await?;
        let listed: Vec<String> = valid
            .iter()
            .take(MAX_LISTED)
            .map(|indicator| format!("{} {}", indicator.kind, indicator.value))
            .collect();
        let entry = audit::NewEntry {
            tenant,
            actor,
            action: "indicators.put".to_owned(),
            object: format!("{} indicators", valid.len()),
            detail: serde_json::json!({ "count": valid.len(), "first": listed }),
        };
        audit::append(&self.store, entry).await
    }
}

fn check(asked: wire::Indicator, tenant: &Tenant, now: Timestamp) -> Result<Indicator, String> {
    let kind = asked
        .r#type
        .parse()
        .map_err(|error: model::indicator::InvalidIndicator| error.to_string())?;
    let value = canonical_value(kind, &asked.value).map_err(|error| error.to_string())?;
    let short = |field: &str, text: String, most: usize| {
        if text.chars().count() <= most {
            Ok(text)
        } else {
            Err(format!("{field}: expected at most {most} characters"))
        }
    };
    let valid_until = match asked.valid_until_micros {
        0 => None,
        micros if micros > 0 => Some(Timestamp(micros)),
        _ => return Err("valid_until_micros: expected 0 or a time after 1970".to_owned()),
    };
    Ok(Indicator {
        tenant: tenant.clone(),
        kind,
        value,
        source: short("source", asked.source, MAX_SOURCE_CHARS)?,
        note: short("note", asked.note, MAX_NOTE_CHARS)?,
        created_at: now,
        valid_until,
    })
}

fn invalid(detail: String) -> Status {
    ServiceError::new(ErrorCode::InvalidArgument, detail).into()
}

fn unavailable(error: storage::Error) -> Status {
    let code = if error.is_retryable() {
        ErrorCode::Unavailable
    } else {
        ErrorCode::Internal
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "indicators not stored");
    ServiceError::new(code, error.to_string()).into()
}
