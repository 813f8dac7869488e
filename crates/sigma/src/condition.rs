//! The condition language: `selection and not 1 of filter_*`.
//!
//! Precedence from weakest to strongest: `or`, `and`, `not`, `x of`, parentheses. Keywords in any case.

use crate::detection::{MAX_TESTS, Search, Tree};

/// Longest condition in bytes.
const MAX_LENGTH: usize = 8192;
/// Deepest nesting of parentheses and `not`.
const MAX_DEPTH: usize = 48;

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
    let mut parser = Parser {
        tokens: tokenize(text),
        at: 0,
        tests: 0,
        searches,
    };
    let expr = parser.or(0)?;
    match parser.next() {
        None => Ok(expr),
        Some(token) => Err(format!("expected `and`, `or` or the end, got `{token}`")),
    }
}

/// Words and parentheses.
pub(crate) fn tokenize(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let mut rest = word;
        while let Some(at) = rest.find(['(', ')']) {
            let (before, after) = rest.split_at(at);
            let (parenthesis, after) = after.split_at(1);
            tokens.extend([before, parenthesis].into_iter().filter(|token| !token.is_empty()));
            rest = after;
        }
        if !rest.is_empty() {
            tokens.push(rest);
        }
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    tests: usize,
    searches: &'a Names<'a>,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Result<Tree, String> {
        let mut terms = vec![self.and(depth)?];
        while self.take_keyword("or") {
            terms.push(self.and(depth)?);
        }
        Ok(one_or(terms, Tree::Any))
    }

    fn and(&mut self, depth: usize) -> Result<Tree, String> {
        let mut terms = vec![self.not(depth)?];
        while self.take_keyword("and") {
            terms.push(self.not(depth)?);
        }
        Ok(one_or(terms, Tree::All))
    }

    fn not(&mut self, depth: usize) -> Result<Tree, String> {
        if depth > MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} levels of `not` and parentheses"));
        }
        if self.take_keyword("not") {
            return Ok(Tree::Not(Box::new(self.not(depth + 1)?)));
        }
        let token = self.next().ok_or("expected a search name or `(`, got the end")?;
        if token == "(" {
            let inner = self.or(depth + 1)?;
            return match self.next() {
                Some(")") => Ok(inner),
                Some(other) => Err(format!("expected `)`, got `{other}`")),
                None => Err("expected `)`, got the end".to_owned()),
            };
        }
        if self.peek().is_some_and(|next| next.eq_ignore_ascii_case("of")) {
            self.at += 1;
            return self.quantified(token);
        }
        let is_keyword = ["and", "or", "of", ")"]
            .iter()
            .any(|word| token.eq_ignore_ascii_case(word));
        if is_keyword {
            return Err(format!("expected a search name or `(`, got `{token}`"));
        }
        let searches = self.searches;
        let found = searches.0.iter().position(|(name, _)| *name == token);
        let position = found.ok_or_else(|| unknown(token, searches))?;
        self.named(position)
    }

    fn quantified(&mut self, quantifier: &str) -> Result<Tree, String> {
        let pattern = self
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

fn one_or(mut terms: Vec<Tree>, combine: fn(Vec<Tree>) -> Tree) -> Tree {
    match terms.len() {
        1 => terms.remove(0),
        _ => combine(terms),
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
