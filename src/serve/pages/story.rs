//! A story, job or poll as a line of a list, or as the head of its own page.

use askama::Template;

use super::{
    moment::when,
    params::query_value,
    text::{linkable, plain_title, site_of},
};
use crate::{
    hn::{Item, reads::StoredItem},
    serve::wording::grouped,
};

/// A line of a list, or the head of a page.
#[derive(Template)]
#[template(path = "story.html")]
pub(super) struct StoryLine {
    /// The element of the title.
    tag: &'static str,
    id: i64,
    title: String,
    outside: Option<String>,
    site: Option<Named>,
    /// An address that is shown without a link, because it is not one of the web.
    unlinked: Option<String>,
    marks: Vec<&'static str>,
    points: Option<String>,
    by: Option<Named>,
    made: Option<String>,
    comments: Option<String>,
    has_history: bool,
}

/// A name, and how it is written in an address.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) query: String,
}

impl Named {
    pub(super) fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            query: query_value(&name),
            name,
        }
    }
}

/// A link to a story.
pub(super) struct On {
    pub(super) id: i64,
    pub(super) title: String,
}

impl On {
    pub(super) fn new(story: &StoredItem) -> Self {
        Self {
            id: story.item.id,
            title: title_of(&story.item),
        }
    }
}

impl StoryLine {
    /// The story as it is seen at `now`.
    pub(super) fn new(item: &Item, has_history: bool, now: i64) -> Self {
        let address = item.url.as_deref().filter(|url| !url.is_empty());
        let outside = address.and_then(linkable);
        let is_job = item.type_.as_deref() == Some("job");
        let points = item.score.filter(|_| !is_job);
        Self {
            tag: "h2",
            id: item.id,
            title: title_of(item),
            site: outside.as_deref().and_then(site_of).map(Named::new),
            unlinked: address.filter(|_| outside.is_none()).map(str::to_owned),
            outside,
            marks: marks_of(item),
            points: points.map(|points| counted(points, "point")),
            by: author_of(item),
            made: item.time.map(|time| when(time, now)),
            comments: item.descendants.map(|count| counted(count, "comment")),
            has_history,
        }
    }

    /// As the head of its own page.
    pub(super) fn into_heading(self) -> Self {
        Self { tag: "h1", ..self }
    }
}

/// The title of an item. What has none is called by what it is.
pub(super) fn title_of(item: &Item) -> String {
    match item.title.as_deref() {
        Some(title) if !title.trim().is_empty() => plain_title(title).into_owned(),
        _ if is_comment(item) => format!("comment {}", item.id),
        _ if item.deleted == Some(true) => "[deleted]".to_owned(),
        _ if item.dead == Some(true) => "[dead]".to_owned(),
        _ => format!("{} {}", item.type_.as_deref().unwrap_or("item"), item.id),
    }
}

pub(super) fn author_of(item: &Item) -> Option<Named> {
    item.by
        .as_deref()
        .filter(|by| !by.is_empty())
        .map(Named::new)
}

/// What sets an item apart from the usual.
pub(super) fn marks_of(item: &Item) -> Vec<&'static str> {
    let marks = [
        ("deleted", item.deleted == Some(true)),
        ("dead", item.dead == Some(true)),
        ("poll", item.type_.as_deref() == Some("poll")),
    ];
    marks
        .into_iter()
        .filter_map(|(mark, is_so)| is_so.then_some(mark))
        .collect()
}

/// Whether an item answers another one.
pub(super) fn is_comment(item: &Item) -> bool {
    match item.type_.as_deref() {
        Some(type_) => type_ == "comment" || type_ == "pollopt",
        None => item.parent.is_some(),
    }
}

/// A number with its noun, as in `1 point` and `2 points`.
pub(super) fn counted(count: i64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{} {noun}{s}", grouped(count))
}
