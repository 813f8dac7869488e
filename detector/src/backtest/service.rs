//! Backtests that gateways ask for: one at a time, on one thread, ended when nobody listens any more.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::Stream;
use model::{Tenant, Timestamp};
use proto::rules::v1::backtest_rules_response::Body;
use proto::rules::v1::{BacktestProgress, BacktestRulesRequest, BacktestRulesResponse};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use tokio::sync::{Semaphore, mpsc};
use tonic::Status;

use super::{Error, Question};

/// Time between two words on progress.
const EVERY: Duration = Duration::from_millis(500);
/// Most alerts shown.
const MAX_SAMPLES: u32 = 1000;

/// Progress, then the outcome.
pub(crate) type Answers = Pin<Box<dyn Stream<Item = Result<BacktestRulesResponse, Status>> + Send>>;

/// Who may run one.
#[derive(Clone, Debug)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Default for Turns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

/// Begins a backtest.
pub(crate) fn begin(
    store: &Store,
    turns: &Turns,
    tenant: Tenant,
    request: BacktestRulesRequest,
) -> Result<Answers, Status> {
    let Ok(turn) = turns.0.clone().try_acquire_owned() else {
        return Err(ServiceError::new(ErrorCode::RateLimited, "another backtest is running; try again later").into());
    };
    let max_seconds = request.max_seconds;
    let time = |micros: i64| (micros != 0).then_some(Timestamp(micros));
    let question = Question {
        tenant,
        from: time(request.from_micros),
        to: time(request.to_micros),
        files: request
            .files
            .into_iter()
            .map(|file| (file.path, file.content))
            .collect(),
        diff: request.diff,
        samples: usize::try_from(request.max_samples.min(MAX_SAMPLES)).unwrap_or_default(),
        threads: 1,
    };
    let (sender, receiver) = mpsc::channel(16);
    let store = store.clone();
    tokio::spawn(async move {
        let _turn = turn;
        let mut told = Instant::now();
        let end = (max_seconds > 0).then(|| Instant::now() + Duration::from_secs(u64::from(max_seconds)));
        let progress = |events: u64, total: u64| {
            if told.elapsed() >= EVERY {
                told = Instant::now();
                let body = Body::Progress(BacktestProgress { events, total });
                // A full channel only means that somebody reads slowly.
                let _ = sender.try_send(Ok(BacktestRulesResponse { body: Some(body) }));
            }
            !sender.is_closed() && end.is_none_or(|end| Instant::now() < end)
        };
        let answer = match super::run(&store, &question, progress).await {
            Ok(outcome) => serde_json::to_string(&outcome)
                .map(|json| BacktestRulesResponse {
                    body: Some(Body::ResultJson(json)),
                })
                .map_err(|error| ServiceError::new(ErrorCode::Internal, error.to_string()).into()),
            Err(error @ Error::Rules(_)) => {
                Err(ServiceError::new(ErrorCode::InvalidArgument, error.to_string()).into())
            }
            Err(Error::Read(error)) => {
                tracing::warn!(error = format!("{error:#}"), "backtest failed");
                Err(ServiceError::new(ErrorCode::Unavailable, format!("{error:#}")).into())
            }
        };
        // Nobody may be there to be told.
        let _ = sender.send(answer).await;
    });
    let answers = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|answer| (answer, receiver))
    });
    Ok(Box::pin(answers))
}
