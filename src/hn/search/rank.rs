//! The order of search results: titles before other texts, then a mix of how well the text fits and of its points. Pure, and the
//! same for every database.

use std::cmp::Ordering;

use super::highlight::Highlighter;

/// Points above this number have no effect. So a text that fits better can outweigh any number of points.
const POINTS_MAX: f64 = 3000.0;

/// The weight of the points, relative to that of the text.
const POINTS_WEIGHT: f64 = 0.5;

/// How soon further mentions of a word add less, and how much the length of a text matters: `k1` and `b` of BM25.
const SATURATION: f64 = 1.2;
const LENGTH_WEIGHT: f64 = 0.75;

/// The usual length of a text in bytes.
const USUAL_LENGTH: f64 = 400.0;

/// The score of an item whose words are only in the address or in the author's name.
const ELSEWHERE: f64 = 0.1;

/// What the rank of an item depends on.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) id: i64,
    /// Whether its title alone fits the query.
    pub(crate) in_title: bool,
    pub(crate) title: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) points: Option<i64>,
    pub(crate) comments: Option<i64>,
}

/// The ids of the candidates, the best first.
pub(crate) fn ranked(candidates: Vec<Candidate>, highlighter: &Highlighter) -> Vec<i64> {
    let mut ranks: Vec<_> = candidates
        .iter()
        .map(|candidate| Rank::of(candidate, highlighter))
        .collect();
    ranks.sort_by(Rank::compare);
    ranks.into_iter().map(|rank| rank.id).collect()
}

struct Rank {
    id: i64,
    in_title: bool,
    weight: f64,
    comments: i64,
}

impl Rank {
    fn of(candidate: &Candidate, highlighter: &Highlighter) -> Self {
        let points = candidate.points.unwrap_or(0).max(0) as f64;
        let by_points = 1.0 + POINTS_WEIGHT * points.min(POINTS_MAX).ln_1p();
        let field = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            fit(highlighter.find(text).marks.len(), text.len())
        };
        let fits = if candidate.in_title {
            // All titles are short, and a second mention in one says nothing more.
            1.0
        } else {
            ELSEWHERE + field(&candidate.text) + field(&candidate.title)
        };
        Self {
            id: candidate.id,
            in_title: candidate.in_title,
            weight: fits * by_points,
            comments: candidate.comments.unwrap_or(0),
        }
    }

    /// Puts the better one first. If both are equally good, the newer one is first.
    fn compare(&self, other: &Self) -> Ordering {
        other
            .in_title
            .cmp(&self.in_title)
            .then_with(|| other.weight.total_cmp(&self.weight))
            .then_with(|| other.comments.cmp(&self.comments))
            .then_with(|| other.id.cmp(&self.id))
    }
}

/// How well a text fits, by BM25: each further mention of the words adds less, and a mention in a short text counts more.
fn fit(mentions: usize, length: usize) -> f64 {
    let mentions = mentions as f64;
    let length = 1.0 - LENGTH_WEIGHT + LENGTH_WEIGHT * length as f64 / USUAL_LENGTH;
    mentions * (SATURATION + 1.0) / (mentions + SATURATION * length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::hn::search::query::{SearchQuery, Syntax};

    fn candidate(id: i64, in_title: bool, points: Option<i64>, text: &str) -> Candidate {
        Candidate {
            id,
            in_title,
            title: None,
            text: Some(text.to_owned()),
            points,
            comments: None,
        }
    }

    #[test]
    fn titles_come_first_then_fit_and_points_then_the_newer_one() {
        let long = format!("rust {}", "and other words ".repeat(100));
        let candidates = vec![
            candidate(1, false, None, "rust rust rust"),
            candidate(2, false, None, &long),
            candidate(3, true, Some(1), ""),
            candidate(4, true, Some(500), ""),
            candidate(5, false, Some(2000), "rust"),
            candidate(6, false, None, "rust rust rust"),
            candidate(7, true, None, ""),
            candidate(8, true, Some(i64::MIN), ""),
        ];
        let query = SearchQuery::parse("rust", Syntax::Full).unwrap();
        let ids = ranked(candidates, &Highlighter::of(&query));
        assert_eq!(ids, [4, 3, 8, 7, 5, 6, 1, 2]);
    }
}
