//! The profile of a user.

use actix_web::{HttpRequest, web::Data};
use askama::Template;
use diesel::QueryResult;

use super::{
    moment::when,
    newest::unknown_user,
    params::{Params, query_value},
    show::{Shown, show},
    text::safe_html,
};
use crate::{
    hn::{HnConnection, User, reads},
    serve::{layout::Page, state::State, wording::grouped},
};

#[derive(Template)]
#[template(path = "user.html")]
struct UserTemplate {
    page: Page,
    name: String,
    query: String,
    /// `None` if the profile is not stored.
    as_of: Option<String>,
    created: Option<String>,
    karma: Option<String>,
    about: Option<String>,
}

pub(super) async fn user(request: HttpRequest, state: Data<State>) -> Shown {
    let name = Params::of(&request).name()?;
    show(&state, move |conn, now| {
        let address = format!("/user?id={}", query_value(&name));
        let stored = reads::user(conn, &name)?;
        if stored.is_none() && !has_items(conn, &name)? {
            return Err(unknown_user(&address).into());
        }
        let as_of = stored.as_ref().map(|stored| when(stored.fetched_at, now));
        let user = stored.map(|stored| stored.user);
        let field = |of: fn(&User) -> Option<i64>| user.as_ref().and_then(of);
        let about = user.as_ref().and_then(|user| user.about.as_deref());
        Ok(UserTemplate {
            page: Page::new(name.clone(), &address),
            query: query_value(&name),
            name,
            as_of,
            created: field(|user| user.created).map(|created| when(created, now)),
            karma: field(|user| user.karma).map(grouped),
            about: about.map(|about| safe_html(about).into_owned()),
        })
    })
    .await
}

/// Whether anything of this author is stored, as far as an index says.
fn has_items(conn: &mut impl HnConnection, name: &str) -> QueryResult<bool> {
    let newest = reads::Place {
        from: i64::MAX,
        skip: 0,
        count: 1,
    };
    let found = reads::of_author(conn, name, newest, |_| true)?;
    Ok(found.is_some_and(|found| !found.items.is_empty()))
}
