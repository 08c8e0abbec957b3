//! The records of a mirror, for the API.

use actix_web::web::Data;
use diesel::QueryResult;
use serde_json::json;
use tokio::sync::watch;

use super::{changes, state::State};
use crate::{
    hn::{HnConnection, reads},
    hn_api::{Document, Follow, HnData, Record, Unavailable, to_json},
    store::readers::ReadError,
};

/// The records of the mirror that a server serves.
#[derive(Clone)]
pub(super) struct Mirror(pub(super) Data<State>);

impl HnData for Mirror {
    type Follow = FollowRecord;

    async fn read(&self, record: &Record) -> Result<Document, Unavailable> {
        let state = &self.0;
        // What is read after this is at least as new.
        let version = state.changes.state().version;
        if let Some(document) = state.cache.get(version, record) {
            return Ok(document);
        }
        let wanted = record.clone();
        let read = state.readers.read(move |conn| read_now(conn, &wanted));
        let document = read.await.map_err(unavailable)?;
        state.cache.put(version, record.clone(), document.clone());
        Ok(document)
    }

    fn follow(&self, record: &Record) -> FollowRecord {
        FollowRecord {
            mirror: self.clone(),
            record: record.clone(),
            changes: self.0.changes.subscribe(),
            may_differ: true,
        }
    }
}

/// Follows a record of the mirror.
pub(super) struct FollowRecord {
    mirror: Mirror,
    record: Record,
    changes: watch::Receiver<changes::State>,
    /// Whether the database has changed since the record was read.
    may_differ: bool,
}

impl Follow for FollowRecord {
    async fn next(&mut self) -> Result<Document, Unavailable> {
        while !self.may_differ {
            let changed = self.changes.changed().await;
            self.may_differ = true;
            if changed.is_err() {
                return Err(Unavailable::Closing);
            }
        }
        if self.changes.borrow_and_update().is_closing {
            return Err(Unavailable::Closing);
        }
        let document = self.mirror.read(&self.record).await?;
        self.may_differ = false;
        Ok(document)
    }
}

fn read_now(conn: &mut impl HnConnection, record: &Record) -> QueryResult<Document> {
    let timed = |json: String, fetched_at| Document {
        json: json.into(),
        fetched_at: Some(fetched_at),
    };
    Ok(match record {
        Record::Item(id) => match reads::item(conn, *id)? {
            Some(stored) => timed(stored.item.encode(), stored.fetched_at),
            None => Document {
                fetched_at: reads::absent_at(conn, *id)?,
                ..Document::NULL
            },
        },
        Record::User(name) => match reads::user(conn, name)? {
            Some(stored) => timed(stored.user.encode(), stored.fetched_at),
            None => Document::NULL,
        },
        Record::List(list) => match reads::list(conn, *list)? {
            Some(stored) => Document {
                json: to_json(&stored.ids),
                fetched_at: Some(stored.fetched_at),
            },
            None => Document::NULL,
        },
        Record::MaxItem => Document::new(reads::largest_id(conn)?.to_string()),
        Record::Updates => {
            let updates = reads::updates(conn)?;
            let json = json!({"items": updates.items, "profiles": updates.profiles});
            Document::new(to_json(&json))
        }
        Record::Nothing => Document::NULL,
    })
}

fn unavailable(error: ReadError) -> Unavailable {
    match error {
        ReadError::Busy => Unavailable::Busy("too many requests are being answered at the moment"),
        ReadError::TooSlow => Unavailable::Busy("the answer took too long to find"),
        _ => Unavailable::Failed("the database cannot be read at the moment"),
    }
}
