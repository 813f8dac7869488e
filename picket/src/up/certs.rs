//! The authority of this installation and the certificates of its nodes.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use identity::{CertInfo, CertificateAuthority, Identity, SpiffeId, TlsFiles, write_private, write_public};
use model::{Tenant, Timestamp};
use rustls::client::verify_server_name;
use rustls::pki_types::ServerName;
use rustls::server::ParsedCertificate;

use super::dirs::{self, Dirs};
use super::plan::Plan;
use crate::ca;

/// Life of a node's certificate. Every start renews what has lived two thirds of it.
const LIFE: Duration = Duration::from_secs(90 * 86_400);

/// Opens the authority, or makes it. True when it was made.
pub(super) fn authority(place: &Dirs) -> anyhow::Result<(CertificateAuthority, bool)> {
    let (cert, key) = (place.ca_file(), place.ca_key_file());
    if cert.exists() || key.exists() {
        let authority = CertificateAuthority::open(&cert, &key).with_context(|| {
            format!(
                "open the certificate authority in {}; restore its files, or remove the directory to start with a new one",
                place.ca().display()
            )
        })?;
        return Ok((authority, false));
    }
    let authority = CertificateAuthority::init(&place.ca()).context("make a certificate authority")?;
    Ok((authority, true))
}

/// Where a node's certificate is.
pub(super) fn files(place: &Dirs, name: &str) -> TlsFiles {
    let dir = place.node(name);
    TlsFiles {
        cert_file: dir.join("cert.pem"),
        key_file: dir.join("key.pem"),
        ca_file: place.ca_file(),
    }
}

/// Sees to it that a node has a certificate with time left, good for every address it listens on. Gives the new one,
/// when one was issued.
pub(super) fn ensure(
    place: &Dirs,
    authority: &CertificateAuthority,
    plan: &Plan,
    listens_on: &[IpAddr],
    now: Timestamp,
) -> anyhow::Result<Option<CertInfo>> {
    let names = names(listens_on);
    let id = SpiffeId::new(Tenant::default(), plan.role, &plan.name).context("name the node")?;
    let files = files(place, &plan.name);
    if Identity::load(&files).is_ok_and(|known| {
        known.id() == &id
            && known.renew_at() > now
            && known.ca_fingerprint() == authority.fingerprint()
            && names.iter().all(|name| is_good_for(&known, name))
    }) {
        return Ok(None);
    }
    dirs::make(&place.node(&plan.name))?;
    let issued = authority
        .issue(&id, &names, LIFE, now)
        .with_context(|| format!("issue a certificate for {}", plan.name))?;
    // In between the two files do not fit; the next start notices and issues again.
    write_private(&files.key_file, issued.key_pem.as_bytes()).context("write the node's key")?;
    write_public(&files.cert_file, issued.chain_pem.as_bytes()).context("write the node's certificate")?;
    ca::remember(&place.ca(), &issued.info)?;
    Ok(Some(issued.info))
}

/// Whether the certificate is for this name or address; true of what cannot be in one.
fn is_good_for(identity: &Identity, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else {
        return true;
    };
    identity.chain().first().is_some_and(|certificate| {
        ParsedCertificate::try_from(certificate)
            .and_then(|parsed| verify_server_name(&parsed, &name))
            .is_ok()
    })
}

/// Names and addresses under which people reach a server on this machine.
fn names(listens_on: &[IpAddr]) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    for ip in listens_on
        .iter()
        .filter(|ip| !ip.is_unspecified())
        .map(IpAddr::to_string)
    {
        if !names.contains(&ip) {
            names.push(ip);
        }
    }
    let host = hostname::get().ok().and_then(|host| host.into_string().ok());
    let is_name = |name: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        !name.is_empty() && name.len() <= 253 && name.chars().all(allowed) && !name.starts_with(['-', '.'])
    };
    if let Some(host) = host.filter(|host| is_name(host))
        && !names.contains(&host)
    {
        names.push(host);
    }
    names
}

#[cfg(test)]
mod tests {
    use model::node::Role;

    use super::*;

    #[test]
    fn certificates_are_kept_until_two_thirds_of_their_life() {
        let temp = tempfile::tempdir().unwrap();
        let place = Dirs::open(Some(temp.path().join("data"))).unwrap();
        let (authority, made) = authority(&place).unwrap();
        assert!(made);
        let plan = Plan {
            role: Role::Collector,
            name: "collector-1".to_owned(),
            index: 0,
        };
        let now = Timestamp::now();
        let first = ensure(&place, &authority, &plan, &[], now).unwrap().unwrap();
        assert_eq!(ensure(&place, &authority, &plan, &[], now).unwrap(), None);
        let later = Timestamp(now.0 + 61 * 86_400 * 1_000_000);
        let second = ensure(&place, &authority, &plan, &[], later).unwrap().unwrap();
        assert_ne!(first.serial, second.serial);

        let lan: IpAddr = "192.0.2.7".parse().unwrap();
        let listens_on = [lan, "0.0.0.0".parse().unwrap()];
        let third = ensure(&place, &authority, &plan, &listens_on, later).unwrap().unwrap();
        assert_ne!(second.serial, third.serial);
        assert_eq!(ensure(&place, &authority, &plan, &listens_on, later).unwrap(), None);
        let identity = Identity::load(&files(&place, &plan.name)).unwrap();
        assert!(is_good_for(&identity, "192.0.2.7") && !is_good_for(&identity, "192.0.2.8"));
    }
}
