//! `/health` and `/metrics`.

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use serde_json::json;

use super::{errors::error_page, state::State};
use crate::hn::reads;

/// Whether the database can be read and the host is well: 200 or 503, and a word in JSON.
pub(super) async fn health(state: Data<State>) -> HttpResponse {
    let read = state.readers.read(reads::data_version).await;
    let host = state
        .monitoring
        .health
        .as_ref()
        .map_or(Ok(None), |health| health());
    let read = match state.changes.state().trouble {
        Some(trouble) => Err(trouble.to_owned()),
        None => read.map_err(|error| error.to_string()),
    };
    let (status, body) = match read.and(host) {
        Ok(None) => (StatusCode::OK, json!({"status": "ok"})),
        Ok(Some(why)) => (StatusCode::OK, json!({"status": "ok", "reason": why})),
        Err(why) => {
            let body = json!({"status": "failing", "reason": why});
            (StatusCode::SERVICE_UNAVAILABLE, body)
        }
    };
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(body.to_string())
}

/// The host's metrics.
pub(super) async fn metrics(state: Data<State>) -> HttpResponse {
    match &state.monitoring.metrics {
        Some(metrics) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/plain; version=0.0.4"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .body(metrics()),
        None => error_page(StatusCode::NOT_FOUND, "There are no metrics here."),
    }
}
