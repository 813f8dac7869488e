//! What the authority signs, refuses and keeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use identity::{
    CertificateAuthority, Error, Identity, Peer, SpiffeId, TlsFiles, certificate_pem, new_key_and_csr, receipt,
    write_private,
};
use model::node::Role;
use model::{AgentId, Epoch, Tenant, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;
use x509_parser::prelude::{FromDer as _, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn name(role: Role, id: &str) -> SpiffeId {
    SpiffeId::new(Tenant::default(), role, id).unwrap()
}

fn authority() -> (tempfile::TempDir, CertificateAuthority) {
    let dir = tempfile::tempdir().unwrap();
    let ca = CertificateAuthority::init(&dir.path().join("ca")).unwrap();
    (dir, ca)
}

#[test]
fn an_authority_is_private_opens_again_and_is_never_overwritten() {
    let (dir, ca) = authority();
    let (cert, key) = (dir.path().join("ca/ca.crt"), dir.path().join("ca/ca.key"));
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        CertificateAuthority::open(&cert, &key).unwrap().fingerprint(),
        ca.fingerprint()
    );
    assert!(matches!(
        CertificateAuthority::init(&dir.path().join("ca")),
        Err(Error::Exists(_))
    ));
    fs::remove_file(&cert).unwrap();
    assert!(matches!(CertificateAuthority::init(&dir.path().join("ca")), Err(Error::Exists(p)) if p == key));
}

#[test]
fn the_key_of_another_authority_and_a_leaf_certificate_are_refused() {
    let (ours, ca) = authority();
    let (theirs, _) = authority();
    let error = CertificateAuthority::open(&ours.path().join("ca/ca.crt"), &theirs.path().join("ca/ca.key"))
        .err()
        .unwrap();
    assert!(error.to_string().contains("another key"), "{error}");

    let issued = ca.issue(&name(Role::Gateway, "g"), &[], DAY, Timestamp::now()).unwrap();
    let (cert, key) = (ours.path().join("leaf.crt"), ours.path().join("leaf.key"));
    write_private(&cert, issued.chain_pem.as_bytes()).unwrap();
    write_private(&key, issued.key_pem.as_bytes()).unwrap();
    let error = CertificateAuthority::open(&cert, &key).err().unwrap();
    assert!(error.to_string().contains("may not sign"), "{error}");
}

#[test]
fn a_request_decides_nothing_but_the_key() {
    let (_dir, ca) = authority();
    // A request that asks to be an authority, a server and somebody else.
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.subject_alt_names.push(rcgen::SanType::URI(
        "spiffe://picket/default/collector/evil".try_into().unwrap(),
    ));
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let csr = params.serialize_request(&key).unwrap();

    let agent = name(Role::Agent, "a-1");
    let now = Timestamp::now();
    let (chain, info) = ca.sign_csr(csr.der(), &agent, DAY, now).unwrap();
    assert_eq!(&chain[1], ca.certificate());
    assert_eq!(Peer::from_certificate(&chain[0]).unwrap().id, agent);
    let (_, parsed) = X509Certificate::from_der(&chain[0]).unwrap();
    assert!(!parsed.is_ca());
    assert_eq!(
        parsed
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names
            .len(),
        1
    );
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(!parsed.key_usage().unwrap().unwrap().value.key_cert_sign());
    assert_eq!(
        parsed.public_key().subject_public_key.data.as_ref(),
        rcgen::PublicKeyData::der_bytes(&key)
    );
    assert_eq!(info.not_before.as_secs(), now.as_secs() - 300);
    assert_eq!(info.not_after.as_secs(), now.as_secs() + 86_400);
    assert_eq!(parsed.validity().not_after.timestamp(), info.not_after.as_secs());
}

#[test]
fn requests_that_cannot_be_taken_say_why() {
    let (_dir, ca) = authority();
    let sign = |csr: &[u8]| {
        ca.sign_csr(csr, &name(Role::Agent, "a"), DAY, Timestamp::now())
            .err()
            .unwrap()
            .to_string()
    };
    assert!(sign(&[0; 16 * 1024 + 1]).contains("at most 16 KiB"));
    assert!(sign(b"").contains("PKCS #10"));
    let (_, mut csr) = new_key_and_csr().unwrap();
    let last = csr.len() - 1;
    csr[last] ^= 1;
    assert!(
        sign(&csr).contains("signed by its own key"),
        "a request whose signature is wrong"
    );
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
    assert!(sign(csr.der()).contains("P-256"));
}

#[test]
fn a_life_is_at_least_a_second_and_ends_with_the_authority() {
    let (_dir, ca) = authority();
    let now = Timestamp::now();
    let id = name(Role::Detector, "d");
    assert!(ca.issue(&id, &[], Duration::from_millis(999), now).is_err());
    let long = ca.issue(&id, &[], DAY * 365 * 100, now).unwrap();
    let (_, authority) = X509Certificate::from_der(ca.certificate()).unwrap();
    assert_eq!(
        long.info.not_after.as_secs(),
        authority.validity().not_after.timestamp()
    );
    let after = Timestamp(long.info.not_after.0 + 1_000_000);
    assert!(
        ca.issue(&id, &[], DAY, after)
            .unwrap_err()
            .to_string()
            .contains("not expired")
    );
    for wrong in ["", "a b", "host:80", "ex\u{e4}mple", &"a".repeat(300)] {
        let error = ca.issue(&id, &[wrong.to_owned()], DAY, now).unwrap_err();
        assert!(error.to_string().contains("DNS name"), "{wrong}: {error}");
    }
}

#[test]
fn an_identity_whose_parts_do_not_belong_together_does_not_load() {
    let (dir, ca) = authority();
    let (other_dir, other) = authority();
    let files = TlsFiles {
        cert_file: dir.path().join("cert.pem"),
        key_file: dir.path().join("key.pem"),
        ca_file: dir.path().join("ca/ca.crt"),
    };
    let one = ca.issue(&name(Role::Agent, "a"), &[], DAY, Timestamp::now()).unwrap();
    let two = ca.issue(&name(Role::Agent, "b"), &[], DAY, Timestamp::now()).unwrap();
    write_private(&files.cert_file, one.chain_pem.as_bytes()).unwrap();
    write_private(&files.key_file, two.key_pem.as_bytes()).unwrap();
    let error = Identity::load(&files).unwrap_err().to_string();
    assert!(
        error.contains("key.pem") && error.contains("private key of cert_file"),
        "{error}"
    );

    write_private(&files.key_file, one.key_pem.as_bytes()).unwrap();
    let loaded = Identity::load(&files).unwrap();
    let (start, end) = (one.info.not_before.0, one.info.not_after.0);
    assert_eq!(loaded.renew_at().0, start + (end - start) / 3 * 2);

    let foreign = TlsFiles {
        ca_file: other_dir.path().join("ca/ca.crt"),
        ..files.clone()
    };
    let error = Identity::load(&foreign).unwrap_err().to_string();
    assert!(
        error.contains("cert.pem") && error.contains("issued by an authority in ca_file"),
        "{error}"
    );

    write_private(&files.cert_file, certificate_pem(other.certificate()).as_bytes()).unwrap();
    let error = Identity::load(&files).unwrap_err().to_string();
    assert!(error.contains("issued by Picket"), "{error}");
}

#[test]
fn a_short_lived_certificate_is_not_due_when_it_is_issued() {
    let (dir, ca) = authority();
    let now = Timestamp::now();
    for secs in [10, 60, 300, 3600] {
        let ttl = Duration::from_secs(secs);
        let issued = ca.issue(&name(Role::Agent, "a"), &[], ttl, now).unwrap();
        let files = TlsFiles {
            cert_file: dir.path().join("cert.pem"),
            key_file: dir.path().join("key.pem"),
            ca_file: dir.path().join("ca/ca.crt"),
        };
        write_private(&files.cert_file, issued.chain_pem.as_bytes()).unwrap();
        write_private(&files.key_file, issued.key_pem.as_bytes()).unwrap();
        let loaded = Identity::load(&files).unwrap();
        let renew_in = loaded.renew_at().0 - now.0;
        let life = i64::try_from(ttl.as_micros()).unwrap();
        assert!((life / 2..life * 7 / 10).contains(&renew_in), "{secs} s: {renew_in} µs");
    }
}

#[test]
fn a_receipt_is_bound_to_every_value_and_to_the_collector() {
    let (dir, ca) = authority();
    let load = |id: &str| {
        let issued = ca
            .issue(&name(Role::Collector, id), &[], DAY, Timestamp::now())
            .unwrap();
        let files = TlsFiles {
            cert_file: dir.path().join(format!("{id}.pem")),
            key_file: dir.path().join(format!("{id}.key")),
            ca_file: dir.path().join("ca/ca.crt"),
        };
        write_private(&files.cert_file, issued.chain_pem.as_bytes()).unwrap();
        write_private(&files.key_file, issued.key_pem.as_bytes()).unwrap();
        Identity::load(&files).unwrap()
    };
    let (one, two) = (load("c-1"), load("c-2"));
    let (agent, epoch) = (AgentId(Uuid::from_u128(1)), Epoch(2));
    let signature = receipt::sign(&one, agent, epoch, 3, 4).unwrap();
    let certificate = &one.chain()[0];
    receipt::verify(certificate, agent, epoch, 3, 4, &signature).unwrap();
    let other = AgentId(Uuid::from_u128(2));
    assert!(receipt::verify(certificate, other, epoch, 3, 4, &signature).is_err());
    assert!(receipt::verify(certificate, agent, Epoch(3), 3, 4, &signature).is_err());
    assert!(receipt::verify(certificate, agent, epoch, 4, 4, &signature).is_err());
    assert!(receipt::verify(certificate, agent, epoch, 3, 5, &signature).is_err());
    assert!(receipt::verify(&two.chain()[0], agent, epoch, 3, 4, &signature).is_err());
    assert!(receipt::verify(certificate, agent, epoch, 3, 4, &[]).is_err());
}

proptest! {
    #[test]
    fn any_bytes_as_a_request_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        thread_local! {
            static CA: (tempfile::TempDir, CertificateAuthority) = authority();
        }
        CA.with(|(_, ca)| {
            assert!(ca.sign_csr(&bytes, &name(Role::Agent, "a"), DAY, Timestamp::now()).is_err());
        });
    }
}
