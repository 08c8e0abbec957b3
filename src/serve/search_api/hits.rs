//! The answer to a search, in the shape of the original.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::parameters::SearchParameters;
use crate::{
    hn::{
        Item,
        reads::StoredItem,
        search::{highlight::Highlighter, read::Found},
    },
    serve::wording::iso_seconds,
};

/// The whole answer.
pub(super) fn envelope(
    parameters: &SearchParameters,
    found: &Found,
    stories: &HashMap<i64, StoredItem>,
    front_page: &[i64],
    milliseconds: u128,
) -> Value {
    let highlighter = Highlighter::of(&found.query);
    let hits = found.hits.iter().map(|hit| {
        let shown = ShownHit {
            parameters,
            highlighter: &highlighter,
            hit,
            story: stories.get(&hit.item.id).map(|story| &story.item),
            is_on_front_page: front_page.contains(&hit.item.id),
        };
        shown.json()
    });
    let per_page = parameters.request.limit as u64;
    let mut count = found.total.count;
    let mut pages = count.div_ceil(per_page.max(1));
    let on_page = found.hits.len() as u64;
    if !found.total.is_exact && on_page > 0 {
        // There may be more than was counted. A client that goes on until the last page must not end before.
        let page = parameters.page as u64;
        count = count.max(page * per_page + on_page);
        pages = pages.max(page + if on_page < per_page { 1 } else { 2 });
    }
    json!({
        "hits": hits.collect::<Vec<_>>(),
        "nbHits": count,
        "page": parameters.page,
        "nbPages": if per_page == 0 { 0 } else { pages },
        "hitsPerPage": per_page,
        "exhaustiveNbHits": found.total.is_exact,
        "processingTimeMS": u64::try_from(milliseconds).unwrap_or(u64::MAX),
        "query": parameters.typed,
        "params": parameters.raw,
    })
}

/// One item of the answer, and what else its shape depends on.
struct ShownHit<'a> {
    parameters: &'a SearchParameters,
    highlighter: &'a Highlighter,
    hit: &'a StoredItem,
    /// The story that a comment belongs to, if it is stored.
    story: Option<&'a Item>,
    is_on_front_page: bool,
}

impl ShownHit<'_> {
    fn json(&self) -> Value {
        let item = &self.hit.item;
        let is_comment = is_comment(item);
        let text = item.text.as_deref();
        // A story is the beginning of its own thread.
        let story_id = if is_comment {
            self.story.map(|story| story.id)
        } else {
            Some(item.id)
        };
        let story = self.story.filter(|_| is_comment);
        let fields = [
            ("created_at", json!(item.time.and_then(iso_seconds))),
            ("created_at_i", json!(item.time)),
            ("updated_at", json!(iso_seconds(self.hit.fetched_at))),
            ("title", json!(item.title)),
            ("url", json!(item.url)),
            ("author", json!(item.by)),
            ("points", json!(item.score)),
            ("story_text", json!(text.filter(|_| !is_comment))),
            ("comment_text", json!(text.filter(|_| is_comment))),
            ("num_comments", json!(item.descendants)),
            ("story_id", json!(story_id)),
            (
                "story_title",
                json!(story.and_then(|story| story.title.as_deref())),
            ),
            (
                "story_url",
                json!(story.and_then(|story| story.url.as_deref())),
            ),
            ("parent_id", json!(item.parent.or(item.poll))),
            ("children", children(item)),
            ("objectID", json!(item.id.to_string())),
            ("_tags", json!(self.tags(story_id))),
            ("_highlightResult", self.highlights(is_comment)),
        ];
        let unused: &[&str] = if is_comment {
            &["title", "url", "story_text", "num_comments"]
        } else {
            &["comment_text", "story_title", "story_url"]
        };
        // Not every type has these, and clients take a null for a fault.
        let is_missing = |name: &str, value: &Value| {
            ["num_comments", "parent_id"].contains(&name) && value.is_null()
        };
        let wanted = fields.into_iter().filter(|(name, value)| {
            self.parameters.wants(name) && !unused.contains(name) && !is_missing(name, value)
        });
        Value::Object(
            wanted
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    fn tags(&self, story_id: Option<i64>) -> Vec<String> {
        let item = &self.hit.item;
        let mut tags: Vec<String> = item.type_.iter().cloned().collect();
        tags.extend(item.by.iter().map(|name| format!("author_{name}")));
        tags.extend(story_id.map(|id| format!("story_{id}")));
        let title = item.title.as_deref().unwrap_or_default().to_lowercase();
        if item.type_.as_deref() == Some("story") {
            if title.starts_with("ask hn") {
                tags.push("ask_hn".to_owned());
            }
            if title.starts_with("show hn") {
                tags.push("show_hn".to_owned());
            }
        }
        if self.is_on_front_page {
            tags.push("front_page".to_owned());
        }
        tags
    }

    fn highlights(&self, is_comment: bool) -> Value {
        let item = &self.hit.item;
        let story = self.story.filter(|_| is_comment);
        let text = if is_comment {
            "comment_text"
        } else {
            "story_text"
        };
        let fields = [
            ("title", item.title.as_deref()),
            ("url", item.url.as_deref()),
            ("author", item.by.as_deref()),
            (text, item.text.as_deref()),
            (
                "story_title",
                story.and_then(|story| story.title.as_deref()),
            ),
            ("story_url", story.and_then(|story| story.url.as_deref())),
        ];
        let mut highlights = Map::new();
        for (name, value) in fields {
            if let Some(value) = value.filter(|_| self.parameters.highlights(name)) {
                highlights.insert(name.to_owned(), self.highlight(value));
            }
        }
        Value::Object(highlights)
    }

    fn highlight(&self, text: &str) -> Value {
        let found = self.highlighter.find(text);
        let wanted = self.highlighter.words().len();
        let level = match found.matched.len() {
            0 => "none",
            some if some < wanted => "partial",
            _ => "full",
        };
        let mut highlight = json!({
            "value": found.mark(text, "<em>", "</em>"),
            "matchLevel": level,
            "matchedWords": found.matched,
        });
        if level != "none" {
            highlight["fullyHighlighted"] = json!(found.is_whole);
        }
        highlight
    }
}

/// Whether an item has a text of a comment.
pub(super) fn is_comment(item: &Item) -> bool {
    item.type_.as_deref() == Some("comment")
}

/// The ids of the comments, in the order of Hacker News.
fn children(item: &Item) -> Value {
    let kids = item.kids.as_deref().unwrap_or("[]");
    serde_json::from_str(kids).unwrap_or_else(|_| json!([]))
}
