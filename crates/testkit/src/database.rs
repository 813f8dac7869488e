//! One MongoDB for all tests of a process, and a database of its own for each.
//!
//! The server dies with the process (see `mongod::child`), however that ends, so its data stays behind; the next test
//! process removes what dead ones left.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use mongod::{Mongod, Options};
use storage::Store;
use tokio::sync::OnceCell;

/// Names a running server to use in place of a throw-away one.
const URI_VARIABLE: &str = "PICKET_TEST_MONGODB_URI";
/// Names the directory that keeps the downloaded `mongod`.
const CACHE_VARIABLE: &str = "PICKET_TEST_CACHE";
/// How long dropping a database may hold up the end of a test.
const DROP_WITHIN: Duration = Duration::from_secs(10);

static SERVER: OnceCell<Server> = OnceCell::const_new();

struct Server {
    uri: String,
    drops: mpsc::Sender<(String, mpsc::SyncSender<()>)>,
    /// Keeps it running; `None` when somebody else's is used.
    _mongod: Option<Mongod>,
}

/// An empty database; dropped when this is.
#[derive(Debug)]
pub struct TestDatabase {
    uri: String,
    name: String,
    store: Store,
    drops: mpsc::Sender<(String, mpsc::SyncSender<()>)>,
}

/// A fresh database on the MongoDB that all tests of this process share: the one that `PICKET_TEST_MONGODB_URI` names,
/// or a throw-away one that the first call starts.
///
/// # Panics
/// When there is no MongoDB to be had; the message says what to do.
pub async fn mongo() -> TestDatabase {
    let server = SERVER.get_or_init(start).await;
    let name = format!("picket_test_{}", uuid::Uuid::new_v4().simple());
    let store = Store::connect(&server.uri, &name, "tests")
        .await
        .expect("open a test database");
    TestDatabase {
        uri: server.uri.clone(),
        name,
        store,
        drops: server.drops.clone(),
    }
}

impl TestDatabase {
    /// Connection string of the server.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Name of the database.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The database; indexes are not made.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The database with every index.
    ///
    /// # Panics
    /// When they cannot be made.
    pub async fn store_with_indexes(&self) -> Store {
        self.store.ensure_indexes().await.expect("make the indexes");
        self.store.clone()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (done, is_done) = mpsc::sync_channel(1);
        if self.drops.send((self.name.clone(), done)).is_ok() {
            let _ = is_done.recv_timeout(DROP_WITHIN);
        }
    }
}

async fn start() -> Server {
    let (uri, mongod) = match std::env::var(URI_VARIABLE) {
        Ok(uri) if !uri.is_empty() => (uri, None),
        Ok(_) | Err(_) => {
            let mongod = start_mongod().await;
            (mongod.uri(), Some(mongod))
        }
    };
    let (drops, requests) = mpsc::channel();
    let dropper = uri.clone();
    // Tests have runtimes of their own, which end with them; this one outlives them all.
    std::thread::Builder::new()
        .name("test-databases".to_owned())
        .spawn(move || drop_databases(&dropper, &requests))
        .expect("start a thread");
    Server {
        uri,
        drops,
        _mongod: mongod,
    }
}

async fn start_mongod() -> Mongod {
    let data = cache_dir().join("test-data");
    remove_leftovers(&data);
    start_in("db").await
}

/// A throw-away MongoDB that nobody else uses, for tests that stop it, kill it and start it again. Ends when dropped.
///
/// # Panics
/// When there is no MongoDB to be had; the message says what to do.
pub async fn private_mongo() -> Mongod {
    start_in(&uuid::Uuid::new_v4().simple().to_string()).await
}

/// A `mongod` binary: the one on `PATH`, or one that all tests of this machine share, downloaded once.
///
/// # Panics
/// When there is none to be had; the message says what to do.
pub async fn mongod_binary() -> PathBuf {
    let found = mongod::provision(&cache_dir(), |_| {}).await;
    found.unwrap_or_else(|error| panic!("{error}")).path
}

async fn start_in(folder: &str) -> Mongod {
    let own = std::process::id().to_string();
    let dbpath = cache_dir().join("test-data").join(own).join(folder);
    // An earlier process may have had the same id.
    let _ = std::fs::remove_dir_all(&dbpath);
    let options = Options::throw_away(mongod_binary().await, dbpath);
    Mongod::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// `PICKET_TEST_CACHE`, or a directory below the workspace's `target`.
pub(crate) fn cache_dir() -> PathBuf {
    match std::env::var_os(CACHE_VARIABLE) {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        Some(_) | None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-cache"),
    }
}

fn remove_leftovers(data: &Path) {
    for entry in std::fs::read_dir(data).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let alive = name.to_str().is_some_and(|pid| Path::new("/proc").join(pid).exists());
        if !alive {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn drop_databases(uri: &str, requests: &mpsc::Receiver<(String, mpsc::SyncSender<()>)>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("make a runtime");
    for (name, done) in requests {
        let dropped = runtime.block_on(async {
            let store = Store::connect(uri, &name, "tests").await?;
            store.drop_database().await
        });
        if let Err(error) = dropped {
            eprintln!("test database {name} is left behind: {error}");
        }
        let _ = done.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_test_has_a_database_of_its_own() {
        let (one, other) = (mongo().await, mongo().await);
        assert_ne!(one.name(), other.name());
        one.store().ping().await.unwrap();
        other.store_with_indexes().await.ping().await.unwrap();
    }
}
