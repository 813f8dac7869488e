//! JSON objects as flat fields.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use crate::event::{Fields, MAX_DEPTH, MAX_FIELDS, MAX_NAME, Value};

/// Up to so many fields, looking at each name costs less than keeping an index of them.
const FEW: usize = 128;

/// See [`Fields::insert_json`].
pub(crate) fn add(fields: &mut Fields, prefix: &str, object: &Map<String, Json>) -> usize {
    let mut flattening = Flattening {
        places: HashMap::new(),
        fields,
        looks: 0,
    };
    object
        .iter()
        .map(|(name, value)| flattening.member(prefix, name, value, 1))
        .sum()
}

/// See [`Fields::insert_member`].
pub(crate) fn add_one(fields: &mut Fields, path: &str, value: &Json, depth: usize) -> usize {
    let mut flattening = Flattening {
        places: HashMap::new(),
        fields,
        looks: 0,
    };
    flattening.flatten(path.to_owned(), value, depth)
}

/// Fields while members are added, and where they are. A line of a megabyte has tens of thousands of members, and
/// comparing the name of each with those of a thousand fields would hold everybody up.
struct Flattening<'a> {
    fields: &'a mut Fields,
    /// By name, of the first fields so many; the others are [`FEW`] at most.
    places: HashMap<String, usize>,
    /// How many names were looked at.
    looks: usize,
}

impl Flattening<'_> {
    fn member(&mut self, path: &str, name: &str, value: &Json, depth: usize) -> usize {
        match joined(path, name) {
            Some(path) => self.flatten(path, value, depth),
            None => 1,
        }
    }

    fn flatten(&mut self, path: String, value: &Json, depth: usize) -> usize {
        match value {
            Json::Object(object) if object.is_empty() => 0,
            Json::Object(object) if depth < MAX_DEPTH => object
                .iter()
                .map(|(name, inner)| self.member(&path, name, inner, depth + 1))
                .sum(),
            Json::Array(items) if depth < MAX_DEPTH && items.iter().any(Json::is_object) => {
                items.iter().map(|item| self.item(&path, item, depth + 1)).sum()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => {
                self.set(path, scalar(value, depth))
            }
        }
    }

    fn item(&mut self, path: &str, item: &Json, depth: usize) -> usize {
        let Json::Object(object) = item else {
            return self.append(path.to_owned(), scalar(item, depth));
        };
        // Names that meet within one item replace each other; those of several items become lists.
        let mut inner = Fields::default();
        let mut flattening = Flattening {
            places: HashMap::new(),
            fields: &mut inner,
            looks: 0,
        };
        let refused: usize = object
            .iter()
            .map(|(name, value)| flattening.member(path, name, value, depth))
            .sum();
        self.looks += flattening.looks;
        let appended: usize = inner
            .into_iter()
            .map(|(name, value)| self.append(name.into(), value))
            .sum();
        refused + appended
    }

    fn set(&mut self, name: String, value: Value) -> usize {
        match self.place(&name) {
            Some(place) => self.replace(place, |slot| *slot = value),
            None => self.push(name, value),
        }
    }

    fn append(&mut self, name: String, value: Value) -> usize {
        let Some(place) = self.place(&name) else {
            return self.push(name, value);
        };
        self.replace(place, |slot| {
            if let Value::List(list) = slot {
                list.push(value);
            } else {
                let first = std::mem::replace(slot, Value::Null);
                *slot = Value::from(vec![first, value]);
            }
        })
    }

    fn replace(&mut self, place: usize, change: impl FnOnce(&mut Value)) -> usize {
        if let Some(slot) = self.fields.value_mut(place) {
            change(slot);
        }
        0
    }

    fn push(&mut self, name: String, value: Value) -> usize {
        if self.fields.len() >= MAX_FIELDS {
            return 1;
        }
        self.fields.push_unchecked(name.into(), value);
        0
    }

    /// Where the field of a name is.
    fn place(&mut self, name: &str) -> Option<usize> {
        if self.fields.len() > self.places.len() + FEW {
            for (place, (name, _)) in self.fields.iter().enumerate().skip(self.places.len()) {
                self.looks += 1;
                self.places.entry(name.to_owned()).or_insert(place);
            }
        }
        self.looks += 1;
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let known = self.places.len();
        let rest = self.fields.iter().enumerate().skip(known);
        let found = rest.map(|(place, (other, _))| (place, other == name));
        for (place, is_same) in found {
            self.looks += 1;
            if is_same {
                return Some(place);
            }
        }
        None
    }
}

/// `path.name`, unless it is too long.
fn joined(path: &str, name: &str) -> Option<String> {
    if path.len() + name.len() >= MAX_NAME {
        return None;
    }
    Some(if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    })
}

/// See [`Value::from_json`].
pub(crate) fn scalar(value: &Json, depth: usize) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            // Beyond i64, the digits matter more than the arithmetic.
            (None, _) if number.is_u64() => Value::from(number.to_string()),
            (None, Some(float)) if float.is_finite() => Value::Float(float),
            (None, _) => Value::from(number.to_string()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) if depth < MAX_DEPTH => items.iter().map(|item| scalar(item, depth + 1)).collect(),
        Json::Array(_) | Json::Object(_) => Value::from(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn members(value: &Json) -> usize {
        match value {
            Json::Object(object) => object.values().map(|value| 1 + members(value)).sum(),
            Json::Array(items) => items.iter().map(|item| 1 + members(item)).sum(),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => 1,
        }
    }

    /// The fields of an object after those of another, and how many names were looked at.
    fn looks(first: &Json, then: &Json) -> (Fields, usize) {
        let mut fields = Fields::new();
        fields.insert_json("", first.as_object().unwrap());
        let mut flattening = Flattening {
            places: HashMap::new(),
            fields: &mut fields,
            looks: 0,
        };
        for (name, value) in then.as_object().unwrap() {
            flattening.member("", name, value, 1);
        }
        let looks = flattening.looks;
        (fields, looks)
    }

    fn json() -> impl Strategy<Value = Json> {
        let name = || prop::sample::select(vec!["a", "b", "a.b", "c", "b.c", ""]);
        let leaf = prop_oneof![
            any::<i8>().prop_map(Json::from),
            Just(Json::Null),
            "[a-c]{0,3}".prop_map(Json::from)
        ];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
                prop::collection::vec((name(), inner), 0..6).prop_map(|pairs| Json::Object(
                    pairs
                        .into_iter()
                        .map(|(name, value)| (name.to_owned(), value))
                        .collect()
                )),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// With so many fields before it that there is an index, an object gives what it gives without one.
        #[test]
        fn an_index_changes_nothing(value in json()) {
            let object = json!({ "x": value });
            let many: Map<String, Json> = (0..200).map(|n| (format!("f{n}"), Json::from(n))).collect();
            let (alone, _) = looks(&json!({}), &object);
            let (among, _) = looks(&Json::Object(many), &object);
            let alone: Vec<_> = alone.iter().collect();
            let among: Vec<_> = among.iter().skip(200).collect();
            prop_assert_eq!(alone, among);
        }

        /// Whatever is in a line, each of its members costs no more looks than a few.
        #[test]
        fn work_grows_with_the_members_and_not_with_the_fields(
            before in 0_usize..1024,
            items in 1_usize..400,
            width in 1_usize..12,
            spread in 1_usize..2000,
            is_list in any::<bool>(),
        ) {
            let many: Map<String, Json> = (0..before).map(|n| (format!("f{n}"), Json::from(n))).collect();
            let item = |from: usize| -> Json {
                Json::Object((0..width).map(|n| (format!("f{}", (from * width + n) % spread), Json::from(1))).collect())
            };
            let items: Vec<Json> = (0..items).map(item).collect();
            let then = if is_list {
                json!({ "f": items, "g": [{ "h": items }] })
            } else {
                Json::Object(items.into_iter().enumerate().map(|(n, item)| (format!("f{n}"), item)).collect())
            };
            let (fields, cost) = looks(&Json::Object(many), &then);
            prop_assert!(fields.len() <= MAX_FIELDS);
            let most = 2 * MAX_FIELDS + 3 * (FEW + 2) * members(&then);
            prop_assert!(cost <= most, "{cost} looks for {} members", members(&then));
        }
    }

    #[test]
    fn a_megabyte_of_members_costs_a_few_looks_each() {
        let many: Map<String, Json> = (0..900).map(|n| (format!("f{n}"), Json::from(n))).collect();
        let items: Vec<Json> = (0..80_000).map(|_| json!({ "f899": 1 })).collect();
        let (fields, cost) = looks(&Json::Object(many.clone()), &json!({ "a": items }));
        assert_eq!(fields.len(), 901);
        assert!(cost < 80_000 * (FEW + 8), "{cost}");
        let wide: Map<String, Json> = (0..80_000).map(|n| (format!("g{n}"), Json::from(n))).collect();
        let (fields, cost) = looks(&Json::Object(many), &Json::Object(wide));
        assert_eq!(fields.len(), MAX_FIELDS);
        assert!(cost < 80_000 * (FEW + 8), "{cost}");
    }
}
