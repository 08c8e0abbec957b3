//! The results of a search, as a table or as JSON.

use std::{
    collections::HashMap,
    env,
    io::{self, Write},
    time::SystemTime,
};

use serde::Serialize;

use super::excerpt::{Emphasis, emphasize, excerpt};
use crate::{
    cli::{
        printable::{cut, padded, plain_text, printable},
        terminal::{counted, stdout_terminal_width},
    },
    hn::{
        Item,
        reads::StoredItem,
        search::{highlight::Highlighter, read::Found},
    },
    serve::wording::grouped,
};

/// Letters of an excerpt, without its emphasis.
const EXCERPT: usize = 220;

/// Columns before the title.
const POINTS_WIDTH: usize = 6;
const AGE_WIDTH: usize = 5;
const NAME_WIDTH: usize = 15;
const INDENT: usize = POINTS_WIDTH + AGE_WIDTH + 4;

/// What the command prints. The keys of the JSON are part of the program's contract.
#[derive(Serialize)]
pub(super) struct SearchReport {
    command: &'static str,
    /// The database's name.
    database: String,
    /// As it was typed.
    query: String,
    /// What was searched for instead, because nothing had these words.
    corrected: Option<String>,
    /// How many items there are.
    total: u64,
    /// Whether there are no more.
    total_is_exact: bool,
    results: Vec<SearchResult>,
}

/// An item that was found.
#[derive(Serialize)]
struct SearchResult {
    id: i64,
    #[serde(rename = "type")]
    type_: Option<String>,
    by: Option<String>,
    /// In Unix seconds.
    time: Option<i64>,
    points: Option<i64>,
    comments: Option<i64>,
    title: Option<String>,
    url: Option<String>,
    /// A part of the text, without tags and entities.
    excerpt: Option<String>,
    /// The item on Hacker News.
    link: String,
    /// The story that a comment belongs to, if it is stored.
    story_id: Option<i64>,
    story_title: Option<String>,
    #[serde(skip)]
    marked_excerpt: String,
    #[serde(skip)]
    marked_title: String,
}

impl SearchReport {
    pub(super) fn new(
        database: String,
        query: String,
        found: &Found,
        stories: &HashMap<i64, StoredItem>,
    ) -> Self {
        let highlighter = Highlighter::of(&found.query);
        let results = found.hits.iter().map(|hit| {
            let story = stories.get(&hit.item.id).map(|story| &story.item);
            SearchResult::new(&hit.item, story, &highlighter)
        });
        Self {
            command: "search",
            database,
            query,
            corrected: found.is_corrected.then(|| found.query.typed()),
            total: found.total.count,
            total_is_exact: found.total.is_exact,
            results: results.collect(),
        }
    }

    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.results.is_empty() {
            return writeln!(out, "nothing found");
        }
        let width = stdout_terminal_width();
        let is_plain = width.is_none()
            || env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        let emphasis = if is_plain {
            Emphasis::NONE
        } else {
            Emphasis::BOLD
        };
        writeln!(
            out,
            "{:>POINTS_WIDTH$}  {:>AGE_WIDTH$}  {}  title",
            "points",
            "age",
            padded("by", NAME_WIDTH)
        )?;
        for result in &self.results {
            result.write_text(out, width, emphasis)?;
        }
        let shown = self.results.len() as u64;
        let least = if self.total_is_exact { "" } else { "at least " };
        let total = grouped(self.total);
        writeln!(out, "{} of {least}{total}", counted(shown, "result"))
    }
}

impl SearchResult {
    fn new(hit: &Item, story: Option<&Item>, highlighter: &Highlighter) -> Self {
        let text = hit.text.as_deref().unwrap_or_default();
        let marked_excerpt = excerpt(text, highlighter, EXCERPT);
        let title = hit.title.as_deref().unwrap_or_default();
        let plain = emphasize(&marked_excerpt, Emphasis::NONE);
        Self {
            id: hit.id,
            type_: hit.type_.clone(),
            by: hit.by.clone(),
            time: hit.time,
            points: hit.score,
            comments: hit.descendants,
            title: hit.title.as_deref().map(plain_text),
            url: hit.url.clone().filter(|url| !url.is_empty()),
            excerpt: Some(plain).filter(|text| !text.is_empty()),
            link: format!("https://news.ycombinator.com/item?id={}", hit.id),
            story_id: story.map(|story| story.id),
            story_title: story.and_then(|story| story.title.as_deref().map(plain_text)),
            marked_excerpt,
            marked_title: excerpt(title, highlighter, usize::MAX),
        }
    }

    fn write_text(
        &self,
        out: &mut dyn Write,
        width: Option<usize>,
        emphasis: Emphasis,
    ) -> io::Result<()> {
        let points = self
            .points
            .map_or(String::new(), |points| points.to_string());
        let name = printable(self.by.as_deref().unwrap_or_default());
        let before = format!(
            "{points:>POINTS_WIDTH$}  {:>AGE_WIDTH$}  {}  ",
            age(self.time),
            padded(&cut(name, NAME_WIDTH), NAME_WIDTH)
        );
        let title = match (&self.title, &self.story_title) {
            (Some(_), _) => self.marked_title.clone(),
            (None, Some(story)) => format!("on: {story}"),
            (None, None) => self.type_.as_deref().map(printable).unwrap_or_default(),
        };
        writeln!(out, "{before}{}", emphasize(&title, emphasis))?;
        writeln!(out, "{:INDENT$}{}", "", self.link)?;
        if self.marked_excerpt.is_empty() {
            return Ok(());
        }
        let width = width.unwrap_or(usize::MAX).saturating_sub(INDENT).max(40);
        for line in lines(&self.marked_excerpt, width) {
            writeln!(out, "{:INDENT$}{}", "", emphasize(&line, emphasis))?;
        }
        Ok(())
    }
}

/// Breaks a text at blanks. The signs of the emphasis count as letters, so a line is rather too short than too long.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        let length = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && length > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// How long ago something was, in the largest unit.
fn age(time: Option<i64>) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.ok().and_then(|now| i64::try_from(now.as_secs()).ok());
    let (Some(time), Some(now)) = (time, now) else {
        return String::new();
    };
    age_in_seconds(now.saturating_sub(time).max(0))
}

fn age_in_seconds(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let units = [
        (365 * DAY, "y"),
        (30 * DAY, "mo"),
        (DAY, "d"),
        (HOUR, "h"),
        (MINUTE, "m"),
        (1, "s"),
    ];
    let unit = units.into_iter().find(|(length, _)| seconds >= *length);
    let (length, name) = unit.unwrap_or((1, "s"));
    format!("{}{name}", seconds / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_largest_unit() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (3599, "59m"),
            (86_399, "23h"),
            (29 * 86_400, "29d"),
            (364 * 86_400, "12mo"),
            (3 * 365 * 86_400, "3y"),
        ] {
            assert_eq!(age_in_seconds(seconds), text);
        }
    }

    #[test]
    fn a_text_is_broken_at_blanks() {
        assert_eq!(lines("one two three", 8), ["one two", "three"]);
        assert_eq!(lines("onetwothree four", 5), ["onetwothree", "four"]);
    }
}
