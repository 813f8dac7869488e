//! The connection every module works through.

use std::time::Duration;

use bson::doc;
use model::Timestamp;
use mongodb::options::{Acknowledgment, ClientOptions, WriteConcern};
use mongodb::{Client, Collection, Database};

use crate::{
    Error, agents, alerts, api_keys, audit, certificates, deliveries, enrolment_tokens, exceptions, feeds, holds,
    hunts, idempotency, indicators, leases, nodes, rule_stats, rule_versions, rules, suppressed, suppressions, users,
    windows,
};

/// How long an operation looks for a usable server before it fails as unavailable.
const SERVER_SELECTION: Duration = Duration::from_secs(5);
/// Connections kept per process at most.
const MAX_POOL: u32 = 64;

/// A handle to one database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Prepares a connection; nothing is sent until the first operation. `app_name` shows up in MongoDB's log.
    ///
    /// # Errors
    /// When `uri` is not a MongoDB connection string.
    pub async fn connect(uri: &str, database: &str, app_name: &str) -> Result<Self, Error> {
        let mut options = ClientOptions::parse(uri).await?;
        options.app_name = Some(app_name.to_owned());
        options.server_selection_timeout.get_or_insert(SERVER_SELECTION);
        options.connect_timeout.get_or_insert(SERVER_SELECTION);
        options.max_pool_size.get_or_insert(MAX_POOL);
        options.write_concern = Some(
            WriteConcern::builder()
                .w(Acknowledgment::Majority)
                .journal(true)
                .build(),
        );
        Ok(Self {
            database: Client::with_options(options)?.database(database),
        })
    }

    /// Creates every index that is missing. Safe to call from several processes at once.
    ///
    /// # Errors
    /// When the database is away or an index of the same name differs.
    pub async fn ensure_indexes(&self) -> Result<(), Error> {
        audit::ensure_indexes(self).await?;
        agents::ensure_indexes(self).await?;
        certificates::ensure_indexes(self).await?;
        deliveries::ensure_indexes(self).await?;
        crate::heard::ensure_indexes(self).await?;
        enrolment_tokens::ensure_indexes(self).await?;
        nodes::ensure_indexes(self).await?;
        leases::ensure_indexes(self).await?;
        rules::ensure_indexes(self).await?;
        rule_versions::ensure_indexes(self).await?;
        rule_stats::ensure_indexes(self).await?;
        exceptions::ensure_indexes(self).await?;
        suppressions::ensure_indexes(self).await?;
        suppressed::ensure_indexes(self).await?;
        windows::ensure_indexes(self).await?;
        indicators::ensure_indexes(self).await?;
        feeds::ensure_indexes(self).await?;
        holds::ensure_indexes(self).await?;
        crate::parsers::ensure_indexes(self).await?;
        hunts::ensure_indexes(self).await?;
        alerts::ensure_indexes(self).await?;
        users::ensure_indexes(self).await?;
        api_keys::ensure_indexes(self).await?;
        idempotency::ensure_indexes(self).await?;
        Ok(())
    }

    /// Asks the primary for a sign of life.
    ///
    /// # Errors
    /// When there is none.
    pub async fn ping(&self) -> Result<(), Error> {
        self.database.run_command(doc! { "ping": 1 }).await?;
        Ok(())
    }

    /// The database's wall clock: the one clock all nodes share.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        let answer = self.database.run_command(doc! { "hello": 1 }).await?;
        let time = answer
            .get_datetime("localTime")
            .map_err(|_| Error::invalid("hello.localTime", "a date"))?;
        Ok(Timestamp::from_millis(time.timestamp_millis()))
    }

    /// Removes the whole database. For tests.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn drop_database(&self) -> Result<(), Error> {
        Ok(self.database.drop().await?)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn collection<T: Send + Sync>(&self, name: &str) -> Collection<T> {
        self.database.collection(name)
    }
}
