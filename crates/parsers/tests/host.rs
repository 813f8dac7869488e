//! What programs of a Linux host beside sshd and its like say, where it matters who is named.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use model::{Value, ecs};
use parsers::{Body, parse};

fn fields(line: &str, names: &[&str]) -> Vec<String> {
    let parsed = parse(&check::record(Body::Line(line.as_bytes())));
    let text = |name: &&str| {
        parsed
            .fields
            .get(name)
            .map(Value::to_text)
            .unwrap_or_default()
            .into_owned()
    };
    names.iter().map(text).collect()
}

#[test]
fn a_process_the_kernel_names_is_the_events() {
    for line in [
        "Nov 20 08:37:55 web-3 kernel: [11003.772431] Out of memory: Killed process 4410 (java) total-vm:8kB, UID:1001",
        "Nov 20 08:37:55 web-3 kernel: Out of memory: Killed process 4410 (java) total-vm:8kB, UID:1001",
        "[11003.772431] Out of memory: Killed process 4410 (java) total-vm:8kB, UID:1001",
    ] {
        assert_eq!(
            fields(
                line,
                &["event.action", "process.name", "process.pid", ecs::PICKET_LOG_TYPE]
            ),
            ["oom_killed", "java", "4410", "kernel"],
            "{line}"
        );
    }
}

#[test]
fn packets_are_the_packet_filters_however_they_come() {
    let packet = "IN=eth0 OUT= MAC= SRC=203.0.113.9 DST=192.0.2.1 LEN=40 TTL=50 PROTO=TCP SPT=4444 DPT=22 SYN URGP=0";
    let journal = format!(
        r#"{{"__REALTIME_TIMESTAMP":"1764000000000000","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","_HOSTNAME":"gw","PRIORITY":"4","MESSAGE":"[UFW BLOCK] {packet}"}}"#
    );
    for line in [
        format!("Nov 20 08:37:55 gw kernel: [ 12.345678] [UFW BLOCK] {packet}"),
        format!("[   12.345678] [UFW BLOCK] {packet}"),
        journal.clone(),
    ] {
        assert_eq!(
            fields(&line, &[ecs::PICKET_LOG_TYPE, "source.ip", "destination.port"]),
            ["iptables", "203.0.113.9", "22"],
            "{line}"
        );
    }
    // A program that calls itself kernel is not the kernel.
    let forged = journal.replace(
        "\"_TRANSPORT\":\"kernel\"",
        "\"_TRANSPORT\":\"syslog\",\"_COMM\":\"logger\"",
    );
    assert_eq!(fields(&forged, &["source.ip"]), [""]);
}

#[test]
fn commands_that_look_like_polkits_own_words_are_not_believed() {
    let line = "Nov 20 08:37:55 web-3 polkitd[7]: Operator of unix-process:4800:91000 FAILED to authenticate to gain \
                authorization for action org.freedesktop.policykit.exec for unix-process:4800:91000 [sh -c x (owned by \
                unix-user:root) y] (owned by unix-user:mallory)";
    assert_eq!(
        fields(line, &["user.name", "event.outcome", "polkit.action", "process.pid"]),
        ["mallory", "failure", "org.freedesktop.policykit.exec", "4800"]
    );
    let line = "Nov 20 08:37:55 web-3 login[7]: FAILED LOGIN (1) on '/dev/tty3' FOR 'x, Authentication failure FOR root', \
                Authentication failure";
    assert_eq!(
        fields(line, &["user.name", "event.outcome", "process.tty.name"]),
        ["x, Authentication failure FOR root", "failure", "tty3"]
    );
}

#[test]
fn accounts_that_could_not_be_changed_are_failures() {
    let line = "Nov 20 08:37:55 web-3 useradd[7]: failed adding user 'ann', data deleted";
    assert_eq!(
        fields(
            line,
            &[
                "event.outcome",
                "user.target.name",
                "event.action",
                ecs::PICKET_LOG_TYPE
            ]
        ),
        ["failure", "ann", "account_change_failed", "accounts"]
    );
}
