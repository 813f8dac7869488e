//! MISP feeds: the manifest tells which events changed, and only these are read, each taken over by itself.

use feeds::{Item, misp};
use model::feed::FeedSpec;

use super::{Meter, Reading, whole};
use crate::feeds::error::Error;
use crate::feeds::fetch::{Answer, Origin, Validators};
use crate::feeds::sink::Sink;

/// Events in a row that cannot be had before the run ends: the server is at fault then, not the events.
const MAX_FAILURES: usize = 10;

pub(super) async fn read(
    spec: &FeedSpec,
    origin: &Origin,
    had: &Validators,
    meter: &mut Meter,
    sink: &mut impl Sink,
) -> Result<Reading, Error> {
    let Answer::Content(content) = origin.open_beside("manifest.json", had).await? else {
        return Ok(Reading::Unchanged);
    };
    let body = whole(content.body, meter, misp::MAX_MANIFEST_BYTES).await?;
    let (listed, wrong) = misp::manifest(&body).map_err(|error| Error::failed(error.to_string()))?;
    drop(body);
    if wrong > 0 {
        sink.fail_part("manifest.json", format!("{wrong} entries are no events"));
    }
    let mut known = sink.parts().await?;
    let mut failures = 0;
    let mut is_whole = true;
    for event in &listed {
        let part = event.uuid.to_string();
        if known.remove(&part) == Some(event.timestamp) {
            continue;
        }
        sink.begin_part(&part);
        match read_event(origin, &part, meter).await {
            Ok(mut items) => {
                failures = 0;
                sink.take(&mut items).await?;
                sink.end_part(&part, event.timestamp).await?;
            }
            Err(error) => {
                failures += 1;
                is_whole = false;
                if failures >= MAX_FAILURES || error.retry_after().is_some() || !is_events_own(&error) {
                    return Err(error);
                }
                sink.fail_part(&part, error.message());
            }
        }
        if sink.is_full() {
            return Ok(Reading::Partly);
        }
    }
    if spec.options.delete_missing {
        // What is still here is not in the manifest.
        for part in known.keys() {
            sink.remove_part(part).await?;
        }
    }
    Ok(if is_whole {
        Reading::Whole(content.validators)
    } else {
        Reading::Partly
    })
}

/// Whether another event may do better.
fn is_events_own(error: &Error) -> bool {
    match error {
        Error::Status(status) => !matches!(status, 401 | 403),
        Error::Failed { .. } => true,
        Error::Lost | Error::Store(_) => false,
    }
}

async fn read_event(origin: &Origin, part: &str, meter: &mut Meter) -> Result<Vec<Item>, Error> {
    let name = format!("{part}.json");
    let Answer::Content(content) = origin.open_beside(&name, &Validators::default()).await? else {
        return Err(Error::failed(
            "expected the event, the server says that it did not change",
        ));
    };
    let body = whole(content.body, meter, misp::MAX_EVENT_BYTES).await?;
    let parsed = tokio::task::spawn_blocking(move || {
        let mut items = Vec::new();
        misp::event(&body, &mut items).map(|()| items)
    });
    parsed
        .await
        .map_err(|error| Error::failed(format!("reading the event panicked: {error}")))?
        .map_err(|error| Error::failed(format!("{error}: {}", cause(&error))))
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}
