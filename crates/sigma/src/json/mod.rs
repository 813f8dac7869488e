//! Events as JSON lines, read without building a document.
//!
//! Two passes over the line. The first ([`marks`]) finds all quotes that are not escaped, 64 bytes at a time. The second
//! ([`scan`]) walks from quote to quote and hands out each member's flat name and raw value. What is rare in events or not
//! plainly well-formed is [`Outcome::Unusual`]: the caller then takes the slow path over `serde_json`, which either
//! explains what is wrong or reads it. So the scanner may refuse anything, and must never read anything differently.

mod escapes;
mod marks;
mod scan;

pub(crate) use escapes::unescape_into;
pub(crate) use scan::{Outcome, Raw, Scanner};
