//! `picket enrol token create`: what an endpoint needs to enrol.

use std::process::ExitCode;

use anyhow::Context as _;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;

use crate::client::Connection;
use crate::data_dir::UpFile;
use crate::durations::parse_ttl;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Tokens with which endpoints enrol
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(clap::Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token and show it, this once
    Create(Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many endpoints may enrol with it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    uses: u32,
    /// How long it stays valid, such as 30m, 24h or 7d; at most 365d
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_ttl)]
    ttl: std::time::Duration,
    /// Group of the endpoints
    #[arg(long, default_value = "default")]
    group: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    let Command::Token(TokenCommand::Create(args)) = command;
    let target = args.connection.target()?;
    let request = json!({ "uses": args.uses, "ttl_secs": args.ttl.as_secs(), "group": args.group });
    let answer = target.rest()?.post("/security/enrolment-tokens", &request).await?;
    let token = answer["token"]
        .as_str()
        .context("read the token in the gateway's answer")?;
    let expires_at = answer["expires_at"].as_str().unwrap_or_default();
    let certificate = CertificateDer::from_pem_slice(&target.ca_pem).context("read the CA certificate")?;
    let fingerprint = identity::fingerprint(&certificate);
    let server = collector_address(&args.connection);
    if args.json {
        println!(
            "{}",
            json!({
                "token": token, "expires_at": expires_at, "ca_fingerprint": fingerprint, "server": server,
                "group": args.group, "uses": args.uses,
            })
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("token           {token}");
    println!("CA fingerprint  {fingerprint}");
    println!("valid           {} time(s), until {expires_at}", args.uses);
    println!("\nOn the endpoint:\n");
    println!(
        "  agentd enrol --server {} --token {token} --ca-fingerprint {fingerprint}",
        server.as_deref().unwrap_or("COLLECTOR_HOST:PORT")
    );
    Ok(ExitCode::SUCCESS)
}

/// Where the local system's first collector takes agents.
fn collector_address(connection: &Connection) -> Option<String> {
    if connection.url.is_some() {
        return None;
    }
    let up = UpFile::read(&connection.data_dir().ok()?).ok()?;
    up.nodes
        .into_iter()
        .find(|node| node.role == "collector")
        .map(|node| node.addr)
}
