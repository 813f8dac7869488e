//! The database: one that was named, or one of our own.

use anyhow::Context as _;
use mongod::{Mongod, Options, Origin, Progress};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::dirs::Dirs;
use super::process::Backoff;
use super::steps::Step;
use crate::data_dir::UpNode;

const NAME: &str = "mongod";

/// A `mongod` of ours, started again whenever it ends.
#[derive(Debug)]
pub(super) struct Watched {
    stop: CancellationToken,
    urgent: CancellationToken,
    watcher: JoinHandle<bool>,
}

/// Checks the database that was named.
pub(super) async fn check(uri: &str) -> anyhow::Result<()> {
    let step = Step::begin("reaching MongoDB");
    mongod::check(uri)
        .await
        .context("use the MongoDB of --mongodb-uri (or PICKET_MONGODB_URI)")?;
    step.done("MongoDB: the one that was named");
    Ok(())
}

/// Finds a `mongod` and starts it. Gives its URI.
pub(super) async fn start(place: &Dirs, board: &Board, cache_gb: Option<f64>) -> anyhow::Result<(Watched, String)> {
    let step = Step::begin("looking for MongoDB");
    let binary = mongod::provision(place.data(), |progress| match progress {
        Progress::Downloading { bytes, total } => {
            step.set(format!(
                "downloading MongoDB: {} of {} MB",
                bytes / 1_000_000,
                total / 1_000_000
            ));
        }
        Progress::Unpacking => step.set("unpacking MongoDB"),
    })
    .await?;
    step.set(format!("starting MongoDB {}", binary.version));
    let mut options = Options {
        log_path: place.log(NAME),
        ..Options::new(&binary.path, place.mongod_data())
    };
    if let Some(gb) = cache_gb {
        options.cache_gb = gb;
    }
    let server = Mongod::start(options).await.context("start MongoDB")?;
    let origin = match binary.origin {
        Origin::Path => "from PATH",
        Origin::Provisioned => "provisioned before",
        Origin::Downloaded => "downloaded",
    };
    step.done(&format!(
        "MongoDB {} ({origin}), data in {}",
        binary.version,
        place.mongod_data().display()
    ));
    let uri = server.uri();
    Ok((watch(server, board.clone()), uri))
}

fn watch(server: Mongod, board: Board) -> Watched {
    let (stop, urgent) = (CancellationToken::new(), CancellationToken::new());
    board.set(entry(&server, server.pid()));
    let watcher = tokio::spawn(keep(server, board, stop.clone(), urgent.clone()));
    Watched { stop, urgent, watcher }
}

/// Keeps it running until it is told to stop; true when it stopped cleanly.
async fn keep(mut server: Mongod, board: Board, stop: CancellationToken, urgent: CancellationToken) -> bool {
    let mut backoff = Backoff::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = server.wait() => {}
        }
        board.set(entry(&server, 0));
        loop {
            let pause = backoff.next();
            eprintln!(
                "! mongod ended; starting it again in {} s (log: {})",
                pause.as_secs(),
                server.log_path().display()
            );
            tokio::select! {
                () = stop.cancelled() => return false,
                () = tokio::time::sleep(pause) => {}
            }
            match server.restart().await {
                Ok(()) => break,
                Err(error) => eprintln!("! {error}"),
            }
        }
        eprintln!("✓ mongod runs again");
        backoff.started();
        board.set(entry(&server, server.pid()));
    }
    tokio::select! {
        clean = server.stop() => clean,
        () = urgent.cancelled() => {
            server.kill9().await;
            false
        }
    }
}

fn entry(server: &Mongod, pid: u32) -> UpNode {
    UpNode {
        role: NAME.to_owned(),
        name: NAME.to_owned(),
        pid,
        addr: format!("127.0.0.1:{}", server.port()),
    }
}

impl Watched {
    /// Stops it cleanly, or kills it when `urgent` resolves first.
    pub(super) async fn stop(self, urgent: impl Future<Output = ()>) -> bool {
        let (done, finished) = oneshot::channel();
        self.stop.cancel();
        let (watcher, kill) = (self.watcher, self.urgent);
        tokio::spawn(async move {
            let _ = done.send(watcher.await.unwrap_or(false));
        });
        tokio::pin!(finished);
        tokio::select! {
            clean = &mut finished => return clean.unwrap_or(false),
            () = urgent => kill.cancel(),
        }
        finished.await.unwrap_or(false)
    }
}
