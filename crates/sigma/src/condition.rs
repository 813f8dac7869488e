//! The condition language: `selection and not 1 of filter_*`.
//!
//! Precedence from weakest to strongest: `or`, `and`, `not`, `x of`, parentheses. Keywords in any case.

use crate::ast::Expr;

/// Longest condition in bytes.
const MAX_LENGTH: usize = 8192;
/// Deepest nesting of parentheses and `not`.
const MAX_DEPTH: usize = 48;
/// Most tests a condition stands for once every name is replaced by its search.
const MAX_TESTS: usize = 100_000;

/// Named searches in the order of the rule, each with its number of tests.
pub(crate) struct Searches(pub(crate) Vec<(String, Expr, usize)>);

/// Parses one condition. The error says what was expected.
pub(crate) fn parse(text: &str, searches: &Searches) -> Result<Expr, String> {
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

fn tokenize(text: &str) -> Vec<&str> {
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
    searches: &'a Searches,
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

    fn or(&mut self, depth: usize) -> Result<Expr, String> {
        let mut terms = vec![self.and(depth)?];
        while self.take_keyword("or") {
            terms.push(self.and(depth)?);
        }
        Ok(one_or(terms, Expr::Or))
    }

    fn and(&mut self, depth: usize) -> Result<Expr, String> {
        let mut terms = vec![self.not(depth)?];
        while self.take_keyword("and") {
            terms.push(self.not(depth)?);
        }
        Ok(one_or(terms, Expr::And))
    }

    fn not(&mut self, depth: usize) -> Result<Expr, String> {
        if depth > MAX_DEPTH {
            return Err(format!("expected at most {MAX_DEPTH} levels of `not` and parentheses"));
        }
        if self.take_keyword("not") {
            return Ok(Expr::Not(Box::new(self.not(depth + 1)?)));
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
        let (_, expr, tests) = searches
            .0
            .iter()
            .find(|(name, ..)| name == token)
            .ok_or_else(|| unknown(token, searches))?;
        self.count(*tests)?;
        Ok(expr.clone())
    }

    fn quantified(&mut self, quantifier: &str) -> Result<Expr, String> {
        let pattern = self
            .next()
            .ok_or("expected `them` or a search name after `of`, got the end")?;
        let them = pattern.eq_ignore_ascii_case("them");
        let searches = self.searches;
        let chosen: Vec<_> = searches
            .0
            .iter()
            .filter(|(name, ..)| {
                if them {
                    !name.starts_with('_')
                } else {
                    name_fits(pattern, name)
                }
            })
            .collect();
        if chosen.is_empty() {
            return Err(unknown(pattern, searches));
        }
        for (_, _, tests) in &chosen {
            self.count(*tests)?;
        }
        let terms: Vec<Expr> = chosen.iter().map(|(_, expr, _)| expr.clone()).collect();
        if quantifier.eq_ignore_ascii_case("all") {
            return Ok(one_or(terms, Expr::And));
        }
        let count = if quantifier.eq_ignore_ascii_case("any") {
            Ok(1)
        } else {
            quantifier.parse::<usize>()
        };
        match count {
            Ok(1) => Ok(one_or(terms, Expr::Or)),
            Ok(count) if count == terms.len() => Ok(one_or(terms, Expr::And)),
            Ok(count) if count > 1 && count < terms.len() => Ok(Expr::AtLeast(count, terms)),
            Ok(_) => Err(format!(
                "expected a number from 1 to {} before `of {pattern}`, got `{quantifier}`",
                terms.len()
            )),
            Err(_) => Err(format!(
                "expected a number, `any` or `all` before `of`, got `{quantifier}`"
            )),
        }
    }

    fn count(&mut self, tests: usize) -> Result<(), String> {
        self.tests += tests;
        if self.tests > MAX_TESTS {
            return Err(format!(
                "expected a condition that stands for at most {MAX_TESTS} values"
            ));
        }
        Ok(())
    }
}

fn one_or(mut terms: Vec<Expr>, combine: fn(Vec<Expr>) -> Expr) -> Expr {
    match terms.len() {
        1 => terms.remove(0),
        _ => combine(terms),
    }
}

fn unknown(name: &str, searches: &Searches) -> String {
    let known: Vec<&str> = searches.0.iter().map(|(name, ..)| name.as_str()).collect();
    format!("expected one of the searches {}, got `{name}`", known.join(", "))
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
