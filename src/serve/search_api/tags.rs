//! The filters of the search API: `tags`, `numericFilters` and `filters`. In each of them a comma is AND, and parentheses hold an OR.

use super::answers::ApiError;
use crate::hn::search::filters::{Comparison, Filters, NumberField, Operator, Tag};

/// The most filters of one request.
const MOST: usize = 200;

/// Reads `story,(author_pg,author_dang)`: each part must hold, and of a part in parentheses one is enough.
pub(super) fn read_tags(text: &str) -> Result<Vec<Vec<Tag>>, ApiError> {
    groups(text)?
        .into_iter()
        .map(|group| group.iter().map(|tag| read_tag(tag)).collect())
        .collect()
}

fn read_tag(text: &str) -> Result<Tag, ApiError> {
    let tag = match text {
        "story" | "comment" | "poll" | "pollopt" | "job" => Tag::Type(text.to_owned()),
        "ask_hn" => Tag::AskHn,
        "show_hn" => Tag::ShowHn,
        "front_page" => Tag::FrontPage,
        _ => match text.split_once('_') {
            Some(("author", name)) => author(name),
            Some(("story", id)) => id.parse().map_or(Tag::Nothing, Tag::Story),
            // The original knows no tag by heart: one that no item has finds nothing.
            _ => Tag::Nothing,
        },
    };
    Ok(tag)
}

fn author(name: &str) -> Tag {
    // No database keeps a NUL, and PostgreSQL refuses it.
    if name.contains('\0') {
        return Tag::Nothing;
    }
    Tag::Author(name.to_owned())
}

/// Reads `points>=10,created_at_i<1700000000`, also as a JSON array of texts or of arrays of texts.
pub(super) fn read_numbers(text: &str) -> Result<Vec<Vec<Comparison>>, ApiError> {
    // As JSON, an inner array is an OR, so that it reads like one in parentheses.
    let text = match text
        .trim()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(inner) => inner.replace('[', "(").replace(']', ")").replace('"', ""),
        None => text.to_owned(),
    };
    groups(&text)?
        .into_iter()
        .map(|group| group.iter().map(|one| read_comparison(one)).collect())
        .collect()
}

/// What `filters` adds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ReadFilters {
    pub(super) tags: Vec<Vec<Tag>>,
    pub(super) numbers: Vec<Vec<Comparison>>,
}

/// Reads `author:pg AND (points>10 OR num_comments>10)`.
pub(super) fn read_filters(text: &str) -> Result<ReadFilters, ApiError> {
    let mut read = ReadFilters::default();
    for group in text.split(" AND ").filter(|group| !group.trim().is_empty()) {
        let group = group.trim().trim_start_matches('(').trim_end_matches(')');
        let parts: Vec<&str> = group.split(" OR ").map(str::trim).collect();
        if parts.len() > MOST {
            return Err(too_many());
        }
        if parts.iter().all(|part| part.contains(['<', '=', '>'])) {
            let comparisons = parts.into_iter().map(read_comparison);
            read.numbers.push(comparisons.collect::<Result<_, _>>()?);
        } else {
            let tags = parts.into_iter().map(read_facet);
            read.tags.push(tags.collect::<Result<_, _>>()?);
        }
    }
    Ok(read)
}

/// Reads `author:pg`, `_tags:story` or a bare tag.
fn read_facet(text: &str) -> Result<Tag, ApiError> {
    let unquoted = |text: &str| text.trim_matches(['"', '\'']).to_owned();
    match text.split_once(':') {
        Some(("author", name)) => Ok(author(&unquoted(name))),
        Some(("_tags" | "tags", tag)) => read_tag(&unquoted(tag)),
        Some(("story_id", id)) => Ok(unquoted(id).parse().map_or(Tag::Nothing, Tag::Story)),
        Some(_) => Err(ApiError::bad_request(
            "filters: allowed are author:NAME, _tags:TAG, story_id:ID and comparisons of numbers, with AND and OR",
        )),
        None => read_tag(text),
    }
}

fn read_comparison(text: &str) -> Result<Comparison, ApiError> {
    let bad = || {
        ApiError::bad_request(
            "numericFilters: allowed are created_at_i, points, num_comments and parent_id, with < <= = != >= or >, and a whole number",
        )
    };
    let begin = text.find(['<', '=', '>', '!']).ok_or_else(bad)?;
    let (field, rest) = text.split_at(begin);
    let end = rest.find(|c| !"<=>!".contains(c)).ok_or_else(bad)?;
    let (operator, value) = rest.split_at(end);
    let field = match field.trim() {
        "created_at_i" => NumberField::Time,
        "points" => NumberField::Points,
        "num_comments" => NumberField::Comments,
        "parent_id" => NumberField::Parent,
        _ => return Err(bad()),
    };
    let operator = match operator {
        "<" => Operator::Less,
        "<=" => Operator::AtMost,
        "=" => Operator::Equal,
        "!=" => Operator::NotEqual,
        ">=" => Operator::AtLeast,
        ">" => Operator::More,
        _ => return Err(bad()),
    };
    let value = value.trim();
    // Some clients write the time as a fraction.
    let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
    Ok(Comparison {
        field,
        operator,
        value: whole.parse().map_err(|_| bad())?,
    })
}

/// The parts between commas, each of them a list: of one, or of those in parentheses.
fn groups(text: &str) -> Result<Vec<Vec<String>>, ApiError> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    let mut inner: Option<Vec<String>> = None;
    let mut count = 0;
    let mut part = String::new();
    for c in text.chars().chain([',']) {
        match c {
            '(' if inner.is_none() => inner = Some(Vec::new()),
            ',' | ')' => {
                let done = std::mem::take(&mut part);
                let done = done.trim();
                if !done.is_empty() {
                    count += 1;
                    match &mut inner {
                        Some(inner) => inner.push(done.to_owned()),
                        None => groups.push(vec![done.to_owned()]),
                    }
                }
                if c == ')' {
                    groups.extend(inner.take().filter(|inner| !inner.is_empty()));
                }
            }
            _ => part.push(c),
        }
    }
    // A parenthesis that is never closed.
    groups.extend(inner.filter(|inner| !inner.is_empty()));
    if count > MOST {
        return Err(too_many());
    }
    Ok(groups)
}

/// Refuses a request with too many filters.
pub(super) fn check_count(filters: &Filters) -> Result<(), ApiError> {
    let tags: usize = filters.tags.iter().map(Vec::len).sum();
    let numbers: usize = filters.numbers.iter().map(Vec::len).sum();
    if tags + numbers > MOST {
        return Err(too_many());
    }
    Ok(())
}

fn too_many() -> ApiError {
    ApiError::bad_request(format!("There are too many filters; allowed are {MOST}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_comma_is_and_and_parentheses_hold_an_or() {
        let tag = |name: &str| Tag::Type(name.to_owned());
        let author = |name: &str| Tag::Author(name.to_owned());
        for (text, expected) in [
            ("", vec![]),
            ("story", vec![vec![tag("story")]]),
            (
                "story,author_pg",
                vec![vec![tag("story")], vec![author("pg")]],
            ),
            (
                "author_a_b,(story, poll)",
                vec![vec![author("a_b")], vec![tag("story"), tag("poll")]],
            ),
            (
                "story,(story_1,story_2)",
                vec![vec![tag("story")], vec![Tag::Story(1), Tag::Story(2)]],
            ),
            (
                "(ask_hn,show_hn),front_page",
                vec![vec![Tag::AskHn, Tag::ShowHn], vec![Tag::FrontPage]],
            ),
            ("(story,poll", vec![vec![tag("story"), tag("poll")]]),
            (
                "story_x,unknown",
                vec![vec![Tag::Nothing], vec![Tag::Nothing]],
            ),
            ("(),,", vec![]),
            ("author_\0", vec![vec![Tag::Nothing]]),
        ] {
            assert_eq!(read_tags(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_compared_in_every_spelling_of_the_original() {
        let one = |field, operator, value| Comparison {
            field,
            operator,
            value,
        };
        let points = one(NumberField::Points, Operator::AtLeast, 10);
        let time = one(NumberField::Time, Operator::Less, 1_700_000_000);
        for (text, expected) in [
            (
                "points>=10,created_at_i<1700000000",
                vec![vec![points], vec![time]],
            ),
            (" points >= 10 ", vec![vec![points]]),
            ("created_at_i<1700000000.5", vec![vec![time]]),
            (
                "(points>=10,created_at_i<1700000000)",
                vec![vec![points, time]],
            ),
            (
                r#"["points>=10",["created_at_i<1700000000","points>=10"]]"#,
                vec![vec![points], vec![time, points]],
            ),
            (
                "num_comments!=-1",
                vec![vec![one(NumberField::Comments, Operator::NotEqual, -1)]],
            ),
            ("", vec![]),
        ] {
            assert_eq!(read_numbers(text).unwrap(), expected, "{text}");
        }
        for text in [
            "points",
            "points>",
            "points>x",
            "karma>1",
            "points=>1",
            ">1",
            "points>99999999999999999999",
        ] {
            assert!(read_numbers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn filters_are_read_as_clients_write_them() {
        let parent = |value| Comparison {
            field: NumberField::Parent,
            operator: Operator::Equal,
            value,
        };
        let read = read_filters("parent_id=1 OR parent_id=2").unwrap();
        assert_eq!(read.numbers, [vec![parent(1), parent(2)]]);
        let read =
            read_filters("author:\"pg\" AND (_tags:story OR _tags:poll) AND parent_id=3").unwrap();
        assert_eq!(read.numbers, [vec![parent(3)]]);
        assert_eq!(read.tags[0], [Tag::Author("pg".to_owned())]);
        assert_eq!(read.tags[1].len(), 2);
        assert!(read_filters("color:red").is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_a_fault(text in "[a-z_,()<>=!0-9 \\[\\]\"]{0,40}|\\PC{0,20}") {
            let _ = (read_tags(&text), read_numbers(&text), read_filters(&text));
        }
    }
}
