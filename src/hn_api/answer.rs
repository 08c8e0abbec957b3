//! Answers with a document, or says why there is none.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    cross_origin::{options, with_cross_origin},
    data::{Document, HnData, Unavailable},
    etag,
    path::DocumentPath,
    query::Query,
    tree::{parse, shallow, to_json, value_at},
};

const METHODS: &str = "GET, OPTIONS";
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("application/javascript; charset=utf-8");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// When the record was received from the real API, in Unix seconds.
const FETCHED_AT: HeaderName = HeaderName::from_static("x-fetched-at");
const FIREBASE_ETAG: HeaderName = HeaderName::from_static("x-firebase-etag");

/// The path of the document that a request wants to read. Other requests have their answer already.
pub(crate) fn require_readable(request: &HttpRequest) -> Result<DocumentPath, Box<HttpResponse>> {
    let path = request.uri().path().strip_prefix("/v0/");
    let Some(path) = path.and_then(|path| path.strip_suffix(".json")) else {
        let why = "append .json to your request URI to use the REST API";
        return Err(refusal(request, StatusCode::NOT_FOUND, why).into());
    };
    match *request.method() {
        Method::GET => Ok(DocumentPath::parse(path)),
        Method::OPTIONS => Err(with_cross_origin(request, options(request, METHODS)).into()),
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            Err(refusal(request, StatusCode::UNAUTHORIZED, "Permission denied").into())
        }
        _ => {
            let why = "only GET and OPTIONS are served";
            let mut response = refusal(request, StatusCode::METHOD_NOT_ALLOWED, why);
            let allow = HeaderValue::from_static(METHODS);
            response.headers_mut().insert(header::ALLOW, allow);
            Err(response.into())
        }
    }
}

/// Answers with a document of `data`.
pub(crate) async fn answer(
    request: &HttpRequest,
    path: &DocumentPath,
    data: &impl HnData,
) -> HttpResponse {
    let query = match Query::parse(request.query_string()) {
        Ok(query) => query,
        Err(why) => return refusal(request, StatusCode::BAD_REQUEST, &why),
    };
    let document = match data.read(&path.record).await {
        Ok(document) => document,
        Err(why) => return unavailable(request, why),
    };
    let response = respond(request, path, &query, document);
    with_cross_origin(request, response)
}

fn respond(
    request: &HttpRequest,
    path: &DocumentPath,
    query: &Query,
    Document { json, fetched_at }: Document,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, NO_CACHE));
    response.insert_header((header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF));
    if let Some(at) = fetched_at {
        response.insert_header((FETCHED_AT, at));
    }
    let body = apply(query, value_at(json, &path.keys));
    if is_known(request, &mut response, &body) {
        return response.status(StatusCode::NOT_MODIFIED).finish();
    }
    if query.silent {
        return response.status(StatusCode::NO_CONTENT).finish();
    }
    match &query.callback {
        None => response
            .insert_header((header::CONTENT_TYPE, JSON))
            .body(body),
        Some(function) => response
            .insert_header((header::CONTENT_TYPE, SCRIPT))
            .body(script(function, &body)),
    }
}

/// What the parameters make of a document.
fn apply(query: &Query, body: Bytes) -> Bytes {
    if !query.pretty && !query.shallow && query.selection.is_none() {
        return body;
    }
    // What cannot be read as a value is shown as it is.
    let mut body = body;
    if let Some(selection) = &query.selection
        && let Some(value) = parse(&body)
    {
        body = to_json(&selection.apply(value));
    }
    if query.shallow {
        body = shallow(body);
    }
    if !query.pretty {
        return body;
    }
    let pretty = parse(&body).and_then(|value| serde_json::to_vec_pretty(&value).ok());
    pretty.map_or(body, Bytes::from)
}

/// Adds the tag if the client asks for it. Returns whether the client has this body already.
fn is_known(request: &HttpRequest, response: &mut HttpResponseBuilder, body: &[u8]) -> bool {
    let headers = request.headers();
    let wants_tag = headers.get(FIREBASE_ETAG).is_some_and(|v| v == "true");
    let known = headers.get(header::IF_NONE_MATCH);
    if !wants_tag && known.is_none() {
        return false;
    }
    let etag = etag::etag(body);
    let known = known.and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| etag::names(known, &etag));
    if wants_tag {
        response.insert_header((header::ETAG, etag));
    }
    is_known
}

/// A call of the function. Two characters may stand in JSON, but ended a line in the scripts of older browsers.
fn script(function: &str, json: &[u8]) -> String {
    let json = String::from_utf8_lossy(json);
    let json = json
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029");
    format!("{function}({json});")
}

/// Firebase's form of an error.
pub(crate) fn refusal(request: &HttpRequest, status: StatusCode, why: &str) -> HttpResponse {
    let error: Value = json!({ "error": why });
    let response = HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, JSON))
        .insert_header((header::CACHE_CONTROL, NO_CACHE))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF))
        .body(error.to_string());
    with_cross_origin(request, response)
}

pub(super) fn unavailable(request: &HttpRequest, why: Unavailable) -> HttpResponse {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, why) = match why {
        Unavailable::Busy(why) => (busy, why),
        Unavailable::Closing => (busy, "the server ends"),
        Unavailable::Failed(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
    };
    let mut response = refusal(request, status, why);
    if status == busy {
        let wait = HeaderValue::from(Unavailable::RETRY_AFTER.as_secs());
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}
