//! `WatchAlerts`: one change stream for each watcher, with heartbeats.

use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use model::Level;
use proto::query::v1::{Heartbeat, WatchAlertsRequest, WatchAlertsResponse, WatchedAlert, watch_alerts_response};
use proto::{ErrorCode, ServiceError};
use storage::alerts::{self, Watch, WatchError};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::query::{level, wire};
use crate::app::watchers::Place;
use crate::auth::Caller;
use crate::problem::{from_storage, invalid};
use crate::state::App;

/// Time between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(10);

pub(super) type AlertStream = Pin<Box<dyn Stream<Item = Result<WatchAlertsResponse, Status>> + Send>>;

struct Watcher {
    watch: Watch,
    min_level: Option<Level>,
    heartbeats: Interval,
    shutdown: CancellationToken,
    ended: bool,
    _place: Place,
}

/// Begins to watch. Every alert made from when this returns will be seen.
pub(super) async fn open(app: &App, caller: &Caller, request: WatchAlertsRequest) -> Result<AlertStream, ServiceError> {
    let min_level = level("min_level", &request.min_level)?;
    let place = app.watchers.enter(caller)?;
    let cursor = (!request.cursor.is_empty()).then_some(request.cursor.as_str());
    let watch = alerts::watch(&app.store, &caller.tenant, cursor)
        .await
        .map_err(from_watch)?;
    let mut heartbeats = tokio::time::interval_at(Instant::now(), HEARTBEAT);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let watcher = Watcher {
        watch,
        min_level,
        heartbeats,
        shutdown: app.shutdown.clone(),
        ended: false,
        _place: place,
    };
    let stream = futures_util::stream::unfold(watcher, |mut watcher| async move {
        if watcher.ended {
            return None;
        }
        let item = watcher.next().await;
        watcher.ended = item.is_err();
        Some((item, watcher))
    });
    Ok(Box::pin(stream))
}

impl Watcher {
    async fn next(&mut self) -> Result<WatchAlertsResponse, Status> {
        loop {
            let body = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {
                    return Err(Status::unavailable("the server is stopping; resume from the last cursor"));
                }
                _ = self.heartbeats.tick() => {
                    let cursor = self.watch.cursor().to_owned();
                    watch_alerts_response::Body::Heartbeat(Heartbeat { cursor })
                }
                item = self.watch.next() => {
                    let watched = match item {
                        Some(Ok(item)) => item,
                        Some(Err(error)) => return Err(from_watch(error).into()),
                        None => return Err(Status::unavailable("the watch ended; resume from the last cursor")),
                    };
                    if self.min_level.is_some_and(|min| watched.alert.level < min) {
                        continue;
                    }
                    metrics::counter!("picket_gateway_alerts_watched_total").increment(1);
                    watch_alerts_response::Body::Alert(WatchedAlert {
                        alert: Some(wire(&watched.alert)?),
                        cursor: watched.cursor,
                        is_update: watched.is_update,
                    })
                }
            };
            return Ok(WatchAlertsResponse { body: Some(body) });
        }
    }
}

fn from_watch(error: WatchError) -> ServiceError {
    match error {
        WatchError::Expired => ServiceError::new(ErrorCode::Expired, format!("cursor: {error}")),
        WatchError::InvalidCursor => invalid(error.to_string()),
        WatchError::Storage(error) => from_storage(error),
    }
}
