//! PostgreSQL's own SQL.

use super::statements::Dialect;

pub(in crate::hn) static POSTGRES: Dialect = Dialect {
    #[cfg(feature = "cli")]
    has_typed_columns: true,
    // Also changes with what other databases of the server commit.
    #[cfg(feature = "serve")]
    data_version: "txid_current_snapshot()::text",
    begin_snapshot: "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    lock_ledger: "SELECT FROM hn_ingest WHERE name = 'ledger' FOR UPDATE",
    #[cfg(feature = "serve")]
    lock_indexes: "SELECT FROM hn_ingest WHERE name = 'indexes' FOR UPDATE",
    #[cfg(feature = "cli")]
    lock_claims: "SELECT FROM hn_ingest WHERE name = 'claims' FOR UPDATE",
    now: "floor(extract(epoch FROM clock_timestamp()))::bigint",
    #[cfg(feature = "cli")]
    now_ms: "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
    // When the answer to a commit is lost, the same batch is written once more. That is no other check.
    checks_after_one_more: "absent.checks
        + CASE WHEN absent.last_checked_at < excluded.last_checked_at THEN 1 ELSE 0 END",
    integrity_check: None,
    // Diesel makes the table in the first schema of the search path.
    has_migrations_table: "EXISTS (SELECT FROM pg_catalog.pg_tables
        WHERE schemaname = current_schema() AND tablename = '__diesel_schema_migrations')",
    has_items_table: "EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = current_schema() AND tablename = 'items')",
    indexes_of_items: "SELECT c.relname::text AS name, pg_get_indexdef(c.oid) AS definition
        FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        WHERE i.indisvalid AND i.indrelid = to_regclass(concat(quote_ident(current_schema()), '.items'))",
    #[cfg(feature = "serve")]
    has_search_index: "to_regclass(format('%I.search_index', current_schema())) IS NOT NULL",
    #[cfg(feature = "serve")]
    reads_rows_for_titles: true,
    // A field that is not a list is a fault already, and would end the query.
    moved_kids: "SELECT c.id, p.id, c.parent
         FROM items p
         CROSS JOIN regexp_split_to_table(btrim(p.kids, '[]'), ',') WITH ORDINALITY AS k (id, rank)
         JOIN items c ON c.id = CASE WHEN k.id ~ '^-?[0-9]{1,18}$' THEN k.id::BIGINT END
         WHERE p.kids ~ '^\\[[-0-9,]+\\]$' AND c.parent <> p.id
         ORDER BY p.id, k.rank",
};
