//! The agent against a collector that misbehaves in every way the protocol knows.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod fake;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use agentd::config::FilesConfig;
use agentd::credentials::Paths;
use agentd::sensors::file::Start;
use agentd::status::{self, ConnectionState, Status};
use agentd::{Config, EnrolRequest};
use bootstrap::{Context, Secret};
use fake::{Fake, TOKEN};

const DEADLINE: Duration = Duration::from_secs(40);

struct Rig {
    dir: tempfile::TempDir,
    fake: Fake,
    config: Config,
    running: Option<Context>,
}

impl Rig {
    async fn new() -> Self {
        bootstrap::install_crypto();
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake::start(&dir.path().join("ca")).await;
        let config = Config {
            data_dir: dir.path().join("agent"),
            files: vec![FilesConfig {
                paths: vec![dir.path().join("*.log").to_str().unwrap().to_owned()],
                start: Start::Beginning,
                ..FilesConfig::default()
            }],
            ..Config::default()
        };
        Self {
            dir,
            fake,
            config,
            running: None,
        }
    }

    /// Enrolled and running.
    async fn running() -> Self {
        let mut rig = Self::new().await;
        agentd::enrol(&rig.request()).await.unwrap();
        rig.start().await;
        rig
    }

    fn request(&self) -> EnrolRequest {
        EnrolRequest {
            server: self.fake.addr.to_string(),
            token: Secret::from(TOKEN.to_owned()),
            ca_fingerprint: self.fake.ca.fingerprint(),
            data_dir: self.config.data_dir.clone(),
            force: false,
        }
    }

    async fn start(&mut self) {
        let ctx = Context::new();
        agentd::start(self.config.clone(), ctx.clone()).await.unwrap();
        self.running = Some(ctx);
    }

    async fn stop(&mut self) {
        let ctx = self.running.take().unwrap();
        ctx.drain(Duration::from_secs(20)).await.unwrap();
    }

    fn ca_dir(&self) -> PathBuf {
        self.dir.path().join("ca")
    }

    fn append(&self, text: impl std::fmt::Display) {
        let path = self.dir.path().join("a.log");
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{text}").unwrap();
    }

    fn status(&self) -> Option<Status> {
        status::read(&Paths::new(&self.config.data_dir).status()).ok()
    }

    async fn until_status(&self, what: &str, done: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let status = self.status();
            if let Some(status) = status.clone().filter(&done) {
                return status;
            }
            assert!(Instant::now() < deadline, "{what} did not happen: {status:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn expect(&self, count: usize) {
        until("all lines", || (self.fake.lines().len() >= count).then_some(())).await;
        let lines = self.fake.lines();
        let wanted: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        assert_eq!(lines, wanted);
    }
}

impl Drop for Rig {
    /// A test that fails must not wait for the agent's threads.
    fn drop(&mut self) {
        if let Some(ctx) = &self.running {
            ctx.shutdown.cancel();
        }
    }
}

async fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enrolment_says_what_is_wrong() {
    let mut rig = Rig::new().await;
    let error = |request: EnrolRequest| async move { format!("{:#}", agentd::enrol(&request).await.unwrap_err()) };
    let not_enrolled = agentd::start(rig.config.clone(), Context::new()).await.unwrap_err();
    assert!(
        not_enrolled.to_string().contains("enrol this host first"),
        "{not_enrolled}"
    );

    let mut wrong = rig.request();
    wrong.token = Secret::from(String::from("bad-token"));
    let text = error(wrong).await;
    assert!(
        text.contains("refuses the token") && !text.contains("bad-token"),
        "{text}"
    );

    let mut wrong = rig.request();
    wrong.ca_fingerprint = format!("sha256:{}", "0".repeat(64));
    let text = error(wrong).await;
    assert!(text.contains("fingerprint"), "{text}");

    let mut wrong = rig.request();
    wrong.ca_fingerprint = String::from("md5:1");
    assert!(error(wrong).await.contains("fingerprint"));

    let mut wrong = rig.request();
    wrong.server = String::from("127.0.0.1:1");
    let text = error(wrong).await;
    assert!(text.contains("cannot reach 127.0.0.1:1"), "{text}");

    let enrolment = agentd::enrol(&rig.request()).await.unwrap();
    assert_eq!(enrolment.collectors, [rig.fake.addr.to_string()]);
    let text = error(rig.request()).await;
    assert!(text.contains("--force"), "{text}");
    let forced = EnrolRequest {
        force: true,
        ..rig.request()
    };
    agentd::enrol(&forced).await.unwrap();

    rig.start().await;
    let second = agentd::start(rig.config.clone(), Context::new()).await.unwrap_err();
    assert!(second.to_string().contains("another agent is running"), "{second}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_arrive_once_through_restarts_of_both_sides() {
    let mut rig = Rig::running().await;
    rig.until_status("the connection", |status| {
        status.connection.state == ConnectionState::Connected
    })
    .await;
    let mut written = 0;
    for round in 0..6 {
        for _ in 0..300 {
            rig.append(written);
            written += 1;
        }
        match round % 3 {
            0 => {
                rig.fake.stop().await;
                rig.append(written);
                written += 1;
                rig.fake.resume().await;
            }
            1 => {
                rig.stop().await;
                rig.append(written);
                written += 1;
                rig.start().await;
            }
            _ => rig.expect(written).await,
        }
    }
    rig.expect(written).await;
    // What was written last may be older than what arrived.
    rig.until_status("the last receipt", |status| {
        status.spool.events == 0 && status.spool.next_seq == written as u64
    })
    .await;
    rig.stop().await;
    let epochs: std::collections::HashSet<u64> = rig
        .fake
        .seen
        .lock()
        .unwrap()
        .hellos
        .iter()
        .map(|hello| hello.epoch)
        .collect();
    assert_eq!(epochs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_last_is_sent_before_the_agent_ends() {
    let mut rig = Rig::running().await;
    rig.until_status("the file", |status| {
        status.connection.state == ConnectionState::Connected
    })
    .await;
    rig.append(0);
    rig.expect(1).await;
    rig.append(1);
    rig.until_status("the line to be read", |status| {
        status.files.iter().any(|file| file.offset >= 4)
    })
    .await;
    rig.stop().await;
    assert_eq!(rig.fake.lines().len(), 2);
    let left = rig.status().unwrap();
    assert!(!left.running);
    assert_eq!((left.spool.next_seq, left.spool.events), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_batches_are_on_their_way_than_the_collector_allows() {
    let mut rig = Rig::new().await;
    agentd::enrol(&rig.request()).await.unwrap();
    rig.config.batch.max_events = 1;
    rig.fake.behave(|b| (b.window, b.hold_receipts) = (3, true));
    rig.start().await;
    rig.append(0);
    until("the first batch", || (rig.fake.arrivals() == 1).then_some(())).await;
    for number in 1..20 {
        rig.append(number);
    }
    rig.until_status("all lines in the spool", |status| {
        status.spool.events == 20 && status.connection.batches_in_flight == 3
    })
    .await;
    assert_eq!(rig.fake.arrivals(), 3);
    rig.fake.behave(|b| b.hold_receipts = false);
    rig.expect(20).await;
    assert_eq!(rig.fake.arrivals(), 20);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_obeyed() {
    let mut rig = Rig::running().await;
    rig.fake.behave(|b| b.wait = Some(Duration::from_secs(3600)));
    rig.append(0);
    rig.until_status("the wait", |status| status.connection.waits == 1)
        .await;
    for number in 1..10 {
        rig.append(number);
    }
    rig.until_status("all lines in the spool", |status| status.spool.events == 10)
        .await;
    assert_eq!(rig.fake.arrivals(), 1);
    rig.fake.behave(|b| b.wait = None);
    rig.fake.stop().await;
    rig.fake.resume().await;
    rig.expect(10).await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_that_are_forged_or_too_high_move_nothing() {
    for (forge, overstate) in [(true, 0), (false, 1_000_000)] {
        let mut rig = Rig::running().await;
        rig.fake.behave(|b| (b.forge, b.overstate) = (forge, overstate));
        rig.append(0);
        let status = rig
            .until_status("the refusal of the receipt", |status| {
                let error = status.connection.last_error.as_deref().unwrap_or_default();
                error.contains("receipt is not acceptable")
            })
            .await;
        assert_eq!((status.spool.first_unacknowledged_seq, status.spool.events), (0, 1));
        rig.fake.behave(|b| (b.forge, b.overstate) = (false, 0));
        rig.until_status("a good receipt", |status| status.spool.events == 0)
            .await;
        rig.expect(1).await;
        rig.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_batch_does_not_hold_up_the_others() {
    let mut rig = Rig::running().await;
    rig.fake.behave(|b| b.refuse = Some(0));
    rig.append(0);
    rig.expect(1).await;
    rig.append(1);
    rig.expect(2).await;
    rig.until_status("receipts", |status| {
        status.spool.events == 0 && status.connection.refused_batches == 1
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_says_so_and_keeps_its_events() {
    let mut rig = Rig::running().await;
    rig.append(0);
    rig.expect(1).await;
    rig.until_status("the receipt", |status| {
        (status.spool.events, status.spool.next_seq) == (0, 1)
    })
    .await;
    let identity = Paths::new(&rig.config.data_dir).load().unwrap().0;
    rig.fake.revoked.set([identity.serial().clone()].into());
    rig.fake.stop().await;
    rig.fake.resume().await;
    let status = rig
        .until_status("the refusal", |status| {
            status.connection.state == ConnectionState::Refused
        })
        .await;
    let error = status.connection.last_error.unwrap();
    assert!(
        error.contains("refused by collector: certificate revoked or unknown"),
        "{error}"
    );
    rig.append(1);
    rig.until_status("the line in the spool", |status| status.spool.events == 1)
        .await;
    rig.stop().await;
    assert_eq!(rig.fake.lines().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_collector_takes_over() {
    let mut rig = Rig::new().await;
    agentd::enrol(&rig.request()).await.unwrap();
    let other = rig.fake.another(&rig.ca_dir()).await;
    rig.config.collectors = vec![rig.fake.addr.to_string(), other.addr.to_string()];
    rig.start().await;
    rig.append(0);
    rig.expect(1).await;
    rig.fake.stop().await;
    rig.append(1);
    rig.expect(2).await;
    let status = rig
        .until_status("the other", |status| {
            status.connection.state == ConnectionState::Connected
        })
        .await;
    assert_eq!(status.connection.collector, other.addr.to_string());
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_is_renewed_before_it_ends() {
    let mut rig = Rig::new().await;
    rig.fake.behave(|b| b.agent_ttl = Duration::from_secs(6));
    agentd::enrol(&rig.request()).await.unwrap();
    let paths = Paths::new(&rig.config.data_dir);
    let before = paths.load().unwrap().0.serial().clone();
    rig.fake.behave(|b| b.agent_ttl = Duration::from_secs(3600));
    rig.start().await;
    rig.append(0);
    until("the renewal", || {
        (rig.fake.seen.lock().unwrap().renewals > 0).then_some(())
    })
    .await;
    until("the new certificate", || {
        // Certificate and key are two reads of one file, which may be replaced between them.
        let renewed = paths.load().is_ok_and(|(identity, _)| identity.serial() != &before);
        renewed.then_some(())
    })
    .await;
    rig.append(1);
    rig.expect(2).await;
    until("another connection", || {
        (rig.fake.seen.lock().unwrap().hellos.len() >= 2).then_some(())
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drops_are_reported_until_a_receipt_covers_them() {
    let mut rig = Rig::new().await;
    agentd::enrol(&rig.request()).await.unwrap();
    rig.fake.behave(|b| b.gaps = true);
    rig.config.spool.segment_bytes = 64 << 10;
    rig.config.spool.max_bytes = 192 << 10;
    rig.config.batch.max_events = 10;
    rig.fake.stop().await;
    rig.start().await;
    let mut noise = 1_u64;
    let mut long_line = || {
        (0..400)
            .map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{noise:016x}")
            })
            .collect::<String>()
    };
    let mut written = 0;
    while rig.status().is_none_or(|status| status.spool.dropped.spool_full == 0) {
        for _ in 0..20 {
            rig.append(long_line());
            written += 1;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    rig.fake.resume().await;
    let received = |status: &Status| status.spool.events == 0 && status.spool.next_seq == written;
    let status = rig.until_status("the receipt", received).await;
    let dropped = until("the report", || {
        let drops = rig.fake.seen.lock().unwrap().drops.clone();
        drops.first().map(|drop| drop.total)
    })
    .await;
    assert!(dropped > 0);
    assert_eq!(rig.fake.lines().len() as u64 + status.spool.dropped.spool_full, written);
    rig.stop().await;
}
