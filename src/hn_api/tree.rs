//! JSON as a tree: the value to which the keys of a path lead.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde_json::{Value, value::RawValue};

/// The value inside `root` to which the keys lead, as it is written there. A number leads into a list.
///
/// Values on the way are not read: one may be what JSON allows and [`Value`] does not, such as `1e400`, half of a surrogate pair, or very
/// many lists inside each other.
pub(crate) fn value_at(root: Bytes, keys: &[String]) -> Bytes {
    if keys.is_empty() {
        return root;
    }
    let found = serde_json::from_slice(&root).ok();
    let found = keys.iter().try_fold(found, |at, key| Some(child(at?, key)));
    match found.flatten() {
        Some(value) => root.slice_ref(RawValue::get(value).as_bytes()),
        None => Bytes::from_static(b"null"),
    }
}

fn child<'a>(of: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    if of.get().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(of.get()).ok()?;
        return list.get(place(key)?).copied();
    }
    let mut fields: HashMap<String, &RawValue> = serde_json::from_str(of.get()).ok()?;
    fields.remove(key)
}

/// The place in a list that a key means. Numbers have one spelling, as in Firebase.
fn place(key: &str) -> Option<usize> {
    key.parse().ok().filter(|n: &usize| n.to_string() == key)
}

/// `None` if it is what a [`Value`] cannot be.
pub(super) fn parse(json: &[u8]) -> Option<Value> {
    serde_json::from_slice(json).ok()
}

pub(crate) fn to_json(value: &impl serde::Serialize) -> Bytes {
    // It cannot fail: records have only numbers, strings and lists of them.
    serde_json::to_vec(value).map_or(Bytes::from_static(b"null"), Bytes::from)
}

/// What `shallow=true` shows of a value: whatever holds other values, below the first level, is `true`.
pub(super) fn shallow(json: Bytes) -> Bytes {
    let fields: Result<BTreeMap<String, &RawValue>, _> = serde_json::from_slice(&json);
    let Ok(fields) = fields else {
        return json;
    };
    let fields = fields.into_iter().map(|(key, value)| {
        let holds_others = value.get().starts_with(['{', '[']);
        (key, if holds_others { RawValue::TRUE } else { value })
    });
    to_json(&fields.collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_value_cannot_be_does_not_hide_the_rest() {
        let nested = format!("{}{}", "[".repeat(300), "]".repeat(300));
        for odd in ["\"\\ud800\"", "1e400", &nested] {
            let item = Bytes::from(format!("{{\"title\":\"x\",\"odd\":{odd},\"kids\":[1]}}"));
            assert!(parse(&item).is_none(), "{odd}");
            let at = |key: &str| value_at(item.clone(), &[key.to_owned()]);
            assert_eq!(at("title"), "\"x\"");
            assert_eq!(at("odd"), odd);
            assert_eq!(at("none"), "null");
            let odd = if odd == nested { "true" } else { odd };
            let wanted = format!("{{\"kids\":true,\"odd\":{odd},\"title\":\"x\"}}");
            assert_eq!(shallow(item.clone()), wanted);
        }
    }

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
