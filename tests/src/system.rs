//! A whole Picket on this machine, started the way a user starts it: `picket up`, as processes.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use model::Tenant;
use model::alert::Alert;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::query::v1::query_service_client::QueryServiceClient;
use serde::Deserialize;
use serde_json::Value;
use storage::Store;
use storage::alerts::AlertFilter;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::binaries::binary;
use crate::until::until;

/// A debug build on a busy two-core machine, with MongoDB starting from nothing.
const START: Duration = Duration::from_secs(120);
/// Draining everything, MongoDB included.
const STOP: Duration = Duration::from_secs(60);

/// What `up.json` says.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "docs are where picket writes it")]
pub struct Up {
    pub rest_url: String,
    pub grpc_addr: String,
    pub ca_file: PathBuf,
    pub api_key: String,
    pub admin_user: String,
    pub admin_password: String,
    pub mongodb_uri: String,
    pub nodes: Vec<UpNode>,
}

/// One process in `up.json`.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs, reason = "docs are where picket writes it")]
pub struct UpNode {
    pub role: String,
    pub name: String,
    pub pid: i32,
    pub addr: String,
}

/// How to start it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Further arguments of `picket up`.
    pub args: Vec<String>,
    /// Environment of `picket up` and what it starts.
    pub env: Vec<(&'static str, String)>,
    /// Parts of log lines with ERROR that this story brings about on purpose.
    pub expected_errors: Vec<&'static str>,
}

/// A running system. Stopped when dropped; stop it with [`System::stop`] to have its logs checked.
pub struct System {
    dir: TempDir,
    options: Options,
    process: Option<Child>,
    /// As last read from `up.json`.
    pub up: Up,
    rest: reqwest::Client,
}

impl System {
    /// Starts `picket up` on a fresh directory with every port chosen by the system and none of this host's own logs.
    ///
    /// # Errors
    /// When it is not up in time; the error holds what it printed.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        Self::start_prepared(options, |_| Ok(())).await
    }

    /// As [`System::start`], after `prepare` had the empty data directory.
    ///
    /// # Errors
    /// When `prepare` fails, or as [`System::start`].
    pub async fn start_prepared(
        options: Options,
        prepare: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::Builder::new()
            .prefix("picket-story-")
            .tempdir()
            .context("make a directory")?;
        prepare(&data_dir(dir.path()))?;
        let (process, up) = launch(dir.path(), &options).await?;
        let rest = rest_client(&up)?;
        Ok(Self {
            dir,
            options,
            process: Some(process),
            up,
            rest,
        })
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        data_dir(self.dir.path())
    }

    /// A directory beside the data, for the story's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Process id of `picket up` itself.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Reads `up.json` again: process ids change when nodes are restarted.
    ///
    /// # Errors
    /// When it is not there.
    pub fn refresh(&mut self) -> anyhow::Result<&Up> {
        self.up = read_up(&self.data())?;
        Ok(&self.up)
    }

    /// The nodes of a role.
    pub fn nodes<'a>(&'a self, role: &'a str) -> impl Iterator<Item = &'a UpNode> {
        self.up.nodes.iter().filter(move |node| node.role == role)
    }

    /// Kills a node without warning and waits until another process has taken its place.
    ///
    /// # Errors
    /// When there is no such node or it does not come back.
    pub async fn kill_and_wait(&mut self, name: &str) -> anyhow::Result<()> {
        let pid = self.kill(name)?;
        let data = self.data();
        let up = until(&format!("{name} is started again"), START, async || {
            let up = read_up(&data)?;
            let back = up
                .nodes
                .iter()
                .any(|node| node.name == name && node.pid != pid && node.pid > 0);
            Ok(back.then_some(up))
        })
        .await?;
        self.up = up;
        Ok(())
    }

    /// Kills a node without warning.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<i32> {
        self.signal(name, Signal::SIGKILL)
    }

    /// Sends a node a signal.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn signal(&mut self, name: &str, signal: Signal) -> anyhow::Result<i32> {
        self.refresh()?;
        let node = self.up.nodes.iter().find(|node| node.name == name);
        let pid = node
            .ok_or_else(|| anyhow!("no node {name} in {:?}", self.up.nodes))?
            .pid;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("signal {name} ({pid})"))?;
        Ok(pid)
    }

    /// JSON answer of a GET with the API key.
    ///
    /// # Errors
    /// When the answer is no success; the error holds it.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.request(reqwest::Method::GET, path)).await
    }

    /// JSON answer of a POST with the API key.
    ///
    /// # Errors
    /// When the answer is no success; the error holds it.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.request(reqwest::Method::POST, path).json(body)).await
    }

    /// A request with the API key.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.rest
            .request(method, format!("{}{path}", self.up.rest_url))
            .header("x-api-key", &self.up.api_key)
    }

    /// A client that trusts this system's authority, without credentials.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.rest
    }

    /// A gRPC connection to the gateway. Calls need [`System::authorized`].
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn query(&self) -> anyhow::Result<QueryServiceClient<Channel>> {
        let pem = std::fs::read(&self.up.ca_file).context("read the CA")?;
        let channel = Endpoint::from_shared(format!("https://{}", self.up.grpc_addr))?
            .tls_config(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))?
            .connect()
            .await
            .context("connect to the gateway")?;
        Ok(QueryServiceClient::new(channel))
    }

    /// A gRPC request with the API key.
    ///
    /// # Errors
    /// When the key is no valid header.
    pub fn authorized<T>(&self, message: T) -> anyhow::Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        request
            .metadata_mut()
            .insert("x-api-key", self.up.api_key.parse().context("API key as metadata")?);
        Ok(request)
    }

    /// The database itself.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn store(&self) -> anyhow::Result<Store> {
        Store::connect(&self.up.mongodb_uri, "picket", "stories")
            .await
            .context("open the database")
    }

    /// The alerts of a rule, at most 1,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn alerts(&self, rule: &str) -> anyhow::Result<Vec<Alert>> {
        let filter = AlertFilter {
            tenant: Tenant::default(),
            rule_id: Some(rule.to_owned()),
            limit: 1000,
            ..AlertFilter::default()
        };
        Ok(storage::alerts::list(&self.store().await?, &filter).await?)
    }

    /// Waits until so many events are stored and detectors have looked at all blocks.
    ///
    /// # Errors
    /// When that takes longer than `within`.
    pub async fn all_done(&self, events: usize, within: Duration) -> anyhow::Result<()> {
        let store = self.store().await?;
        until("every event is stored and looked at", within, async || {
            let stored = storage::blocks::events_total(&store, &Tenant::default()).await?;
            let pending = storage::blocks::pending_stats(&store).await?.count;
            ensure!(
                stored >= events as u64 && pending == 0,
                "{stored} of {events} events, {pending} blocks pending"
            );
            Ok(Some(()))
        })
        .await
    }

    /// Every stored event, as `GET /events/export` gives them.
    ///
    /// # Errors
    /// When the export fails.
    pub async fn export(&self) -> anyhow::Result<Vec<Value>> {
        let response = self
            .request(reqwest::Method::GET, "/events/export?format=jsonl")
            .send()
            .await?;
        let status = response.status();
        let text = response.text().await.context("read the export")?;
        if !status.is_success() {
            bail!("export answered {status}: {text}");
        }
        text.lines()
            .map(|line| serde_json::from_str(line).context("read an exported event"))
            .collect()
    }

    /// The file that `picket up` follows for the first alert.
    #[must_use]
    pub fn try_file(&self) -> PathBuf {
        self.data().join("try/auth.log")
    }

    /// Runs `picket` with this system's data directory.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn picket(&self, args: &[&str]) -> anyhow::Result<Output> {
        self.command(args)?.output().context("run picket")
    }

    /// A `picket` command with this system's data directory.
    ///
    /// # Errors
    /// When the binary is not built.
    pub fn command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(binary("picket")?);
        command.args(args).env("PICKET_DATA", self.data()).stdin(Stdio::null());
        Ok(command)
    }

    /// Stops it as Ctrl-C does, and starts it again on the same data.
    ///
    /// # Errors
    /// When it does not stop or start in time.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.restart_after(|_| Ok(())).await
    }

    /// Further arguments of `picket up` from its next start on.
    pub fn change_args(&mut self, args: &[&str]) {
        self.options.args = args.iter().map(ToString::to_string).collect();
    }

    /// [`System::restart`] with something to be done to the data directory in between.
    ///
    /// # Errors
    /// When it does not stop or start in time, or that fails.
    pub async fn restart_after(&mut self, between: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.interrupt().await?;
        between(&self.data())?;
        let (process, up) = launch(self.dir.path(), &self.options).await?;
        self.rest = rest_client(&up)?;
        self.process = Some(process);
        self.up = up;
        Ok(())
    }

    /// Stops it as Ctrl-C does, then fails when any log holds an unexpected ERROR.
    ///
    /// # Errors
    /// When it does not stop cleanly or a log holds one.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.interrupt().await?;
        let errors = self.unexpected_errors()?;
        if errors.is_empty() {
            return Ok(());
        }
        bail!("unexpected errors in the logs:\n{}", errors.join("\n"));
    }

    async fn interrupt(&mut self) -> anyhow::Result<()> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let pid = i32::try_from(process.id()).context("read the process id")?;
        kill(Pid::from_raw(pid), Signal::SIGINT).context("interrupt picket up")?;
        let status = until("picket up stops", STOP, async || Ok(process.try_wait()?)).await;
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                let _ = process.kill();
                let _ = process.wait();
                return Err(error.context(printed(self.dir.path())));
            }
        };
        if !status.success() {
            bail!("picket up ended with {status}:\n{}", printed(self.dir.path()));
        }
        if Up::path(&self.data()).exists() {
            bail!("up.json is still there after the stop");
        }
        Ok(())
    }

    fn unexpected_errors(&self) -> anyhow::Result<Vec<String>> {
        let logs = self.data().join("logs");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&logs).with_context(|| format!("read {}", logs.display()))? {
            let path = entry.context("read the logs")?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("mongod") {
                continue;
            }
            let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            for line in String::from_utf8_lossy(&text).lines() {
                let expected = self.options.expected_errors.iter().any(|part| line.contains(part));
                if (line.contains(" ERROR ") || line.contains("panicked at")) && !expected {
                    found.push(format!("{name}: {line}"));
                }
            }
        }
        Ok(found)
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            if let Ok(pid) = i32::try_from(process.id()) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
            // A story that failed half-way: give the nodes a moment to stop, then end it.
            for _ in 0..400 {
                if matches!(process.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(25));
            }
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Up {
    fn path(data: &Path) -> PathBuf {
        data.join("up.json")
    }
}

fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

fn read_up(data: &Path) -> anyhow::Result<Up> {
    let text = std::fs::read(Up::path(data)).context("read up.json")?;
    serde_json::from_slice(&text).context("read up.json")
}

async fn launch(dir: &Path, options: &Options) -> anyhow::Result<(Child, Up)> {
    let data = data_dir(dir);
    let out = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("up.log"))
        .context("open up.log")?;
    let mut command = Command::new(binary("picket")?);
    command
        .arg("up")
        .arg("--data")
        .arg(&data)
        .args([
            "--http-port",
            "0",
            "--collector-port",
            "0",
            "--syslog-port",
            "0",
            "--no-host-logs",
        ])
        .args(&options.args)
        .envs(options.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(out.try_clone().context("share up.log")?)
        .stderr(out);
    command.env("PATH", path_with_mongod().await?);
    let mut process = command.spawn().context("start picket up")?;
    let up = until("picket up is ready", START, async || {
        if let Some(status) = process.try_wait()? {
            // Not an error of the kind that passes, but `until` cannot know.
            return Ok(Some(Err(anyhow!("picket up ended with {status}"))));
        }
        Ok(read_up(&data).ok().map(Ok))
    })
    .await
    .and_then(|result| result);
    match up {
        Ok(up) => Ok((process, up)),
        Err(error) => {
            let _ = process.kill();
            let _ = process.wait();
            Err(error.context(printed(dir)))
        }
    }
}

/// The PATH with the tests' own `mongod` in front, so that not every fresh data directory fetches one.
async fn path_with_mongod() -> anyhow::Result<OsString> {
    let mongod = testkit::mongod_binary().await;
    let own = mongod.parent().map(Path::to_path_buf);
    let rest = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&rest))).context("extend PATH")
}

fn printed(dir: &Path) -> String {
    let text = std::fs::read_to_string(dir.join("up.log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!(
        "picket up printed:\n{}",
        lines[lines.len().saturating_sub(60)..].join("\n")
    )
}

fn rest_client(up: &Up) -> anyhow::Result<reqwest::Client> {
    let pem = std::fs::read(&up.ca_file).with_context(|| format!("read {}", up.ca_file.display()))?;
    let roots = reqwest::Certificate::from_pem_bundle(&pem).context("read the CA")?;
    reqwest::Client::builder()
        .tls_certs_only(roots)
        .timeout(Duration::from_secs(120))
        .build()
        .context("make a client")
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request.send().await.context("reach the gateway")?;
    let status = response.status();
    let text = response.text().await.context("read the answer")?;
    if !status.is_success() {
        bail!("answered {status}: {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("read {text:?} as JSON"))
}

/// Appends text to a file, which is made when missing.
///
/// # Errors
/// When it cannot be written.
pub fn append(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    let mut file: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("open {}", path.display()))?;
    file.write_all(text)
        .with_context(|| format!("write {}", path.display()))
}
