//! A replica set of several members on this machine, of which each can fail; who has ended is started again.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bson::{Document, doc};
use mongod::child::{Child, Signal};
use mongodb::Client;
use tokio::task::JoinHandle;

use crate::until::until;

const NAME: &str = "picket";
/// Until the set has its first primary.
const START: Duration = Duration::from_secs(120);
/// How often it is looked who has ended.
const LOOK: Duration = Duration::from_millis(500);

/// A running replica set. Its members are killed when this is dropped.
pub(super) struct Replica {
    members: Arc<[Member]>,
    keeper: JoinHandle<()>,
}

struct Member {
    port: u16,
    dir: PathBuf,
    binary: PathBuf,
    child: Mutex<Child>,
}

impl Replica {
    /// Starts `count` members below `dir`, and waits until one of them is primary.
    ///
    /// # Errors
    /// When one cannot be started, or none becomes primary.
    #[allow(clippy::disallowed_methods, reason = "a driver needs no service life")]
    pub(super) async fn start(dir: &Path, count: usize) -> anyhow::Result<Self> {
        let binary = testkit::mongod_binary().await;
        let members: Arc<[Member]> = (0..count)
            .map(|index| Member::start(dir.join(format!("member{index}")), binary.clone()))
            .collect::<anyhow::Result<_>>()?;
        let kept = Arc::clone(&members);
        let keeper = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                for member in kept.iter() {
                    member.revive();
                }
            }
        });
        let replica = Self { members, keeper };
        replica.initiate().await?;
        Ok(replica)
    }

    async fn initiate(&self) -> anyhow::Result<()> {
        let first = self.members.first().context("a replica set without members")?;
        let direct = Client::with_uri_str(format!(
            "mongodb://127.0.0.1:{}/?directConnection=true&serverSelectionTimeoutMS=60000",
            first.port
        ))
        .await?;
        let members: Vec<Document> = (0_i32..)
            .zip(self.members.iter())
            .map(|(id, member)| doc! { "_id": id, "host": format!("127.0.0.1:{}", member.port) })
            .collect();
        let settings = doc! { "electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500 };
        let config = doc! { "_id": NAME, "members": members, "settings": settings };
        let admin = direct.database("admin");
        // The members have to answer each other by then.
        until("the replica set is initiated", START, async || {
            let initiated = admin.run_command(doc! { "replSetInitiate": config.clone() }).await;
            match initiated {
                Ok(_) => Ok(Some(())),
                Err(error) if error.to_string().contains("AlreadyInitialized") => Ok(Some(())),
                Err(error) => Err(error.into()),
            }
        })
        .await?;
        let uri = self.uri();
        until("the replica set has a primary", START, async || {
            let client = Client::with_uri_str(&uri).await?;
            let hello = client.database("admin").run_command(doc! { "hello": 1 }).await?;
            Ok(hello.get_bool("isWritablePrimary")?.then_some(()))
        })
        .await
    }

    /// Its connection string.
    pub(super) fn uri(&self) -> String {
        let hosts: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("127.0.0.1:{}", member.port))
            .collect();
        format!("mongodb://{}/?replicaSet={NAME}", hosts.join(","))
    }

    /// What its members are called.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        (0..self.members.len()).map(name)
    }

    /// Sends a member a signal. False when there is no such member, or it does not run.
    pub(super) fn signal(&self, called: &str, signal: Signal) -> bool {
        let member = (0..).zip(self.members.iter()).find(|(index, _)| name(*index) == called);
        member.is_some_and(|(_, member)| {
            let child = member.child.lock().unwrap_or_else(PoisonError::into_inner);
            child.signal(signal);
            child.exited().is_none()
        })
    }

    /// Has the primary step down for ten seconds, so that another one is elected. Answers with which it was.
    pub(super) async fn step_down(&self) -> Option<String> {
        let client = Client::with_uri_str(self.uri()).await.ok()?;
        let admin = client.database("admin");
        let stepping = async {
            let hello = admin.run_command(doc! { "hello": 1 }).await.ok()?;
            let me = hello.get_str("me").ok()?.to_owned();
            let command = doc! { "replSetStepDown": 10, "secondaryCatchUpPeriodSecs": 3 };
            admin.run_command(command).await.ok()?;
            Some(me)
        };
        let was = tokio::time::timeout(Duration::from_secs(10), stepping).await.ok()??;
        let index = self
            .members
            .iter()
            .position(|member| was.ends_with(&format!(":{}", member.port)))?;
        Some(name(index))
    }
}

fn name(index: usize) -> String {
    format!("mongod-{index}")
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Member {
    fn start(dir: PathBuf, binary: PathBuf) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir.join("db")).with_context(|| format!("make {}", dir.display()))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("find a free port")?
            .port();
        let child = Mutex::new(spawn(&dir, &binary, port)?);
        Ok(Self {
            port,
            dir,
            binary,
            child,
        })
    }

    fn revive(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if child.exited().is_some()
            && let Ok(again) = spawn(&self.dir, &self.binary, self.port)
        {
            *child = again;
        }
    }
}

fn spawn(dir: &Path, binary: &Path, port: u16) -> anyhow::Result<Child> {
    let mut command = Command::new(binary);
    command
        .args(["--bind_ip", "127.0.0.1", "--port", &port.to_string(), "--replSet", NAME])
        .arg("--dbpath")
        .arg(dir.join("db"))
        .arg("--logpath")
        .arg(dir.join("mongod.log"))
        .args(["--logappend", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"])
        .args(["--oplogSize", "256"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Child::spawn(command, Signal::SIGKILL).context("start mongod")
}
