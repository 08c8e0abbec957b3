//! JSON as a tree: the value to which the keys of a path lead.

use bytes::Bytes;
use serde_json::Value;

/// The value inside `root` to which the keys lead. A number leads into a list.
pub(crate) fn value_at(root: Bytes, keys: &[String]) -> Bytes {
    if keys.is_empty() {
        return root;
    }
    to_json(&inside(&parse(&root), keys))
}

/// As [`value_at`], for a value.
pub(super) fn inside<'a>(root: &'a Value, keys: &[String]) -> Option<&'a Value> {
    keys.iter().try_fold(root, |at, key| match at {
        Value::Array(list) => list.get(place(key)?),
        at => at.get(key),
    })
}

/// The place in a list that a key means. Numbers have one spelling, as in Firebase.
fn place(key: &str) -> Option<usize> {
    key.parse().ok().filter(|n: &usize| n.to_string() == key)
}

pub(super) fn parse(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_default()
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Bytes {
    // It cannot fail: records have only numbers, strings and lists of them.
    serde_json::to_vec(value).map_or(Bytes::from_static(b"null"), Bytes::from)
}

/// What `shallow=true` shows of a value: whatever holds other values, below the first level, is `true`.
pub(super) fn shallow(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        for field in fields.values_mut() {
            if field.is_object() || field.is_array() {
                *field = Value::Bool(true);
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_a_list_has_one_spelling() {
        let list = Bytes::from_static(b"[[7,8],9]");
        for (key, wanted) in [
            ("0", "[7,8]"),
            ("1", "9"),
            ("2", "null"),
            ("00", "null"),
            ("01", "null"),
            ("+1", "null"),
            ("-1", "null"),
            ("", "null"),
        ] {
            assert_eq!(value_at(list.clone(), &[key.to_owned()]), wanted, "{key}");
        }
    }
}
