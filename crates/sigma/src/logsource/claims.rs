//! What events say about their own logsource.

use crate::ast::{Expr, Field, Op, Subject, Test};
use crate::pattern::{Pattern, Token};

/// The event says it is from this product.
pub(super) fn product(name: &str) -> Vec<Expr> {
    let fields = [
        "product",
        "event.module",
        "event.dataset",
        "observer.product",
        "observer.vendor",
        "cloud.provider",
        "picket.log_type",
    ];
    let mut claims: Vec<Expr> = fields.iter().map(|field| is(field, name)).collect();
    for field in ["event.dataset", "picket.log_type"] {
        for separator in ['.', '_', '-'] {
            claims.push(text(field, &[Token::Text(format!("{name}{separator}")), Token::Star]));
        }
    }
    claims
}

/// The event says it is from this service: by name, or as a line a program of that name wrote.
pub(super) fn service(product: Option<&str>, name: &str) -> Vec<Expr> {
    let declared = ["service", "event.module", "event.dataset", "picket.log_type"];
    let mut claims: Vec<Expr> = declared.iter().map(|field| is(field, name)).collect();
    if let Some(product) = product {
        claims.push(is("event.dataset", &format!("{product}.{name}")));
    }
    if product == Some("windows") {
        return claims;
    }
    let programs = ["process.name", "log.syslog.appname", "program"];
    claims.extend(programs.iter().map(|field| is(field, name)));
    claims.push(unparsed(name));
    claims
}

/// The event says it is of this category.
pub(super) fn category(name: &str) -> Vec<Expr> {
    let fields = ["category", "event.category", "picket.log_type"];
    fields.iter().map(|field| is(field, name)).collect()
}

/// A line no parser took apart, but which has the program where syslog puts it.
fn unparsed(program: &str) -> Expr {
    let has_name = Expr::Test(Test {
        subject: Subject::Field(Field::named("process.name")),
        op: Op::Exists,
    });
    let tags = [format!(" {program}["), format!(" {program}: ")];
    let tags = tags.map(|tag| text("message", &[Token::Star, Token::Text(tag), Token::Star]));
    Expr::And(vec![Expr::Not(Box::new(has_name)), Expr::Or(tags.to_vec())])
}

fn is(field: &str, value: &str) -> Expr {
    text(field, &[Token::Text(value.to_owned())])
}

fn text(field: &str, tokens: &[Token]) -> Expr {
    Expr::Test(Test {
        subject: Subject::Field(Field::named(field)),
        op: Op::Text(Pattern::new(tokens, false)),
    })
}
