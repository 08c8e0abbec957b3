//! What every request passes: the names that the server answers to, bounds, and the end of the server.

use std::{panic::AssertUnwindSafe, time::Instant};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{StatusCode, Version, header, uri::Authority},
    middleware::Next,
    web::Data,
};
use futures_util::FutureExt;

use super::{
    errors::{ErrorPage, error_page},
    search_api,
    state::State,
};
use crate::hn_api;

/// Answers a request, unless it may not be answered. A panic ends it with an error page.
pub(super) async fn guard<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse, Error> {
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        let response = error_page(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server has no state.",
        );
        return Ok(request.into_response(response));
    };
    let began = Instant::now();
    let _in_flight = state.begin_request();
    let answered = answer(request, next, &state).await;
    let status = match &answered {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    state.meters.count(status, began);
    answered
}

async fn answer<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
    state: &State,
) -> Result<ServiceResponse, Error> {
    if let Some(refused) = refusal(request.request(), state) {
        return Ok(request.into_response(refused));
    }
    let answering = AssertUnwindSafe(async { next.call(request).await }).catch_unwind();
    let mut response = match answering.await {
        Ok(Ok(response)) => response.map_into_boxed_body(),
        Ok(Err(error)) => {
            let status = error.as_response_error().status_code();
            return Err(ErrorPage(status).into());
        }
        // The hook of the process has said where.
        Err(_) => return Err(ErrorPage(StatusCode::INTERNAL_SERVER_ERROR).into()),
    };
    if state.changes.state().is_closing {
        // Otherwise the end of the server would wait for the connection.
        response
            .response_mut()
            .head_mut()
            .set_connection_type(actix_web::http::ConnectionType::Close);
    }
    Ok(response)
}

/// The answer to a request that may not be answered otherwise.
fn refusal(request: &HttpRequest, state: &State) -> Option<HttpResponse> {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |part| part.as_str().len());
    if length > state.longest_uri {
        let why = "The address of this request is too long.";
        return Some(refused(request, StatusCode::URI_TOO_LONG, why));
    }
    let mut hosts = request.headers().get_all(header::HOST);
    let (host, another) = (hosts.next(), hosts.next());
    let is_usable = another.is_none() && (host.is_some() || request.version() < Version::HTTP_11);
    if !is_usable {
        let why = "A request needs one Host header.";
        return Some(refused(request, StatusCode::BAD_REQUEST, why));
    }
    let host = host.map(|host| host.to_str().unwrap_or_default());
    let authority = uri.authority().map(Authority::as_str);
    if [host, authority]
        .into_iter()
        .flatten()
        .all(|host| state.hosts.allows(host))
    {
        return None;
    }
    let why = "This server does not answer to that name. Ask for localhost, or start it with --allow-host NAME.";
    Some(refused(request, StatusCode::FORBIDDEN, why))
}

/// Says why in the form of the address: an API has errors in JSON, which any site may read.
fn refused(request: &HttpRequest, status: StatusCode, why: &str) -> HttpResponse {
    if request.path().starts_with("/v0/") {
        return hn_api::refusal(request, status, why);
    }
    if request.path().starts_with("/api/v1/") {
        return search_api::refusal(status, why);
    }
    error_page(status, why)
}
