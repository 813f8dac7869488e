//! dockerd and containerd: `time="2026-11-21T10:00:00Z" level=info msg="Loading containers: start."`.

use model::ecs;

use crate::clock::parse_time;
use crate::draft::Draft;
use crate::scan::Marks as _;

/// Most pairs of a message.
const MAX_PAIRS: usize = 32;

/// Reads a message; false when it is not known.
pub(crate) fn take(draft: &mut Draft, message: &str) -> bool {
    let message = message.trim();
    if !message.starts_with("time=") || !message.has(" level=") {
        return false;
    }
    let mut text = String::new();
    let mut error = String::new();
    let mut topic = String::new();
    for (name, value) in Pairs(message).take(MAX_PAIRS) {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name && name.len() <= 64 && !matches!(name, "time" | "") {
            draft.set_own(name, value.as_str());
        }
        match name {
            "time" => {
                if let Some(time) = parse_time(&value) {
                    draft.timestamp = Some(time);
                }
            }
            "level" => draft.set_text(ecs::LOG_LEVEL, &value),
            "msg" => text = value,
            "error" if value != "<nil>" => error = value,
            "topic" => topic = value,
            "container" | "containerID" => draft.set_text("container.id", &value),
            "image" | "ref" => draft.set_text("container.image.name", &value),
            "id" if value.len() == 64 => draft.set_text("container.id", &value),
            _ => {}
        }
    }
    if text.is_empty() {
        return false;
    }
    if error.is_empty()
        && let Some((_, found)) = text.cut("returned error: ").or_else(|| text.cut(" after error: "))
    {
        error = found.to_owned();
    }
    let (category, kind, action) = meaning(&text, &topic);
    draft.classify(category, &[kind], action);
    if action == "docker_api_error"
        && let Some((method, path)) = text.strip_prefix("Handler for ").and_then(|rest| rest.cut_at(b' '))
    {
        draft.set_text("http.request.method", method);
        draft.set_text("url.path", path.parts(b' ').next().unwrap_or(""));
    }
    if !error.is_empty() {
        draft.outcome(false);
        draft.set("error.message", error);
    }
    draft.set(ecs::MESSAGE, text);
    true
}

fn meaning(text: &str, topic: &str) -> (&'static str, &'static str, &'static str) {
    let begins = |words: &str| text.starts_with(words);
    if topic == "/tasks/delete" {
        ("process", "end", "container_exited")
    } else if begins("Container ") && text.has("failed to exit") {
        ("process", "end", "container_killed")
    } else if begins("Handler for ") {
        ("web", "error", "docker_api_error")
    } else if begins("API listen on ") {
        ("process", "start", "docker_listening")
    } else if begins("Starting up") || begins("starting containerd") {
        ("process", "start", "docker_starting")
    } else if begins("Daemon has completed initialization") || begins("containerd successfully booted") {
        ("process", "start", "docker_started")
    } else if begins("Processing signal") || begins("Daemon shutdown complete") {
        ("process", "end", "docker_stopping")
    } else if text.has("continuing with pull") || text.has("endpoint for pull") || begins("pulling image") {
        ("package", "installation", "image_pull")
    } else if begins("Loading containers") {
        ("process", "info", "containers_loading")
    } else {
        ("process", "info", "docker_message")
    }
}

/// `name=value name="quoted value"`, with `\"` and `\\` in quotes.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, String);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.trim_start().cut_at(b'=')?;
        let Some(quoted) = rest.strip_prefix('"') else {
            let (value, rest) = rest.cut_at(b' ').unwrap_or((rest, ""));
            self.0 = rest;
            return Some((name, value.to_owned()));
        };
        let mut value = String::new();
        let mut escaped = false;
        for (at, c) in quoted.char_indices() {
            match c {
                _ if escaped => {
                    value.push(match c {
                        'n' => '\n',
                        't' => '\t',
                        other => other,
                    });
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.0 = quoted.get(at + 1..).unwrap_or("");
                    return Some((name, value));
                }
                c => value.push(c),
            }
        }
        self.0 = "";
        Some((name, value))
    }
}
