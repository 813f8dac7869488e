//! Where a value is in an object: `a.b`, `a[0].b`, `a[Name=Identity].Value`, `a[].b`.

use crate::scan::Marks as _;
use crate::tree::{Json, Map, Name};

/// Most elements of a list that are looked at.
const MAX_ITEMS: usize = 64;

#[derive(Clone, Debug, PartialEq)]
enum Pick {
    /// The member itself.
    Whole,
    /// One element.
    At(usize),
    /// The first element whose member has this text.
    Where(String, String),
    /// All elements.
    Each,
}

#[derive(Clone, Debug, PartialEq)]
struct Segment {
    name: Name,
    pick: Pick,
    /// The names of this and all that follow with dots between them, where a member may be called so.
    dotted: Name,
}

/// What is at a path.
#[derive(Debug)]
pub(crate) enum Found<'b, 'a> {
    One(&'b Json<'a>),
    /// All elements of a list, or what is in them.
    Each(Vec<Found<'b, 'a>>),
}

impl Found<'_, '_> {
    fn is_null(&self) -> bool {
        matches!(self, Self::One(Json::Null))
    }
}

/// A path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    /// The whole, for members with dots in their names.
    text: Name,
    segments: Vec<Segment>,
}

impl Path {
    /// Reads a path; the error is what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() || segments.len() >= 16 {
                return Err(format!("path {text:?}: expected names with dots between them"));
            }
            let (pick, after) = match after.strip_prefix('[') {
                None => (Pick::Whole, after),
                Some(inner) => {
                    let (inner, after) = inner
                        .cut_at(b']')
                        .ok_or_else(|| format!("path {text:?}: expected ] after ["))?;
                    let pick =
                        match (inner, inner.cut_at(b'=')) {
                            ("", _) => Pick::Each,
                            (_, Some((name, value))) => Pick::Where(name.to_owned(), value.to_owned()),
                            (index, None) => Pick::At(index.parse().map_err(|_| {
                                format!("path {text:?}: expected a number, name=value or nothing in []")
                            })?),
                        };
                    (pick, after)
                }
            };
            segments.push(Segment {
                name: Name::new(name),
                pick,
                dotted: Name::new(""),
            });
            rest = after.strip_prefix('.').unwrap_or(after);
        }
        if segments.is_empty() {
            return Err("expected a path, got nothing".to_owned());
        }
        let mut dotted = String::new();
        for (after, segment) in segments.iter_mut().rev().enumerate() {
            dotted = match after {
                0 => segment.name.as_str().to_owned(),
                _ => format!("{}.{dotted}", segment.name.as_str()),
            };
            if after > 0 {
                segment.dotted = Name::new(&dotted);
            }
        }
        Ok(Self {
            text: Name::new(text),
            segments,
        })
    }

    /// The value there, if it is one; with `[]` a list of all.
    pub(crate) fn get<'b, 'a>(&self, object: &'b Map<'a>) -> Option<Found<'b, 'a>> {
        if self.segments.len() > 1
            && let Some(value) = object.member(&self.text)
        {
            return Some(Found::One(value)).filter(|value| !value.is_null());
        }
        walk(&self.segments, object).filter(|value| !value.is_null())
    }
}

fn walk<'b, 'a>(segments: &[Segment], object: &'b Map<'a>) -> Option<Found<'b, 'a>> {
    let (first, rest) = segments.split_first()?;
    let value = object.member(&first.name)?;
    let picked = match &first.pick {
        Pick::Whole => value,
        Pick::At(index) => value.as_array()?.get(*index)?,
        Pick::Where(name, text) => value
            .as_array()?
            .iter()
            .take(MAX_ITEMS)
            .find(|item| item.get(name).and_then(Json::as_str) == Some(text))?,
        Pick::Each => {
            let items = value.as_array()?.iter().take(MAX_ITEMS);
            let all: Vec<Found<'b, 'a>> = items
                .filter_map(|item| match (rest.is_empty(), item) {
                    (true, item) => Some(Found::One(item)),
                    (false, Json::Object(inner)) => walk(rest, inner),
                    (false, _) => None,
                })
                .filter(|item| !item.is_null())
                .collect();
            return (!all.is_empty()).then_some(Found::Each(all));
        }
    };
    if rest.is_empty() {
        return Some(Found::One(picked));
    }
    let inner = picked.as_object()?;
    // `id.orig_h` and the like: a name with a dot.
    if let [next, _, ..] = rest
        && let Some(value) = inner.member(&next.dotted)
    {
        return Some(Found::One(value));
    }
    walk(rest, inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_find_what_they_name() {
        let object =
            json!({"a": {"b": 1, "c.d": 2}, "id.h": "x", "l": [{"n": "p", "v": "q"}, {"n": "r", "v": "s"}], "z": null});
        let object = Map::of(object.as_object().unwrap());
        fn plain(found: Found<'_, '_>) -> serde_json::Value {
            match found {
                Found::One(value) => value.to_value(),
                Found::Each(all) => all.into_iter().map(plain).collect(),
            }
        }
        for (path, expected) in [
            ("a.b", Some(json!(1))),
            ("a.c.d", Some(json!(2))),
            ("id.h", Some(json!("x"))),
            ("l[1].v", Some(json!("s"))),
            ("l[n=p].v", Some(json!("q"))),
            ("l[].v", Some(json!(["q", "s"]))),
            ("l[n=z].v", None),
            ("a.b.c", None),
            ("z", None),
            ("y", None),
        ] {
            let found = Path::parse(path).unwrap().get(&object).map(plain);
            assert_eq!(found, expected, "{path}");
        }
    }
}
