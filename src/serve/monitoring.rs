//! `/health` and `/metrics`.

use std::{fmt, sync::Arc};

use actix_web::{HttpResponse, http::header, web::Data};

use super::{errors::error_page, state::State};
use crate::hn::reads;

/// What a host says of its own health, beside the database: nothing if all is well, or what is wrong.
pub type Health = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What the host adds. Both may be missing.
#[derive(Clone, Default)]
pub(super) struct Monitoring {
    pub(super) health: Option<Health>,
    /// Gives the metrics as Prometheus text.
    pub(super) metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl fmt::Debug for Monitoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitoring").finish_non_exhaustive()
    }
}

/// Whether the database can be read and the host is well: 200 or 503, and a word in JSON.
pub(super) async fn health(state: Data<State>) -> HttpResponse {
    let read = state.readers.read(|conn| reads::data_version(conn)).await;
    let host = state
        .monitoring
        .health
        .as_ref()
        .map_or(Ok(()), |health| health());
    let why = match (read, host) {
        (Ok(_), Ok(())) => {
            return HttpResponse::Ok()
                .insert_header((header::CONTENT_TYPE, "application/json"))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .body("{\"status\":\"ok\"}");
        }
        (Err(why), _) => why.to_string(),
        (_, Err(why)) => why,
    };
    let body = serde_json::json!({"status": "failing", "reason": why});
    HttpResponse::ServiceUnavailable()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body.to_string())
}

/// The host's metrics.
pub(super) async fn metrics(state: Data<State>) -> HttpResponse {
    match &state.monitoring.metrics {
        Some(metrics) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
            .body(metrics()),
        None => error_page(
            actix_web::http::StatusCode::NOT_FOUND,
            "There are no metrics here.",
        ),
    }
}
