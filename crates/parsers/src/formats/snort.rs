//! One-line alerts of Snort and Suricata, from their files or syslog.

use model::{Text, ecs};

use super::{Format, Input};
use crate::clock::take_written;
use crate::derive::{DESTINATION, SOURCE, endpoint, split_port};
use crate::draft::Draft;
use crate::scan::Marks as _;

pub(crate) const FORMAT: Format = Format {
    name: "snort",
    aliases: &["snort_fast", "suricata_fast", "fast"],
    datasets: &["snort.log", "suricata.fast"],
    programs: &["snort"],
    begins: &["[", super::DIGITS],
    looks: |text| {
        let has_mark = || text.has("[**] [") || text.has("[Classification: ");
        text.starts_with(|c: char| c == '[' || c.is_ascii_digit()) && has_mark()
    },
    take,
};

/// `time [**] [gid:sid:rev] message [**] [Classification: C] [Priority: P] {PROTO} A:P -> B:P`
fn take(draft: &mut Draft, input: &Input<'_>) -> bool {
    let text = input.text.trim();
    let (time, text) = match time(text, input) {
        Some((time, rest)) => (Some(time), rest.trim_start()),
        None => (None, text),
    };
    let text = text
        .strip_prefix("[Drop] ")
        .or_else(|| text.strip_prefix("[wDrop] "))
        .map_or((text, false), |text| (text, true));
    let (text, dropped) = text;
    let text = text.strip_prefix("[**] ").unwrap_or(text);
    let Some((ids, rest)) = text.strip_prefix('[').and_then(|rest| rest.cut("] ")) else {
        return false;
    };
    let mut numbers = ids.parts(b':');
    let (Some(generator), Some(rule), Some(revision)) = (numbers.next(), numbers.next(), numbers.next()) else {
        return false;
    };
    if ![generator, rule, revision]
        .iter()
        .all(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return false;
    }
    // The message is the rule's; addresses stand at the very end.
    let Some((rest, flow)) = rest.cut_last(" {") else {
        return false;
    };
    let Some((transport, flow)) = flow.cut("} ") else {
        return false;
    };
    let Some((from, to)) = flow.cut(" -> ") else {
        return false;
    };
    let message = rest.cut(" [**]").map_or(rest, |(message, _)| message);
    let message = message
        .cut(" [Classification: ")
        .map_or(message, |(message, _)| message);
    let class = rest.cut("[Classification: ").and_then(|(_, rest)| rest.cut_at(b']'));
    let priority = rest.cut("[Priority: ").and_then(|(_, rest)| rest.cut_at(b']'));
    draft.timestamp = time.or(draft.timestamp);
    // Suricata writes ICMP's type and code where others have ports.
    let has_ports = !transport.get(..4).is_some_and(|name| name.eq_ignore_ascii_case("icmp"));
    for (side, text) in [(&SOURCE, from), (&DESTINATION, to)] {
        let (host, port) = split_port(text);
        endpoint(draft, side, host, if has_ports { port } else { "" });
    }
    draft.set_fixed(ecs::EVENT_KIND, "alert");
    draft.set_list(ecs::EVENT_CATEGORY, &["network", "intrusion_detection"]);
    draft.set_list(ecs::EVENT_TYPE, &[if dropped { "denied" } else { "allowed" }]);
    draft.set("rule.id", rule);
    draft.set("rule.name", message);
    draft.set("rule.version", revision);
    draft.set("snort.gid", generator);
    draft.set(ecs::MESSAGE, message);
    if let Some((class, _)) = class {
        draft.set_text("rule.category", if class == "(null)" { "" } else { class });
    }
    draft.set("network.transport", Text::lowercase(transport));
    let severity = match priority.map(|(priority, _)| priority) {
        Some("1") => 5,
        Some("2") => 4,
        Some("3") => 3,
        _ => 2,
    };
    let is_scan = message
        .as_bytes()
        .windows(4)
        .any(|word| word.eq_ignore_ascii_case(b"scan"));
    draft.unified(
        if is_scan { "PORT_SCAN" } else { "INTRUSION_ATTEMPT" },
        if is_scan { 4 } else { severity },
    );
    true
}

/// `01/28-22:22:32.313342` or `01/28/2024-22:22:32.313342`
fn time<'a>(text: &'a str, input: &Input<'_>) -> Option<(model::Timestamp, &'a str)> {
    let at = text.place_of(b'-').filter(|at| matches!(at, 5 | 8 | 10))?;
    let (date, rest) = (text.get(..at)?, text.get(at + 1..)?);
    let end = rest.place_of(b' ')?;
    let (clock, rest) = (rest.get(..end)?, rest.get(end..)?);
    if date.len() > 5 {
        let (time, _) = take_written(&format!("{date} {clock}"))?;
        return Some((time, rest));
    }
    // Without a year: the one that puts it just before it was seen.
    let (month, day) = date.cut_at(b'/')?;
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let mut written = String::with_capacity(32);
    for part in [name, " ", day, " ", clock] {
        written.push_str(part);
    }
    let (time, _) = crate::clock::take_bsd(&written, input.observed)?;
    Some((time, rest))
}
