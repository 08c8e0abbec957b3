//! The events that say how a value changed.

use serde_json::{Map, Value};

/// An event of a stream.
#[derive(Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: &'static str,
    /// Where in the value something changed. Only puts and patches have it.
    path: Option<String>,
    /// As JSON.
    data: String,
}

impl Event {
    /// The value at `path` is now `data`.
    pub(crate) fn put(path: &str, data: &Value) -> Self {
        Event {
            name: "put",
            path: Some(path.to_owned()),
            data: data.to_string(),
        }
    }

    /// The whole value is now this JSON.
    pub(super) fn put_json(json: &[u8]) -> Self {
        Event {
            name: "put",
            path: Some("/".to_owned()),
            data: String::from_utf8_lossy(json).into_owned(),
        }
    }

    /// The children of the value at `path` that `data` names are now as it says.
    pub(crate) fn patch(path: &str, data: Map<String, Value>) -> Self {
        Event {
            name: "patch",
            path: Some(path.to_owned()),
            data: Value::Object(data).to_string(),
        }
    }

    /// An event that is not about the value.
    pub(crate) fn of_the_stream(name: &'static str, data: Value) -> Self {
        Event {
            name,
            path: None,
            data: data.to_string(),
        }
    }

    /// A sign of life.
    pub(crate) fn keep_alive() -> Self {
        Self::of_the_stream("keep-alive", Value::Null)
    }

    /// The event that turns `old` into `new`: of an object, the fields that differ, and of anything else the new value.
    pub(super) fn of_change(old: &Value, new: &Value) -> Self {
        if new.is_object() && is_container(old, new) {
            Self::patch("/", differences(old, new))
        } else {
            Self::put("/", new)
        }
    }

    /// The bytes on the wire.
    pub(crate) fn encode(&self, line_end: &str) -> String {
        let Event { name, path, data } = self;
        let data = match path {
            Some(path) => format!(
                "{{\"path\":{},\"data\":{data}}}",
                Value::from(path.as_str())
            ),
            None => data.clone(),
        };
        format!("event: {name}{line_end}data: {data}{line_end}{line_end}")
    }
}

/// Whether both are objects, or both are lists. Firebase knows no empty ones.
pub(crate) fn is_container(old: &Value, new: &Value) -> bool {
    let filled = |value: &Value| match value {
        Value::Array(list) => !list.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => false,
    };
    filled(old) && filled(new) && old.is_array() == new.is_array()
}

/// The children of `new` that differ from those of `old`. One that is gone is null.
pub(crate) fn differences(old: &Value, new: &Value) -> Map<String, Value> {
    let (old, new) = (index_keyed(old), index_keyed(new));
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return Map::new();
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let changed = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(*value));
    let changed = changed.map(|(key, value)| (key.clone(), value.clone()));
    changed.chain(gone).collect()
}

/// A list as an object whose keys are the indexes. Other values stay as they are.
pub(crate) fn index_keyed(value: &Value) -> Value {
    match value {
        Value::Array(list) => {
            let fields = list.iter().enumerate();
            let fields = fields.map(|(index, value)| (index.to_string(), value.clone()));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}
