//! Making a fresh or moved `mongod` the primary of its own replica set.

use std::time::Duration;

use bson::{Document, doc};
use mongodb::Client;
use mongodb::error::{Error, ErrorKind};
use mongodb::options::ClientOptions;

use crate::error::CheckError;

/// Name of the replica set.
pub(crate) const NAME: &str = "picket";

/// Server error: `replSetInitiate` has not been called.
const NOT_YET_INITIALIZED: i32 = 94;
/// Server error: the stored configuration does not name this server's address.
const INVALID_CONFIG: i32 = 93;
/// Server error: somebody else initiated it a moment ago.
const ALREADY_INITIALIZED: i32 = 23;

/// A client that talks to this very server, whatever state it is in.
pub(crate) async fn direct_client(port: u16) -> Result<Client, Error> {
    let mut options = ClientOptions::parse(format!("mongodb://127.0.0.1:{port}/?directConnection=true")).await?;
    options.server_selection_timeout = Some(Duration::from_secs(1));
    options.connect_timeout = Some(Duration::from_secs(1));
    options.app_name = Some("picket-mongod".to_owned());
    Client::with_options(options)
}

/// Checks that a MongoDB answers and is a replica set or a sharded cluster.
///
/// # Errors
/// When it is not, or does not answer within ten seconds.
pub async fn check(uri: &str) -> Result<(), CheckError> {
    let answer = async {
        let mut options = ClientOptions::parse(uri).await?;
        options.server_selection_timeout.get_or_insert(Duration::from_secs(10));
        let client = Client::with_options(options)?;
        client.database("admin").run_command(doc! { "hello": 1 }).await
    };
    let hello = answer.await.map_err(CheckError::Unreachable)?;
    let is_sharded = hello.get_str("msg").is_ok_and(|kind| kind == "isdbgrid");
    if is_sharded || hello.contains_key("setName") {
        Ok(())
    } else {
        Err(CheckError::Standalone)
    }
}

/// One step towards process `pid` being primary. True when it is; an error says what is still missing.
pub(crate) async fn advance(client: &Client, port: u16, pid: u32) -> Result<bool, Error> {
    let admin = client.database("admin");
    // Another server may answer on the port while ours is about to fail for that very reason.
    let status = admin
        .run_command(doc! { "serverStatus": 1, "metrics": 0, "wiredTiger": 0 })
        .await?;
    if status.get_i64("pid").ok() != Some(i64::from(pid)) {
        return Ok(false);
    }
    let hello = admin.run_command(doc! { "hello": 1 }).await?;
    if hello.get_bool("isWritablePrimary").unwrap_or(false) {
        return Ok(true);
    }
    match admin.run_command(doc! { "replSetGetStatus": 1 }).await {
        Ok(_) => Ok(false),
        Err(error) if code(&error) == Some(NOT_YET_INITIALIZED) => initiate(client, port).await,
        Err(error) if code(&error) == Some(INVALID_CONFIG) => move_here(client, port).await,
        Err(error) => Err(error),
    }
}

async fn initiate(client: &Client, port: u16) -> Result<bool, Error> {
    let command = doc! { "replSetInitiate": {
        "_id": NAME,
        "members": [{ "_id": 0, "host": address(port) }],
        // One node needs no time to find out that the others are gone.
        "settings": { "electionTimeoutMillis": 1000 },
    } };
    match client.database("admin").run_command(command).await {
        Ok(_) => Ok(false),
        Err(error) if code(&error) == Some(ALREADY_INITIALIZED) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The data was last served on another port, so the server does not find itself in its own configuration.
async fn move_here(client: &Client, port: u16) -> Result<bool, Error> {
    let stored = client.database("local").collection::<Document>("system.replset");
    let Some(mut config) = stored.find_one(doc! {}).await? else {
        return Ok(false);
    };
    let version = config.get_i32("version").unwrap_or(1);
    config.insert("version", version.saturating_add(1));
    config.insert("members", vec![doc! { "_id": 0, "host": address(port) }]);
    let command = doc! { "replSetReconfig": config, "force": true };
    client.database("admin").run_command(command).await?;
    Ok(false)
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn code(error: &Error) -> Option<i32> {
    if let ErrorKind::Command(command) = error.kind.as_ref() {
        Some(command.code)
    } else {
        None
    }
}
