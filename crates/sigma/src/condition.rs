//! The condition language: `selection and not 1 of filter_*`.
//!
//! Precedence from weakest to strongest: `or`, `and`, `not`, `x of`, parentheses. Keywords in any case.

use crate::detection::{MAX_TESTS, Search, Tree};
use crate::logic::{self, Language, Tokens, one_or};

/// Longest condition in bytes.
const MAX_LENGTH: usize = 8192;

/// Names of searches in the order of the rule, each with the number of its values.
pub(crate) struct Names<'a>(Vec<(&'a str, usize)>);

impl<'a> Names<'a> {
    pub(crate) fn new(searches: &'a [Search]) -> Self {
        let with_count = |search: &'a Search| {
            let mut values = 0;
            search.body.items(&mut |item| values += item.values.len());
            (search.name.as_str(), values)
        };
        Self(searches.iter().map(with_count).collect())
    }
}

/// Parses one condition. The error says what was expected.
pub(crate) fn parse(text: &str, searches: &Names<'_>) -> Result<Tree, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("expected at most {MAX_LENGTH} bytes, got {}", text.len()));
    }
    if let Some((_, aggregation)) = text.split_once('|') {
        return Err(format!(
            "expected no aggregation, got `|{aggregation}`: it is not part of Sigma 2, write a correlation rule"
        ));
    }
    logic::parse(text, &mut Condition { tests: 0, searches })
}

struct Condition<'a> {
    tests: usize,
    searches: &'a Names<'a>,
}

impl Language for Condition<'_> {
    type Expr = Tree;

    const WORD: &'static str = "a search name";
    const MAX_DEPTH: usize = 48;

    fn word<'t>(&mut self, word: &'t str, rest: &mut Tokens<'t>) -> Result<Tree, String> {
        if rest.take("of") {
            return self.quantified(word, rest);
        }
        if word.eq_ignore_ascii_case("of") {
            return Err(format!("expected a search name or `(`, got `{word}`"));
        }
        let searches = self.searches;
        let found = searches.0.iter().position(|(name, _)| *name == word);
        let position = found.ok_or_else(|| unknown(word, searches))?;
        self.named(position)
    }

    fn all(terms: Vec<Tree>) -> Tree {
        Tree::All(terms)
    }

    fn any(terms: Vec<Tree>) -> Tree {
        Tree::Any(terms)
    }

    fn not(inner: Tree) -> Tree {
        Tree::Not(Box::new(inner))
    }
}

impl Condition<'_> {
    fn quantified(&mut self, quantifier: &str, rest: &mut Tokens<'_>) -> Result<Tree, String> {
        let pattern = rest
            .next()
            .ok_or("expected `them` or a search name after `of`, got the end")?;
        let searches = self.searches;
        let names = searches.0.iter().enumerate();
        let chosen = names.filter_map(|(position, (name, _))| chooses(pattern, name).then_some(position));
        let terms: Vec<Tree> = chosen.map(|position| self.named(position)).collect::<Result<_, _>>()?;
        if terms.is_empty() {
            return Err(unknown(pattern, searches));
        }
        if quantifier.eq_ignore_ascii_case("all") {
            return Ok(one_or(terms, Tree::All));
        }
        let count = if quantifier.eq_ignore_ascii_case("any") {
            Ok(1)
        } else {
            quantifier.parse::<usize>()
        };
        match count {
            Ok(1) => Ok(one_or(terms, Tree::Any)),
            Ok(count) if count == terms.len() => Ok(one_or(terms, Tree::All)),
            Ok(count) if count > 1 && count < terms.len() => Ok(Tree::AtLeast(count, terms)),
            Ok(_) => Err(format!(
                "expected a number from 1 to {} before `of {pattern}`, got `{quantifier}`",
                terms.len()
            )),
            Err(_) => Err(format!(
                "expected a number, `any` or `all` before `of`, got `{quantifier}`"
            )),
        }
    }

    fn named(&mut self, position: usize) -> Result<Tree, String> {
        self.tests += self.searches.0.get(position).map_or(0, |(_, tests)| *tests);
        if self.tests > MAX_TESTS {
            return Err(format!(
                "expected a condition that stands for at most {MAX_TESTS} values"
            ));
        }
        Ok(Tree::Search(position))
    }
}

fn unknown(name: &str, searches: &Names<'_>) -> String {
    let known: Vec<&str> = searches.0.iter().map(|(name, _)| *name).collect();
    format!("expected one of the searches {}, got `{name}`", known.join(", "))
}

/// Whether `of pattern` means the search of this name. A name with an underscore in front is only chosen by a pattern
/// that has one too.
pub(crate) fn chooses(pattern: &str, name: &str) -> bool {
    let is_hidden = name.starts_with('_') && !pattern.starts_with('_');
    !is_hidden && (pattern.eq_ignore_ascii_case("them") || name_fits(pattern, name))
}

/// Whether `name` fits a pattern in which `*` stands for any text.
fn name_fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_patterns_take_a_star_anywhere() {
        for (pattern, name, expected) in [
            ("sel*", "selection", true),
            ("*filter*", "main_filter_1", true),
            ("a*b*c", "aXbYc", true),
            ("a*a", "a", false),
            ("sel", "selection", false),
            ("*", "x", true),
        ] {
            assert_eq!(name_fits(pattern, name), expected, "{pattern} on {name}");
        }
    }
}
