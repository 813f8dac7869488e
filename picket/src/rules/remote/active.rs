//! Waiting until detectors use what was stored.

use std::time::{Duration, Instant};

use model::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::client::Target;

/// Longest wait.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Who uses it, and since when.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Active {
    /// Living detectors that use it.
    detectors: usize,
    /// Living detectors.
    of: usize,
    /// How long that took after it was stored.
    seconds: f64,
}

impl Active {
    /// In words.
    pub(crate) fn told(&self) -> String {
        let Self { detectors, of, seconds } = self;
        let word = if *of == 1 { "detector" } else { "detectors" };
        match (detectors, of) {
            (_, 0) => "stored; no detector is running".to_owned(),
            (0, _) => format!("stored; not yet in use on any of {of} {word} after {seconds:.1} s"),
            _ => format!("active on {detectors} of {of} {word} after {seconds:.1} s"),
        }
    }
}

/// Waits until every living detector uses what was stored at this time, by the database's clock, or for ten seconds.
///
/// # Errors
/// When the gateway does not tell.
pub(crate) async fn wait(target: &Target, stored_at: Timestamp) -> anyhow::Result<Active> {
    let (rest, began) = (target.rest()?, Instant::now());
    loop {
        let (detectors, of) = count(&rest.get("/nodes").await?, stored_at);
        if detectors == of || began.elapsed() >= PATIENCE {
            let seconds = began.elapsed().as_secs_f64();
            return Ok(Active { detectors, of, seconds });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Living detectors that use it, and all.
fn count(nodes: &Value, stored_at: Timestamp) -> (usize, usize) {
    let nodes = nodes["items"].as_array().into_iter().flatten();
    let (mut using, mut all) = (0, 0);
    for node in nodes.filter(|node| node["role"] == "detector" && node["alive"] == true) {
        all += 1;
        let at = node["rules_at"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        // Times are to the millisecond: what was read in the same one may lack it.
        using += usize::from(at.is_some_and(|at| at.as_millis() > stored_at.as_millis()));
    }
    (using, all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn living_detectors_that_read_later_use_it() {
        let node = |role: &str, alive: bool, at: i64| json!({"role": role, "alive": alive, "rules_at": Timestamp::from_millis(at).to_string()});
        let nodes = json!({"items": [
            node("detector", true, 1001), node("detector", true, 1000), node("detector", false, 2000),
            node("gateway", true, 2000), {"role": "detector", "alive": true},
        ]});
        assert_eq!(count(&nodes, Timestamp::from_millis(1000)), (1, 3));
        let told = |detectors, of| {
            Active {
                detectors,
                of,
                seconds: 0.44,
            }
            .told()
        };
        assert_eq!(told(2, 2), "active on 2 of 2 detectors after 0.4 s");
        assert_eq!(told(0, 0), "stored; no detector is running");
    }
}
