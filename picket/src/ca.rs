//! `picket ca`: the certificate authority of an installation.
//!
//! The authority is two files, `ca.crt` and `ca.key`, in `DIR/ca`. What was issued and revoked is in the database, where
//! every node looks; `issued.jsonl` beside the key remembers what was issued while no database was there.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use identity::{CertInfo, CertificateAuthority, Serial, SpiffeId, write_private};
use model::node::Role;
use model::{AgentId, Tenant, Timestamp};
use serde_json::{Value, json};
use storage::{Store, audit, certificates};

use crate::client::Connection;
use crate::data_dir::UpFile;
use crate::durations::parse_ttl;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a new authority
    Init(InitArgs),
    /// Issue a certificate for a node or an operator
    Issue(IssueArgs),
    /// Show what was issued, newest first
    List(ListArgs),
    /// Refuse an agent or a certificate from now on
    Revoke(RevokeArgs),
}

/// Where the authority and the database are.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// Directory of the authority [default: `ca` in the data directory]
    #[arg(long, value_name = "DIR")]
    ca_dir: Option<PathBuf>,
    /// Whose
    #[arg(long, default_value = "default")]
    tenant: Tenant,
    /// The database [default: the one of the running `picket up`]
    #[arg(long, env = "PICKET_MONGODB_URI", hide_env_values = true, value_name = "URI")]
    mongodb_uri: Option<String>,
    /// Name of the database
    #[arg(long, default_value = "picket")]
    database: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(clap::Args)]
pub(crate) struct InitArgs {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct IssueArgs {
    /// collector, detector, responder, gateway or operator; agents enrol instead
    #[arg(long)]
    role: Role,
    /// Name of the node or operator
    #[arg(long)]
    name: String,
    /// Host name or address in the certificate; may be given several times
    #[arg(long, value_name = "HOST")]
    san: Vec<String>,
    /// How long it is valid, such as 90d
    #[arg(long, default_value = "90d", value_name = "TIME", value_parser = parse_ttl)]
    ttl: Duration,
    /// Directory for cert.pem, key.pem and ca.crt
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct ListArgs {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct RevokeArgs {
    /// Id of an agent, or serial number of a certificate
    id: String,
    /// For the audit log
    #[arg(long, default_value = "")]
    reason: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(args) => init(&args),
        Command::Issue(args) => issue(&args).await,
        Command::List(args) => list(&args).await,
        Command::Revoke(args) => revoke(&args).await,
    }
}

impl Place {
    fn ca_dir(&self) -> anyhow::Result<PathBuf> {
        match &self.ca_dir {
            Some(dir) => Ok(dir.clone()),
            None => Ok(self.connection.data_dir()?.join("ca")),
        }
    }

    /// The database, when one is named or a system is running.
    async fn store(&self) -> anyhow::Result<Option<Store>> {
        let uri = match &self.mongodb_uri {
            Some(uri) => uri.clone(),
            None => match UpFile::read(&self.connection.data_dir()?) {
                Ok(up) => up.mongodb_uri,
                Err(_) => return Ok(None),
            },
        };
        let store = Store::connect(&uri, &self.database, "picket")
            .await
            .context("open the database")?;
        store.ping().await.context("reach the database")?;
        Ok(Some(store))
    }
}

fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let dir = args.place.ca_dir()?;
    let authority = CertificateAuthority::init(&dir).context("make the authority")?;
    if args.json {
        println!(
            "{}",
            json!({
                "certificate": dir.join("ca.crt"), "key": dir.join("ca.key"), "fingerprint": authority.fingerprint(),
            })
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("certificate     {}", dir.join("ca.crt").display());
    println!(
        "key             {} (keep it secret; who has it can be anybody)",
        dir.join("ca.key").display()
    );
    println!("fingerprint     {}", authority.fingerprint());
    Ok(ExitCode::SUCCESS)
}

async fn issue(args: &IssueArgs) -> anyhow::Result<ExitCode> {
    if args.role == Role::Agent {
        bail!("--role: agents make their key themselves; see `picket enrol token create`");
    }
    let dir = args.place.ca_dir()?;
    let authority = CertificateAuthority::open(&dir.join("ca.crt"), &dir.join("ca.key"))
        .with_context(|| format!("open the authority in {} (`picket ca init` makes one)", dir.display()))?;
    let id = SpiffeId::new(args.place.tenant.clone(), args.role, &args.name).context("--name")?;
    let store = args.place.store().await?;
    let issued = authority
        .issue(&id, &args.san, args.ttl, Timestamp::now())
        .context("issue the certificate")?;
    fs::create_dir_all(&args.out).with_context(|| format!("make {}", args.out.display()))?;
    write_private(&args.out.join("key.pem"), issued.key_pem.as_bytes()).context("write key.pem")?;
    identity::write_public(&args.out.join("cert.pem"), issued.chain_pem.as_bytes()).context("write cert.pem")?;
    identity::write_public(&args.out.join("ca.crt"), authority.certificate_pem().as_bytes()).context("write ca.crt")?;
    remember(&dir, &issued.info)?;
    match &store {
        Some(store) => record(store, &issued.info, "operator:ca").await?,
        None => eprintln!(
            "no database at hand: the certificate is noted in {} only",
            dir.join("issued.jsonl").display()
        ),
    }
    if args.json {
        println!(
            "{}",
            json!({
                "certificate": args.out.join("cert.pem"), "key": args.out.join("key.pem"),
                "ca_file": args.out.join("ca.crt"), "serial": issued.info.serial.to_string(),
                "spiffe": issued.info.id.to_string(), "not_after": issued.info.not_after.to_string(),
            })
        );
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", args.out.join("cert.pem").display());
    println!(
        "serial {}, {}, until {}",
        issued.info.serial, issued.info.id, issued.info.not_after
    );
    Ok(ExitCode::SUCCESS)
}

/// Notes in the database what was issued.
pub(crate) async fn record(store: &Store, info: &CertInfo, actor: &str) -> anyhow::Result<()> {
    let certificate = certificates::Certificate {
        serial: info.serial.to_string(),
        tenant: info.id.tenant.clone(),
        spiffe: info.id.to_string(),
        role: info.id.role,
        subject: info.id.id.clone(),
        not_before: info.not_before,
        not_after: info.not_after,
        issued_at: Timestamp::now(),
        revoked_at: None,
        reason: None,
    };
    certificates::record(store, &certificate)
        .await
        .context("record the certificate")?;
    let entry = audit::NewEntry {
        tenant: info.id.tenant.clone(),
        actor: actor.to_owned(),
        action: "certificate.issue".to_owned(),
        object: info.serial.to_string(),
        detail: json!({ "spiffe": info.id.to_string(), "not_after": info.not_after.to_string() }),
    };
    audit::append(store, entry).await.context("write the audit log")
}

/// Notes beside the key what was issued.
pub(crate) fn remember(dir: &Path, info: &CertInfo) -> anyhow::Result<()> {
    let path = dir.join("issued.jsonl");
    let line = json!({
        "serial": info.serial.to_string(), "spiffe": info.id.to_string(), "tenant": info.id.tenant.as_str(),
        "not_before": info.not_before.to_string(), "not_after": info.not_after.to_string(),
    });
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    writeln!(file, "{line}").with_context(|| format!("write {}", path.display()))
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut rows: Vec<Value> = Vec::new();
    match args.place.store().await? {
        Some(store) => {
            let known = certificates::list(&store, &args.place.tenant)
                .await
                .context("read the certificates")?;
            rows.extend(known.iter().map(|certificate| {
                json!({
                    "serial": certificate.serial, "spiffe": certificate.spiffe,
                    "not_after": certificate.not_after.to_string(),
                    "revoked_at": certificate.revoked_at.map(|at| at.to_string()), "reason": certificate.reason,
                })
            }));
        }
        None => eprintln!("no database at hand: only what was issued here is shown, and nothing of revocations"),
    }
    for noted in noted(&args.place.ca_dir()?)? {
        let same_tenant = noted["tenant"] == args.place.tenant.as_str();
        if same_tenant && !rows.iter().any(|row| row["serial"] == noted["serial"]) {
            rows.push(json!({
                "serial": noted["serial"], "spiffe": noted["spiffe"], "not_after": noted["not_after"],
                "revoked_at": null, "reason": null,
            }));
        }
    }
    for row in &rows {
        if args.json {
            println!("{row}");
        } else {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let state = match row["revoked_at"].as_str() {
                Some(at) => format!("REVOKED {at} {}", text("reason")),
                None if text("not_after") < Timestamp::now().to_string() => "expired".to_owned(),
                None => "valid".to_owned(),
            };
            println!(
                "{:<34} {:<60} until {}  {state}",
                text("serial"),
                text("spiffe"),
                text("not_after")
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn noted(dir: &Path) -> anyhow::Result<Vec<Value>> {
    let path = dir.join("issued.jsonl");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// What `picket ca revoke` is about.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    Agent(AgentId),
    Certificate(Serial),
}

/// Serial numbers have as many hex digits as a UUID: only hyphens tell one from the other.
fn subject(text: &str) -> anyhow::Result<Subject> {
    let subject = if text.contains('-') {
        text.parse().ok().map(Subject::Agent)
    } else {
        text.parse().ok().map(Subject::Certificate)
    };
    subject.with_context(|| {
        format!("expected the id of an agent (a UUID) or the serial number of a certificate (hex), got {text:?}")
    })
}

async fn revoke(args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    let (what, id, changed) = match subject(&args.id)? {
        Subject::Agent(agent) => {
            let target = args.place.connection.target()?;
            let path = format!("/security/agents/{agent}/revoke");
            let answer = target.rest()?.post(&path, &json!({ "reason": args.reason })).await?;
            ("agent", agent.to_string(), answer["revoked"] == true)
        }
        Subject::Certificate(serial) => {
            let number = serial.to_string();
            let changed = revoke_certificate(args, &number).await?;
            ("certificate", number, changed)
        }
    };
    if args.json {
        println!("{}", json!({ "kind": what, "id": id, "changed": changed }));
    } else if changed {
        println!("{what} {id} is refused from now on");
    } else {
        println!("{what} {id} had been revoked before");
    }
    Ok(ExitCode::SUCCESS)
}

/// Says whether it was valid until now.
async fn revoke_certificate(args: &RevokeArgs, number: &str) -> anyhow::Result<bool> {
    let Some(store) = args.place.store().await? else {
        bail!("no database to note the revocation in: start `picket up`, or give --mongodb-uri");
    };
    let tenant = &args.place.tenant;
    let changed = certificates::revoke_serial(&store, tenant, number, &args.reason)
        .await
        .context("revoke the certificate")?;
    if !changed {
        let known = certificates::list(&store, tenant)
            .await
            .context("read the certificates")?;
        if !known.iter().any(|certificate| certificate.serial == number) {
            bail!("no certificate with serial number {number} is known in tenant {tenant}; see `picket ca list`");
        }
        return Ok(false);
    }
    let entry = audit::NewEntry {
        tenant: tenant.clone(),
        actor: "operator:ca".to_owned(),
        action: "certificate.revoke".to_owned(),
        object: number.to_owned(),
        detail: json!({ "reason": args.reason }),
    };
    audit::append(&store, entry).await.context("write the audit log")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::{Subject, subject};

    #[test]
    fn serial_numbers_are_not_taken_for_agents() {
        let serial = "7b34815ffae52452a1a32bf4b211ac62";
        assert_eq!(subject(serial).unwrap(), Subject::Certificate(serial.parse().unwrap()));
        let agent = "f6ae88b0-d6a8-4eb8-aba3-78797e322667";
        assert_eq!(subject(agent).unwrap(), Subject::Agent(agent.parse().unwrap()));
        for bad in ["", "web-1", "zz"] {
            assert!(subject(bad).unwrap_err().to_string().contains("serial number"), "{bad}");
        }
    }
}
