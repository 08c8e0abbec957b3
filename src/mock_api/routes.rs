//! What each path answers. Like Firebase it treats `/v0` as one tree of JSON: any path into it works, and one that leads
//! nowhere is `null`.

use super::faults::{BrokenBody, Fault, Faults, Window};
use super::generate::Generator;
use super::lists::{Lists, Updates, User};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use serde_json::Value;
use std::cell::{OnceCell, RefCell};
use std::time::Instant;

/// Everything a worker thread serves from.
pub(super) struct Api {
    items: Generator,
    lists: OnceCell<Lists>,
    faults: Faults,
    window: RefCell<Window>,
}

impl Api {
    pub(super) fn new(items: Generator, faults: Faults) -> Self {
        let window = RefCell::new(Window::new(Instant::now()));
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
            // Of a list or another plain record the next key is already a path into it.
            (_, key) => return dig(self.record(first), key.into_iter().chain(keys)),
        };
        dig(root, keys)
    }

    fn record(&self, name: &str) -> Bytes {
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

/// Answers any request, or does what the faults say.
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
    match faults.at(fastrand::f64()) {
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Reset) => reset(),
        Some(Fault::Fail) => HttpResponse::ServiceUnavailable().body("unavailable, as asked for\n"),
        Some(Fault::Truncate) => cut_short(answer(&request, &api, path)),
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
    let body = reshape(api.json(path), request.query_string());
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-cache"));

    let headers = request.headers();
    let wants_tag = headers.get("x-firebase-etag").is_some_and(|v| v == "true");
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|v| v.to_str().ok());
    if wants_tag || known.is_some() {
        let etag = etag(&body);
        let same = |tag: &str| tag.trim().trim_matches('"') == etag;
        let unchanged = known.is_some_and(|tags| tags.split(',').any(same));
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

fn cut_short(response: HttpResponse) -> HttpResponse {
    response.map_body(|_, body| match body.try_into_bytes() {
        Ok(whole) if !whole.is_empty() => BoxBody::new(BrokenBody::half(&whole)),
        Ok(empty) => BoxBody::new(empty),
        Err(body) => body,
    })
}

/// The id a path names; 0, which no item has, unless it is written as numbers are.
fn parse_id(key: &str) -> i64 {
    let plain = key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0');
    key.parse().ok().filter(|_| plain).unwrap_or_default()
}

fn to_json(value: &impl serde::Serialize) -> Bytes {
    // Numbers, strings and lists of them: there is nothing in our records that JSON cannot say.
    serde_json::to_vec(value).map_or(Bytes::from_static(b"null"), Bytes::from)
}

/// What is found inside `root` along `keys`; lists are indexed by number.
fn dig<'a>(root: Bytes, keys: impl Iterator<Item = &'a str>) -> Bytes {
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

/// `print=pretty` indents; `shallow=true` puts `true` in the place of what lies deeper than the first level.
fn reshape(body: Bytes, query: &str) -> Bytes {
    let has = |wanted| query.split('&').any(|pair| pair == wanted);
    let (pretty, shallow) = (has("print=pretty"), has("shallow=true"));
    if !pretty && !shallow {
        return body;
    }
    let mut value: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let (true, Value::Object(fields)) = (shallow, &mut value) {
        for field in fields.values_mut() {
            if field.is_object() || field.is_array() {
                *field = Value::Bool(true);
            }
        }
    }
    match pretty {
        true => serde_json::to_vec_pretty(&value).map_or(body, Bytes::from),
        false => to_json(&value),
    }
}

/// FNV-1a of the body. Bare, as Firebase sends its own.
fn etag(body: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    format!("{:016x}", body.iter().fold(0xCBF2_9CE4_8422_2325, step))
}
