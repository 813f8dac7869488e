//! Channels beside Security and Sysmon's: System, PowerShell, Defender, the task scheduler.

use model::{Value, ecs};

use super::{Event, account, classify, number, sysmon};
use crate::draft::Draft;
use crate::scan::Marks as _;

pub(super) fn describe(draft: &mut Draft, event: &Event<'_>) {
    match event.channel.as_ref() {
        "System" => {
            draft.set_fixed(ecs::EVENT_DATASET, "system.system");
            system(draft, event);
        }
        "Application" => draft.set_fixed(ecs::EVENT_DATASET, "system.application"),
        "Windows PowerShell" => {
            draft.set_fixed(ecs::EVENT_DATASET, "windows.powershell");
            classic(draft, event);
        }
        "Microsoft-Windows-PowerShell/Operational" | "PowerShellCore/Operational" => {
            draft.set_fixed(ecs::EVENT_DATASET, "windows.powershell_operational");
            powershell(draft, event);
        }
        "Microsoft-Windows-Windows Defender/Operational" => {
            draft.set_fixed(ecs::EVENT_DATASET, "windows.windows_defender");
            defender(draft, event);
        }
        "Microsoft-Windows-TaskScheduler/Operational" => {
            draft.set_fixed(ecs::EVENT_DATASET, "windows.taskscheduler");
            task(draft, event);
        }
        _ if event.provider_is("Microsoft-Windows-IIS-Logging") => iis(draft, event),
        _ => draft.set_fixed(ecs::EVENT_DATASET, "windows.forwarded"),
    }
    if draft.get(ecs::USER_NAME).is_none() {
        let (domain, user) = account(event.get("SubjectUserName"));
        draft.set_text(
            "user.domain",
            if domain.is_empty() {
                event.get("SubjectDomainName")
            } else {
                domain
            },
        );
        draft.user(user);
    }
    // Whoever wrote the event did it, where its data name nobody or only who cleared a log.
    let is_writer = draft.get(ecs::USER_NAME).is_none() || matches!(event.id, 104 | 1102);
    if is_writer && draft.get(ecs::USER_ID).is_none() && event.writer.starts_with("S-1-") {
        draft.set_text(ecs::USER_ID, &event.writer);
    }
    if draft.get(ecs::USER_NAME).is_none() {
        let [domain, name] = &event.writer_account;
        draft.set_text("user.domain", domain);
        draft.user(name);
    }
}

fn system(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    match event.id {
        7045 => {
            classify(draft, "service-installed", &["configuration", "process"], &["creation"]);
            draft.set_text("service.name", get("ServiceName"));
            draft.set_text("process.executable", get("ImagePath"));
            draft.unified("SERVICE_INSTALL", 4);
        }
        7036 => {
            classify(draft, "service-state-changed", &["process"], &["change"]);
            draft.set_text("service.name", get("param1"));
            draft.set_text("service.state", get("param2"));
        }
        7040 => {
            classify(draft, "service-start-type-changed", &["configuration"], &["change"]);
            draft.set_text("service.name", get("param1"));
        }
        104 | 1102 => {
            classify(draft, "event-log-cleared", &["configuration"], &["deletion"]);
            draft.unified("LOG_TAMPERING", 5);
        }
        6005 => classify(draft, "event-log-started", &["host"], &["start"]),
        6006 => classify(draft, "event-log-stopped", &["host"], &["end"]),
        1074 => {
            classify(draft, "system-shutdown-initiated", &["host"], &["end"]);
            // `C:\Windows\System32\shutdown.exe (WS1)`
            let program = get("param1");
            draft.set_text(
                "process.executable",
                program.cut(" (").map_or(program, |(program, _)| program),
            );
            draft.set_text(ecs::EVENT_REASON, get("param3"));
            let (domain, user) = account(get("param7"));
            draft.set_text("user.domain", domain);
            draft.user(user);
        }
        6008 | 41 => {
            classify(draft, "unexpected-shutdown", &["host"], &["end"]);
            draft.unified("CRITICAL_ERROR", 3);
        }
        _ => {}
    }
}

/// `Name = value` lines, as PowerShell's context has them.
fn lines<'a>(text: &'a str, separator: &'static str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.lines().take(128).filter_map(move |line| {
        let (name, value) = line.split_once(separator)?;
        // Shippers put other members in front of the first line.
        let name = name.cut_last_at(b'\t').map_or(name, |(_, name)| name);
        Some((name.trim(), value.trim()))
    })
}

fn context<'a>(draft: &mut Draft, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut people = ("", "");
    for (name, value) in pairs {
        match name {
            "Host ID" | "HostId" => draft.set_text("process.entity_id", value),
            "Host Application" | "HostApplication" => {
                draft.set_text(ecs::PROCESS_COMMAND_LINE, value);
                sysmon::set_arguments(draft, value, ["process.args", "process.args_count"]);
            }
            "Host Name" | "HostName" => draft.set_text("process.title", value),
            "Shell ID" | "ShellID" => draft.set_text("powershell.id", value),
            "DetailSequence" => draft.set_int("powershell.sequence", value),
            "DetailTotal" => draft.set_int("powershell.total", value),
            "Host Version" | "HostVersion" => draft.set_text("powershell.process.executable_version", value),
            "Engine Version" | "EngineVersion" => draft.set_text("powershell.engine.version", value),
            "Runspace ID" | "RunspaceId" => draft.set_text("powershell.runspace_id", value),
            "Pipeline ID" | "PipelineId" => draft.set_text("powershell.pipeline_id", value),
            "Command Name" | "CommandName" => draft.set_text("powershell.command.name", value),
            "Command Type" | "CommandType" => draft.set_text("powershell.command.type", value),
            "Command Path" | "CommandPath" => draft.set_text("powershell.command.path", value),
            "Command Line" | "CommandLine" => draft.set_text("powershell.command.value", value),
            "Script Name" | "ScriptName" => script(draft, value),
            "NewEngineState" => draft.set_text("powershell.engine.new_state", value),
            "PreviousEngineState" => draft.set_text("powershell.engine.previous_state", value),
            "NewProviderState" => draft.set_text("powershell.provider.new_state", value),
            "ProviderName" => draft.set_text("powershell.provider.name", value),
            "User" | "UserId" => people.0 = value,
            "Connected User" | "ConnectedUser" => people.1 = value,
            "SequenceNumber" | "Sequence Number" => draft.set_int("event.sequence", value),
            _ => {}
        }
    }
    // With remoting there are two: who came, and who it runs as.
    let (runs_as, came) = people;
    let (domain, user) = account(if came.is_empty() { runs_as } else { came });
    draft.set_text("user.domain", domain);
    draft.user(user);
    if !came.is_empty() {
        draft.set_text("source.user.domain", domain);
        draft.set_text(ecs::SOURCE_USER_NAME, user);
        let (domain, user) = account(runs_as);
        draft.set_text("destination.user.domain", domain);
        draft.set_text("destination.user.name", user);
    }
}

/// A script's path, and the directory it is in.
fn script(draft: &mut Draft, path: &str) {
    draft.set_text("file.path", path);
    if let Some((directory, _)) = path.cut_last_at(b'\\') {
        draft.set_text("file.directory", directory);
    }
}

/// How many lines of a pipeline's details are taken apart.
const MAX_DETAILS: usize = 128;

/// `CommandInvocation(Out-Default): "Out-Default"` and `ParameterBinding(Out-Default): name="InputObject"; value="x"`, a line
/// each: a list for each member.
fn details(draft: &mut Draft, text: &str) {
    const MEMBERS: [&str; 4] = [
        "powershell.command.invocation_details.type",
        "powershell.command.invocation_details.related_command",
        "powershell.command.invocation_details.name",
        "powershell.command.invocation_details.value",
    ];
    let mut lists: [Vec<Value>; 4] = Default::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()).take(MAX_DETAILS) {
        let mut read = ["", "", "", line];
        if let Some((kind, rest)) = line.cut_at(b'(')
            && !kind.is_empty()
            && let Some((command, value)) = rest.cut("):")
        {
            let value = value.trim_start();
            read = [kind, command, "", value];
            if kind == "ParameterBinding"
                && let Some((name, value)) = value.strip_prefix("name=").and_then(|rest| rest.cut("; value="))
            {
                read = [kind, command, name, value];
            }
        }
        for (list, text) in lists.iter_mut().zip(read) {
            if !text.is_empty() {
                list.push(Value::from(text));
            }
        }
    }
    for (name, list) in MEMBERS.into_iter().zip(lists) {
        if !list.is_empty() {
            draft.set(name, list);
        }
    }
}

fn powershell(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    // PowerShell writes as who runs it.
    if event.writer.starts_with("S-1-") {
        draft.set_text(ecs::USER_ID, &event.writer);
    }
    match event.id {
        4103 => {
            classify(draft, "powershell-command", &["process"], &["info"]);
            context(draft, lines(get("ContextInfo"), " = "));
            details(draft, get("Payload"));
        }
        4104 => {
            classify(draft, "powershell-script-block", &["process"], &["info"]);
            draft.set_text("powershell.file.script_block_id", get("ScriptBlockId"));
            draft.set_text("powershell.file.script_block_text", get("ScriptBlockText"));
            draft.set_int("powershell.sequence", get("MessageNumber"));
            draft.set_int("powershell.total", get("MessageTotal"));
            script(draft, get("Path"));
            if event.level == "warning" {
                draft.unified("SUSPICIOUS_SCRIPT", 3);
            }
        }
        4105 | 4106 => {
            let start = event.id == 4105;
            let action = if start {
                "powershell-script-started"
            } else {
                "powershell-script-stopped"
            };
            classify(draft, action, &["process"], &[if start { "start" } else { "end" }]);
            draft.set_text("powershell.file.script_block_id", get("ScriptBlockId"));
            draft.set_text("powershell.runspace_id", get("RunspaceId"));
        }
        _ => {}
    }
}

/// The classic log has its members as one text among others: `\tHostName=ConsoleHost\r\n\t…`.
fn classic(draft: &mut Draft, event: &Event<'_>) {
    let (action, kinds): (_, &[&str]) = match event.id {
        400 => ("powershell-engine-started", &["start"]),
        403 => ("powershell-engine-stopped", &["end"]),
        600 => ("powershell-provider-started", &["info"]),
        800 => ("powershell-pipeline-details", &["info"]),
        _ => return,
    };
    classify(draft, action, &["process"], kinds);
    // Where a shipper has no data, they are in the message.
    let members = || event.data.values().filter_map(|value| value.as_str());
    let message = [event.message.as_ref()];
    let has_members = members().any(|text| text.contains("HostId=") || text.contains("HostApplication="));
    let texts: Vec<String> = members()
        .chain(message.into_iter().filter(|_| !has_members))
        .map(|text| {
            // Some shippers write the ends of lines as `\r\n\t`; in a text of several lines that is a path's.
            if text.contains('\n') {
                text.to_owned()
            } else {
                text.replace("\\r\\n", "\n")
                    .replace("\\n\\t", "\n")
                    .replace("\n\\t", "\n")
            }
        })
        .collect();
    for text in &texts {
        context(draft, lines(text, "="));
        if event.id == 800 && (text.starts_with("CommandInvocation(") || text.starts_with("ParameterBinding(")) {
            details(draft, text);
        }
    }
}

fn defender(draft: &mut Draft, event: &Event<'_>) {
    // Members have spaces in their names.
    let get = |name: &str| event.get(name);
    let detected = matches!(event.id, 1006 | 1007 | 1008 | 1015 | 1116 | 1117 | 1118 | 1119);
    if detected {
        draft.set_fixed(ecs::EVENT_KIND, "alert");
        let action = match event.id {
            1117 if get("Action Name") == "Quarantine" => "malware-quarantined",
            1116 | 1117 | 1006 => "malware-detected",
            _ => "malware-action-taken",
        };
        classify(draft, action, &["malware"], &["info"]);
        draft.set_text("threat.indicator.name", get("Threat Name"));
        draft.set_text("rule.name", get("Threat Name"));
        // `containerfile:_A; file:_A->B` has the archive first and what was found in it last.
        let path = get("Path").rsplit("; ").next().unwrap_or("");
        let kinds = ["file:_", "containerfile:_", "webfile:_", "process:_"];
        let file = kinds.iter().find_map(|kind| path.strip_prefix(kind)).unwrap_or(path);
        draft.set_text("file.path", file.trim_start_matches('_'));
        if get("Process Name") != "Unknown" {
            draft.set_text("process.executable", get("Process Name"));
        }
        let is_done = number(get("Error Code")) == Some(0);
        match event.id {
            1007 | 1117 => draft.outcome(is_done || get("Error Code").is_empty()),
            1116 if is_done => draft.outcome(true),
            1008 | 1118 | 1119 => draft.outcome(false),
            _ => {}
        }
        let (domain, user) = account(get("Detection User"));
        draft.set_text("user.domain", domain);
        draft.user(user);
        draft.set_text(ecs::EVENT_REASON, get("Action Name"));
        draft.set_text("event.reference", get("FWLink"));
        draft.unified("MALWARE", 5);
        return;
    }
    match event.id {
        5001 | 5010 | 5012 | 5101 => {
            classify(draft, "defender-protection-disabled", &["configuration"], &["change"]);
            draft.unified("LOG_TAMPERING", 5);
        }
        5007 => {
            classify(
                draft,
                "antivirus-configuration-changed",
                &["configuration"],
                &["change"],
            );
            draft.set("defender.changed", Value::from(get("New Value")));
            draft.unified("SECURITY_CHANGE", 2);
        }
        1121 | 1122 => {
            classify(
                draft,
                "attack-surface-rule",
                &["intrusion_detection"],
                &[if event.id == 1121 { "denied" } else { "allowed" }],
            );
            draft.set_text("file.path", get("Path"));
            draft.set_text("process.executable", get("Process Name"));
            draft.set_text(ecs::PROCESS_COMMAND_LINE, get("Target Commandline"));
            draft.set_text("process.parent.command_line", get("Parent Commandline"));
            draft.set_text("rule.id", get("ID"));
            let (domain, user) = account(get("User"));
            draft.set_text("user.domain", domain);
            draft.user(user);
        }
        1125 | 1126 => {
            let kind = if event.id == 1126 { "denied" } else { "allowed" };
            classify(draft, "network-protection", &["network"], &["connection", kind]);
            draft.set_text("destination.domain", get("Destination"));
            draft.set_text(ecs::PROCESS_NAME, get("Process Name"));
            let (domain, user) = account(get("User"));
            draft.set_text("user.domain", domain);
            draft.user(user);
        }
        2000 => classify(draft, "antivirus-updated", &["process"], &["info"]),
        2050 => {
            classify(draft, "file-uploaded", &["file"], &["info"]);
            let name = if get("Filename").is_empty() {
                get("FileName")
            } else {
                get("Filename")
            };
            draft.set_text("file.path", name);
            draft.set_text("file.hash.sha256", get("Sha256"));
        }
        1000..=1002 => classify(draft, "defender-scan", &["host"], &["info"]),
        2001 | 2003 => classify(draft, "defender-update-failed", &["host"], &["error"]),
        _ => {}
    }
}

/// A request that IIS logged to the event log.
fn iis(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    draft.set_fixed(ecs::EVENT_DATASET, "iis.access");
    draft.set_list(ecs::EVENT_CATEGORY, &["web", "network"]);
    draft.set_list(ecs::EVENT_TYPE, &["access", "connection"]);
    crate::derive::endpoint(draft, &crate::derive::SOURCE, get("c-ip"), "");
    crate::derive::endpoint(draft, &crate::derive::DESTINATION, get("s-ip"), get("s-port"));
    draft.set_text("http.request.method", get("cs-method"));
    let query = get("cs-uri-query");
    let stem = get("cs-uri-stem");
    draft.set_text(
        "url.original",
        &if query.is_empty() {
            stem.to_owned()
        } else {
            format!("{stem}?{query}")
        },
    );
    draft.set_text("user_agent.original", &get("csUser-Agent").replace('+', " "));
    draft.set_text("http.request.referrer", get("csReferer"));
    draft.user(account(get("cs-username")).1);
    draft.set_int("http.response.body.bytes", get("sc-bytes"));
    if let Ok(code) = get("sc-status").parse::<i64>() {
        draft.set("http.response.status_code", code);
        draft.outcome(code < 400);
    }
    draft.unified("WEB_ACCESS", 1);
}

fn task(draft: &mut Draft, event: &Event<'_>) {
    let get = |name| event.get(name);
    let (action, kinds): (_, &[&str]) = match event.id {
        106 => ("scheduled-task-created", &["creation"]),
        140 => ("scheduled-task-updated", &["change"]),
        141 => ("scheduled-task-deleted", &["deletion"]),
        142 => ("scheduled-task-disabled", &["change"]),
        100 | 110 | 129 | 200 => ("scheduled-task-started", &["start"]),
        102 | 201 => ("scheduled-task-completed", &["end"]),
        101 | 103 | 203 => ("scheduled-task-failed", &["error"]),
        _ => return,
    };
    classify(draft, action, &["configuration", "process"], kinds);
    match (event.id, number(get("ResultCode"))) {
        (201, Some(code)) => draft.outcome(code == 0),
        (101 | 103 | 203, _) => draft.outcome(false),
        _ => {}
    }
    draft.set_text("winlog.event_data.TaskName", get("TaskName"));
    draft.set_text(
        "process.executable",
        if get("ActionName").is_empty() {
            get("Path")
        } else {
            get("ActionName")
        },
    );
    let (domain, user) = account(if get("UserContext").is_empty() {
        get("UserName")
    } else {
        get("UserContext")
    });
    draft.set_text("user.domain", domain);
    draft.user(user);
    if event.id == 106 {
        draft.unified("TASK_CREATE", 3);
    }
}
