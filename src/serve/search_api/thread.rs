//! An item with everything below it, as `items/ID` shows it. Comments are in Hacker News's own order: that of `kids`.

use std::collections::{HashMap, HashSet};

use diesel::QueryResult;
use serde_json::{Value, json};

use crate::{
    hn::{
        HnConnection, Item, reads,
        search::{stories::stories, threads::children},
    },
    serve::wording::iso_millis,
};

/// The most items of an answer, and the most levels of comments. No thread is larger.
const ITEMS_MAX: usize = 50_000;
const LEVELS_MAX: usize = 500;

/// The item and everything below it. `None` if it is not stored.
pub(super) fn thread(conn: &mut impl HnConnection, id: i64) -> QueryResult<Option<Value>> {
    conn.snapshot(|conn| {
        let Some(root) = reads::item(conn, id)? else {
            return Ok(None);
        };
        let root = root.item;
        let story = stories(conn, &[id])?.remove(&id);
        let story_id = story.map(|story| story.item.id);
        let levels = levels(conn, root)?;
        Ok(nested(levels, story_id))
    })
}

/// The items of each level, the one that was asked for first. Each item comes once, even if parents form a circle.
fn levels(conn: &mut impl HnConnection, root: Item) -> QueryResult<Vec<Vec<Item>>> {
    let mut seen = HashSet::from([root.id]);
    let mut levels = vec![vec![root]];
    while let Some(above) = levels.last() {
        let mut below = children(conn, above)?;
        below.retain(|item| seen.insert(item.id));
        if below.is_empty() || seen.len() > ITEMS_MAX || levels.len() >= LEVELS_MAX {
            break;
        }
        levels.push(below);
    }
    Ok(levels)
}

/// The JSON of the first level's item, with the levels below it inside.
fn nested(levels: Vec<Vec<Item>>, story_id: Option<i64>) -> Option<Value> {
    // The JSON of each item's children, from the lowest level up.
    let mut below: HashMap<i64, Vec<Value>> = HashMap::new();
    for (depth, level) in levels.into_iter().enumerate().rev() {
        let mut above: HashMap<i64, Vec<Value>> = HashMap::new();
        for item in level {
            let children = below.remove(&item.id).unwrap_or_default();
            let json = json_of(&item, story_id, children);
            if depth == 0 {
                return Some(json);
            }
            if let Some(parent) = item.parent.or(item.poll) {
                above.entry(parent).or_default().push(json);
            }
        }
        below = above;
    }
    None
}

fn json_of(item: &Item, story_id: Option<i64>, below: Vec<Value>) -> Value {
    let is_option = |json: &Value| json["type"] == "pollopt";
    let (options, children): (Vec<Value>, Vec<Value>) = below.into_iter().partition(is_option);
    if item.deleted == Some(true) || item.dead == Some(true) {
        return json!({"id": item.id, "children": children});
    }
    json!({
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
        "children": children,
        "options": options,
    })
}
