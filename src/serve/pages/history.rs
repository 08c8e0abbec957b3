//! The earlier versions of an item, and what changed after each.

use actix_web::{HttpRequest, web::Data};
use askama::Template;

use super::{
    changes::{Piece, pieces},
    item::not_stored,
    moment::when,
    params::Params,
    show::{Shown, show},
    story::title_of,
    text::{plain_text, plain_title},
};
use crate::{
    hn::{
        Item,
        reads::{self, Version},
    },
    serve::{layout::Page, state::State},
};

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryTemplate {
    page: Page,
    id: i64,
    title: String,
    as_of: Option<String>,
    changes: Vec<Change>,
}

/// What one change changed.
struct Change {
    at: String,
    fields: Vec<ChangedField>,
}

struct ChangedField {
    name: &'static str,
    pieces: Vec<Piece>,
}

/// What of a version is compared, as plain texts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Compared([(&'static str, String); 6]);

pub(super) async fn history(request: HttpRequest, state: Data<State>) -> Shown {
    let id = Params::of(&request).id()?;
    show(&state, move |conn, now| {
        let versions = reads::versions(conn, id)?;
        let latest = reads::item(conn, id)?;
        let Some(latest) = latest else {
            return Err(not_stored(conn, id, now)?.into());
        };
        let title = title_of(&latest.item);
        let mut newer = Compared::of_item(&latest.item);
        let mut changes = Vec::new();
        for version in &versions {
            let older = Compared::of_version(version);
            changes.push(Change {
                at: when(version.changed_at, now),
                fields: older.changes_to(&newer),
            });
            newer = older;
        }
        Ok(HistoryTemplate {
            page: Page::new(
                format!("Earlier versions of {title}"),
                &format!("/item?id={id}"),
            ),
            id,
            title,
            as_of: Some(when(latest.fetched_at, now)),
            changes,
        })
    })
    .await
}

impl Compared {
    fn of_item(item: &Item) -> Self {
        Self::new(
            [&item.title, &item.url, &item.text, &item.type_],
            item.deleted == Some(true),
            item.dead == Some(true),
        )
    }

    fn of_version(version: &Version) -> Self {
        Self::new(
            [&version.title, &version.url, &version.text, &version.type_],
            version.deleted == Some(1),
            version.dead == Some(1),
        )
    }

    fn new(
        [title, url, text, type_]: [&Option<String>; 4],
        is_deleted: bool,
        is_dead: bool,
    ) -> Self {
        let mark = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
        let title = title.as_deref().unwrap_or_default();
        let text = text.as_deref().unwrap_or_default();
        Self([
            ("Title", plain_title(title).into_owned()),
            ("Address", url.clone().unwrap_or_default()),
            ("Text", plain_text(text)),
            ("Type", type_.clone().unwrap_or_default()),
            ("Deleted", mark(is_deleted)),
            ("Dead", mark(is_dead)),
        ])
    }

    fn changes_to(&self, newer: &Self) -> Vec<ChangedField> {
        let both = self.0.iter().zip(&newer.0);
        let changed = both.filter(|((_, old), (_, new))| old != new);
        changed
            .map(|((name, old), (_, new))| ChangedField {
                name,
                pieces: pieces(old, new),
            })
            .collect()
    }
}
