//! The connection that shows when the database has changed, and whether it is still the one that was opened.

use crate::{
    hn::reads,
    store::{
        StoreConnection,
        any::{AnyConnection, AnyIdentity},
        readers::Readers,
        sqlite::FrozenFile,
    },
};

/// A connection of the watch's own. To be used where blocking is allowed.
pub(super) struct WatchedDatabase {
    conn: AnyConnection,
    identity: AnyIdentity,
    /// The file, if connections do not see when it is written.
    frozen: Option<FrozenFile>,
}

/// Why a connection shows nothing any more.
pub(super) enum Lost {
    /// The file is not the one that was opened.
    OtherFile(String),
    /// The file was written, and its connections do not see that.
    Written,
    Failed(String),
}

impl WatchedDatabase {
    pub(super) fn open(readers: &Readers) -> Result<Self, String> {
        let opened = readers.watched_connection();
        let (mut conn, frozen) = opened.map_err(|error| error.to_string())?;
        let identity = conn.identify().map_err(|error| error.to_string())?;
        Ok(Self {
            conn,
            identity,
            frozen,
        })
    }

    /// The version of the database. It means something for this connection only.
    pub(super) fn version(&mut self) -> Result<String, Lost> {
        AnyConnection::check(&self.identity).map_err(Lost::OtherFile)?;
        if self.frozen.as_ref().is_some_and(FrozenFile::has_changed) {
            return Err(Lost::Written);
        }
        reads::data_version(&mut self.conn).map_err(|error| Lost::Failed(error.to_string()))
    }
}
