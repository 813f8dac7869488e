//! The Security channel. Source: Microsoft's reference of advanced security audit events.

use model::{Value, ecs};

use super::{Event, classify, peer, set_number};
use crate::draft::Draft;
use crate::scan::Marks as _;

/// Who an event is about, by which members name them.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    /// The subject did something.
    Subject,
    /// The target logged on or off.
    Target,
    /// The subject did something to the target's account.
    OnTarget,
    /// The subject did something to a computer's account.
    OnComputer,
    /// The subject did something to a group, perhaps with a member.
    OnGroup,
    /// The subject acts as the target.
    AsTarget,
    /// A session of an account.
    Session,
}

type Row = (i64, &'static str, &'static [&'static str], &'static [&'static str], Who);

const IAM: &[&str] = &["iam"];
const USER_ADD: &[&str] = &["user", "creation"];
const USER_CHANGE: &[&str] = &["user", "change"];
const USER_DELETE: &[&str] = &["user", "deletion"];
const GROUP_ADD: &[&str] = &["group", "creation"];
const GROUP_CHANGE: &[&str] = &["group", "change"];
const GROUP_DELETE: &[&str] = &["group", "deletion"];
const AUTH: &[&str] = &["authentication"];
const CONFIG: &[&str] = &["iam", "configuration"];
const SETUP: &[&str] = &["configuration"];
const ADMIN_CHANGE: &[&str] = &["admin", "change"];
const ADMIN_ADD: &[&str] = &["admin", "creation"];
const ADMIN_DELETE: &[&str] = &["admin", "deletion"];

const EVENTS: &[Row] = &[
    (1100, "logging-service-shutdown", &["process"], &["end"], Who::Subject),
    (1102, "audit-log-cleared", IAM, ADMIN_CHANGE, Who::Subject),
    (1104, "logging-full", IAM, &["admin"], Who::Subject),
    (1105, "auditlog-archieved", IAM, &["admin"], Who::Subject),
    (1108, "logging-processing-error", IAM, &["admin"], Who::Subject),
    (4608, "windows-started", &["host"], &["start"], Who::Subject),
    (4610, "authentication-package-loaded", SETUP, &["access"], Who::Subject),
    (
        4611,
        "trusted-logon-process-registered",
        SETUP,
        &["change"],
        Who::Subject,
    ),
    (4614, "notification-package-loaded", SETUP, &["access"], Who::Subject),
    (4616, "system-time-changed", SETUP, &["change"], Who::Subject),
    (4622, "security-package-loaded", SETUP, &["access"], Who::Subject),
    (4624, "logged-in", AUTH, &["start"], Who::Target),
    (4625, "logon-failed", AUTH, &["start"], Who::Target),
    (4634, "logged-out", AUTH, &["end"], Who::Target),
    (4647, "logged-out", AUTH, &["end"], Who::Target),
    (4648, "logged-in-explicit", AUTH, &["start"], Who::AsTarget),
    (4649, "replay-attack-detected", AUTH, &["start"], Who::Target),
    (
        4657,
        "registry-value-modified",
        &["configuration", "registry"],
        &["change"],
        Who::Subject,
    ),
    (4658, "handle-closed", &["file"], &["info"], Who::Subject),
    (4660, "object-deleted", &["file"], &["deletion"], Who::Subject),
    (4661, "handle-requested", &["file"], &["access"], Who::Subject),
    (4662, "object-operation-performed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4663, "object-accessed", &["file"], &["access"], Who::Subject),
    (4670, "permissions-changed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4672, "logged-in-special", IAM, &["admin"], Who::Subject),
    (4673, "privileged-service-called", IAM, &["admin"], Who::Subject),
    (4674, "privileged-operation", IAM, &["admin"], Who::Subject),
    (4688, "created-process", &["process"], &["start"], Who::Subject),
    (4689, "exited-process", &["process"], &["end"], Who::Subject),
    (4690, "handle-duplicated", &["process"], &["info"], Who::Subject),
    (4696, "primary-token-assigned", &["process"], &["change"], Who::AsTarget),
    (4697, "service-installed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4698, "scheduled-task-created", CONFIG, ADMIN_ADD, Who::Subject),
    (4699, "scheduled-task-deleted", CONFIG, ADMIN_DELETE, Who::Subject),
    (4700, "scheduled-task-enabled", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4701, "scheduled-task-disabled", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4702, "scheduled-task-updated", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4704, "user-right-assigned", IAM, USER_CHANGE, Who::Subject),
    (4705, "user-right-removed", IAM, USER_CHANGE, Who::Subject),
    (
        4706,
        "domain-trust-added",
        &["configuration"],
        &["creation"],
        Who::Subject,
    ),
    (
        4707,
        "domain-trust-removed",
        &["configuration"],
        &["deletion"],
        Who::Subject,
    ),
    (
        4713,
        "kerberos-policy-changed",
        &["configuration"],
        &["change"],
        Who::Subject,
    ),
    (
        4714,
        "encrypted-data-recovery-policy-changed",
        SETUP,
        &["change"],
        Who::Subject,
    ),
    (4715, "object-audit-policy-changed", SETUP, &["change"], Who::Subject),
    (
        4716,
        "trusted-domain-information-changed",
        &["configuration"],
        &["change"],
        Who::Subject,
    ),
    (
        4717,
        "system-security-access-granted",
        CONFIG,
        ADMIN_CHANGE,
        Who::Subject,
    ),
    (
        4718,
        "system-security-access-removed",
        CONFIG,
        &["admin", "deletion"],
        Who::Subject,
    ),
    (4719, "changed-audit-config", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4720, "added-user-account", IAM, USER_ADD, Who::OnTarget),
    (4722, "enabled-user-account", IAM, USER_CHANGE, Who::OnTarget),
    (4723, "changed-password", IAM, USER_CHANGE, Who::OnTarget),
    (4724, "reset-password", IAM, USER_CHANGE, Who::OnTarget),
    (4725, "disabled-user-account", IAM, USER_DELETE, Who::OnTarget),
    (4726, "deleted-user-account", IAM, USER_DELETE, Who::OnTarget),
    (4727, "added-group-account", IAM, GROUP_ADD, Who::OnGroup),
    (4728, "added-member-to-group", IAM, GROUP_CHANGE, Who::OnGroup),
    (4729, "removed-member-from-group", IAM, GROUP_CHANGE, Who::OnGroup),
    (4730, "deleted-group-account", IAM, GROUP_DELETE, Who::OnGroup),
    (4731, "added-group-account", IAM, GROUP_ADD, Who::OnGroup),
    (4732, "added-member-to-group", IAM, GROUP_CHANGE, Who::OnGroup),
    (4733, "removed-member-from-group", IAM, GROUP_CHANGE, Who::OnGroup),
    (4734, "deleted-group-account", IAM, GROUP_DELETE, Who::OnGroup),
    (4735, "modified-group-account", IAM, GROUP_CHANGE, Who::OnGroup),
    (4737, "modified-group-account", IAM, GROUP_CHANGE, Who::OnGroup),
    (4738, "modified-user-account", IAM, USER_CHANGE, Who::OnTarget),
    (
        4739,
        "domain-policy-changed",
        &["configuration"],
        &["change"],
        Who::Subject,
    ),
    (4740, "locked-out-user-account", IAM, USER_CHANGE, Who::OnTarget),
    (4741, "added-computer-account", IAM, ADMIN_ADD, Who::OnComputer),
    (4742, "changed-computer-account", IAM, ADMIN_CHANGE, Who::OnComputer),
    (4743, "deleted-computer-account", IAM, ADMIN_DELETE, Who::OnComputer),
    (4744, "added-distribution-group-account", IAM, GROUP_ADD, Who::OnGroup),
    (
        4745,
        "changed-distribution-group-account",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4746,
        "added-member-to-distribution-group",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4747,
        "removed-member-from-distribution-group",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4748,
        "deleted-distribution-group-account",
        IAM,
        GROUP_DELETE,
        Who::OnGroup,
    ),
    (4749, "added-distribution-group-account", IAM, GROUP_ADD, Who::OnGroup),
    (
        4750,
        "changed-distribution-group-account",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4751,
        "added-member-to-distribution-group",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4752,
        "removed-member-from-distribution-group",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4753,
        "deleted-distribution-group-account",
        IAM,
        GROUP_DELETE,
        Who::OnGroup,
    ),
    (4754, "added-group-account", IAM, GROUP_ADD, Who::OnGroup),
    (4755, "modified-group-account", IAM, GROUP_CHANGE, Who::OnGroup),
    (4756, "added-member-to-group", IAM, GROUP_CHANGE, Who::OnGroup),
    (4757, "removed-member-from-group", IAM, GROUP_CHANGE, Who::OnGroup),
    (4758, "deleted-group-account", IAM, GROUP_DELETE, Who::OnGroup),
    (4759, "added-distribution-group-account", IAM, GROUP_ADD, Who::OnGroup),
    (
        4760,
        "changed-distribution-group-account",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4761,
        "added-member-to-distribution-group",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4762,
        "removed-member-from-distribution-group",
        IAM,
        GROUP_CHANGE,
        Who::OnGroup,
    ),
    (
        4763,
        "deleted-distribution-group-account",
        IAM,
        GROUP_DELETE,
        Who::OnGroup,
    ),
    (4764, "type-changed-group-account", IAM, GROUP_CHANGE, Who::OnGroup),
    (4765, "sid-history-added", IAM, USER_CHANGE, Who::OnTarget),
    (4766, "sid-history-add-attempt", IAM, USER_CHANGE, Who::OnTarget),
    (4767, "unlocked-user-account", IAM, USER_CHANGE, Who::OnTarget),
    (
        4768,
        "kerberos-authentication-ticket-requested",
        AUTH,
        &["start"],
        Who::Target,
    ),
    (4769, "kerberos-service-ticket-requested", AUTH, &["start"], Who::Target),
    (4770, "kerberos-service-ticket-renewed", AUTH, &["start"], Who::Target),
    (4771, "kerberos-preauth-failed", AUTH, &["start"], Who::Target),
    (4776, "credential-validated", AUTH, &["start"], Who::Target),
    (
        4778,
        "session-reconnected",
        &["authentication", "session"],
        &["start"],
        Who::Session,
    ),
    (
        4779,
        "session-disconnected",
        &["authentication", "session"],
        &["end"],
        Who::Session,
    ),
    (4781, "renamed-user-account", IAM, USER_CHANGE, Who::OnTarget),
    (4794, "dsrm-password-set-attempt", IAM, USER_CHANGE, Who::Subject),
    (
        4797,
        "query-existence-of-blank-password",
        IAM,
        &["user", "info"],
        Who::OnTarget,
    ),
    (
        4798,
        "group-membership-enumerated",
        IAM,
        &["user", "info"],
        Who::OnTarget,
    ),
    (4799, "user-member-enumerated", IAM, &["group", "info"], Who::OnGroup),
    (4800, "workstation-locked", &["session"], &["info"], Who::Target),
    (4801, "workstation-unlocked", &["session"], &["info"], Who::Target),
    (4817, "object-audit-changed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4902, "user-audit-policy-created", CONFIG, ADMIN_ADD, Who::Subject),
    (4904, "security-event-source-added", CONFIG, ADMIN_CHANGE, Who::Subject),
    (
        4905,
        "security-event-source-removed",
        CONFIG,
        ADMIN_DELETE,
        Who::Subject,
    ),
    (4906, "crash-on-audit-changed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4907, "audit-setting-changed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (4908, "special-group-table-changed", CONFIG, ADMIN_CHANGE, Who::Subject),
    (
        4912,
        "per-user-audit-policy-changed",
        CONFIG,
        ADMIN_CHANGE,
        Who::Subject,
    ),
    (
        4946,
        "firewall-rule-added",
        &["configuration"],
        &["creation"],
        Who::Subject,
    ),
    (
        4947,
        "firewall-rule-modified",
        &["configuration"],
        &["change"],
        Who::Subject,
    ),
    (
        4948,
        "firewall-rule-deleted",
        &["configuration"],
        &["deletion"],
        Who::Subject,
    ),
    (
        4950,
        "windows-firewall-setting-changed",
        SETUP,
        &["change"],
        Who::Subject,
    ),
    (
        4954,
        "windows-firewall-group-policy-changed",
        SETUP,
        &["change"],
        Who::Subject,
    ),
    (4964, "logged-in-special", IAM, &["admin", "group"], Who::Target),
    (
        5024,
        "windows-firewall-service-started",
        &["process"],
        &["start"],
        Who::Subject,
    ),
    (
        5025,
        "windows-firewall-service-stopped",
        &["process"],
        &["end"],
        Who::Subject,
    ),
    (
        5031,
        "windows-firewall-application-blocked",
        &["network"],
        &["denied"],
        Who::Subject,
    ),
    (
        5033,
        "windows-firewall-driver-started",
        &["driver"],
        &["start"],
        Who::Subject,
    ),
    (
        5034,
        "windows-firewall-driver-stopped",
        &["driver"],
        &["end"],
        Who::Subject,
    ),
    (
        5037,
        "windows-firewall-driver-error",
        &["driver"],
        &["end"],
        Who::Subject,
    ),
    (
        5136,
        "directory-service-object-modified",
        CONFIG,
        ADMIN_CHANGE,
        Who::Subject,
    ),
    (5137, "directory-service-object-created", IAM, ADMIN_ADD, Who::Subject),
    (
        5140,
        "network-share-object-accessed",
        &["network", "file"],
        &["access", "info"],
        Who::Subject,
    ),
    (
        5142,
        "network-share-object-added",
        &["network", "file"],
        &["creation"],
        Who::Subject,
    ),
    (
        5143,
        "network-share-object-modified",
        &["network", "file"],
        &["change"],
        Who::Subject,
    ),
    (
        5144,
        "network-share-object-deleted",
        &["network", "file"],
        &["deletion"],
        Who::Subject,
    ),
    (
        5145,
        "network-share-object-access-checked",
        &["network", "file"],
        &["access", "info"],
        Who::Subject,
    ),
    (
        5152,
        "windows-firewall-packet-block",
        &["network"],
        &["denied", "connection"],
        Who::Subject,
    ),
    (
        5154,
        "windows-firewall-listen-permitted",
        &["network"],
        &["allowed", "info"],
        Who::Subject,
    ),
    (
        5156,
        "windows-firewall-connection",
        &["network"],
        &["allowed", "connection"],
        Who::Subject,
    ),
    (
        5157,
        "windows-firewall-connection-blocked",
        &["network"],
        &["denied", "connection"],
        Who::Subject,
    ),
    (
        5158,
        "windows-firewall-bind-permitted",
        &["network"],
        &["allowed", "info"],
        Who::Subject,
    ),
    (
        5379,
        "credential-manager-credentials-were-read",
        IAM,
        &["user", "info"],
        Who::Subject,
    ),
    (5380, "vault-credential-find", IAM, &["user", "info"], Who::Subject),
    (
        5381,
        "vault-credentials-were-read",
        IAM,
        &["user", "info"],
        Who::Subject,
    ),
    (
        5382,
        "vault-credentials-were-read",
        IAM,
        &["user", "info"],
        Who::Subject,
    ),
    (6416, "external-device-recognized", &["host"], &["info"], Who::Subject),
];

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

/// Microsoft's words for the code of a refused logon; the code where it has none.
fn described(code: &str) -> &str {
    match code.to_ascii_lowercase().as_str() {
        "0x0" => "Status OK.",
        "0xc000005e" => "There are currently no logon servers available to service the logon request.",
        "0xc0000064" => "User logon with misspelled or bad user account",
        "0xc000006a" => "User logon with misspelled or bad password",
        "0xc000006d" => "This is either due to a bad username or authentication information",
        "0xc000006e" => "Unknown user name or bad password.",
        "0xc000006f" => "User logon outside authorized hours",
        "0xc0000070" => "User logon from unauthorized workstation",
        "0xc0000071" => "User logon with expired password",
        "0xc0000072" => "User logon to account disabled by administrator",
        "0xc00000dc" => "Indicates the Sam Server was in the wrong state to perform the desired operation.",
        "0xc0000133" => "Clocks between DC and other computer too far out of sync",
        "0xc000015b" => "The user has not been granted the requested logon type (aka logon right) at this machine",
        "0xc000018c" => {
            "The logon request failed because the trust relationship between the primary domain and the trusted domain failed."
        }
        "0xc0000192" => "An attempt was made to logon, but the Netlogon service was not started.",
        "0xc0000193" => "User logon with expired account",
        "0xc0000224" => "User is required to change password at next logon",
        "0xc0000234" => "User logon with account locked",
        _ => code,
    }
}

/// The text of a reason that is a message of Windows' own.
fn why(reason: &str) -> &str {
    match reason {
        "%%2304" => "An Error occured during Logon.",
        "%%2305" => "The specified user account has expired.",
        "%%2306" => "The NetLogon component is not active.",
        "%%2307" => "Account locked out.",
        "%%2308" => "The user has not been granted the requested logon type at this machine.",
        "%%2309" => "The specified account's password has expired.",
        "%%2310" => "Account currently disabled.",
        "%%2311" => "Account logon time restriction violation.",
        "%%2312" => "User not allowed to logon at this computer.",
        "%%2313" => "Unknown user name or bad password.",
        other => other,
    }
}

/// What kind of service a number means.
fn service_type(number: &str) -> &str {
    match number {
        "0x1" => "Kernel Driver",
        "0x2" => "File System Driver",
        "0x8" => "Recognizer Driver",
        "0x10" => "Win32 Own Process",
        "0x20" => "Win32 Share Process",
        "0x110" => "Interactive Own Process",
        "0x120" => "Interactive Share Process",
        other => other,
    }
}

/// What the usual codes of a refused logon mean.
fn status_text(code: &str) -> &'static str {
    match code {
        "0xc0000064" => "user name does not exist",
        "0xc000006a" => "user name is correct but the password is wrong",
        "0xc000006d" => "bad user name or authentication information",
        "0xc000006e" => "account restrictions",
        "0xc000006f" => "logon outside authorized hours",
        "0xc0000070" => "logon from unauthorized workstation",
        "0xc0000071" | "0xc0000224" => "password expired or must change",
        "0xc0000072" => "account disabled",
        "0xc0000133" => "clocks out of sync",
        "0xc000015b" => "logon type not granted",
        "0xc000018c" => "trust relationship failed",
        "0xc0000193" => "account expired",
        "0xc0000234" => "account locked out",
        "0xc0000413" => "authentication firewall",
        _ => "",
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
    crate::derive::endpoint(draft, crate::derive::SOURCE, get("SourceAddress"), get("SourcePort"));
    crate::derive::endpoint(draft, crate::derive::DESTINATION, get("DestAddress"), get("DestPort"));
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
