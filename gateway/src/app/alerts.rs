//! Finding stored alerts.

use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use model::alert::Alert;
use model::{AlertId, Tenant, Timestamp};
use proto::{ErrorCode, ServiceError};
use storage::Store;
use storage::alerts::{self, AlertFilter};

use crate::problem::{from_storage, invalid};

/// One page of alerts.
#[derive(Clone, Debug)]
pub struct Page {
    /// Those made last first.
    pub alerts: Vec<Alert>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<String>,
}

/// Alerts that match, those made last first; `limit` is at most 1,000.
///
/// # Errors
/// When the database is away.
pub async fn page(store: &Store, mut filter: AlertFilter, limit: usize) -> Result<Page, ServiceError> {
    // One more than asked for tells whether there is a next page; at the cap, a full page means there may be one.
    filter.limit = u32::try_from(limit + 1).unwrap_or(u32::MAX).min(1000);
    let mut found = alerts::list(store, &filter).await.map_err(from_storage)?;
    let more = found.len() > limit || (limit >= 1000 && found.len() == limit);
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(cursor);
    Ok(Page { alerts: found, next })
}

/// How many alerts match.
///
/// # Errors
/// When the database is away.
pub async fn count(store: &Store, filter: &AlertFilter) -> Result<u64, ServiceError> {
    alerts::count(store, filter).await.map_err(from_storage)
}

/// One alert.
///
/// # Errors
/// [`ErrorCode::NotFound`] when there is none of that id.
pub async fn get(store: &Store, tenant: &Tenant, id: &str) -> Result<Alert, ServiceError> {
    let id: AlertId = id.parse().map_err(|error| invalid(format!("id: {error}")))?;
    alerts::get(store, tenant, &id)
        .await
        .map_err(from_storage)?
        .ok_or_else(|| ServiceError::new(ErrorCode::NotFound, format!("no alert {id}")))
}

/// The form in which alerts list addresses.
#[must_use]
pub fn ip_text(ip: IpAddr) -> String {
    ip.to_canonical().to_string()
}

fn cursor(alert: &Alert) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(format!("1.{}.{}", alert.processed_at.0, alert.id))
}

/// Position after the last alert of an earlier page.
///
/// # Errors
/// When the text is not a cursor.
pub fn parse_cursor(text: &str) -> Result<(Timestamp, AlertId), ServiceError> {
    let read = || -> Option<(Timestamp, AlertId)> {
        let plain = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (time, id) = plain.strip_prefix("1.")?.split_once('.')?;
        Some((Timestamp(time.parse().ok()?), id.parse().ok()?))
    };
    read().ok_or_else(|| invalid("cursor: expected the next_cursor of an earlier answer"))
}
