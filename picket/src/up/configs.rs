//! The configuration of every node, as a file an operator can read and a node can be started with by hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use identity::write_private;
use model::node::Role;
use serde_json::{Value, json};

use super::args::Settings;
use super::certs;
use super::dirs::Dirs;
use super::plan::Plan;
use super::secrets::Secrets;

const HEAD: &str =
    "# Written by `picket up` at every start; change it by the environment (PICKET_<ROLE>__SECTION__KEY).\n\n";

/// What all nodes are told.
pub(super) struct Shared<'a> {
    pub place: &'a Dirs,
    pub settings: &'a Settings,
    pub mongodb_uri: &'a str,
    pub secrets: &'a Secrets,
    pub rules: &'a Path,
}

/// Writes the configuration of one node.
pub(super) fn write(shared: &Shared<'_>, plan: &Plan) -> anyhow::Result<()> {
    save(&shared.place.node_config(&plan.name), &node(shared, plan))
}

/// Writes a configuration (0600): it may hold the database's password.
pub(super) fn save(path: &Path, config: &Value) -> anyhow::Result<()> {
    let text = toml::to_string(config).context("write a configuration as TOML")?;
    write_private(path, format!("{HEAD}{text}").as_bytes()).with_context(|| format!("write {}", path.display()))
}

fn node(shared: &Shared<'_>, plan: &Plan) -> Value {
    let files = certs::files(shared.place, &plan.name);
    let mut config = json!({
        "node": plan.name,
        "tls": { "cert_file": files.cert_file, "key_file": files.key_file, "ca_file": files.ca_file },
        "mongodb": { "uri": shared.mongodb_uri, "database": shared.settings.args.database },
    });
    let Some(table) = config.as_object_mut() else {
        return config;
    };
    let ports = &shared.settings.ports;
    match plan.role {
        Role::Collector => {
            let (grpc, syslog) = (ports.collectors[plan.index], ports.syslog[plan.index]);
            table.insert(
                "grpc".to_owned(),
                json!({ "addr": grpc, "advertise": reachable(grpc).to_string() }),
            );
            table.insert("syslog".to_owned(), json!({ "udp_addr": syslog, "tcp_addr": syslog }));
            table.insert(
                "enrolment".to_owned(),
                json!({ "ca_cert_file": shared.place.ca_file(), "ca_key_file": shared.place.ca_key_file() }),
            );
        }
        Role::Detector => {
            table.insert("rules".to_owned(), json!({ "dir": shared.rules }));
            let feeds = json!({ "files_dir": shared.place.feed_files(), "secrets_dir": shared.place.feed_secrets() });
            table.insert("feeds".to_owned(), feeds);
        }
        Role::Gateway => {
            table.insert("http".to_owned(), json!({ "addr": ports.http }));
            table.insert(
                "auth".to_owned(),
                json!({
                    "jwt_key_file": shared.secrets.jwt_key_file,
                    "admin_password_file": shared.secrets.admin_password_file,
                    "api_key_file": shared.secrets.api_key_file,
                }),
            );
        }
        Role::Responder | Role::Agent | Role::Operator => {}
    }
    config
}

/// The address at which this machine itself reaches a listener.
pub(super) fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listener.port())
}

#[cfg(test)]
mod tests {
    use bootstrap::ServiceConfig;
    use bootstrap::config::{Sources, load};
    use clap::Parser;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::up::args::Args;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn check<C: ServiceConfig + Serialize + DeserializeOwned + Default>(place: &Dirs, name: &str) {
        let config: C = load(&Sources {
            file: Some(place.node_config(name)),
            env_prefix: "PICKET_TEST_OF_CONFIGS",
            overrides: Vec::new(),
        })
        .unwrap();
        config.validate().unwrap();
    }

    #[test]
    fn every_node_understands_its_configuration() {
        let temp = tempfile::tempdir().unwrap();
        let place = Dirs::open(Some(temp.path().join("data"))).unwrap();
        let line = "up --nodes collector=2 --http-port 0 --collector-port 0 --syslog-port 0 --collector-addr 0.0.0.0";
        let settings = Cli::try_parse_from(line.split_whitespace())
            .unwrap()
            .args
            .settle()
            .unwrap();
        let shared = Shared {
            place: &place,
            settings: &settings,
            mongodb_uri: "mongodb://user:secret@127.0.0.1:1/?replicaSet=picket",
            secrets: &Secrets::open(&place).unwrap(),
            rules: &place.rules(),
        };
        for plan in settings.args.nodes.plans() {
            super::super::dirs::make(&place.node(&plan.name)).unwrap();
            write(&shared, &plan).unwrap();
        }
        check::<collector::Config>(&place, "collector-1");
        check::<collector::Config>(&place, "collector-2");
        check::<detector::Config>(&place, "detector-1");
        check::<responder::Config>(&place, "responder-1");
        check::<gateway::Config>(&place, "gateway-1");
    }

    #[test]
    fn wildcards_are_reached_on_loopback() {
        assert_eq!(reachable("0.0.0.0:5".parse().unwrap()).to_string(), "127.0.0.1:5");
        assert_eq!(reachable("[::]:5".parse().unwrap()).to_string(), "[::1]:5");
        assert_eq!(reachable("10.0.0.1:5".parse().unwrap()).to_string(), "10.0.0.1:5");
    }
}
