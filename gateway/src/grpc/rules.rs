//! `picket.rules.v1.RuleService`, passed on to a detector in the caller's name.

use model::AccessRole;
use proto::rules::v1::rule_service_server::RuleService;
use proto::rules::v1::{
    BacktestRulesRequest, BacktestRulesResponse, DeleteExceptionRequest, DeleteExceptionResponse, DeleteRulesRequest,
    DeleteRulesResponse, DeleteSuppressionRequest, DeleteSuppressionResponse, ExplainAlertRequest,
    ExplainAlertResponse, ExplainRuleRequest, ExplainRuleResponse, FindBlindRulesRequest, FindBlindRulesResponse,
    ImportRulesRequest, ImportRulesResponse, PutExceptionRequest, PutExceptionResponse, PutSuppressionRequest,
    PutSuppressionResponse, SetRulesEnabledRequest, SetRulesEnabledResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::query::caller;
use crate::app::{rule_use, rules, tuning};
use crate::problem::invalid;
use crate::rest::check_role;
use crate::state::App;

/// Passes rule changes on.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    app: App,
}

impl Rules {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl RuleService for Rules {
    type BacktestRulesStream = Streaming<BacktestRulesResponse>;

    async fn backtest_rules(
        &self,
        request: Request<BacktestRulesRequest>,
    ) -> Result<Response<Self::BacktestRulesStream>, Status> {
        let caller = caller(&request)?;
        let answers = rules::backtest(&self.app.peers, &caller, request.into_inner()).await?;
        Ok(Response::new(answers))
    }

    async fn import_rules(
        &self,
        request: Request<ImportRulesRequest>,
    ) -> Result<Response<ImportRulesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        // Looking whether a rule would do is reading; storing it is not.
        if !request.dry_run {
            check_role(&caller, AccessRole::Analyst)?;
        }
        let answer = rules::import(&self.app.peers, &caller, request.files, request.dry_run).await?;
        Ok(Response::new(answer))
    }

    async fn set_rules_enabled(
        &self,
        request: Request<SetRulesEnabledRequest>,
    ) -> Result<Response<SetRulesEnabledResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let peers = &self.app.peers;
        let changes = rules::set_enabled(peers, &caller, request.ids, request.enabled, request.note).await?;
        Ok(Response::new(SetRulesEnabledResponse { changes }))
    }

    async fn delete_rules(
        &self,
        request: Request<DeleteRulesRequest>,
    ) -> Result<Response<DeleteRulesResponse>, Status> {
        let caller = caller(&request)?;
        let changes = rules::delete(&self.app.peers, &caller, request.into_inner().ids).await?;
        Ok(Response::new(DeleteRulesResponse { changes }))
    }

    async fn put_exception(
        &self,
        request: Request<PutExceptionRequest>,
    ) -> Result<Response<PutExceptionResponse>, Status> {
        let caller = caller(&request)?;
        let exception = request.into_inner().exception;
        let exception = exception.ok_or_else(|| invalid("exception: expected one, got nothing"))?;
        let stored = tuning::put_exception(&self.app.peers, &caller, exception).await?;
        Ok(Response::new(PutExceptionResponse {
            exception: Some(stored),
        }))
    }

    async fn delete_exception(
        &self,
        request: Request<DeleteExceptionRequest>,
    ) -> Result<Response<DeleteExceptionResponse>, Status> {
        let caller = caller(&request)?;
        let deleted = tuning::delete_exception(&self.app.peers, &caller, &request.into_inner().id).await?;
        Ok(Response::new(DeleteExceptionResponse { deleted }))
    }

    async fn put_suppression(
        &self,
        request: Request<PutSuppressionRequest>,
    ) -> Result<Response<PutSuppressionResponse>, Status> {
        let caller = caller(&request)?;
        let suppression = request.into_inner().suppression;
        let suppression = suppression.ok_or_else(|| invalid("suppression: expected one, got nothing"))?;
        let stored = tuning::put_suppression(&self.app.peers, &caller, suppression).await?;
        Ok(Response::new(PutSuppressionResponse {
            suppression: Some(stored),
        }))
    }

    async fn delete_suppression(
        &self,
        request: Request<DeleteSuppressionRequest>,
    ) -> Result<Response<DeleteSuppressionResponse>, Status> {
        let caller = caller(&request)?;
        let deleted = tuning::delete_suppression(&self.app.peers, &caller, &request.into_inner().rule_id).await?;
        Ok(Response::new(DeleteSuppressionResponse { deleted }))
    }

    async fn explain_rule(
        &self,
        request: Request<ExplainRuleRequest>,
    ) -> Result<Response<ExplainRuleResponse>, Status> {
        let caller = caller(&request)?;
        let explanation_json = rules::explain(&self.app.peers, &caller, request.into_inner()).await?;
        Ok(Response::new(ExplainRuleResponse { explanation_json }))
    }

    async fn explain_alert(
        &self,
        request: Request<ExplainAlertRequest>,
    ) -> Result<Response<ExplainAlertResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().alert_id;
        let explanation_json = rules::explain_alert(&self.app.peers, &caller, id).await?;
        Ok(Response::new(ExplainAlertResponse { explanation_json }))
    }

    async fn find_blind_rules(
        &self,
        request: Request<FindBlindRulesRequest>,
    ) -> Result<Response<FindBlindRulesResponse>, Status> {
        let caller = caller(&request)?;
        let days = request.into_inner().days;
        let days = rule_use::check_days((days != 0).then_some(days))?;
        Ok(Response::new(rules::find_blind(&self.app.peers, &caller, days).await?))
    }
}
