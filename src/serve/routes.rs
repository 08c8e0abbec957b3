//! Which address leads to which handler.

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder,
    http::{StatusCode, header},
    web::{self, Data, ServiceConfig},
};

use super::{errors::error_page, health, hn_data::Mirror, pages, search_api, state::State};
use crate::hn_api::{answer, answer_with_stream, require_readable, wants_stream};

/// Adds all routes to an application whose data holds the [`State`].
pub(super) fn configure(app: &mut ServiceConfig) {
    app.service(web::scope("/v0").default_service(web::to(hn_api)))
        .configure(search_api::configure)
        .service(readable("/health", health::health))
        .service(readable("/metrics", health::metrics))
        .service(readable("/robots.txt", robots))
        .configure(pages::configure)
        .default_service(web::to(nothing));
}

/// An address that GET and HEAD read. Other methods get a 405.
fn readable<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}

/// The API of Hacker News.
async fn hn_api(request: HttpRequest, state: Data<State>) -> HttpResponse {
    let path = match require_readable(&request) {
        Ok(path) => path,
        Err(answered) => return *answered,
    };
    if wants_stream(&request) {
        let place = state.stream_place();
        return answer_with_stream(&request, path, &Mirror(state), place);
    }
    answer(&request, &path, &Mirror(state)).await
}

/// What programs that read all pages need not read.
async fn robots() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body("User-agent: *\nDisallow: /search\nDisallow: /status\n")
}

async fn nothing() -> HttpResponse {
    error_page(StatusCode::NOT_FOUND, "There is nothing at this address.")
}
