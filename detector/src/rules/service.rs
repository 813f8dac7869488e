//! `RuleService`: content that people and programs change, asked for by gateways.

use bootstrap::grpc::require_role;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use model::exception::{EVERY_RULE, Exception, Suppression};
use model::node::Role;
use model::rule::{RuleKind, RuleOrigin, StoredRule};
use model::{Tenant, Timestamp};
use proto::rules::v1::rule_service_server::RuleService;
use proto::rules::v1::{self as wire, ImportOutcome, Outcome};
use proto::{ErrorCode, ServiceError};
use rustc_hash::FxHashMap;
use sigma::RuleError;
use storage::rules::{Edited, Put};
use storage::{Store, audit, exceptions, rule_versions, rules, suppressions};
use tonic::{Request, Response, Status};

use super::cache::ParsedRules;
use super::check::check;
use super::compiled::{Shared, TenantRules};
use super::exceptions::{MAX_SELECTION_BYTES, meaning};
use super::parsed::{Parsed, parse};
use super::{blind, explain, explain_alert};
use crate::backtest::service::{self as backtest, Answers, Turns};

/// Most files in one import.
const MAX_FILES: usize = 500;
/// Most bytes in one import.
const MAX_BYTES: usize = 3 << 20;
/// Longest path, note or reason in characters.
const MAX_TEXT_CHARS: usize = 1024;
/// Longest id in bytes.
const MAX_ID_BYTES: usize = 128;
/// Most ids in one call.
const MAX_IDS: usize = 10_000;
/// Days looked back for data when nothing is said.
const DEFAULT_DAYS: u32 = 7;
/// Most days looked back for data.
const MAX_DAYS: u32 = 400;
/// Most exceptions of a tenant.
const MAX_EXCEPTIONS: usize = 10_000;
/// Rules changed at once.
const CONCURRENT: usize = 16;
/// Most ids an audit entry lists.
const MAX_LISTED: usize = 1000;
/// Warnings about other documents an answer lists at most.
const MAX_WARNINGS: usize = 20;

/// Changes content for gateways and operators.
pub(crate) struct Rules {
    pub(crate) store: Store,
    pub(crate) cache: ParsedRules,
    pub(crate) rules: Shared,
    pub(crate) backtests: Turns,
}

/// Who asks, and for whom.
struct Caller {
    tenant: Tenant,
    actor: String,
}

fn caller<T>(request: &Request<T>, tenant: &str, requested_by: &str) -> Result<Caller, Status> {
    let peer = require_role(request, &[Role::Gateway, Role::Operator])?;
    let tenant: Tenant = tenant.parse().map_err(|error| invalid(format!("tenant: {error}")))?;
    if peer.id.tenant != tenant {
        return Err(ServiceError::new(ErrorCode::PermissionDenied, "tenant: not the caller's").into());
    }
    let actor = if requested_by.is_empty() {
        format!("node:{}", peer.id.id)
    } else {
        requested_by.chars().take(MAX_TEXT_CHARS).collect()
    };
    Ok(Caller { tenant, actor })
}

#[tonic::async_trait]
impl RuleService for Rules {
    type BacktestRulesStream = Answers;

    async fn backtest_rules(
        &self,
        request: Request<wire::BacktestRulesRequest>,
    ) -> Result<Response<Self::BacktestRulesStream>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let request = request.into_inner();
        if request.files.is_empty() || request.files.len() > MAX_FILES {
            return Err(invalid(format!("files: expected 1 to {MAX_FILES}")));
        }
        let answers = backtest::begin(&self.store, &self.backtests, caller.tenant, request)?;
        Ok(Response::new(answers))
    }

    async fn import_rules(
        &self,
        request: Request<wire::ImportRulesRequest>,
    ) -> Result<Response<wire::ImportRulesResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let request = request.into_inner();
        if request.files.len() > MAX_FILES {
            let got = request.files.len();
            return Err(invalid(format!("files: expected at most {MAX_FILES}, got {got}")));
        }
        let bytes: usize = request.files.iter().map(|file| file.content.len()).sum();
        if bytes > MAX_BYTES {
            return Err(invalid(format!(
                "files: expected at most {MAX_BYTES} bytes together, got {bytes}"
            )));
        }
        for file in &request.files {
            if file.path.is_empty() || file.path.chars().count() > MAX_TEXT_CHARS {
                return Err(invalid(format!(
                    "files.path: expected 1 to {MAX_TEXT_CHARS} characters"
                )));
            }
        }
        let (outcomes, stored_at) = self.import(&caller, request.files, request.dry_run).await?;
        Ok(Response::new(wire::ImportRulesResponse {
            outcomes,
            stored_at_micros: stored_at.map_or(0, |at| at.0),
        }))
    }

    async fn set_rules_enabled(
        &self,
        request: Request<wire::SetRulesEnabledRequest>,
    ) -> Result<Response<wire::SetRulesEnabledResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let request = request.into_inner();
        check_ids(&request.ids)?;
        check_text("note", &request.note)?;
        let (enabled, note, caller_ref) = (request.enabled, request.note.as_str(), &caller);
        let set = async |id: String| {
            rules::set_enabled(&self.store, &caller_ref.tenant, &id, enabled, &caller_ref.actor, note).await
        };
        let edited: Vec<Edited> = stream::iter(request.ids.clone())
            .map(set)
            .buffered(CONCURRENT)
            .try_collect()
            .await
            .map_err(|error| failed(&error))?;
        let action = if enabled { "rules.enable" } else { "rules.disable" };
        let detail = serde_json::json!({ "note": request.note });
        let changes = self.changes(&caller, action, request.ids, edited, detail).await?;
        Ok(Response::new(wire::SetRulesEnabledResponse { changes }))
    }

    async fn delete_rules(
        &self,
        request: Request<wire::DeleteRulesRequest>,
    ) -> Result<Response<wire::DeleteRulesResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let request = request.into_inner();
        check_ids(&request.ids)?;
        let tenant = &caller.tenant;
        let edited: Vec<Edited> = stream::iter(request.ids.clone())
            .map(async |id: String| rules::delete(&self.store, tenant, &id).await)
            .buffered(CONCURRENT)
            .try_collect()
            .await
            .map_err(|error| failed(&error))?;
        let detail = serde_json::json!({});
        let changes = self
            .changes(&caller, "rules.delete", request.ids, edited, detail)
            .await?;
        Ok(Response::new(wire::DeleteRulesResponse { changes }))
    }

    async fn put_exception(
        &self,
        request: Request<wire::PutExceptionRequest>,
    ) -> Result<Response<wire::PutExceptionResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let asked = request.into_inner().exception;
        let asked = asked.ok_or_else(|| invalid("exception: expected one, got nothing".to_owned()))?;
        let exception = self.exception(&caller, asked).await?;
        exceptions::put(&self.store, &exception)
            .await
            .map_err(|error| failed(&error))?;
        let detail = serde_json::json!({
            "rule_id": exception.rule_id, "selection": exception.selection, "query": exception.query,
            "reason": exception.reason, "expires_at": exception.expires_at,
        });
        self.note(&caller, "exceptions.put", exception.id.clone(), detail)
            .await?;
        Ok(Response::new(wire::PutExceptionResponse {
            exception: Some(to_wire(&exception)),
        }))
    }

    async fn delete_exception(
        &self,
        request: Request<wire::DeleteExceptionRequest>,
    ) -> Result<Response<wire::DeleteExceptionResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let id = request.into_inner().id;
        let deleted = exceptions::delete(&self.store, &caller.tenant, &id).await;
        let deleted = deleted.map_err(|error| failed(&error))?;
        if deleted {
            self.note(&caller, "exceptions.delete", id, serde_json::json!({}))
                .await?;
        }
        Ok(Response::new(wire::DeleteExceptionResponse { deleted }))
    }

    async fn put_suppression(
        &self,
        request: Request<wire::PutSuppressionRequest>,
    ) -> Result<Response<wire::PutSuppressionResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let asked = request.into_inner().suppression;
        let asked = asked.ok_or_else(|| invalid("suppression: expected one, got nothing".to_owned()))?;
        let suppression = self.suppression(&caller, asked).await?;
        let put = suppressions::put(&self.store, &suppression).await;
        put.map_err(|error| failed(&error))?;
        let detail = serde_json::json!({
            "fields": suppression.fields, "seconds": suppression.seconds, "reason": suppression.reason,
        });
        let object = suppression.rule_id.clone();
        self.note(&caller, "suppressions.put", object, detail).await?;
        Ok(Response::new(wire::PutSuppressionResponse {
            suppression: Some(wire::Suppression {
                rule_id: suppression.rule_id,
                fields: suppression.fields,
                duration_seconds: suppression.seconds,
                reason: suppression.reason,
                author: suppression.author,
                created_at_micros: suppression.created_at.0,
            }),
        }))
    }

    async fn delete_suppression(
        &self,
        request: Request<wire::DeleteSuppressionRequest>,
    ) -> Result<Response<wire::DeleteSuppressionResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, &request.get_ref().requested_by)?;
        let rule_id = request.into_inner().rule_id;
        let deleted = suppressions::delete(&self.store, &caller.tenant, &rule_id).await;
        let deleted = deleted.map_err(|error| failed(&error))?;
        if deleted {
            self.note(&caller, "suppressions.delete", rule_id, serde_json::json!({}))
                .await?;
        }
        Ok(Response::new(wire::DeleteSuppressionResponse { deleted }))
    }

    async fn explain_rule(
        &self,
        request: Request<wire::ExplainRuleRequest>,
    ) -> Result<Response<wire::ExplainRuleResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, "")?;
        let request = request.into_inner();
        let explanation = explain::explain(&self.store, &self.cache, &caller.tenant, request).await?;
        Ok(Response::new(wire::ExplainRuleResponse {
            explanation_json: explanation,
        }))
    }

    async fn explain_alert(
        &self,
        request: Request<wire::ExplainAlertRequest>,
    ) -> Result<Response<wire::ExplainAlertResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, "")?;
        let id = request.into_inner().alert_id;
        let (compiled, none) = (self.rules.load_full(), TenantRules::default());
        let rules = compiled.tenant(&caller.tenant).unwrap_or(&none);
        let explanation = explain_alert::explain(&self.store, &self.cache, rules, &caller.tenant, &id).await?;
        Ok(Response::new(wire::ExplainAlertResponse {
            explanation_json: explanation,
        }))
    }

    async fn find_blind_rules(
        &self,
        request: Request<wire::FindBlindRulesRequest>,
    ) -> Result<Response<wire::FindBlindRulesResponse>, Status> {
        let caller = caller(&request, &request.get_ref().tenant, "")?;
        let days = match request.into_inner().days {
            0 => DEFAULT_DAYS,
            days @ 1..=MAX_DAYS => days,
            days => {
                return Err(invalid(format!(
                    "days: expected a number from 1 to {MAX_DAYS}, got {days}"
                )));
            }
        };
        let (compiled, none) = (self.rules.load_full(), TenantRules::default());
        let rules = compiled.tenant(&caller.tenant).unwrap_or(&none);
        let found = blind::find(&self.store, &caller.tenant, rules, days).await;
        let found = found.map_err(|error| failed(&error))?;
        let blind = found.blind.into_iter();
        Ok(Response::new(wire::FindBlindRulesResponse {
            blind: blind.map(|(id, reason)| wire::BlindRule { id, reason }).collect(),
            uncounted: found.uncounted.into_iter().collect(),
        }))
    }
}

impl Rules {
    async fn import(
        &self,
        caller: &Caller,
        files: Vec<wire::RuleFile>,
        dry_run: bool,
    ) -> Result<(Vec<ImportOutcome>, Option<Timestamp>), Status> {
        let stored = rules::list(&self.store, &caller.tenant).await;
        let stored = stored.map_err(|error| failed(&error))?;
        let (cache, tenant, actor) = (self.cache.clone(), caller.tenant.clone(), caller.actor.clone());
        let planning = tokio::task::spawn_blocking(move || plan(&files, &stored, &cache, &tenant, &actor));
        let Plan { mut outcomes, to_put } = planning.await.map_err(|_| {
            tracing::error!("checking imported rules panicked");
            Status::from(ServiceError::new(ErrorCode::Internal, "the files could not be checked"))
        })?;
        if dry_run || to_put.is_empty() {
            return Ok((outcomes, None));
        }
        let (positions, rules): (Vec<usize>, Vec<StoredRule>) = to_put.into_iter().unzip();
        let put = async {
            rule_versions::record(&self.store, &rules).await?;
            rules::put_all(&self.store, &rules).await
        };
        let put = put.await.map_err(|error| failed(&error))?;
        let stored_at = self.store.now().await.map_err(|error| failed(&error))?;
        for (position, put) in positions.iter().zip(&put) {
            if let Some(outcome) = outcomes.get_mut(*position) {
                outcome.outcome = match put {
                    Put::Added => Outcome::Added,
                    Put::Changed => Outcome::Changed,
                    Put::Unchanged => Outcome::Unchanged,
                }
                .into();
            }
        }
        let ids = |wanted: Put| -> Vec<&str> {
            let of = put.iter().zip(&rules).filter(|(put, _)| **put == wanted);
            of.map(|(_, rule)| rule.id.as_str()).collect()
        };
        let listed = |ids: Vec<&str>| {
            let count = ids.len();
            serde_json::json!({ "count": count, "ids": ids.into_iter().take(MAX_LISTED).collect::<Vec<_>>() })
        };
        let (added, changed) = (ids(Put::Added), ids(Put::Changed));
        tracing::info!(
            added = added.len(),
            changed = changed.len(),
            "rules imported by request"
        );
        let detail = serde_json::json!({ "added": listed(added), "changed": listed(changed) });
        self.note(caller, "rules.import", format!("{} rules", rules.len()), detail)
            .await?;
        Ok((outcomes, Some(stored_at)))
    }

    async fn changes(
        &self,
        caller: &Caller,
        action: &str,
        ids: Vec<String>,
        edited: Vec<Edited>,
        mut detail: serde_json::Value,
    ) -> Result<Vec<wire::RuleChange>, Status> {
        let changes: Vec<wire::RuleChange> = ids
            .into_iter()
            .zip(edited)
            .map(|(id, edited)| wire::RuleChange {
                changed: edited == Edited::Changed,
                error: match edited {
                    Edited::Changed | Edited::Unchanged => String::new(),
                    Edited::Unknown => format!("id: expected the id of a rule, got {id}, which none has"),
                    Edited::FromDirectory => {
                        format!("id: {id} comes from the detectors' rules directory and is changed there")
                    }
                },
                id,
            })
            .collect();
        let changed: Vec<&str> = changes
            .iter()
            .filter(|change| change.changed)
            .map(|change| change.id.as_str())
            .collect();
        if changed.is_empty() {
            return Ok(changes);
        }
        if let Some(detail) = detail.as_object_mut() {
            let listed: Vec<&str> = changed.iter().copied().take(MAX_LISTED).collect();
            detail.insert("ids".to_owned(), listed.into());
        }
        let object = format!("{} rules", changed.len());
        self.note(caller, action, object, detail).await?;
        Ok(changes)
    }

    async fn exception(&self, caller: &Caller, asked: wire::Exception) -> Result<Exception, Status> {
        check_text("exception.reason", &asked.reason)?;
        if asked.reason.trim().is_empty() {
            return Err(invalid(
                "exception.reason: expected why this is no finding, got nothing".to_owned(),
            ));
        }
        if asked.selection_json.len() > MAX_SELECTION_BYTES {
            let most = MAX_SELECTION_BYTES;
            return Err(invalid(format!(
                "exception.selection_json: expected at most {most} bytes"
            )));
        }
        let selection: serde_json::Map<String, serde_json::Value> = match asked.selection_json.as_str() {
            "" => serde_json::Map::new(),
            json => serde_json::from_str(json)
                .map_err(|error| invalid(format!("exception.selection_json: expected a JSON object ({error})")))?,
        };
        if asked.id.len() > MAX_ID_BYTES {
            return Err(invalid(format!("exception.id: expected at most {MAX_ID_BYTES} bytes")));
        }
        let tenant = &caller.tenant;
        if asked.rule_id != EVERY_RULE {
            let rule = rules::get(&self.store, tenant, &asked.rule_id).await;
            let rule = rule.map_err(|error| failed(&error))?;
            if !rule.is_some_and(|rule| matches!(rule.kind, RuleKind::Rule | RuleKind::Correlation)) {
                let reason = "exception.rule_id: expected the id of a rule or correlation, or *";
                return Err(invalid(format!("{reason}, got {:?}", asked.rule_id)));
            }
        }
        let expires_at = match asked.expires_at_micros {
            0 => None,
            micros if micros > 0 => Some(Timestamp(micros)),
            _ => {
                return Err(invalid(
                    "exception.expires_at_micros: expected 0 or a time after 1970".to_owned(),
                ));
            }
        };
        let id = if asked.id.is_empty() {
            let count = exceptions::list(&self.store, tenant, None).await;
            if count.map_err(|error| failed(&error))?.len() >= MAX_EXCEPTIONS {
                return Err(invalid(format!("exception: expected at most {MAX_EXCEPTIONS} of them")));
            }
            uuid::Uuid::now_v7().to_string()
        } else {
            let known = exceptions::get(&self.store, tenant, &asked.id).await;
            if known.map_err(|error| failed(&error))?.is_none() {
                let error = format!("exception.id: there is no exception {}", asked.id);
                return Err(ServiceError::new(ErrorCode::NotFound, error).into());
            }
            asked.id
        };
        let exception = Exception {
            id,
            tenant: tenant.clone(),
            rule_id: asked.rule_id,
            selection,
            query: Some(asked.query).filter(|query| !query.is_empty()),
            reason: asked.reason,
            author: caller.actor.clone(),
            created_at: Timestamp::from_millis(Timestamp::now().as_millis()),
            expires_at: expires_at.map(|at| Timestamp::from_millis(at.as_millis())),
        };
        meaning(&exception).map_err(|error| invalid(format!("exception.{}: {}", error.field, error.reason)))?;
        Ok(exception)
    }

    async fn suppression(&self, caller: &Caller, asked: wire::Suppression) -> Result<Suppression, Status> {
        check_text("suppression.reason", &asked.reason)?;
        let most = Suppression::MAX_SECONDS;
        if asked.duration_seconds == 0 || asked.duration_seconds > most {
            return Err(invalid(format!("suppression.duration_seconds: expected 1 to {most}")));
        }
        let most = Suppression::MAX_FIELDS;
        if asked.fields.len() > most {
            return Err(invalid(format!("suppression.fields: expected at most {most}")));
        }
        for (index, field) in asked.fields.iter().enumerate() {
            let is_again = asked.fields.iter().take(index).any(|earlier| earlier == field);
            if field.is_empty() || field.len() > MAX_ID_BYTES || field.contains('|') || is_again {
                return Err(invalid(format!(
                    "suppression.fields: expected names of fields, got {field:?}"
                )));
            }
        }
        let rule = rules::get(&self.store, &caller.tenant, &asked.rule_id).await;
        match rule.map_err(|error| failed(&error))?.map(|rule| rule.kind) {
            Some(RuleKind::Rule) => {}
            Some(RuleKind::Correlation) => {
                let reason = "suppression.rule_id: expected a rule, got a correlation, which makes at most one alert \
                              for a group and timespan as it is";
                return Err(invalid(reason.to_owned()));
            }
            Some(RuleKind::Filter | RuleKind::Pipeline) | None => {
                let reason = "suppression.rule_id: expected the id of a rule";
                return Err(invalid(format!("{reason}, got {:?}", asked.rule_id)));
            }
        }
        Ok(Suppression {
            tenant: caller.tenant.clone(),
            rule_id: asked.rule_id,
            fields: asked.fields,
            seconds: asked.duration_seconds,
            reason: asked.reason,
            author: caller.actor.clone(),
            created_at: Timestamp::from_millis(Timestamp::now().as_millis()),
        })
    }

    async fn note(
        &self,
        caller: &Caller,
        action: &str,
        object: String,
        detail: serde_json::Value,
    ) -> Result<(), Status> {
        let entry = audit::NewEntry {
            tenant: caller.tenant.clone(),
            actor: caller.actor.clone(),
            action: action.to_owned(),
            object,
            detail,
        };
        audit::append(&self.store, entry).await.map_err(|error| failed(&error))
    }
}

/// What is to be done about an import.
struct Plan {
    outcomes: Vec<ImportOutcome>,
    /// Positions of outcomes, and what is to be stored for them.
    to_put: Vec<(usize, StoredRule)>,
}

fn plan(files: &[wire::RuleFile], stored: &[StoredRule], cache: &ParsedRules, tenant: &Tenant, actor: &str) -> Plan {
    let known: FxHashMap<&str, &StoredRule> = stored.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let mut outcomes = Vec::new();
    let mut new: Vec<Parsed> = Vec::new();
    let mut positions = Vec::new();
    let mut seen: FxHashMap<String, String> = FxHashMap::default();
    for file in files {
        for parsed in parse(&file.path, &file.content) {
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(error) => {
                    outcomes.push(refused(ImportOutcome::default(), &error));
                    continue;
                }
            };
            let outcome = describe(&parsed);
            if let Some(first) = seen.get(parsed.id()) {
                let reason = format!("expected an id of its own, got {} of {first}", parsed.id());
                let error = super::parsed::refusal(parsed.path(), "id", reason);
                outcomes.push(refused(outcome, &error));
                continue;
            }
            seen.insert(parsed.id().to_owned(), file.path.clone());
            positions.push(outcomes.len());
            outcomes.push(outcome);
            new.push(parsed);
        }
    }
    let checked = check(&new, RuleOrigin::Api, stored, cache);
    let mut to_put = Vec::new();
    let mut warnings: Vec<String> = checked.broken.into_iter().take(MAX_WARNINGS).collect();
    for ((parsed, refusal), position) in new.iter().zip(checked.refusals).zip(positions) {
        let Some(outcome) = outcomes.get_mut(position) else {
            continue;
        };
        if let Some(error) = refusal {
            *outcome = refused(std::mem::take(outcome), &error);
            continue;
        }
        let before = known.get(parsed.id()).filter(|known| !known.vanished);
        let result = match before {
            None => Outcome::Added,
            Some(known) if known.revision == parsed.revision() => Outcome::Unchanged,
            Some(_) => Outcome::Changed,
        };
        outcome.outcome = result.into();
        if before.is_some_and(|known| !known.enabled) {
            outcome.warnings.push("it is disabled and stays so".to_owned());
        }
        if result != Outcome::Unchanged {
            outcome.warnings.append(&mut warnings);
            to_put.push((position, parsed.to_stored(tenant, RuleOrigin::Api, actor)));
        }
    }
    Plan { outcomes, to_put }
}

fn describe(parsed: &Parsed) -> ImportOutcome {
    ImportOutcome {
        path: parsed.path().to_owned(),
        id: parsed.id().to_owned(),
        kind: parsed.kind().as_str().to_owned(),
        title: parsed.title().to_owned(),
        ..ImportOutcome::default()
    }
}

fn refused(outcome: ImportOutcome, error: &RuleError) -> ImportOutcome {
    let number = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    ImportOutcome {
        path: error.path.clone(),
        line: number(error.line),
        column: number(error.column),
        field: error.field.clone(),
        reason: error.reason.clone(),
        outcome: Outcome::Refused.into(),
        ..outcome
    }
}

fn to_wire(exception: &Exception) -> wire::Exception {
    wire::Exception {
        id: exception.id.clone(),
        rule_id: exception.rule_id.clone(),
        selection_json: match exception.selection.is_empty() {
            true => String::new(),
            false => serde_json::Value::Object(exception.selection.clone()).to_string(),
        },
        query: exception.query.clone().unwrap_or_default(),
        reason: exception.reason.clone(),
        author: exception.author.clone(),
        created_at_micros: exception.created_at.0,
        expires_at_micros: exception.expires_at.map_or(0, |at| at.0),
    }
}

fn check_ids(ids: &[String]) -> Result<(), Status> {
    if ids.len() > MAX_IDS {
        return Err(invalid(format!("ids: expected at most {MAX_IDS}, got {}", ids.len())));
    }
    if ids.iter().any(|id| id.is_empty() || id.len() > MAX_ID_BYTES) {
        return Err(invalid(format!("ids: expected 1 to {MAX_ID_BYTES} bytes each")));
    }
    Ok(())
}

fn check_text(field: &str, text: &str) -> Result<(), Status> {
    if text.chars().count() > MAX_TEXT_CHARS {
        return Err(invalid(format!(
            "{field}: expected at most {MAX_TEXT_CHARS} characters"
        )));
    }
    Ok(())
}

pub(crate) fn invalid(detail: String) -> Status {
    ServiceError::new(ErrorCode::InvalidArgument, detail).into()
}

/// The answer when the database fails.
pub(crate) fn failed(error: &storage::Error) -> Status {
    let code = if error.is_retryable() {
        ErrorCode::Unavailable
    } else {
        ErrorCode::Internal
    };
    tracing::warn!(error = error as &dyn std::error::Error, "request about rules failed");
    ServiceError::new(code, error.to_string()).into()
}
