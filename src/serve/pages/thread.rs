//! The comments of a thread as elements that open and close, without recursion: a thread may be deeper than a stack.

use std::collections::HashSet;

use super::comment::{CommentHead, text_of};
use crate::hn::reads::{StoredItem, Thread, ThreadNode};

/// Comments nest up to this level, and deeper ones follow each other there. A browser does not nest more than 512 elements.
const NESTED: usize = 40;

/// Comments are moved to the right up to this level.
const INDENTED: usize = 10;

/// A step of writing a thread from top to bottom.
pub(super) enum Row {
    /// A comment begins, and with it what is below it.
    Open(Box<Comment>),
    /// Replies that are not stored.
    Missing(Missing),
    /// The end of a comment with replies.
    CloseNested,
    /// The end of a comment without.
    Close,
}

pub(super) struct Comment {
    pub(super) id: i64,
    pub(super) level: usize,
    pub(super) head: CommentHead,
    pub(super) by: Option<String>,
    /// What it answers, if that is a comment on this page.
    pub(super) parent: Option<i64>,
    pub(super) text: String,
    /// How many comments are below it.
    pub(super) below: usize,
    pub(super) is_open: bool,
    /// Whether elements for replies to it are opened.
    pub(super) nests: bool,
    /// Whether those replies are not moved to the right.
    pub(super) is_deep: bool,
}

pub(super) struct Missing {
    /// How many, with its verb.
    pub(super) what: String,
    /// The id whose page the original shows them on.
    pub(super) at: i64,
}

/// The steps of writing a thread. `changed` are the ids that have earlier versions.
pub(super) fn rows(thread: &Thread, changed: &HashSet<i64>, now: i64) -> Vec<Row> {
    let below = thread.counts_below();
    let mut rows = Vec::with_capacity(2 * thread.rows.len());
    // Whether replies nest in it, for each comment that is open.
    let mut open: Vec<bool> = Vec::new();
    let close = |open: &mut Vec<bool>, rows: &mut Vec<Row>, level: usize| {
        while open.len() > level {
            rows.push(match open.pop() {
                Some(true) => Row::CloseNested,
                _ => Row::Close,
            });
        }
    };
    for (at, row) in thread.rows.iter().enumerate() {
        let level = row.depth.min(NESTED);
        close(&mut open, &mut rows, level);
        match &row.node {
            ThreadNode::Stored(stored) => {
                let is_followed = thread
                    .rows
                    .get(at + 1)
                    .is_some_and(|next| next.depth > row.depth);
                let nests = is_followed && level < NESTED;
                let comment = Comment {
                    nests,
                    is_deep: level + 1 > INDENTED,
                    level,
                    below: below[at],
                    ..Comment::new(stored, row.depth > 0, changed, now)
                };
                rows.push(Row::Open(Box::new(comment)));
                open.push(nests);
            }
            ThreadNode::Missing { parent, ids } => {
                rows.push(Row::Missing(Missing::new(*parent, ids)));
            }
        }
    }
    close(&mut open, &mut rows, 0);
    rows
}

impl Comment {
    fn new(stored: &StoredItem, is_reply: bool, changed: &HashSet<i64>, now: i64) -> Self {
        let item = &stored.item;
        Self {
            id: item.id,
            level: 0,
            head: CommentHead::new(item, now, changed.contains(&item.id)),
            by: item.by.clone(),
            parent: item.parent.filter(|_| is_reply),
            text: text_of(item).into_owned(),
            below: 0,
            is_open: item.dead != Some(true),
            nests: false,
            is_deep: false,
        }
    }
}

impl Missing {
    fn new(parent: i64, ids: &[i64]) -> Self {
        match ids {
            [id] => Self {
                what: format!("Comment {id} is"),
                at: *id,
            },
            _ => Self {
                what: format!("{} comments are", ids.len()),
                at: parent,
            },
        }
    }
}
