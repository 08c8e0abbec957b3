//! Reads what a page shows and renders it, both on a blocking thread.

use actix_web::{HttpResponse, http::StatusCode, web::Data};
use askama::Template;
use diesel::QueryResult;

use super::failed::PageError;
use crate::{
    hn::clock,
    serve::{errors::page, state::State},
    store::any::AnyConnection,
};

/// What a handler of a page answers.
pub(super) type Shown = Result<HttpResponse, PageError>;

/// Renders what `work` reads. It is given the time of the request.
pub(super) async fn show<T: Template>(
    state: &Data<State>,
    work: impl FnOnce(&mut AnyConnection, i64) -> Result<T, ShowError> + Send + 'static,
) -> Shown {
    let rendered = state.readers.read(move |conn| render(conn, work));
    Ok(page(StatusCode::OK, rendered.await??))
}

/// The same for a page that searches.
pub(super) async fn show_found<T: Template>(
    state: &Data<State>,
    work: impl FnOnce(&mut AnyConnection, i64) -> Result<T, ShowError> + Send + 'static,
) -> Shown {
    let rendered = state.readers.search(move |conn| render(conn, work));
    Ok(page(StatusCode::OK, rendered.await??))
}

fn render<T: Template>(
    conn: &mut AnyConnection,
    work: impl FnOnce(&mut AnyConnection, i64) -> Result<T, ShowError>,
) -> QueryResult<Result<String, PageError>> {
    match work(conn, clock::now()) {
        Ok(template) => Ok(template.render().map_err(PageError::from)),
        Err(ShowError::Database(error)) => Err(error),
        Err(ShowError::Page(error)) => Ok(Err(error)),
    }
}

/// Why nothing can be rendered.
pub(super) enum ShowError {
    Database(diesel::result::Error),
    Page(PageError),
}

impl From<diesel::result::Error> for ShowError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PageError> for ShowError {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}
