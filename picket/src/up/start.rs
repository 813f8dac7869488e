//! Bringing everything up, in order.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use bootstrap::config::Sources as ConfigSources;
use bootstrap::{LogConfig, ServiceConfig, logging};
use model::Timestamp;
use model::node::Role;
use storage::Store;

use super::agent::{self, Sources};
use super::args::Settings;
use super::certs;
use super::configs::{self, Shared};
use super::mongo;
use super::node::Ready;
use super::plan::Plan;
use super::process::{Spec, Supervised};
use super::rules;
use super::secrets::Secrets;
use super::steps::Step;
use super::system::{Part, System};
use crate::ca;
use crate::client::Target;
use crate::data_dir::{UpFile, UpNode};

/// The agent's name among the nodes, and its role.
const AGENT: &str = "agent";

/// What an operator is told once everything runs.
#[derive(Debug)]
pub(super) struct Facts {
    pub up: UpFile,
    pub sources: Option<Sources>,
}

/// Starts everything. What has been started when this ends early is in `system`.
pub(super) async fn start(system: &mut System, settings: &Settings) -> anyhow::Result<Facts> {
    let uri = match &settings.args.mongodb_uri {
        Some(uri) => {
            mongo::check(uri).await?;
            uri.clone()
        }
        None => {
            let (mongod, uri) = mongo::start(&system.dirs, &system.board, settings.args.database_cache).await?;
            system.mongod = Some(mongod);
            uri
        }
    };
    let store = Store::connect(&uri, &settings.args.database, "picket-up")
        .await
        .context("open the database")?;
    store.ensure_indexes().await.context("prepare the database")?;
    let plans = settings.args.nodes.plans();
    let ca_fingerprint = certificates(system, settings, &store, &plans).await?;
    let secrets = Secrets::open(&system.dirs)?;
    let (rules, text) = rules::find(&system.dirs, settings.args.rules.as_deref())?;
    eprintln!("✓ {text}");
    let shared = Shared {
        place: &system.dirs,
        settings,
        mongodb_uri: &uri,
        secrets: &secrets,
        rules: &rules,
    };
    for plan in &plans {
        configs::write(&shared, plan)?;
    }
    if settings.args.in_process {
        logging::init(&LogConfig::default(), "picket");
    }
    for plan in &plans {
        start_node(system, settings, &store, plan).await?;
    }
    let http = configs::reachable(settings.ports.http);
    let up = UpFile {
        rest_url: format!("https://{http}"),
        grpc_addr: http.to_string(),
        ca_file: system.dirs.ca_file(),
        api_key: secrets.api_key.clone(),
        admin_user: "admin".to_owned(),
        admin_password: secrets.admin_password.clone(),
        mongodb_uri: uri.clone(),
        nodes: Vec::new(),
    };
    let mut sources = None;
    if !settings.args.no_agent {
        let chosen = agent::sources(settings);
        start_agent(system, settings, &store, &up, &chosen, &ca_fingerprint).await?;
        sources = Some(chosen);
    }
    system.board.publish(up.clone())?;
    Ok(Facts { up, sources })
}

async fn certificates(system: &System, settings: &Settings, store: &Store, plans: &[Plan]) -> anyhow::Result<String> {
    let (authority, made) = certs::authority(&system.dirs)?;
    let fingerprint = authority.fingerprint();
    let verb = if made { "made" } else { "opened" };
    eprintln!("✓ certificate authority {verb}, {fingerprint}");
    let listens_on = [settings.args.http_addr, settings.args.collector_addr];
    let mut issued = 0;
    for plan in plans {
        if let Some(info) = certs::ensure(&system.dirs, &authority, plan, &listens_on, Timestamp::now())? {
            ca::record(store, &info, "operator:up").await?;
            issued += 1;
        }
    }
    if issued > 0 {
        eprintln!("✓ {issued} node certificates issued");
    }
    Ok(fingerprint)
}

async fn start_node(system: &mut System, settings: &Settings, store: &Store, plan: &Plan) -> anyhow::Result<()> {
    let step = Step::begin(format!("starting {}", plan.name));
    let config = system.dirs.node_config(&plan.name);
    let role = plan.role.to_string();
    if settings.args.in_process {
        let (ctx, addr) = start_inside(plan.role, config)
            .await
            .with_context(|| format!("start {}", plan.name))?;
        system.parts.push(Part::Inside {
            role: role.clone(),
            name: plan.name.clone(),
            ctx,
        });
        system.board.set(UpNode {
            role,
            name: plan.name.clone(),
            pid: std::process::id(),
            addr: addr.clone(),
        });
        step.done(&format!("{} on {addr}", plan.name));
        return Ok(());
    }
    let spec = Spec {
        role: role.clone(),
        name: plan.name.clone(),
        program: program()?,
        args: vec!["node".into(), role.into(), "--config".into(), config.into()],
        log: system.dirs.log(&plan.name),
        ready: Ready::Registered {
            store: store.clone(),
            role: plan.role,
            name: plan.name.clone(),
        },
    };
    let process = Supervised::start(spec, system.board.clone(), system.operator.clone()).await?;
    system.parts.push(Part::Process(process));
    step.done(&plan.name);
    Ok(())
}

fn load<C: ServiceConfig>(file: PathBuf, env_prefix: &'static str) -> anyhow::Result<C> {
    let config: C = bootstrap::config::load(&ConfigSources {
        file: Some(file),
        env_prefix,
        overrides: Vec::new(),
    })?;
    config.validate()?;
    Ok(config)
}

/// Starts a service inside this process; gives what stops it, and its address.
async fn start_inside(role: Role, config: PathBuf) -> anyhow::Result<(bootstrap::Context, String)> {
    let ctx = bootstrap::Context::new();
    let running = match role {
        Role::Collector => collector::start(load(config, "PICKET_COLLECTOR")?, ctx.clone()).await?,
        Role::Detector => detector::start(load(config, "PICKET_DETECTOR")?, ctx.clone()).await?,
        Role::Responder => responder::start(load(config, "PICKET_RESPONDER")?, ctx.clone()).await?,
        Role::Gateway => gateway::start(load(config, "PICKET_GATEWAY")?, ctx.clone()).await?,
        Role::Agent | Role::Operator => bail!("{role} is no node"),
    };
    Ok((ctx, running.addr.to_string()))
}

async fn start_agent(
    system: &mut System,
    settings: &Settings,
    store: &Store,
    up: &UpFile,
    sources: &Sources,
    ca_fingerprint: &str,
) -> anyhow::Result<()> {
    let step = Step::begin("enrolling an agent for this host");
    let collectors: Vec<String> = settings
        .ports
        .collectors
        .iter()
        .map(|addr| configs::reachable(*addr).to_string())
        .collect();
    let first = collectors.first().context("there is no collector")?;
    let target = Target {
        rest_url: up.rest_url.clone(),
        grpc_addr: up.grpc_addr.clone(),
        ca_pem: std::fs::read(&up.ca_file).with_context(|| format!("read {}", up.ca_file.display()))?,
        api_key: up.api_key.clone(),
    };
    let new = agent::enrol(&system.dirs, store, &target.rest()?, first, ca_fingerprint).await?;
    let config = system.dirs.agent().join("config.toml");
    configs::save(&config, &agent::config(&system.dirs, sources, &collectors))?;
    step.set("starting the agent");
    let ready = Ready::Connected {
        status: agentd::credentials::Paths::new(&system.dirs.agent()).status(),
    };
    if settings.args.in_process {
        let ctx = bootstrap::Context::new();
        let config = load(config, agentd::config::ENV_PREFIX)?;
        let since = Timestamp::now();
        agentd::start(config, ctx.clone()).await.context("start the agent")?;
        system.parts.push(Part::Inside {
            role: AGENT.to_owned(),
            name: AGENT.to_owned(),
            ctx,
        });
        ready.wait(since).await.context("start the agent")?;
        system.board.set(UpNode {
            role: AGENT.to_owned(),
            name: AGENT.to_owned(),
            pid: std::process::id(),
            addr: String::new(),
        });
    } else {
        let args: [OsString; 4] = ["agent".into(), "run".into(), "--config".into(), config.into()];
        let spec = Spec {
            role: AGENT.to_owned(),
            name: AGENT.to_owned(),
            program: program()?,
            args: args.to_vec(),
            log: system.dirs.log(AGENT),
            ready,
        };
        let process = Supervised::start(spec, system.board.clone(), system.operator.clone()).await?;
        system.parts.push(Part::Process(process));
    }
    step.done(if new {
        "agent for this host enrolled and connected"
    } else {
        "agent for this host connected"
    });
    Ok(())
}

fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find this program's path")
}
