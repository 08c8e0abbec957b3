//! Users as a [`Source`] and a [`Sink`]: a profile is at `user/NAME.json` and goes to the table `users`.

use std::marker::PhantomData;

use diesel::{QueryResult, SqliteConnection};

use super::{
    clock::unix_seconds,
    connection::HnConnection,
    document::without_byte_order_mark,
    source::HnSource,
    upsert::{self, Received},
    user::User,
};
use crate::ingest::{DecodeError, Outcome, Settled, Sink, Source};

/// Users of the Hacker News API, or of a server that speaks it.
///
/// A name becomes a part of the URL as it is, so it must be a letter, digit, hyphen or underscore throughout.
#[derive(Clone, Debug)]
pub struct UserSource(HnSource);

impl UserSource {
    /// The users of the API that `items` come from.
    pub fn new(items: HnSource) -> Self {
        Self(items)
    }
}

impl Source for UserSource {
    type Id = String;
    type Record = User;

    fn url(&self, name: &String) -> String {
        self.0.document(&format!("user/{name}"))
    }

    fn decode(&self, name: &String, body: &[u8]) -> Result<Option<User>, DecodeError> {
        User::decode(name, without_byte_order_mark(body)).map_err(DecodeError::new)
    }
}

/// Writes users. Absences and failures are only in the run's report, because the tables for them hold ids of items. No user is
/// ever deleted, and an older answer never overwrites a newer one.
///
/// `C` is the connection of the database.
#[derive(Clone, Debug)]
pub struct UserSink<C = SqliteConnection> {
    connection: PhantomData<fn(C)>,
}

impl UserSink {
    /// A sink for an SQLite database whose [migrations](super::migrations) were run.
    pub fn new() -> Self {
        Self {
            connection: PhantomData,
        }
    }

    /// The same sink for another type of connection.
    pub fn over<C: HnConnection>(self) -> UserSink<C> {
        UserSink {
            connection: PhantomData,
        }
    }
}

impl Default for UserSink {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: HnConnection> Sink for UserSink<C> {
    type Id = String;
    type Record = User;
    type Connection = C;

    fn write(&self, conn: &mut C, batch: &[Settled<String, User>]) -> QueryResult<()> {
        // By name: two writers that wait for each other's rows would never end.
        let mut batch: Vec<_> = batch.iter().collect();
        batch.sort_by_key(|row| &row.id);
        for row in batch {
            if let Outcome::Stored(user) = &row.outcome {
                let received = Received {
                    record: user,
                    fetched_at: unix_seconds(row.received_at),
                };
                // One by one, because a name may come twice.
                upsert::save(conn, &[received])?;
            }
        }
        Ok(())
    }
}
