//! What can be asked of `picket up`.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::ValueEnum;

use super::plan::Counts;
use super::ports::{self, Ports};

#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Where everything is kept [default: $XDG_DATA_HOME/picket or ~/.local/share/picket]
    #[arg(long, env = "PICKET_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// A MongoDB replica set to use [default: `mongod` on PATH, else one that is downloaded once]
    #[arg(long, env = "PICKET_MONGODB_URI", hide_env_values = true, value_name = "URI")]
    pub mongodb_uri: Option<String>,
    /// Name of the database
    #[arg(long, default_value = "picket", value_name = "NAME")]
    pub database: String,
    /// Memory for the cache of a MongoDB that is started here [default: a quarter of what there is]
    #[arg(long, value_name = "GB", value_parser = cache_gb)]
    pub database_cache: Option<f64>,
    /// How many nodes of a role, such as collector=2,detector=2
    #[arg(long, default_value = "", hide_default_value = true, value_name = "ROLE=N,...")]
    pub nodes: Counts,
    /// Follow this file or glob pattern too, from its end on (`picket send` ships what is in it)
    #[arg(long, value_name = "FILE")]
    pub follow: Vec<PathBuf>,
    /// Follow the systemd journal; auto: only when the host writes neither auth.log nor syslog
    #[arg(long, value_enum, default_value_t = Journald::Auto)]
    pub journald: Journald,
    /// Follow none of this host's own logs
    #[arg(long)]
    pub no_host_logs: bool,
    /// Address for REST, gRPC and documentation
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub http_addr: IpAddr,
    /// Its port; 0 takes a free one
    #[arg(long, default_value_t = 9443, value_name = "PORT")]
    pub http_port: u16,
    /// Address where agents and syslog senders reach the collectors
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub collector_addr: IpAddr,
    /// Port of the first collector, further ones count up; 0 takes free ones
    #[arg(long, default_value_t = 9400, value_name = "PORT")]
    pub collector_port: u16,
    /// Syslog port (UDP and TCP) of the first collector, further ones count up; 0 takes free ones
    #[arg(long, default_value_t = 5140, value_name = "PORT")]
    pub syslog_port: u16,
    /// Sigma rules [default: `rules` of a checkout or beside the program, else the pack in the program]
    #[arg(long, value_name = "DIR")]
    pub rules: Option<PathBuf>,
    /// Run every node inside this process
    #[arg(long)]
    pub in_process: bool,
    /// Start no agent for this host
    #[arg(long)]
    pub no_agent: bool,
}

/// Whether the journal is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Journald {
    /// When there are no log files to follow
    Auto,
    /// Always
    On,
    /// Never
    Off,
}

/// Arguments that have been checked against this machine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub args: Args,
    /// Absolute paths and patterns to follow.
    pub follow: Vec<PathBuf>,
    /// Free at the time of the check.
    pub ports: Ports,
}

impl Args {
    /// Checks what can be checked before anything is started.
    pub(super) fn settle(self) -> anyhow::Result<Settings> {
        let follow = self
            .follow
            .iter()
            .map(|path| std::path::absolute(path).with_context(|| format!("--follow {}", path.display())))
            .collect::<anyhow::Result<_>>()?;
        let ports = ports::settle(&self)?;
        Ok(Settings {
            args: self,
            follow,
            ports,
        })
    }
}

/// A size MongoDB takes for its cache.
fn cache_gb(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(gb) if (0.25..=10_000.0).contains(&gb) => Ok(gb),
        _ => Err("expected gigabytes, at least 0.25".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let args = Cli::try_parse_from(["up"]).unwrap().args;
        assert_eq!(
            (args.http_port, args.collector_port, args.syslog_port),
            (9443, 9400, 5140)
        );
        assert!(args.http_addr.is_loopback() && args.collector_addr.is_loopback());
        assert_eq!(args.journald, Journald::Auto);
        assert_eq!(args.nodes, Counts::default());
    }

    #[test]
    fn everything_can_be_asked_for_at_once() {
        let line = "up --nodes collector=2,detector=3 --follow a.log --follow b/*.log --journald off --no-host-logs \
                    --http-port 0 --in-process --no-agent --rules r --database-cache 0.5";
        let args = Cli::try_parse_from(line.split_whitespace()).unwrap().args;
        assert_eq!(
            (args.nodes.collector, args.nodes.detector, args.nodes.gateway),
            (2, 3, 1)
        );
        assert_eq!(args.follow.len(), 2);
        assert_eq!(args.database_cache, Some(0.5));
        assert!(args.in_process && args.no_agent && args.no_host_logs);
    }

    #[test]
    fn a_cache_too_small_for_mongodb_is_refused() {
        for size in ["0.1", "0", "-1", "NaN", "inf", "1GB"] {
            let refused = Cli::try_parse_from(["up".to_owned(), format!("--database-cache={size}")]);
            assert!(refused.err().unwrap().to_string().contains("at least 0.25"), "{size}");
        }
    }
}
