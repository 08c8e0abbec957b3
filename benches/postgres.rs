//! How many items per second are stored on a PostgreSQL server, by the number of rows in a batch, and by the way in which they get there.
//!
//! `cargo bench --bench postgres --features postgres` starts a server of its own and prints a table. `ROUNDS` sets how often everything
//! is measured (5), and `ROWS` how many rows a measurement stores at most (50,000).
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code)]
#[path = "../tests/postgres/server.rs"]
mod server;

use std::{
    env, fs,
    io::Write,
    process::{Command, Stdio},
    time::{Instant, SystemTime},
};

use diesel::{
    ExecuteCopyFromDsl, Insertable, PgConnection, QueryResult, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Array, BigInt, Integer, Nullable, Text},
};
use hn_ingest::{
    Outcome, Settled, Sink,
    hn::{HnConnection, HnSink, Item, migrations, schema::items},
    store::StoreConnection,
};
use serde_json::json;

use server::{DATABASE, Server};

const BATCHES: [usize; 4] = [1, 50, 500, 5000];

/// Small batches store fewer rows: each waits for the disk.
const BATCHES_MAX: usize = 1000;

type Batch = [Settled<i64, Item>];

/// Stores batches in empty tables. Returns how many seconds that took.
type Way = fn(&Server, &[&Batch]) -> f64;

fn setting(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn main() {
    let (rounds, rows) = (setting("ROUNDS", 5), setting("ROWS", 50_000));
    let server = Server::with_settings("");
    let items: Vec<_> = (1..=rows as i64).map(made_up).collect();
    println!(
        "{:>5}  {:34} {:>9}  {:>17}  {:>8}",
        "batch", "way", "rows/s", "range", "of \\copy"
    );
    let limit = measured(rounds, rows, || psql_copy(&server, &items));
    print_line(rows, "psql \\copy of all rows", &limit, median(&limit));
    for batch in BATCHES {
        let rows = rows.min(batch * BATCHES_MAX);
        let batches: Vec<&Batch> = items[..rows].chunks(batch).collect();
        let ways: [(&str, Way); 4] = [
            ("arrays, ON CONFLICT", arrays),
            ("COPY to staging, ON CONFLICT", staging),
            ("the sink, with outcomes and coverage", postgres_sink),
            ("the sink on SQLite", sqlite_sink),
        ];
        // One way after the other in each round, so that a slow minute of the machine is shared.
        let mut times = vec![Vec::new(); ways.len()];
        for _ in 0..rounds {
            for (times, (_, way)) in times.iter_mut().zip(ways) {
                times.push(rows as f64 / way(&server, &batches));
            }
        }
        for (times, (name, _)) in times.iter().zip(ways) {
            print_line(batch, name, times, median(&limit));
        }
    }
}

fn measured(rounds: usize, rows: usize, mut seconds: impl FnMut() -> f64) -> Vec<f64> {
    (0..rounds).map(|_| rows as f64 / seconds()).collect()
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn print_line(batch: usize, way: &str, rates: &[f64], limit: f64) {
    let least = rates.iter().copied().fold(f64::MAX, f64::min);
    let most = rates.iter().copied().fold(0.0, f64::max);
    let median = median(rates);
    println!(
        "{batch:>5}  {way:34} {median:>9.0}  {:>17}  {:>8.2}",
        format!("{least:.0} to {most:.0}"),
        median / limit
    );
}

/// A comment as long as a usual one. Every tenth is a story.
fn made_up(id: i64) -> Settled<i64, Item> {
    let text = "Nothing in it is the same twice, but its length is. ".repeat(6);
    let body = if id % 10 == 0 {
        json!({"id": id, "type": "story", "by": format!("user{}", id % 997), "time": 1_700_000_000 + id, "score": id % 300,
            "title": format!("A title of story {id}"), "url": format!("https://example.com/{id}"), "descendants": 3, "kids": [id + 1, id + 2]})
    } else {
        json!({"id": id, "type": "comment", "by": format!("user{}", id % 997), "time": 1_700_000_000 + id, "parent": id / 2,
            "text": format!("{id} {text}"), "kids": [id + 3]})
    };
    let item = Item::decode(id, body.to_string().as_bytes())
        .unwrap()
        .unwrap();
    Settled::new(id, Outcome::Stored(item), SystemTime::now())
}

fn item(row: &Settled<i64, Item>) -> &Item {
    match &row.outcome {
        Outcome::Stored(item) => item,
        _ => unreachable!("all are stored"),
    }
}

/// A connection to a database with empty tables.
fn empty(server: &Server) -> PgConnection {
    let mut conn = server.connect();
    migrations::run(&mut conn).unwrap();
    conn.batch_execute("TRUNCATE items, coverage; CHECKPOINT")
        .unwrap();
    conn
}

/// How long it takes to write all batches, each in a transaction.
fn seconds<C: StoreConnection<Error = diesel::result::Error>>(
    conn: &mut C,
    batches: &[&Batch],
    write: impl Fn(&mut C, &Batch) -> QueryResult<()>,
) -> f64 {
    let began = Instant::now();
    for batch in batches {
        conn.write_transaction(|conn| write(conn, batch)).unwrap();
    }
    began.elapsed().as_secs_f64()
}

fn sink<C: HnConnection>(conn: &mut C, batches: &[&Batch]) -> f64 {
    let sink = HnSink::with_coverage(i64::MAX).over::<C>();
    seconds(conn, batches, |conn, batch| sink.write(conn, batch))
}

fn postgres_sink(server: &Server, batches: &[&Batch]) -> f64 {
    sink(&mut empty(server), batches)
}

fn sqlite_sink(_: &Server, batches: &[&Batch]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let pool = hn_ingest::store::sqlite::open(&folder.path().join("hn.db")).unwrap();
    let mut conn = pool.get().unwrap();
    let conn: &mut SqliteConnection = &mut conn;
    migrations::run(conn).unwrap();
    sink(conn, batches)
}

const COLUMNS: &str = "id, type, by, time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, extra, fetched_at";

/// The end of every upsert.
fn conflict_clause() -> String {
    let set = COLUMNS
        .split(", ")
        .map(|name| format!("{name} = excluded.{name}"));
    let set: Vec<_> = set.collect();
    format!(
        "ON CONFLICT (id) DO UPDATE SET {} WHERE excluded.fetched_at >= items.fetched_at",
        set.join(", ")
    )
}

/// One array per column.
fn arrays(server: &Server, batches: &[&Batch]) -> f64 {
    type Numbers = Array<Nullable<BigInt>>;
    type Texts = Array<Nullable<Text>>;
    type Flags = Array<Nullable<Integer>>;
    let statement = format!(
        "INSERT INTO items ({COLUMNS}) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::text[],
             $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::int[], $15::int[],
             $16::text[], $17::bigint[]) {}",
        conflict_clause()
    );
    let write = |conn: &mut PgConnection, batch: &Batch| {
        let numbers = |value: fn(&Item) -> Option<i64>| -> Vec<Option<i64>> {
            batch.iter().map(|row| value(item(row))).collect()
        };
        let flags = |value: fn(&Item) -> Option<bool>| -> Vec<Option<i32>> {
            batch
                .iter()
                .map(|row| value(item(row)).map(i32::from))
                .collect()
        };
        fn texts(batch: &Batch, value: fn(&Item) -> &Option<String>) -> Vec<Option<&str>> {
            batch
                .iter()
                .map(|row| value(item(row)).as_deref())
                .collect()
        }
        sql_query(&statement)
            .bind::<Numbers, _>(numbers(|item| Some(item.id)))
            .bind::<Texts, _>(texts(batch, |item| &item.type_))
            .bind::<Texts, _>(texts(batch, |item| &item.by))
            .bind::<Numbers, _>(numbers(|item| item.time))
            .bind::<Texts, _>(texts(batch, |item| &item.title))
            .bind::<Texts, _>(texts(batch, |item| &item.url))
            .bind::<Texts, _>(texts(batch, |item| &item.text))
            .bind::<Numbers, _>(numbers(|item| item.score))
            .bind::<Numbers, _>(numbers(|item| item.descendants))
            .bind::<Numbers, _>(numbers(|item| item.parent))
            .bind::<Numbers, _>(numbers(|item| item.poll))
            .bind::<Texts, _>(texts(batch, |item| &item.kids))
            .bind::<Texts, _>(texts(batch, |item| &item.parts))
            .bind::<Flags, _>(flags(|item| item.deleted))
            .bind::<Flags, _>(flags(|item| item.dead))
            .bind::<Texts, _>(texts(batch, |item| &item.extra))
            .bind::<Numbers, _>(numbers(|_| Some(1)))
            .execute(conn)
            .map(drop)
    };
    seconds(&mut empty(server), batches, write)
}

#[derive(Insertable)]
#[diesel(table_name = items, treat_none_as_default_value = false)]
struct Row<'a> {
    id: i64,
    type_: Option<&'a str>,
    by: Option<&'a str>,
    time: Option<i64>,
    title: Option<&'a str>,
    url: Option<&'a str>,
    text: Option<&'a str>,
    score: Option<i64>,
    descendants: Option<i64>,
    parent: Option<i64>,
    poll: Option<i64>,
    kids: Option<&'a str>,
    parts: Option<&'a str>,
    deleted: Option<i32>,
    dead: Option<i32>,
    extra: Option<&'a str>,
    fetched_at: i64,
}

impl<'a> Row<'a> {
    fn of(row: &'a Settled<i64, Item>) -> Self {
        let item = item(row);
        Self {
            id: item.id,
            type_: item.type_.as_deref(),
            by: item.by.as_deref(),
            time: item.time,
            title: item.title.as_deref(),
            url: item.url.as_deref(),
            text: item.text.as_deref(),
            score: item.score,
            descendants: item.descendants,
            parent: item.parent,
            poll: item.poll,
            kids: item.kids.as_deref(),
            parts: item.parts.as_deref(),
            deleted: item.deleted.map(i32::from),
            dead: item.dead.map(i32::from),
            extra: item.extra.as_deref(),
            fetched_at: 1,
        }
    }
}

/// Binary COPY into a table of the session, merged by one statement.
fn staging(server: &Server, batches: &[&Batch]) -> f64 {
    let mut conn = empty(server);
    // From here on `items` is the table of the session.
    conn.batch_execute("CREATE TEMPORARY TABLE items (LIKE items) ON COMMIT DELETE ROWS")
        .unwrap();
    let merge = format!(
        "INSERT INTO public.items AS items ({COLUMNS}) SELECT {COLUMNS} FROM pg_temp.items {}",
        conflict_clause()
    );
    seconds(&mut conn, batches, |conn, batch| {
        let rows: Vec<_> = batch.iter().map(Row::of).collect();
        diesel::copy_from(items::table)
            .from_insertable(&rows)
            .execute(conn)?;
        sql_query(&merge).execute(conn).map(drop)
    })
}

/// All rows as text, in one statement and one transaction, by PostgreSQL's own client.
fn psql_copy(server: &Server, items: &Batch) -> f64 {
    drop(empty(server));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("items");
    let mut text = Vec::new();
    let field = |text: &mut Vec<u8>, value: Option<String>| {
        let value = value.map_or("\\N".to_owned(), |value| {
            value
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t")
        });
        write!(text, "{value}\t").unwrap();
    };
    for row in items {
        let row = Row::of(row);
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let owned = |value: Option<&str>| value.map(str::to_owned);
        for value in [
            number(Some(row.id)),
            owned(row.type_),
            owned(row.by),
            number(row.time),
            owned(row.title),
            owned(row.url),
            owned(row.text),
            number(row.score),
            number(row.descendants),
            number(row.parent),
            number(row.poll),
            owned(row.kids),
            owned(row.parts),
            number(row.deleted.map(i64::from)),
            number(row.dead.map(i64::from)),
            owned(row.extra),
        ] {
            field(&mut text, value);
        }
        text.extend(b"1\n");
    }
    fs::write(&file, text).unwrap();
    let began = Instant::now();
    let done = Command::new("psql")
        .arg(server.url(DATABASE))
        .arg("-c")
        .arg(format!(
            "\\copy items ({COLUMNS}) from '{}'",
            file.display()
        ))
        .stdout(Stdio::null())
        .status();
    assert!(done.unwrap().success());
    began.elapsed().as_secs_f64()
}
