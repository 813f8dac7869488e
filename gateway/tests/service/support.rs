//! A running gateway and clients for it.

use std::net::SocketAddr;
use std::time::Duration;

use bootstrap::Context;
use gateway::{AuthConfig, Config};
use model::alert::{Alert, AlertAgent, AlertRule, Attack};
use model::node::{Node, Role};
use model::{AccessRole, AlertId, Epoch, EventId, Level, NodeId, SourceId, Tenant, Timestamp};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use storage::{Store, alerts, nodes};
use testkit::{Authority, TestDatabase};
use tokio_util::sync::CancellationToken;

use crate::peers::{self, Fakes};

pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const ADMIN_KEY: &str = "pk_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A gateway with its surroundings. Ends with it.
pub(crate) struct Gateway {
    pub(crate) addr: SocketAddr,
    pub(crate) store: Store,
    pub(crate) authority: Authority,
    pub(crate) fakes: Fakes,
    pub(crate) ctx: Context,
    client: reqwest::Client,
    database: TestDatabase,
    _dir: tempfile::TempDir,
    _beats: tokio_util::sync::DropGuard,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.ctx.shutdown.cancel();
    }
}

/// A gateway as configured by default, but for generous request rates.
pub(crate) async fn start() -> Gateway {
    start_with(|_| ()).await
}

pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Gateway {
    bootstrap::install_crypto();
    let database = testkit::mongo().await;
    let store = database.store_with_indexes().await;
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    let secret = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let mut config = Config {
        node: "gateway-1".to_owned(),
        tls: authority.issue(Role::Gateway, "gateway-1"),
        mongodb: serde_json::from_value(json!({ "uri": database.uri(), "database": database.name() })).unwrap(),
        admin: serde_json::from_value(json!({ "addr": "127.0.0.1:0" })).unwrap(),
        auth: AuthConfig {
            jwt_key_file: secret("jwt.key", "0123456789abcdef0123456789abcdef"),
            admin_password_file: secret("admin", &format!("{PASSWORD}\n")),
            api_key_file: secret("key", &format!("{ADMIN_KEY}\n")),
        },
        ..Config::default()
    };
    config.http.addr = "127.0.0.1:0".parse().unwrap();
    config.rate_limit.requests_per_second = 10_000;
    config.rate_limit.burst = 10_000;
    config.rate_limit.anonymous_requests_per_second = 10_000;
    config.rate_limit.anonymous_burst = 10_000;
    change(&mut config);

    let stop = CancellationToken::new();
    let fakes = peers::start(&authority, &store, &stop).await;
    let ctx = Context::new();
    let running = gateway::start(config, ctx.clone()).await.unwrap();
    let certificate = std::fs::read(authority.cert_file()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(&certificate).unwrap()])
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    Gateway {
        addr: running.addr,
        store,
        authority,
        fakes,
        ctx,
        client,
        database,
        _dir: dir,
        _beats: stop.drop_guard(),
    }
}

/// Registers a node as if it lived.
pub(crate) async fn register(store: &Store, role: Role, name: &str, addr: SocketAddr, stop: &CancellationToken) {
    let node = Node {
        id: name.parse::<NodeId>().unwrap(),
        role,
        addr: addr.to_string(),
        version: "test".to_owned(),
        started_at: Timestamp::now(),
        heartbeat_at: Timestamp::now(),
        rules_at: None,
    };
    nodes::beat(store, &node).await.unwrap();
    tokio::spawn(nodes::register_and_beat(store.clone(), node, stop.clone()));
}

impl Gateway {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.addr.port())
    }

    /// Where the database is, and its name.
    pub(crate) fn database(&self) -> (&str, &str) {
        (self.database.uri(), self.database.name())
    }

    /// A request without credentials.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request with the admin's API key.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).header("x-api-key", ADMIN_KEY)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let response = self.request(Method::GET, path).send().await.unwrap();
        ok(response).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.request(Method::POST, path).json(&body).send().await.unwrap();
        ok(response).await
    }

    /// A fresh API key of a role.
    pub(crate) async fn key(&self, name: &str, role: AccessRole) -> String {
        let made = self
            .post("/security/api-keys", json!({ "name": name, "role": role }))
            .await;
        made["api_key"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn token(&self) -> String {
        let response = self
            .anonymous(Method::POST, "/security/user/authenticate?raw=true")
            .basic_auth("admin", Some(PASSWORD))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.text().await.unwrap()
    }
}

/// The body of a successful answer.
pub(crate) async fn ok(response: Response) -> Value {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// Checks that the answer is a problem document of that status, and returns its detail.
pub(crate) async fn problem(response: Response, status: u16) -> String {
    let url = response.url().clone();
    let got = response.status().as_u16();
    let kind = response.headers().get("content-type").cloned();
    let text = response.text().await.unwrap();
    assert_eq!(got, status, "{url}: {text}");
    assert_eq!(kind.unwrap(), "application/problem+json", "{url}");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["status"], status, "{url}");
    assert!(
        document["type"].as_str().unwrap().starts_with("urn:picket:error:"),
        "{url}"
    );
    document["detail"].as_str().unwrap().to_owned()
}

/// An alert that was made now.
pub(crate) fn alert(number: u64, level: Level) -> Alert {
    let event_id = EventId {
        source: SourceId::named("test", "alerts"),
        epoch: Epoch(1),
        seq: number,
    };
    let tenant = Tenant::default();
    Alert {
        id: AlertId::single(&tenant, "rule-1", &event_id),
        tenant,
        timestamp: Timestamp::from_millis(Timestamp::now().as_millis()),
        rule_id: "rule-1".to_owned(),
        rule: AlertRule {
            id: "rule-1".to_owned(),
            title: "Failed logins".to_owned(),
            description: String::new(),
            revision: "0".repeat(16),
            tags: vec!["attack.t1110".to_owned()],
        },
        level,
        severity: level.severity().number(),
        attack: Attack::from_tags(&["attack.t1110"]),
        agent: AlertAgent {
            id: "11111111-2222-3333-4444-555555555555".to_owned(),
            name: "web-1".to_owned(),
        },
        ips: vec!["10.0.0.5".to_owned()],
        indicator: None,
        correlation: None,
        suppression: None,
        retroactive: false,
        event_id,
        event: json!({ "message": "Failed password", "source": { "ip": "10.0.0.5" } }),
        risk_score: level.risk_score().to_owned(),
        processed_at: Timestamp::from_millis(Timestamp::now().as_millis() + i64::try_from(number).unwrap()),
    }
}

pub(crate) async fn store_alerts(store: &Store, made: &[Alert]) {
    assert_eq!(alerts::insert(store, made).await.unwrap(), made.len());
}
