//! `/events/export`.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;

use super::{FilterParams, Params, QueryParam, filter, known};
use crate::app::events::Format;
use crate::auth::Caller;
use crate::problem::{Problem, invalid};
use crate::state::App;

/// All matching events, newest first, as a stream.
///
/// A connection that ends without its last chunk means that the export is not complete. Of blocks that overlap very much
/// in time, the order is only roughly newest first.
#[utoipa::path(
    get,
    path = "/events/export",
    tag = "events",
    params(
        FilterParams,
        QueryParam,
        ("format" = Option<String>, Query, description = "`jsonl` (nested ECS, the default), `csv`, or `ocsf` (OCSF 1.3)",
            pattern = "^(jsonl|csv|ocsf)$"),
        ("fields" = Option<String>, Query, description = "Columns of `csv`: names of fields, separated by commas"),
        ("limit" = Option<u64>, Query, description = "Only so many, the newest; all by default", minimum = 1),
    ),
    responses((
        status = 200,
        description = "One event a line",
        content((String = "application/x-ndjson"), (String = "text/csv")),
    ))
)]
pub(in crate::rest) async fn export(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Response, Problem> {
    let mut params = Params::parse(&uri, &known(&["format", "fields", "limit"]))?;
    let format = Format::parse(params.text("format").as_deref(), params.text("fields").as_deref())?;
    let limit = params.take::<u64>("limit", "a number from 1")?;
    if limit == Some(0) {
        return Err(invalid("limit: expected a number from 1, got 0").into());
    }
    let filter = filter(&mut params, caller.tenant)?;
    let (content_type, file_name) = (format.content_type(), format.file_name());
    let lines = app.events.export(&filter, format, limit).await?;
    let lines = lines.inspect_err(|error| tracing::warn!(%error, "export broke off"));
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{file_name}\"")) {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
