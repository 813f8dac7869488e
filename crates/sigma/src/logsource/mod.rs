//! Which events a rule sees: `logsource` as a question to the event's fields.
//!
//! The three parts of a logsource are decided one by one and must all hold; a part the rule leaves out holds for
//! every event. What a part asks is data: `linux.rs` and `windows.rs` have the tables.
//!
//! - **product**: `windows`, `linux` and `macos` go by `host.os.type`; an event that says nothing about its system
//!   (a syslog line, say) counts as Linux. Any other product must be named by the event (`event.module`,
//!   `event.dataset`, `observer.product`, `cloud.provider`, `picket.log_type` or a field `product`).
//! - **service**: Windows services are channels, Linux services are program names and log files; a line that no
//!   parser took apart counts by the program syslog wrote into it. A service without an entry must be named by the
//!   event.
//! - **category**: Windows categories are channel and event id, and one event may belong to several; others go by
//!   ECS `event.category` and `event.type`, or by fields only that category has. A category without an entry must be
//!   named by the event.
//!
//! So a rule for something the event does not claim to be never sees it. `definition` is prose for people and decides
//! nothing. The question is evaluated beside the detection and is never what makes a rule a candidate.

mod catalog;
mod linux;
mod windows;

pub use catalog::{Applied, Catalog, Resolved};

use crate::ast::{Expr, Field, Op, Subject, Test};
use crate::pattern::{Pattern, Token};
use crate::rule::LogSource;

/// A question to an event, as a constant.
enum When {
    /// The field's text is one of these.
    Is(&'static str, &'static [&'static str]),
    /// The field's text has one of these in it.
    Contains(&'static str, &'static [&'static str]),
    /// The field has a value.
    Has(&'static str),
    /// The line was not parsed and one of these programs wrote it.
    Unparsed(&'static [&'static str]),
    Not(&'static When),
    All(&'static [When]),
    Any(&'static [When]),
}

/// What must hold of an event for a rule of this logsource to see it.
fn gate(logsource: &LogSource) -> Expr {
    let product = logsource.product.as_deref();
    let parts = [
        product.map(product_gate),
        logsource
            .service
            .as_deref()
            .map(|service| service_gate(product, service)),
        logsource
            .category
            .as_deref()
            .map(|category| category_gate(product, category)),
    ];
    Expr::And(parts.into_iter().flatten().collect())
}

fn product_gate(product: &str) -> Expr {
    match product {
        "windows" => build(&windows::PRODUCT),
        "linux" => build(&linux::PRODUCT),
        "macos" => Expr::Or(vec![is("host.os.type", ["macos", "darwin"]), is("product", ["macos"])]),
        other => {
            let prefixes = ["event.dataset", "picket.log_type"].into_iter().flat_map(|field| {
                ['.', '_', '-'].map(|separator| text(field, &[Token::Text(format!("{other}{separator}")), Token::Star]))
            });
            named(
                &[
                    "product",
                    "event.module",
                    "event.dataset",
                    "observer.product",
                    "observer.vendor",
                ],
                other,
            )
            .chain(named(&["cloud.provider", "picket.log_type"], other))
            .chain(prefixes)
            .collect::<Any>()
            .0
        }
    }
}

fn service_gate(product: Option<&str>, service: &str) -> Expr {
    let declared = named(
        &["service", "event.module", "event.dataset", "picket.log_type"],
        service,
    )
    .chain(product.map(|product| is("event.dataset", [format!("{product}.{service}")])));
    if product == Some("windows") {
        let channels = windows::channels(service).map(|channels| is("Channel", channels.iter().copied()));
        return match channels {
            Some(channels) => channels,
            None => declared.collect::<Any>().0,
        };
    }
    let known = linux::service(service).map(build);
    let programs = named(&["process.name", "log.syslog.appname", "program"], service);
    declared
        .chain(known)
        .chain(programs)
        .chain([unparsed([service])])
        .collect::<Any>()
        .0
}

/// A line no parser took apart, but which has one of these programs where syslog puts it.
fn unparsed<'a>(programs: impl IntoIterator<Item = &'a str>) -> Expr {
    let has_name = build(&When::Has("process.name"));
    let tags = programs.into_iter().flat_map(|program| {
        [" {}[", " {}: "].map(|form| {
            let tag = form.replace("{}", program);
            text("message", &[Token::Star, Token::Text(tag), Token::Star])
        })
    });
    Expr::And(vec![Expr::Not(Box::new(has_name)), Expr::Or(tags.collect())])
}

fn category_gate(product: Option<&str>, category: &str) -> Expr {
    let events = windows::events(category).map(|event| {
        let mut terms = vec![is("Channel", [event.channel]), is("EventID", [event.id.to_string()])];
        terms.extend(event.kind.map(|kind| is("EventType", [kind])));
        Expr::And(terms)
    });
    let named = named(&["category", "event.category", "picket.log_type"], category);
    let portable = (product != Some("windows"))
        .then(|| linux::category(category).map(build))
        .flatten();
    events.chain(named).chain(portable).collect::<Any>().0
}

/// Alternatives on their way to becoming an expression.
struct Any(Expr);

impl FromIterator<Expr> for Any {
    fn from_iter<I: IntoIterator<Item = Expr>>(iter: I) -> Self {
        Self(Expr::Or(iter.into_iter().collect()))
    }
}

fn named<'a>(fields: &'a [&'a str], value: &'a str) -> impl Iterator<Item = Expr> + 'a {
    fields.iter().map(move |field| is(field, [value]))
}

fn text(field: &str, tokens: &[Token]) -> Expr {
    Expr::Test(Test {
        subject: Subject::Field(Field::named(field)),
        op: Op::Text(Pattern::new(tokens, false)),
    })
}

fn is<S: Into<String>>(field: &str, values: impl IntoIterator<Item = S>) -> Expr {
    Expr::Or(
        values
            .into_iter()
            .map(|value| text(field, &[Token::Text(value.into())]))
            .collect(),
    )
}

fn build(when: &When) -> Expr {
    match when {
        When::Is(field, values) => is(field, values.iter().copied()),
        When::Contains(field, values) => Expr::Or(
            values
                .iter()
                .map(|value| text(field, &[Token::Star, Token::Text((*value).to_owned()), Token::Star]))
                .collect(),
        ),
        When::Has(field) => Expr::Test(Test {
            subject: Subject::Field(Field::named(field)),
            op: Op::Exists,
        }),
        When::Unparsed(programs) => unparsed(programs.iter().copied()),
        When::Not(inner) => Expr::Not(Box::new(build(inner))),
        When::All(terms) => Expr::And(terms.iter().map(build).collect()),
        When::Any(terms) => Expr::Or(terms.iter().map(build).collect()),
    }
}
