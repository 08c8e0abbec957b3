//! The search index of SQLite: FTS5 tables over the rows of `items`, and the triggers that keep them current.

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_types::{BigInt, Nullable},
};

use super::{
    content::{Columns, Content},
    filters::{WITH_POINTS, any_part},
    matching::Matching,
    parts::{IndexPart, PartKind},
    query::{AnyOf, SearchQuery, Term},
    statement::{Part, Statement},
};

/// The index of everything, or of titles and addresses only.
const ITEMS: &str = "items_fts";

/// A second index of what has points, a title or an address. That is a ninth of all items, and most searches look for it. In the
/// index of everything they would pass over each comment with the words.
const STORIES: &str = "stories_fts";

/// Rows that one transaction adds. Others that write wait for it, so it takes well under a second.
const ROWS: i64 = 10_000;

/// While the index is built, the words of one transaction fit into memory.
const HASH_SIZE: i64 = 64 << 20;

impl Content {
    /// The columns of the index. The type of an item is found far more quickly there than in its row.
    fn indexed(self) -> &'static [&'static str] {
        match self {
            Self::Everything => &["title", "url", "text", "by", "type"],
            Self::Stories => self.columns(),
        }
    }

    /// The values of a row of `items` in these columns. `by` is a word of SQL.
    fn values(self, row: &str) -> String {
        let value = |column: &&str| match *column {
            "text" => text_of(row),
            column => format!("{row}.\"{column}\""),
        };
        self.indexed()
            .iter()
            .map(value)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The FTS5 tables, each with the condition of the rows of `items` that belong into it.
    fn tables(self, row: &str) -> Vec<(&'static str, String)> {
        let is_in = self.condition(row);
        let types = WITH_POINTS.map(|name| format!("'{name}'")).join(", ");
        let is_story =
            format!("({row}.type IN ({types}) OR coalesce({row}.title, {row}.url) IS NOT NULL)");
        match self {
            Self::Everything => vec![(STORIES, format!("{is_in} AND {is_story}")), (ITEMS, is_in)],
            Self::Stories => vec![(ITEMS, is_in)],
        }
    }

    /// Whether a row of `items` belongs into the index.
    fn condition(self, row: &str) -> String {
        let has_words = match self {
            Self::Everything => format!(
                "coalesce({row}.title, {row}.url, {}) IS NOT NULL",
                text_of(row)
            ),
            Self::Stories => format!("coalesce({row}.title, {row}.url) IS NOT NULL"),
        };
        format!("{row}.dead IS NOT TRUE AND {row}.deleted IS NOT TRUE AND {has_words}")
    }

    /// Whether an update changes what the index holds.
    fn changes(self) -> String {
        let columns = self.indexed().iter().chain(&["id", "dead", "deleted"]);
        let changes = columns.map(|column| format!("old.\"{column}\" IS NOT new.\"{column}\""));
        changes.collect::<Vec<_>>().join(" OR ")
    }
}

/// The text of a row, unless the API only says that it is not there.
fn text_of(row: &str) -> String {
    format!("nullif(nullif({row}.text, '[delayed]'), '[flagged]')")
}

/// Makes the empty index, and the triggers that keep it current. They leave alone what the index does not hold yet.
///
/// An FTS5 table over another table's rows must be told the old values of a row that it is to forget.
pub(super) fn create(conn: &mut SqliteConnection, content: Content) -> QueryResult<()> {
    let columns = content.indexed().join(", ");
    let changes = content.changes();
    let is_done =
        |row: &str| format!("(SELECT next_id IS NULL OR {row}.id < next_id FROM search_index)");
    let (mut forget, mut add) = (String::new(), String::new());
    for (table, is_in) in content.tables("old") {
        let (values, is_done) = (content.values("old"), is_done("old"));
        forget += &format!(
            "INSERT INTO {table} ({table}, rowid, {columns}) SELECT 'delete', old.id, {values} WHERE {is_in} AND {is_done};"
        );
    }
    for (table, is_in) in content.tables("new") {
        let (values, is_done) = (content.values("new"), is_done("new"));
        add += &format!(
            "INSERT INTO {table} (rowid, {columns}) SELECT new.id, {values} WHERE {is_in} AND {is_done};"
        );
    }
    for (table, _) in content.tables("items") {
        // Datasette takes the table with these double quotes for the index of `items`.
        let quote = if table == ITEMS { '"' } else { '\'' };
        conn.batch_execute(&format!(
            r#"CREATE VIRTUAL TABLE {table} USING fts5({columns}, content={quote}items{quote}, content_rowid="id", tokenize="unicode61 remove_diacritics 2");
            INSERT INTO {table} ({table}, rank) VALUES ('hashsize', {HASH_SIZE});"#
        ))?;
    }
    conn.batch_execute(&format!(
        r#"CREATE VIRTUAL TABLE items_fts_words USING fts5vocab('{ITEMS}', 'row');
        CREATE TRIGGER items_ai AFTER INSERT ON items BEGIN {add} END;
        CREATE TRIGGER items_ad AFTER DELETE ON items BEGIN {forget} END;
        CREATE TRIGGER items_au AFTER UPDATE ON items WHEN {changes} BEGIN {forget} {add} END;"#
    ))
}

/// Adds the next rows, from this id on. Returns the id to go on with, or `None` if these were the last ones.
pub(super) fn add_rows(
    conn: &mut SqliteConnection,
    content: Content,
    from: i64,
) -> QueryResult<Option<i64>> {
    let last = Statement::<Nullable<BigInt>>::new(
        "SELECT max(id) FROM (SELECT id FROM items WHERE id >= ",
    );
    let last = last
        .number(from)
        .sql(" ORDER BY id LIMIT ")
        .number(ROWS)
        .sql(")");
    let Some(last) = last.get_result::<Option<i64>>(conn)? else {
        return end_building(conn, content).map(|()| None);
    };
    for (table, is_in) in content.tables("i") {
        let add = format!(
            "INSERT INTO {table} (rowid, {}) SELECT i.id, {} FROM items i WHERE {is_in} AND i.id BETWEEN ",
            content.indexed().join(", "),
            content.values("i"),
        );
        let add = Part::new(add).number(from).sql(" AND ").number(last);
        add.execute(conn)?;
    }
    match last.checked_add(1) {
        None => end_building(conn, content).map(|()| None),
        next => Ok(next),
    }
}

fn end_building(conn: &mut SqliteConnection, content: Content) -> QueryResult<()> {
    for (table, _) in content.tables("items") {
        // The default again, for the small transactions to come.
        conn.batch_execute(&format!(
            "INSERT INTO {table} ({table}, rank) VALUES ('hashsize', 1048576)"
        ))?;
    }
    Ok(())
}

pub(super) const DROP: &str = "DROP TRIGGER IF EXISTS items_ai; DROP TRIGGER IF EXISTS items_ad; DROP TRIGGER IF EXISTS items_au;
    DROP TABLE IF EXISTS items_fts_words; DROP TABLE IF EXISTS items_fts; DROP TABLE IF EXISTS stories_fts; DROP TABLE IF EXISTS search_index";

/// What the index is made of.
pub(super) fn parts(content: Content) -> Vec<IndexPart> {
    let part = |kind, name: String| IndexPart { kind, name };
    let tables = content.tables("i").into_iter().flat_map(|(table, _)| {
        // FTS5 keeps its rows in tables of its own.
        ["", "_data", "_idx", "_docsize", "_config"].map(|end| format!("{table}{end}"))
    });
    let tables = tables.chain(["items_fts_words".to_owned()]);
    let triggers = ["items_ai", "items_ad", "items_au"].map(str::to_owned);
    tables
        .map(|name| part(PartKind::Table, name))
        .chain(triggers.map(|name| part(PartKind::Trigger, name)))
        .collect()
}

/// The kinds and names of what is there.
pub(super) const PRESENT: &str =
    "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger')";

/// The ids of rows that the index should hold and does not, or the other way round.
pub(super) fn differences(content: Content) -> String {
    let tables = content.tables("i").into_iter().map(|(table, is_in)| {
        format!(
            "SELECT i.id FROM items i, search_index s
                 WHERE (s.next_id IS NULL OR i.id < s.next_id)
                     AND ({is_in}) <> EXISTS (SELECT 1 FROM {table}_docsize d WHERE d.id = i.id)
             UNION
             SELECT d.id FROM {table}_docsize d WHERE NOT EXISTS (SELECT 1 FROM items i WHERE i.id = d.id)"
        )
    });
    let ids = tables.collect::<Vec<_>>().join(" UNION ");
    format!("{ids} ORDER BY 1")
}

/// The id of a row that [`rows`] finds.
pub(super) const ID: &str = "f.rowid";

/// The rows that fit, as `FROM … WHERE …`.
pub(super) fn rows(matching: &Matching<'_>, columns: Columns) -> Part {
    let names = columns.names(matching.content);
    let table = table(matching, &names);
    let mut rows = Part::new(format!("FROM {table} f"));
    let needs_rows = needs_rows(matching);
    if needs_rows {
        // Only the index knows which rows fit, so it comes first.
        rows = rows.sql(" CROSS JOIN items i ON i.id = f.rowid");
    }
    if names.is_empty() {
        return rows.sql(" WHERE 1 = 0");
    }
    rows = rows
        .sql(format!(" WHERE {table} MATCH "))
        .text(expression(matching, &names, table));
    for AnyOf(terms) in &matching.query.all {
        let (literals, others) = Term::split_literals(terms);
        if literals.is_empty() {
            continue;
        }
        rows = rows.sql(" AND (").part(any_literal(&literals, &names));
        if !others.is_empty() {
            let words = format!("{{{}}} : ({})", names.join(" "), any_of(&others));
            rows = rows
                .sql(format!(
                    " OR EXISTS (SELECT 1 FROM {table} o WHERE {table} MATCH "
                ))
                .text(words)
                .sql(" AND o.rowid = f.rowid)");
        }
        rows = rows.sql(")");
    }
    let (literals, _) = Term::split_literals(&matching.query.none);
    if !literals.is_empty() {
        let all = matching.content.columns();
        rows = rows
            .sql(" AND NOT (")
            .part(any_literal(&literals, all))
            .sql(")");
    }
    if needs_rows {
        rows = rows.part(matching.filters.conditions(true));
    }
    rows
}

/// The smallest table that holds all rows that can fit.
fn table(matching: &Matching<'_>, names: &[&str]) -> &'static str {
    let are_of_stories = names.iter().all(|name| ["title", "url"].contains(name));
    let only_stories = are_of_stories || matching.filters.types_with_points().is_some();
    if only_stories && matching.content == Content::Everything {
        STORIES
    } else {
        ITEMS
    }
}

/// Whether the filters need more of an item than the index holds.
pub(super) fn needs_rows(matching: &Matching<'_>) -> bool {
    let is_in_index = matching.content == Content::Everything && matching.filters.are_types();
    !matching.filters.is_empty() && !is_in_index
}

/// The signs of `c++` are in no index, so the text itself must have one of these.
fn any_literal(literals: &[String], names: &[&str]) -> Part {
    let columns: Vec<_> = names
        .iter()
        .map(|name| format!("coalesce(t.\"{name}\", '')"))
        .collect();
    let text = columns.join(" || ' ' || ");
    let has = format!("instr(lower((SELECT {text} FROM items t WHERE t.id = f.rowid)), ");
    any_part(
        literals
            .iter()
            .map(|literal| Part::new(&*has).text(literal).sql(") > 0")),
    )
}

/// A query as FTS5 reads it. Every word is in quotes, so that no text is an error.
fn expression(matching: &Matching<'_>, names: &[&str], table: &str) -> String {
    let SearchQuery { all, none } = matching.query;
    let groups = all
        .iter()
        .map(|AnyOf(terms)| format!("({})", any_of(terms)));
    let all = groups.collect::<Vec<_>>().join(" AND ");
    let mut expression = format!("{{{}}} : ({all})", names.join(" "));
    let author = matching.filters.author();
    // A name such as `__` has no word, and so is not in the index.
    let author = author.filter(|name| name.contains(char::is_alphanumeric));
    if let (Some(name), Content::Everything) = (author, matching.content) {
        expression = format!("({expression}) AND ({{by}} : {})", quoted(name));
    }
    // Of stories nearly all have the type. If their rows are looked at, that is quicker alone.
    let by_row = matching.content == Content::Stories || table == STORIES && needs_rows(matching);
    if let Some(types) = matching.filters.types().filter(|_| !by_row) {
        let types: Vec<_> = types.into_iter().map(quoted).collect();
        expression = format!("({expression}) AND ({{type}} : ({}))", types.join(" OR "));
    }
    let (_, none) = Term::split_literals(none);
    if !none.is_empty() {
        // The type is no text of the item.
        let all = matching.content.columns().join(" ");
        expression = format!("({expression}) NOT ({{{all}}} : ({}))", any_of(&none));
    }
    expression
}

fn any_of(terms: &[Term]) -> String {
    let spellings = terms.iter().flat_map(|term| {
        let star = if term.is_prefix { " *" } else { "" };
        let quote = move |text: String| format!("{}{star}", quoted(&text));
        term.spellings().into_iter().map(quote)
    });
    spellings.collect::<Vec<_>>().join(" OR ")
}

fn quoted(text: &str) -> String {
    // SQLite takes a NUL for the end of the query.
    format!("\"{}\"", text.replace('"', "\"\"").replace('\0', " "))
}
