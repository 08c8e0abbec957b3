//! Answers in JSON, errors included. Any page may read them, as from the original.

use std::fmt::Display;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use serde_json::json;

use crate::store::readers::ReadError;

/// Why there is no answer. The text is one of this program's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl ApiError {
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.into(),
        }
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: message.to_owned(),
        }
    }

    pub(super) fn unavailable(message: &str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: message.to_owned(),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let status = match error {
            ReadError::Busy | ReadError::TooSlow => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self {
            status,
            message: error.to_string(),
        }
    }
}

/// An error that no work on the request has met.
pub(in crate::serve) fn refusal(status: StatusCode, why: &str) -> HttpResponse {
    let message = why.to_owned();
    answer(Err::<String, _>(ApiError { status, message }))
}

/// The answer, or the error in the shape of the original's.
pub(super) fn answer(answer: Result<impl Display, ApiError>) -> HttpResponse {
    let (status, json) = match answer {
        Ok(json) => (StatusCode::OK, json.to_string()),
        Err(ApiError { status, message }) => {
            let json = json!({"message": message, "status": status.as_u16()});
            (status, json.to_string())
        }
    };
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/json; charset=utf-8"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(json)
}
