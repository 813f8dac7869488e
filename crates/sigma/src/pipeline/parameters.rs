//! Reading the keys of a map one by one; a key nobody reads is refused.

use std::cell::RefCell;

use super::MAX_LIST;
use crate::error::Fault;
use crate::yaml::{Kind, Node};

/// The keys of a map in a pipeline.
pub(super) struct Parameters<'a> {
    node: &'a Node,
    entries: &'a [(String, Node)],
    path: String,
    read: RefCell<Vec<&'static str>>,
}

impl<'a> Parameters<'a> {
    pub(super) fn of(node: &'a Node, path: impl Into<String>) -> Result<Self, Fault> {
        let path = path.into();
        let Some(entries) = node.as_map() else {
            return Err(Fault::of(
                node,
                path,
                format!("expected a map, got {}", node.kind_name()),
            ));
        };
        Ok(Self {
            node,
            entries,
            path,
            read: RefCell::default(),
        })
    }

    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    /// The value of a key, when it is there and not null.
    pub(super) fn get(&self, key: &'static str) -> Option<&'a Node> {
        self.get_or_null(key).filter(|node| !matches!(node.kind, Kind::Null))
    }

    pub(super) fn get_or_null(&self, key: &'static str) -> Option<&'a Node> {
        self.read.borrow_mut().push(key);
        self.entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
    }

    pub(super) fn fault(&self, key: &str, reason: impl Into<String>) -> Fault {
        let node = self.entries.iter().find(|(name, _)| name == key);
        Fault::of(node.map_or(self.node, |(_, node)| node), self.path(key), reason)
    }

    pub(super) fn required(&self, key: &'static str, what: &str) -> Result<&'a Node, Fault> {
        self.get(key)
            .ok_or_else(|| self.fault(key, format!("expected {what}, got nothing")))
    }

    pub(super) fn text(&self, key: &'static str) -> Result<Option<String>, Fault> {
        let Some(node) = self.get(key) else { return Ok(None) };
        match node.scalar_text() {
            Some(text) => Ok(Some(text)),
            None => Err(self.fault(key, format!("expected text, got {}", node.kind_name()))),
        }
    }

    pub(super) fn required_text(&self, key: &'static str) -> Result<String, Fault> {
        self.text(key)?
            .ok_or_else(|| self.fault(key, "expected text, got nothing"))
    }

    pub(super) fn bool(&self, key: &'static str) -> Result<bool, Fault> {
        match self.get(key).map(|node| &node.kind) {
            None => Ok(false),
            Some(Kind::Bool(value)) => Ok(*value),
            Some(_) => Err(self.fault(key, "expected true or false")),
        }
    }

    /// A list of texts, or one.
    pub(super) fn texts(&self, key: &'static str) -> Result<Option<Vec<String>>, Fault> {
        let Some(node) = self.get(key) else { return Ok(None) };
        texts(node, &self.path(key)).map(Some)
    }

    /// One of these words, by position; the first when the key is not there.
    pub(super) fn word(&self, key: &'static str, words: &[&str]) -> Result<usize, Fault> {
        let Some(text) = self.text(key)? else { return Ok(0) };
        words
            .iter()
            .position(|word| *word == text)
            .ok_or_else(|| self.fault(key, format!("expected one of {}, got `{text}`", words.join(", "))))
    }

    /// A map from texts to lists of texts. An empty name stands for keywords.
    pub(super) fn mapping(&self, key: &'static str) -> Result<Vec<(String, Vec<String>)>, Fault> {
        let node = self.required(key, "a map")?;
        let Some(entries) = node.as_map() else {
            return Err(self.fault(key, format!("expected a map, got {}", node.kind_name())));
        };
        if entries.len() > MAX_LIST {
            return Err(self.fault(key, format!("expected at most {MAX_LIST} entries")));
        }
        entries
            .iter()
            .map(|(name, node)| Ok((name.clone(), texts(node, &format!("{}.{name}", self.path(key)))?)))
            .collect()
    }

    /// Refuses what was not read.
    pub(super) fn done(&self) -> Result<(), Fault> {
        let read = self.read.borrow();
        for (name, node) in self.entries {
            if !read.contains(&name.as_str()) {
                let known = read.join(", ");
                let reason = format!("expected only the keys {known}");
                return Err(Fault::of_key(node, self.path(name), reason));
            }
        }
        Ok(())
    }
}

/// The texts of a list, or of one scalar.
pub(super) fn texts(node: &Node, path: &str) -> Result<Vec<String>, Fault> {
    let items = node.as_list().unwrap_or(std::slice::from_ref(node));
    if items.is_empty() || items.len() > MAX_LIST {
        return Err(Fault::of(
            node,
            path,
            format!("expected 1 to {MAX_LIST} texts, got {}", items.len()),
        ));
    }
    items
        .iter()
        .map(|item| {
            item.scalar_text()
                .ok_or_else(|| Fault::of(item, path, format!("expected text, got {}", item.kind_name())))
        })
        .collect()
}
