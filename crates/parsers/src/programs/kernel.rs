//! What the Linux kernel says: crashes, memory, modules, devices, links, boot. Its packet filter and WireGuard have formats
//! of their own.
//!
//! Names of programs in it (`comm`) are chosen by whoever runs them, so they are looked for where the kernel puts them.

use model::ecs;

use super::{between, digits};
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

/// Longest name the kernel gives a process, in bytes.
const MAX_COMM: usize = 15;

/// The message behind the kernel's own clock, `[12345.678901] `; `None` when there is none.
pub(crate) fn after_clock(text: &str) -> Option<&str> {
    let (clock, rest) = text.strip_prefix('[')?.cut_at(b']')?;
    let (seconds, fraction) = clock.trim_start().cut_at(b'.')?;
    let is_number = |text: &str| !text.is_empty() && text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(seconds) && fraction.len() == 6 && is_number(fraction)).then(|| rest.trim_start())
}

/// Reads a message, with or without the clock; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = after_clock(message).unwrap_or(message).trim();
    crash(draft, message)
        || memory(draft, message)
        || module(draft, message)
        || usb(draft, message)
        || network(draft, message)
        || storage(draft, message)
        || life(draft, message)
}

fn process(draft: &mut Draft, name: &str, pid: &str) {
    draft.set_text(ecs::PROCESS_NAME, name);
    draft.set_int(ecs::PROCESS_PID, pid);
}

/// `su[11]: segfault at 7f ip 0000 sp 0000 error 4 in libc.so.6[7f+1]`, `traps: app[12] general protection fault ip:1 sp:2
/// error:0 in app[5+1]`, `INFO: task app:12 blocked for more than 120 seconds.`
fn crash(draft: &mut Draft, message: &str) -> bool {
    let faults = [
        "segfault at ",
        "general protection",
        "trap invalid opcode",
        "trap divide error",
        "trap int3",
        "trap stack segment",
        "bad frame in ",
    ];
    let text = message.strip_prefix("traps: ").unwrap_or(message);
    let found = faults.iter().find_map(|fault| {
        let at = text.cut(fault)?.0.len();
        let head = text.get(..at)?.trim_end().trim_end_matches(':');
        let (name, pid) = head.strip_suffix(']')?.cut_last_at(b'[')?;
        (pid.bytes().all(|byte| byte.is_ascii_digit()) && name.len() <= MAX_COMM).then_some((name, pid, at))
    });
    if let Some((name, pid, at)) = found {
        draft.classify("process", &["end"], "process_crashed");
        process(draft, name, pid);
        let fault = text.get(at..).unwrap_or("");
        draft.set_text(
            ecs::EVENT_REASON,
            fault.split(" ip").next().unwrap_or(fault).trim_end_matches(':'),
        );
        if let Some((_, library)) = fault.cut_last(" in ") {
            draft.set_text("file.name", library.parts(b'[').next().unwrap_or(""));
        }
        draft.unified("PROCESS_CRASH", 2);
        return true;
    }
    let Some((task, rest)) = message
        .strip_prefix("INFO: task ")
        .and_then(|rest| rest.cut_last(" blocked for more than "))
    else {
        return false;
    };
    draft.classify("process", &["info"], "process_blocked");
    let (name, pid) = task.cut_last_at(b':').unwrap_or((task, ""));
    process(draft, name, pid);
    draft.set_text(ecs::EVENT_REASON, rest.trim_end_matches('.'));
    true
}

/// `Out of memory: Killed process 12 (app) total-vm:..`, `oom-kill:constraint=..,task=app,pid=12,uid=0`
fn memory(draft: &mut Draft, message: &str) -> bool {
    if let Some((head, rest)) = message.cut("illed process ")
        && head.to_ascii_lowercase().has("out of memory")
        && let Some((pid, rest)) = digits(rest)
        && let Some((name, _)) = rest
            .strip_prefix(" (")
            .and_then(|rest| rest.cut_last_at(b')').or(rest.cut_at(b')')))
    {
        let name = name.split(") ").next().unwrap_or(name);
        draft.classify("process", &["end"], "oom_killed");
        process(draft, name, pid);
        draft.set_fixed(ecs::EVENT_REASON, "out of memory");
        draft.unified("PROCESS_KILLED", 3);
        return true;
    }
    if let Some(rest) = message.strip_prefix("oom-kill:") {
        draft.classify("process", &["end"], "oom_killed");
        for pair in rest.parts(b',') {
            match pair.cut_at(b'=') {
                Some(("task", name)) => draft.set_text(ecs::PROCESS_NAME, name),
                Some(("pid", pid)) => draft.set_int(ecs::PROCESS_PID, pid),
                Some(("uid", uid)) => draft.set_text(ecs::USER_ID, uid),
                _ => {}
            }
        }
        draft.set_fixed(ecs::EVENT_REASON, "out of memory");
        draft.unified("PROCESS_KILLED", 3);
        return true;
    }
    let Some((name, _)) = message.cut(" invoked oom-killer: ") else {
        return false;
    };
    draft.classify("process", &["info"], "oom_invoked");
    draft.set_text(ecs::PROCESS_NAME, name);
    true
}

/// `rootkit: loading out-of-tree module taints kernel.`, `x: module verification failed: signature and/or required key missing`
fn module(draft: &mut Draft, message: &str) -> bool {
    let taints = [
        ": loading out-of-tree module taints kernel",
        ": module verification failed: ",
        ": module license '",
    ];
    if let Some(name) = taints.iter().find_map(|words| Some(message.split_once(words)?.0))
        && !name.is_empty()
        && !name.has_byte(b' ')
    {
        draft.classify("driver", &["start"], "kernel_module_tainted");
        draft.set_text("driver.name", name);
        draft.set_text("file.name", name);
        draft.unified("KERNEL_MODULE", 3);
        return true;
    }
    let Some(rest) = message.strip_prefix("Lockdown: ") else {
        return false;
    };
    draft.classify("driver", &["denied"], "kernel_lockdown");
    if let Some((name, what)) = rest.cut(": ") {
        draft.set_text(ecs::PROCESS_NAME, name);
        draft.set_text(ecs::EVENT_REASON, what);
    }
    draft.outcome(false);
    true
}

/// `usb 1-2: New USB device found, idVendor=0781, idProduct=5567, bcdDevice= 1.26`, `usb 1-2: USB disconnect, device number 5`
fn usb(draft: &mut Draft, message: &str) -> bool {
    let Some((port, rest)) = message.strip_prefix("usb ").and_then(|rest| rest.cut(": ")) else {
        return false;
    };
    let mut known = true;
    if let Some(ids) = rest.strip_prefix("New USB device found, ") {
        draft.classify("host", &["info"], "usb_attached");
        for pair in ids.split(", ") {
            match pair.cut_at(b'=') {
                Some(("idVendor", id)) => draft.set_text("device.usb.vendor_id", id.trim()),
                Some(("idProduct", id)) => draft.set_text("device.usb.product_id", id.trim()),
                _ => {}
            }
        }
        draft.unified("USB_DEVICE", 2);
    } else if rest.starts_with("new ") && rest.has(" USB device number ") {
        draft.classify("host", &["info"], "usb_found");
    } else if rest.starts_with("USB disconnect") {
        draft.classify("host", &["info"], "usb_detached");
    } else if let Some((name, value)) = rest.cut(": ") {
        match name {
            "Product" => draft.set_text("device.model.name", value),
            "Manufacturer" => draft.set_text("device.manufacturer", value),
            "SerialNumber" => draft.set_text("device.serial_number", value),
            _ => known = false,
        }
        if known {
            draft.classify("host", &["info"], "usb_described");
        }
    } else {
        known = false;
    }
    if known {
        draft.set_text("device.id", port);
    }
    known
}

fn network(draft: &mut Draft, message: &str) -> bool {
    for (words, action, severity) in [
        ("entered promiscuous mode", "promiscuous_mode_entered", 3),
        ("left promiscuous mode", "promiscuous_mode_left", 1),
    ] {
        if let Some(head) = message.strip_suffix(words) {
            draft.classify("network", &["change"], action);
            let name = head.trim_end().trim_end_matches(':');
            draft.set_text(
                "observer.ingress.interface.name",
                name.strip_prefix("device ").unwrap_or(name),
            );
            draft.unified("PROMISCUOUS_MODE", severity);
            return true;
        }
    }
    if let Some((head, rest)) = message.cut("Possible SYN flooding on port ")
        && (head.is_empty() || head.starts_with("TCP: "))
    {
        draft.classify("network", &["denied"], "syn_flood");
        draft.set_fixed("network.transport", "tcp");
        let target = rest.split(". ").next().unwrap_or(rest).trim_end_matches('.');
        let port = target.rsplit(':').next().unwrap_or(target);
        draft.set_int("destination.port", port);
        draft.set_text(
            "network.application",
            head.trim_end_matches(": ").trim_start_matches("TCP: request_sock_"),
        );
        draft.unified("INTRUSION_ATTEMPT", 4);
        return true;
    }
    if let Some(rest) = message
        .strip_prefix("IPv4: ")
        .unwrap_or(message)
        .strip_prefix("martian source ")
        && let Some((to, rest)) = rest.cut(" from ")
    {
        let (from, device) = rest.cut(", on dev ").unwrap_or((rest, ""));
        if is_ip(to) && is_ip(from) {
            draft.classify("network", &["denied"], "martian_source");
            endpoint(draft, &SOURCE, from, "");
            endpoint(draft, &DESTINATION, to, "");
            draft.set_text("observer.ingress.interface.name", device);
            return true;
        }
    }
    if message.starts_with("nf_conntrack: ") && message.has("table full") {
        draft.classify("network", &["error"], "conntrack_full");
        draft.unified("NETWORK_ERROR", 3);
        return true;
    }
    for (words, action) in [("Link is Up", "link_up"), ("Link is Down", "link_down")] {
        if let Some((head, _)) = message.split_once(words) {
            let name = head.replace("NIC", "");
            let name = name
                .trim()
                .trim_end_matches(':')
                .rsplit(' ')
                .next()
                .unwrap_or("")
                .to_owned();
            draft.classify("network", &["info"], action);
            draft.set_text("observer.ingress.interface.name", &name);
            return true;
        }
    }
    false
}

/// `EXT4-fs (sda1): mounted filesystem ..`, `EXT4-fs error (device sda1): ..`, `blk_update_request: I/O error, dev sdb, sector 5`
fn storage(draft: &mut Draft, message: &str) -> bool {
    if let Some((_, rest)) = message.cut("I/O error, dev ") {
        draft.classify("host", &["error"], "disk_error");
        draft.set_text("device.id", rest.split([',', ' ']).next().unwrap_or(""));
        draft.unified("DISK_ERROR", 3);
        return true;
    }
    let head = message.split(['(', ' ']).next().unwrap_or("");
    if !(head.ends_with("-fs") || matches!(head, "XFS" | "BTRFS")) {
        return false;
    }
    let device = between(message, "(", ")").map_or("", |(device, _)| device);
    let action = if message.has(" error") {
        draft.unified("DISK_ERROR", 3);
        "filesystem_error"
    } else if message.has("re-mounted") || message.has("Remounting") {
        "filesystem_remounted"
    } else if message.has("mounted filesystem") || message.has("Mounting") {
        "filesystem_mounted"
    } else if message.has("nmounting") {
        "filesystem_unmounted"
    } else {
        return false;
    };
    draft.classify("host", &["info"], action);
    draft.set_text("device.id", device.strip_prefix("device ").unwrap_or(device));
    true
}

fn life(draft: &mut Draft, message: &str) -> bool {
    if let Some(version) = message.strip_prefix("Linux version ") {
        draft.classify("host", &["start"], "kernel_booted");
        draft.set_text("host.os.kernel", version.parts(b' ').next().unwrap_or(""));
        draft.unified("SYSTEM_BOOT", 2);
        return true;
    }
    if let Some(line) = message
        .strip_prefix("Command line: ")
        .or_else(|| message.strip_prefix("Kernel command line: "))
    {
        draft.classify("host", &["info"], "kernel_command_line");
        draft.set_text(ecs::PROCESS_COMMAND_LINE, line);
        return true;
    }
    for (words, action) in [
        ("reboot: Restarting system", "rebooting"),
        ("reboot: Power down", "powering_off"),
    ] {
        if message.starts_with(words) {
            draft.classify("host", &["end"], action);
            draft.unified("SYSTEM_SHUTDOWN", 2);
            return true;
        }
    }
    if message.starts_with("Kernel panic - not syncing") {
        draft.classify("host", &["error"], "kernel_panic");
        draft.unified("SYSTEM_SHUTDOWN", 4);
        return true;
    }
    false
}
