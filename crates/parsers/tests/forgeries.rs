//! The worst line that somebody who chooses one value of it can have written, for each format: who did it, from where,
//! what it was and whether it worked must stay what the program said.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may fail as tests do")]

mod check;

use check::line;

/// A line, and what it must say (`name=value`); `name=` is what it must not say at all.
type Line = (&'static str, &'static [&'static str]);

/// Checks all the lines before it fails, so that one run tells everything that is believed wrongly.
fn check(lines: &[Line]) {
    let mut wrong = String::new();
    for (text, expected) in lines {
        let parsed = line(text.as_bytes());
        for pair in *expected {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let found = parsed.fields.get(name).map(model::Value::to_text).unwrap_or_default();
            if found != value {
                wrong.push_str(&format!("{text}\n    {name} is {found:?}, not {value:?}\n"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn audit_values_in_quotes_are_text() {
    check(&[
        (
            r#"type=EXECVE msg=audit(1763719200.123:7): argc=3 a0="chmod" a1="4755" a2="ABCD""#,
            &["process.command_line=chmod 4755 ABCD", "a1=4755", "a2=ABCD"],
        ),
        (
            r#"type=EXECVE msg=audit(1763719200.123:7): argc=2 a0="ls" a1=2F746D702F6120622E747874"#,
            &["process.command_line=ls /tmp/a b.txt"],
        ),
        (
            r#"type=USER_LOGIN msg=audit(1763719200.123:7): pid=1 uid=0 auid=4294967295 msg='op=login acct="726F6F74" exe="/usr/sbin/sshd" hostname=? addr=203.0.113.9 terminal=ssh res=failed'"#,
            &["user.name=726F6F74", "event.outcome=failure"],
        ),
        (
            r#"type=PATH msg=audit(1763719200.123:7): item=0 name="CAFE" inode=1 comm="BEEF""#,
            &["file.path=CAFE", "process.name=BEEF"],
        ),
        (
            r#"type=PROCTITLE msg=audit(1763719200.123:7): proctitle="4142""#,
            &["process.command_line=4142"],
        ),
    ]);
}
