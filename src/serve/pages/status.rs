//! The dashboard of the ingestion, which server-sent events keep current.

use std::{convert::Infallible, fmt::Write, time::Duration};

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
    web::Data,
};
use askama::Template;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::timeout;

use super::{board::Board, failed::PageError, show::Shown};
use crate::{
    hn::clock,
    serve::{
        errors::{error_page, page},
        layout::Page,
        state::State,
        status::latency_buckets,
    },
};

/// How often the dashboard is sent.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Template)]
#[template(path = "status.html")]
struct StatusTemplate {
    page: Page,
    board: String,
}

pub(super) async fn status(state: Data<State>) -> Shown {
    let template = StatusTemplate {
        page: Page::new("Status", ""),
        board: board(&state).await?,
    };
    Ok(page(StatusCode::OK, template.render()?))
}

/// Sends the dashboard now and then, until the client leaves or the server ends.
pub(super) async fn events(state: Data<State>) -> HttpResponse {
    let Some(place) = state.stream_place() else {
        let why = "Too many streams are open. Try again in a moment.";
        return error_page(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let changes = state.changes.subscribe();
    let first = (state, place, changes, String::new());
    let events = stream::unfold(first, async |(state, place, mut changes, mut sent)| {
        if !sent.is_empty() {
            let closing = changes.wait_for(|state| state.is_closing);
            if timeout(EVERY, closing).await.is_ok() {
                return None;
            }
        }
        // A comment shows whether the client is still there.
        let event = match board(&state).await {
            Ok(board) if board != sent => {
                let event = event("status", &board);
                sent = board;
                event
            }
            _ => ": nothing new\n\n".to_owned(),
        };
        if sent.is_empty() {
            sent.push(' ');
        }
        Some((
            Ok::<_, Infallible>(Bytes::from(event)),
            (state, place, changes, sent),
        ))
    });
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(events)
}

fn event(name: &str, data: &str) -> String {
    let mut event = format!("event: {name}\n");
    for line in data.lines() {
        let _ = writeln!(event, "data: {line}");
    }
    event + "\n"
}

async fn board(state: &State) -> Result<String, PageError> {
    let snapshot = state.status.get().await?;
    let metrics = state.monitoring.metrics.as_ref().map(|render| render());
    let latency = latency_buckets(metrics.as_deref().unwrap_or_default());
    Ok(Board::new(&snapshot, &latency, clock::now()).render()?)
}
