//! `orderBy` and its companions: which children of a value are wanted.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// The parameters that mean something with `orderBy` only.
const COMPANIONS: [&str; 7] = [
    "limitToFirst",
    "limitToLast",
    "startAt",
    "startAfter",
    "endAt",
    "endBefore",
    "equalTo",
];

/// Which children are wanted, in the order of their keys. That is also the order of their priorities, because nothing in Hacker News has
/// one.
#[derive(Debug)]
pub(super) struct Selection {
    order: Order,
    bounds: Vec<Bound>,
    limit: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Key,
    Priority,
}

/// Whether a child is wanted whose place compares so to the value of a bound.
type Allows = fn(Ordering) -> bool;

/// The parameters that are bounds.
const BOUNDS: [(&str, Allows); 5] = [
    ("startAt", Ordering::is_ge),
    ("startAfter", Ordering::is_gt),
    ("endAt", Ordering::is_le),
    ("endBefore", Ordering::is_lt),
    ("equalTo", Ordering::is_eq),
];

/// How a child's place compares to a value.
#[derive(Debug)]
struct Bound {
    allows: Allows,
    value: Value,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    First(usize),
    Last(usize),
}

impl Selection {
    /// Reads the parameters. `value` gives the value of one. An error is the message for the client.
    pub(super) fn parse<'a>(
        value: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<Option<Self>, String> {
        let Some(order) = value("orderBy") else {
            return if COMPANIONS.iter().any(|name| value(name).is_some()) {
                Err("orderBy must be defined when other query parameters are defined".to_owned())
            } else {
                Ok(None)
            };
        };
        let order = match serde_json::from_str::<String>(order) {
            Ok(order) => Order::parse(&order)?,
            Err(_) => return Err("orderBy must be a valid JSON encoded path".to_owned()),
        };
        let given = BOUNDS.map(|(name, _)| value(name).is_some());
        let [start_at, start_after, end_at, end_before, equal_to] = given;
        if equal_to && given[..4].contains(&true) {
            return Err(
                "equalTo cannot be specified in addition to startAfter, startAt, endAt, or endBefore"
                    .to_owned(),
            );
        }
        if start_at && start_after {
            return Err("Only one of startAt and startAfter may be specified".to_owned());
        }
        if end_at && end_before {
            return Err("Only one of endAt and endBefore may be specified".to_owned());
        }
        let bounds = BOUNDS.into_iter().filter_map(|(name, allows)| {
            let value = order.bound_value(name, value(name)?);
            Some(value.map(|value| Bound { allows, value }))
        });
        let limit = match (value("limitToFirst"), value("limitToLast")) {
            (Some(_), Some(_)) => {
                return Err("Only one of limitToFirst and limitToLast may be specified".to_owned());
            }
            (Some(first), None) => Some(Limit::First(parse_limit("limitToFirst", first)?)),
            (None, Some(last)) => Some(Limit::Last(parse_limit("limitToLast", last)?)),
            (None, None) => None,
        };
        Ok(Some(Self {
            order,
            bounds: bounds.collect::<Result<_, _>>()?,
            limit,
        }))
    }

    /// The wanted children of a value. A value without children is wanted as it is.
    ///
    /// Children of a list stay a list if they are its beginning and no bound was given. Otherwise they are an object by their keys.
    pub(super) fn apply(&self, value: Value) -> Value {
        let is_list = value.is_array();
        let mut children: Vec<(String, Value)> = match value {
            Value::Array(list) => (0..)
                .zip(list)
                .map(|(index, child): (usize, _)| (index.to_string(), child))
                .collect(),
            Value::Object(fields) => {
                let mut fields: Vec<_> = fields.into_iter().collect();
                fields.sort_by(|(a, _), (b, _)| compare_keys(a, b));
                fields
            }
            other => return other,
        };
        children.retain(|(key, child)| !child.is_null() && self.is_within_bounds(key));
        match self.limit {
            Some(Limit::First(most)) => children.truncate(most),
            Some(Limit::Last(most)) => drop(children.drain(..children.len().saturating_sub(most))),
            None => {}
        }
        let is_beginning = children
            .iter()
            .enumerate()
            .all(|(index, (key, _))| *key == index.to_string());
        if is_list && is_beginning && self.bounds.is_empty() {
            return children.into_iter().map(|(_, child)| child).collect();
        }
        Value::Object(children.into_iter().collect::<Map<_, _>>())
    }

    fn is_within_bounds(&self, key: &str) -> bool {
        self.bounds.iter().all(|bound| {
            let order = match self.order {
                Order::Key => compare_keys(key, bound.value.as_str().unwrap_or_default()),
                // Every priority is null, which comes first.
                Order::Priority if bound.value.is_null() => Ordering::Equal,
                Order::Priority => Ordering::Less,
            };
            (bound.allows)(order)
        })
    }
}

impl Order {
    fn parse(order: &str) -> Result<Self, String> {
        let index = match order {
            "$key" => return Ok(Self::Key),
            "$priority" => return Ok(Self::Priority),
            "$value" => ".value",
            "" => return Err("orderBy must be a valid JSON encoded path".to_owned()),
            child => child,
        };
        let index = Value::from(index);
        Err(format!(
            "Index not defined, add \".indexOn\": {index}, to the rules"
        ))
    }

    /// Reads the value of a bound.
    fn bound_value(self, name: &str, text: &str) -> Result<Value, String> {
        let value = serde_json::from_str::<Value>(text).ok();
        let value = value.filter(|value| !value.is_array() && !value.is_object());
        match (self, value) {
            (_, None) => Err("Constraint index field must be a JSON primitive".to_owned()),
            (Self::Key, Some(value)) if !value.is_string() => {
                Err(format!("{name} must be a string when ordering by key"))
            }
            (_, Some(value)) => Ok(value),
        }
    }
}

fn parse_limit(name: &str, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..) => Ok(limit),
        _ => Err(format!("{name} must be a positive integer")),
    }
}

/// Numbers come before other keys, and in the order of their values.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let number = |key: &str| key.parse::<i32>().ok().filter(|n| n.to_string() == key);
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn select(value: Value, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let of = |name: &str| {
            parameters
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| *value)
        };
        Ok(Selection::parse(of)?.unwrap().apply(value))
    }

    const KEY: (&str, &str) = ("orderBy", "\"$key\"");
    const PRIORITY: (&str, &str) = ("orderBy", "\"$priority\"");

    #[test]
    fn a_list_is_cut_at_either_end_and_bounds_make_it_an_object() {
        let list: Vec<usize> = (0..12).map(|n| n + 100).collect();
        let list = json!(list);
        for (parameters, wanted) in [
            (&[KEY][..], list.clone()),
            (&[KEY, ("limitToFirst", "2")], json!([100, 101])),
            (&[PRIORITY, ("limitToFirst", "2")], json!([100, 101])),
            (&[KEY, ("limitToFirst", "99")], list.clone()),
            (&[KEY, ("limitToLast", "2")], json!({"10": 110, "11": 111})),
            (&[KEY, ("startAt", "\"10\"")], json!({"10": 110, "11": 111})),
            (&[KEY, ("startAfter", "\"10\"")], json!({"11": 111})),
            (&[KEY, ("endAt", "\"1\"")], json!({"0": 100, "1": 101})),
            (&[KEY, ("endBefore", "\"1\"")], json!({"0": 100})),
            (&[KEY, ("equalTo", "\"9\"")], json!({"9": 109})),
            (&[KEY, ("startAt", "\"x\"")], json!({})),
            (
                &[
                    KEY,
                    ("startAt", "\"2\""),
                    ("endAt", "\"9\""),
                    ("limitToFirst", "1"),
                ],
                json!({"2": 102}),
            ),
            (
                &[PRIORITY, ("equalTo", "null"), ("limitToLast", "1")],
                json!({"11": 111}),
            ),
            (&[PRIORITY, ("startAt", "1")], json!({})),
            (
                &[PRIORITY, ("endAt", "1"), ("limitToFirst", "1")],
                json!({"0": 100}),
            ),
        ] {
            assert_eq!(
                select(list.clone(), parameters),
                Ok(wanted),
                "{parameters:?}"
            );
        }
    }

    #[test]
    fn an_object_is_cut_by_its_keys_and_a_value_without_children_stays() {
        let item = json!({"id": 1, "by": "x", "kids": [2], "10": true, "9": false});
        let first = |n| select(item.clone(), &[KEY, ("limitToFirst", n)]).unwrap();
        assert_eq!(first("3"), json!({"9": false, "10": true, "by": "x"}));
        for value in [json!(null), json!(7), json!("x")] {
            assert_eq!(
                select(value.clone(), &[KEY, ("limitToFirst", "1")]),
                Ok(value)
            );
        }
    }

    #[test]
    fn parameters_that_do_not_go_together_are_refused() {
        for parameters in [
            &[("limitToFirst", "2")][..],
            &[("startAt", "\"2\"")],
            &[("orderBy", "$key")],
            &[("orderBy", "")],
            &[("orderBy", "\"\"")],
            &[("orderBy", "\"$value\"")],
            &[("orderBy", "\"score\""), ("limitToFirst", "2")],
            &[KEY, ("limitToFirst", "0")],
            &[KEY, ("limitToFirst", "-1")],
            &[KEY, ("limitToFirst", "x")],
            &[KEY, ("limitToFirst", "1"), ("limitToLast", "1")],
            &[KEY, ("startAt", "x")],
            &[KEY, ("startAt", "5")],
            &[KEY, ("startAt", "[]")],
            &[KEY, ("startAt", "\"1\""), ("startAfter", "\"1\"")],
            &[KEY, ("equalTo", "\"1\""), ("endAt", "\"1\"")],
        ] {
            assert!(select(json!([1]), parameters).is_err(), "{parameters:?}");
        }
    }
}
