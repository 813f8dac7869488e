//! The server against the real thing: fresh data, continued data, another port, crash, data in use.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use bson::{Document, doc};
use mongod::{CheckError, Mongod, Options, StartError};

async fn binary() -> std::path::PathBuf {
    let cache = std::env::var_os("PICKET_TEST_CACHE").map_or_else(
        || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-cache"),
        std::path::PathBuf::from,
    );
    mongod::provision(&cache, |_| {}).await.unwrap().path
}

async fn count(server: &Mongod) -> u64 {
    let client = mongodb::Client::with_uri_str(server.uri()).await.unwrap();
    let things = client.database("x").collection::<Document>("things");
    things.count_documents(doc! {}).await.unwrap()
}

#[tokio::test]
async fn data_survives_stop_kill_and_a_change_of_port() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::throw_away(binary().await, dir.path().join("db"));
    let mut server = Mongod::start(options.clone()).await.unwrap();
    let client = mongodb::Client::with_uri_str(server.uri()).await.unwrap();
    let things = client.database("x").collection::<Document>("things");
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    things.insert_one(doc! { "a": 1 }).session(&mut session).await.unwrap();
    session.commit_transaction().await.unwrap();

    mongod::check(&server.uri()).await.unwrap();
    let pid = server.pid();
    server.kill9().await;
    server.restart().await.unwrap();
    assert_ne!(server.pid(), pid);
    assert_eq!(count(&server).await, 1);

    let error = Mongod::start(Options {
        port: server.port(),
        dbpath: dir.path().join("other"),
        ..options.clone()
    });
    assert!(matches!(error.await, Err(StartError::PortTaken { .. })));

    let port = server.port();
    assert!(server.stop().await);
    let moved = Mongod::start(options).await.unwrap();
    assert_ne!(moved.port(), port);
    assert_eq!(count(&moved).await, 1);
    assert!(moved.stop().await);
}

#[tokio::test]
async fn data_that_cannot_be_served_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let dbpath = dir.path().join("db");
    std::fs::create_dir_all(&dbpath).unwrap();
    std::fs::write(dbpath.join("storage.bson"), b"garbage").unwrap();
    let error = Mongod::start(Options::throw_away(binary().await, &dbpath))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StartError::Ended { last_words, .. } if !last_words.is_empty()),
        "{error}"
    );
}

#[tokio::test]
async fn a_single_server_is_refused_with_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = std::process::Command::new(binary().await);
    command.args([
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
        "--port",
        &port.to_string(),
        "--dbpath",
    ]);
    command.arg(dir.path()).stdout(std::process::Stdio::null());
    let child = mongod::child::Child::spawn(command, mongod::child::Signal::SIGKILL).unwrap();
    let error = mongod::check(&format!("mongodb://127.0.0.1:{port}/"))
        .await
        .unwrap_err();
    assert!(matches!(error, CheckError::Standalone), "{error:?}");
    drop(child);
    let error = mongod::check("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200")
        .await
        .unwrap_err();
    assert!(matches!(error, CheckError::Unreachable(_)), "{error:?}");
}
