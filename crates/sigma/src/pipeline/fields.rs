//! New names for fields.

use super::parameters::Parameters;
use crate::error::Fault;

/// Most names one field is mapped to.
const MAX_NAMES: usize = 16;

/// How letters are changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    Lower,
    Upper,
    Snake,
}

impl Case {
    pub(super) fn read(parameters: &Parameters<'_>, key: &'static str) -> Result<Self, Fault> {
        Ok(match parameters.word(key, &["lower", "upper", "snake_case"])? {
            1 => Self::Upper,
            2 => Self::Snake,
            _ => Self::Lower,
        })
    }

    pub(super) fn apply(self, text: &str) -> String {
        match self {
            Self::Lower => text.to_lowercase(),
            Self::Upper => text.to_uppercase(),
            Self::Snake => snake(text),
        }
    }
}

/// `CommandLine` as `command_line`.
fn snake(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut previous: Option<char> = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let starts_word = c.is_uppercase()
            && previous.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase() && chars.peek().is_some_and(|next| next.is_lowercase()))
            });
        if starts_word {
            out.push('_');
        }
        out.extend(c.to_lowercase());
        previous = Some(c);
    }
    out
}

/// A change of field names.
#[derive(Clone, Debug)]
pub(crate) enum FieldChange {
    Mapping(Vec<(String, Vec<String>)>),
    PrefixMapping(Vec<(String, Vec<String>)>),
    Transform {
        case: Case,
        mapping: Vec<(String, Vec<String>)>,
    },
    Prefix(String),
    Suffix(String),
}

impl FieldChange {
    pub(super) fn read(kind: &str, parameters: &Parameters<'_>) -> Result<Self, Fault> {
        let mapping = || {
            let mapping = parameters.mapping("mapping")?;
            if mapping.iter().any(|(_, names)| names.len() > MAX_NAMES) {
                let reason = format!("expected at most {MAX_NAMES} names for a field");
                return Err(parameters.fault("mapping", reason));
            }
            Ok(mapping)
        };
        Ok(match kind {
            "field_name_mapping" => Self::Mapping(mapping()?),
            "field_name_prefix_mapping" => Self::PrefixMapping(mapping()?),
            "field_name_transform" => Self::Transform {
                case: Case::read(parameters, "transform_func")?,
                mapping: match parameters.get("mapping") {
                    Some(_) => mapping()?,
                    None => Vec::new(),
                },
            },
            "field_name_prefix" => Self::Prefix(parameters.required_text("prefix")?),
            _ => Self::Suffix(parameters.required_text("suffix")?),
        })
    }

    /// The names a field gets; `None` when it keeps its own. A keyword has the empty name.
    pub(super) fn names(&self, field: &str) -> Option<Vec<String>> {
        let listed = |mapping: &[(String, Vec<String>)]| {
            let found = mapping.iter().find(|(name, _)| name == field);
            found.map(|(_, names)| names.clone())
        };
        match self {
            Self::Mapping(mapping) => listed(mapping),
            _ if field.is_empty() => None,
            Self::PrefixMapping(mapping) => mapping.iter().find_map(|(prefix, names)| {
                let rest = field.strip_prefix(prefix.as_str())?;
                Some(names.iter().map(|name| format!("{name}{rest}")).collect())
            }),
            Self::Transform { case, mapping } => listed(mapping).or_else(|| Some(vec![case.apply(field)])),
            Self::Prefix(prefix) => Some(vec![format!("{prefix}{field}")]),
            Self::Suffix(suffix) => Some(vec![format!("{field}{suffix}")]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snake_case_splits_at_words() {
        for (given, expected) in [
            ("CommandLine", "command_line"),
            ("EventID", "event_id"),
            ("HTTPStatus", "http_status"),
            ("already_snake", "already_snake"),
        ] {
            assert_eq!(snake(given), expected);
        }
    }
}
