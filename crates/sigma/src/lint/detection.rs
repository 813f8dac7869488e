//! Items and values.

use rustc_hash::FxHashSet;

use super::regexes::{has_loose_end, is_literal};
use super::{Findings, codes};
use crate::detection::{Detection, Item, Question, Search, Value, Written};
use crate::pattern::{Token, fold};

/// Modifiers that make other text of a value.
const ENCODINGS: [&str; 6] = ["base64", "base64offset", "wide", "utf16", "utf16le", "utf16be"];

/// Shortest keyword in characters that is not called short.
const SHORT_KEYWORD: usize = 3;
/// Shortest text in characters that is looked for inside values and not called short.
const SHORT_VALUE: usize = 2;

pub(super) fn check(detection: &Detection, found: &mut Findings<'_>) {
    for search in &detection.searches {
        search.body.items(&mut |item| check_item(search, item, found));
    }
}

fn check_item(search: &Search, item: &Item, found: &mut Findings<'_>) {
    let field = item.path(&format!("detection.{}", search.name));
    let modifiers: Vec<&str> = item.modifiers().collect();
    let has = |name: &str| modifiers.contains(&name);
    let is_encoded = modifiers.iter().any(|name| ENCODINGS.contains(name));
    let mut seen = FxHashSet::default();
    for value in &item.values {
        let mut report = |code, message: String| found.found(code, value.line, value.column, field.clone(), message);
        let Written::Text(written) = &value.written else {
            continue;
        };
        if !seen.insert(if has("re") || has("cased") || is_encoded {
            written.to_string()
        } else {
            fold(written)
        }) {
            report(&codes::DUPLICATE_VALUE, format!("`{written}` is there twice"));
        }
        if let Question::Regex(regex) = &value.question {
            let source = written.as_ref();
            if is_literal(source) {
                report(
                    &codes::REGEX_LITERAL,
                    format!("`{}` is nothing but text", regex.source()),
                );
            } else if has_loose_end(source) {
                report(&codes::REGEX_UNANCHORED, format!("`{source}` begins or ends with `.*`"));
            }
            continue;
        }
        check_text(item, value, &modifiers, &mut report);
    }
    let texts = || item.values.iter().filter_map(|value| tokens(value));
    if has("windash") && texts().all(|tokens| !tokens.contains(&Token::Dash)) {
        found.found(
            &codes::WINDASH_WITHOUT_DASH,
            item.line,
            item.column,
            field,
            "`windash` changes nothing",
        );
    } else if has("cased") && texts().flatten().all(|token| !has_letters(token)) {
        found.found(
            &codes::CASED_WITHOUT_LETTERS,
            item.line,
            item.column,
            field,
            "`cased` changes nothing",
        );
    }
}

fn check_text(item: &Item, value: &Value, modifiers: &[&str], report: &mut impl FnMut(&'static super::Code, String)) {
    let (Written::Text(written), Some(tokens)) = (&value.written, tokens(value)) else {
        return;
    };
    let has = |name: &str| modifiers.contains(&name);
    let encoded = modifiers.iter().any(|name| ENCODINGS.contains(name));
    let own = crate::pattern::parse_wildcards(written);
    let (first, last) = (own.first() == Some(&Token::Star), own.last() == Some(&Token::Star));
    let redundant = (has("contains") && (first || last)) || (has("startswith") && last) || (has("endswith") && first);
    if redundant && !encoded {
        report(
            &codes::REDUNDANT_WILDCARD,
            format!("`{written}` has a wildcard at the end"),
        );
    }
    let literal: usize = tokens
        .iter()
        .map(|token| match token {
            Token::Text(text) => text.chars().count(),
            Token::One | Token::Dash => 1,
            Token::Star => 0,
        })
        .sum();
    if item.field.is_none() {
        if literal < SHORT_KEYWORD {
            report(&codes::SHORT_KEYWORD, format!("`{written}` has {literal} characters"));
        }
        return;
    }
    match own.as_slice() {
        [Token::Star] if modifiers.is_empty() => report(&codes::ANY_VALUE, "`*` is any value".to_owned()),
        [Token::Star, Token::Text(_)] | [Token::Text(_), Token::Star] | [Token::Star, Token::Text(_), Token::Star]
            if modifiers.is_empty() =>
        {
            report(
                &codes::WILDCARD_FOR_MODIFIER,
                format!("`{written}` has wildcards at its ends only"),
            );
        }
        _ if has("contains") && !item.all && literal < SHORT_VALUE && written.is_ascii() => {
            report(&codes::SHORT_VALUE, format!("`{written}` has {literal} character"));
        }
        _ => {}
    }
}

fn tokens(value: &Value) -> Option<&[Token]> {
    value.question.tokens()
}

fn has_letters(token: &Token) -> bool {
    match token {
        Token::Text(text) => text.chars().any(char::is_alphabetic),
        Token::Star | Token::One | Token::Dash => false,
    }
}
