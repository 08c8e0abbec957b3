//! Pages to read, at the addresses of news.ycombinator.com.

// What a page asks for, and how it is answered:

mod params;
mod failed;
mod show;

// How parts of it look:

mod text;
mod moment;
mod story;
mod comment;
mod thread;
mod changes;
mod excerpt;
mod picture;
mod board;

// The pages:

mod lists;
mod newest;
mod comments;
mod item;
mod user;
mod history;
mod search;
mod status;

use actix_web::{
    Handler, HttpRequest, HttpResponse, Responder,
    http::{StatusCode, header},
    web::{self, ServiceConfig},
};

use super::{assets::asset_at, errors::error_page};

/// Adds the pages to an application whose data holds the state of the server.
pub(super) fn configure(app: &mut ServiceConfig) {
    page(app, lists::FRONT.address, lists::FRONT.handler());
    page(app, "/news", lists::FRONT.handler());
    for list in lists::OTHERS {
        page(app, list.address, list.handler());
    }
    page(app, "/newest", newest::newest);
    page(app, "/from", newest::from_site);
    page(app, "/newcomments", comments::new_comments);
    page(app, "/item", item::item);
    page(app, "/user", user::user);
    page(app, "/submitted", newest::submitted);
    page(app, "/threads", comments::threads);
    page(app, "/history", history::history);
    page(app, "/search", search::search);
    page(app, "/status", status::status);
    page(app, "/status/events", status::events);
    page(app, "/assets/{name}", asset);
}

/// Answers GET and HEAD at this address, and refuses other methods.
fn page<F, Args>(app: &mut ServiceConfig, address: &str, handler: F)
where
    F: Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    F::Output: Responder + 'static,
{
    app.service(
        web::resource(address)
            .route(web::get().to(handler.clone()))
            .route(web::head().to(handler))
            .default_service(web::to(only_readable)),
    );
}

async fn only_readable() -> HttpResponse {
    let why = "This page can only be read.";
    let mut response = error_page(StatusCode::METHOD_NOT_ALLOWED, why);
    let allowed = header::HeaderValue::from_static("GET, HEAD");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// A file that pages need.
async fn asset(request: HttpRequest) -> HttpResponse {
    match asset_at(request.path()) {
        Some(asset) => HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, asset.kind))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(asset.content),
        None => error_page(StatusCode::NOT_FOUND, "There is nothing at this address."),
    }
}
