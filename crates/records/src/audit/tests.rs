//! Lines of the audit daemon in every order they come in, cut anywhere.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Lines of an event as the kernel orders them.
fn event(serial: u32, second: u32, ending: bool) -> Vec<String> {
    let at = format!("msg=audit(17640000{second:02}.123:{serial}):");
    let mut lines = vec![
        format!(
            "type=SYSCALL {at} arch=c000003e syscall=59 success=yes exit=0 items=2 ppid=1 pid={serial} comm=\"sh\""
        ),
        format!("type=EXECVE {at} argc=2 a0=\"sh\" a1=\"-c\""),
        format!("type=CWD {at} cwd=\"/root\""),
        format!("type=PATH {at} item=0 name=\"/bin/sh\" nametype=NORMAL"),
        format!("type=PATH {at} item=1 name=\"/lib64/ld-linux-x86-64.so.2\" nametype=NORMAL"),
    ];
    if ending {
        lines.push(format!("type=PROCTITLE {at} proctitle=7368002D63"));
    }
    lines
}

fn pieces(lines: &[String]) -> Vec<Piece> {
    let mut at = 0;
    lines
        .iter()
        .map(|line| {
            let start = at;
            at += line.len() as u64 + 1;
            Piece {
                line: Bytes::copy_from_slice(line.as_bytes()),
                cut_bytes: 0,
                start,
                end: at,
            }
        })
        .collect()
}

fn join(lines: &[String]) -> Vec<Joined> {
    let mut joiner = Joiner::new(100_000);
    let (mut out, mut end) = (Vec::new(), 0);
    for piece in pieces(lines) {
        end = piece.end;
        joiner.push(piece, Duration::ZERO, &mut out);
    }
    joiner.flush(end, &mut out);
    assert!(joiner.is_empty());
    out
}

fn texts(joined: &[Joined]) -> Vec<String> {
    joined
        .iter()
        .map(|event| String::from_utf8_lossy(&event.body).into_owned())
        .collect()
}

#[test]
fn lines_of_one_serial_number_become_one_event() {
    let lines = [event(7, 0, true), event(8, 0, false)].concat();
    assert_eq!(
        texts(&join(&lines)),
        [event(7, 0, true).join("\n"), event(8, 0, false).join("\n")]
    );
}

#[test]
fn events_of_user_space_do_not_wait() {
    let mut joiner = Joiner::new(100_000);
    let mut out = Vec::new();
    let lines = [
        "type=USER_LOGIN msg=audit(1764000000.123:9): pid=1".to_owned(),
        "something else".to_owned(),
    ];
    for piece in pieces(&lines) {
        joiner.push(piece, Duration::ZERO, &mut out);
    }
    assert_eq!(texts(&out), lines);
}

#[test]
fn a_whole_event_goes_when_there_is_nothing_more_to_read_and_half_of_one_after_a_while() {
    let mut joiner = Joiner::new(100_000);
    let mut out = Vec::new();
    let lines = [event(7, 0, true), event(8, 0, false)].concat();
    let mut read = 0;
    for piece in pieces(&lines) {
        read = piece.end;
        joiner.push(piece, Duration::from_secs(5), &mut out);
    }
    assert!(out.is_empty());
    joiner.settle(Duration::from_millis(5100), true, read, &mut out);
    assert_eq!(texts(&out), [event(7, 0, true).join("\n")]);
    joiner.settle(Duration::from_millis(5600), true, read, &mut out);
    assert_eq!(texts(&out)[1..], [event(8, 0, false).join("\n")]);
    assert_eq!(
        out[1].resume,
        Resume {
            at: read,
            done: Vec::new()
        }
    );
}

#[test]
fn later_events_end_those_without_an_end() {
    let others = (0..=SPAN).map(|n| format!("type=USER_LOGIN msg=audit(1764000003.123:{}): pid=1", 100 + n));
    let lines = [event(7, 0, false), others.collect(), event(8, 3, false)].concat();
    let mut joiner = Joiner::new(100_000);
    let mut out = Vec::new();
    for piece in pieces(&lines) {
        joiner.push(piece, Duration::ZERO, &mut out);
    }
    assert_eq!(
        texts(&out)
            .iter()
            .filter(|text| **text == event(7, 0, false).join("\n"))
            .count(),
        1
    );
}

#[test]
fn nodes_are_kept_apart() {
    let lines =
        ["a", "b", "a", "b"].map(|node| format!("node={node} type=CWD msg=audit(1764000000.123:9): cwd=\"/{node}\""));
    let joined = texts(&join(&lines));
    assert_eq!(joined.len(), 2);
    assert!(joined[0].matches("node=a").count() == 2 && joined[1].matches("node=b").count() == 2);
}

#[test]
fn an_event_without_end_is_bounded() {
    let lines: Vec<String> = (0..5000)
        .map(|n| format!("type=PATH msg=audit(1764000000.123:9): item={n} name=\"/x\""))
        .collect();
    let joined = join(&lines);
    assert_eq!(joined.len(), 5000_usize.div_ceil(MAX_LINES));
    assert_eq!(texts(&joined).join("\n"), lines.join("\n"));
    let many: Vec<String> = (0..5000)
        .map(|n| format!("type=PATH msg=audit(1764000000.123:{n}): item=0 name=\"/x\""))
        .collect();
    let mut joiner = Joiner::new(100_000);
    let mut out = Vec::new();
    for piece in pieces(&many) {
        joiner.push(piece, Duration::ZERO, &mut out);
        assert!(joiner.open.len() <= MAX_OPEN && joiner.done.len() <= MAX_DONE + 1);
    }
    assert_eq!(out.len(), 5000 - MAX_OPEN);
}

#[test]
fn what_is_no_stamp_is_a_line() {
    for line in [
        "",
        "type=",
        "type=SYSCALL",
        "type=SYSCALL msg=audit(1.2:",
        "type=SYSCALL msg=audit(1.2:x):",
        "type=SYSCALL msg=audit(1.2345:6):",
        "type=SYSCALL msg=audit(99999999999999999999.1:6):",
        "node=",
        "node=a",
        "Nov 21 10:00:00 host audispd: type=SYSCALL msg=audit(1.2:3):",
    ] {
        assert!(!is_record(line.as_bytes()), "{line}");
    }
    assert!(is_record(
        b"node=web type=SYSCALL msg=audit(1764000000.123:4567): arch=c000003e"
    ));
}

/// Some events whose lines are mixed, but no line is further than so many others from where it belongs.
fn mixed() -> impl Strategy<Value = Vec<String>> {
    let events = proptest::collection::vec((any::<bool>(), 0_u32..3), 1..6);
    (events, proptest::collection::vec(0_usize..6, 0..40)).prop_map(|(events, swaps)| {
        let mut lines: Vec<String> = events
            .iter()
            .zip(1..)
            .flat_map(|((ending, second), serial)| event(serial, *second * 5, *ending))
            .collect();
        lines.push("type=USER_LOGIN msg=audit(1764000000.123:99): pid=1".to_owned());
        for (at, by) in swaps.iter().enumerate() {
            let (one, other) = (at % lines.len(), (at + by) % lines.len());
            lines.swap(one, other);
        }
        lines
    })
}

proptest! {
    #[test]
    fn in_any_order_each_event_is_one_and_has_all_its_lines(lines in mixed()) {
        let joined = texts(&join(&lines));
        let mut by_serial: BTreeMap<String, usize> = BTreeMap::new();
        for text in &joined {
            let serial = text.split(':').nth(1).unwrap().split(')').next().unwrap();
            *by_serial.entry(serial.to_owned()).or_default() += 1;
            let mark = format!(":{serial})");
            prop_assert!(text.lines().all(|line| line.contains(&mark)));
        }
        prop_assert!(by_serial.values().all(|count| *count == 1), "{joined:?}");
        let mut out: Vec<&str> = joined.iter().flat_map(|text| text.lines()).collect();
        let mut wanted: Vec<&str> = lines.iter().map(String::as_str).collect();
        out.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(out, wanted);
    }

    /// Wherever a reader dies, one that goes on where the last safe event said gives the rest, and nothing twice.
    #[test]
    fn going_on_from_any_event_neither_skips_nor_repeats_a_line(
        lines in mixed(),
        died in any::<prop::sample::Index>(),
        settle_every in 1_usize..9,
    ) {
        let all = pieces(&lines);
        let run = |joiner: &mut Joiner, from: u64| {
            let (mut out, mut end) = (Vec::new(), from);
            for (count, piece) in all.iter().filter(|piece| piece.start >= from).enumerate() {
                end = piece.end;
                joiner.push(piece.clone(), Duration::from_millis(count as u64), &mut out);
                if count % settle_every == 0 {
                    joiner.settle(Duration::from_millis(count as u64), true, end, &mut out);
                }
            }
            joiner.flush(end, &mut out);
            out
        };
        let first = run(&mut Joiner::new(2000), 0);
        let safe = died.index(first.len());
        let mut given: Vec<String> = texts(&first[..=safe]);
        let resume = first[safe].resume.clone();
        let second = run(&mut Joiner::resume(2000, resume.done), resume.at);
        // And dies again, at its first event.
        if let Some(event) = second.first() {
            given.extend(texts(&second[..1]));
            given.extend(texts(&run(&mut Joiner::resume(2000, event.resume.done.clone()), event.resume.at)));
        }
        let mut out: Vec<&str> = given.iter().flat_map(|text| text.lines()).collect();
        let mut wanted: Vec<&str> = lines.iter().map(String::as_str).collect();
        out.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(out, wanted);
    }
}
