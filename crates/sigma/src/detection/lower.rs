//! From the tree to the expression that is compiled.

use super::{Body, Detection, Item, MAX_TESTS, Search, Tree, Value};
use crate::ast::{Expr, Subject};
use crate::error::Fault;

/// What the searches of a detection become.
struct Lowering<'a> {
    detection: &'a Detection,
    tests: usize,
}

impl Detection {
    /// The expression of the whole.
    ///
    /// A search without items, from which a pipeline dropped all, is left out of the conditions.
    pub(crate) fn expr(&self) -> Result<Expr, Fault> {
        let mut lowering = Lowering {
            detection: self,
            tests: 0,
        };
        let mut conditions = Vec::with_capacity(self.conditions.len());
        for condition in &self.conditions {
            conditions.extend(lowering.tree(&condition.tree)?);
        }
        match conditions.len() {
            0 => Err(Fault::new(
                self.conditions.first().map_or(0, |condition| condition.line),
                "detection",
                "expected something to look for, but a pipeline dropped all items",
            )),
            1 => Ok(conditions.remove(0)),
            _ => Ok(Expr::Or(conditions)),
        }
    }
}

impl Lowering<'_> {
    fn tree(&mut self, tree: &Tree) -> Result<Option<Expr>, Fault> {
        Ok(match tree {
            Tree::Search(position) => match self.detection.searches.get(*position) {
                Some(search) => self.search(search)?,
                None => None,
            },
            Tree::Not(inner) => self.tree(inner)?.map(|inner| Expr::Not(Box::new(inner))),
            Tree::All(terms) => combine(self.trees(terms)?, Expr::And),
            Tree::Any(terms) => combine(self.trees(terms)?, Expr::Or),
            Tree::AtLeast(count, terms) => {
                let terms = self.trees(terms)?;
                match terms.len() {
                    0 => None,
                    left if left <= *count => combine(terms, Expr::And),
                    _ => Some(Expr::AtLeast(*count, terms)),
                }
            }
        })
    }

    fn trees(&mut self, trees: &[Tree]) -> Result<Vec<Expr>, Fault> {
        let mut terms = Vec::with_capacity(trees.len());
        for tree in trees {
            terms.extend(self.tree(tree)?);
        }
        Ok(terms)
    }

    fn search(&mut self, search: &Search) -> Result<Option<Expr>, Fault> {
        search.body.items(&mut |item| self.tests += item.values.len());
        if self.tests > MAX_TESTS {
            return Err(Fault::new(
                search.line,
                "detection",
                format!("expected a condition that stands for at most {MAX_TESTS} values"),
            ));
        }
        let path = format!("detection.{}", search.name);
        search.body.expr(&path)
    }
}

fn combine(mut terms: Vec<Expr>, combine: fn(Vec<Expr>) -> Expr) -> Option<Expr> {
    match terms.len() {
        0 => None,
        1 => Some(terms.remove(0)),
        _ => Some(combine(terms)),
    }
}

impl Body {
    /// The expression, unless there are no items. `path` is where it stands, for errors.
    pub(crate) fn expr(&self, path: &str) -> Result<Option<Expr>, Fault> {
        let all = |terms: &[Self]| -> Result<Vec<Expr>, Fault> {
            let mut exprs = Vec::with_capacity(terms.len());
            for term in terms {
                exprs.extend(term.expr(path)?);
            }
            Ok(exprs)
        };
        Ok(match self {
            Self::Item(item) => Some(item.expr(path)?),
            Self::All(terms) => combine(all(terms)?, Expr::And),
            Self::Any(terms) => combine(all(terms)?, Expr::Or),
        })
    }
}

impl Item {
    /// What its values are asked of.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.field.clone().map_or(Subject::Any, Subject::Field)
    }

    pub(crate) fn expr(&self, path: &str) -> Result<Expr, Fault> {
        let subject = self.subject();
        let mut terms = Vec::with_capacity(self.values.len());
        for value in &self.values {
            let reason = |reason| Fault {
                column: value.column,
                ..Fault::new(value.line, self.path(path), reason)
            };
            terms.push(value.expr(&subject).map_err(reason)?);
        }
        let expr = match terms.len() {
            1 => terms.remove(0),
            _ if self.all && !terms.is_empty() => Expr::And(terms),
            _ => Expr::Or(terms),
        };
        Ok(if self.negated { Expr::Not(Box::new(expr)) } else { expr })
    }

    /// Where it stands, for errors.
    pub(crate) fn path(&self, search: &str) -> String {
        if self.key.is_empty() {
            search.to_owned()
        } else {
            format!("{search}.{}", self.key)
        }
    }
}

impl Value {
    /// The value as a question to `subject`.
    ///
    /// # Errors
    ///
    /// When it has a placeholder that no pipeline resolved; says what was expected.
    pub fn expr(&self, subject: &Subject) -> Result<Expr, String> {
        self.question.expr(subject)
    }
}
