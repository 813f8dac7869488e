//! The run itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bson::doc;
use mongodb::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::accounts;
use super::disk::Disk;
use super::fault::{Fault, Kind, Schedule};
use super::proxy::Proxy;
use super::writers::Writer;
use crate::endpoint::{Endpoint, Token};
use crate::system::{Options, System};

/// Endpoints beside that of `picket up`, each behind a network of its own.
const ENDPOINTS: usize = 2;
/// Room for an endpoint's spool, in MiB.
const SPOOL_DISK: u32 = 64;
/// Room for MongoDB, in MiB.
const DATABASE_DISK: u32 = 2048;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// For how long there are faults.
    pub lasts: Duration,
    /// Decides which.
    pub seed: u64,
    /// Lines each endpoint's program writes in a second.
    pub lines_per_second: u64,
}

/// What was done and found.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Faults by kind.
    pub faults: BTreeMap<Kind, u64>,
    /// What could not be done here, and why.
    pub left_out: Vec<&'static str>,
    /// Lines written, and stored once.
    pub lines: u64,
    /// Alerts expected, and there once.
    pub alerts: u64,
    /// Agents whose delivery was proved.
    pub agents: u64,
    /// From the last fault until everything was accounted for.
    pub settled: Duration,
}

impl Summary {
    /// All faults.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.faults.values().sum()
    }
}

struct Site {
    endpoint: Endpoint,
    proxy: Proxy,
    disk: Option<Disk>,
}

struct Chaos {
    system: System,
    sites: Vec<Site>,
    database_disk: Option<Disk>,
    faults: BTreeMap<Kind, u64>,
    began: Instant,
    say: fn(&str),
}

/// Runs a plan; `say` is told what happens as it happens.
///
/// # Errors
/// When something cannot be started, or the accounts do not balance.
pub async fn run(plan: Plan, say: fn(&str)) -> anyhow::Result<Summary> {
    let disks = Disk::is_possible();
    let mut chaos = Chaos::start(disks, say).await?;
    let mut writers = vec![Writer::start("own", &chaos.system.try_file(), plan.lines_per_second)];
    for (index, site) in chaos.sites.iter().enumerate() {
        let name = format!("site{index}");
        writers.push(Writer::start(&name, &site.endpoint.followed(), plan.lines_per_second));
    }
    let schedule = Schedule::new(plan.seed, |kind| {
        disks || !matches!(kind, Kind::FullSpool | Kind::FullDatabase)
    });
    for fault in schedule {
        if chaos.began.elapsed() >= plan.lasts {
            break;
        }
        chaos.inflict(&fault).await?;
        tokio::time::sleep(fault.pause).await;
    }
    let quiet = Instant::now();
    let mut written = BTreeMap::new();
    for writer in &mut writers {
        let lines = writer.stop()?;
        written.insert(writer.name.clone(), lines);
    }
    chaos.say(&format!("no more faults; {written:?} lines to account for"));
    let (alerts, agents) = accounts::settle(&chaos.system, &written).await?;
    let mut left_out = vec!["clock jumps: no clock of ours can be set without setting everybody's"];
    if !disks {
        left_out.push("full disks: mounting a small file system takes root");
    }
    let summary = Summary {
        faults: chaos.faults.clone(),
        left_out,
        lines: written.values().sum(),
        alerts,
        agents,
        settled: quiet.elapsed(),
    };
    let Chaos { system, sites, .. } = chaos;
    drop(sites);
    system.stop().await?;
    Ok(summary)
}

impl Chaos {
    async fn start(disks: bool, say: fn(&str)) -> anyhow::Result<Self> {
        let args = ["--nodes", "collector=2,detector=2"].map(str::to_owned).to_vec();
        let options = Options {
            args,
            // A frozen or killed MongoDB makes operations fail in ways that no retry code stands for.
            expected_errors: vec!["the database", "MongoDB", "mongod", "connection"],
            ..Options::default()
        };
        let database_disk = std::cell::Cell::new(None);
        let system = System::start_prepared(options, |data| {
            if disks {
                database_disk.set(Some(Disk::mount(&data.join("mongod"), DATABASE_DISK)?));
            }
            Ok(())
        })
        .await?;
        let collectors: Vec<String> = system.nodes("collector").map(|node| node.addr.clone()).collect();
        let mut sites = Vec::new();
        for index in 0..ENDPOINTS {
            let dir = system.scratch().join(format!("site{index}"));
            let mut endpoint = Endpoint::new(&dir)?;
            let disk = if disks {
                Some(Disk::mount(&endpoint.data(), SPOOL_DISK)?)
            } else {
                None
            };
            let token = Token::create(&system, &["--uses", "1"])?;
            endpoint.enrol_ok(&token)?;
            let collector = collectors
                .get(index % collectors.len().max(1))
                .context("no collector")?;
            let proxy = Proxy::start(collector).await?;
            endpoint.start(&proxy.addr)?;
            sites.push(Site { endpoint, proxy, disk });
        }
        Ok(Self {
            system,
            sites,
            database_disk: database_disk.take(),
            faults: BTreeMap::new(),
            began: Instant::now(),
            say,
        })
    }

    fn say(&self, what: &str) {
        (self.say)(&format!("{:>7.1} s  {what}", self.began.elapsed().as_secs_f64()));
    }

    /// Does it, and says so. What cannot be done at the moment, because its target is down, is left out and not counted.
    async fn inflict(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let site = fault.target % self.sites.len().max(1);
        let lasts = format!("for {:.1} s", fault.lasts.as_secs_f64());
        let done = match fault.kind {
            Kind::Kill => self.signal(fault, Signal::SIGKILL, true)?,
            Kind::Restart => self.signal(fault, Signal::SIGTERM, false)?,
            Kind::Freeze => match self.signal(fault, Signal::SIGSTOP, true)? {
                Some(name) => {
                    tokio::time::sleep(fault.lasts).await;
                    let _ = self.system.signal(&name, Signal::SIGCONT);
                    Some(format!("{name} {lasts}"))
                }
                None => None,
            },
            Kind::KillAgent => {
                let site = self.sites.get_mut(site).context("no endpoint")?;
                site.endpoint.kill()?;
                site.endpoint.start(&site.proxy.addr)?;
                Some(String::new())
            }
            Kind::FreezeAgent => {
                let pid = self
                    .sites
                    .get(site)
                    .and_then(|site| site.endpoint.pid())
                    .context("no agent")?;
                kill(Pid::from_raw(pid), Signal::SIGSTOP).context("freeze an agent")?;
                tokio::time::sleep(fault.lasts).await;
                kill(Pid::from_raw(pid), Signal::SIGCONT).context("thaw an agent")?;
                Some(lasts)
            }
            Kind::Cut => {
                self.sites.get(site).context("no endpoint")?.proxy.cut();
                Some(String::new())
            }
            Kind::Stall => {
                let proxy = &self.sites.get(site).context("no endpoint")?.proxy;
                proxy.stall(true);
                tokio::time::sleep(fault.lasts).await;
                proxy.cut();
                proxy.stall(false);
                Some(lasts)
            }
            Kind::StepDown => self.step_down().await,
            Kind::FullSpool => {
                let disk = self
                    .sites
                    .get(site)
                    .and_then(|site| site.disk.as_ref())
                    .context("no disk")?;
                disk.fill()?;
                tokio::time::sleep(fault.lasts).await;
                disk.free();
                Some(lasts)
            }
            Kind::FullDatabase => {
                let disk = self.database_disk.as_ref().context("no disk")?;
                disk.fill()?;
                tokio::time::sleep(fault.lasts).await;
                disk.free();
                Some(lasts)
            }
        };
        let Some(detail) = done else { return Ok(()) };
        *self.faults.entry(fault.kind).or_insert(0) += 1;
        let at = match fault.kind {
            Kind::KillAgent | Kind::FreezeAgent | Kind::Cut | Kind::Stall | Kind::FullSpool => format!(" site{site}"),
            Kind::Kill | Kind::Restart | Kind::Freeze | Kind::StepDown | Kind::FullDatabase => String::new(),
        };
        self.say(&format!("{}{at} {detail}", fault.kind));
        Ok(())
    }

    /// To a node that is up; `None` when none of the chosen kind is.
    fn signal(&mut self, fault: &Fault, signal: Signal, database_too: bool) -> anyhow::Result<Option<String>> {
        let Ok(up) = self.system.refresh() else {
            return Ok(None);
        };
        let roles: &[&str] = if database_too {
            &["collector", "detector", "agent", "mongod"]
        } else {
            &["collector", "detector", "agent"]
        };
        let targets: Vec<String> = up
            .nodes
            .iter()
            .filter(|node| node.pid > 0 && roles.contains(&node.role.as_str()))
            .map(|node| node.name.clone())
            .collect();
        let Some(name) = targets.get(fault.target % targets.len().max(1)) else {
            return Ok(None);
        };
        // It may have ended since the list was written.
        Ok(self.system.signal(name, signal).is_ok().then(|| name.clone()))
    }

    async fn step_down(&self) -> Option<String> {
        let client = Client::with_uri_str(&self.system.up.mongodb_uri).await.ok()?;
        let command = doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true };
        let admin = client.database("admin");
        let asked = admin.run_command(command);
        tokio::time::timeout(Duration::from_secs(5), asked).await.ok()?.ok()?;
        Some("mongod".to_owned())
    }
}
