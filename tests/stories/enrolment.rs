//! Who gets in: enrolment, and everybody who is refused.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use identity::{CertificateAuthority, SpiffeId};
use model::node::Role;
use model::{Tenant, Timestamp};
use serde_json::Value;
use tests::endpoint::{Endpoint, Token};
use tests::system::{Options, System, append};
use tests::until::until;

const WITHIN: Duration = Duration::from_secs(60);

fn no_agent() -> Options {
    Options {
        args: vec!["--no-agent".to_owned()],
        ..Options::default()
    }
}

fn failed_password(user: &str) -> String {
    format!("Mar  1 10:00:00 web sshd[1]: Failed password for {user} from 203.0.113.7 port 1 ssh2\n")
}

/// Waits until the line about this user is an alert, and answers the alert.
async fn alert_about(system: &System, user: &str) -> anyhow::Result<Value> {
    until(&format!("an alert about {user}"), WITHIN, async || {
        let alerts = system.get("/alerts?limit=100").await?;
        let items = alerts["items"].as_array().context("read items")?;
        Ok(items
            .iter()
            .find(|alert| alert["event"]["user"]["name"] == user)
            .cloned())
    })
    .await
}

fn collector_log(system: &System) -> String {
    fs::read_to_string(system.data().join("logs/collector-1.log")).unwrap_or_default()
}

#[tokio::test]
async fn an_endpoint_enrols_delivers_and_is_revoked() -> anyhow::Result<()> {
    let system = System::start(no_agent()).await?;
    let token = Token::create(&system, &["--uses", "1", "--ttl", "1h", "--group", "web"])?;
    let mut endpoint = Endpoint::new(&system.scratch().join("web-1"))?;
    endpoint.enrol_ok(&token)?;
    let again = Endpoint::new(&system.scratch().join("web-2"))?.enrol(&token)?;
    ensure!(!again.status.success(), "a token for one use enrolled two");
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(said.contains("used up"), "{said}");

    endpoint.start(&token.server)?;
    append(&endpoint.followed(), failed_password("enrolled").as_bytes())?;
    let alert = alert_about(&system, "enrolled").await?;
    let agent = alert["agent"]["id"]
        .as_str()
        .context("no agent in the alert")?
        .to_owned();
    until("status shows a receipt", WITHIN, async || {
        let status = endpoint.status()?.to_string();
        ensure!(status.contains(&agent), "{status}");
        Ok(Some(()))
    })
    .await?;

    // Restarted, it is the same agent and goes on where it was.
    endpoint.stop()?;
    append(&endpoint.followed(), failed_password("meanwhile").as_bytes())?;
    endpoint.start(&token.server)?;
    let alert = alert_about(&system, "meanwhile").await?;
    ensure!(alert["agent"]["id"] == agent.as_str(), "another agent: {alert}");

    let revoked = system.picket(&["ca", "revoke", &agent, "--reason", "story"])?;
    ensure!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    until("the agent says that it is refused", WITHIN, async || {
        ensure!(endpoint.log().contains("refused by collector"), "{}", endpoint.log());
        Ok(Some(()))
    })
    .await?;
    until("the collector says whom it refuses", WITHIN, async || {
        let log = collector_log(&system);
        ensure!(log.contains("revoked") && log.contains(&agent), "{log}");
        Ok(Some(()))
    })
    .await?;
    let listed = String::from_utf8(system.picket(&["ca", "list"])?.stdout)?;
    ensure!(
        listed
            .lines()
            .any(|line| line.contains(&agent) && line.contains("REVOKED")),
        "{listed}"
    );
    append(&endpoint.followed(), failed_password("refused").as_bytes())?;
    let events = system.export().await?;
    ensure!(
        !events.iter().any(|event| event["user"]["name"] == "refused"),
        "a revoked agent delivers"
    );
    system.stop().await
}

#[tokio::test]
async fn wrong_tokens_and_wrong_fingerprints_are_told_apart() -> anyhow::Result<()> {
    let system = System::start(no_agent()).await?;
    let token = Token::create(&system, &[])?;
    let endpoint = Endpoint::new(&system.scratch().join("stranger"))?;

    let wrong = endpoint.enrol(&Token {
        token: "pke_nonsense".to_owned(),
        ..token.clone()
    })?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(!wrong.status.success() && said.contains("token"), "{said}");

    let fingerprint = format!("sha256:{}", "0".repeat(64));
    let wrong = endpoint.enrol(&Token {
        ca_fingerprint: fingerprint.clone(),
        ..token.clone()
    })?;
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    ensure!(
        !wrong.status.success() && said.contains(&fingerprint) && said.contains(&token.ca_fingerprint),
        "{said}"
    );

    // Neither cost a use of the token.
    endpoint.enrol_ok(&token)?;
    system.stop().await
}

#[tokio::test]
async fn expired_and_unknown_certificates_are_refused() -> anyhow::Result<()> {
    let system = System::start(no_agent()).await?;
    let token = Token::create(&system, &["--uses", "2"])?;
    let ca = system.data().join("ca");
    let authority = CertificateAuthority::open(&ca.join("ca.crt"), &ca.join("ca.key"))?;
    let day = Duration::from_secs(86_400);
    let stranger = "00000000-0000-4000-8000-000000000000";
    let week_ago = Timestamp(Timestamp::now().0 - 7 * 86_400_000_000);
    for (name, issued_at, reason) in [
        ("expired", week_ago, "expired"),
        ("unknown", Timestamp::now(), stranger),
    ] {
        let mut endpoint = Endpoint::new(&system.scratch().join(name))?;
        endpoint.enrol_ok(&token)?;
        let id = SpiffeId::new(Tenant::default(), Role::Agent, stranger)?;
        let issued = authority.issue(&id, &[], day, issued_at)?;
        let pem = format!("{}{}", issued.key_pem.as_str(), issued.chain_pem);
        identity::write_private(&endpoint.data().join("identity.pem"), pem.as_bytes())?;
        endpoint.start(&token.server)?;
        append(&endpoint.followed(), failed_password(name).as_bytes())?;
        until(
            &format!("an {name} certificate is refused, and both sides say so"),
            WITHIN,
            async || {
                let (agent, collector) = (endpoint.log(), collector_log(&system));
                ensure!(agent.contains("refused") || agent.contains("expired"), "agent: {agent}");
                ensure!(collector.contains(reason), "collector: {collector}");
                Ok(Some(()))
            },
        )
        .await?;
        let events = system.export().await?;
        ensure!(
            !events.iter().any(|event| event["user"]["name"] == name),
            "an {name} certificate delivers"
        );
    }
    system.stop().await
}

#[tokio::test]
async fn a_cloned_disk_is_noticed() -> anyhow::Result<()> {
    let system = System::start(no_agent()).await?;
    let token = Token::create(&system, &[])?;
    let mut original = Endpoint::new(&system.scratch().join("original"))?;
    original.enrol_ok(&token)?;
    let mut clone = Endpoint::new(&system.scratch().join("clone"))?;
    fs::create_dir_all(clone.data())?;
    for entry in fs::read_dir(original.data())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), clone.data().join(entry.file_name()))?;
        }
    }
    original.start(&token.server)?;
    append(&original.followed(), failed_password("original").as_bytes())?;
    alert_about(&system, "original").await?;
    clone.start(&token.server)?;
    append(&clone.followed(), failed_password("clone").as_bytes())?;
    until("the clone is flagged", WITHIN, async || {
        let agents = system.get("/agents").await?;
        let agent = &agents["items"][0];
        ensure!(agent["duplicate_seen_at"].is_string(), "{agents}");
        Ok(Some(()))
    })
    .await?;
    system.stop().await
}
