//! The comments below an item, level by level: a few queries for each level, however many comments it has.

use std::collections::{HashMap, HashSet};

use diesel::QueryResult;

use super::{
    indexed::{BY_PARENT, is_indexed},
    items::{StoredItem, items, items_below},
    kids::ids_of,
};
use crate::{
    hn::{Item, connection::HnConnection},
    store::sqlite::check_deadline,
};

/// The comments below an item, as a page shows them from top to bottom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Thread {
    /// Each comment comes before the replies to it.
    pub rows: Vec<ThreadRow>,
    /// Whether there are more comments than were asked for.
    pub is_cut: bool,
}

/// A place in a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadRow {
    /// 0 for what answers the item itself.
    pub depth: usize,
    /// What is there.
    pub node: ThreadNode,
}

/// What is at a place in a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadNode {
    /// A comment.
    Stored(Box<StoredItem>),
    /// Replies, one after the other, that the database does not hold.
    Missing {
        /// What they answer.
        parent: i64,
        /// Their ids.
        ids: Vec<i64>,
    },
}

/// The comments below an item in the order of `kids`, about `limit` of them at most. Comments that `kids` does not name yet come after
/// those that it does, if an index leads to them.
///
/// # Errors
/// Whatever Diesel says.
pub fn thread(conn: &mut impl HnConnection, root: &Item, limit: usize) -> QueryResult<Thread> {
    let mut levels = Levels {
        has_index: is_indexed(conn, BY_PARENT)?,
        seen: HashSet::from([root.id]),
        ..Levels::default()
    };
    let mut level = vec![(root.id, ids_of(root.kids.as_deref()))];
    let mut is_cut = false;
    while !level.is_empty() {
        is_cut = levels.comments.len() >= limit;
        if is_cut {
            break;
        }
        check_deadline()?;
        level = levels.read(conn, &level)?;
    }
    Ok(Thread {
        rows: levels.into_rows(root.id),
        is_cut,
    })
}

#[derive(Default)]
struct Levels {
    has_index: bool,
    /// Ids that have their place already. Odd data could name one twice, or lead back to it.
    seen: HashSet<i64>,
    comments: HashMap<i64, StoredItem>,
    /// What answers an item, in order.
    replies: HashMap<i64, Vec<i64>>,
}

impl Levels {
    /// Reads what answers these items, and gives what is to be read next: items and their `kids`.
    fn read(
        &mut self,
        conn: &mut impl HnConnection,
        level: &[(i64, Vec<i64>)],
    ) -> QueryResult<Vec<(i64, Vec<i64>)>> {
        let mut named = Vec::new();
        for (parent, kids) in level {
            let new = kids.iter().copied().filter(|kid| self.seen.insert(*kid));
            let new: Vec<i64> = new.collect();
            named.extend_from_slice(&new);
            self.replies.insert(*parent, new);
        }
        let mut found = Vec::new();
        if self.has_index {
            let parents: Vec<i64> = level.iter().map(|(parent, _)| *parent).collect();
            found = items_below(conn, &parents)?;
            found.sort_unstable_by_key(|stored| stored.item.id);
        }
        let by_parent: HashSet<i64> = found.iter().map(|stored| stored.item.id).collect();
        named.retain(|id| !by_parent.contains(id));
        found.extend(items(conn, &named)?);
        let of_level = level
            .iter()
            .filter_map(|(parent, _)| self.replies.get(parent));
        let named: HashSet<i64> = of_level.flatten().copied().collect();
        let mut next = Vec::with_capacity(found.len());
        for stored in found {
            let id = stored.item.id;
            if !named.contains(&id) {
                let parent = stored.item.parent.unwrap_or_default();
                if !self.seen.insert(id) {
                    continue;
                }
                self.replies.entry(parent).or_default().push(id);
            }
            next.push((id, ids_of(stored.item.kids.as_deref())));
            self.comments.insert(id, stored);
        }
        Ok(next)
    }

    /// Puts each comment before its replies. Without recursion, because a thread may be deep.
    fn into_rows(mut self, root: i64) -> Vec<ThreadRow> {
        let mut rows: Vec<ThreadRow> = Vec::with_capacity(self.comments.len());
        // What is still to come, the next one last.
        let mut to_come: Vec<(usize, i64, i64)> = Vec::new();
        let mut push_replies = |to_come: &mut Vec<(usize, i64, i64)>, depth, parent| {
            let replies = self.replies.remove(&parent).unwrap_or_default();
            to_come.extend(replies.into_iter().rev().map(|id| (depth, parent, id)));
        };
        push_replies(&mut to_come, 0, root);
        while let Some((depth, parent, id)) = to_come.pop() {
            if let Some(stored) = self.comments.remove(&id) {
                let node = ThreadNode::Stored(Box::new(stored));
                rows.push(ThreadRow { depth, node });
                push_replies(&mut to_come, depth + 1, id);
                continue;
            }
            match rows.last_mut() {
                Some(ThreadRow {
                    depth: before,
                    node: ThreadNode::Missing { ids, .. },
                }) if *before == depth => ids.push(id),
                _ => rows.push(ThreadRow {
                    depth,
                    node: ThreadNode::Missing {
                        parent,
                        ids: vec![id],
                    },
                }),
            }
        }
        rows
    }
}

impl Thread {
    /// For each row, how many comments are below it.
    #[must_use]
    pub fn counts_below(&self) -> Vec<usize> {
        let mut counts = vec![0; self.rows.len()];
        // The rows that the current one is below of.
        let mut above: Vec<usize> = Vec::new();
        for (at, row) in self.rows.iter().enumerate() {
            above.truncate(row.depth);
            if matches!(row.node, ThreadNode::Stored(_)) {
                above.iter().for_each(|above| counts[*above] += 1);
            }
            above.push(at);
        }
        counts
    }

    /// When the comment was received that was received first.
    #[must_use]
    pub fn oldest_fetched_at(&self) -> Option<i64> {
        let times = self.rows.iter().filter_map(|row| match &row.node {
            ThreadNode::Stored(stored) => Some(stored.fetched_at),
            ThreadNode::Missing { .. } => None,
        });
        times.min()
    }
}
