//! Parsers that operators write in TOML: how a line becomes an object (grok patterns, fixed words, columns, pairs), and
//! the same table as the built-in JSON formats have for what its members become.
//!
//! Patterns are compiled by an engine without backtracking, so a line takes time linear in its length whatever the pattern,
//! and lines longer than [`MAX_LINE`] are left to the built-in formats.

mod grok;
mod log_format;
mod patterns;
mod problem;
mod trial;

use serde::Deserialize;
use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use model::{Value, ecs};

use crate::dispatch;
use crate::dissect::dissect;
use crate::draft::Draft;
use crate::json;
use crate::mapping::Mapping;
use crate::record::{Body, Parsed, RawRecord, Warning};
use crate::scan::columns;
use crate::syslog;
use crate::tree::{self, Json, Map};
use grok::Grok;
use log_format::LogFormat;

pub use problem::CustomError;
pub(crate) use trial::Test;
pub use trial::Trial;

/// Longest line, in bytes, that an own parser is asked about.
pub const MAX_LINE: usize = 64 << 10;
/// Largest parser, in bytes of TOML.
pub const MAX_FILE: usize = 256 << 10;
/// Most tests of one parser.
const MAX_TESTS: usize = 256;
/// Most patterns of one parser.
const MAX_PATTERNS: usize = 64;

/// A parser of an operator.
#[derive(Debug)]
pub struct CustomParser {
    mapping: Mapping,
    shape: Shape,
    contains: Vec<String>,
    starts_with: Vec<String>,
    tests: Vec<trial::Test>,
}

#[derive(Debug)]
enum Shape {
    /// The record is an object.
    Object,
    Grok(Vec<Grok>),
    Dissect(Vec<String>),
    Columns(u8, Vec<String>),
    Pairs,
    LogFormat(LogFormat),
}

/// How a line becomes an object, as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextTable {
    #[serde(default)]
    grok: Vec<String>,
    #[serde(default)]
    patterns: BTreeMap<String, String>,
    #[serde(default)]
    dissect: Vec<String>,
    separator: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    pairs: bool,
    log_format: Option<String>,
    #[serde(default)]
    contains: Vec<String>,
    #[serde(default)]
    starts_with: Vec<String>,
}

impl CustomParser {
    /// Reads a parser.
    ///
    /// # Errors
    ///
    /// When it is no TOML, has members that are not known, names a field that formats may not set, has a pattern that does not
    /// compile or becomes too large, or is longer than [`MAX_FILE`].
    pub fn from_toml(text: &str) -> Result<Self, CustomError> {
        if text.len() > MAX_FILE {
            return Err(CustomError::whole(format!("expected at most {MAX_FILE} bytes")));
        }
        let wrong = |reason: String| CustomError::of(text, None, reason);
        let (mapping, shape, tests) =
            Mapping::parse_whole(text).map_err(|error| CustomError::of(text, error.at, error.reason))?;
        let name_fits = !mapping.name.is_empty()
            && mapping.name.len() <= 64
            && mapping
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if !name_fits {
            return Err(wrong(
                "name: expected 1 to 64 letters, digits, `_`, `-` or `.`".to_owned(),
            ));
        }
        if tests.len() > MAX_TESTS {
            return Err(wrong(format!("test: expected at most {MAX_TESTS}")));
        }
        let mut shape = shape;
        let (contains, starts_with) = match &mut shape {
            Some(text) => (
                std::mem::take(&mut text.contains),
                std::mem::take(&mut text.starts_with),
            ),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Self {
            mapping,
            shape: shape.map_or(Ok(Shape::Object), shape_of).map_err(wrong)?,
            contains,
            starts_with,
            tests,
        })
    }

    /// What `picket.log_type` says of its events, and what an operator asks for it by.
    #[must_use]
    pub fn name(&self) -> &str {
        self.mapping.name
    }

    /// `event.dataset` of its events.
    #[must_use]
    pub fn dataset(&self) -> &str {
        self.mapping.dataset
    }

    /// Whether it is asked about lines nobody said the type of: those of texts when they have `contains` or `starts_with`,
    /// others when they have `detect`.
    #[must_use]
    pub fn is_detected(&self) -> bool {
        self.mapping.is_detected() || !self.contains.is_empty() || !self.starts_with.is_empty()
    }

    /// Reads a record; `None` when it is not of this format, or of a log type that is another's.
    #[must_use]
    pub fn parse(&self, record: &RawRecord<'_>) -> Option<Parsed> {
        self.parse_within(record, None)
    }

    /// The same of a record that was shipped in an object.
    fn parse_within(&self, record: &RawRecord<'_>, shell: Option<&Map<'_>>) -> Option<Parsed> {
        let finish = |draft: &mut Draft, text: &str| {
            if let Some(shell) = shell {
                let host = ["source_host", "host"]
                    .iter()
                    .find_map(|name| shell.get(name)?.as_str());
                draft.set_default_text(ecs::HOST_NAME, host.unwrap_or(""));
                json::add_shell(draft, shell);
            }
            Some(dispatch::finish(draft, text, record))
        };
        let asked = record.log_type.map(|log_type| self.mapping.answers_to(log_type));
        if asked == Some(false) || asked.is_none() && !self.is_detected() {
            return None;
        }
        let (Body::Line(bytes) | Body::Json(bytes)) = record.body;
        if bytes.len() > MAX_LINE {
            return None;
        }
        let text = String::from_utf8_lossy(bytes);
        let spoiled = matches!(text, Cow::Owned(_));
        let text = text.trim_end_matches(['\n', '\r']);
        let content = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut draft = Draft::new();
        dispatch::begin(&mut draft, record, spoiled);
        if let Shape::Object = self.shape {
            if !content.trim_start().starts_with('{') {
                return None;
            }
            let object = tree::object(content)?;
            if asked.is_none() && !self.mapping.knows(&object) {
                return None;
            }
            self.fill(&mut draft, &object);
            return finish(&mut draft, text);
        }
        let envelope = syslog::open(content, record.observed).filter(|envelope| !syslog::is_bare(envelope));
        if let Shape::LogFormat(format) = &self.shape {
            let read = |text| self.looks(text).then(|| format.read(text)).flatten();
            let reading = match envelope
                .as_ref()
                .and_then(|envelope| Some((envelope, read(envelope.message)?)))
            {
                Some((envelope, reading)) => {
                    syslog::describe(&mut draft, envelope);
                    draft.set(ecs::MESSAGE, envelope.message);
                    draft.set_text(ecs::PROCESS_NAME, envelope.program);
                    reading
                }
                None => read(content)?,
            };
            reading.fill(&mut draft);
            let mut object = reading.object();
            self.map(&mut draft, &object);
            // The host that a client asked for is not the one that speaks.
            object.shift_remove("host");
            add_members(&mut draft, &object);
            return finish(&mut draft, text);
        }
        let object = match envelope {
            Some(envelope) => match self.object(envelope.message, asked.is_some()) {
                Some(object) => {
                    syslog::describe(&mut draft, &envelope);
                    draft.set(ecs::MESSAGE, envelope.message);
                    draft.set_text(ecs::PROCESS_NAME, envelope.program);
                    object
                }
                None => self.object(content, asked.is_some())?,
            },
            None => self.object(content, asked.is_some())?,
        };
        self.fill(&mut draft, &object);
        finish(&mut draft, text)
    }

    fn fill(&self, draft: &mut Draft, object: &Map<'_>) {
        self.map(draft, object);
        add_members(draft, object);
    }

    /// Sets what the table says.
    fn map(&self, draft: &mut Draft, object: &Map<'_>) {
        let time = draft.timestamp;
        self.mapping.apply(draft, object);
        draft.timestamp = draft.timestamp.or(time);
    }

    /// Whether a line has the marks of the format.
    fn looks(&self, text: &str) -> bool {
        self.contains.iter().all(|mark| text.contains(mark.as_str()))
            && (self.starts_with.is_empty() || self.starts_with.iter().any(|mark| text.starts_with(mark.as_str())))
    }

    fn object<'a>(&'a self, text: &'a str, asked: bool) -> Option<Map<'a>> {
        if !self.looks(text) {
            return None;
        }
        let members = |pairs: Vec<(&'a str, &'a str)>| {
            pairs
                .into_iter()
                .map(|(name, value)| (Cow::Borrowed(name), Json::from(value)))
                .collect()
        };
        match &self.shape {
            Shape::Object | Shape::LogFormat(_) => None,
            Shape::Grok(patterns) => patterns.iter().find_map(|pattern| pattern.read(text)),
            Shape::Dissect(patterns) => patterns.iter().find_map(|pattern| dissect(pattern, text)).map(members),
            Shape::Columns(separator, names) => {
                let values = columns(text, *separator, names.len() + 1);
                (values.len() == names.len()).then(|| {
                    let pairs = names.iter().zip(values).filter(|(name, _)| *name != "_");
                    pairs
                        .map(|(name, value)| (Cow::Borrowed(name.as_str()), Json::from(value)))
                        .collect()
                })
            }
            Shape::Pairs => {
                let object = crate::keyvalue::object(text)?;
                (asked || self.mapping.knows(&object)).then_some(object)
            }
        }
    }
}

/// Keeps the members under their own names.
fn add_members(draft: &mut Draft, object: &Map<'_>) {
    for (name, value) in object.iter() {
        let value = match value {
            Json::String(text) => Value::from(text.as_ref()),
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => number
                .as_i64()
                .map_or_else(|| Value::Float(number.as_f64().unwrap_or(0.0)), Value::Int),
            Json::Null | Json::Array(_) | Json::Object(_) => Value::from(value.to_string()),
        };
        draft.set_own(name, value);
    }
}

fn shape_of(text: TextTable) -> Result<Shape, String> {
    let chosen = [
        !text.grok.is_empty(),
        !text.dissect.is_empty(),
        !text.columns.is_empty(),
        text.pairs,
        text.log_format.is_some(),
    ];
    if chosen.iter().filter(|chosen| **chosen).count() != 1 {
        return Err("text: expected one of grok, dissect, columns, pairs and log_format".to_owned());
    }
    if text.grok.len() + text.dissect.len() > MAX_PATTERNS || text.columns.len() > 256 {
        return Err(format!(
            "text: expected at most {MAX_PATTERNS} patterns and 256 columns"
        ));
    }
    if let Some(format) = &text.log_format {
        return LogFormat::compile(format).map(Shape::LogFormat);
    }
    if !text.grok.is_empty() {
        let patterns = text.grok.iter().map(|pattern| Grok::compile(pattern, &text.patterns));
        return Ok(Shape::Grok(patterns.collect::<Result<_, String>>()?));
    }
    if !text.dissect.is_empty() {
        for pattern in &text.dissect {
            let opened = pattern.matches('{').count();
            if opened == 0 || opened != pattern.matches('}').count() || opened > 32 || pattern.contains("}{") {
                return Err(format!(
                    "text.dissect {pattern:?}: expected 1 to 32 {{names}} with fixed words between them"
                ));
            }
        }
        return Ok(Shape::Dissect(text.dissect));
    }
    if text.pairs {
        return Ok(Shape::Pairs);
    }
    match text.separator.as_deref().unwrap_or(",").as_bytes() {
        [separator] => Ok(Shape::Columns(*separator, text.columns)),
        _ => Err("text.separator: expected one ASCII character".to_owned()),
    }
}

/// Turns a record into an event as [`crate::parse`] does, asking an operator's parsers first.
#[must_use]
pub fn parse_with<P: Borrow<CustomParser>>(record: &RawRecord<'_>, own: &[P]) -> Parsed {
    if let Some(parsed) = own.iter().find_map(|parser| parser.borrow().parse(record)) {
        return parsed;
    }
    if !own.is_empty()
        && let Some(parsed) = parse_shipped(record, own)
    {
        return parsed;
    }
    let mut parsed = crate::parse(record);
    let is_own = |log_type: &str| own.iter().any(|parser| parser.borrow().mapping.answers_to(log_type));
    if record.log_type.is_some_and(is_own) && !parsed.warnings.contains(&Warning::OtherType) {
        parsed.warnings.push(Warning::OtherType);
        let texts = parsed.warnings.iter().map(|warning| Value::from(warning.to_string()));
        parsed.fields.insert(ecs::PICKET_WARNINGS, texts.collect::<Value>());
    }
    parsed
}

/// Asks an operator's parsers about the line that an object ships, as `picket send` does.
fn parse_shipped<P: Borrow<CustomParser>>(record: &RawRecord<'_>, own: &[P]) -> Option<Parsed> {
    let (Body::Line(bytes) | Body::Json(bytes)) = record.body;
    if bytes.len() > 2 * MAX_LINE || !bytes.starts_with(b"{") || memchr::memmem::find(bytes, b"\"fields\"").is_none() {
        return None;
    }
    let object = tree::object(std::str::from_utf8(bytes).ok()?)?;
    let message = object.get("message")?.as_str()?;
    let fields = object.get("fields")?.as_object()?;
    let inner = RawRecord {
        body: Body::Line(message.as_bytes()),
        log_type: fields.get("log_type").and_then(Json::as_str).or(record.log_type),
        ..*record
    };
    own.iter()
        .find_map(|parser| parser.borrow().parse_within(&inner, Some(&object)))
}
