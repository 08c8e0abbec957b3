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
    for option in options.iter().filter(|option| !is_hidden(&option.item)) {
        separate(&mut option_list);
        begin(&mut option_list, &option.item, story_id);
        option_list += END;
    }
    begin(&mut json, root, story_id);
    // How many comments the next one is below.
    let mut open = 0;
    for row in &thread.rows {
        let ThreadNode::Stored(stored) = &row.node else {
            continue;
        };
        while open > row.depth {
            json += END;
            open -= 1;
        }
        separate(&mut json);
        begin(&mut json, &stored.item, story_id);
        open += 1;
    }
    json += &END.repeat(open);
    json += &format!("],\"options\":[{option_list}]}}");
    json
}

/// The end of an item without options, behind its children.
const END: &str = r#"],"options":[]}"#;

fn is_hidden(item: &Item) -> bool {
    item.deleted == Some(true) || item.dead == Some(true)
}

/// Puts a comma behind another element.
fn separate(json: &mut String) {
    if json.ends_with('}') {
        json.push(',');
    }
}

/// Writes an item up to the beginning of its children. Of a dead or deleted one it shows only its place: clients need all keys, and
/// leave out what has no author and no text.
fn begin(json: &mut String, item: &Item, story_id: Option<i64>) {
    let shown = (!is_hidden(item)).then_some(item);
    let fields = json!({
        "id": item.id,
        "created_at": item.time.and_then(iso_millis),
        "created_at_i": item.time,
        "type": item.type_,
        "author": shown.and_then(|item| item.by.as_deref()),
        "title": shown.and_then(|item| item.title.as_deref()),
        "url": shown.and_then(|item| item.url.as_deref()),
        "text": shown.and_then(|item| item.text.as_deref()),
        "points": shown.and_then(|item| item.score),
        "parent_id": item.parent.or(item.poll),
        "story_id": story_id,
    });
    let fields = fields.to_string();
    *json += fields.strip_suffix('}').unwrap_or(&fields);
    *json += r#","children":["#;
}
