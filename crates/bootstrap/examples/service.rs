//! The smallest service: what `run_service` needs, and what its tests run as a process.

use std::process::ExitCode;

use anyhow::bail;
use bootstrap::{AdminConfig, ConfigError, Context, LogConfig, Running, ServiceConfig, admin, run_service};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    node: String,
    /// `run`, `fail`, `panic` or `hang`.
    behaviour: String,
    log: LogConfig,
    admin: AdminConfig,
}

impl ServiceConfig for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn validate(&self) -> Result<(), ConfigError> {
        match self.behaviour.as_str() {
            "" | "run" | "fail" | "panic" | "hang" => Ok(()),
            other => Err(ConfigError::value(
                "behaviour",
                "run, fail, panic or hang",
                format!("{other:?}"),
            )),
        }
    }

    fn node(&self) -> Option<&str> {
        (!self.node.is_empty()).then_some(self.node.as_str())
    }
}

#[allow(clippy::panic, reason = "what a panic does to a process is what is shown")]
async fn start(config: Config, ctx: Context) -> anyhow::Result<Running> {
    let (_ready, is_ready) = watch::channel(true);
    let addr = admin::serve(config.admin.addr, ctx.clone(), is_ready).await?;
    metrics::counter!("picket_example_starts_total").increment(1);
    let shutdown = ctx.shutdown.clone();
    ctx.tasks.spawn("work", async move {
        match config.behaviour.as_str() {
            "fail" => bail!("the work failed"),
            "panic" => std::panic::panic_any("the work panicked"),
            "hang" => std::future::pending().await,
            _ => {
                shutdown.cancelled().await;
                Ok(())
            }
        }
    });
    Ok(Running {
        addr,
        admin_addr: Some(addr),
    })
}

fn main() -> ExitCode {
    run_service::<Config, _, _>("example", std::env::args_os().skip(1), start)
}
