//! Where records come from: the trait that an embedder implements for its API.

use std::{error::Error, fmt};

/// What an id must be able to do: be copied for a second try, cross threads, and be shown in logs.
///
/// Implemented for everything that fits.
pub trait Id: Clone + Send + Sync + Unpin + fmt::Display + fmt::Debug + 'static {}

impl<T: Clone + Send + Sync + Unpin + fmt::Display + fmt::Debug + 'static> Id for T {}

/// An HTTP API that answers one record an id.
///
/// `url`, `headers` and `is_absent` run on the fetchers' arbiter and must be quick; `decode` runs on a blocking thread. A panic
/// in any of them costs the id that it was called for, and no other.
pub trait Source: Send + Sync + 'static {
    /// What the list of ids holds.
    type Id: Id;
    /// What a body decodes to.
    type Record: Send + 'static;

    /// The absolute URL (http or https) of an id's record.
    fn url(&self, id: &Self::Id) -> String;

    /// Headers for every request, such as API keys. They are not sent on to another host when the API redirects.
    fn headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Whether this HTTP status means "no such record". Many APIs say 404; Hacker News answers 200 with `null`.
    fn is_absent(&self, _status: u16) -> bool {
        false
    }

    /// Makes the record of a whole body; `None` when the API answered that there is no such record.
    ///
    /// # Errors
    /// A body that is not the record of `id`. It is not asked for again.
    fn decode(&self, id: &Self::Id, body: &[u8]) -> Result<Option<Self::Record>, DecodeError>;
}

/// Why a body is not the record that was asked for.
#[derive(Debug)]
pub struct DecodeError(Box<dyn Error + Send + Sync>);

impl DecodeError {
    /// Wraps what went wrong: an error, or a text.
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
