//! SQLite's own SQL.

use super::statements::Dialect;

pub(in crate::hn) static SQLITE: Dialect = Dialect {
    #[cfg(feature = "cli")]
    has_typed_columns: false,
    #[cfg(feature = "serve")]
    data_version: "(SELECT CAST(data_version AS TEXT) FROM pragma_data_version)",
    begin_snapshot: "BEGIN",
    lock_ledger: "",
    #[cfg(feature = "serve")]
    lock_indexes: "",
    #[cfg(feature = "cli")]
    lock_claims: "",
    checks_after_one_more: "absent.checks + 1",
    integrity_check: Some("SELECT integrity_check FROM pragma_integrity_check"),
    has_items_table: "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'items')",
    has_migrations_table: "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = '__diesel_schema_migrations')",
    indexes_of_items: "SELECT name, coalesce(sql, '') AS definition FROM sqlite_master
        WHERE type = 'index' AND tbl_name = 'items'",
    #[cfg(feature = "serve")]
    has_search_index: "EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'search_index')",
    #[cfg(feature = "serve")]
    reads_rows_for_titles: false,
    now: "unixepoch()",
    #[cfg(feature = "cli")]
    now_ms: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    // In this order each kid is one look-up by id, near the one before. A field that is not a list is a fault already.
    moved_kids: "SELECT c.id, p.id, c.parent
         FROM items p
         CROSS JOIN json_each(
             CASE CASE WHEN json_valid(p.kids) THEN json_type(p.kids) END WHEN 'array' THEN p.kids ELSE '[]' END
         ) k
         CROSS JOIN items c
         WHERE p.kids IS NOT NULL AND c.id = k.value AND c.parent <> p.id
         ORDER BY p.id",
};
