//! Pages that say what went wrong. They say nothing of the machine: no path, no SQL, no secret.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};

/// The headers of every page. No script and nothing from elsewhere.
pub(super) const PAGE_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    ),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// A page in HTML.
pub(super) fn page(status: StatusCode, html: String) -> HttpResponse {
    let mut response = HttpResponse::build(status).body(html);
    for (name, value) in PAGE_HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

/// A page that says why there is no answer. `why` is a text of this program, never one of a request.
pub(super) fn error_page(status: StatusCode, why: &str) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or("Error");
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title></head><body><h1>{title}</h1><p>{why}</p><p><a href=\"/\">Home</a></p></body></html>\n"
    );
    page(status, html)
}

/// An error whose answer is a page that names its status, and nothing else.
#[derive(Debug)]
pub(super) struct ErrorPage(pub(super) StatusCode);

impl fmt::Display for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "answered with {}", self.0)
    }
}

impl ResponseError for ErrorPage {
    fn status_code(&self) -> StatusCode {
        self.0
    }

    fn error_response(&self) -> HttpResponse {
        error_page(self.0, "The request cannot be answered.")
    }
}
