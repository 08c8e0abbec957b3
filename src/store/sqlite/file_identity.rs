//! Which file a database is in. Commits to a file that was deleted or replaced are lost.

use std::path::{Path, PathBuf};

use diesel::{QueryableByName, RunQueryDsl, SqliteConnection, sql_query, sql_types::Binary};

use crate::store::StoreError;

/// The file that a connection has open.
#[derive(Clone, Debug)]
pub struct FileIdentity {
    path: PathBuf,
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl FileIdentity {
    /// Asks SQLite for the file. `None` for a database that is in no file.
    ///
    /// # Errors
    /// SQLite does not say, or the file is gone already.
    pub(crate) fn of(conn: &mut SqliteConnection) -> Result<Option<Self>, StoreError> {
        #[derive(QueryableByName)]
        struct MainDatabase {
            #[diesel(sql_type = Binary)]
            file: Vec<u8>,
        }
        // As bytes: the name of a folder above a relative path need not be UTF-8.
        let main: MainDatabase = sql_query(
            "SELECT CAST(file AS BLOB) AS file FROM pragma_database_list WHERE name = 'main'",
        )
        .get_result(conn)
        .map_err(|error| StoreError::NoConnection(error.to_string()))?;
        let path = path_of(main.file);
        if path.as_os_str().is_empty() {
            return Ok(None);
        }
        #[cfg(unix)]
        let device_and_inode = device_and_inode(&path)
            .map_err(|error| StoreError::NoConnection(format!("{}: {error}", path.display())))?;
        Ok(Some(Self {
            path,
            #[cfg(unix)]
            device_and_inode,
        }))
    }

    /// Whether the file that was opened is still in its place.
    ///
    /// # Errors
    /// What happened to it, for a person to read.
    pub(crate) fn check(&self) -> Result<(), String> {
        let path = self.path.display();
        #[cfg(unix)]
        return match device_and_inode(&self.path) {
            Ok(now) if now == self.device_and_inode => Ok(()),
            Ok(_) => Err(format!("the database file {path} was replaced by another")),
            Err(error) => Err(format!("the database file {path} is gone: {error}")),
        };
        #[cfg(not(unix))]
        self.path
            .exists()
            .then_some(())
            .ok_or_else(|| format!("the database file {path} is gone"))
    }
}

#[cfg(unix)]
fn path_of(name: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(name).into()
}

#[cfg(not(unix))]
fn path_of(name: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&name).into_owned().into()
}

#[cfg(unix)]
fn device_and_inode(path: &Path) -> std::io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|data| (data.dev(), data.ino()))
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use diesel::{Connection, connection::SimpleConnection};

    use super::*;

    #[test]
    fn a_file_that_was_replaced_or_deleted_is_no_longer_the_one_that_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hn.db");
        let mut conn = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("CREATE TABLE t (x)").unwrap();
        let file = FileIdentity::of(&mut conn).unwrap().unwrap();
        assert_eq!(file.check(), Ok(()));
        let copy = folder.path().join("copy.db");
        std::fs::copy(&path, &copy).unwrap();
        std::fs::rename(&copy, &path).unwrap();
        assert!(file.check().unwrap_err().contains("replaced"));
        std::fs::remove_file(&path).unwrap();
        assert!(file.check().unwrap_err().contains("gone"));
    }

    #[test]
    fn a_database_in_memory_is_in_no_file() {
        let mut conn = SqliteConnection::establish(":memory:").unwrap();
        assert!(FileIdentity::of(&mut conn).unwrap().is_none());
    }
}
