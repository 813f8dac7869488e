//! From words to a tree, and from the tree to values.

use super::lexer::{Token, TokenKind, tokens};
use super::path::{Subject, host, subject};
use super::{InvalidPattern, Value, Values};

/// Longest pattern in bytes.
pub const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// Most values a pattern may name.
pub const MAX_COMPARISONS: usize = 10_000;
/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 50;
/// Reasons kept for one pattern.
const MAX_REASONS: usize = 10;

/// A pattern as a tree.
#[derive(Debug)]
pub(super) enum Node {
    /// Any of these.
    Any(Vec<Node>),
    /// All of these, of one observation.
    All(Vec<Node>),
    /// The value of a property is one of these.
    Is {
        subject: Subject,
        path: String,
        values: Vec<String>,
    },
    /// Anything else, and what it is.
    Other(String),
}

pub(super) fn parse(pattern: &str) -> Result<Node, InvalidPattern> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(InvalidPattern::TooLarge("256 KiB"));
    }
    let mut parser = Parser {
        tokens: tokens(pattern)?,
        next: 0,
        end: pattern.len(),
        values: 0,
    };
    let node = parser.observations(0)?;
    match parser.tokens.get(parser.next) {
        None => Ok(node),
        Some(token) => Err(syntax("AND, OR, FOLLOWEDBY or the end", token.at)),
    }
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
    end: usize,
    values: usize,
}

fn syntax(expected: &'static str, at: usize) -> InvalidPattern {
    InvalidPattern::Syntax { expected, at }
}

impl Parser {
    fn at(&self) -> usize {
        self.tokens.get(self.next).map_or(self.end, |token| token.at)
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, InvalidPattern> {
        Err(syntax(expected, self.at()))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.next), Some(Token { kind: TokenKind::Word(text), .. }) if text.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    fn take_mark(&mut self, mark: char) -> bool {
        let found = matches!(self.tokens.get(self.next), Some(Token { kind: TokenKind::Mark(c), .. }) if *c == mark);
        self.next += usize::from(found);
        found
    }

    /// `[…] OR […]`, where each side may be joined by AND or FOLLOWEDBY, which bind closer.
    fn observations(&mut self, depth: usize) -> Result<Node, InvalidPattern> {
        let mut any = Vec::new();
        loop {
            any.push(self.joined_observations(depth)?);
            if !self.take_word("OR") {
                return Ok(single_or(any, Node::Any));
            }
        }
    }

    fn joined_observations(&mut self, depth: usize) -> Result<Node, InvalidPattern> {
        let mut node = self.observation(depth)?;
        loop {
            let join = if self.take_word("AND") {
                "AND"
            } else if self.take_word("FOLLOWEDBY") {
                "FOLLOWEDBY"
            } else {
                return Ok(node);
            };
            self.observation(depth)?;
            node = Node::Other(format!("observations joined by {join}"));
        }
    }

    fn observation(&mut self, depth: usize) -> Result<Node, InvalidPattern> {
        if depth > MAX_DEPTH {
            return Err(InvalidPattern::TooLarge("50 nested parentheses"));
        }
        let node = if self.take_mark('(') {
            let node = self.observations(depth + 1)?;
            if !self.take_mark(')') {
                return self.fail("a closing parenthesis");
            }
            node
        } else if self.take_mark('[') {
            let node = self.comparisons(depth)?;
            if !self.take_mark(']') {
                return self.fail("AND, OR or a closing bracket");
            }
            node
        } else {
            return self.fail("an opening bracket");
        };
        self.qualifiers(node)
    }

    /// `WITHIN 5 SECONDS`, `REPEATS 5 TIMES`, `START t'…' STOP t'…'`.
    fn qualifiers(&mut self, mut node: Node) -> Result<Node, InvalidPattern> {
        loop {
            if self.take_word("WITHIN") {
                // How close together is no question when there is one observation, and with several or repeated ones
                // the pattern is refused anyway.
                self.literal()?;
                if !self.take_word("SECONDS") {
                    return self.fail("SECONDS");
                }
            } else if self.take_word("REPEATS") {
                let times = self.literal()?;
                if !self.take_word("TIMES") {
                    return self.fail("TIMES");
                }
                if times != "1" {
                    node = Node::Other("an observation that repeats".to_owned());
                }
            } else if self.take_word("START") {
                self.literal()?;
                if !self.take_word("STOP") {
                    return self.fail("STOP");
                }
                self.literal()?;
                node = Node::Other("an observation between two times".to_owned());
            } else {
                return Ok(node);
            }
        }
    }

    fn comparisons(&mut self, depth: usize) -> Result<Node, InvalidPattern> {
        let mut any = Vec::new();
        loop {
            let mut all = Vec::new();
            loop {
                all.push(self.comparison(depth)?);
                if !self.take_word("AND") {
                    break;
                }
            }
            any.push(single_or(all, Node::All));
            if !self.take_word("OR") {
                return Ok(single_or(any, Node::Any));
            }
        }
    }

    fn comparison(&mut self, depth: usize) -> Result<Node, InvalidPattern> {
        if depth > MAX_DEPTH {
            return Err(InvalidPattern::TooLarge("50 nested parentheses"));
        }
        if self.take_mark('(') {
            let node = self.comparisons(depth + 1)?;
            return if self.take_mark(')') {
                Ok(node)
            } else {
                self.fail("AND, OR or a closing parenthesis")
            };
        }
        if self.take_word("EXISTS") {
            let path = self.word("an object path")?;
            return Ok(Node::Other(format!("EXISTS {path}")));
        }
        let before = self.take_word("NOT");
        let path = self.word("an object path")?;
        if !path.contains(':') {
            self.next -= 1;
            return self.fail("an object path such as ipv4-addr:value");
        }
        let is_not = self.take_word("NOT") || before;
        let (operator, values) = self.test()?;
        let is_network = operator == "ISSUBSET";
        let subject = subject(&path);
        let node = match operator {
            _ if is_not => Node::Other(format!("NOT on {path}")),
            "=" | "==" | "IN" | "ISSUBSET" if !(is_network && subject == Subject::Other) => {
                Node::Is { subject, path, values }
            }
            operator => Node::Other(format!("{operator} on {path}")),
        };
        Ok(node)
    }

    fn test(&mut self) -> Result<(&'static str, Vec<String>), InvalidPattern> {
        if let Some(Token {
            kind: TokenKind::Operator(operator),
            ..
        }) = self.tokens.get(self.next)
        {
            let operator = *operator;
            self.next += 1;
            return Ok((operator, vec![self.literal()?]));
        }
        for word in ["LIKE", "MATCHES", "ISSUBSET", "ISSUPERSET"] {
            if self.take_word(word) {
                return Ok((word, vec![self.literal()?]));
            }
        }
        if !self.take_word("IN") {
            return self.fail("a comparison such as = or IN");
        }
        if !self.take_mark('(') {
            return self.fail("an opening parenthesis");
        }
        let mut values = Vec::new();
        loop {
            values.push(self.literal()?);
            if self.take_mark(')') {
                return Ok(("IN", values));
            }
            if !self.take_mark(',') {
                return self.fail("a comma or a closing parenthesis");
            }
        }
    }

    fn literal(&mut self) -> Result<String, InvalidPattern> {
        self.values += 1;
        if self.values > MAX_COMPARISONS {
            return Err(InvalidPattern::TooLarge("10,000 values"));
        }
        match self.tokens.get(self.next) {
            Some(Token {
                kind: TokenKind::Text(text) | TokenKind::Word(text),
                ..
            }) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => self.fail("a value in quotes"),
        }
    }

    fn word(&mut self, expected: &'static str) -> Result<String, InvalidPattern> {
        match self.tokens.get(self.next) {
            Some(Token {
                kind: TokenKind::Word(text),
                ..
            }) => {
                let text = text.clone();
                self.next += 1;
                Ok(text)
            }
            _ => self.fail(expected),
        }
    }
}

fn single_or(mut nodes: Vec<Node>, many: fn(Vec<Node>) -> Node) -> Node {
    match nodes.pop() {
        Some(node) if nodes.is_empty() => node,
        Some(node) => {
            nodes.push(node);
            many(nodes)
        }
        None => many(nodes),
    }
}

/// Adds what the tree names to `out`.
pub(super) fn reduce(node: Node, out: &mut Values) {
    match node {
        Node::Any(nodes) => {
            for node in nodes {
                reduce(node, out);
            }
        }
        Node::Is { subject, path, values } => {
            for value in values {
                match kind_of(&subject, &value) {
                    Some(kind) => push_value(out, Value { kind, value }),
                    None => refuse(out, format!("{path} is nothing that is matched")),
                }
            }
        }
        Node::All(nodes) => reduce_all(nodes, out),
        Node::Other(what) => refuse(out, format!("{what} cannot be one indicator")),
    }
}

fn kind_of(subject: &Subject, value: &str) -> Option<model::indicator::IndicatorType> {
    match subject {
        Subject::Of(kind) | Subject::Hash(kind) => Some(*kind),
        Subject::Host => host(value),
        Subject::ObjectType | Subject::Other => None,
    }
}

/// Tests joined by AND: one test and types of objects, or hashes of one file.
fn reduce_all(nodes: Vec<Node>, out: &mut Values) {
    let mut tests: Vec<Node> = nodes
        .into_iter()
        .filter(|node| {
            !matches!(
                node,
                Node::Is {
                    subject: Subject::ObjectType,
                    ..
                }
            )
        })
        .collect();
    let is_hash = |node: &Node| match node {
        Node::Is {
            subject: Subject::Hash(_),
            values,
            ..
        } => values.len() == 1,
        Node::Is { .. } | Node::Any(_) | Node::All(_) | Node::Other(_) => false,
    };
    if tests.len() == 1 || (!tests.is_empty() && tests.iter().all(is_hash)) {
        for test in tests.drain(..) {
            reduce(test, out);
        }
    } else {
        refuse(out, "tests joined by AND cannot be one indicator".to_owned());
    }
}

fn push_value(out: &mut Values, value: Value) {
    if !out.values.contains(&value) || out.values.len() > 100 {
        out.values.push(value);
    }
}

fn refuse(out: &mut Values, reason: String) {
    if out.unsupported.len() < MAX_REASONS && !out.unsupported.contains(&reason) {
        out.unsupported.push(reason);
    }
}
