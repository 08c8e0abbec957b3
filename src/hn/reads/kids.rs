//! Lists of ids as the columns hold them.

/// The ids of a column such as `kids`, in its order. A column that holds something else has none.
#[must_use]
pub fn ids_of(column: Option<&str>) -> Vec<i64> {
    column
        .and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}
