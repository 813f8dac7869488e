//! A database that stops answering.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use storage::Store;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Gateway;

/// What a request for the first blocks of a scan has in it.
pub(crate) const FIRST_BLOCKS: &[u8] = b"\x03hint\0";
/// What a request for blocks by their ids has in it.
pub(crate) const WHOLE_BLOCK: &[u8] = b"\x03_id\0";

/// The gateway's database, until a request has some bytes in it: from then on it does not answer.
pub(crate) struct Frozen {
    uri: String,
    name: String,
    frozen: Arc<AtomicBool>,
}

impl Frozen {
    pub(crate) async fn start(gateway: &Gateway, request: &'static [u8]) -> Self {
        let (uri, name) = gateway.database();
        let host = uri
            .trim_start_matches("mongodb://")
            .split(['/', '?'])
            .next()
            .unwrap()
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let frozen = Arc::new(AtomicBool::new(false));
        let seen = frozen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&host).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut bytes = vec![0; 1 << 20];
                    while let Ok(len @ 1..) = from_client.read(&mut bytes).await {
                        let has = bytes[..len].windows(request.len()).any(|window| window == request);
                        if has || seen.load(Ordering::SeqCst) {
                            seen.store(true, Ordering::SeqCst);
                            continue;
                        }
                        to_server.write_all(&bytes[..len]).await.unwrap();
                    }
                });
            }
        });
        Self {
            uri: format!("mongodb://{addr}/?directConnection=true"),
            name: name.to_owned(),
            frozen,
        }
    }

    pub(crate) async fn store(&self) -> Store {
        Store::connect(&self.uri, &self.name, "test").await.unwrap()
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::SeqCst)
    }
}
