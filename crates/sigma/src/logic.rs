//! Texts of `and`, `or`, `not` and parentheses over words that mean something to whoever asks.
//!
//! Precedence from weakest to strongest: `or`, `and`, `not`, parentheses. Keywords in any case.

/// What the words mean and what comes of it.
pub(crate) trait Language {
    /// What a text becomes.
    type Expr;
    /// What a word is, for messages: `a rule`.
    const WORD: &'static str;
    /// Deepest nesting of parentheses and `not`.
    const MAX_DEPTH: usize;

    /// What a word stands for; it may take more words. The error says what was expected.
    fn word<'t>(&mut self, word: &'t str, rest: &mut Tokens<'t>) -> Result<Self::Expr, String>;
    /// All of them; at least two.
    fn all(terms: Vec<Self::Expr>) -> Self::Expr;
    /// Any of them; at least two.
    fn any(terms: Vec<Self::Expr>) -> Self::Expr;
    /// The opposite.
    fn not(inner: Self::Expr) -> Self::Expr;
}

/// Parses a text. The error says what was expected.
pub(crate) fn parse<L: Language>(text: &str, language: &mut L) -> Result<L::Expr, String> {
    let mut tokens = Tokens {
        tokens: tokenize(text),
        at: 0,
    };
    let expr = or(language, &mut tokens, 0)?;
    match tokens.next() {
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

/// The words that are left.
pub(crate) struct Tokens<'t> {
    tokens: Vec<&'t str>,
    at: usize,
}

impl<'t> Tokens<'t> {
    /// The next word, taken.
    pub(crate) fn next(&mut self) -> Option<&'t str> {
        let token = self.tokens.get(self.at).copied()?;
        self.at += 1;
        Some(token)
    }

    /// Takes the next word if it is this one, in any case.
    pub(crate) fn take(&mut self, keyword: &str) -> bool {
        let next = self.tokens.get(self.at);
        let found = next.is_some_and(|token| token.eq_ignore_ascii_case(keyword));
        self.at += usize::from(found);
        found
    }
}

fn or<L: Language>(language: &mut L, tokens: &mut Tokens<'_>, depth: usize) -> Result<L::Expr, String> {
    let mut terms = vec![and(language, tokens, depth)?];
    while tokens.take("or") {
        terms.push(and(language, tokens, depth)?);
    }
    Ok(one_or(terms, L::any))
}

fn and<L: Language>(language: &mut L, tokens: &mut Tokens<'_>, depth: usize) -> Result<L::Expr, String> {
    let mut terms = vec![not(language, tokens, depth)?];
    while tokens.take("and") {
        terms.push(not(language, tokens, depth)?);
    }
    Ok(one_or(terms, L::all))
}

fn not<L: Language>(language: &mut L, tokens: &mut Tokens<'_>, depth: usize) -> Result<L::Expr, String> {
    if depth > L::MAX_DEPTH {
        let most = L::MAX_DEPTH;
        return Err(format!("expected at most {most} levels of `not` and parentheses"));
    }
    if tokens.take("not") {
        return not(language, tokens, depth + 1).map(L::not);
    }
    let expected = |got: &str| format!("expected {} or `(`, got {got}", L::WORD);
    match tokens.next() {
        None => Err(expected("the end")),
        Some("(") => {
            let inner = or(language, tokens, depth + 1)?;
            match tokens.next() {
                Some(")") => Ok(inner),
                Some(other) => Err(format!("expected `)`, got `{other}`")),
                None => Err("expected `)`, got the end".to_owned()),
            }
        }
        Some(token) if ["and", "or", ")"].iter().any(|word| token.eq_ignore_ascii_case(word)) => {
            Err(expected(&format!("`{token}`")))
        }
        Some(token) => language.word(token, tokens),
    }
}

/// The only term, or several combined.
pub(crate) fn one_or<E>(mut terms: Vec<E>, combine: fn(Vec<E>) -> E) -> E {
    match terms.len() {
        1 => terms.remove(0),
        _ => combine(terms),
    }
}
