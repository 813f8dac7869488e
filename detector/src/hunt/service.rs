//! `HuntService`: hunts that other services ask for.

use model::Timestamp;
use model::indicator::canonical_value;
use proto::intel::v1::hunt_service_server::HuntService;
use proto::intel::v1::{CancelHuntRequest, CancelHuntResponse, StartHuntRequest, StartHuntResponse};
use storage::hunts::{self, NewHunt, Quarry};
use storage::{Store, audit};
use tonic::{Request, Response, Status};

use crate::intel::service::{Caller, failed, invalid};

/// Most indicators in one hunt.
const MAX_INDICATORS: usize = 1000;

/// Takes hunts for gateways and operators.
pub(crate) struct Hunts {
    pub(crate) store: Store,
}

#[tonic::async_trait]
impl HuntService for Hunts {
    async fn start_hunt(&self, request: Request<StartHuntRequest>) -> Result<Response<StartHuntResponse>, Status> {
        let caller = Caller::of(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let new = read(request.into_inner(), &caller).map_err(invalid)?;
        let detail = serde_json::json!({
            "quarry": new.quarry, "from": new.from, "to": new.to, "alert": new.alert,
        });
        let start = async {
            let id = hunts::enqueue(&self.store, &new).await?;
            self.audit(caller, "hunts.start", &id, detail).await?;
            Ok(id)
        };
        let id = start.await.map_err(|error: storage::Error| failed(&error))?;
        Ok(Response::new(StartHuntResponse { id }))
    }

    async fn cancel_hunt(&self, request: Request<CancelHuntRequest>) -> Result<Response<CancelHuntResponse>, Status> {
        let caller = Caller::of(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let id = request.into_inner().id;
        let cancel = async {
            let cancelled = hunts::cancel(&self.store, &caller.tenant, &id).await?;
            if cancelled {
                self.audit(caller, "hunts.cancel", &id, serde_json::Value::Null).await?;
            }
            Ok(cancelled)
        };
        let cancelled = cancel.await.map_err(|error: storage::Error| failed(&error))?;
        Ok(Response::new(CancelHuntResponse { cancelled }))
    }
}

impl Hunts {
    async fn audit(
        &self,
        caller: Caller,
        action: &str,
        id: &str,
        detail: serde_json::Value,
    ) -> Result<(), storage::Error> {
        let entry = audit::NewEntry {
            tenant: caller.tenant,
            actor: caller.actor,
            action: action.to_owned(),
            object: id.to_owned(),
            detail,
        };
        audit::append(&self.store, entry).await
    }
}

fn read(request: StartHuntRequest, caller: &Caller) -> Result<NewHunt, String> {
    let time = |field: &str, micros: i64| match micros {
        0 => Ok(None),
        micros if micros > 0 => Ok(Some(Timestamp(micros))),
        _ => Err(format!("{field}: expected 0 or a time after 1970")),
    };
    let from = time("from_micros", request.from_micros)?;
    let to = time("to_micros", request.to_micros)?;
    if let (Some(from), Some(to)) = (from, to)
        && from >= to
    {
        return Err("from_micros: expected a time before to_micros".to_owned());
    }
    let quarry = match (request.indicators.is_empty(), request.feed.is_empty()) {
        (false, true) => Quarry::Indicators(read_values(&request)?),
        (true, false) => Quarry::Feed {
            name: request.feed,
            added_since: time("added_since_micros", request.added_since_micros)?,
        },
        _ => return Err("indicators: expected either these or a feed".to_owned()),
    };
    Ok(NewHunt {
        tenant: caller.tenant.clone(),
        quarry,
        from,
        to,
        alert: request.alert,
        requested_by: caller.actor.clone(),
    })
}

fn read_values(request: &StartHuntRequest) -> Result<Vec<(model::indicator::IndicatorType, String)>, String> {
    let count = request.indicators.len();
    if count > MAX_INDICATORS {
        return Err(format!("indicators: expected at most {MAX_INDICATORS}, got {count}"));
    }
    let mut values = Vec::with_capacity(count);
    for (index, asked) in request.indicators.iter().enumerate() {
        let wrong = |error: model::indicator::InvalidIndicator| format!("indicators[{index}].{error}");
        let kind = asked.r#type.parse().map_err(wrong)?;
        let value = canonical_value(kind, &asked.value).map_err(wrong)?;
        if !values.contains(&(kind, value.clone())) {
            values.push((kind, value));
        }
    }
    Ok(values)
}
