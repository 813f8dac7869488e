//! Detection content: reading it here; changing and explaining it is what detectors do, at our request.

use std::future::Future;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::node::Role;
use model::rule::{RuleKind, RuleVersion, StoredRule};
use proto::rules::v1::backtest_rules_response::Body;
use proto::rules::v1::rule_service_client::RuleServiceClient;
use proto::rules::v1::{
    BacktestProgress, BacktestRulesRequest, BacktestRulesResponse, DeleteRulesRequest, ExplainAlertRequest,
    ExplainRuleRequest, FindBlindRulesRequest, FindBlindRulesResponse, ImportOutcome, ImportRulesRequest,
    ImportRulesResponse, Outcome, RuleChange, RuleFile, SetRulesEnabledRequest,
};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::rules::{self, RuleFilter};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Code, Response, Status, Streaming};

use super::peers::Peers;
use crate::auth::Caller;
use crate::problem::{Place, from_storage, invalid};

/// Rules on a page when nothing is said.
pub const DEFAULT_PAGE: usize = 100;
/// Most rules on a page.
pub const MAX_PAGE: usize = 5000;
/// Most files in one import.
pub const MAX_FILES: usize = 500;
/// Most bytes of text in one import.
pub const MAX_BYTES: usize = 3 << 20;
/// Longest message to and from a detector, in bytes.
pub(super) const MAX_MESSAGE: usize = 16 << 20;
/// How long one detector may take for an import: it compiles all rules.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(25);

/// A page of rules.
#[derive(Clone, Debug)]
pub struct Page {
    /// By id.
    pub rules: Vec<StoredRule>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// Rules that match, by id; `limit` is at most [`MAX_PAGE`].
///
/// # Errors
/// When the database is away.
pub async fn page(store: &Store, mut filter: RuleFilter, limit: usize) -> Result<Page, ServiceError> {
    filter.limit = u32::try_from(limit + 1).unwrap_or(u32::MAX);
    let mut found = rules::page(store, &filter).await.map_err(from_storage)?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|rule| BASE64_URL_SAFE_NO_PAD.encode(format!("1.{}", rule.id)));
    Ok(Page { rules: found, next })
}

/// The id after which a page begins.
///
/// # Errors
/// When the text is not a cursor.
pub fn parse_cursor(text: &str) -> Result<String, ServiceError> {
    let plain = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    plain
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| text.strip_prefix("1.").map(str::to_owned))
        .ok_or_else(|| invalid("cursor: expected the next_cursor of an earlier answer"))
}

/// One rule.
///
/// # Errors
/// [`ErrorCode::NotFound`] when there is none of that id.
pub async fn get(store: &Store, caller: &Caller, id: &str) -> Result<StoredRule, ServiceError> {
    rules::get(store, &caller.tenant, id)
        .await
        .map_err(from_storage)?
        .ok_or_else(|| not_found(id))
}

/// Rules and correlations that are enabled and can be used.
///
/// # Errors
/// When the database is away.
pub async fn enabled(store: &Store, caller: &Caller) -> Result<Vec<StoredRule>, ServiceError> {
    let mut found = rules::list(store, &caller.tenant).await.map_err(from_storage)?;
    found.retain(|rule| {
        rule.enabled && rule.error.is_none() && matches!(rule.kind, RuleKind::Rule | RuleKind::Correlation)
    });
    Ok(found)
}

fn not_found(id: &str) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("no rule {}", crate::problem::quote(id)))
}

/// Every revision of a rule, that put in place last first.
///
/// # Errors
/// [`ErrorCode::NotFound`] when there is none.
pub async fn versions(store: &Store, caller: &Caller, id: &str) -> Result<Vec<RuleVersion>, ServiceError> {
    let versions = storage::rule_versions::list(store, &caller.tenant, id)
        .await
        .map_err(from_storage)?;
    if versions.is_empty() {
        // A rule of an earlier release may have none.
        get(store, caller, id).await?;
    }
    Ok(versions)
}

/// Asks a detector.
pub(super) async fn ask<Q, A, F, Fut>(
    peers: &Peers,
    what: &'static str,
    request: Q,
    timeout: Duration,
    call: F,
) -> Result<A, ServiceError>
where
    Q: Clone,
    F: Fn(RuleServiceClient<Channel>, Q) -> Fut,
    Fut: Future<Output = Result<Response<A>, Status>>,
{
    let answer = peers.call_within(Role::Detector, what, timeout, |channel| {
        let client = RuleServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
        let answering = call(client, request.clone());
        async move { answering.await.map(Response::into_inner) }
    });
    answer.await
}

/// Stores files, or with `dry_run` says what would come of it.
///
/// # Errors
/// When there are none or too many, or no detector is running. A file that is wrong is no error: its outcome says so.
pub async fn import(
    peers: &Peers,
    caller: &Caller,
    files: Vec<RuleFile>,
    dry_run: bool,
) -> Result<ImportRulesResponse, ServiceError> {
    check_files(&files)?;
    let request = ImportRulesRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        files,
        dry_run,
    };
    let import = |mut client: RuleServiceClient<Channel>, request| async move { client.import_rules(request).await };
    ask(peers, "import rules", request, IMPORT_TIMEOUT, import).await
}

/// Where documents are wrong.
#[must_use]
pub fn places(outcomes: &[ImportOutcome]) -> Vec<Place> {
    let known = |number: u32| (number > 0).then_some(number);
    outcomes
        .iter()
        .filter(|outcome| outcome.outcome() == Outcome::Refused)
        .map(|outcome| Place {
            path: (!outcome.path.is_empty()).then(|| outcome.path.clone()),
            line: known(outcome.line),
            column: known(outcome.column),
            field: outcome.field.clone(),
            reason: outcome.reason.clone(),
        })
        .collect()
}

/// What is wrong at a place, in words.
#[must_use]
pub fn place_text(place: &Place) -> String {
    let mut text = String::new();
    if let Some(path) = &place.path {
        text.push_str(path);
        text.push_str(": ");
    }
    match (place.line, place.column) {
        (Some(line), Some(column)) => text.push_str(&format!("line {line}, column {column}: ")),
        (Some(line), None) => text.push_str(&format!("line {line}: ")),
        (None, _) => {}
    }
    format!("{text}{}: {}", place.field, place.reason)
}

/// Switches rules on or off.
///
/// # Errors
/// When no detector is running. What is wrong with single ids is in the changes.
pub async fn set_enabled(
    peers: &Peers,
    caller: &Caller,
    ids: Vec<String>,
    enabled: bool,
    note: String,
) -> Result<Vec<RuleChange>, ServiceError> {
    let request = SetRulesEnabledRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        ids,
        enabled,
        note,
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.set_rules_enabled(request).await };
    ask(peers, "enable rules", request, IMPORT_TIMEOUT, call)
        .await
        .map(|answer| answer.changes)
}

/// Deletes rules that were imported.
///
/// # Errors
/// When no detector is running. What is wrong with single ids is in the changes.
pub async fn delete(peers: &Peers, caller: &Caller, ids: Vec<String>) -> Result<Vec<RuleChange>, ServiceError> {
    let request = DeleteRulesRequest {
        tenant: caller.tenant.to_string(),
        requested_by: caller.actor.to_string(),
        ids,
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.delete_rules(request).await };
    ask(peers, "delete rules", request, IMPORT_TIMEOUT, call)
        .await
        .map(|answer| answer.changes)
}

/// The one change of a request about one rule.
///
/// # Errors
/// [`ErrorCode::NotFound`] when there is no such rule, [`ErrorCode::Conflict`] when it was not done.
pub async fn single(store: &Store, caller: &Caller, changes: Vec<RuleChange>) -> Result<RuleChange, ServiceError> {
    let change = changes
        .into_iter()
        .next()
        .ok_or_else(|| ServiceError::new(ErrorCode::Internal, "the detector did not answer for the rule"))?;
    if change.error.is_empty() {
        return Ok(change);
    }
    get(store, caller, &change.id).await?;
    Err(ServiceError::new(ErrorCode::Conflict, change.error))
}

/// How a rule was evaluated on an event: JSON.
///
/// # Errors
/// When there is no such rule or event, or no detector is running.
pub async fn explain(peers: &Peers, caller: &Caller, mut request: ExplainRuleRequest) -> Result<String, ServiceError> {
    if request.rule.is_none() {
        return Err(invalid("rule: expected the id or the text of one"));
    }
    if request.event.is_none() {
        return Err(invalid("event: expected the id of one, or one as JSON"));
    }
    request.tenant = caller.tenant.to_string();
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.explain_rule(request).await };
    ask(peers, "explain a rule", request, IMPORT_TIMEOUT, call)
        .await
        .map(|answer| answer.explanation_json)
}

/// How an alert came to be: JSON.
///
/// # Errors
/// When there is no such alert, or no detector is running.
pub async fn explain_alert(peers: &Peers, caller: &Caller, alert_id: String) -> Result<String, ServiceError> {
    let request = ExplainAlertRequest {
        tenant: caller.tenant.to_string(),
        alert_id,
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.explain_alert(request).await };
    ask(peers, "explain an alert", request, IMPORT_TIMEOUT, call)
        .await
        .map(|answer| answer.explanation_json)
}

/// Which rules find nothing, by what came in over the last `days` days.
///
/// # Errors
/// When no detector is running.
pub async fn find_blind(peers: &Peers, caller: &Caller, days: u32) -> Result<FindBlindRulesResponse, ServiceError> {
    let request = FindBlindRulesRequest {
        tenant: caller.tenant.to_string(),
        days,
    };
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.find_blind_rules(request).await };
    ask(peers, "find blind rules", request, IMPORT_TIMEOUT, call).await
}

/// Begins a backtest on some detector.
///
/// # Errors
/// When there are no files or too many, or no detector is free.
pub async fn backtest(
    peers: &Peers,
    caller: &Caller,
    mut request: BacktestRulesRequest,
) -> Result<Streaming<BacktestRulesResponse>, ServiceError> {
    check_files(&request.files)?;
    request.tenant = caller.tenant.to_string();
    request.requested_by = caller.actor.to_string();
    let call = |mut client: RuleServiceClient<Channel>, request| async move { client.backtest_rules(request).await };
    ask(peers, "backtest rules", request, IMPORT_TIMEOUT, call).await
}

/// The outcome of a backtest, as JSON; when it has not come by `deadline`, how far it is by then, with `complete: false`
/// and no `result`.
///
/// # Errors
/// What the detector says is wrong with the rules, or that it went away.
pub async fn outcome(mut answers: Streaming<BacktestRulesResponse>, deadline: Instant) -> Result<String, ServiceError> {
    let mut progress = BacktestProgress::default();
    loop {
        let gone = || ServiceError::new(ErrorCode::Unavailable, "the detector went away; try again");
        let Ok(answer) = tokio::time::timeout_at(deadline, answers.message()).await else {
            let BacktestProgress { events, total } = progress;
            let json = serde_json::json!({ "complete": false, "events": events, "events_in_all": total });
            return Ok(json.to_string());
        };
        let answer = answer.map_err(|status| {
            if status.code() == Code::InvalidArgument {
                invalid(status.message())
            } else {
                gone()
            }
        })?;
        match answer.ok_or_else(gone)?.body {
            Some(Body::ResultJson(json)) => return Ok(json),
            Some(Body::Progress(now)) => progress = now,
            None => {}
        }
    }
}

fn check_files(files: &[RuleFile]) -> Result<(), ServiceError> {
    if files.is_empty() {
        return Err(invalid("files: expected at least one"));
    }
    let bytes: usize = files.iter().map(|file| file.content.len() + file.path.len()).sum();
    if files.len() > MAX_FILES || bytes > MAX_BYTES {
        let detail = format!("files: expected at most {MAX_FILES} with {MAX_BYTES} bytes together");
        return Err(ServiceError::new(ErrorCode::TooLarge, detail));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_name_line_and_column() {
        let refused = ImportOutcome {
            path: "a.yml".to_owned(),
            line: 7,
            column: 3,
            outcome: Outcome::Refused.into(),
            field: "detection.s".to_owned(),
            reason: "expected a map".to_owned(),
            ..ImportOutcome::default()
        };
        let places = places(&[ImportOutcome::default(), refused]);
        assert_eq!(places.len(), 1);
        assert_eq!(
            place_text(&places[0]),
            "a.yml: line 7, column 3: detection.s: expected a map"
        );
    }

    #[test]
    fn cursors_are_read_back() {
        let cursor = BASE64_URL_SAFE_NO_PAD.encode("1.rule-7");
        assert_eq!(parse_cursor(&cursor).unwrap(), "rule-7");
        assert!(parse_cursor("!").unwrap_err().detail.starts_with("cursor: "));
    }
}
