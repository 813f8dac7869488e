//! Waiting without sleeping blindly.

use std::time::{Duration, Instant};

/// How often is looked.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `look` gives something, and returns that.
///
/// # Panics
/// When `deadline` is over first; the message holds `what` was waited for.
pub async fn poll_until<T, F>(deadline: Duration, what: &str, mut look: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::poll_until;
    use std::time::Duration;

    #[tokio::test]
    async fn looks_again_until_there_is_something() {
        let mut looks = 0;
        let seen = poll_until(Duration::from_secs(10), "the third look", async || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(seen.await, 3);
    }
}
