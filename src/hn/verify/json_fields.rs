//! The fields of an item that hold JSON: whether they do, and how a bad one is kept.

use diesel::{
    ExpressionMethods, QueryDsl, QueryResult, RunQueryDsl,
    dsl::sql,
    sql_types::{Binary, Nullable},
};
use serde_json::value::RawValue;

use super::{report::BadField, walk::Row};
use crate::hn::{
    connection::{HnConnection, on_backend},
    record::add_to_extra,
    schema::items,
};

/// The fields that are not the JSON that their column holds.
pub(super) fn bad_fields(row: &Row) -> impl Iterator<Item = BadField> + use<> {
    let errors = [
        ("kids", row.kids.as_deref().and_then(list_error)),
        ("parts", row.parts.as_deref().and_then(list_error)),
        ("extra", row.extra.as_deref().and_then(object_error)),
    ];
    let id = row.id;
    errors.into_iter().filter_map(move |(column, error)| {
        let error = error?.to_string();
        Some(BadField { id, column, error })
    })
}

/// Why bytes are not a list of ids.
fn list_error(json: &[u8]) -> Option<serde_json::Error> {
    serde_json::from_slice::<Vec<i64>>(json).err()
}

/// Why bytes are not a JSON object. SQLite's own functions would refuse some objects: they go less deep.
fn object_error(json: &[u8]) -> Option<serde_json::Error> {
    match serde_json::from_slice::<&RawValue>(json) {
        Ok(raw) if raw.get().starts_with('{') => None,
        Ok(_) => Some(serde::de::Error::custom("no JSON object")),
        Err(error) => Some(error),
    }
}

/// Empties the bad fields of an item, and keeps what they held as text in `extra`.
pub(super) fn move_bad_fields_to_extra(conn: &mut impl HnConnection, id: i64) -> QueryResult<()> {
    type Field = Nullable<Binary>;
    type Bytes = Option<Vec<u8>>;
    let columns = sql::<(Field, Field, Field)>("kids, parts, extra");
    let (kids, parts, extra): (Bytes, Bytes, Bytes) = on_backend!(conn, |conn| items::table
        .find(id)
        .select(columns)
        .get_result(conn))?;
    let mut kept = Vec::new();
    let mut keep_if_bad = |column, field: Bytes, error: fn(&[u8]) -> Option<serde_json::Error>| {
        let field = field?;
        let text = String::from_utf8_lossy(&field).into_owned();
        if error(&field).is_none() {
            return Some(text);
        }
        kept.push((column, serde_json::Value::from(text)));
        None
    };
    let kids = keep_if_bad("kids", kids, list_error);
    let parts = keep_if_bad("parts", parts, list_error);
    let mut extra = keep_if_bad("extra", extra, object_error).unwrap_or_else(|| "{}".to_owned());
    for (column, text) in kept {
        extra = add_to_extra(Some(extra), column, &text.to_string());
    }
    on_backend!(conn, |conn| diesel::update(items::table.find(id))
        .set((
            items::kids.eq(kids),
            items::parts.eq(parts),
            items::extra.eq(extra),
        ))
        .execute(conn)
        .map(drop))
}
