//! Sigma rules: YAML text to rules, rules to a rule set, events to the rules they match.
//!
//! ```
//! use model::{Event, EventId, Fields, Timestamp, id::{Epoch, SourceId}};
//!
//! let yaml = "
//! id: 0d1ee4a1-5e5f-4f0c-8f63-4c0f0fb3a4f1
//! title: Login as root
//! logsource: {product: linux, service: sshd}
//! detection:
//!   selection: {user.name: root, event.outcome: success}
//!   condition: selection
//! ";
//! let rules = sigma::parse_rules("root.yml", yaml).into_iter().collect::<Result<Vec<_>, _>>()?;
//! let (set, refused) = sigma::RuleSet::compile(rules);
//! assert!(refused.is_empty());
//!
//! let mut fields = Fields::new();
//! fields.insert("process.name", "sshd");
//! fields.insert("user.name", "Root");
//! fields.insert("event.outcome", "success");
//! let id = EventId { source: SourceId::named("docs", "docs"), epoch: Epoch(1), seq: 0 };
//! let event = Event { id, timestamp: Timestamp(0), fields };
//!
//! let (mut scratch, mut hits) = (sigma::Scratch::new(), Vec::new());
//! set.evaluate(&event, &mut scratch, &mut hits);
//! assert_eq!(hits, [0]);
//! # Ok::<(), sigma::RuleError>(())
//! ```
//!
//! Parsing takes hostile text: sizes, depths and counts are bounded, nothing is loaded by half, and every refusal names
//! the file, the line, the field and what was expected. Evaluation is a pure function of rule set and event.
//!
//! How an evaluation goes: the few fields that logsources depend on decide which rules can see the event, and these
//! are compiled together, once, as a bucket (`engine/gates.rs`, `engine/keys.rs`, `engine/bucket.rs`). The fields the
//! bucket asks for are put into numbered slots; their texts are case-folded once; an index (`engine/index/`) finds
//! witnesses (`engine/witness.rs`) in these texts and so the few rules that could match; of these, the detection is
//! evaluated as a chain (`engine/program.rs`) of predicates that all rules share and that are each answered at most
//! once per event. All memory lives in [`Scratch`].
//!
//! This crate does no I/O, knows no database and no async runtime.

pub mod ast;
mod condition;
pub mod correlation;
pub mod detection;
mod document;
mod engine;
mod error;
pub mod explain;
pub mod filter;
mod json;
pub mod lint;
mod logic;
pub mod logsource;
mod metadata;
mod modifier;
pub mod pattern;
mod pipeline;
mod rule;
pub mod ruletest;
mod shared;
pub mod sight;
mod simple;
mod value;
mod yaml;

pub use correlation::Correlation;
pub use document::{Document, DocumentKind, parse_documents, parse_rules};
pub use engine::columns::Columns;
pub use engine::profile::{Profile, RuleProfile};
pub use engine::ruleset::RuleSet;
pub use engine::scratch::Scratch;
pub use engine::seen::Seen;
pub use error::{LineError, RuleError};
pub use explain::{CorrelationExplanation, Explanation, explain, explain_correlation, explain_with};
pub use filter::Filter;
pub use lint::{Lint, Linter, Severity, lint};
pub use logsource::{Applied, Catalog, Resolved};
pub use metadata::{Metadata, Related, RelatedKind, Status};
pub use rule::{LogSource, Rule};
pub use shared::Shared;
