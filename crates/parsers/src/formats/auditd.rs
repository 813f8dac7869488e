//! Records of the Linux audit daemon. Each line is one record of an event; records of one event share time and serial
//! number. Where logs are read they are put together, and come as one text of several lines ([`event`]); a line that
//! comes alone is an event by itself, and `auditd.log.sequence` tells what it belongs to.
//!
//! Values that users choose are written in hexadecimal when they hold a space, a quote or a control character, so a bare
//! or quoted value cannot contain another field. Source: `audit(8)` and the kernel's `audit_log_untrustedstring`.

mod event;
mod meaning;

use std::borrow::Cow;

use model::{Text, Timestamp, Value, ecs};

use meaning::{meaning, named};

use super::{Format, Input};
use crate::derive::{SOURCE, endpoint};
use crate::draft::Draft;
use crate::scan::Marks as _;
use crate::scan::hex;

pub(crate) const FORMAT: Format = Format {
    name: "auditd",
    aliases: &["audit", "laurel"],
    datasets: &["auditd.log"],
    programs: &["audispd", "audisp-syslog", "audit", "auditd"],
    begins: &["ant"],
    looks,
    take,
};

/// Most fields of one record.
const MAX_FIELDS: usize = 256;

/// `[audit: ][node=N ]type=T [msg=]audit(`, or the last alone.
fn looks(text: &str) -> bool {
    let text = text.strip_prefix("audit: ").unwrap_or(text);
    let after = |text: &'_ str, key: &str| {
        let rest = text.strip_prefix(key)?;
        rest.place_of(b' ').filter(|at| *at <= 255).map(|at| key.len() + at + 1)
    };
    let at = after(text, "node=").unwrap_or(0);
    let rest = text.get(at..).unwrap_or("");
    let typed = after(rest, "type=").and_then(|at| rest.get(at..));
    let stamp = typed.map_or(rest, |rest| rest.strip_prefix("msg=").unwrap_or(rest));
    stamp.starts_with("audit(")
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    if input.text.has_byte(b'\n') && event::take(draft, input.text) {
        return true;
    }
    let Some(record) = Record::read(input.text).or_else(|| Record::spoken(input)) else {
        return false;
    };
    record.head(draft);
    draft.set("auditd.log.record_type", record.kind);
    draft.set("type", record.kind);
    own(draft, record.kind, &record.fields);
    describe(draft, record.kind, &record.fields);
    true
}

/// One line.
struct Record<'a> {
    kind: &'a str,
    node: &'a str,
    /// Where the record says it itself.
    time: Option<Timestamp>,
    serial: &'a str,
    fields: Vec<(&'a str, Written<'a>)>,
}

impl<'a> Record<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix("audit: ").unwrap_or(text);
        let (head, rest) = text.cut("audit(").filter(|(head, _)| head.len() < 512)?;
        let (stamp, body) = rest.cut_at(b')')?;
        let (time, serial) = stamp.cut_at(b':')?;
        let time = seconds(time)?;
        let (mut kind, mut node) = ("", "");
        for word in head.parts(b' ') {
            match word.cut_at(b'=') {
                Some(("type", value)) => kind = value,
                Some(("node", value)) => node = value,
                _ => {}
            }
        }
        let body = body.trim_start_matches(':').trim();
        // auditd appends names it looked up after a group separator when it enriches.
        let (body, enriched) = body.split_once('\u{1d}').unwrap_or((body, ""));
        let mut fields = Vec::with_capacity(32);
        decision(body, &mut fields);
        split(body, &mut fields);
        split(enriched, &mut fields);
        Some(Self {
            kind: named(kind),
            node,
            time: Some(time),
            serial,
            fields,
        })
    }

    /// `TYPE pairs`, as journald writes what the kernel says of it; nobody else's messages begin so.
    fn spoken(input: &Input<'a>) -> Option<Self> {
        let (kind, body) = input.text.cut_at(b' ').filter(|_| input.program == "audit")?;
        let is_type =
            |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'[' | b']');
        if kind.len() < 3 || !kind.bytes().all(is_type) || !body.has_byte(b'=') {
            return None;
        }
        let mut fields = Vec::with_capacity(32);
        decision(body, &mut fields);
        split(body.trim(), &mut fields);
        Some(Self {
            kind: named(kind),
            node: "",
            time: None,
            serial: "",
            fields,
        })
    }

    /// Sets what is the same in all records of an event.
    fn head(&self, draft: &mut Draft) {
        draft.set_text(ecs::HOST_NAME, self.node);
        draft.set_text("auditd.log.node", self.node);
        if self.time.is_some() {
            draft.timestamp = self.time;
        }
        draft.set_int("auditd.log.sequence", self.serial);
        draft.set_fixed(ecs::HOST_OS_TYPE, "linux");
    }

    fn written(&self, key: &str) -> Option<Written<'a>> {
        self.fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    fn value(&self, key: &str) -> Option<&'a str> {
        self.written(key).map(|value| value.text)
    }
}

/// `1594053514.707`
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.cut_at(b'.').unwrap_or((text, "0"));
    let millis: i64 = fraction.parse().ok().filter(|_| fraction.len() <= 3)?;
    Some(Timestamp(
        whole.parse::<i64>().ok()?.checked_mul(1_000_000)? + millis * 1000,
    ))
}

/// The value of a field. Only one without quotes may be hexadecimal: the kernel and libaudit write a value in quotes or
/// encoded, never both, so `"4755"` is the text 4755.
#[derive(Clone, Copy)]
struct Written<'a> {
    text: &'a str,
    is_quoted: bool,
}

impl<'a> Written<'a> {
    const fn bare(text: &'a str) -> Self {
        Self { text, is_quoted: false }
    }
}

/// What SELinux says before the pairs, under the name the audit tools have for it: `avc:  denied  { read } for …`.
fn decision<'a>(body: &'a str, into: &mut Vec<(&'a str, Written<'a>)>) {
    let word = body
        .strip_prefix("avc:")
        .and_then(|rest| rest.parts(b' ').find(|word| !word.is_empty()));
    if let Some(word @ ("denied" | "granted")) = word {
        into.push(("seresult", Written::bare(word)));
    }
}

/// Splits `a=b c="d e" msg='op=x acct="y"'`; what stands in `msg='…'` counts as fields of the record.
fn split<'a>(text: &'a str, into: &mut Vec<(&'a str, Written<'a>)>) {
    let mut rest = text;
    // `old auid=700 new auid=0`: the word before makes it another field.
    let mut before = "";
    while into.len() < MAX_FIELDS {
        rest = rest.trim_start_matches([' ', ',']);
        if rest.is_empty() {
            return;
        }
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let Some(after) = after.strip_prefix('=') else {
            before = key;
            rest = after;
            continue;
        };
        let (value, next) = match after.as_bytes().first() {
            Some(b'"') => match after.get(1..).and_then(|inner| inner.cut_at(b'"')) {
                Some((text, next)) => (Written { text, is_quoted: true }, next),
                None => (Written::bare(after), ""),
            },
            Some(b'\'') => {
                let inner = after.get(1..).unwrap_or("");
                let inner = inner.trim_end().strip_suffix('\'').unwrap_or(inner);
                split_inner(inner, into);
                return;
            }
            _ => {
                let end = after.place_of(b' ').unwrap_or(after.len());
                let (text, next) = after.split_at(end);
                (Written::bare(text), next)
            }
        };
        rest = next;
        match (before, key) {
            ("old", "auid") => into.push(("old-auid", value)),
            ("new", "auid") => into.push(("auid", value)),
            ("old", "ses") => into.push(("old-ses", value)),
            _ => into.push((key, value)),
        }
        before = "";
    }
}

/// `op=adding group to /etc/group id=1004`: an operation may have spaces, up to the next `word=`.
fn split_inner<'a>(text: &'a str, into: &mut Vec<(&'a str, Written<'a>)>) {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("op=")
        && let Some(equals) = rest.place_of(b'=')
        && let Some(at) = rest.get(..equals).and_then(|head| head.rfind(' '))
    {
        into.push(("op", Written::bare(rest.get(..at).unwrap_or("").trim())));
        split(rest.get(at..).unwrap_or(""), into);
        return;
    }
    split(text, into);
}

/// The text of a value that may be hexadecimal.
fn decoded(value: Written<'_>) -> Cow<'_, str> {
    let Written { text: value, is_quoted } = value;
    let bytes = value.as_bytes();
    if is_quoted
        || bytes.len() < 4
        || bytes.len() % 2 == 1
        || !bytes
            .iter()
            .all(|byte| hex(*byte).is_some() && !byte.is_ascii_lowercase())
    {
        return value.into();
    }
    let mut text = Vec::with_capacity(bytes.len() / 2);
    for pair in bytes.chunks_exact(2) {
        if let [high, low] = pair {
            let byte = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
            // NUL separates arguments.
            text.push(if byte == 0 { b' ' } else { byte });
        }
    }
    String::from_utf8_lossy(&text).trim_end().to_owned().into()
}

/// Fields whose values users choose, which are hexadecimal when they need be.
fn is_untrusted(kind: &str, key: &str) -> bool {
    matches!(
        key,
        "exe"
            | "comm"
            | "cmd"
            | "name"
            | "cwd"
            | "proctitle"
            | "acct"
            | "path"
            | "dir"
            | "key"
            | "vm"
            | "old-disk"
            | "new-disk"
            | "ocomm"
            | "data"
            | "watch"
            | "grp"
    ) || kind == "EXECVE"
        && key.len() >= 2
        && key.starts_with('a')
        && key
            .bytes()
            .skip(1)
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'[' | b']'))
}

fn is_unset(id: &str) -> bool {
    matches!(id, "" | "4294967295" | "-1" | "unset" | "?")
}

/// The record's fields under their own names.
fn own(draft: &mut Draft, kind: &str, fields: &[(&str, Written<'_>)]) {
    for (key, value) in fields {
        if let Some(text) = own_value(kind, key, *value) {
            draft.set_own(key, text.as_ref());
        }
    }
}

/// A field's value as it is kept; `None` when it says nothing.
fn own_value<'a>(kind: &str, key: &str, value: Written<'a>) -> Option<Cow<'a, str>> {
    if key.len() > 64 || matches!(value.text, "?" | "(null)") {
        return None;
    }
    Some(if is_untrusted(kind, key) {
        decoded(value)
    } else {
        value.text.into()
    })
}

fn describe(draft: &mut Draft, kind: &str, fields: &[(&str, Written<'_>)]) {
    let written = |key: &str| {
        fields
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
            .filter(|value| !matches!(value.text, "?" | "(null)" | "(none)"))
    };
    let value = |key: &str| written(key).map(|value| value.text);
    let (action, categories, types) = meaning(kind);
    if kind == "AVC" && value("apparmor").is_some() {
        draft.set_fixed(ecs::EVENT_ACTION, "violated-apparmor-policy");
    } else if action.is_empty() {
        draft.set(ecs::EVENT_ACTION, Text::lowercase(kind));
    } else {
        draft.set(ecs::EVENT_ACTION, action);
    }
    if !categories.is_empty() {
        draft.set_list(ecs::EVENT_CATEGORY, categories);
        draft.set_list(ecs::EVENT_TYPE, types);
    }
    match value("res").or_else(|| value("success")).or_else(|| value("result")) {
        Some("success" | "1") => draft.outcome(true),
        Some("yes") => draft.outcome(true),
        Some("failed" | "0" | "no" | "fail") => draft.outcome(false),
        _ => {}
    }
    let number = |draft: &mut Draft, name: &'static str, key: &str| {
        if let Some(text) = value(key) {
            draft.set_int(name, text);
        }
    };
    number(draft, ecs::PROCESS_PID, "pid");
    number(draft, "process.parent.pid", "ppid");
    if kind == "SYSCALL" {
        number(draft, "process.exit_code", "exit");
        // Of x86-64: connect, sendto, sendmsg and sendmmsg go out; accept, recvfrom, recvmsg, bind, listen and accept4 come in.
        if value("arch") == Some("c000003e") {
            match value("syscall") {
                Some("42" | "44" | "46" | "307") => draft.set_fixed("network.direction", "egress"),
                Some("43" | "45" | "47" | "49" | "50" | "288" | "299") => {
                    draft.set_fixed("network.direction", "ingress")
                }
                _ => {}
            }
        }
    }
    for (name, key) in [
        ("process.executable", "exe"),
        ("process.name", "comm"),
        ("process.working_directory", "cwd"),
        ("process.tty.name", "tty"),
        ("service.name", "unit"),
    ] {
        if let Some(text) = written(key) {
            draft.set_text(name, &decoded(text));
        }
    }
    if draft.get("process.tty.name").is_none()
        && let Some(terminal) = value("terminal")
    {
        draft.set_text("process.tty.name", terminal);
    }
    people(draft, kind, &written);
    if let Some(address) = value("addr").or_else(|| value("laddr")) {
        endpoint(draft, &SOURCE, address, "");
    }
    if kind == "MAC_IPSEC_EVENT" {
        endpoint(draft, &SOURCE, value("src").unwrap_or(""), "");
        endpoint(draft, &crate::derive::DESTINATION, value("dst").unwrap_or(""), "");
    }
    match kind {
        "EXECVE" => arguments(draft, fields),
        "PROCTITLE" => {
            if let Some(title) = written("proctitle") {
                draft.set_text(ecs::PROCESS_COMMAND_LINE, &decoded(title));
            }
        }
        "USER_CMD" => {
            if let Some(command) = written("cmd") {
                draft.set_text(ecs::PROCESS_COMMAND_LINE, &decoded(command));
            }
        }
        "PATH" => {
            if let Some(name) = written("name") {
                draft.set_text("file.path", &decoded(name));
            }
            for (name, key) in [
                ("file.inode", "inode"),
                ("file.mode", "mode"),
                ("file.uid", "ouid"),
                ("file.gid", "ogid"),
            ] {
                draft.set_text(name, value(key).unwrap_or(""));
            }
        }
        "SOCKADDR" => {
            if let Some(address) = value("saddr") {
                socket_address(draft, address);
            }
        }
        "AVC" => {
            match (value("apparmor"), value("seresult")) {
                (Some("DENIED"), _) | (_, Some("denied")) => draft.outcome(false),
                (Some("ALLOWED" | "AUDIT"), _) | (_, Some("granted")) => draft.outcome(true),
                _ => {}
            }
            for key in ["path", "name"] {
                if let Some(path) = written(key).map(decoded).filter(|path| path.starts_with('/')) {
                    draft.set_default("file.path", path.as_ref());
                }
            }
        }
        _ => {}
    }
}

fn people<'a>(draft: &mut Draft, kind: &str, written: &dyn Fn(&str) -> Option<Written<'a>>) {
    let value = |key: &str| written(key).map(|value| value.text);
    let uid = value("uid").unwrap_or("");
    let auid = value("auid").filter(|id| !is_unset(id));
    draft.set_text(ecs::USER_ID, auid.unwrap_or(uid));
    let effective = value("euid").or_else(|| auid.map(|_| uid)).unwrap_or("");
    draft.set_text("user.effective.id", effective);
    draft.set_text("user.effective.group.id", value("egid").unwrap_or(""));
    draft.set_text("user.saved.id", value("suid").unwrap_or(""));
    draft.set_text("user.group.id", value("gid").unwrap_or(""));
    // Names that an enriching daemon looked up stand beside the numbers.
    if let Some(name) = value("AUID").filter(|name| *name != "unset").or_else(|| value("UID")) {
        draft.user(name);
    }
    if kind.has("GROUP") {
        draft.set_text(ecs::GROUP_ID, value("id").unwrap_or(""));
        if let Some(name) = written("grp") {
            draft.set_text(ecs::GROUP_NAME, &decoded(name));
        }
    }
    let account = written("acct").map(decoded);
    if let Some(account) = account {
        // An enriching daemon tells who changed the account; else nobody does, and its name is all there is.
        let is_changed = matches!(kind, "USER_CHAUTHTOK" | "ADD_USER" | "DEL_USER" | "USER_MGMT");
        if !is_changed || draft.get(ecs::USER_NAME).is_none() {
            draft.user(&account);
        }
        match kind {
            "USER_CHAUTHTOK" | "ADD_USER" | "DEL_USER" | "USER_MGMT" => draft.set_text(ecs::USER_TARGET_NAME, &account),
            "USER_CMD" => {}
            _ => draft.set_text(ecs::USER_EFFECTIVE_NAME, &account),
        }
    } else if let Some(user) = value("user").filter(|_| draft.get(ecs::USER_NAME).is_none()) {
        draft.user(user);
    }
    match kind {
        "ADD_USER" => draft.unified("ACCOUNT_CREATE", 4),
        "USER_AUTH" | "USER_LOGIN" | "USER_ERR" => {
            let failed = draft.str(ecs::EVENT_OUTCOME) == Some("failure");
            if kind != "USER_AUTH" || failed {
                draft.unified(
                    if failed { "LOGIN_FAIL" } else { "LOGIN_SUCCESS" },
                    if failed { 3 } else { 1 },
                );
            }
        }
        "DEL_USER" => draft.unified("ACCOUNT_DELETE", 4),
        "DAEMON_END" | "DAEMON_ABORT" => draft.unified("LOG_TAMPERING", 4),
        _ => {}
    }
}

/// `argc=2 a0="ls" a1=2D6C61`, where a long one is `a2[0]=… a2[1]=…`.
fn arguments(draft: &mut Draft, fields: &[(&str, Written<'_>)]) {
    let mut arguments: Vec<String> = Vec::new();
    for (key, value) in fields {
        let Some(index) = key
            .strip_prefix('a')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        else {
            continue;
        };
        if index.has("_len") {
            continue;
        }
        let part = decoded(*value);
        match index.cut_at(b'[') {
            Some((_, piece)) if !piece.starts_with('0') => {
                if let Some(last) = arguments.last_mut() {
                    last.push_str(&part);
                }
            }
            _ => arguments.push(part.into_owned()),
        }
    }
    if arguments.is_empty() {
        return;
    }
    draft.set(ecs::PROCESS_COMMAND_LINE, arguments.join(" "));
    let count = i64::try_from(arguments.len()).unwrap_or(i64::MAX);
    draft.set("process.args_count", count);
    let list = arguments.into_iter().map(Value::from).collect::<Value>();
    draft.set("process.args", list);
}

/// A `struct sockaddr` in hexadecimal: IPv4, IPv6 or a path.
fn socket_address(draft: &mut Draft, text: &str) {
    let bytes: Vec<u8> = text
        .as_bytes()
        .chunks_exact(2)
        .take(128)
        .map_while(|pair| match pair {
            [high, low] => Some(hex(*high)? * 16 + hex(*low)?),
            _ => None,
        })
        .collect();
    match bytes.as_slice() {
        [2, 0, p1, p2, a, b, c, d, ..] => {
            let port = u16::from_be_bytes([*p1, *p2]).to_string();
            let address = std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string();
            endpoint(draft, &crate::derive::DESTINATION, &address, &port);
        }
        [10, 0, p1, p2, _, _, _, _, rest @ ..] if rest.len() >= 16 => {
            let port = u16::from_be_bytes([*p1, *p2]).to_string();
            if let Some(Ok(octets)) = rest.get(..16).map(<[u8; 16]>::try_from) {
                let address = std::net::Ipv6Addr::from(octets).to_string();
                endpoint(draft, &crate::derive::DESTINATION, &address, &port);
            }
        }
        [1, 0, path @ ..] => {
            let end = path.iter().position(|byte| *byte == 0).unwrap_or(path.len());
            let path = String::from_utf8_lossy(path.get(..end).unwrap_or(&[])).into_owned();
            draft.set_text("file.path", &path);
        }
        _ => {}
    }
}
