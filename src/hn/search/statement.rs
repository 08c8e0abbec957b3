//! A query whose text is put together at run time. Values are always bound.

use std::marker::PhantomData;

use diesel::{
    QueryResult, RunQueryDsl,
    backend::Backend,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{BigInt, Text},
};

use crate::hn::connection::{self, HnConnection};

/// SQL in pieces, and the values between them. `ST` are the types of its columns.
#[derive(Clone, Debug)]
pub(crate) struct Statement<ST> {
    pieces: Vec<Piece>,
    columns: PhantomData<ST>,
}

#[derive(Clone, Debug)]
enum Piece {
    Sql(String),
    Text(String),
    Number(i64),
}

impl<ST> Statement<ST> {
    pub(crate) fn new(sql: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Sql(sql.into())],
            columns: PhantomData,
        }
    }

    pub(crate) fn sql(mut self, sql: impl Into<String>) -> Self {
        self.pieces.push(Piece::Sql(sql.into()));
        self
    }

    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.pieces.push(Piece::Text(text.into()));
        self
    }

    pub(crate) fn number(mut self, number: i64) -> Self {
        self.pieces.push(Piece::Number(number));
        self
    }

    /// Adds the pieces of a part that was made by itself.
    pub(crate) fn part(mut self, part: Part) -> Self {
        self.pieces.extend(part.pieces);
        self
    }

    /// Numbers with commas between them.
    pub(crate) fn numbers(mut self, numbers: &[i64]) -> Self {
        for (at, number) in numbers.iter().enumerate() {
            if at > 0 {
                self = self.sql(",");
            }
            self = self.number(*number);
        }
        self
    }
}

/// A part of a statement, such as a condition.
pub(crate) type Part = Statement<()>;

/// Ends a query of SQLite when its time is over, as a condition on each row, after an `AND`. PostgreSQL keeps the time itself.
pub(crate) fn still_in_time(conn: &mut impl HnConnection, id: &str) -> Part {
    match conn.backend() {
        connection::Backend::Sqlite(_) => Part::new(format!(" AND within_time({id})")),
        #[cfg(feature = "postgres")]
        connection::Backend::Postgres(_) => Part::new(""),
    }
}

impl<ST, DB: Backend> QueryFragment<DB> for Statement<ST>
where
    String: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        // The text differs from search to search, and prepared statements would fill the memory.
        out.unsafe_to_cache_prepared();
        for piece in &self.pieces {
            match piece {
                Piece::Sql(sql) => out.push_sql(sql),
                Piece::Text(text) => out.push_bind_param::<Text, _>(text)?,
                Piece::Number(number) => out.push_bind_param::<BigInt, _>(number)?,
            }
        }
        Ok(())
    }
}

impl<ST> QueryId for Statement<ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST> Query for Statement<ST> {
    type SqlType = ST;
}

impl<ST, Conn> RunQueryDsl<Conn> for Statement<ST> {}
