//! The database of a system, for commands that read it themselves.

use anyhow::Context as _;
use model::Tenant;
use storage::Store;

use crate::client::Connection;
use crate::data_dir::UpFile;

/// Which database. Without any of these, the one of the running `picket up`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Database {
    /// Whose data
    #[arg(long, default_value = "default", help_heading = "Database")]
    pub tenant: Tenant,
    /// The database [default: the one of the running `picket up`]
    #[arg(
        long,
        env = "PICKET_MONGODB_URI",
        hide_env_values = true,
        value_name = "URI",
        help_heading = "Database"
    )]
    pub mongodb_uri: Option<String>,
    /// Name of the database
    #[arg(long, default_value = "picket", help_heading = "Database")]
    pub database: String,
}

impl Database {
    /// Opens it.
    pub(crate) async fn store(&self, connection: &Connection) -> anyhow::Result<Store> {
        let uri = match &self.mongodb_uri {
            Some(uri) => uri.clone(),
            None => {
                UpFile::read(&connection.data_dir()?)
                    .context("no database: start `picket up`, or give --mongodb-uri")?
                    .mongodb_uri
            }
        };
        Store::connect(&uri, &self.database, "picket")
            .await
            .context("open the database")
    }
}

/// What commands take that read the database and print.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub database: Database,
    #[command(flatten)]
    pub connection: Connection,
}

impl Common {
    /// Opens the database.
    pub(crate) async fn store(&self) -> anyhow::Result<Store> {
        self.database.store(&self.connection).await
    }
}
