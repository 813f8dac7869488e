//! The run itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bson::doc;
use mongodb::Client;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::accounts;
use super::clock::{self, Clock};
use super::disk::Disk;
use super::fault::{Fault, Kind, Schedule};
use super::proxy::Proxy;
use super::replica::Replica;
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
    /// Members of MongoDB's replica set. One is started and supervised by `picket up`.
    pub members: usize,
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
    clock: Option<Clock>,
}

struct Chaos {
    system: System,
    sites: Vec<Site>,
    database_disk: Option<Disk>,
    replica: Option<Replica>,
    /// That of the host of `picket up`, without MongoDB.
    clock: Option<Clock>,
    faults: BTreeMap<Kind, u64>,
    began: Instant,
    say: fn(&str),
    /// Goes last: what is in it is in use.
    _scratch: TempDir,
}

/// Runs a plan; `say` is told what happens as it happens.
///
/// # Errors
/// When something cannot be started, or the accounts do not balance.
pub async fn run(plan: Plan, say: fn(&str)) -> anyhow::Result<Summary> {
    let disks = Disk::is_possible();
    let probe = tempfile::tempdir().context("make a directory")?;
    let clocks = clock::library(probe.path());
    let mut chaos = Chaos::start(&plan, disks, clocks.as_deref(), say).await?;
    let mut writers = vec![Writer::start("own", &chaos.system.try_file(), plan.lines_per_second)];
    for (index, site) in chaos.sites.iter().enumerate() {
        let name = format!("site{index}");
        writers.push(Writer::start(&name, &site.endpoint.followed(), plan.lines_per_second));
    }
    let schedule = Schedule::new(plan.seed, |kind| {
        (disks || !matches!(kind, Kind::FullSpool | Kind::FullDatabase))
            && (clocks.is_some() || !matches!(kind, Kind::ClockJump))
    });
    for fault in schedule {
        if chaos.began.elapsed() >= plan.lasts {
            break;
        }
        chaos.inflict(&fault).await?;
        tokio::time::sleep(fault.pause).await;
    }
    chaos.put_clocks_right()?;
    let quiet = Instant::now();
    let mut written = BTreeMap::new();
    for writer in &mut writers {
        let lines = writer.stop()?;
        written.insert(writer.name.clone(), lines);
    }
    chaos.say(&format!("no more faults; {written:?} lines to account for"));
    let (alerts, agents) = accounts::settle(&chaos.system, &written).await?;
    let mut left_out = Vec::new();
    if clocks.is_none() {
        left_out.push("clock jumps: the library `wallclock` is not built, or cannot be loaded here");
    }
    if plan.members == 1 {
        left_out.push("step-downs that elect another member: there is only one (--members 3)");
    }
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
    let Chaos {
        system, sites, replica, ..
    } = chaos;
    drop(sites);
    system.stop().await?;
    drop(replica);
    Ok(summary)
}

impl Chaos {
    async fn start(plan: &Plan, disks: bool, clocks: Option<&Path>, say: fn(&str)) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new()
            .prefix("picket-chaos-")
            .tempdir()
            .context("make a directory")?;
        let new_clock = |name: &str| clocks.map(|_| Clock::new(scratch.path().join(name))).transpose();
        let env = |clock: &Option<Clock>| clock.as_ref().zip(clocks).map(|(clock, library)| clock.env(library));
        let clock = new_clock("up.clock")?;
        let mut args = ["--nodes", "collector=2,detector=2"].map(str::to_owned).to_vec();
        let database_disk = std::cell::Cell::new(None);
        let replica = if plan.members > 1 {
            if disks {
                let member = scratch.path().join("member0");
                database_disk.set(Some(Disk::mount(&member, DATABASE_DISK)?));
            }
            let replica = Replica::start(scratch.path(), plan.members).await?;
            args.extend(["--mongodb-uri".to_owned(), replica.uri()]);
            Some(replica)
        } else {
            None
        };
        let options = Options {
            args,
            // A frozen or killed MongoDB makes operations fail in ways that no retry code stands for.
            expected_errors: vec!["the database", "MongoDB", "mongod", "connection"],
            env: env(&clock).unwrap_or_default(),
        };
        let system = System::start_prepared(options, |data| {
            if disks && plan.members == 1 {
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
            let clock = new_clock(&format!("site{index}.clock"))?;
            endpoint.set_env(env(&clock).unwrap_or_default());
            let token = Token::create(&system, &["--uses", "1"])?;
            endpoint.enrol_ok(&token)?;
            let collector = collectors
                .get(index % collectors.len().max(1))
                .context("no collector")?;
            let proxy = Proxy::start(collector).await?;
            endpoint.start(&proxy.addr)?;
            sites.push(Site {
                endpoint,
                proxy,
                disk,
                clock,
            });
        }
        Ok(Self {
            system,
            sites,
            database_disk: database_disk.take(),
            replica,
            clock,
            _scratch: scratch,
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
                    let _ = self.send(&name, Signal::SIGCONT);
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
            Kind::ClockJump => self.jump(fault)?,
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
            Kind::Kill | Kind::Restart | Kind::Freeze | Kind::StepDown | Kind::ClockJump | Kind::FullDatabase => {
                String::new()
            }
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
        let mut targets: Vec<String> = up
            .nodes
            .iter()
            .filter(|node| node.pid > 0 && roles.contains(&node.role.as_str()))
            .map(|node| node.name.clone())
            .collect();
        if let Some(replica) = self.replica.as_ref().filter(|_| database_too) {
            targets.extend(replica.names());
        }
        let Some(name) = targets.get(fault.target % targets.len().max(1)) else {
            return Ok(None);
        };
        // It may have ended since the list was written.
        Ok(self.send(name, signal).then(|| name.clone()))
    }

    fn send(&mut self, name: &str, signal: Signal) -> bool {
        let replica = self.replica.as_ref();
        replica.is_some_and(|replica| replica.signal(name, signal)) || self.system.signal(name, signal).is_ok()
    }

    /// Of the host of `picket up`, or of an endpoint.
    fn jump(&mut self, fault: &Fault) -> anyhow::Result<Option<String>> {
        let hosts = 1 + self.sites.len();
        let (clock, host) = match fault.target % hosts {
            0 => (self.clock.as_mut(), "picket up".to_owned()),
            site => {
                let clock = self.sites.get_mut(site - 1).and_then(|site| site.clock.as_mut());
                (clock, format!("site{}", site - 1))
            }
        };
        let clock = clock.context("no clock")?;
        Ok(Some(format!("of {host} by {} s", clock.jump(fault.target / hosts)?)))
    }

    fn put_clocks_right(&mut self) -> anyhow::Result<()> {
        let clocks = self.sites.iter_mut().filter_map(|site| site.clock.as_mut());
        for clock in clocks.chain(self.clock.as_mut()) {
            clock.put_right()?;
        }
        Ok(())
    }

    async fn step_down(&self) -> Option<String> {
        if let Some(replica) = &self.replica {
            return replica.step_down().await;
        }
        let client = Client::with_uri_str(&self.system.up.mongodb_uri).await.ok()?;
        let command = doc! { "replSetStepDown": 1, "secondaryCatchUpPeriodSecs": 0, "force": true };
        let admin = client.database("admin");
        let asked = admin.run_command(command);
        tokio::time::timeout(Duration::from_secs(5), asked).await.ok()?.ok()?;
        Some("mongod".to_owned())
    }
}
