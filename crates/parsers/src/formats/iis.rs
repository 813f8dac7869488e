//! The W3C extended format: IIS, and with a header CloudFront, the Windows Firewall and others. Columns are named by the
//! `#Fields:` line of the file; for lines without one the usual sets of IIS are told apart by how many columns there are.

use model::{Text, Value, ecs};

use super::access::set_status;
use super::{Format, Input};
use crate::clock::take_iso_spaced;
use crate::derive::{DESTINATION, SOURCE, endpoint};
use crate::draft::Draft;
use crate::network::is_ip;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "iis",
    aliases: &["w3c"],
    datasets: &["iis.access"],
    programs: &[],
    begins: &[],
    looks,
    take,
};

/// IIS 7 and later by default.
const DEFAULT: &[&str] = &[
    "date",
    "time",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs(User-Agent)",
    "cs(Referer)",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "time-taken",
];
/// IIS 6 by default: no referrer.
const OLD: &[&str] = &[
    "date",
    "time",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs(User-Agent)",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
];
const OLD_TIMED: &[&str] = &[
    "date",
    "time",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs(User-Agent)",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "time-taken",
];
/// With site, bytes, cookie and host.
const FULL: &[&str] = &[
    "date",
    "time",
    "s-sitename",
    "s-computername",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs-version",
    "cs(User-Agent)",
    "cs(Cookie)",
    "cs(Referer)",
    "cs-host",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "sc-bytes",
    "cs-bytes",
    "time-taken",
];
const SITE: &[&str] = &[
    "date",
    "time",
    "s-sitename",
    "s-ip",
    "cs-method",
    "cs-uri-stem",
    "cs-uri-query",
    "s-port",
    "cs-username",
    "c-ip",
    "cs(User-Agent)",
    "cs(Cookie)",
    "cs(Referer)",
    "cs-host",
    "sc-status",
    "sc-substatus",
    "sc-win32-status",
    "sc-bytes",
    "cs-bytes",
    "time-taken",
];

fn looks(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b' ') && bytes.get(19) == Some(&b' ')
        || text.starts_with("#Fields: date time ")
}

/// Which columns a line has. IIS writes a plus for every space, so that no column holds one.
fn layout(text: &str) -> Option<(&'static [&'static str], Vec<&str>)> {
    let words: Vec<&str> = text.parts(b' ').up_to(32);
    let names = [DEFAULT, OLD, OLD_TIMED, FULL, SITE]
        .into_iter()
        .filter(|names| names.len() == words.len())
        .find(|names| {
            let holds = |name: &str, fits: fn(&str) -> bool| {
                let index = names.iter().position(|known| *known == name);
                index.and_then(|index| words.get(index)).is_some_and(|word| fits(word))
            };
            let is_number = |word: &str| word.parse::<u16>().is_ok();
            holds("c-ip", is_ip) && holds("s-ip", is_ip) && holds("sc-status", is_number) && holds("s-port", is_number)
        })?;
    Some((names, words))
}

fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    if input.text.starts_with("#") && input.text.has(": ") {
        draft.set_list(ecs::EVENT_CATEGORY, &["web"]);
        draft.set_list(ecs::EVENT_TYPE, &["info"]);
        return input.text.starts_with("#Fields:") || input.text.starts_with("#Software:");
    }
    let Some((time, _)) = take_iso_spaced(input.text) else {
        return false;
    };
    let Some((names, words)) = layout(input.text) else {
        return false;
    };
    draft.timestamp = Some(time);
    fill(draft, names, &words);
    true
}

/// Reads a line by the header of its file.
pub(super) fn take_named(draft: &mut Draft, input: &Input<'_>, header: &str) -> bool {
    let Some(names) = header.lines().find_map(|line| line.strip_prefix("#Fields:")) else {
        return false;
    };
    let names: Vec<&str> = names.split_ascii_whitespace().take(MAX_COLUMNS).collect();
    let separator = if input.text.has_byte(b'\t') { '\t' } else { ' ' };
    let words: Vec<&str> = input.text.split(separator).take(MAX_COLUMNS + 1).collect();
    if names.len() < 3 || words.len() != names.len() || input.text.starts_with('#') {
        return false;
    }
    let at = |name: &str| {
        let index = names.iter().position(|known| *known == name)?;
        words.get(index).copied()
    };
    let fits = names.iter().zip(&words).all(|(name, word)| fits(name, word));
    let day = at("date").unwrap_or("");
    let stamp = at("time").map(|time| format!("{day} {time}Z"));
    let stamp = stamp.as_deref().and_then(take_iso_spaced);
    if !fits || (at("date").is_some() && at("time").is_some() && stamp.is_none()) {
        return false;
    }
    draft.timestamp = stamp.map(|(time, _)| time);
    fill(draft, &names, &words);
    true
}

/// Most columns of a line.
const MAX_COLUMNS: usize = 64;

/// Whether a column can hold a word.
fn fits(name: &str, word: &str) -> bool {
    match name {
        _ if word == "-" => true,
        "c-ip" | "s-ip" | "src-ip" | "dst-ip" => is_ip(word),
        "sc-status" | "s-port" | "c-port" | "src-port" | "dst-port" => word.parse::<u16>().is_ok(),
        "sc-bytes" | "cs-bytes" | "sc-substatus" | "sc-win32-status" => word.parse::<u64>().is_ok(),
        "date" => word.len() == 10,
        _ => true,
    }
}

/// What a firewall did.
fn filtered(draft: &mut Draft, action: &str) {
    let kind = match action {
        "DROP" => "denied",
        "ALLOW" | "OPEN" => "allowed",
        _ => "info",
    };
    draft.set_list(ecs::EVENT_CATEGORY, &["network"]);
    draft.set_list(ecs::EVENT_TYPE, &["connection", kind]);
    draft.set(ecs::EVENT_ACTION, Text::lowercase(action));
    draft.set_fixed(ecs::EVENT_DATASET, "windows.firewall");
    match kind {
        "denied" => {
            draft.unified("FIREWALL_BLOCK", 2);
            draft.outcome(false);
        }
        "allowed" => draft.outcome(true),
        _ => {}
    }
}

fn fill(draft: &mut Draft, names: &[&str], words: &[&str]) {
    let mut port = "";
    let mut server = "";
    let (mut client, mut client_port) = ("", "");
    let (mut stem, mut query) = ("", "");
    let mut action = None;
    // Only a firewall names both ends and what it did.
    let is_firewall = names.contains(&"src-ip") && names.contains(&"dst-ip") && names.contains(&"action");
    for (name, word) in names.iter().zip(words.iter().copied()) {
        if word == "-" {
            continue;
        }
        let spaced = || word.replace('+', " ");
        // Names with a dot would be those of ECS.
        if !name.has_byte(b'.') {
            draft.set_own(name, word);
        }
        match *name {
            "s-ip" => server = word,
            "s-port" => port = word,
            "c-ip" | "src-ip" => client = word,
            "c-port" | "src-port" => client_port = word,
            "dst-ip" => server = word,
            "dst-port" => port = word,
            "action" if is_firewall => action = Some(word),
            "protocol" if is_firewall => draft.set("network.transport", Text::lowercase(word)),
            "path" if is_firewall => match word {
                "SEND" => draft.set_fixed("network.direction", "outbound"),
                "RECEIVE" => draft.set_fixed("network.direction", "inbound"),
                _ => {}
            },
            "size" if is_firewall => draft.set_int("network.bytes", word),
            "cs-method" => draft.set("http.request.method", word),
            "cs-uri-stem" => stem = word,
            "cs-uri-query" => query = word,
            "cs-username" => {
                let (domain, user) = word.cut_at(b'\\').unwrap_or(("", word));
                draft.set_text("user.domain", domain);
                draft.user(user);
            }
            "cs(User-Agent)" => draft.set("user_agent.original", Value::from(spaced())),
            "cs(Referer)" => draft.set("http.request.referrer", word),
            "cs-host" | "cs(Host)" | "x-host-header" => {
                draft.set("url.domain", crate::derive::split_port(word).0);
                draft.set("destination.domain", crate::derive::split_port(word).0);
            }
            "cs-version" => draft.set("http.version", word.trim_start_matches("HTTP/")),
            "sc-status" => set_status(draft, word),
            "sc-substatus" => draft.set_int("iis.access.sub_status", word),
            "sc-win32-status" => draft.set_int("iis.access.win32_status", word),
            "sc-bytes" => draft.set_int("http.response.body.bytes", word),
            "cs-bytes" => draft.set_int("http.request.body.bytes", word),
            "cs(X-Forwarded-For)" | "X-Forwarded-For" | "x-forwarded-for" => {
                let first = word.parts(b',').next().unwrap_or("").trim_matches(['+', ' ']);
                if is_ip(first) {
                    draft.set("network.forwarded_ip", first);
                }
            }
            "s-sitename" => draft.set("iis.access.site_name", word),
            "s-computername" => draft.set("iis.access.server_name", word),
            "time-taken" => {
                if let Ok(millis) = word.parse::<i64>() {
                    draft.set("event.duration", millis.saturating_mul(1_000_000));
                }
            }
            _ => {}
        }
    }
    endpoint(draft, &SOURCE, client, client_port);
    endpoint(draft, &DESTINATION, server, port);
    if let Some(action) = action {
        filtered(draft, action);
        return;
    }
    if query.is_empty() {
        draft.set_text("url.original", stem);
    } else {
        draft.set("url.original", format!("{stem}?{query}"));
    }
    draft.set_list(ecs::EVENT_CATEGORY, &["web", "network"]);
    draft.set_list(ecs::EVENT_TYPE, &["access", "connection"]);
    draft.unified("WEB_ACCESS", 1);
}
