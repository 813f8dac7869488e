//! The Security channel. Source: Microsoft's reference of advanced security audit events.

use model::{Value, ecs};

use super::security_codes::{described, service_type, status_text, why};
use super::security_events::{EVENTS, Who};
use super::{Event, classify, peer, set_number};
use crate::draft::Draft;
use crate::scan::Marks as _;

pub(super) fn describe(draft: &mut Draft, event: &Event<'_>) {
    let row = EVENTS.iter().find(|(id, ..)| *id == event.id);
    // The log service's own events of other numbers stand in this channel too.
    let who = match row {
        Some((_, action, categories, kinds, who)) => {
            classify(draft, action, categories, kinds);
            *who
        }
        None => Who::Subject,
    };
    people(draft, event, who);
    logon(draft, event);
    process(draft, event);
    draft.set_text("service.name", event.get("ServiceName"));
    draft.set_text("service.type", service_type(event.get("ServiceType")));
    match event.id {
        4768..=4771 => kerberos(draft, event),
        4776 if draft.get(ecs::EVENT_OUTCOME).is_none() => {
            if let Some(status) = super::number(event.get("Status")) {
                draft.outcome(status == 0);
            }
        }
        5140 | 5142..=5145 => share(draft, event),
        5152 | 5154 | 5156 | 5157 | 5158 => connection(draft, event),
        4660..=4663 | 4656 => draft.set_text("file.path", object(event)),
        4657 => {
            draft.set_text("registry.path", event.get("ObjectName"));
            draft.set_text("registry.value", event.get("ObjectValueName"));
        }
        4698..=4702 => draft.set_text("winlog.event_data.TaskName", event.get("TaskName")),
        _ => {}
    }
    verdict(draft, event);
}

fn object<'a>(event: &'a Event<'_>) -> &'a str {
    if event.get("ObjectType") == "File" {
        event.get("ObjectName")
    } else {
        ""
    }
}

fn person(draft: &mut Draft, names: [&'static str; 3], [name, domain, id]: [&str; 3]) {
    let [to_name, to_domain, to_id] = names;
    draft.set_text(to_name, name);
    draft.set_text(to_domain, domain);
    draft.set_text(to_id, id);
    draft.add_to_list(ecs::RELATED_USER, name);
}

const USER: [&str; 3] = [ecs::USER_NAME, "user.domain", ecs::USER_ID];
const ON: [&str; 3] = ["user.target.name", "user.target.domain", "user.target.id"];
const AS: [&str; 3] = ["user.effective.name", "user.effective.domain", "user.effective.id"];

fn people(draft: &mut Draft, event: &Event<'_>, who: Who) {
    let get = |name| event.get(name);
    let target_id = if get("TargetUserSid").is_empty() {
        get("TargetSid")
    } else {
        get("TargetUserSid")
    };
    let subject = [get("SubjectUserName"), get("SubjectDomainName"), get("SubjectUserSid")];
    let target = [get("TargetUserName"), get("TargetDomainName"), target_id];
    match who {
        Who::Subject => {
            person(draft, USER, subject);
            if event.id == 4688 && !target[0].is_empty() {
                person(draft, AS, target);
            }
        }
        Who::Target => {
            // A Kerberos name carries its realm.
            let name = target[0].parts(b'@').next().unwrap_or("");
            let id = if matches!(target[2], "S-1-0-0" | "NULL SID") {
                ""
            } else {
                target[2]
            };
            person(draft, USER, [name, target[1], id]);
            if event.id == 4624 {
                draft.add_to_list(ecs::RELATED_USER, subject[0]);
            }
        }
        Who::OnTarget => {
            person(draft, USER, subject);
            if event.id == 4781 {
                person(draft, ON, [get("OldTargetUserName"), "", ""]);
                draft.set_text("user.changes.name", get("NewTargetUserName"));
            } else {
                person(draft, ON, target);
            }
        }
        Who::OnComputer => {
            person(draft, USER, subject);
            for (name, text) in [
                ("winlog.computerObject.name", target[0]),
                ("winlog.computerObject.domain", target[1]),
                ("winlog.computerObject.id", target[2]),
            ] {
                draft.set_text(name, text);
            }
        }
        Who::OnGroup => {
            person(draft, USER, subject);
            draft.set_text(ecs::GROUP_NAME, target[0]);
            draft.set_text("group.domain", target[1]);
            draft.set_text(ecs::GROUP_ID, target[2]);
            member(draft, get("MemberName"), get("MemberSid"));
            if !get("MemberName").is_empty() {
                draft.set_text("user.target.group.name", target[0]);
                draft.set_text("user.target.group.domain", target[1]);
                draft.set_text("user.target.group.id", target[2]);
            }
        }
        Who::AsTarget => {
            person(draft, USER, subject);
            person(draft, AS, target);
        }
        Who::Session => {
            person(draft, USER, [get("AccountName"), get("AccountDomain"), ""]);
            peer(draft, get("ClientAddress"), "", get("ClientName"));
            draft.set_text("winlog.logon.id", get("LogonID"));
        }
    }
}

/// `CN=Alice,OU=People,DC=example,DC=org`
fn member(draft: &mut Draft, name: &str, id: &str) {
    let common = name
        .parts(b',')
        .find_map(|part| part.strip_prefix("CN=").or_else(|| part.strip_prefix("cn=")));
    let domain = name
        .parts(b',')
        .find_map(|part| part.strip_prefix("DC=").or_else(|| part.strip_prefix("dc=")));
    person(draft, ON, [common.unwrap_or(""), domain.unwrap_or(""), id]);
}

fn logon(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    // Collectors that leave the keywords out leave the outcome to the number.
    match event.id {
        4624 => draft.set_default_fixed(ecs::EVENT_OUTCOME, "success"),
        4625 => draft.set_default_fixed(ecs::EVENT_OUTCOME, "failure"),
        _ => {}
    }
    let id = if get("SubjectLogonId").is_empty() {
        get("TargetLogonId")
    } else {
        get("SubjectLogonId")
    };
    draft.set_text("winlog.logon.id", id);
    let kind = match get("LogonType") {
        "0" => "System",
        "2" => "Interactive",
        "3" => "Network",
        "4" => "Batch",
        "5" => "Service",
        "7" => "Unlock",
        "8" => "NetworkCleartext",
        "9" => "NewCredentials",
        "10" => "RemoteInteractive",
        "11" => "CachedInteractive",
        "12" => "CachedRemoteInteractive",
        "13" => "CachedUnlock",
        _ => "",
    };
    draft.set_text("winlog.logon.type", kind);
    if !get("IpAddress").is_empty() || !get("WorkstationName").is_empty() || !get("Workstation").is_empty() {
        let name = if get("WorkstationName").is_empty() {
            get("Workstation")
        } else {
            get("WorkstationName")
        };
        peer(draft, get("IpAddress"), get("IpPort"), name);
    }
    if event.id == 4625 {
        let sub = get("SubStatus").to_ascii_lowercase();
        let status = if matches!(sub.as_str(), "" | "0x0") {
            get("Status").to_ascii_lowercase()
        } else {
            sub
        };
        draft.set_text("winlog.logon.failure.status", described(get("Status")));
        draft.set_text("winlog.logon.failure.sub_status", described(get("SubStatus")));
        draft.set_text("winlog.logon.failure.reason", why(get("FailureReason")));
        draft.set_text(ecs::EVENT_REASON, status_text(&status));
    }
}

fn process(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    if event.id == 4688 {
        set_number(draft, ecs::PROCESS_PID, get("NewProcessId"));
        draft.set_text("process.executable", get("NewProcessName"));
        draft.set_text(ecs::PROCESS_COMMAND_LINE, get("CommandLine"));
        let arguments = words(get("CommandLine"));
        if !arguments.is_empty() {
            draft.set("process.args_count", i64::try_from(arguments.len()).unwrap_or(i64::MAX));
            draft.set(
                "process.args",
                arguments.into_iter().map(Value::from).collect::<Value>(),
            );
        }
        set_number(draft, "process.parent.pid", get("ProcessId"));
        draft.set_text("process.parent.executable", get("ParentProcessName"));
        return;
    }
    set_number(draft, ecs::PROCESS_PID, get("ProcessId"));
    draft.set_text("process.executable", get("ProcessName"));
    if draft.get("process.executable").is_none() {
        draft.set_text("process.executable", get("Application"));
    }
}

/// The words of a command line with their quotes, at spaces outside of quotes.
fn words(line: &str) -> Vec<&str> {
    let mut quoted = false;
    let words = line.split(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    });
    words.filter(|word| !word.is_empty()).take(256).collect()
}

fn kerberos(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    let algorithm = match get("TicketEncryptionType").to_ascii_lowercase().as_str() {
        "0x1" => "DES-CBC-CRC",
        "0x3" => "DES-CBC-MD5",
        "0x11" => "AES128-CTS-HMAC-SHA1-96",
        "0x12" => "AES256-CTS-HMAC-SHA1-96",
        "0x17" => "RC4-HMAC",
        "0x18" => "RC4-HMAC-EXP",
        "0xffffffff" => "FAIL",
        _ => "",
    };
    draft.set_text("winlog.event_data.TicketEncryptionTypeDescription", algorithm);
    draft.set_text("service.id", get("ServiceSid"));
    let status = get("Status");
    if !status.is_empty() && draft.get(ecs::EVENT_OUTCOME).is_none() {
        draft.outcome(status == "0x0");
    }
}

fn share(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    let (directory, share) = (get("ShareLocalPath"), get("ShareName").trim_end_matches('\\'));
    let name = get("RelativeTargetName").trim_matches('\\');
    draft.set_text("file.directory", directory);
    draft.set_text("file.name", name);
    if name.is_empty() {
        draft.set_text("file.path", if directory.is_empty() { share } else { directory });
        return;
    }
    let target = format!("{share}\\{name}");
    let path = match directory {
        "" => target.clone(),
        directory => format!("{}\\{name}", directory.trim_end_matches('\\')),
    };
    draft.set("file.path", path);
    draft.set("file.target_path", target);
}

fn connection(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    crate::derive::endpoint(draft, &crate::derive::SOURCE, get("SourceAddress"), get("SourcePort"));
    crate::derive::endpoint(draft, &crate::derive::DESTINATION, get("DestAddress"), get("DestPort"));
    let transport = match get("Protocol") {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        "58" => "ipv6-icmp",
        _ => "",
    };
    draft.set_text("network.transport", transport);
    draft.set_text("network.iana_number", get("Protocol"));
    match get("Direction") {
        "%%14592" => draft.set_fixed("network.direction", "ingress"),
        "%%14593" => draft.set_fixed("network.direction", "egress"),
        _ => {}
    }
    set_number(draft, ecs::PROCESS_PID, get("ProcessID"));
    draft.set_text("rule.id", get("FilterRTID"));
}

/// Heimdall's types.
fn verdict(draft: &mut Draft, event: &Event<'_>) {
    let failed = draft.str(ecs::EVENT_OUTCOME) == Some("failure");
    match event.id {
        1102 | 1100 => draft.unified("LOG_TAMPERING", 5),
        4719 => draft.unified("LOG_TAMPERING", 4),
        4624 => draft.unified("LOGIN_SUCCESS", 1),
        4625 | 4771 => draft.unified("LOGIN_FAIL", 3),
        4768 | 4776 if failed => draft.unified("LOGIN_FAIL", 3),
        4720 | 4741 => draft.unified("ACCOUNT_CREATE", 4),
        4726 => draft.unified("ACCOUNT_DELETE", 4),
        4740 => draft.unified("ACCOUNT_LOCKOUT", 3),
        4723 | 4724 => draft.unified("PASSWORD_CHANGE", 3),
        4672 => draft.unified("PRIVILEGED_LOGIN", 1),
        4697 => draft.unified("SERVICE_INSTALL", 4),
        4698 => draft.unified("TASK_CREATE", 3),
        4648 => draft.unified("EXPLICIT_LOGIN", 2),
        _ => {}
    }
}
