//! The source: the trait that an embedder implements for its API.

use std::{error::Error, fmt};

/// An id of a record. It can be copied for another attempt, sent between threads, and printed in logs.
///
/// Every type with these traits implements it.
pub trait Id: Clone + Send + Sync + Unpin + fmt::Display + fmt::Debug + 'static {}

impl<T: Clone + Send + Sync + Unpin + fmt::Display + fmt::Debug + 'static> Id for T {}

/// An HTTP API that answers with one record for each id.
///
/// `url`, `headers` and `is_absent` run on the fetchers' arbiter, so they must be quick. `decode` runs on a blocking thread. A panic
/// in any of them fails only the id that it was called for.
pub trait Source: Send + Sync + 'static {
    /// The id of a record.
    type Id: Id;
    /// The record that a body decodes to.
    type Record: Send + 'static;

    /// The absolute URL (http or https) of an id's record.
    fn url(&self, id: &Self::Id) -> String;

    /// Headers for every request, such as an API key. They are not sent to another origin when the API redirects there.
    fn headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether this HTTP status means that there is no such record. Many APIs answer 404; Hacker News answers 200 with `null`.
    fn is_absent(&self, _status: u16) -> bool {
        false
    }

    /// Decodes a whole body. `None` means that the API answered that there is no such record.
    ///
    /// # Errors
    /// The body is not the record of `id`. The id fails without another attempt.
    fn decode(&self, id: &Self::Id, body: &[u8]) -> Result<Option<Self::Record>, DecodeError>;
}

/// Why a body is not the record of its id.
#[derive(Debug)]
pub struct DecodeError(Box<dyn Error + Send + Sync>);

impl DecodeError {
    /// Wraps an error or a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
