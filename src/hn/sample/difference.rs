//! What differs between what the mirror holds for an id and what the API answers. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::value::RawValue;

use super::{held::Held, json_values::are_same};
use crate::hn::item::Item;

/// How the mirror differs from the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Both have the item, and these fields differ.
    Fields(Vec<String>),
    /// The API has an item, and the mirror holds none.
    Missing,
    /// The mirror holds an item, and the API has none.
    Gone,
}

impl Difference {
    /// Compares what the mirror holds with the item that the API has, or with its having none.
    pub(super) fn between(held: &Held, answer: Option<&Item>) -> Option<Self> {
        match (held, answer) {
            (Held::Item { item, .. }, Some(answer)) => {
                let fields = different_fields(item, answer);
                (!fields.is_empty()).then_some(Self::Fields(fields))
            }
            (Held::Unreadable { column }, Some(_)) => Some(Self::Fields(vec![column.clone()])),
            (Held::Item { .. } | Held::Unreadable { .. }, None) => Some(Self::Gone),
            (Held::Absent { .. } | Held::Nothing, Some(_)) => Some(Self::Missing),
            (Held::Absent { .. } | Held::Nothing, None) => None,
        }
    }
}

fn different_fields(stored: &Item, answer: &Item) -> Vec<String> {
    if stored == answer {
        return Vec::new();
    }
    let (stored, answer) = (fields(stored), fields(answer));
    let is_different = |name: &&String| match (stored.get(*name), answer.get(*name)) {
        (Some(one), Some(other)) => !are_same(one, other),
        (one, other) => one.is_some() || other.is_some(),
    };
    let names: BTreeSet<&String> = stored.keys().chain(answer.keys()).collect();
    names.into_iter().filter(is_different).cloned().collect()
}

/// The fields of an item, each as JSON. Those that are in `extra` only because their column cannot hold them count like any other.
fn fields(item: &Item) -> BTreeMap<String, String> {
    let columns = item.columns().into_iter();
    let columns = columns.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut fields: BTreeMap<_, _> = columns.collect();
    let Some(extra) = item.extra.as_deref() else {
        return fields;
    };
    match serde_json::from_str::<BTreeMap<String, &RawValue>>(extra) {
        Ok(extra) => {
            let extra = extra.into_iter();
            fields.extend(extra.map(|(name, value)| (name, value.get().to_owned())));
        }
        // It is damaged, or a name in it is no text.
        Err(_) => {
            fields.insert("extra".to_owned(), extra.to_owned());
        }
    }
    fields
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn item(json: &str) -> Item {
        Item::decode(1, json.as_bytes()).unwrap().unwrap()
    }

    fn held(item: Item) -> Held {
        Held::Item {
            item: Box::new(item),
            fetched_at: 0,
        }
    }

    /// The fields that differ, in order.
    fn fields_between(stored: &str, answer: &str) -> Vec<String> {
        let difference = Difference::between(&held(item(stored)), Some(&item(answer)));
        match difference {
            None => Vec::new(),
            Some(Difference::Fields(fields)) => fields,
            Some(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn items_are_compared_field_by_field_as_json_values() {
        let story = r#"{"id":1,"type":"story","title":"é","score":5,"kids":[2,3],"new":{"a":1.50,"b":null},"dead":true}"#;
        for (answer, fields) in [
            (story, &[][..]),
            (
                r#"{"new":{"b":null,"a":1.5},"dead":true,"kids":[2, 3],"score":5,"title":"\u00e9","type":"story","id":1}"#,
                &[],
            ),
            (
                r#"{"id":1,"type":"story","title":"é","score":6,"kids":[3,2],"new":{"a":1.51,"b":null}}"#,
                &["dead", "kids", "new", "score"],
            ),
            (
                r#"{"id":1,"type":"story","title":null,"score":"5","kids":[2,3],"new":{"a":1.50,"b":null},"dead":true,"text":""}"#,
                &["score", "text", "title"],
            ),
        ] {
            assert_eq!(fields_between(story, answer), fields, "{answer}");
        }
    }

    #[test]
    fn a_value_may_be_in_its_column_or_in_extra() {
        assert_eq!(
            fields_between(r#"{"id":1,"score":1e1}"#, r#"{"id":1,"score":10}"#),
            [""; 0]
        );
        let mut damaged = item(r#"{"id":1,"x":1}"#);
        damaged.extra = Some("{".to_owned());
        let difference = Difference::between(&held(damaged), Some(&item(r#"{"id":1,"x":1}"#)));
        let wanted = ["extra".to_owned(), "x".to_owned()];
        assert_eq!(difference, Some(Difference::Fields(wanted.to_vec())));
    }

    #[test]
    fn an_item_is_no_absence() {
        let absent = Held::Absent { checked_at: 0 };
        let one = item(r#"{"id":1}"#);
        for (held, answer, wanted) in [
            (&absent, Some(&one), Some(Difference::Missing)),
            (&absent, None, None),
            (&Held::Nothing, Some(&one), Some(Difference::Missing)),
            (&Held::Nothing, None, None),
            (&held(one.clone()), None, Some(Difference::Gone)),
        ] {
            assert_eq!(Difference::between(held, answer), wanted);
        }
    }
}
