//! The search index of PostgreSQL: GIN indexes over the words of `items`. The server keeps them current by itself.
//!
//! The words are the same as SQLite's, so that a query finds the same: no dictionary, no stop words.

use std::{thread, time::Duration};

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    dsl::{select, sql},
    sql_types::{Bool, Text},
};

use super::{
    content::{Columns, Content},
    filters::any_part,
    matching::Matching,
    parts::{IndexPart, PartKind},
    query::{AnyOf, SearchQuery, Term},
    statement::Part,
    words::{ACCENTED, PLAIN},
};

/// Letters of a text that are indexed. The words of a longer one may not fit into a tsvector.
const LETTERS_MAX: usize = 100_000;

/// The key of the lock for building the indexes: any number that no other program takes.
const LOCK: i64 = 0x686e_5f69_6e67;

/// How often to look whether another process has built the indexes.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Every row that is neither dead nor deleted.
const ALIVE: &str = "i.dead IS DISTINCT FROM 1 AND i.deleted IS DISTINCT FROM 1";

/// Signs that part words. Other letters than ASCII are left to the server, some of whose settings know none.
const SEPARATORS: &str = r"[\u0001-\u002f\u003a-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u2000-\u206f\u3000-\u3004\u3008-\u3020\u3030\uff00-\uff0f]+";

/// Makes the functions of the indexes. They name nothing outside of the server's own schema, so that a restored copy works too.
///
/// They are not inlined, so that their cost counts: it is far more to look at the words of a row than to look into an index.
pub(super) fn create(conn: &mut PgConnection) -> QueryResult<()> {
    // Some settings of a server know no other capitals than those of ASCII.
    let capitals: String = ACCENTED.chars().flat_map(char::to_uppercase).collect();
    // `translate` takes many times as long as all the rest, and text in ASCII has nothing for it.
    let words = format!(
        "regexp_replace(CASE WHEN octet_length($1) = char_length($1) THEN lower(left($1, {LETTERS_MAX}))
            ELSE translate(lower(left($1, {LETTERS_MAX})), '{ACCENTED}{capitals}', '{PLAIN}{PLAIN}') END, E'{}', ' ', 'g')",
        SEPARATORS.replace('\\', "\\\\")
    );
    let options = "IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog";
    conn.batch_execute(&format!(
        r#"CREATE OR REPLACE FUNCTION hn_search_vector(text) RETURNS tsvector LANGUAGE sql {options} COST 10000
            AS $$ SELECT to_tsvector('simple'::regconfig, {words}) $$;
        CREATE OR REPLACE FUNCTION hn_search_query(text) RETURNS tsquery LANGUAGE sql {options}
            AS $$ SELECT phraseto_tsquery('simple'::regconfig, {words}) $$;
        CREATE OR REPLACE FUNCTION hn_search_prefix(text) RETURNS tsquery LANGUAGE sql {options}
            AS $$ SELECT CASE WHEN numnode(q) = 0 THEN q ELSE (q::text || ':*')::tsquery END
                FROM phraseto_tsquery('simple'::regconfig, {words}) q $$"#
    ))
}

/// Builds the indexes, or waits until another process has. Others may write meanwhile. `is_built` looks whether another one did.
pub(super) fn build(
    conn: &mut PgConnection,
    content: Content,
    mut is_built: impl FnMut(&mut PgConnection) -> QueryResult<bool>,
) -> QueryResult<()> {
    // Building waits for old transactions, and a statement that waits for the lock would be one of them.
    let lock = select(sql::<Bool>(&format!("pg_try_advisory_lock({LOCK})")));
    while !lock.clone().get_result::<bool>(conn)? {
        if is_built(conn)? {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    let timeout: String =
        select(sql::<Text>("current_setting('lock_timeout')")).get_result(conn)?;
    let built = build_locked(conn, content);
    let end = format!("SET lock_timeout = '{timeout}'; SELECT pg_advisory_unlock({LOCK})");
    // After a lost connection there is no lock either.
    let _ = conn.batch_execute(&end);
    built
}

fn build_locked(conn: &mut PgConnection, content: Content) -> QueryResult<()> {
    conn.batch_execute("SET lock_timeout = 0")?;
    for (name, document) in [
        ("items_search_title", document(&["title"])),
        ("items_search", document(content.columns())),
    ] {
        // What an interrupted build left is not used.
        let is_there = format!(
            "EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
                JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = current_schema() AND c.relname = '{name}' AND x.indisvalid)"
        );
        if select(sql::<Bool>(&is_there)).get_result::<bool>(conn)? {
            continue;
        }
        conn.batch_execute(&format!("DROP INDEX IF EXISTS {name}"))?;
        let columns = document.replace("i.", "");
        let condition = ALIVE.replace("i.", "");
        conn.batch_execute(&format!(
            "CREATE INDEX CONCURRENTLY {name} ON items USING gin (hn_search_vector({columns})) WHERE {condition}"
        ))?;
    }
    // The planner needs to know how frequent words are.
    conn.batch_execute("ANALYZE items")
}

pub(super) const DROP: &str =
    "DROP INDEX IF EXISTS items_search, items_search_title; DROP TABLE IF EXISTS search_index;
    DROP FUNCTION IF EXISTS hn_search_vector(text), hn_search_query(text), hn_search_prefix(text)";

/// What the index is made of. While it is built, its indexes may not be there yet.
pub(super) fn parts(is_complete: bool) -> Vec<IndexPart> {
    let part = |kind, name: &str| IndexPart {
        kind,
        name: name.to_owned(),
    };
    let functions = ["hn_search_vector", "hn_search_query", "hn_search_prefix"];
    let indexes = ["items_search", "items_search_title"].map(|name| part(PartKind::Index, name));
    functions
        .map(|name| part(PartKind::Function, name))
        .into_iter()
        .chain(indexes.into_iter().filter(|_| is_complete))
        .collect()
}

/// The kinds and names of what is there.
pub(super) const PRESENT: &str = "SELECT 'index', c.relname::text FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = current_schema() AND x.indisvalid
    UNION ALL
    SELECT 'function', p.proname::text FROM pg_catalog.pg_proc p
        JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = current_schema()";

/// The id of a row that [`rows`] finds.
pub(super) const ID: &str = "i.id";

/// The rows that fit, as `FROM … WHERE …`.
pub(super) fn rows(matching: &Matching<'_>, columns: Columns) -> Part {
    let names = columns.names(matching.content);
    if names.is_empty() {
        return Part::new("FROM items i WHERE 1 = 0");
    }
    // Only these two documents have an index.
    let indexed = if columns == Columns::TITLE {
        &["title"]
    } else {
        matching.content.columns()
    };
    let mut rows = Part::new(format!("FROM items i WHERE {ALIVE}"))
        .part(contains(&document(indexed), matching.query));
    if indexed != names {
        rows = rows.part(contains(&document(&names), matching.query));
    }
    let all = document(matching.content.columns());
    let (literals, none) = Term::split_literals(&matching.query.none);
    if !none.is_empty() && indexed != matching.content.columns() {
        rows = rows
            .sql(format!(" AND NOT hn_search_vector({all}) @@ ("))
            .part(any_of(&none))
            .sql(")");
    }
    if !literals.is_empty() {
        rows = rows
            .sql(" AND NOT (")
            .part(any_literal(&literals, &all))
            .sql(")");
    }
    let named = document(&names);
    for AnyOf(terms) in &matching.query.all {
        let (literals, others) = Term::split_literals(terms);
        if literals.is_empty() {
            continue;
        }
        rows = rows.sql(" AND (").part(any_literal(&literals, &named));
        if !others.is_empty() {
            rows = rows
                .sql(format!(" OR hn_search_vector({named}) @@ ("))
                .part(any_of(&others))
                .sql(")");
        }
        rows = rows.sql(")");
    }
    rows.part(matching.filters.conditions(true))
}

/// The signs of `c++` are in no index, so the text itself must have one of these.
fn any_literal(literals: &[String], document: &str) -> Part {
    let has = format!("strpos(lower({document}), ");
    any_part(
        literals
            .iter()
            .map(|literal| Part::new(&*has).text(literal).sql(") > 0")),
    )
}

/// The texts of these columns in one, apart from each other.
fn document(names: &[&str]) -> String {
    let text = |name: &&str| match *name {
        "text" => "coalesce(nullif(nullif(i.text, '[delayed]'), '[flagged]'), '')".to_owned(),
        name => format!("coalesce(i.\"{name}\", '')"),
    };
    // The word between two texts keeps a phrase from beginning in one and ending in the other.
    let texts: Vec<_> = names.iter().map(text).collect();
    texts.join(" || ' hnfieldend ' || ")
}

/// That a document has the words of a query.
fn contains(document: &str, query: &SearchQuery) -> Part {
    let mut contains = Part::new(format!(" AND hn_search_vector({document}) @@ ("));
    for (at, AnyOf(terms)) in query.all.iter().enumerate() {
        contains = contains
            .sql(if at > 0 { " && (" } else { "(" })
            .part(any_of(terms))
            .sql(")");
    }
    let (_, none) = Term::split_literals(&query.none);
    if !none.is_empty() {
        contains = contains.sql(" && !!(").part(any_of(&none)).sql(")");
    }
    contains.sql(")")
}

fn any_of(terms: &[Term]) -> Part {
    let mut any = Part::new("");
    let mut before = "";
    for term in terms {
        let function = if term.is_prefix {
            "hn_search_prefix"
        } else {
            "hn_search_query"
        };
        for spelling in term.spellings() {
            any = any
                .sql(format!("{before}{function}("))
                .text(spelling)
                .sql(")");
            before = " || ";
        }
    }
    any
}
