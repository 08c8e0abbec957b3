//! The database of a test: read and written beside the binary.

use std::path::Path;

use diesel::{
    Connection, QueryableByName, RunQueryDsl, SqliteConnection, connection::SimpleConnection,
    sql_query, sql_types::Text,
};
use serde_json::Value;

/// A connection of the test to a database.
pub(crate) struct Db(SqliteConnection);

impl Db {
    pub(super) fn open(path: &Path) -> Self {
        Self(SqliteConnection::establish(path.to_str().unwrap()).unwrap())
    }

    /// The rows of `SELECT columns FROM rest`, each as an array.
    #[track_caller]
    pub(crate) fn rows(&mut self, columns: &str, rest: &str) -> Value {
        #[derive(QueryableByName)]
        struct JsonRow {
            #[diesel(sql_type = Text)]
            row: String,
        }
        let query = format!("SELECT json_array({columns}) AS row FROM {rest}");
        let rows: Vec<JsonRow> = sql_query(query).load(&mut self.0).unwrap();
        rows.iter()
            .map(|row| serde_json::from_str::<Value>(&row.row).unwrap())
            .collect()
    }

    /// One column of all rows.
    #[track_caller]
    pub(crate) fn column(&mut self, column: &str, rest: &str) -> Value {
        let rows = self.rows(column, rest);
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row[0].clone())
            .collect()
    }

    #[track_caller]
    pub(crate) fn count(&mut self, table: &str) -> u64 {
        self.column("1", table).as_array().unwrap().len() as u64
    }

    /// The answer to a query for one number.
    #[track_caller]
    pub(crate) fn number(&mut self, query: &str) -> u64 {
        self.column(&format!("({query})"), "(SELECT 1)")[0]
            .as_u64()
            .unwrap()
    }

    #[track_caller]
    pub(crate) fn execute(&mut self, sql: &str) {
        self.0.batch_execute(sql).unwrap();
    }
}

/// A database that the binary has not made.
pub(crate) fn foreign_database(path: &Path) -> Db {
    Db::open(path)
}
