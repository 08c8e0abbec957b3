//! The search API of hn.algolia.com over a mirror: `/api/v1/search`, `search_by_date`, `items/ID` and `users/NAME`.

// What is asked for. Pure.
mod parameters;
mod tags;

// What is answered.
mod hits;
mod thread;
mod answers;

use std::time::Instant;

use actix_web::{
    FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

pub(super) use self::answers::refusal;
use self::{
    answers::{ApiError, answer},
    hits::envelope,
    parameters::SearchParameters,
    thread::thread,
};
use super::state::State;
use crate::{
    hn::{
        List, reads,
        search::{
            filters::FRONT_PAGE,
            read::{SearchAnswer, search},
            request::Order,
            stories::stories,
        },
    },
    hn_api::{options, with_cross_origin},
};

/// What can be done at each address.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// Adds the routes.
pub(super) fn configure(app: &mut ServiceConfig) {
    app.service(
        web::scope("/api/v1")
            .service(readable("/search", by_relevance))
            .service(readable("/search_by_date", by_date))
            .service(readable("/items/{id:[^/]+?}", item))
            .service(readable("/users/{name:[^/]+?}", user))
            .default_service(web::to(nothing)),
    );
}

/// A path, also with the endings that the original takes.
fn readable<F, A>(path: &str, handler: F) -> Resource
where
    F: Handler<A>,
    A: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let endings = [".json", "/", ""];
    web::resource(endings.map(|ending| format!("{path}{ending}")).to_vec())
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(other_method))
}

async fn other_method(request: HttpRequest) -> HttpResponse {
    if request.method() == Method::OPTIONS {
        return with_cross_origin(&request, options(&request, METHODS));
    }
    let why = "This can only be read: the methods are GET, HEAD and OPTIONS";
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, why);
    let allow = HeaderValue::from_static(METHODS);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}

async fn by_relevance(request: HttpRequest, state: Data<State>) -> HttpResponse {
    answer(results(&request, &state, Order::Relevance).await)
}

async fn by_date(request: HttpRequest, state: Data<State>) -> HttpResponse {
    answer(results(&request, &state, Order::Date).await)
}

async fn results(
    request: &HttpRequest,
    state: &State,
    order: Order,
) -> Result<serde_json::Value, ApiError> {
    let began = Instant::now();
    let parameters = SearchParameters::read(request.query_string(), order)?;
    let wanted = parameters.request.clone();
    let read = state.readers.search(move |conn| {
        let answer = search(conn, &wanted)?;
        let SearchAnswer::Found(found) = answer else {
            return Ok(Err(answer));
        };
        let comments = found.hits.iter().filter(|hit| hit.item.title.is_none());
        let ids: Vec<i64> = comments.map(|hit| hit.item.id).collect();
        let stories = stories(conn, &ids)?;
        let mut front_page = reads::list(conn, List::Top)?.map_or(Vec::new(), |list| list.ids);
        front_page.truncate(FRONT_PAGE);
        Ok(Ok((found, stories, front_page)))
    });
    match read.await? {
        Ok((found, stories, front_page)) => {
            let milliseconds = began.elapsed().as_millis();
            Ok(envelope(
                &parameters,
                &found,
                &stories,
                &front_page,
                milliseconds,
            ))
        }
        Err(SearchAnswer::UnfinishedIndex) => Err(ApiError::unavailable(
            "The search index is not complete yet.",
        )),
        Err(SearchAnswer::BrokenIndex(_)) => Err(ApiError::unavailable(
            "The search index of this mirror is not whole. Its owner makes a new one with `hn-ingest search --rebuild`.",
        )),
        Err(_) => Err(ApiError::unavailable(
            "This mirror has no search index. Its owner builds one with `hn-ingest search --build`.",
        )),
    }
}

async fn item(id: web::Path<String>, state: Data<State>) -> HttpResponse {
    let plain = id.bytes().all(|b| b.is_ascii_digit());
    let Some(id) = id.parse::<i64>().ok().filter(|_| plain) else {
        return refusal(StatusCode::NOT_FOUND, "ObjectID does not exist");
    };
    let read = state.readers.search(move |conn| thread(conn, id)).await;
    let found = read.map_err(ApiError::from);
    answer(
        found.and_then(|found| found.ok_or_else(|| ApiError::not_found("ObjectID does not exist"))),
    )
}

async fn user(name: web::Path<String>, state: Data<State>) -> HttpResponse {
    let name = name.into_inner();
    let read = state.readers.read(move |conn| reads::user(conn, &name));
    let found = read.await.map_err(ApiError::from);
    answer(found.and_then(|found| {
        let found = found.ok_or_else(|| ApiError::not_found("User does not exist"))?;
        let user = found.user;
        Ok(json!({"username": user.id, "about": user.about, "karma": user.karma}))
    }))
}

async fn nothing() -> HttpResponse {
    refusal(StatusCode::NOT_FOUND, "There is nothing at this address")
}
