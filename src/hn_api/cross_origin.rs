//! Headers for scripts of other sites (CORS). Everyone may read, as with the real API.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap, HeaderName, HeaderValue},
};

const ANY: HeaderValue = HeaderValue::from_static("*");
const READABLE: HeaderValue = HeaderValue::from_static("etag, x-fetched-at");

/// Lets the script that sent this request read the answer.
pub(crate) fn with_cross_origin(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    add_cross_origin(request.headers(), response.headers_mut());
    response
}

fn add_cross_origin(asked: &HeaderMap, answer: &mut HeaderMap) {
    let origin = asked.get(header::ORIGIN);
    if origin.is_some() {
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, READABLE);
    }
    let origin = origin.cloned().unwrap_or(ANY);
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
}

/// The answer to `OPTIONS`, which browsers send first before some requests.
pub(crate) fn options(request: &HttpRequest, methods: &'static str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::ALLOW, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, "3600"));
    let wanted: HeaderName = header::ACCESS_CONTROL_REQUEST_HEADERS;
    if let Some(wanted) = request.headers().get(wanted) {
        response.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone()));
    }
    response.finish()
}
