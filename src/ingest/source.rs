//! The source: the trait that an embedder implements for its API.

use std::{
    error::Error,
    fmt,
    future::{Future, ready},
};

use thiserror::Error as ThisError;

use crate::ingest::{http::events::parser::ServerEvent, request::Request, response::Response};

/// An id of a record. It can be copied for another attempt, sent between threads, and printed in logs.
///
/// Every type with these traits implements it.
pub trait Id: Clone + Send + Sync + Unpin + fmt::Display + fmt::Debug + 'static {}

impl<T: Clone + Send + Sync + Unpin + fmt::Display + fmt::Debug + 'static> Id for T {}

/// An HTTP API that answers with one record for each id.
///
/// A simple source has [`url`](Self::url) and [`decode`](Self::decode), and perhaps [`headers`](Self::headers) and
/// [`is_absent`](Self::is_absent). The other methods are for APIs that need more: another method or a body, conditional requests,
/// tokens that expire, pages of records. The [guide](crate::guide::source_and_sink) has an example of each.
///
/// `decode`, `decode_response` and `records_in` run on blocking threads. All other methods run on the fetchers' arbiter, so they
/// must be quick. A panic in any of them fails only the id that it was called for (in `refresh`: the ids that wait for it).
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

    /// The request for an id's record: a GET of [`url`](Self::url) with [`headers`](Self::headers), unless this is overridden.
    ///
    /// It is called for each attempt, just before the attempt starts. So a token that was renewed while the id waited is sent.
    fn request(&self, id: &Self::Id) -> Request {
        Request::get(self.url(id)).headers(self.headers())
    }

    /// Whether this HTTP status means that there is no such record. Many APIs answer 404; Hacker News answers 200 with `null`.
    fn is_absent(&self, _status: u16) -> bool {
        false
    }

    /// Whether an answer with this HTTP status is for [`decode_response`](Self::decode_response). By default, that is every
    /// success (200 to 299). A source with conditional requests adds 304.
    ///
    /// This comes first: a status for which it is true is no redirect and no failure, and is not asked about elsewhere.
    fn is_answer(&self, status: u16) -> bool {
        (200..300).contains(&status)
    }

    /// Whether responses are to keep their headers until they are decoded, which takes memory and time.
    fn wants_headers(&self) -> bool {
        false
    }

    /// Decodes a whole body. `None` means that the API answered that there is no such record.
    ///
    /// # Errors
    /// The body is not the record of `id`. The id fails without another attempt.
    fn decode(&self, id: &Self::Id, body: &[u8]) -> Result<Option<Self::Record>, DecodeError>;

    /// Decodes a response that [is an answer](Self::is_answer). Unless this is overridden, [`decode`](Self::decode) gets the
    /// body.
    ///
    /// Override it to see the status and, with [`wants_headers`](Self::wants_headers), the headers.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    fn decode_response(
        &self,
        id: &Self::Id,
        response: &Response<'_>,
    ) -> Result<Option<Self::Record>, DecodeError> {
        self.decode(id, response.body())
    }

    /// The request for the event stream that announces ids, if the API has one. It is for
    /// [`Pipeline::run_events`](crate::Pipeline::run_events), and is made anew for each connect.
    ///
    /// A panic ends the run that reads the stream, in order.
    fn events(&self) -> Option<Request> {
        None
    }

    /// The ids that an event announces. There may be none: not every event is about records.
    ///
    /// # Errors
    /// The event is not what it should be. An error or a panic costs this event only.
    fn announced(&self, _event: &ServerEvent) -> Result<Vec<Self::Id>, DecodeError> {
        Ok(Vec::new())
    }

    /// How many records a [`Record`](Self::Record) counts for in [`Progress::records`](crate::Progress::records). A source whose
    /// ids are pages says how many are on the page.
    fn records_in(&self, _record: &Self::Record) -> u64 {
        1
    }

    /// Whether [`refresh`](Self::refresh) may help against this HTTP status, for example against 401.
    ///
    /// An attempt that ends so is not held against the API. After the refresh the id is tried again, without a backoff, up to
    /// [`Config::attempts`](crate::Config::attempts).
    fn refreshes_after(&self, _status: u16) -> bool {
        false
    }

    /// Renews what requests need, such as a token, for all ids at once.
    ///
    /// At most one refresh is under way in a pipeline, and no attempt starts meanwhile. An answer to a request that is older than
    /// the last refresh starts no other one. A run that is cancelled does not wait for a refresh, but the refresh goes on.
    ///
    /// The future runs on the fetchers' arbiter, so it must not block. It may take as long as one attempt
    /// ([`Config::timeout`](crate::Config::timeout)).
    ///
    /// # Errors
    /// There is nothing new. The ids that wait fail with the kind `status` and this error in the message.
    fn refresh(&self) -> impl Future<Output = Result<(), RefreshError>> + Send {
        ready(Ok(()))
    }
}

/// Why a body is not the record of its id, or why an event announces no ids.
#[derive(Debug, ThisError)]
#[error("{0}")]
pub struct DecodeError(#[source] Box<dyn Error + Send + Sync>);

impl DecodeError {
    /// Wraps an error or a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// Why a refresh brought nothing new.
#[derive(Debug, ThisError)]
#[error("{0}")]
pub struct RefreshError(#[source] Box<dyn Error + Send + Sync>);

impl RefreshError {
    /// Wraps an error or a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}
