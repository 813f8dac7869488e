//! Text patterns: literals with wildcards, compared case-insensitively unless a rule says otherwise.

use memchr::memmem;

/// Case folding by Unicode's simple mappings: one character becomes one character.
#[must_use]
pub fn fold_char(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_lowercase();
    }
    if c == '\u{131}' {
        // Dotless i has I as its capital, but Unicode folds the two apart.
        return c;
    }
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(c)
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// Appends `text` to `out`, folded.
pub fn fold_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        let start = out.len();
        out.push_str(text);
        if let Some(tail) = out.get_mut(start..) {
            tail.make_ascii_lowercase();
        }
    } else {
        out.extend(text.chars().map(fold_char));
    }
}

/// `text`, folded.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_into(text, &mut out);
    out
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Token {
    /// This text.
    Text(String),
    /// Any text, also none.
    Star,
    /// Any one character.
    One,
    /// Any one of the characters Windows programs take for an option's dash.
    Dash,
}

/// What [`Token::Dash`] stands for.
pub const DASHES: [char; 5] = ['-', '/', '\u{2013}', '\u{2014}', '\u{2015}'];

/// A pattern that a whole text must fit. Unless `cased`, its texts are folded and it is to be compared with folded
/// text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// Whether case matters.
    pub cased: bool,
    /// What must be there.
    pub shape: Shape,
}

/// The forms a pattern takes; the frequent ones have their own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Any text, also none.
    Anything,
    /// Exactly this text.
    Exact(String),
    /// Starts with this text.
    Prefix(String),
    /// Ends with this text.
    Suffix(String),
    /// Has this text in it.
    Contains(String),
    /// Everything else. No two texts and no two stars are neighbours.
    Glob(Vec<Token>),
}

impl Pattern {
    /// The pattern of these tokens.
    #[must_use]
    pub fn new(tokens: &[Token], cased: bool) -> Self {
        let mut merged: Vec<Token> = Vec::with_capacity(tokens.len());
        for token in tokens {
            match (merged.last_mut(), token) {
                (Some(Token::Text(last)), Token::Text(text)) => {
                    if cased {
                        last.push_str(text);
                    } else {
                        fold_into(text, last);
                    }
                }
                (Some(Token::Star), Token::Star) => {}
                (_, Token::Text(text)) if text.is_empty() => {}
                (_, Token::Text(text)) => merged.push(Token::Text(if cased { text.clone() } else { fold(text) })),
                (_, Token::Star | Token::One | Token::Dash) => merged.push(token.clone()),
            }
        }
        let shape = match merged.as_slice() {
            [] => Shape::Exact(String::new()),
            [Token::Star] => Shape::Anything,
            [Token::Text(text)] => Shape::Exact(text.clone()),
            [Token::Text(text), Token::Star] => Shape::Prefix(text.clone()),
            [Token::Star, Token::Text(text)] => Shape::Suffix(text.clone()),
            [Token::Star, Token::Text(text), Token::Star] => Shape::Contains(text.clone()),
            _ => Shape::Glob(merged),
        };
        Self { cased, shape }
    }

    /// Whether `text` fits. It must be folded unless the pattern is `cased`.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Anything => true,
            Shape::Exact(literal) => text == literal,
            Shape::Prefix(literal) => text.starts_with(literal.as_str()),
            Shape::Suffix(literal) => text.ends_with(literal.as_str()),
            Shape::Contains(literal) => memmem::find(text.as_bytes(), literal.as_bytes()).is_some(),
            Shape::Glob(tokens) => glob(tokens, text),
        }
    }

    /// Of the texts that every fitting text has in it, the one with the lowest `share`.
    pub(crate) fn rarest_literal(&self, share: impl Fn(&str) -> f64) -> Option<&str> {
        match &self.shape {
            Shape::Anything => None,
            Shape::Exact(text) | Shape::Prefix(text) | Shape::Suffix(text) | Shape::Contains(text) => {
                Some(text.as_str())
            }
            Shape::Glob(tokens) => tokens
                .iter()
                .filter_map(|token| match token {
                    Token::Text(text) => Some(text.as_str()),
                    Token::Star | Token::One | Token::Dash => None,
                })
                .min_by(|left, right| share(left).total_cmp(&share(right))),
        }
    }
}

/// Length from which on a text alone is worth looking for.
const LONG_ENOUGH: usize = 5;

impl Pattern {
    /// Texts of which every fitting text has one in it: the one with the lowest `share`, or if that is short, one with a
    /// dash in it, in all forms of that dash.
    pub(crate) fn rarest_literals(&self, share: impl Fn(&str) -> f64) -> Vec<String> {
        let rarest = self.rarest_literal(&share);
        if let Shape::Glob(tokens) = &self.shape
            && rarest.is_none_or(|text| text.len() < LONG_ENOUGH)
        {
            let with_dash = (0..tokens.len())
                .filter_map(|at| around_dash(tokens, at))
                .filter(|(before, after)| before.len() + after.len() >= rarest.map_or(0, str::len))
                .min_by(|left, right| {
                    let price = |(before, after): &(&str, &str)| share(&format!("{before}-{after}"));
                    price(left).total_cmp(&price(right))
                });
            if let Some((before, after)) = with_dash {
                return DASHES.map(|dash| format!("{before}{dash}{after}")).to_vec();
            }
        }
        rarest.map(str::to_owned).into_iter().collect()
    }
}

/// The texts right before and behind a dash at this position.
fn around_dash(tokens: &[Token], at: usize) -> Option<(&str, &str)> {
    let text = |at: Option<usize>| match tokens.get(at?) {
        Some(Token::Text(text)) => Some(text.as_str()),
        Some(Token::Star | Token::One | Token::Dash) | None => None,
    };
    (tokens.get(at)? == &Token::Dash).then(|| {
        let before = text(at.checked_sub(1)).unwrap_or_default();
        (before, text(Some(at + 1)).unwrap_or_default())
    })
}

/// Between two stars the earliest fit is as good as any later one, so there is no backtracking: the cost is at most
/// the product of the two lengths.
fn glob(tokens: &[Token], text: &str) -> bool {
    let mut segments = tokens.split(|token| *token == Token::Star);
    let Some(first) = segments.next() else {
        return text.is_empty();
    };
    let Some(mut rest) = strip_segment(first, text) else {
        return false;
    };
    let mut pending = segments.next();
    if pending.is_none() {
        return rest.is_empty();
    }
    while let Some(segment) = pending {
        pending = segments.next();
        if pending.is_none() {
            return ends_with_segment(segment, rest);
        }
        match find_segment(segment, rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}

/// What is left of `text` when it starts with the segment.
fn strip_segment<'a>(segment: &[Token], text: &'a str) -> Option<&'a str> {
    let mut rest = text;
    for token in segment {
        rest = match token {
            Token::Text(literal) => rest.strip_prefix(literal.as_str())?,
            Token::One => skip_char(rest, |_| true)?,
            Token::Dash => skip_char(rest, |c| DASHES.contains(&c))?,
            Token::Star => return None,
        };
    }
    Some(rest)
}

fn skip_char(text: &str, accept: impl Fn(char) -> bool) -> Option<&str> {
    let mut chars = text.chars();
    chars.next().filter(|c| accept(*c))?;
    Some(chars.as_str())
}

/// What is left behind the first place where the segment fits.
fn find_segment<'a>(segment: &[Token], text: &'a str) -> Option<&'a str> {
    if let [Token::Text(literal)] = segment {
        let at = memmem::find(text.as_bytes(), literal.as_bytes())?;
        return text.get(at + literal.len()..);
    }
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .find_map(|at| strip_segment(segment, text.get(at..)?))
}

fn ends_with_segment(segment: &[Token], text: &str) -> bool {
    let mut rest = text;
    for token in segment.iter().rev() {
        let shorter = match token {
            Token::Text(literal) => rest.strip_suffix(literal.as_str()),
            Token::One => strip_last_char(rest, |_| true),
            Token::Dash => strip_last_char(rest, |c| DASHES.contains(&c)),
            Token::Star => None,
        };
        match shorter {
            Some(shorter) => rest = shorter,
            None => return false,
        }
    }
    true
}

fn strip_last_char(text: &str, accept: impl Fn(char) -> bool) -> Option<&str> {
    let mut chars = text.chars();
    chars.next_back().filter(|c| accept(*c))?;
    Some(chars.as_str())
}

/// Reads Sigma's wildcards and escapes: `*` and `?` are wildcards unless a backslash comes before them, a backslash
/// before another backslash or a wildcard escapes it, any other backslash is itself.
#[must_use]
pub fn parse_wildcards(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let token = match c {
            '\\' => {
                match chars.peek() {
                    Some(&next @ ('*' | '?' | '\\')) => {
                        literal.push(next);
                        chars.next();
                    }
                    _ => literal.push('\\'),
                }
                continue;
            }
            '*' => Token::Star,
            '?' => Token::One,
            _ => {
                literal.push(c);
                continue;
            }
        };
        if !literal.is_empty() {
            tokens.push(Token::Text(std::mem::take(&mut literal)));
        }
        tokens.push(token);
    }
    if !literal.is_empty() {
        tokens.push(Token::Text(literal));
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::new(&parse_wildcards(pattern), false).fits(&fold(text))
    }

    #[test]
    fn wildcards_and_escapes() {
        for (pattern, text, expected) in [
            ("abc", "ABC", true),
            ("abc", "abcd", false),
            ("a*c", "abbc", true),
            ("a*c*e", "abcde", true),
            ("a*b*b", "ab", false),
            ("*b?", "abc", true),
            ("?", "é", true),
            ("??", "é", false),
            ("a?*c", "ac", false),
            (r"C:\*\x", r"C:*\x", true),
            (r"C:\\*\x", r"C:\dir\x", true),
            (r"a\\\*b", r"a\*b", true),
            (r"a\\\\b", r"a\\b", true),
            (r"a\b", r"a\b", true),
            (r"a\\b", r"a\b", true),
            (r"a\?", "a?", true),
            (r"a\?", "ab", false),
            (r"tail\", r"tail\", true),
            ("", "", true),
            ("*", "", true),
            ("a*a", "a", false),
            ("*ab*ab", "xabab", true),
            ("*ab?ab", "xab-ab", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn short_texts_are_looked_for_with_their_dash() {
        let text = |text: &str| Token::Text(text.to_owned());
        let literals = |tokens: &[Token]| Pattern::new(tokens, false).rarest_literals(|text| 1.0 / text.len() as f64);
        let dashes = |before: &str, after: &str| DASHES.map(|dash| format!("{before}{dash}{after}")).to_vec();
        assert_eq!(
            literals(&[Token::Star, text(" "), Token::Dash, text("tn "), Token::Star]),
            dashes(" ", "tn ")
        );
        assert_eq!(literals(&[Token::Dash, text("EP")]), dashes("", "ep"));
        assert_eq!(
            literals(&[Token::Star, Token::Dash, text("policy"), Token::Star]),
            ["policy"]
        );
        assert_eq!(literals(&[text("ab"), Token::One, text("c")]), ["ab"]);
        assert_eq!(literals(&[Token::One]), Vec::<String>::new());
    }

    #[test]
    fn folding_covers_unicode_and_keeps_the_number_of_characters() {
        for (left, right) in [("ÄÖÉ", "äöé"), ("ΣΑΣ", "σας"), ("\u{212a}", "k"), ("ДОМ", "дом")] {
            assert_eq!(fold(left), fold(right), "{left}");
        }
        assert_ne!(fold("\u{131}"), fold("I"));
        for c in (0..=0x10ffff).filter_map(char::from_u32) {
            let once = fold_char(c);
            assert_eq!(fold_char(once), once, "{c:?} folds to a character that folds further");
        }
    }
}
