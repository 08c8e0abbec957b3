//! The ways to report how a value changed. Firebase has many events for the same change, and a client must know all of them.

use serde_json::{Map, Value};

use crate::hn_api::{Event, differences, index_keyed, is_container};

/// How many ways there are to report a change.
pub(super) const WAYS: usize = 7;

/// Up to this many places are reported one by one.
const SINGLE_PUTS: usize = 8;

/// The events that turn `old` into `new`, in one of the ways.
pub(super) fn events(old: &Value, new: &Value, way: usize) -> Vec<Event> {
    let whole = || vec![Event::put("/", new)];
    let changed = differences(old, new);
    if !is_container(old, new) || changed.is_empty() {
        return whole();
    }
    match way % WAYS {
        0 => vec![Event::patch("/", changed)],
        1 => whole(),
        2 if changed.len() <= SINGLE_PUTS => changed
            .iter()
            .map(|(key, value)| Event::put(&format!("/{key}"), value))
            .collect(),
        3 => inside(old, changed, |path, old, new| {
            vec![Event::patch(path, differences(old, new))]
        }),
        4 if new.is_array() => vec![Event::put("/", &index_keyed(new))],
        4 => inside(old, changed, |path, _, new| {
            vec![Event::put(path, &index_keyed(new))]
        }),
        5 => inside(old, changed, |path, old, new| {
            let places = differences(old, new);
            if places.len() > SINGLE_PUTS {
                return vec![Event::patch(path, places)];
            }
            let put =
                |(place, value): (&String, &Value)| Event::put(&format!("{path}/{place}"), value);
            places.iter().map(put).collect()
        }),
        6 => inside(old, changed, |path, _, new| {
            // Firebase sends a list whose first index is not 0 with nulls.
            let mut shifted = vec![Value::Null];
            shifted.extend(new.as_array().into_iter().flatten().cloned());
            vec![Event::put(path, &Value::Array(shifted))]
        }),
        _ => vec![Event::patch("/", changed)],
    }
}

/// Tells the changes of lists by `of_a_list`, and other changes by one put each.
fn inside(
    old: &Value,
    differences: Map<String, Value>,
    of_a_list: impl Fn(&str, &Value, &Value) -> Vec<Event>,
) -> Vec<Event> {
    if old.is_array() {
        return vec![Event::patch("/", differences)];
    }
    let tell = |(key, new): (&String, &Value)| {
        let path = format!("/{key}");
        match old.get(key) {
            Some(old) if is_container(old, new) => of_a_list(&path, old, new),
            _ => vec![Event::put(&path, new)],
        }
    };
    differences.iter().flat_map(tell).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// The data of an event as it is on the wire.
    fn data(event: &Event) -> Value {
        let text = event.encode("\n");
        let data = text.trim_end().split_once("\ndata: ").unwrap().1;
        serde_json::from_str(data).unwrap()
    }

    /// What a client does with the data of a put or a patch event.
    pub(in super::super) fn apply(value: &mut Value, name: &str, change: &Value) {
        let path = change["path"].as_str().unwrap();
        let keys: Vec<&str> = path.split('/').filter(|key| !key.is_empty()).collect();
        if name == "put" {
            return put(value, &keys, &change["data"]);
        }
        assert_eq!(name, "patch");
        for (key, data) in change["data"].as_object().unwrap() {
            let keys: Vec<&str> = keys.iter().copied().chain([key.as_str()]).collect();
            put(value, &keys, data);
        }
    }

    fn put(value: &mut Value, keys: &[&str], data: &Value) {
        let Some((key, rest)) = keys.split_first() else {
            *value = index_keyed(data);
            return;
        };
        *value = index_keyed(value);
        if !value.is_object() {
            *value = json!({});
        }
        put(&mut value[*key], rest, data);
    }

    /// The value with every list as a list again and without nulls, so that all ways to say the same are equal. As in Firebase,
    /// what holds nothing is null.
    pub(in super::super) fn plain(value: &Value) -> Value {
        let Value::Object(fields) = index_keyed(value) else {
            return value.clone();
        };
        let fields = fields.iter().map(|(key, value)| (key, plain(value)));
        let mut fields: Vec<_> = fields.filter(|(_, value)| !value.is_null()).collect();
        if fields.is_empty() {
            return Value::Null;
        }
        if fields.iter().all(|(key, _)| key.parse::<u64>().is_ok()) {
            fields.sort_by_key(|(key, _)| key.parse::<u64>().unwrap());
            return fields.into_iter().map(|(_, value)| value).collect();
        }
        let fields = fields.into_iter().map(|(key, value)| (key.clone(), value));
        Value::Object(fields.collect())
    }

    #[test]
    fn every_way_to_tell_a_change_leads_to_the_new_value() {
        let long: Vec<u32> = (0..30).collect();
        let values = [
            json!(null),
            json!(1),
            json!("text"),
            json!({"a": 1, "kids": [1, 2, 3]}),
            json!({"a": 2, "b": null, "kids": [3]}),
            json!({"b": "x", "kids": [3, 4, 5, 6]}),
            json!({"items": long, "profiles": ["x"]}),
            json!({"items": [7, 8], "profiles": ["y", "z"]}),
            json!([1, 2, 3]),
            json!([3, 2]),
            json!(long),
            json!([]),
        ];
        for (old, new) in values
            .iter()
            .flat_map(|old| values.iter().map(move |new| (old, new)))
        {
            for way in 0..WAYS {
                let told = events(old, new, way);
                let mut copy = old.clone();
                for event in &told {
                    apply(&mut copy, event.name, &data(event));
                }
                assert_eq!(plain(&copy), plain(new), "{old} to {new}: {told:?}");
            }
        }
    }

    #[test]
    fn the_ways_have_the_shapes_that_the_real_api_has() {
        let old = json!({"items": [1, 2, 3], "profiles": ["x"]});
        let new = json!({"items": [1, 5, 3], "profiles": ["x"]});
        let told: Vec<(&str, Value)> = (0..WAYS)
            .map(|way| events(&old, &new, way).pop().unwrap())
            .map(|event| (event.name, data(&event)))
            .collect();
        let at = |path: &str, data: Value| json!({"path": path, "data": data});
        assert_eq!(
            told,
            [
                ("patch", at("/", json!({"items": [1, 5, 3]}))),
                ("put", at("/", new.clone())),
                ("put", at("/items", json!([1, 5, 3]))),
                ("patch", at("/items", json!({"1": 5}))),
                ("put", at("/items", json!({"0": 1, "1": 5, "2": 3}))),
                ("put", at("/items/1", json!(5))),
                ("put", at("/items", json!([null, 1, 5, 3]))),
            ]
        );
        assert_eq!(
            events(&old, &new, 5)[0].encode("\r\n"),
            "event: put\r\ndata: {\"path\":\"/items/1\",\"data\":5}\r\n\r\n"
        );
    }
}
