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
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        at => at.get(key),
    })
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
