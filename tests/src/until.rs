//! Waiting without sleeping blindly: look, and look again, until a deadline.

use std::time::{Duration, Instant};

use anyhow::bail;

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(25);

/// Looks until `look` finds something, for at most `within`. `what` names it in the error, together with what the last
/// look said.
///
/// # Errors
/// When the time is up.
pub async fn until<T, F>(what: &str, within: Duration, mut look: F) -> anyhow::Result<T>
where
    F: AsyncFnMut() -> anyhow::Result<Option<T>>,
{
    let deadline = Instant::now() + within;
    loop {
        let seen = look().await;
        match seen {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if Instant::now() >= deadline => bail!("{what}: not within {within:?}"),
            Err(error) if Instant::now() >= deadline => {
                return Err(error.context(format!("{what}: not within {within:?}")));
            }
            Ok(None) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
