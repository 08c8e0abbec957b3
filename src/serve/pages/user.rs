//! The profile of a user.

use actix_web::{HttpRequest, web::Data};
use askama::Template;

use super::{
    moment::when,
    newest::unknown_user,
    params::{Params, query_value},
    show::{Shown, show},
    text::safe_html,
};
use crate::{
    hn::reads,
    serve::{layout::Page, state::State, wording::grouped},
};

#[derive(Template)]
#[template(path = "user.html")]
struct UserTemplate {
    page: Page,
    name: String,
    query: String,
    as_of: String,
    created: Option<String>,
    karma: Option<String>,
    about: Option<String>,
}

pub(super) async fn user(request: HttpRequest, state: Data<State>) -> Shown {
    let name = Params::of(&request).name()?;
    show(&state, move |conn, now| {
        let address = format!("/user?id={}", query_value(&name));
        let stored = reads::user(conn, &name)?.ok_or_else(|| unknown_user(&address))?;
        let user = stored.user;
        Ok(UserTemplate {
            page: Page::new(name.clone(), &address),
            query: query_value(&name),
            name,
            as_of: when(stored.fetched_at, now),
            created: user.created.map(|created| when(created, now)),
            karma: user.karma.map(grouped),
            about: user.about.map(|about| safe_html(&about).into_owned()),
        })
    })
    .await
}
