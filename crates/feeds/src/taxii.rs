//! TAXII 2.1 answers.

use serde::Deserialize;
use serde_json::Value;

use crate::entry::Item;
use crate::stix::Bundle;

/// What a TAXII 2.1 client says it takes, and what servers answer with.
pub const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";
/// Most API roots and collections that are looked at.
const MAX_LISTED: usize = 1000;

/// An answer that is no such answer.
#[derive(Debug, thiserror::Error)]
#[error("{what}: expected {expected}")]
pub struct InvalidAnswer {
    what: &'static str,
    expected: &'static str,
    #[source]
    source: Option<serde_json::Error>,
}

/// A server's discovery document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// The server's own name for itself.
    pub title: String,
    /// Where most clients should look; may be relative.
    pub default: Option<String>,
    /// Where else; may be relative.
    pub api_roots: Vec<String>,
}

/// One collection of an API root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Collection {
    /// Names it in addresses.
    pub id: String,
    /// For people.
    #[serde(default)]
    pub title: String,
    /// A name that is easier to remember.
    #[serde(default)]
    pub alias: Option<String>,
    /// Whether we may read it.
    #[serde(default)]
    pub can_read: bool,
}

/// Reads a discovery document.
///
/// # Errors
/// When it is not JSON or names no API root.
pub fn discovery(body: &[u8]) -> Result<Discovery, InvalidAnswer> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        title: String,
        #[serde(default)]
        default: Option<String>,
        #[serde(default)]
        api_roots: Vec<String>,
    }
    let wire: Wire = json("discovery", "a TAXII 2.1 discovery document", body)?;
    if wire.default.is_none() && wire.api_roots.is_empty() {
        return Err(InvalidAnswer {
            what: "discovery",
            expected: "at least one API root",
            source: None,
        });
    }
    let mut api_roots = wire.api_roots;
    api_roots.truncate(MAX_LISTED);
    Ok(Discovery {
        title: wire.title,
        default: wire.default,
        api_roots,
    })
}

/// Reads the list of collections.
///
/// # Errors
/// When it is not JSON or holds something that is no collection.
pub fn collections(body: &[u8]) -> Result<Vec<Collection>, InvalidAnswer> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(default)]
        collections: Vec<Collection>,
    }
    let wire: Wire = json("collections", "a TAXII 2.1 list of collections", body)?;
    let mut collections = wire.collections;
    collections.truncate(MAX_LISTED);
    Ok(collections)
}

fn json<T: for<'de> Deserialize<'de>>(
    what: &'static str,
    expected: &'static str,
    body: &[u8],
) -> Result<T, InvalidAnswer> {
    serde_json::from_slice(body).map_err(|source| InvalidAnswer {
        what,
        expected,
        source: Some(source),
    })
}

/// One page of objects, read as it arrives.
#[derive(Debug, Default)]
pub struct Envelope {
    bundle: Bundle,
}

/// Whether there is another page, and how to ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Whether there is more.
    pub more: bool,
    /// What to ask with, when the server says.
    pub next: Option<String>,
}

impl Envelope {
    /// Reads the next bytes.
    pub fn push(&mut self, bytes: &[u8], items: &mut Vec<Item>) {
        self.bundle.push(bytes, items);
    }

    /// Ends the page.
    ///
    /// # Errors
    /// When it is cut off or not an envelope.
    pub fn finish(self) -> Result<Page, InvalidAnswer> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            more: bool,
            // Some servers number their pages.
            #[serde(default)]
            next: Option<Value>,
        }
        const EXPECTED: &str = "a whole TAXII 2.1 envelope";
        let rest = self.bundle.rest().ok_or(InvalidAnswer {
            what: "objects",
            expected: EXPECTED,
            source: None,
        })?;
        // A list would do for the derived reader; an envelope is an object.
        let object: serde_json::Map<String, Value> = json("objects", EXPECTED, rest)?;
        let wire: Wire = serde_json::from_value(Value::Object(object)).map_err(|source| InvalidAnswer {
            what: "objects",
            expected: EXPECTED,
            source: Some(source),
        })?;
        let next = match wire.next {
            Some(Value::String(next)) if !next.is_empty() && next.len() <= 4096 => Some(next),
            Some(Value::Number(next)) => Some(next.to_string()),
            _ => None,
        };
        Ok(Page { more: wire.more, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_wrong_ones_named() {
        let found = discovery(br#"{"title":"t","default":"http://x/api/","api_roots":["http://x/api/"]}"#).unwrap();
        assert_eq!(found.default.as_deref(), Some("http://x/api/"));
        assert!(discovery(b"{}").unwrap_err().to_string().contains("API root"));
        assert!(discovery(b"<html>").is_err());
        let found = collections(br#"{"collections":[{"id":"a","title":"A","can_read":true,"can_write":false}]}"#);
        assert!(found.unwrap()[0].can_read);
        assert!(collections(b"{}").unwrap().is_empty());
    }

    #[test]
    fn pages_say_how_to_go_on() {
        let page = |body: &str| {
            let mut envelope = Envelope::default();
            envelope.push(body.as_bytes(), &mut Vec::new());
            envelope.finish()
        };
        assert_eq!(page("{}").unwrap(), Page::default());
        let more = page(r#"{"more":true,"next":7,"objects":[]}"#).unwrap();
        assert_eq!(more.next.as_deref(), Some("7"));
        assert!(more.more);
        assert!(page(r#"{"more":true,"objects":[{"#).is_err());
        assert!(page("[]").is_err());
        assert!(page("<html>").is_err());
    }
}
