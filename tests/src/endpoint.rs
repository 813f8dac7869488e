//! An endpoint with the program that runs there: `agentd`, enrolled as an operator would.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::binaries::binary;
use crate::system::System;

/// What `picket enrol token create --json` prints.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub token: String,
    /// Fingerprint of the authority.
    pub ca_fingerprint: String,
    /// `HOST:PORT` of the collector.
    pub server: String,
}

impl Token {
    /// Makes a token with these further arguments.
    ///
    /// # Errors
    /// When the command fails.
    pub fn create(system: &System, args: &[&str]) -> anyhow::Result<Self> {
        let output = system.picket(&[&["enrol", "token", "create", "--json"], args].concat())?;
        let answer: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no token: {}", String::from_utf8_lossy(&output.stderr)))?;
        let text = |name: &str| {
            answer[name]
                .as_str()
                .map(str::to_owned)
                .with_context(|| format!("no {name}: {answer}"))
        };
        Ok(Self {
            token: text("token")?,
            ca_fingerprint: text("ca_fingerprint")?,
            server: text("server")?,
        })
    }
}

/// An endpoint in a directory of its own. Its agent is killed when this is dropped.
pub struct Endpoint {
    dir: PathBuf,
    process: Option<Child>,
    env: Vec<(&'static str, String)>,
}

impl Endpoint {
    /// Makes the directory.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        fs::write(dir.join("app.log"), b"").context("make the followed file")?;
        Ok(Self {
            dir: dir.to_owned(),
            process: None,
            env: Vec::new(),
        })
    }

    /// Environment of agents that are started from now on.
    pub fn set_env(&mut self, env: Vec<(&'static str, String)>) {
        self.env = env;
    }

    /// The agent's data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The file the agent follows.
    #[must_use]
    pub fn followed(&self) -> PathBuf {
        self.dir.join("app.log")
    }

    /// Process id of the agent, when it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process
            .as_ref()
            .and_then(|process| i32::try_from(process.id()).ok())
    }

    /// Runs `agentd enrol`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn enrol(&self, token: &Token) -> anyhow::Result<Output> {
        Command::new(binary("agentd")?)
            .args([
                "enrol",
                "--server",
                &token.server,
                "--ca-fingerprint",
                &token.ca_fingerprint,
            ])
            .arg("--data-dir")
            .arg(self.data())
            .env("PICKET_ENROL_TOKEN", &token.token)
            .output()
            .context("run agentd enrol")
    }

    /// Runs `agentd enrol` and requires that it works.
    ///
    /// # Errors
    /// When it does not.
    pub fn enrol_ok(&self, token: &Token) -> anyhow::Result<()> {
        let output = self.enrol(token)?;
        ensure!(
            output.status.success(),
            "enrolment failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, collector: &str) -> anyhow::Result<()> {
        let config = self.dir.join("agentd.toml");
        let toml = format!(
            "data_dir = {:?}\ncollectors = [{collector:?}]\n\n[journald]\nenabled = false\n\n[[files]]\npaths = [{:?}]\n\
             start = \"beginning\"\n",
            self.data().to_string_lossy(),
            self.followed().to_string_lossy()
        );
        fs::write(&config, toml).context("write the agent's configuration")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .context("open the agent's log")?;
        let process = Command::new(binary("agentd")?)
            .arg("run")
            .arg("--config")
            .arg(&config)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share the agent's log")?)
            .stderr(log)
            .spawn()
            .context("start agentd")?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops the agent as systemd does, and waits for it.
    ///
    /// # Errors
    /// When it fails to stop.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            kill(Pid::from_raw(i32::try_from(process.id())?), Signal::SIGTERM).context("stop agentd")?;
            let status = process.wait().context("wait for agentd")?;
            ensure!(status.success(), "agentd ended with {status}: {}", self.log());
        }
        Ok(())
    }

    /// Ends the agent without warning.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            process.wait().context("wait for agentd")?;
        }
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join("agentd.log")
    }

    /// What the agent has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// What `agentd status --json` prints.
    ///
    /// # Errors
    /// When it prints no JSON.
    pub fn status(&self) -> anyhow::Result<Value> {
        let output = Command::new(binary("agentd")?)
            .args(["status", "--json", "--data-dir"])
            .arg(self.data())
            .output()
            .context("run agentd status")?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no status: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
