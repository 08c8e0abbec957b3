//! The names by which SQLite knows a database and the files beside it.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// The suffix of the write-ahead log beside a database.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) const LOG_SUFFIX: &str = "-wal";

/// The text that SQLite opens `path` by.
pub(super) fn file_name(path: &Path) -> Result<String, StoreError> {
    let text = path.to_str().ok_or_else(|| StoreError::NotUtf8 {
        path: path.to_owned(),
    })?;
    // SQLite reads some names as URIs or as memory. A path that begins with a folder is always a file.
    Ok(if path.is_relative() {
        format!("./{text}")
    } else {
        text.to_owned()
    })
}

/// The file that SQLite keeps beside a database under the database's name with this suffix.
#[cfg_attr(not(feature = "cli"), allow(dead_code))]
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    // If the name is a link, SQLite makes the files beside the file that it leads to.
    let file = fs::canonicalize(database).unwrap_or_else(|_| database.to_owned());
    let mut name = OsString::from(file);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_sqlite_reads_as_a_uri_or_as_memory_is_a_file_all_the_same() {
        for name in [":memory:", "file:x?mode=ro", ""] {
            assert_eq!(file_name(Path::new(name)).unwrap(), format!("./{name}"));
        }
        let absolute = Path::new("/tmp/hn.db");
        assert_eq!(file_name(absolute).unwrap(), "/tmp/hn.db");
    }
}
