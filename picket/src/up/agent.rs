//! The agent for this host: what it follows, and how it gets its identity.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentd::EnrolRequest;
use agentd::credentials::Paths;
use anyhow::Context as _;
use bootstrap::Secret;
use model::{Tenant, Timestamp};
use serde_json::{Value, json};
use storage::{Store, agents};

use super::args::{Journald, Settings};
use super::dirs::Dirs;
use crate::client::Rest;

/// Files in which Linux hosts write what matters.
const HOST_LOGS: [&str; 2] = ["/var/log/auth.log", "/var/log/syslog"];
/// Where the journal is when there is one.
const JOURNALS: [&str; 2] = ["/run/log/journal", "/var/log/journal"];
/// Group of the agent that comes with `picket up`.
const GROUP: &str = "local";
/// A token that is used at once.
const TOKEN_LIFE: Duration = Duration::from_secs(600);

/// What the agent follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sources {
    pub files: Vec<PathBuf>,
    pub journald: bool,
    /// What an operator should know about them.
    pub remarks: Vec<String>,
}

/// Decides what to follow on this host.
pub(super) fn sources(settings: &Settings) -> Sources {
    let args = &settings.args;
    let mut sources = Sources::default();
    let mut any_log = false;
    if !args.no_host_logs {
        for path in HOST_LOGS.map(PathBuf::from).into_iter().filter(|path| path.exists()) {
            any_log = true;
            match File::open(&path) {
                Ok(_) => sources.files.push(path),
                Err(error) => sources.remarks.push(format!(
                    "{} is not followed: {error} (run as root or as a member of group adm)",
                    path.display()
                )),
            }
        }
    }
    sources.files.extend(settings.follow.iter().cloned());
    let has_journal = JOURNALS.iter().any(|dir| Path::new(dir).is_dir()) && on_path("journalctl");
    sources.journald = match args.journald {
        Journald::On => true,
        Journald::Off => false,
        Journald::Auto => has_journal && !any_log && !args.no_host_logs,
    };
    if any_log && has_journal && args.journald == Journald::Auto {
        sources.remarks.push(
            "the journal is not followed: it holds the same lines as the log files, which would be counted twice \
             (--journald on follows it all the same)"
                .to_owned(),
        );
    }
    if !any_log && !sources.journald && !args.no_host_logs {
        sources
            .remarks
            .push("this host has no /var/log/auth.log, /var/log/syslog or journal".to_owned());
    }
    sources
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// The agent's configuration.
pub(super) fn config(place: &Dirs, sources: &Sources, collectors: &[String]) -> Value {
    // What is pasted before the agent looks for the first time counts too.
    let mut files = vec![json!({ "paths": [place.try_file()], "start": "beginning" })];
    if !sources.files.is_empty() {
        files.push(json!({ "paths": sources.files }));
    }
    json!({
        "data_dir": place.agent(),
        "collectors": collectors,
        "files": files,
        "journald": { "enabled": sources.journald },
    })
}

/// Sees to it that this host has an identity that this installation knows. True when it got a new one.
pub(super) async fn enrol(place: &Dirs, store: &Store, rest: &Rest, server: &str, ca: &str) -> anyhow::Result<bool> {
    let dir = place.agent();
    if is_enrolled(&dir, store, ca).await? {
        return Ok(false);
    }
    let request = json!({ "uses": 1, "ttl_secs": TOKEN_LIFE.as_secs(), "group": GROUP });
    let answer = rest
        .post("/security/enrolment-tokens", &request)
        .await
        .context("make an enrolment token")?;
    let token = answer["token"]
        .as_str()
        .context("read the token in the gateway's answer")?;
    let request = EnrolRequest {
        server: server.to_owned(),
        token: Secret::from(token.to_owned()),
        ca_fingerprint: ca.to_owned(),
        data_dir: dir,
        // What is there belongs to another authority or another database, or has expired.
        force: true,
    };
    agentd::enrol(&request).await.context("enrol the agent of this host")?;
    Ok(true)
}

async fn is_enrolled(dir: &Path, store: &Store, ca: &str) -> anyhow::Result<bool> {
    let paths = Paths::new(dir);
    let Ok((identity, agent_id)) = paths.load() else {
        return Ok(false);
    };
    if identity.ca_fingerprint() != ca || identity.not_after() <= Timestamp::now() {
        return Ok(false);
    }
    let known = agents::get(store, &Tenant::default(), agent_id)
        .await
        .context("look for this host's agent")?;
    Ok(known.is_some())
}

#[cfg(test)]
mod tests {
    use bootstrap::ServiceConfig as _;
    use bootstrap::config::load;

    use super::*;

    #[test]
    fn the_agent_understands_its_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let place = Dirs::open(Some(temp.path().join("data"))).unwrap();
        let sources = Sources {
            files: vec![PathBuf::from("/var/log/*.log")],
            journald: true,
            remarks: Vec::new(),
        };
        let file = temp.path().join("agent.toml");
        super::super::configs::save(&file, &config(&place, &sources, &["127.0.0.1:9400".to_owned()])).unwrap();
        let config: agentd::Config = load(&bootstrap::config::Sources {
            file: Some(file),
            env_prefix: "PICKET_TEST_OF_AGENT",
            overrides: Vec::new(),
        })
        .unwrap();
        config.validate().unwrap();
        assert_eq!(config.files.len(), 2);
        assert!(config.journald.enabled);
    }
}
