//! `IndicatorService`: changes to indicators that other services ask for.

use bootstrap::grpc::require_role;
use intel::Guard;
use model::indicator::{DEFAULT_CONFIDENCE, Indicator, IndicatorType, canonical_value};
use model::node::Role;
use model::{Tenant, Timestamp};
use proto::detection::v1::indicator_service_server::IndicatorService;
use proto::detection::v1::{
    self as wire, DeleteIndicatorsRequest, DeleteIndicatorsResponse, PutIndicatorsRequest, PutIndicatorsResponse,
};
use proto::{ErrorCode, ServiceError};
use storage::indicators::Selector;
use storage::{Store, audit, indicators};
use tonic::{Request, Response, Status};

/// Most indicators in one request.
const MAX_INDICATORS: usize = 10_000;
/// Longest name of a requester in characters.
const MAX_ACTOR_CHARS: usize = 256;
/// Most values an audit entry lists.
const MAX_LISTED: usize = 100;

/// Stores indicators for gateways and operators.
pub(crate) struct Indicators {
    pub(crate) store: Store,
    pub(crate) guard: Guard,
}

#[tonic::async_trait]
impl IndicatorService for Indicators {
    async fn put_indicators(
        &self,
        request: Request<PutIndicatorsRequest>,
    ) -> Result<Response<PutIndicatorsResponse>, Status> {
        let caller = Caller::of(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let request = request.into_inner();
        check_count("indicators", request.indicators.len())?;
        let now = Timestamp::now();
        let mut errors = Vec::with_capacity(request.indicators.len());
        let mut valid = Vec::with_capacity(request.indicators.len());
        for asked in request.indicators {
            match check(asked, &caller.tenant, now, &self.guard) {
                Ok(indicator) => {
                    valid.push(indicator);
                    errors.push(String::new());
                }
                Err(error) => errors.push(error),
            }
        }
        if !valid.is_empty() {
            self.store(caller, &valid).await.map_err(|error| failed(&error))?;
        }
        Ok(Response::new(PutIndicatorsResponse { errors }))
    }

    async fn delete_indicators(
        &self,
        request: Request<DeleteIndicatorsRequest>,
    ) -> Result<Response<DeleteIndicatorsResponse>, Status> {
        let caller = Caller::of(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let request = request.into_inner();
        check_count("values", request.values.len())?;
        let mut values = Vec::with_capacity(request.values.len());
        for (index, asked) in request.values.iter().enumerate() {
            let read = read_value(&asked.r#type, &asked.value);
            values.push(read.map_err(|error| invalid(format!("values[{index}].{error}")))?);
        }
        let selector = Selector {
            values,
            source: request.source,
            feed: request.feed,
        };
        if selector.is_empty() {
            return Err(invalid("values: expected values, a source or a feed".to_owned()));
        }
        let deleted = self.remove(caller, &selector).await.map_err(|error| failed(&error))?;
        Ok(Response::new(DeleteIndicatorsResponse { deleted }))
    }
}

/// Who asks, and whose indicators it is about.
pub(crate) struct Caller {
    pub(crate) tenant: Tenant,
    pub(crate) actor: String,
}

impl Caller {
    pub(crate) fn of<T>(request: &Request<T>, tenant: &str, requested_by: &str) -> Result<Self, Status> {
        let peer = require_role(request, &[Role::Gateway, Role::Operator])?;
        let tenant: Tenant = tenant.parse().map_err(|error| invalid(format!("tenant: {error}")))?;
        if peer.id.tenant != tenant {
            return Err(ServiceError::new(ErrorCode::PermissionDenied, "tenant: not the caller's").into());
        }
        let actor = if requested_by.is_empty() {
            format!("node:{}", peer.id.id)
        } else {
            requested_by.chars().take(MAX_ACTOR_CHARS).collect()
        };
        Ok(Self { tenant, actor })
    }
}

impl Indicators {
    async fn store(&self, caller: Caller, valid: &[Indicator]) -> Result<(), storage::Error> {
        indicators::upsert(&self.store, valid).await?;
        let listed: Vec<String> = valid
            .iter()
            .take(MAX_LISTED)
            .map(|indicator| format!("{} {}", indicator.kind, indicator.value))
            .collect();
        let entry = audit::NewEntry {
            tenant: caller.tenant,
            actor: caller.actor,
            action: "indicators.put".to_owned(),
            object: format!("{} indicators", valid.len()),
            detail: serde_json::json!({ "count": valid.len(), "first": listed }),
        };
        audit::append(&self.store, entry).await
    }

    async fn remove(&self, caller: Caller, selector: &Selector) -> Result<u64, storage::Error> {
        let deleted = indicators::remove(&self.store, &caller.tenant, selector).await?;
        if deleted == 0 {
            return Ok(0);
        }
        let listed: Vec<String> = selector
            .values
            .iter()
            .take(MAX_LISTED)
            .map(|(kind, value)| format!("{kind} {value}"))
            .collect();
        let detail = serde_json::json!({
            "count": deleted, "first": listed, "source": selector.source, "feed": selector.feed,
        });
        let entry = audit::NewEntry {
            tenant: caller.tenant,
            actor: caller.actor,
            action: "indicators.delete".to_owned(),
            object: format!("{deleted} indicators"),
            detail,
        };
        audit::append(&self.store, entry).await?;
        Ok(deleted)
    }
}

fn check_count(field: &str, count: usize) -> Result<(), Status> {
    if count <= MAX_INDICATORS {
        return Ok(());
    }
    Err(invalid(format!(
        "{field}: expected at most {MAX_INDICATORS}, got {count}"
    )))
}

fn read_value(kind: &str, value: &str) -> Result<(IndicatorType, String), String> {
    let kind = kind
        .parse()
        .map_err(|error: model::indicator::InvalidIndicator| error.to_string())?;
    let value = canonical_value(kind, value).map_err(|error| error.to_string())?;
    Ok((kind, value))
}

fn check(asked: wire::Indicator, tenant: &Tenant, now: Timestamp, guard: &Guard) -> Result<Indicator, String> {
    let (kind, value) = read_value(&asked.r#type, &asked.value)?;
    if !asked.allow {
        guard.check(kind, &value).map_err(|refusal| refusal.to_string())?;
    }
    let confidence = match asked.confidence {
        None => DEFAULT_CONFIDENCE,
        Some(number) => u8::try_from(number).map_err(|_| "confidence: expected a number from 0 to 100".to_owned())?,
    };
    let tlp = match asked.tlp.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|error: model::indicator::InvalidIndicator| error.to_string())?,
        ),
    };
    let indicator = Indicator {
        tenant: tenant.clone(),
        kind,
        value,
        source: asked.source,
        feed: asked.feed,
        confidence,
        tags: asked.tags,
        tlp,
        note: asked.note,
        reference: asked.reference,
        created_at: now,
        valid_from: time("valid_from_micros", asked.valid_from_micros)?,
        valid_until: time("valid_until_micros", asked.valid_until_micros)?,
    };
    indicator.check().map_err(|error| error.to_string())?;
    Ok(indicator)
}

fn time(field: &str, micros: i64) -> Result<Option<Timestamp>, String> {
    match micros {
        0 => Ok(None),
        micros if micros > 0 => Ok(Some(Timestamp(micros))),
        _ => Err(format!("{field}: expected 0 or a time after 1970")),
    }
}

pub(crate) fn invalid(detail: String) -> Status {
    ServiceError::new(ErrorCode::InvalidArgument, detail).into()
}

pub(crate) fn failed(error: &storage::Error) -> Status {
    let code = if error.is_retryable() {
        ErrorCode::Unavailable
    } else {
        ErrorCode::Internal
    };
    tracing::warn!(error = error as &dyn std::error::Error, "change not stored");
    ServiceError::new(code, error.to_string()).into()
}
