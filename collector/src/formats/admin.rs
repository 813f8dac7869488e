//! `ParserService`: parsers put in place and removed, each only if it can be used and its own tests hold.

use model::Timestamp;
use model::node::Role;
use parsers::custom::{CustomError, CustomParser, MAX_FILE};
use proto::formats::v1::parser_service_server::ParserService;
use proto::formats::v1::{
    DeleteParserRequest, DeleteParserResponse, ParserMistake, PutParserRequest, PutParserResponse,
};
use serde_json::json;
use storage::parsers::MAX_PARSERS;
use storage::{Store, audit};
use tonic::{Request, Response, Status};

use crate::admin::{actor, invalid, tenant};
use crate::stream::unavailable;

const ALLOWED: [Role; 2] = [Role::Gateway, Role::Operator];
/// Longest line and mistake of a test that are told, in characters.
const MAX_TOLD: usize = 300;
/// Most tests that are told to fail.
const MAX_FAILED: usize = 16;

/// The service; cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) store: Store,
}

#[tonic::async_trait]
impl ParserService for Service {
    async fn put_parser(&self, request: Request<PutParserRequest>) -> Result<Response<PutParserResponse>, Status> {
        bootstrap::grpc::require_role(&request, &ALLOWED)?;
        let request = request.into_inner();
        let tenant = tenant(&request.tenant)?;
        let actor = actor(request.requested_by)?;
        if request.text.len() > MAX_FILE {
            return Err(invalid(format!("text: expected at most {MAX_FILE} bytes")));
        }
        let (text, expected) = (request.text, request.name);
        let now = Timestamp::now();
        // Compiling patterns and trying lines takes time.
        let judging = tokio::task::spawn_blocking(move || {
            let answer = judge(&text, &expected, now);
            (answer, text)
        });
        let (mut answer, text) = judging
            .await
            .map_err(|_| Status::internal("reading the parser failed"))?;
        if !answer.mistakes.is_empty() || request.dry_run {
            return Ok(Response::new(answer));
        }
        let failed = |error: storage::Error| unavailable(&error);
        let before = storage::parsers::get(&self.store, &tenant, &answer.name)
            .await
            .map_err(failed)?;
        if let Some(before) = &before
            && before.text == text
        {
            answer.unchanged = true;
            answer.revision = before.revision;
            return Ok(Response::new(answer));
        }
        if before.is_none() && storage::parsers::count(&self.store, &tenant).await.map_err(failed)? >= MAX_PARSERS {
            return Err(Status::resource_exhausted(format!(
                "expected at most {MAX_PARSERS} parsers"
            )));
        }
        let entry = audit::NewEntry {
            tenant: tenant.clone(),
            actor: actor.clone(),
            action: "parser.put".to_owned(),
            object: answer.name.clone(),
            detail: json!({ "dataset": answer.dataset, "replaces": before.map(|before| before.revision) }),
        };
        // First the log: a change without its line would be worse than a line without its change.
        audit::append(&self.store, entry).await.map_err(failed)?;
        let stored = storage::parsers::put(&self.store, &tenant, &answer.name, &answer.dataset, &text, &actor)
            .await
            .map_err(failed)?;
        answer.revision = stored.revision;
        tracing::info!(
            parser.name = stored.name,
            parser.revision = stored.revision,
            requested_by = actor,
            "parser stored"
        );
        Ok(Response::new(answer))
    }

    async fn delete_parser(
        &self,
        request: Request<DeleteParserRequest>,
    ) -> Result<Response<DeleteParserResponse>, Status> {
        bootstrap::grpc::require_role(&request, &ALLOWED)?;
        let request = request.into_inner();
        let tenant = tenant(&request.tenant)?;
        let actor = actor(request.requested_by)?;
        let failed = |error: storage::Error| unavailable(&error);
        let known = storage::parsers::get(&self.store, &tenant, &request.name)
            .await
            .map_err(failed)?;
        if known.is_none() {
            return Ok(Response::new(DeleteParserResponse { deleted: false }));
        }
        let entry = audit::NewEntry {
            tenant: tenant.clone(),
            actor: actor.clone(),
            action: "parser.delete".to_owned(),
            object: request.name.clone(),
            detail: json!({}),
        };
        audit::append(&self.store, entry).await.map_err(failed)?;
        let deleted = storage::parsers::delete(&self.store, &tenant, &request.name, &actor)
            .await
            .map_err(failed)?;
        tracing::info!(parser.name = request.name, requested_by = actor, "parser removed");
        Ok(Response::new(DeleteParserResponse { deleted }))
    }
}

/// Reads a parser and tries it with its own tests.
fn judge(text: &str, expected: &str, now: Timestamp) -> PutParserResponse {
    let parser = match CustomParser::from_toml(text) {
        Ok(parser) => parser,
        Err(error) => {
            return PutParserResponse {
                mistakes: vec![mistake(&error)],
                ..PutParserResponse::default()
            };
        }
    };
    let mut mistakes = Vec::new();
    if !expected.is_empty() && parser.name() != expected {
        mistakes.push(ParserMistake {
            field: "name".to_owned(),
            reason: format!("expected {expected:?}, got {:?}", parser.name()),
            ..ParserMistake::default()
        });
    }
    let trials = parser.trials(now);
    let failed = trials.iter().filter(|trial| !trial.mistakes.is_empty());
    for trial in failed.take(MAX_FAILED) {
        let told: String = trial.mistakes.join("; ").chars().take(MAX_TOLD).collect();
        let line: String = trial.line.chars().take(MAX_TOLD).collect();
        mistakes.push(ParserMistake {
            field: "test".to_owned(),
            reason: format!("{line:?}: {told}"),
            ..ParserMistake::default()
        });
    }
    PutParserResponse {
        name: parser.name().to_owned(),
        dataset: parser.dataset().to_owned(),
        detected: parser.is_detected(),
        tests: u32::try_from(trials.len()).unwrap_or(u32::MAX),
        mistakes,
        ..PutParserResponse::default()
    }
}

fn mistake(error: &CustomError) -> ParserMistake {
    let number = |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
    ParserMistake {
        line: number(error.line),
        column: number(error.column),
        field: error.field.clone(),
        reason: error.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = \"door\"\ndataset = \"door.log\"\n[text]\ncontains = [\"door\"]\n\
        dissect = [\"door {ip} opened\"]\n[[step]]\nfields = {\"source.ip\" = \"ip\"}\n\
        [[test]]\nline = \"door 192.0.2.1 opened\"\nexpect = {\"source.ip\" = \"192.0.2.1\"}\n";

    #[test]
    fn what_is_wrong_with_a_parser_is_told() {
        let good = judge(GOOD, "door", Timestamp(0));
        assert_eq!((good.name.as_str(), good.tests, good.detected), ("door", 1, true));
        assert!(good.mistakes.is_empty(), "{:?}", good.mistakes);

        let renamed = judge(GOOD, "gate", Timestamp(0));
        assert_eq!(renamed.mistakes[0].field, "name");

        let failing = judge(&GOOD.replace("= \"192.0.2.1\"}", "= \"192.0.2.2\"}"), "", Timestamp(0));
        assert_eq!(failing.mistakes[0].field, "test");
        assert!(
            failing.mistakes[0].reason.contains("source.ip: expected"),
            "{failing:?}"
        );

        let broken = judge(&GOOD.replace("dissect", "disect"), "", Timestamp(0));
        let place = &broken.mistakes[0];
        assert_eq!((place.line, place.column, place.field.as_str()), (5, 1, "text.disect"));
        assert!(place.reason.contains("unknown field"), "{place:?}");
    }
}
