//! Finding the values of a line.

use std::borrow::Cow;

use super::variables::Variable;
use super::{LogFormat, Part, Reading};
use crate::scan::unescape;

/// How often a line may be looked through before it is given up, and what short lines may cost besides.
const PASSES: usize = 64;
const LEAST: usize = 16 << 10;

impl LogFormat {
    /// The values of a line, `None` when it is not of this format. Values that others choose may hold what stands between
    /// two variables; of two readings, only what they have in common is taken.
    pub(in super::super) fn read<'a>(&'a self, text: &'a str) -> Option<Reading<'a>> {
        let mut search = Search {
            text,
            parts: &self.parts,
            chosen: Vec::new(),
            found: Vec::new(),
            left: PASSES * text.len() + LEAST,
        };
        search.from(0, 0);
        if search.left == 0 {
            return None;
        }
        let mut found = search.found.into_iter();
        let (first, second) = (found.next()?, found.next());
        let variables = self.parts.iter().filter_map(|part| match part {
            Part::Variable(variable) => Some(variable),
            Part::Text(_) => None,
        });
        let values = variables
            .zip(first.iter().enumerate())
            .filter(|(_, (index, value))| second.as_ref().is_none_or(|second| second.get(*index) == Some(*value)))
            .map(|(variable, (_, value))| (variable, self.plain(value)))
            .collect();
        Some(Reading {
            values,
            is_ambiguous: second.is_some(),
        })
    }

    /// A value without what the server escaped in it.
    fn plain<'a>(&self, value: &'a str) -> Cow<'a, str> {
        if !self.is_json || !value.contains('\\') {
            return unescape(value);
        }
        serde_json::from_str(&format!("\"{value}\"")).map_or(Cow::Borrowed(value), Cow::Owned)
    }
}

struct Search<'a> {
    text: &'a str,
    parts: &'a [Part],
    chosen: Vec<&'a str>,
    /// The first two readings.
    found: Vec<Vec<&'a str>>,
    /// Bytes that may still be looked at; 0 when the line was given up.
    left: usize,
}

impl<'a> Search<'a> {
    fn from(&mut self, part: usize, at: usize) {
        let Some(rest) = self.text.get(at..) else { return };
        match (self.parts.get(part), self.parts.get(part + 1)) {
            (None, _) => {
                if rest.trim_end().is_empty() {
                    self.found.push(self.chosen.clone());
                }
            }
            (Some(Part::Text(fixed)), _) => {
                if rest.starts_with(fixed.as_str()) {
                    self.from(part + 1, at + fixed.len());
                }
            }
            (Some(Part::Variable(variable)), None) => {
                let end = self.text.trim_end().len();
                if !self.has_quote(at, end) {
                    self.choose(variable, part, at, end);
                }
            }
            (Some(Part::Variable(variable)), Some(Part::Text(fixed))) => self.each(variable, part, at, fixed),
            // What follows begins with a slash.
            (Some(Part::Variable(variable)), Some(Part::Variable(_))) => self.each(variable, part, at, "/"),
        }
    }

    /// Tries every place where what follows a variable stands.
    fn each(&mut self, variable: &'a Variable, part: usize, at: usize, fixed: &str) {
        let mut from = at;
        while self.found.len() < 2
            && let Some(rest) = self.text.get(from..)
        {
            let found = rest.find(fixed);
            let looked = found.map_or(rest.len(), |offset| offset + fixed.len());
            self.left = self.left.saturating_sub(looked + (from - at) + 1);
            if self.left == 0 {
                return;
            }
            let Some(end) = found.map(|offset| from + offset) else {
                return;
            };
            // Both servers escape quotes, whatever a value is: a bare one is where it ends.
            if self.has_quote(at, end) {
                return;
            }
            if !(fixed.starts_with('"') && self.is_escaped(at, end)) {
                self.choose(variable, part, at, end);
            }
            // The next place begins a character later.
            from = end
                + self
                    .text
                    .get(end..)
                    .and_then(|rest| rest.chars().next())
                    .map_or(1, char::len_utf8);
        }
    }

    /// Whether there is a quote without a backslash before it.
    fn has_quote(&self, from: usize, end: usize) -> bool {
        let value = self.text.as_bytes().get(from..end).unwrap_or_default();
        memchr::memchr_iter(b'"', value).any(|quote| !self.is_escaped(from, from + quote))
    }

    /// Whether the character at `end` has an odd number of backslashes before it.
    fn is_escaped(&self, from: usize, end: usize) -> bool {
        let before = self.text.as_bytes().get(from..end).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
    }

    fn choose(&mut self, variable: &'a Variable, part: usize, at: usize, end: usize) {
        let Some(value) = self.text.get(at..end) else { return };
        if !variable.fits(value) {
            return;
        }
        self.chosen.push(value);
        self.from(part + 1, end);
        self.chosen.pop();
    }
}
