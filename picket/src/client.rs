//! How commands reach a running system: flags, then the environment, then the `up.json` of the data directory.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use proto::query::v1::query_service_client::QueryServiceClient;
use proto::rules::v1::rule_service_client::RuleServiceClient;
use serde_json::Value;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::data_dir::{UpFile, default_data_dir};

/// Time to open a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for one REST answer.
const ANSWER: Duration = Duration::from_secs(60);

/// Which system to talk to. Without any of these, the one that `picket up` runs on this machine.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Connection {
    /// Data directory of a running `picket up`
    #[arg(long, env = "PICKET_DATA", value_name = "DIR", global = true)]
    pub data: Option<PathBuf>,
    /// REST address, such as https://picket.example:9443
    #[arg(long, env = "PICKET_URL", value_name = "URL", help_heading = "Connection")]
    pub url: Option<String>,
    /// gRPC address [default: the host and port of the REST address]
    #[arg(
        long,
        env = "PICKET_GRPC_ADDR",
        value_name = "HOST:PORT",
        help_heading = "Connection"
    )]
    pub grpc_addr: Option<String>,
    /// Certificate authority of the server, PEM
    #[arg(long, env = "PICKET_CA_FILE", value_name = "FILE", help_heading = "Connection")]
    pub ca_file: Option<PathBuf>,
    /// API key; better given by the environment than seen in a list of processes
    #[arg(
        long,
        env = "PICKET_API_KEY",
        value_name = "KEY",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    pub api_key: Option<String>,
}

/// A system, found.
#[derive(Clone)]
pub(crate) struct Target {
    pub rest_url: String,
    pub grpc_addr: String,
    pub ca_pem: Vec<u8>,
    pub api_key: String,
}

impl Connection {
    /// The data directory these flags mean.
    pub(crate) fn data_dir(&self) -> anyhow::Result<PathBuf> {
        self.data.clone().map_or_else(default_data_dir, Ok)
    }

    /// Finds the system to talk to.
    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let data = self.data_dir()?;
        let up = UpFile::read(&data);
        let from_up = |what: &str| -> anyhow::Result<&UpFile> {
            up.as_ref().map_err(|error| {
                anyhow!(
                    "no {what}: nothing runs with the data in {} ({error:#}). Start it with `picket up`, name its \
                     directory with --data, or name another system with --url, --ca-file and PICKET_API_KEY",
                    data.display()
                )
            })
        };
        let rest_url = match &self.url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => from_up("server")?.rest_url.clone(),
        };
        let grpc_addr = match (&self.grpc_addr, &self.url) {
            (Some(addr), _) => addr.clone(),
            (None, Some(_)) => host_and_port(&rest_url)?,
            (None, None) => from_up("gRPC address")?.grpc_addr.clone(),
        };
        let ca_file = match &self.ca_file {
            Some(file) => file.clone(),
            None => from_up("--ca-file")?.ca_file.clone(),
        };
        let api_key = match &self.api_key {
            Some(key) => key.clone(),
            None => from_up("API key")?.api_key.clone(),
        };
        let ca_pem = std::fs::read(&ca_file).with_context(|| format!("read --ca-file {}", ca_file.display()))?;
        Ok(Target {
            rest_url,
            grpc_addr,
            ca_pem,
            api_key,
        })
    }
}

fn host_and_port(url: &str) -> anyhow::Result<String> {
    let parsed = reqwest::Url::parse(url).with_context(|| format!("--url: expected https://HOST:PORT, got {url:?}"))?;
    match (parsed.scheme(), parsed.host_str(), parsed.port_or_known_default()) {
        ("https", Some(host), Some(port)) => Ok(format!("{host}:{port}")),
        _ => bail!("--url: expected https://HOST:PORT, got {url:?}"),
    }
}

/// Adds the API key to every call.
#[derive(Clone)]
pub(crate) struct ApiKey(MetadataValue<Ascii>);

impl tonic::service::Interceptor for ApiKey {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("x-api-key", self.0.clone());
        Ok(request)
    }
}

pub(crate) type QueryClient = QueryServiceClient<InterceptedService<Channel, ApiKey>>;
pub(crate) type RuleClient = RuleServiceClient<InterceptedService<Channel, ApiKey>>;

impl Target {
    /// Opens a gRPC connection for queries.
    pub(crate) async fn query(&self) -> anyhow::Result<QueryClient> {
        let (channel, key) = (self.channel().await?, self.key()?);
        Ok(QueryServiceClient::with_interceptor(channel, key).max_decoding_message_size(32 * 1024 * 1024))
    }

    /// Opens a gRPC connection for what concerns rules.
    pub(crate) async fn rules(&self) -> anyhow::Result<RuleClient> {
        let (channel, key) = (self.channel().await?, self.key()?);
        Ok(RuleServiceClient::with_interceptor(channel, key).max_decoding_message_size(32 * 1024 * 1024))
    }

    fn key(&self) -> anyhow::Result<ApiKey> {
        let key = self.api_key.parse();
        key.map(ApiKey)
            .map_err(|_| anyhow!("API key: expected printable ASCII"))
    }

    async fn channel(&self) -> anyhow::Result<Channel> {
        let url = format!("https://{}", self.grpc_addr);
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&self.ca_pem));
        Endpoint::from_shared(url)
            .with_context(|| format!("--grpc-addr: expected HOST:PORT, got {:?}", self.grpc_addr))?
            .tls_config(tls)
            .context("read the certificate authority")?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .connect()
            .await
            .map_err(|error| anyhow!("connect to {}: {}", self.grpc_addr, trouble(&error)))
    }

    /// A REST client that trusts this system's authority only.
    pub(crate) fn rest(&self) -> anyhow::Result<Rest> {
        let roots = reqwest::Certificate::from_pem_bundle(&self.ca_pem).context("read the certificate authority")?;
        let client = reqwest::Client::builder()
            .tls_certs_only(roots)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .build()
            .context("make a REST client")?;
        Ok(Rest {
            client,
            url: self.rest_url.clone(),
            api_key: self.api_key.clone(),
        })
    }
}

/// REST with the API key on every request.
pub(crate) struct Rest {
    client: reqwest::Client,
    url: String,
    api_key: String,
}

impl Rest {
    /// A request for a path that begins with `/`.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.url))
            .header("x-api-key", &self.api_key)
    }

    /// The JSON answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.request(reqwest::Method::GET, path)).await
    }

    /// The JSON answer to a PUT of JSON.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.request(reqwest::Method::PUT, path).json(body)).await
    }

    /// A DELETE.
    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        answer(self.request(reqwest::Method::DELETE, path)).await.map(|_| ())
    }

    /// The JSON answer to a DELETE.
    pub(crate) async fn delete_for(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.request(reqwest::Method::DELETE, path)).await
    }

    /// The JSON answer to a POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.request(reqwest::Method::POST, path).json(body)).await
    }

    /// The JSON answer to a request without a body, or with a body of JSON.
    pub(crate) async fn send(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let request = self.request(method, path);
        answer(match body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
    let response = request
        .send()
        .await
        .map_err(|error| anyhow!("reach the gateway: {}", trouble(&error)))?;
    let status = response.status();
    let text = response.text().await.context("read the gateway's answer")?;
    if !status.is_success() {
        bail!("the gateway answered {status}: {}", problem_detail(&text));
    }
    if text.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).context("read the gateway's answer as JSON")
}

/// A text as one segment of a path, or a value in a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What a refused call says, without gRPC's wrapping.
pub(crate) fn grpc_error(status: Status) -> anyhow::Error {
    anyhow!("the gateway refused: {}", status.message())
}

/// Why a connection failed, without the layers it went through.
pub(crate) fn trouble(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let text = causes.last().map(ToString::to_string).unwrap_or_default();
    if text.contains("UnknownIssuer") {
        return "its certificate is not from the authority in the CA file (--ca-file)".to_owned();
    }
    if text.contains("not valid for name") || text.contains("NotValidForName") {
        return format!("its certificate is not for this name or address ({text})");
    }
    text
}

/// The `detail` of a problem document, or the start of whatever else it is.
pub(crate) fn problem_detail(body: &str) -> String {
    serde_json::from_str::<Value>(body)
        .ok()
        .and_then(|problem| problem["detail"].as_str().map(str::to_owned))
        .unwrap_or_else(|| body.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::{encoded, host_and_port, problem_detail, trouble};

    #[test]
    fn what_goes_into_a_path_stays_one_segment() {
        assert_eq!(encoded("pipeline:a/b é"), "pipeline%3Aa%2Fb%20%C3%A9");
    }

    #[test]
    fn a_failed_connection_is_told_by_its_cause() {
        let refused = std::io::Error::from_raw_os_error(111);
        assert_eq!(
            trouble(anyhow::Error::new(refused).context("connect").as_ref()),
            "Connection refused (os error 111)"
        );
        let untrusted = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        assert!(trouble(&untrusted).contains("--ca-file"), "{untrusted}");
        let other_name = rustls::Error::InvalidCertificate(rustls::CertificateError::NotValidForName);
        assert!(trouble(&other_name).contains("name"), "{other_name}");
    }

    #[test]
    fn the_grpc_address_follows_from_the_url() {
        assert_eq!(host_and_port("https://picket.example").unwrap(), "picket.example:443");
        assert_eq!(host_and_port("https://[::1]:9443").unwrap(), "[::1]:9443");
        assert!(host_and_port("http://x").unwrap_err().to_string().contains("--url"));
    }

    #[test]
    fn problems_are_told_by_their_detail() {
        assert_eq!(
            problem_detail(r#"{"title":"t","detail":"limit: too large"}"#),
            "limit: too large"
        );
        assert_eq!(problem_detail("<html>"), "<html>");
    }
}
