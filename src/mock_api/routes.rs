//! What a request gets: a document, an event stream, or a fault.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Instant,
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    http::header::{self, HeaderValue},
    web,
};

use super::{
    broken_body::BrokenBody,
    clock::Clock,
    documents::Documents,
    event_stream::{EventStream, Orders},
    faults::{Faults, InjectedFault},
    fixed_window::FixedWindow,
    mock_data::MockData,
    streams::Streams,
};
use crate::hn_api::{
    DocumentPath, answer, local_address, require_readable, wants_stream, with_cross_origin,
};

/// Everything that a worker thread needs to answer.
pub(super) struct Api {
    data: MockData,
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
            data: MockData {
                documents: Rc::new(documents),
                clock: live.as_ref().map(|live| live.clock.clone()),
            },
            faults,
            window: RefCell::new(FixedWindow::new(Instant::now())),
            live,
            stream_requests: Cell::new(0),
        }
    }
}

/// Answers a request, or has one of the faults.
pub(super) async fn handle(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    if !request.path().starts_with("/v0/") {
        return HttpResponse::NotFound().finish();
    }
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
        Some(InjectedFault::Truncate) => truncate(respond(&request, &api).await),
        None => respond(&request, &api).await,
    }
}

async fn respond(request: &HttpRequest, api: &Api) -> HttpResponse {
    let path = match require_readable(request) {
        Ok(path) => path,
        Err(answered) => return *answered,
    };
    let Some(live) = &api.live else {
        return answer(request, &path, &api.data).await;
    };
    if live.streams.offered && asks_for_stream(request, live) {
        return stream_or_redirect(request, api, live, path);
    }
    let mut response = answer(request, &path, &api.data).await;
    let date = httpdate::fmt_http_date(live.clock.now());
    if let Ok(date) = HeaderValue::from_str(&date) {
        response.headers_mut().insert(header::DATE, date);
    }
    response
}

fn is_shard(request: &HttpRequest, live: &LiveParts) -> bool {
    let address = local_address(request);
    address.is_some_and(|address| live.shards.contains(&address.port()))
}

fn asks_for_stream(request: &HttpRequest, live: &LiveParts) -> bool {
    let mut query = request.query_string().split('&');
    wants_stream(request) || (is_shard(request, live) && query.any(|pair| pair == "sse=true"))
}

/// Streams are served by shards. Other ports send the client to one of them, and not always to the same.
fn stream_or_redirect(
    request: &HttpRequest,
    api: &Api,
    live: &LiveParts,
    path: DocumentPath,
) -> HttpResponse {
    let earlier = api.stream_requests.replace(api.stream_requests.get() + 1);
    if !is_shard(request, live) {
        let shard = live.shards[earlier % live.shards.len()];
        let query = request.query_string();
        let and = if query.is_empty() { "" } else { "&" };
        let path = request.uri().path();
        let place = format!("http://127.0.0.1:{shard}{path}?{query}{and}ns=hacker-news&sse=true");
        let redirect = HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, place))
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .finish();
        return with_cross_origin(request, redirect);
    }
    // Servers in front of the real API differ in their line ends.
    let line_end = if earlier.is_multiple_of(2) {
        "\n"
    } else {
        "\r\n"
    };
    let stream = EventStream::new(&api.data, path, live.streams, &live.orders, line_end);
    let response = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .streaming(stream.into_chunks());
    with_cross_origin(request, response)
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
