//! What is wrong with a query, and where.

/// A text that is no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("character {}: expected {expected}, got {got}", self.position())]
pub struct QueryError {
    /// Characters before the mistake.
    before: usize,
    /// Place in bytes.
    offset: usize,
    expected: String,
    got: String,
}

/// Most characters of a query that [`QueryError::caret`] shows before the mistake.
const SHOWN: usize = 100;

impl QueryError {
    pub(crate) fn new(source: &str, offset: usize, expected: impl Into<String>) -> Self {
        let rest = source.get(offset..).unwrap_or_default();
        let word: String = rest
            .chars()
            .enumerate()
            .take_while(|(at, c)| *at < 24 && (*at == 0 || !(c.is_whitespace() || matches!(c, '(' | ')' | '"'))))
            .map(|(_, c)| if c.is_control() { ' ' } else { c })
            .collect();
        let got = if rest.is_empty() {
            "the end".to_owned()
        } else {
            format!("`{word}`")
        };
        Self::with_got(source, offset, expected, got)
    }

    pub(crate) fn with_got(source: &str, offset: usize, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self {
            before: source.get(..offset).map_or(0, |head| head.chars().count()),
            offset,
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// The character at which the mistake is, from 1; one behind the last when something is missing at the end.
    #[must_use]
    pub fn position(&self) -> usize {
        self.before + 1
    }

    /// The byte at which the mistake is, from 0.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What was expected there.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What stands there.
    #[must_use]
    pub fn got(&self) -> &str {
        &self.got
    }

    /// Two lines for a terminal: the query around the mistake, and a caret under it.
    #[must_use]
    pub fn caret(&self, source: &str) -> String {
        let skipped = self.before.saturating_sub(SHOWN);
        let line: String = source
            .chars()
            .skip(skipped)
            .take(SHOWN + 40)
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        format!("{line}\n{}^", " ".repeat(self.before - skipped))
    }
}
