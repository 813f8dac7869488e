//! What is running, and how it ends.

use std::time::Duration;

use bootstrap::Context;
use futures_util::future::join_all;

use super::board::Board;
use super::dirs::Dirs;
use super::mongo;
use super::process::Supervised;
use super::stop::Stop;

/// The order in which roles stop: who brings work before who does it.
const STOP_ORDER: [&str; 5] = ["agent", "gateway", "collector", "detector", "responder"];
/// How long a service inside this process may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// A started node.
pub(super) enum Part {
    /// As a process of its own.
    Process(Supervised),
    /// Inside this process.
    Inside { role: String, name: String, ctx: Context },
}

impl Part {
    fn role(&self) -> &str {
        match self {
            Self::Process(process) => &process.role,
            Self::Inside { role, .. } => role,
        }
    }
}

/// Everything that was started.
pub(crate) struct System {
    pub(super) dirs: Dirs,
    pub(super) board: Board,
    pub(super) parts: Vec<Part>,
    pub(super) mongod: Option<mongo::Watched>,
    pub(super) operator: Stop,
}

impl System {
    pub(super) fn new(dirs: Dirs, operator: Stop) -> Self {
        Self {
            board: Board::new(dirs.data().to_owned()),
            dirs,
            parts: Vec::new(),
            mongod: None,
            operator,
        }
    }

    /// Runs until the operator asks for an end, or a node inside this process fails.
    pub(super) async fn run(&self) -> Option<anyhow::Error> {
        let failing = self.parts.iter().filter_map(|part| match part {
            Part::Inside { name, ctx, .. } => Some(Box::pin(async move {
                ctx.shutdown.cancelled().await;
                name.clone()
            })),
            Part::Process(_) => None,
        });
        let failing: Vec<_> = failing.collect();
        if failing.is_empty() {
            self.operator.asked().await;
            return None;
        }
        tokio::select! {
            () = self.operator.asked() => None,
            (name, _, _) = futures_util::future::select_all(failing) => {
                Some(anyhow::anyhow!("{name} failed; with --in-process that is the end of all"))
            }
        }
    }

    /// Stops everything in order. A second signal cuts it short.
    pub(super) async fn stop(&mut self) {
        self.board.withdraw();
        self.dirs.remove_up_file();
        let mut parts = std::mem::take(&mut self.parts);
        for role in STOP_ORDER {
            let (of_role, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| part.role() == role);
            parts = others;
            join_all(of_role.into_iter().map(|part| stop_part(part, self.operator.clone()))).await;
        }
        if let Some(mongod) = self.mongod.take()
            && !mongod.stop(self.operator.urgent()).await
            && !self.operator.is_urgent()
        {
            eprintln!("! MongoDB did not stop cleanly; it recovers at the next start");
        }
    }
}

async fn stop_part(part: Part, operator: Stop) {
    match part {
        Part::Process(process) => process.stop().await,
        Part::Inside { name, ctx, .. } => {
            let drained = tokio::select! {
                drained = ctx.drain(STOP_GRACE) => drained,
                () = operator.urgent() => return,
            };
            if let Err(error) = drained {
                eprintln!("! {name} stopped with a failure: {error:#}");
            }
        }
    }
}
