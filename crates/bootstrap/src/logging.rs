//! Logging to stderr, as text for people or as JSON for machines.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;
use std::panic;
use std::sync::Once;

use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{LogConfig, LogFormat};

static INIT: Once = Once::new();

/// Starts logging for a service and logs panics as ERROR. Only the first call in a process has an effect.
///
/// A level that is invalid falls back to `info`; [`LogConfig::validate`] finds it before.
pub fn init(config: &LogConfig, service: &str) {
    init_node(config, service, None);
}

/// Like [`init`], with the name of the node in every line.
pub fn init_node(config: &LogConfig, service: &str, node: Option<&str>) {
    INIT.call_once(|| {
        let filter = config.filter().unwrap_or_default();
        let format = Lines {
            service: service.to_owned(),
            node: node.map(str::to_owned),
            json: config.format == LogFormat::Json,
        };
        let ansi = config.format == LogFormat::Text && std::io::stderr().is_terminal();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(ansi)
            .with_writer(std::io::stderr)
            .event_format(format)
            .finish();
        // A test harness may have set one; its choice stands.
        let _ = tracing::subscriber::set_global_default(subscriber);
        log_panics();
    });
}

fn log_panics() {
    panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
            tracing::error!(reason = message, location, %backtrace, "panicked");
        } else {
            tracing::error!(reason = message, location, "panicked");
        }
    }));
}

/// `TIME LEVEL service[node] target: span{fields}: message fields`, or one JSON object.
struct Lines {
    service: String,
    node: Option<String>,
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if self.json {
            self.format_json(ctx, writer, event)
        } else {
            self.format_text(ctx, writer, event)
        }
    }
}

impl Lines {
    fn format_text<S, N>(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        let metadata = event.metadata();
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let level = metadata.level();
        if writer.has_ansi_escapes() {
            let colour = match *level {
                Level::ERROR => 31,
                Level::WARN => 33,
                Level::INFO => 32,
                Level::DEBUG | Level::TRACE => 34,
            };
            write!(
                writer,
                "\x1b[2m{time}\x1b[0m \x1b[{colour}m{level:>5}\x1b[0m {}",
                self.service
            )?;
        } else {
            write!(writer, "{time} {level:>5} {}", self.service)?;
        }
        if let Some(node) = &self.node {
            write!(writer, "[{node}]")?;
        }
        write!(writer, " {}: ", metadata.target())?;
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            write!(writer, "{}", span.name())?;
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
                && !fields.is_empty()
            {
                write!(writer, "{{{fields}}}")?;
            }
            write!(writer, ": ")?;
        }
        let mut text = TextFields::default();
        event.record(&mut text);
        writeln!(writer, "{}{}", text.message, text.fields)
    }

    fn format_json<S, N>(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
        N: for<'a> FormatFields<'a> + 'static,
    {
        let metadata = event.metadata();
        let mut line = Map::new();
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
        line.insert("timestamp".to_owned(), Value::String(time));
        line.insert("level".to_owned(), Value::String(metadata.level().to_string()));
        line.insert("service".to_owned(), Value::String(self.service.clone()));
        if let Some(node) = &self.node {
            line.insert("node".to_owned(), Value::String(node.clone()));
        }
        line.insert("target".to_owned(), Value::String(metadata.target().to_owned()));
        let spans: Vec<Value> = ctx
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions
                    .get::<FormattedFields<N>>()
                    .map(|f| f.fields.clone())
                    .unwrap_or_default();
                Value::String(if fields.is_empty() {
                    span.name().to_owned()
                } else {
                    format!("{}{{{fields}}}", span.name())
                })
            })
            .collect();
        if !spans.is_empty() {
            line.insert("spans".to_owned(), Value::Array(spans));
        }
        event.record(&mut JsonFields(&mut line));
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// Most characters of an error and its causes; those of the database driver hold the whole topology.
const MAX_ERROR_CHARS: usize = 600;

#[derive(Default)]
struct TextFields {
    message: String,
    fields: String,
}

impl Visit for TextFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            escape(&mut self.message, value);
        } else {
            self.push(field, &format!("{value:?}"));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.record_debug(field, &format_args!("{}", chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        escape(&mut text, &format!("{value:?}"));
        if field.name() == "message" {
            self.message = text;
        } else {
            self.push(field, &text);
        }
    }
}

/// An error with what caused it: the first line alone says "the database is unavailable" and not why.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some errors say themselves what caused them.
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    if let Some((end, _)) = text.char_indices().nth(MAX_ERROR_CHARS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl TextFields {
    fn push(&mut self, field: &Field, text: &str) {
        let _ = write!(self.fields, " {}={text}", field.name());
    }
}

/// What a peer controls must not start a line of its own or speak to the terminal.
fn escape(into: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() && c != '\t' {
            into.extend(c.escape_default());
        } else {
            into.push(c);
        }
    }
}

struct JsonFields<'a>(&'a mut Map<String, Value>);

impl JsonFields<'_> {
    fn insert(&mut self, field: &Field, value: Value) {
        // An event's field must not replace what every line has.
        let name = match field.name() {
            name @ ("timestamp" | "level" | "service" | "node" | "target" | "spans") => format!("event.{name}"),
            name => name.to_owned(),
        };
        self.0.insert(name, value);
    }
}

impl Visit for JsonFields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, Value::from(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, Value::from(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, Value::from(chain(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, Value::from(format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_with_its_causes_once_and_not_without_end() {
        let refused = std::io::Error::other("connection refused");
        let error = anyhow::Error::from(refused).context("connect").context("start");
        assert_eq!(chain(error.as_ref()), "start: connect: connection refused");
        let told = std::io::Error::other(std::io::Error::other("twice"));
        assert_eq!(chain(&told), "twice");
        let long = std::io::Error::other("ä".repeat(100_000));
        assert_eq!(chain(&long).chars().count(), MAX_ERROR_CHARS + 1);
    }
}
