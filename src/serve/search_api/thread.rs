//! An item with everything below it, as `items/ID` shows it. Comments are in Hacker News's own order: that of `kids`.

use diesel::QueryResult;
use serde_json::json;

use crate::{
    hn::{
        HnConnection, Item,
        reads::{self, StoredItem, Thread, ThreadNode},
        search::stories::stories,
    },
    serve::wording::iso_millis,
};

/// The most items of an answer. No thread is larger.
const ITEMS_MAX: usize = 50_000;

/// The item and everything below it, as JSON. `None` if it is not stored.
pub(super) fn thread(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<String>> {
    conn.snapshot(|conn| {
        let Some(root) = reads::item(conn, id)? else {
            return Ok(None);
        };
        let root = root.item;
        let story = stories(conn, &[id])?.remove(&id);
        let thread = reads::thread(conn, &root, ITEMS_MAX)?;
        let options = reads::items(conn, &reads::ids_of(root.parts.as_deref()))?;
        let story_id = story.map(|story| story.item.id);
        Ok(Some(nested(&root, &thread, &options, story_id)))
    })
}

/// Each comment inside the one that it answers. Written without recursion, because a thread may be deeper than a stack.
fn nested(root: &Item, thread: &Thread, options: &[StoredItem], story_id: Option<i64>) -> String {
    let mut json = String::new();
    let mut option_list = String::new();
    for option in options {
        separate(&mut option_list);
        let end = begin(&mut option_list, &option.item, story_id);
        option_list += end.without_options();
    }
    let root_end = begin(&mut json, root, story_id);
    // The ends of the comments that the next one is below.
    let mut open: Vec<End> = Vec::new();
    for row in &thread.rows {
        let ThreadNode::Stored(stored) = &row.node else {
            continue;
        };
        while open.len() > row.depth {
            json += open.pop().map_or("", End::without_options);
        }
        separate(&mut json);
        open.push(begin(&mut json, &stored.item, story_id));
    }
    while let Some(end) = open.pop() {
        json += end.without_options();
    }
    match root_end {
        End::Hidden => json += root_end.without_options(),
        End::Shown => json += &format!("],\"options\":[{option_list}]}}"),
    }
    json
}

/// How an item ends, behind its children.
#[derive(Clone, Copy)]
enum End {
    Shown,
    Hidden,
}

impl End {
    fn without_options(self) -> &'static str {
        match self {
            Self::Shown => r#"],"options":[]}"#,
            Self::Hidden => "]}",
        }
    }
}

/// Puts a comma behind another element.
fn separate(json: &mut String) {
    if json.ends_with('}') {
        json.push(',');
    }
}

/// Writes an item up to the beginning of its children.
fn begin(json: &mut String, item: &Item, story_id: Option<i64>) -> End {
    let (fields, end) = if item.deleted == Some(true) || item.dead == Some(true) {
        (json!({"id": item.id}), End::Hidden)
    } else {
        let fields = json!({
            "id": item.id,
            "created_at": item.time.and_then(iso_millis),
            "created_at_i": item.time,
            "type": item.type_,
            "author": item.by,
            "title": item.title,
            "url": item.url,
            "text": item.text,
            "points": item.score,
            "parent_id": item.parent.or(item.poll),
            "story_id": story_id,
        });
        (fields, End::Shown)
    };
    let fields = fields.to_string();
    *json += fields.strip_suffix('}').unwrap_or(&fields);
    *json += r#","children":["#;
    end
}
