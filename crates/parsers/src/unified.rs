//! Heimdall's unified view, where the format did not say itself: a type and a severity from 1 (information) to 5
//! (critical) from how the event is categorized.

use model::{Value, ecs};

use crate::draft::Draft;

/// Sets `picket.event_type` and `event.severity` where they are not set.
pub(crate) fn derive(draft: &mut Draft) {
    let has_severity = matches!(draft.get(ecs::EVENT_SEVERITY), Some(Value::Int(1..=5)));
    let mut severity = None;
    if draft.get(ecs::PICKET_EVENT_TYPE).is_none()
        && let Some((kind, usual)) = classify(draft)
    {
        draft.set_fixed(ecs::PICKET_EVENT_TYPE, kind);
        severity = Some(usual);
    }
    if !has_severity {
        let severity = severity.unwrap_or_else(|| by_level(draft.str(ecs::LOG_LEVEL).unwrap_or("")));
        draft.set(ecs::EVENT_SEVERITY, severity);
    }
}

/// What a list of categories or kinds holds, a bit each.
#[derive(Clone, Copy)]
struct Words(u32);

impl Words {
    fn of(value: Option<&Value>) -> Self {
        let bit = |item: &Value| item.as_str().map_or(0, Self::bit);
        Self(match value {
            Some(Value::List(items)) => items.iter().map(bit).fold(0, |bits, bit| bits | bit),
            Some(one) => bit(one),
            None => 0,
        })
    }

    /// The bit of a word; one that nobody asks for has none.
    #[inline(always)]
    fn bit(word: &str) -> u32 {
        let bytes = word.as_bytes();
        // Length and first letter tell them apart.
        let (known, bit) = match (bytes.len(), bytes.first()) {
            (7, Some(b'm')) => ("malware", 0),
            (19, Some(b'i')) => ("intrusion_detection", 1),
            (14, Some(b'a')) => ("authentication", 2),
            (3, Some(b'i')) => ("iam", 3),
            (7, Some(b'n')) => ("network", 4),
            (3, Some(b'w')) => ("web", 5),
            (7, Some(b'p')) => ("process", 6),
            (5, Some(b's')) => ("start", 7),
            (4, Some(b'i')) => ("info", 8),
            (8, Some(b'c')) => ("creation", 9),
            (8, Some(b'd')) => ("deletion", 10),
            (4, Some(b'u')) => ("user", 11),
            (6, Some(b'd')) => ("denied", 12),
            (7, Some(b'a')) => ("allowed", 13),
            (6, Some(b'a')) => ("access", 14),
            _ => return 0,
        };
        u32::from(known == word) << bit
    }

    #[inline(always)]
    fn hold(self, word: &'static str) -> bool {
        self.0 & Self::bit(word) > 0
    }
}

fn classify(draft: &Draft) -> Option<(&'static str, i64)> {
    let categories = Words::of(draft.get(ecs::EVENT_CATEGORY));
    let kinds = Words::of(draft.get(ecs::EVENT_TYPE));
    let category = |text| categories.hold(text);
    let kind = |text| kinds.hold(text);
    let failed = draft.str(ecs::EVENT_OUTCOME) == Some("failure");
    let alert = draft.str(ecs::EVENT_KIND) == Some("alert");
    Some(if category("malware") {
        ("MALWARE", 5)
    } else if category("intrusion_detection") {
        let severity = if kind("denied") { 4 } else { 5 };
        ("INTRUSION_ATTEMPT", if alert { severity } else { 3 })
    } else if category("authentication") && (kind("start") || kind("info")) && draft.get(ecs::USER_NAME).is_some() {
        match draft.str(ecs::EVENT_OUTCOME) {
            Some("failure") => ("LOGIN_FAIL", 3),
            Some("success") => ("LOGIN_SUCCESS", 1),
            _ => return None,
        }
    } else if category("iam") && kind("creation") && kind("user") && !failed {
        ("ACCOUNT_CREATE", 4)
    } else if category("iam") && kind("deletion") && kind("user") && !failed {
        ("ACCOUNT_DELETE", 4)
    } else if category("iam") {
        ("ACCOUNT_CHANGE", 3)
    } else if draft.get(ecs::DNS_QUESTION_NAME).is_some() {
        if kind("denied") {
            ("DNS_BLOCK", 1)
        } else {
            ("DNS_QUERY", 1)
        }
    } else if category("network") && kind("denied") {
        ("FIREWALL_BLOCK", 2)
    } else if category("network") && kind("allowed") {
        ("FIREWALL_ALLOW", 1)
    } else if category("web") && kind("access") {
        ("WEB_ACCESS", 1)
    } else if category("process") && kind("start") {
        ("PROCESS_START", 1)
    } else if alert {
        ("ALERT", 4)
    } else {
        return None;
    })
}

fn by_level(level: &str) -> i64 {
    let is = |names: &[&str]| names.iter().any(|name| level.eq_ignore_ascii_case(name));
    if is(&["emergency", "emerg", "alert", "critical", "crit", "fatal", "panic"]) {
        5
    } else if is(&["error", "err", "severe"]) {
        3
    } else if is(&["warning", "warn"]) {
        2
    } else {
        1
    }
}
