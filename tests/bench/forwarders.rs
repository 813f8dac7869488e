//! Log forwarders that write into the same MongoDB: syslog-ng and rsyslog, as Debian ships them, where they are installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bson::Document;
use tests::until::until;

/// Longest one round may take.
const ROUND: Duration = Duration::from_secs(300);

/// A program that reads a file and inserts a document for each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forwarder {
    SyslogNg,
    Rsyslog,
}

impl Forwarder {
    pub(crate) const ALL: [Self; 2] = [Self::SyslogNg, Self::Rsyslog];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SyslogNg => "syslog-ng",
            Self::Rsyslog => "rsyslog",
        }
    }

    /// Debian's packages with it.
    pub(crate) fn packages(self) -> &'static str {
        match self {
            Self::SyslogNg => "syslog-ng-core and syslog-ng-mod-mongodb",
            Self::Rsyslog => "rsyslog and rsyslog-mongodb",
        }
    }

    /// Where it is, if it is on the PATH (or where Debian puts daemons).
    pub(crate) fn find(self) -> Option<PathBuf> {
        let binary = match self {
            Self::SyslogNg => "syslog-ng",
            Self::Rsyslog => "rsyslogd",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
        places.map(|place| place.join(binary)).find(|file| file.is_file())
    }

    fn config(self, dir: &Path, uri: &str, database: &str) -> String {
        let file = dir.join("in.log");
        let (file, dir) = (file.display(), dir.display());
        match self {
            Self::SyslogNg => format!(
                "@version: current\noptions {{ stats-freq(0); }};\n\
                 source s {{ file(\"{file}\" follow-freq(0.1)); }};\n\
                 destination d {{ mongodb(uri(\"{uri}\") collection(\"messages\")); }};\n\
                 log {{ source(s); destination(d); flags(flow-control); }};\n"
            ),
            Self::Rsyslog => format!(
                "global(workDirectory=\"{dir}\")\nmodule(load=\"imfile\" mode=\"inotify\")\nmodule(load=\"ommongodb\")\n\
                 input(type=\"imfile\" File=\"{file}\" Tag=\"bench:\" ruleset=\"r\")\n\
                 ruleset(name=\"r\" queue.type=\"LinkedList\" queue.size=\"1000000\" queue.dequeueBatchSize=\"1024\" \
                 queue.workerThreads=\"2\") {{ action(type=\"ommongodb\" uristr=\"{uri}\" db=\"{database}\" \
                 collection=\"messages\") }}\n"
            ),
        }
    }

    fn start(self, binary: &Path, dir: &Path, config: &Path) -> anyhow::Result<Child> {
        let out = File::create(dir.join("out.log")).context("make its log")?;
        let mut command = Command::new(binary);
        match self {
            Self::SyslogNg => command
                .args(["-F", "--no-caps", "-f"])
                .arg(config)
                .arg("-R")
                .arg(dir.join("persist"))
                .arg("-p")
                .arg(dir.join("pid"))
                .arg("-c")
                .arg(dir.join("ctl")),
            Self::Rsyslog => command.arg("-n").arg("-f").arg(config).arg("-i").arg(dir.join("pid")),
        };
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().context("share its log")?)
            .stderr(out)
            .spawn()
            .with_context(|| format!("start {}", self.name()))
    }

    /// Lines a second from a file to documents. Written with `w: 1`: both insert one document at a time, and with
    /// `w: majority` each would wait for the journal.
    pub(crate) async fn round(self, binary: &Path, lines: &Path, count: u64, uri: &str) -> anyhow::Result<f64> {
        let dir = tempfile::tempdir().context("make a directory")?;
        let database = format!("bench_{}", self.name().replace('-', "_"));
        let client = mongodb::Client::with_uri_str(uri).await?;
        client.database(&database).drop().await?;
        let uri = in_database(uri, &database)?;
        let config = dir.path().join("forwarder.conf");
        fs::write(&config, self.config(dir.path(), &uri, &database)).context("write its configuration")?;
        let mut process = self.start(binary, dir.path(), &config)?;
        let measured = measure(&client, &database, dir.path(), lines, count).await;
        // It has nothing to finish.
        let _ = process.kill();
        let _ = process.wait();
        client.database(&database).drop().await?;
        let said = || fs::read_to_string(dir.path().join("out.log")).unwrap_or_default();
        measured.with_context(|| format!("{} printed: {}", self.name(), said()))
    }
}

async fn measure(
    client: &mongodb::Client,
    database: &str,
    dir: &Path,
    lines: &Path,
    count: u64,
) -> anyhow::Result<f64> {
    let messages = client.database(database).collection::<Document>("messages");
    let warm = dir.join("in.log");
    fs::write(&warm, "Nov 21 20:00:00 host warm: up\n").context("write a first line")?;
    until("the first line is stored", ROUND, async || {
        ensure!(messages.estimated_document_count().await? >= 1, "no document");
        Ok(Some(()))
    })
    .await?;
    let began = Instant::now();
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(&warm)
        .context("open the file")?;
    std::io::copy(&mut File::open(lines).context("open the lines")?, &mut file).context("append the lines")?;
    until("all lines are stored", ROUND, async || {
        let stored = messages.estimated_document_count().await?;
        ensure!(stored > count, "{stored} of {count} stored");
        Ok(Some(()))
    })
    .await?;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// The URI with a database, and writes that do not wait for a majority.
fn in_database(uri: &str, database: &str) -> anyhow::Result<String> {
    let rest = uri
        .strip_prefix("mongodb://")
        .context("the URI begins with mongodb://")?;
    let (hosts, options) = rest.split_once('/').unwrap_or((rest, ""));
    let options = options.split_once('?').map_or("", |(_, options)| options);
    Ok(format!("mongodb://{hosts}/{database}?{options}&w=1"))
}
