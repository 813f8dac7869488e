//! The agent's side of the protocol, by hand.

use identity::Identity;
use model::Timestamp;
use prost::Message as _;
use proto::agent::v1::HostInfo;
use proto::ingest::v1::ingest_service_client::IngestServiceClient;
use proto::ingest::v1::{
    Batch, Hello, Origin, Receipt, Record, Records, StreamRequest, StreamResponse, record, stream_request,
    stream_response,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use crate::sandbox::{Collector, PATIENCE, Sandbox};

pub(crate) const EPOCH: u64 = 77;

pub(crate) struct Stream {
    pub(crate) requests: mpsc::Sender<StreamRequest>,
    pub(crate) responses: Streaming<StreamResponse>,
}

/// A stream that said Hello and was welcomed.
pub(crate) async fn open(sandbox: &Sandbox, collector: &Collector, identity: &Identity) -> Stream {
    let channel = sandbox.connect(collector, identity).await;
    let mut stream = call(channel).await.unwrap();
    stream.send(stream_request::Body::Hello(hello())).await;
    match stream.next().await.unwrap() {
        stream_response::Body::Welcome(welcome) => assert!(welcome.window > 0),
        other @ (stream_response::Body::Receipt(_)
        | stream_response::Body::Wait(_)
        | stream_response::Body::Refused(_)) => panic!("expected a Welcome, got {other:?}"),
    }
    stream
}

pub(crate) async fn call(channel: Channel) -> Result<Stream, Status> {
    let (requests, stream) = mpsc::channel(64);
    let mut client = IngestServiceClient::new(channel).max_encoding_message_size(usize::MAX);
    let responses = client.stream(ReceiverStream::new(stream)).await?.into_inner();
    Ok(Stream { requests, responses })
}

pub(crate) fn hello() -> Hello {
    Hello {
        host: Some(HostInfo {
            hostname: "web-1".to_owned(),
            os_type: "linux".to_owned(),
            os_name: "Debian 12".to_owned(),
            agent_version: "0.1.0".to_owned(),
        }),
        epoch: EPOCH,
        first_unacknowledged_seq: 0,
    }
}

impl Stream {
    pub(crate) async fn send(&self, body: stream_request::Body) {
        self.requests.send(StreamRequest { body: Some(body) }).await.unwrap();
    }

    pub(crate) async fn batch(&self, batch: &Batch) {
        self.send(stream_request::Body::Batch(batch.clone())).await;
    }

    pub(crate) async fn next(&mut self) -> Result<stream_response::Body, Status> {
        let response = tokio::time::timeout(PATIENCE, self.responses.message())
            .await
            .expect("an answer in time")?;
        Ok(response.expect("the stream goes on").body.expect("a known message"))
    }

    /// How the stream ends; what comes before is passed over.
    pub(crate) async fn end(&mut self) -> Status {
        loop {
            match tokio::time::timeout(PATIENCE, self.responses.message())
                .await
                .expect("an end in time")
            {
                Ok(Some(_)) => {}
                Ok(None) => panic!("expected the stream to end with a status"),
                Err(status) => return status,
            }
        }
    }

    pub(crate) async fn receipt(&mut self) -> Receipt {
        match self.next().await.unwrap() {
            stream_response::Body::Receipt(receipt) => receipt,
            other @ (stream_response::Body::Welcome(_)
            | stream_response::Body::Wait(_)
            | stream_response::Body::Refused(_)) => panic!("expected a Receipt, got {other:?}"),
        }
    }

    /// Reads receipts until one says `next_seq`.
    pub(crate) async fn receipt_up_to(&mut self, next_seq: u64) {
        let mut last = 0;
        while last != next_seq {
            let receipt = self.receipt().await;
            assert!(receipt.next_seq <= next_seq, "{} is past {next_seq}", receipt.next_seq);
            assert!(receipt.next_seq >= last, "receipts never go back");
            last = receipt.next_seq;
        }
    }
}

pub(crate) fn line(text: &str) -> Record {
    Record {
        origin: 0,
        observed_at_micros: Timestamp::now().0,
        body: Some(record::Body::Line(text.as_bytes().to_vec().into())),
        truncated_bytes: 0,
    }
}

pub(crate) fn records(records: Vec<Record>) -> Records {
    Records {
        origins: vec![Origin {
            kind: "file".to_owned(),
            name: "/var/log/test.log".to_owned(),
            log_type: String::new(),
            header: String::new(),
        }],
        records,
    }
}

/// Lines `line <n>` for each of the batch's numbers.
pub(crate) fn numbered(first_seq: u64, count: u32) -> Batch {
    let lines = (first_seq..first_seq + u64::from(count)).map(|n| line(&format!("line {n}")));
    batch(first_seq, &records(lines.collect()))
}

pub(crate) fn batch(first_seq: u64, records: &Records) -> Batch {
    let plain = records.encode_to_vec();
    let mut batch = Batch {
        epoch: EPOCH,
        first_seq,
        count: u32::try_from(records.records.len()).unwrap(),
        created_at_micros: Timestamp::now().0,
        previous_hash: vec![0; 32],
        hash: Vec::new(),
        payload: zstd::bulk::compress(&plain, 1).unwrap().into(),
        uncompressed_bytes: plain.len() as u64,
    };
    rehash(&mut batch);
    batch
}

/// As `ingest.proto` says.
pub(crate) fn rehash(batch: &mut Batch) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&batch.previous_hash);
    hasher.update(&batch.epoch.to_le_bytes());
    hasher.update(&batch.first_seq.to_le_bytes());
    hasher.update(&u64::from(batch.count).to_le_bytes());
    hasher.update(&batch.created_at_micros.to_le_bytes());
    hasher.update(blake3::hash(&batch.payload).as_bytes());
    batch.hash = hasher.finalize().as_bytes().to_vec();
}
