//! A real TAXII 2.1 server: OASIS's `medallion` from PyPI, in an environment that all tests of this machine share.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::database::cache_dir;
use crate::poll_until;

/// What is installed.
const REQUIREMENT: &str = "medallion==3.0.0";
/// How long installing may take.
const INSTALL: Duration = Duration::from_secs(300);
/// How long starting may take.
const START: Duration = Duration::from_secs(60);

/// A TAXII server with one collection. Ends when dropped.
#[derive(Debug)]
pub struct Medallion {
    port: u16,
    _process: Child,
    _directory: TempDir,
}

impl Medallion {
    /// User name and password.
    pub const CREDENTIALS: (&str, &str) = ("picket", "a secret of tests");
    /// Id of the collection.
    pub const COLLECTION: &str = "91a7b528-80eb-42ed-a74d-c6fbd5a26116";
    /// Title of the collection.
    pub const TITLE: &str = "High value indicators";
    /// Objects it gives at a time.
    pub const PAGE: usize = 2;

    /// Starts one with an empty collection. `None`, with a printed notice, when it cannot be installed here.
    ///
    /// # Panics
    /// When it is installed and does not start.
    pub async fn start() -> Option<Self> {
        let program = match program().await {
            Ok(program) => program,
            Err(reason) => {
                eprintln!("SKIPPED: no TAXII server: {reason}");
                return None;
            }
        };
        let directory = tempfile::tempdir().expect("make a directory");
        let listener = TcpListener::bind("127.0.0.1:0").expect("find a port");
        let port = listener.local_addr().expect("bound address").port();
        drop(listener);
        let write = |name: &str, value: &Value| {
            std::fs::write(directory.path().join(name), value.to_string()).expect("write a file");
        };
        write("config.json", &config());
        write("data.json", &data(port));
        let process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string(), "config.json"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("start medallion");
        poll_until(START, "medallion listens", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Some(Self {
            port,
            _process: process,
            _directory: directory,
        })
    }

    /// Address of its discovery document.
    #[must_use]
    pub fn discovery_url(&self) -> String {
        format!("http://127.0.0.1:{}/taxii2/", self.port)
    }

    /// Where objects are added, by POST of `{"objects": […]}`.
    #[must_use]
    pub fn objects_url(&self) -> String {
        let collection = Self::COLLECTION;
        format!("http://127.0.0.1:{}/root/collections/{collection}/objects/", self.port)
    }
}

fn config() -> Value {
    let (user, password) = Medallion::CREDENTIALS;
    json!({
        "backend": {
            "module": "medallion.backends.memory_backend",
            "module_class": "MemoryBackend",
            "filename": "data.json",
        },
        "users": { user: password },
        "taxii": { "max_page_size": Medallion::PAGE },
    })
}

fn data(port: u16) -> Value {
    let root = format!("http://127.0.0.1:{port}/root/");
    json!({
        "/discovery": { "title": "A TAXII server", "default": root, "api_roots": [root] },
        "root": {
            "information": {
                "title": "A root",
                "versions": ["application/taxii+json;version=2.1"],
                "max_content_length": 9_765_625,
            },
            "status": [],
            "collections": [{
                "id": Medallion::COLLECTION,
                "title": Medallion::TITLE,
                "can_read": true,
                "can_write": true,
                "media_types": ["application/stix+json;version=2.1"],
                "objects": [],
                "manifest": [],
            }],
        },
    })
}

/// The installed program; installs it the first time.
async fn program() -> Result<PathBuf, String> {
    let environment = cache_dir().join("medallion-3.0.0");
    let program = environment.join("bin").join("medallion");
    std::fs::create_dir_all(cache_dir()).map_err(|error| error.to_string())?;
    let lock = cache_dir().join(".medallion.lock");
    // Several test processes may start at once, and one installation is enough.
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(lock)?;
        file.lock().map(|()| file)
    });
    let _lock = locked
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())?;
    let marker = environment.join(".installed");
    if !marker.exists() {
        let _ = std::fs::remove_dir_all(&environment);
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment)).await?;
        let pip = environment.join("bin").join("pip");
        let quiet = [
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            REQUIREMENT,
        ];
        run(Command::new(pip).args(quiet)).await?;
        std::fs::write(&marker, "").map_err(|error| error.to_string())?;
    }
    // Not resolved: the program finds its environment by its own path.
    Ok(std::path::absolute(Path::new(&program)).unwrap_or(program))
}

async fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(INSTALL, output)
        .await
        .map_err(|_| format!("nothing after {} s", INSTALL.as_secs()))?
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().last().unwrap_or("it failed").to_owned())
}
