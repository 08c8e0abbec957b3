//! What a request gets: a document, an event stream, or a fault.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    http::{Method, StatusCode, header},
    web,
};
use bytes::Bytes;
use serde_json::Value;

use super::{
    broken_body::BrokenBody,
    clock::{Clock, micros},
    documents::{Documents, to_json},
    event_stream::{EventStream, Orders},
    faults::{Faults, InjectedFault},
    fixed_window::FixedWindow,
    streams::Streams,
};

/// Everything that a worker thread needs to answer.
pub(super) struct Api {
    documents: Rc<Documents>,
    faults: Faults,
    /// The requests of the current second, for the rate limit.
    window: RefCell<FixedWindow>,
    live: Option<LiveParts>,
    /// How many requests asked for a stream.
    stream_requests: Cell<usize>,
}

/// What a live API has and another has not.
#[derive(Clone)]
pub(super) struct LiveParts {
    pub(super) clock: Clock,
    pub(super) streams: Streams,
    pub(super) orders: Orders,
    /// The ports that serve event streams.
    pub(super) shards: [u16; 2],
}

impl Api {
    pub(super) fn new(documents: Documents, faults: Faults, live: Option<LiveParts>) -> Self {
        Api {
            documents: Rc::new(documents),
            faults,
            window: RefCell::new(FixedWindow::new(Instant::now())),
            live,
            stream_requests: Cell::new(0),
        }
    }

    /// What the clock shows, in microseconds. An API that stands still has none.
    fn now(&self) -> i64 {
        let clock = self.live.as_ref().map(|live| &live.clock);
        clock.map_or(0, |clock| micros(clock.now()))
    }
}

/// Answers a request, or has one of the faults.
pub(super) async fn handle(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    let Some(path) = request.path().strip_prefix("/v0/") else {
        return HttpResponse::NotFound().finish();
    };
    let faults = &api.faults;
    if let Some(limit) = faults.rate_limit
        && !api.window.borrow_mut().admit(limit, Instant::now())
    {
        let retry = (header::RETRY_AFTER, "1");
        return HttpResponse::TooManyRequests()
            .insert_header(retry)
            .body("too many requests\n");
    }
    let wait = faults.latency.draw();
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    match faults.fault_for(fastrand::f64()) {
        Some(InjectedFault::Hang) => std::future::pending().await,
        Some(InjectedFault::Reset) => reset(),
        Some(InjectedFault::Fail) => {
            HttpResponse::ServiceUnavailable().body("unavailable, as asked for\n")
        }
        Some(InjectedFault::Truncate) => truncate(answer(&request, &api, path)),
        None => answer(&request, &api, path),
    }
}

fn answer(request: &HttpRequest, api: &Api, path: &str) -> HttpResponse {
    if request.method() != Method::GET {
        let allow = (header::ALLOW, "GET");
        return HttpResponse::MethodNotAllowed()
            .insert_header(allow)
            .finish();
    }
    let Some(path) = path.strip_suffix(".json") else {
        return HttpResponse::NotFound().finish();
    };
    if let Some(live) = &api.live
        && live.streams.offered
        && wants_stream(request, live)
    {
        return stream_or_redirect(request, api, live, path);
    }
    let body = apply_query(api.documents.json(path, api.now()), request.query_string());
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));
    if let Some(live) = &api.live {
        let date = httpdate::fmt_http_date(live.clock.now());
        response.insert_header((header::DATE, date));
    }

    let headers = request.headers();
    let wants_tag = headers.get("x-firebase-etag").is_some_and(|v| v == "true");
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    if wants_tag || known.is_some() {
        let etag = etag(&body);
        let is_same = |tag: &str| tag.trim().trim_matches('"') == etag;
        let unchanged = known.is_some_and(|tags| tags.split(',').any(is_same));
        if wants_tag {
            response.insert_header((header::ETAG, etag));
        }
        if unchanged {
            return response.status(StatusCode::NOT_MODIFIED).finish();
        }
    }
    response.insert_header((header::CONTENT_TYPE, "application/json; charset=utf-8"));
    response.body(body)
}

fn is_shard(request: &HttpRequest, live: &LiveParts) -> bool {
    live.shards
        .contains(&request.app_config().local_addr().port())
}

fn wants_stream(request: &HttpRequest, live: &LiveParts) -> bool {
    let accepts = request.headers().get_all(header::ACCEPT).any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.contains("text/event-stream")
    });
    let mut query = request.query_string().split('&');
    accepts || (is_shard(request, live) && query.any(|pair| pair == "sse=true"))
}

/// Streams are served by shards. Other ports send the client to one of them, and not always to the same.
fn stream_or_redirect(
    request: &HttpRequest,
    api: &Api,
    live: &LiveParts,
    path: &str,
) -> HttpResponse {
    let earlier = api.stream_requests.replace(api.stream_requests.get() + 1);
    if !is_shard(request, live) {
        let shard = live.shards[earlier % live.shards.len()];
        let query = request.query_string();
        let and = if query.is_empty() { "" } else { "&" };
        let path = request.path();
        let place = format!("http://127.0.0.1:{shard}{path}?{query}{and}ns=hacker-news&sse=true");
        return HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, place))
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .finish();
    }
    // Servers in front of the real API differ in their line ends.
    let line_end = if earlier.is_multiple_of(2) {
        "\n"
    } else {
        "\r\n"
    };
    let stream = EventStream::new(
        api.documents.clone(),
        path,
        live.clock.clone(),
        live.streams,
        &live.orders,
        line_end,
    );
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .streaming(stream.into_chunks())
}

fn reset() -> HttpResponse {
    HttpResponse::Ok().body(BrokenBody::reset())
}

fn truncate(response: HttpResponse) -> HttpResponse {
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(whole) if !whole.is_empty() => BoxBody::new(BrokenBody::half(&whole)),
        Ok(empty) => BoxBody::new(empty),
        Err(body) => body,
    })
}

/// Applies the query: `print=pretty` indents, and `shallow=true` replaces every value below the first level by `true`.
fn apply_query(body: Bytes, query: &str) -> Bytes {
    let has = |wanted| query.split('&').any(|pair| pair == wanted);
    let pretty = has("print=pretty");
    let shallow = has("shallow=true");
    if !pretty && !shallow {
        return body;
    }
    let mut value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if shallow && let Value::Object(fields) = &mut value {
        for field in fields.values_mut() {
            if field.is_object() || field.is_array() {
                *field = Value::Bool(true);
            }
        }
    }
    if pretty {
        serde_json::to_vec_pretty(&value).map_or(body, Bytes::from)
    } else {
        to_json(&value)
    }
}

/// The FNV-1a hash of the body, without quotes, as Firebase sends it.
fn etag(body: &[u8]) -> String {
    let add_byte = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", body.iter().fold(0xCBF2_9CE4_8422_2325, add_byte))
}
