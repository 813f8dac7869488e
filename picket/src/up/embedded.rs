//! The rule pack in this program.

/// Path below the rules directory, and text.
pub(super) const RULES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));
