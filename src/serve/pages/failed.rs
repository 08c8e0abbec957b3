//! Why a page cannot be shown.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{HeaderValue, RETRY_AFTER},
    },
};

use crate::{
    serve::errors::{error_page, error_page_with},
    store::readers::ReadError,
};

/// Why a page cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PageError {
    /// The address is wrong. The text says how, and is one of this program.
    BadRequest(&'static str),
    /// The mirror does not have it, and the original may.
    NotFound { why: String, original: String },
    /// The database does not answer.
    Unreadable(ReadError),
    /// The page could not be made.
    Broken,
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered with {}", self.status_code())
    }
}

impl ResponseError for PageError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Unreadable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        match self {
            Self::BadRequest(why) => error_page(status, why),
            Self::NotFound { why, original } => error_page_with(status, why, Some(original)),
            Self::Unreadable(error) => {
                let why = format!("The page cannot be shown: {error}. Try again in a moment.");
                let mut response = error_page(status, &why);
                let soon = HeaderValue::from_static("1");
                response.headers_mut().insert(RETRY_AFTER, soon);
                response
            }
            Self::Broken => error_page(status, "The page could not be made."),
        }
    }
}

impl From<ReadError> for PageError {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<askama::Error> for PageError {
    fn from(_: askama::Error) -> Self {
        Self::Broken
    }
}
