//! What each path answers. As in Firebase, `/v0` is one tree of JSON: every path into it works, and a path to nothing is
//! `null`.

use std::{
    cell::{OnceCell, RefCell},
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
    faults::{Faults, InjectedFault},
    fixed_window::FixedWindow,
    generate::Generator,
    lists::{Lists, Updates, User},
};

/// Everything that a worker thread needs to answer.
pub(super) struct Api {
    items: Generator,
    /// Made by the first request for a list.
    lists: OnceCell<Lists>,
    faults: Faults,
    /// The requests of the current second, for the rate limit.
    window: RefCell<FixedWindow>,
}

impl Api {
    pub(super) fn new(items: Generator, faults: Faults) -> Self {
        let window = RefCell::new(FixedWindow::new(Instant::now()));
        Api {
            items,
            lists: OnceCell::new(),
            faults,
            window,
        }
    }

    /// The JSON at `path` (below `/v0/`, without `.json`).
    fn json(&self, path: &str) -> Bytes {
        let mut keys = path.split('/');
        let first = keys.next().unwrap_or_default();
        let root = match (first, keys.next()) {
            ("item", Some(id)) => self.items.body(parse_id(id)),
            ("user", Some(name)) => to_json(&User::new(&self.items, name)),
            // A list or another single record has no id, so the next key leads into it.
            (_, key) => return value_at(self.named_record(first), key.into_iter().chain(keys)),
        };
        value_at(root, keys)
    }

    fn named_record(&self, name: &str) -> Bytes {
        let lists = || self.lists.get_or_init(|| Lists::new(&self.items));
        match name {
            "maxitem" => to_json(&self.items.max_item()),
            "updates" => to_json(&Updates::new(&self.items)),
            "topstories" => to_json(&lists().top),
            "newstories" => to_json(&lists().new),
            "beststories" => to_json(&lists().best),
            "askstories" => to_json(&lists().ask),
            "showstories" => to_json(&lists().show),
            "jobstories" => to_json(&lists().job),
            _ => Bytes::from_static(b"null"),
        }
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
    let body = apply_query(api.json(path), request.query_string());
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));

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

/// The id that a path names. It is 0, which no item has, if the key is not a plain number.
fn parse_id(key: &str) -> i64 {
    let plain = key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0');
    key.parse().ok().filter(|_| plain).unwrap_or_default()
}

fn to_json(value: &impl serde::Serialize) -> Bytes {
    // It cannot fail: records have only numbers, strings and lists of them.
    serde_json::to_vec(value).map_or(Bytes::from_static(b"null"), Bytes::from)
}

/// The value inside `root` to which the keys lead. A number leads into a list.
fn value_at<'a>(root: Bytes, keys: impl Iterator<Item = &'a str>) -> Bytes {
    let mut keys = keys.peekable();
    if keys.peek().is_none() {
        return root;
    }
    let root: Value = serde_json::from_slice(&root).unwrap_or_default();
    let found = keys.try_fold(&root, |at, key| match at {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        at => at.get(key),
    });
    to_json(&found)
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
