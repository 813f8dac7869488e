//! A service as a process: configuration errors, signals, failures.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should stop there"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// Cargo builds examples beside the tests.
fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/service")
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// A started service whose log is read line by line.
struct Service {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Service {
    fn start(args: &[&str]) -> Self {
        let mut child = command(args).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// Reads on until a line with the text; blocks until the process ends at worst.
    fn wait_for(&mut self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert!(
                self.log.read_line(&mut line).unwrap() > 0,
                "ended without {text:?}:\n{seen}"
            );
            if line.contains(text) {
                return line;
            }
            seen.push_str(&line);
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    fn end(mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

fn get(addr: &str, path: &str) -> String {
    let mut tcp = TcpStream::connect(addr).unwrap();
    write!(tcp, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_unusable_configuration_ends_with_64_and_names_the_key() {
    for (args, part) in [
        (
            &["--set", "behaviour=dance"][..],
            "behaviour: expected run, fail, panic or hang, got \"dance\" (from --set behaviour)",
        ),
        (&["--set", "colour=red"][..], "colour: no such key"),
        (&["--set", "log.level=loud"][..], "log.level: expected error, warn"),
        (&["--config", "/nonexistent.toml"][..], "/nonexistent.toml"),
        (&["--verbose"][..], "unexpected argument \"--verbose\""),
    ] {
        let output = run(args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}

#[test]
fn what_can_be_asked_without_starting() {
    let output = command(&["--print-config"])
        .env("PICKET_EXAMPLE__NODE", "e-1")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains("node = \"e-1\"") && text.contains("[admin]"), "{text}");
    for (flag, part) in [
        ("--help", "PICKET_EXAMPLE__SECTION__KEY"),
        ("--version", "example "),
        ("--check-config", "valid"),
    ] {
        let output = run(&[flag]);
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stdout).contains(part), "{flag}");
    }
}

#[test]
fn the_first_signal_drains() {
    let mut service = Service::start(&["--set", "log.format=json", "--set", "node=e-1"]);
    let line = service.wait_for("listening");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["service"], &line["node"]), (&"example".into(), &"e-1".into()));
    let addr = line["addr"].as_str().unwrap();
    assert!(get(addr, "/live").starts_with("HTTP/1.1 200"));
    assert!(get(addr, "/ready").starts_with("HTTP/1.1 200"));
    assert!(get(addr, "/health").starts_with("HTTP/1.1 200"));
    assert!(get(addr, "/metrics").contains("picket_example_starts_total 1"));
    service.signal("-TERM");
    let (code, log) = service.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopped") && !log.contains("ERROR"), "{log}");
}

#[test]
fn the_second_signal_ends_at_once() {
    let mut service = Service::start(&["--set", "behaviour=hang"]);
    service.wait_for("listening for health");
    service.signal("-INT");
    service.wait_for("stopping");
    service.signal("-INT");
    let (code, log) = service.end();
    assert_eq!(code, Some(130), "{log}");
}

#[test]
fn a_failed_task_ends_the_process_and_is_logged_once() {
    for (behaviour, part) in [("fail", "error=the work failed"), ("panic", "panicked")] {
        let service = Service::start(&["--set", &format!("behaviour={behaviour}")]);
        let (code, log) = service.end();
        assert_eq!(code, Some(1), "{log}");
        assert!(
            log.lines().any(|line| line.contains("ERROR") && line.contains(part)),
            "{log}"
        );
    }
}

#[test]
fn a_taken_port_ends_with_1_and_names_the_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let service = Service::start(&["--set", &format!("admin.addr={addr}")]);
    let (code, log) = service.end();
    assert_eq!(code, Some(1));
    assert!(log.contains(&addr.to_string()) && log.contains("admin.addr"), "{log}");
}
