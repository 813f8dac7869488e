//! What has been received and is not stored yet, by sender.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use model::{Epoch, SourceId, Tenant, Timestamp};
use parsers::Body;
use parsers::custom::CustomParser;
use serde_json::json;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::framing::Frame;
use crate::batch::{Origin, Record, Records};
use crate::clock::Clock;
use crate::intake::{Intake, count_dropped, drop_events};
use crate::memory::Memory;
use crate::normalize::{Normalized, Numbering, Sender, normalize};
use crate::part::Outcome;

/// Senders remembered at once.
const MAX_SOURCES: usize = 10_000;
/// A sender's messages are stored when there are this many.
const MAX_MESSAGES: usize = 1000;
/// Or after this time.
const MAX_AGE: Duration = Duration::from_millis(200);
const TICK: Duration = Duration::from_millis(50);

/// Everything received; shared by all sockets.
#[derive(Debug)]
pub(super) struct Sources {
    tenant: Tenant,
    memory: Memory,
    /// For what tells of losses: that must not be lost for the same reason.
    own_memory: Memory,
    by_addr: Mutex<HashMap<IpAddr, Source>>,
    full: Notify,
    /// Lost and not told yet, by reason.
    lost: Mutex<BTreeMap<&'static str, u64>>,
}

/// Stands for this collector among the senders: it tells what was lost. Nobody can send from there.
const SELF: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Memory for accounts of what was lost: several times what one needs, with every reason there is.
const OWN_MEMORY: usize = 256 << 10;
/// Time between two accounts of what was lost.
const TELL: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Source {
    /// New for every life of this record, so that numbers are never given twice.
    epoch: Epoch,
    next_seq: u64,
    messages: Vec<Message>,
    memory: Option<OwnedSemaphorePermit>,
    since: Instant,
}

#[derive(Debug)]
struct Message {
    frame: Frame,
    observed: Timestamp,
}

impl Message {
    fn record(&self, own: bool) -> Record<'_> {
        let body = if own { Body::Json } else { Body::Line };
        Record {
            origin: 0,
            observed_at_micros: self.observed.0,
            body: Some(body(&self.frame.message)),
            truncated_bytes: self.frame.truncated,
        }
    }
}

/// A sender's messages on their way to be stored.
struct Taken {
    addr: IpAddr,
    epoch: Epoch,
    first_seq: u64,
    messages: Vec<Message>,
    memory: Option<OwnedSemaphorePermit>,
}

impl Sources {
    pub(super) fn new(tenant: Tenant, memory: Memory) -> Self {
        Self {
            tenant,
            memory,
            own_memory: Memory::new(OWN_MEMORY),
            by_addr: Mutex::default(),
            full: Notify::new(),
            lost: Mutex::default(),
        }
    }

    /// Notes messages that were lost before they were taken; an event tells of them in a moment.
    pub(super) fn lost(&self, reason: &'static str, messages: u64) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        *lost.entry(reason).or_insert(0) += messages;
    }

    fn drop_one(&self, reason: &'static str) {
        drop_events(reason, 1);
        self.lost(reason, 1);
    }

    /// Makes events of what was lost. Those for which there is no room are told the next time.
    fn tell_lost(&self) {
        let lost = std::mem::take(&mut *self.lost.lock().unwrap_or_else(PoisonError::into_inner));
        for (reason, messages) in lost {
            let event = json!({
                "event.kind": "pipeline_error",
                "event.category": "host",
                "event.action": "events-lost",
                "event.reason": reason,
                "lost.events": messages,
                "message": format!("{messages} syslog messages were lost: {reason}"),
            });
            let message = Bytes::from(event.to_string().into_bytes());
            match self.own_memory.try_take_alone(message.len() as u64, 1) {
                Some(memory) => self.add(SELF, Frame { message, truncated: 0 }, memory),
                None => self.lost(reason, messages),
            }
        }
    }

    /// Takes a message if there is room for it; else it is dropped and counted.
    pub(super) fn offer(&self, addr: IpAddr, frame: Frame) {
        match self.memory.try_take_alone(frame.message.len() as u64, 1) {
            Some(memory) => self.add(addr, frame, memory),
            None => self.drop_one("syslog_buffer_full"),
        }
    }

    /// Takes a message, waiting for room up to `patience`; then it is dropped and counted.
    pub(super) async fn offer_patiently(&self, addr: IpAddr, frame: Frame, patience: Duration) {
        match self.memory.take_alone(frame.message.len() as u64, 1, patience).await {
            Some(memory) => self.add(addr, frame, memory),
            None => self.drop_one("syslog_buffer_full"),
        }
    }

    fn add(&self, addr: IpAddr, frame: Frame, memory: OwnedSemaphorePermit) {
        let observed = Timestamp::now();
        let mut sources = self.by_addr.lock().unwrap_or_else(PoisonError::into_inner);
        if addr != SELF && !sources.contains_key(&addr) && sources.len() >= MAX_SOURCES && !forget_one(&mut sources) {
            self.drop_one("syslog_too_many_senders");
            return;
        }
        let source = sources.entry(addr).or_insert_with(|| Source {
            epoch: Epoch(rand::random()),
            next_seq: 0,
            messages: Vec::new(),
            memory: None,
            since: Instant::now(),
        });
        if source.messages.is_empty() {
            source.since = Instant::now();
        }
        source.messages.push(Message { frame, observed });
        match &mut source.memory {
            Some(held) => held.merge(memory),
            None => source.memory = Some(memory),
        }
        if source.messages.len() == MAX_MESSAGES {
            self.full.notify_one();
        }
    }

    fn take_due(&self, all: bool) -> Vec<Taken> {
        let mut sources = self.by_addr.lock().unwrap_or_else(PoisonError::into_inner);
        let due = |source: &Source| {
            !source.messages.is_empty()
                && (all || source.messages.len() >= MAX_MESSAGES || source.since.elapsed() >= MAX_AGE)
        };
        sources
            .iter_mut()
            .filter(|(_, source)| due(source))
            .map(|(addr, source)| {
                let messages = std::mem::take(&mut source.messages);
                let first_seq = source.next_seq;
                source.next_seq += messages.len() as u64;
                Taken {
                    addr: *addr,
                    epoch: source.epoch,
                    first_seq,
                    messages,
                    memory: source.memory.take(),
                }
            })
            .collect()
    }

    /// Stores what is received, until `shutdown` and everything is handed on.
    pub(super) async fn store(
        self: Arc<Self>,
        intake: Intake,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told_at = Instant::now();
        loop {
            let stopping = tokio::select! {
                () = shutdown.cancelled() => true,
                _ = tick.tick() => false,
                () = self.full.notified() => false,
            };
            if stopping || told_at.elapsed() >= TELL {
                told_at = Instant::now();
                self.tell_lost();
            }
            let taken = self.take_due(stopping);
            if !taken.is_empty() {
                let answers = hand_on(&self.tenant, &intake, taken, clock.now()).await;
                if stopping {
                    settle(answers).await;
                } else {
                    tokio::spawn(settle(answers));
                }
            }
            if stopping {
                return Ok(());
            }
        }
    }
}

/// Makes room by forgetting the sender that was heard longest ago and has nothing waiting.
fn forget_one(sources: &mut HashMap<IpAddr, Source>) -> bool {
    let oldest = sources
        .iter()
        .filter(|(_, source)| source.messages.is_empty())
        .min_by_key(|(_, source)| source.since)
        .map(|(addr, _)| *addr);
    oldest.is_some_and(|addr| sources.remove(&addr).is_some())
}

type Answers = Vec<(u32, oneshot::Receiver<Outcome>)>;

async fn hand_on(tenant: &Tenant, intake: &Intake, taken: Vec<Taken>, now: Timestamp) -> Answers {
    let (tenant, enricher) = (tenant.clone(), intake.enricher().clone());
    let own = intake.own().of(&tenant);
    let normalized = intake
        .on_a_worker(move || {
            let normalize = |mut taken: Taken| {
                let mut normalized = normalize_messages(&tenant, &taken, now, &own);
                enricher.batch(&mut normalized);
                (taken.memory.take(), normalized)
            };
            taken.into_iter().map(normalize).collect::<Vec<_>>()
        })
        .await;
    let mut answers = Answers::new();
    for (memory, normalized) in normalized.unwrap_or_default() {
        count_dropped(&normalized.counts);
        let Some(memory) = memory.map(Arc::new) else { continue };
        for part in normalized.parts {
            let events = u32::try_from(part.events.len()).unwrap_or(u32::MAX);
            answers.push((events, intake.part(part, Arc::clone(&memory)).await));
        }
    }
    answers
}

fn normalize_messages(tenant: &Tenant, taken: &Taken, now: Timestamp, parsers: &[Arc<CustomParser>]) -> Normalized {
    let own = taken.addr == SELF;
    let addr = if own { String::new() } else { taken.addr.to_string() };
    let sender = Sender {
        tenant: tenant.clone(),
        source: SourceId::named("syslog", &addr),
        agent_id: None,
        host: addr.clone(),
        os_type: String::new(),
        os_name: String::new(),
        agent_version: String::new(),
    };
    let numbering = Numbering {
        epoch: taken.epoch,
        first_seq: taken.first_seq,
        created_at: now,
        hash: [0; 32],
        link: None,
    };
    let records = Records {
        origins: vec![Origin {
            kind: if own { "collector" } else { "syslog" }.to_owned(),
            name: addr,
            log_type: String::new(),
            header: String::new(),
        }],
        records: taken.messages.iter().map(|message| message.record(own)).collect(),
    };
    normalize(&sender, &numbering, &records, parsers, now)
}

async fn settle(answers: Answers) {
    for (events, answer) in answers {
        match answer.await {
            Ok(Outcome::Stored | Outcome::Duplicate) => {}
            Ok(Outcome::Conflict | Outcome::Unstorable) => drop_events("batch_unstorable", events),
            Err(_) => drop_events("syslog_stopped", events),
        }
    }
}
