//! Feeds of threat intelligence, over a real HTTP server and a real TAXII server.

mod bad;
mod misp;
mod one_body;
mod taxii;

use model::Tenant;
use model::feed::FeedState;
use model::node::Role;
use proto::intel::v1::feed_service_client::FeedServiceClient;
use proto::intel::v1::{PutFeedRequest, RunFeedRequest};
use serde_json::{Value, json};
use storage::feeds::{self, Feed};
use storage::indicators::{self, Filter};
use testkit::Publisher;
use tonic::transport::Channel;

use crate::sandbox::{Detector, Sandbox};

/// A detector and a publisher.
struct Ground {
    sandbox: Sandbox,
    detector: Detector,
    publisher: Publisher,
    directories: tempfile::TempDir,
    service: FeedServiceClient<Channel>,
}

impl Ground {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = Sandbox::new().await;
        let directories = tempfile::tempdir().unwrap();
        let detector = start(&sandbox, "detector-1", directories.path()).await;
        let service = FeedServiceClient::new(sandbox.connect(&detector, Role::Gateway).await);
        Self {
            sandbox,
            detector,
            publisher: Publisher::start().await,
            directories,
            service,
        }
    }

    /// Sets a feed up and waits for its first run.
    async fn put(&mut self, spec: Value) -> Feed {
        let name = spec["name"].as_str().unwrap().to_owned();
        let before = self.get(&name).await.and_then(|feed| feed.status.last_run);
        self.ask_to_put(spec).await;
        self.ran_since(&name, before).await
    }

    async fn ask_to_put(&mut self, spec: Value) {
        let request = PutFeedRequest {
            tenant: "default".to_owned(),
            requested_by: "user:tester".to_owned(),
            spec_json: spec.to_string(),
        };
        self.service.put_feed(request).await.unwrap();
    }

    /// A list at `/list.txt` that its test may bring private addresses with.
    async fn put_list(&mut self, name: &str, options: Value) -> Feed {
        let url = self.publisher.url("/list.txt");
        self.put(json!({ "name": name, "kind": "list", "url": url, "options": options }))
            .await
    }

    /// Asks for another run and waits for it.
    async fn run(&mut self, name: &str) -> Feed {
        let before = self.get(name).await.unwrap().status.last_run;
        let request = RunFeedRequest {
            tenant: "default".to_owned(),
            requested_by: "user:tester".to_owned(),
            name: name.to_owned(),
        };
        self.service.run_feed(request).await.unwrap();
        self.ran_since(name, before).await
    }

    async fn ran_since(&self, name: &str, before: Option<model::Timestamp>) -> Feed {
        testkit::poll_until(std::time::Duration::from_secs(60), "the feed ran", async || {
            let feed = self.get(name).await?;
            let is_over = !matches!(feed.status.state, FeedState::Running | FeedState::New);
            (is_over && feed.status.last_run.is_some() && feed.status.last_run != before).then_some(feed)
        })
        .await
    }

    async fn get(&self, name: &str) -> Option<Feed> {
        feeds::get(&self.sandbox.store, &Tenant::default(), name).await.unwrap()
    }

    /// Values of the feed's indicators, sorted.
    async fn values(&self, feed: &str) -> Vec<String> {
        let filter = Filter {
            feed: Some(feed.to_owned()),
            ..Filter::default()
        };
        let found = indicators::list(&self.sandbox.store, &filter, 10_000).await.unwrap();
        let mut values: Vec<String> = found.into_iter().map(|(indicator, _)| indicator.value).collect();
        values.sort();
        values
    }
}

async fn start(sandbox: &Sandbox, name: &str, directories: &std::path::Path) -> Detector {
    let (files, secrets) = (directories.join("files"), directories.join("secrets"));
    for directory in [&files, &secrets] {
        std::fs::create_dir_all(directory).unwrap();
    }
    sandbox
        .start_changed(name, |config| {
            config.feeds.files_dir = files;
            config.feeds.secrets_dir = secrets;
            config.feeds.silence_secs = 5;
        })
        .await
}
