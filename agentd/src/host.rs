//! What the agent says about its host. Information only: who it is, is in its certificate.

use std::fs;

use proto::agent::v1::HostInfo;

/// Longest text that is sent for one field, in characters.
const MAX_CHARS: usize = 255;

/// Describes this host.
#[must_use]
pub(crate) fn describe() -> HostInfo {
    let hostname = hostname::get()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    HostInfo {
        hostname: bounded(&hostname),
        os_type: std::env::consts::OS.to_owned(),
        os_name: bounded(&os_name().unwrap_or_default()),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

fn os_name() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(line.trim_matches('"').to_owned())
}

fn bounded(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}
