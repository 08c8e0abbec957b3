//! What the API's event streams say: `put` and `patch` events (Firebase's REST API, "Streaming"), as the change of a document.
//!
//! A change comes at the root of the document, at one of its fields, or at one place of a list. A list may come as an array, or
//! as an object that is keyed by index, and may hold nulls. What does not fit is ignored.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A list of the API is much shorter. Places beyond are ignored, so that a faulty server takes no memory.
const LIST_MAX: u64 = 10_000;

/// One value that a stream sets.
#[derive(Debug, PartialEq)]
pub(crate) struct Put {
    /// The place in the document: the names on the way from its root.
    path: Vec<String>,
    value: Value,
}

impl Put {
    /// The whole document, as polling reads it.
    pub(crate) fn whole(value: Value) -> Self {
        Self {
            path: Vec::new(),
            value,
        }
    }
}

/// The values that an event sets. None if it is no `put` or `patch`, or is not what such an event looks like.
pub(crate) fn puts(event: &str, data: &str) -> Vec<Put> {
    let Ok(Value::Object(mut data)) = serde_json::from_str(data) else {
        return Vec::new();
    };
    let Some(Value::String(path)) = data.remove("path") else {
        return Vec::new();
    };
    let value = data.remove("data").unwrap_or_default();
    let path = names(&path);
    match (event, value) {
        ("put", value) => vec![Put { path, value }],
        // A patch sets each of its children. A child's name may be a path.
        ("patch", Value::Object(children)) => children
            .into_iter()
            .map(|(name, value)| {
                let mut path = path.clone();
                path.extend(names(&name));
                Put { path, value }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A path, to be matched.
fn as_strs(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

fn names(path: &str) -> Vec<String> {
    path.split('/')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What `updates` names as changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Updates {
    pub(crate) items: Vec<i64>,
    pub(crate) profiles: Vec<String>,
}

impl Updates {
    /// What these values name. Only what they name counts, so nothing of the document need be kept.
    pub(crate) fn named(puts: Vec<Put>) -> Self {
        let mut updates = Self::default();
        for Put { path, value } in puts {
            match as_strs(&path)[..] {
                [] => {
                    if let Value::Object(mut document) = value {
                        updates.add("items", document.remove("items").unwrap_or_default());
                        updates.add("profiles", document.remove("profiles").unwrap_or_default());
                    }
                }
                [field] | [field, _] => updates.add(field, value),
                _ => {}
            }
        }
        updates
    }

    fn add(&mut self, field: &str, value: Value) {
        for value in elements(value) {
            match (field, value) {
                ("items", Value::Number(id)) => self.items.extend(id.as_i64().filter(|id| *id > 0)),
                ("profiles", Value::String(name)) => self.profiles.push(name),
                _ => {}
            }
        }
    }
}

/// The elements of a list, however it comes, or a value that stands alone.
fn elements(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        Value::Object(values) => values.into_iter().map(|(_, value)| value).collect(),
        value => vec![value],
    }
}

/// The largest of the ids that these values set as `maxitem`.
pub(crate) fn max_item(puts: &[Put]) -> Option<i64> {
    let numbers = puts.iter().filter(|put| put.path.is_empty());
    numbers
        .filter_map(|put| put.value.as_i64())
        .filter(|id| *id > 0)
        .max()
}

/// A list of ids, put together from what its stream sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ListDocument(BTreeMap<u64, i64>);

impl ListDocument {
    /// Sets these values. Returns whether the list is another one then.
    pub(crate) fn apply(&mut self, puts: Vec<Put>) -> bool {
        let mut is_changed = false;
        for Put { path, value } in puts {
            is_changed |= match (&as_strs(&path)[..], value) {
                ([], Value::Array(values)) => self.replace((0..).zip(values)),
                ([], Value::Object(values)) => self.replace(by_index(values)),
                // Firebase keeps no empty lists.
                ([], Value::Null) => self.replace([]),
                ([place], value) => match place.parse() {
                    Ok(place) => self.set(place, &value),
                    Err(_) => false,
                },
                _ => false,
            };
        }
        is_changed
    }

    /// The ids in rank order.
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.0.values().copied().collect()
    }

    fn replace(&mut self, values: impl IntoIterator<Item = (u64, Value)>) -> bool {
        let mut list = Self::default();
        for (place, value) in values {
            list.set(place, &value);
        }
        let is_changed = *self != list;
        *self = list;
        is_changed
    }

    fn set(&mut self, place: u64, value: &Value) -> bool {
        if place >= LIST_MAX {
            return false;
        }
        match value.as_i64().filter(|id| *id > 0) {
            Some(id) => self.0.insert(place, id) != Some(id),
            None => value.is_null() && self.0.remove(&place).is_some(),
        }
    }
}

fn by_index(values: Map<String, Value>) -> impl Iterator<Item = (u64, Value)> {
    let index = |(place, value): (String, Value)| Some((place.parse().ok()?, value));
    values.into_iter().filter_map(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn updates(event: &str, data: Value) -> Updates {
        Updates::named(puts(event, &data.to_string()))
    }

    fn named(items: &[i64], profiles: &[&str]) -> Updates {
        Updates {
            items: items.to_vec(),
            profiles: profiles.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn updates_are_understood_at_every_place_and_in_every_shape() {
        for (event, data, expected) in [
            (
                "put",
                json!({"path": "/", "data": {"items": [1, 2], "profiles": ["a"]}}),
                named(&[1, 2], &["a"]),
            ),
            (
                "put",
                json!({"path": "/", "data": {"items": {"0": 1, "7": 2}, "profiles": null}}),
                named(&[1, 2], &[]),
            ),
            (
                "put",
                json!({"path": "/items", "data": [3, null, 4]}),
                named(&[3, 4], &[]),
            ),
            (
                "put",
                json!({"path": "/items/17", "data": 5}),
                named(&[5], &[]),
            ),
            (
                "put",
                json!({"path": "/profiles/0", "data": "b"}),
                named(&[], &["b"]),
            ),
            (
                "patch",
                json!({"path": "/", "data": {"items/3": 6, "profiles": ["c"]}}),
                named(&[6], &["c"]),
            ),
            (
                "patch",
                json!({"path": "/items", "data": {"1": 7, "2": null}}),
                named(&[7], &[]),
            ),
            ("put", json!({"path": "/", "data": null}), named(&[], &[])),
            (
                "put",
                json!({"path": "/", "data": {"items": [-1, 0, 1.5, "x", 9e99]}}),
                named(&[], &[]),
            ),
            ("keep-alive", json!(null), named(&[], &[])),
            (
                "other",
                json!({"path": "/", "data": {"items": [1]}}),
                named(&[], &[]),
            ),
            ("put", json!({"data": {"items": [1]}}), named(&[], &[])),
        ] {
            assert_eq!(updates(event, data.clone()), expected, "{event} {data}");
        }
    }

    #[test]
    fn the_largest_id_is_a_number_at_the_root() {
        for (data, expected) in [
            (json!({"path": "/", "data": 17}), Some(17)),
            (json!({"path": "/", "data": null}), None),
            (json!({"path": "/", "data": -3}), None),
            (json!({"path": "/x", "data": 17}), None),
        ] {
            assert_eq!(max_item(&puts("put", &data.to_string())), expected);
        }
    }

    #[test]
    fn a_list_is_put_together_from_its_changes() {
        let mut list = ListDocument::default();
        let mut apply = |event: &str, data: Value| {
            let is_changed = list.apply(puts(event, &data.to_string()));
            (is_changed, list.ids())
        };
        let whole = json!({"path": "/", "data": [5, 6, null, 7]});
        assert_eq!(apply("put", whole.clone()), (true, vec![5, 6, 7]));
        assert_eq!(apply("put", whole), (false, vec![5, 6, 7]));
        assert_eq!(
            apply("put", json!({"path": "/0", "data": 8})),
            (true, vec![8, 6, 7])
        );
        assert_eq!(
            apply("put", json!({"path": "/1", "data": null})),
            (true, vec![8, 7])
        );
        assert_eq!(
            apply("patch", json!({"path": "/", "data": {"2": 9, "10": 4}})),
            (true, vec![8, 9, 7, 4])
        );
        assert_eq!(
            apply("put", json!({"path": "/", "data": {"10": 1, "9": 2}})),
            (true, vec![2, 1])
        );
        assert_eq!(
            apply("put", json!({"path": "/18446744073709551615", "data": 3})),
            (false, vec![2, 1])
        );
        assert_eq!(
            apply("put", json!({"path": "/", "data": null})),
            (true, vec![])
        );
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            "[a-z0-9/]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[a-z0-9/]{0,5}|items|profiles", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_event_does_harm(event in "put|patch|x", path in "[/a-z0-9]{0,12}", data in json_value(), text in ".*") {
            let data = json!({"path": path, "data": data}).to_string();
            for data in [data, text] {
                let ids = Updates::named(puts(&event, &data)).items;
                prop_assert!(ids.iter().all(|id| *id > 0));
                prop_assert!(max_item(&puts(&event, &data)).is_none_or(|id| id > 0));
                let mut list = ListDocument::default();
                list.apply(puts(&event, &data));
                prop_assert!(list.ids().iter().all(|id| *id > 0));
            }
        }
    }
}
