//! The index that finds due items: by the step that is to be read next, and by time.
//!
//! It holds only items that still have a step before them, those of the last fortnight by default. So the rows of a backfill do not enter
//! it, and it stays small. Its name depends on the ladder: a program with another one builds its own index. The migration makes
//! the index of the default ladder.

#[cfg(feature = "cli")]
use diesel::connection::SimpleConnection;
use diesel::{QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};

use super::ladder::{DELAYED_MAX_AGE, DELAYED_TEXT, Ladder, MAX_TIME};
use crate::hn::connection::{HnConnection, on_backend};
#[cfg(feature = "cli")]
use crate::hn::indexes::{Building, build_named};

/// The index of any ladder begins with this.
const PREFIX: &str = "items_to_refresh_";

/// The step of an item whose text is held back.
pub(super) const DELAYED_STEP: usize = 0;

/// The number of the step that is to be read next, from 1, as an expression of the table `items`: [`DELAYED_STEP`] for a text that is held
/// back, and NULL for an item that is left alone.
///
/// The index and the queries must have it word for word. It only adds ages to times of limited size, so no value of a row
/// makes it fail. It begins with what is true of old items.
pub(super) fn step_expression(ladder: &Ladder) -> String {
    let left_alone_at = ladder.last_age().max(DELAYED_MAX_AGE);
    let mut sql = format!(
        "CASE WHEN \"time\" NOT BETWEEN 0 AND {MAX_TIME} THEN NULL \
         WHEN fetched_at >= \"time\" + {left_alone_at} THEN NULL \
         WHEN text = '{DELAYED_TEXT}' AND fetched_at < \"time\" + {DELAYED_MAX_AGE} THEN {DELAYED_STEP}"
    );
    for (step, age) in (1..).zip(ladder.steps()) {
        sql += &format!(" WHEN fetched_at < \"time\" + {age} THEN {step}");
    }
    sql + " END"
}

fn columns(ladder: &Ladder) -> String {
    let step = step_expression(ladder);
    format!("(({step}), \"time\") WHERE ({step}) IS NOT NULL")
}

fn name(ladder: &Ladder) -> String {
    format!("{PREFIX}{:016x}", fnv_1a(columns(ladder).as_bytes()))
}

/// The hash function FNV-1a, because the same text must have the same hash in every version of the program.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

/// The indexes of all ladders: usually one.
fn built(conn: &mut impl HnConnection) -> QueryResult<Vec<Index>> {
    let query = sql_query(conn.dialect().indexes_of_items);
    let mut built: Vec<Index> = on_backend!(conn, |conn| query.load(conn))?;
    built.retain(|index| index.name.starts_with(PREFIX));
    Ok(built)
}

/// Whether the index of this ladder is there.
///
/// # Errors
/// Whatever Diesel says.
#[cfg(feature = "cli")]
pub(crate) fn has_index(conn: &mut impl HnConnection, ladder: &Ladder) -> QueryResult<bool> {
    let name = name(ladder);
    Ok(built(conn)?.iter().any(|index| index.name == name))
}

/// Builds the index of this ladder, and drops those of other ladders, unless another process builds indexes. Reads every item: a minute or
/// so for a whole mirror, in which nothing else can write to an SQLite file.
///
/// # Errors
/// Whatever Diesel says.
#[cfg(feature = "cli")]
pub(crate) fn build_index(conn: &mut impl HnConnection, ladder: &Ladder) -> QueryResult<Building> {
    let (name, columns) = (name(ladder), columns(ladder));
    let building = build_named(conn, &[(&name, &columns)], |_| {})?;
    if building == Building::Done {
        let others = built(conn)?;
        let others = others.iter().filter(|index| index.name != name);
        let drops: String = others
            .map(|index| format!("DROP INDEX IF EXISTS {};", index.name))
            .collect();
        conn.write_transaction(|conn| on_backend!(conn, |conn| conn.batch_execute(&drops)))?;
    }
    Ok(building)
}

/// The ladder whose index is there. `None` if there is none, or one of another version of this program.
///
/// # Errors
/// Whatever Diesel says.
pub(crate) fn indexed_ladder(conn: &mut impl HnConnection) -> QueryResult<Option<Ladder>> {
    let built = built(conn)?;
    let ladders = built.iter().filter_map(|index| {
        // The name says whether these are the steps.
        ladders_in(&index.definition).find(|ladder| name(ladder) == index.name)
    });
    Ok(ladders.into_iter().next())
}

/// The ladders that an index may belong to: the ages that its definition adds to times, with or without the age that every definition
/// adds.
fn ladders_in(definition: &str) -> impl Iterator<Item = Ladder> {
    let mut ages: Vec<i64> = definition
        .split("+ ")
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit());
            rest[..end.unwrap_or(rest.len())].parse().ok()
        })
        .collect();
    ages.sort_unstable();
    ages.dedup();
    let others = ages.iter().copied().filter(|age| *age != DELAYED_MAX_AGE);
    let others = others.collect();
    [ages, others]
        .into_iter()
        .filter_map(|ages| Ladder::new(ages).ok())
}
