//! Pages that say what went wrong. They say nothing of the machine: no path, no SQL, no secret.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use askama::Template;

use super::layout::Page;

/// The headers of every page. Nothing in it runs or is loaded but the files of this server.
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

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    page: Page,
    heading: &'a str,
    why: &'a str,
    original: Option<&'a str>,
}

/// A page that says why there is no answer. `why` is a text of this program, never one of a request.
pub(super) fn error_page(status: StatusCode, why: &str) -> HttpResponse {
    error_page_with(status, why, None)
}

/// The same, with a link to where the original may have an answer.
pub(super) fn error_page_with(
    status: StatusCode,
    why: &str,
    original: Option<&str>,
) -> HttpResponse {
    let heading = status.canonical_reason().unwrap_or("Error");
    let template = ErrorTemplate {
        page: Page::new(heading, ""),
        heading,
        why,
        original,
    };
    page(status, template.render().unwrap_or_else(|_| why.to_owned()))
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
