//! No text that a person can type is an error of the database, and what is found is what the query says.

use std::time::Instant;

use diesel::{SqliteConnection, connection::SimpleConnection};
use proptest::prelude::*;

use super::{
    bounds::IdBounds,
    candidates::Rows,
    content::{Columns, Content},
    filters::{Filters, Tag},
    index,
    matching::Matching,
    query::{SearchQuery, Syntax},
    read::{SearchAnswer, search},
    request::{Order, SearchRequest},
    stories::stories,
};
use crate::{
    hn::{migrations::empty_database, reads},
    store::sqlite::{register_within_time, with_deadline},
};

fn database(content: Content) -> SqliteConnection {
    let mut conn = empty_database();
    register_within_time(&mut conn).unwrap();
    conn.batch_execute(
        "INSERT INTO items (id, type, \"by\", title, text, fetched_at) VALUES
            (1, 'story', 'pg', 'Rust actors', NULL, 1), (2, 'comment', 'ann', NULL, 'don&#x27;t c++', 1)",
    )
    .unwrap();
    index::begin(&mut conn, content).unwrap();
    while !index::build_on(&mut conn).unwrap().unwrap().is_complete() {}
    conn
}

fn request(query: SearchQuery, order: Order) -> SearchRequest {
    SearchRequest {
        query,
        columns: Columns::ALL,
        filters: Filters::default(),
        order,
        offset: 0,
        limit: 10,
        corrects: true,
        completes: false,
    }
}

proptest! {
    #[test]
    fn no_text_is_an_error_of_the_database(
        text in "\\PC{0,30}|[-\"*()^:{}+OR a'&\\\\]{0,30}|(?s).{0,20}|(AND|OR|NOT|NEAR|[a-z]{1,4}|[\" (){}:^*+-])( (AND|OR|NOT|NEAR|[a-z]{1,4}|[\"(){}:^*+-])){0,8}"
    ) {
        thread_local! {
            static CONNECTIONS: [std::cell::RefCell<SqliteConnection>; 2] =
                [Content::Everything, Content::Stories].map(|content| std::cell::RefCell::new(database(content)));
        }
        CONNECTIONS.with(|connections| {
            for conn in connections {
                for syntax in [Syntax::Full, Syntax::Words] {
                    let Ok(query) = SearchQuery::parse(&text, syntax) else { continue };
                    for order in [Order::Relevance, Order::Date] {
                        let answer = search(&mut *conn.borrow_mut(), &request(query.clone(), order));
                        prop_assert!(matches!(answer, Ok(SearchAnswer::Found(_))), "{:?}", answer);
                    }
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn pages_beyond_what_is_ranked_hold_the_rest_once_each() {
    let mut conn = empty_database();
    register_within_time(&mut conn).unwrap();
    // 5,000 items; every tenth has the word in its title, the others in their text.
    conn.batch_execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO items (id, type, title, text, score, fetched_at)
             SELECT i, iif(i % 10 = 0, 'story', 'comment'), iif(i % 10 = 0, 'rust', NULL), iif(i % 10 = 0, NULL, 'rust'),
                 iif(i % 10 = 0, i % 97, NULL), 1 FROM n",
    )
    .unwrap();
    index::begin(&mut conn, Content::Everything).unwrap();
    while !index::build_on(&mut conn).unwrap().unwrap().is_complete() {}
    let query = SearchQuery::parse("rust", Syntax::Full).unwrap();
    for order in [Order::Relevance, Order::Date] {
        let mut ids = Vec::new();
        for offset in (0..=5000).step_by(700) {
            let request = SearchRequest {
                offset,
                limit: 700,
                ..request(query.clone(), order)
            };
            let Ok(SearchAnswer::Found(found)) = search(&mut conn, &request) else {
                panic!("nothing found");
            };
            assert_eq!((found.total.count, found.total.is_exact), (5000, true));
            ids.extend(found.hits.iter().map(|hit| hit.item.id));
        }
        let is_title = |id: &i64| id % 10 == 0;
        if order == Order::Relevance {
            assert!(ids[..500].iter().all(is_title));
            assert!(ids[..500].is_sorted_by_key(|id| -(id % 97)));
        } else {
            assert!(ids.is_sorted_by_key(|id| -id));
        }
        assert_eq!(ids.len(), 5000, "{order:?}");
        ids.sort_unstable();
        assert!(ids.iter().copied().eq(1..=5000), "{order:?}");
    }
}

#[test]
fn every_kind_of_search_ends_when_its_time_is_over() {
    let mut conn = database(Content::Everything);
    let words = SearchQuery::parse("rust OR don't", Syntax::Full).unwrap();
    for query in [words, SearchQuery::default()] {
        for order in [Order::Relevance, Order::Date] {
            for tag in [None, Some(Tag::Type("story".into())), Some(Tag::AskHn)] {
                let mut request = request(query.clone(), order);
                tag.into_iter().for_each(|tag| request.filters.add_tag(tag));
                assert!(search(&mut conn, &request).is_ok());
                let late = with_deadline(Instant::now(), || search(&mut conn, &request));
                let error = late.unwrap_err().to_string();
                assert!(error.contains("deadline"), "{request:?}: {error}");
            }
        }
    }
}

#[test]
fn a_page_far_behind_ends_with_the_first_error() {
    let mut conn = database(Content::Everything);
    let query = SearchQuery::parse("rust OR don", Syntax::Full).unwrap();
    let filters = Filters::default();
    let rows = Rows {
        matching: Matching {
            query: &query,
            filters: &filters,
            content: Content::Everything,
        },
        columns: Columns::ALL,
        bounds: IdBounds::default(),
    };
    let mut below = || rows.below(&mut conn, 3, |id| id == 2, 0, 5);
    assert_eq!(below(), Ok(vec![1]));
    let mut far = || rows.below(&mut conn, 3, |_| false, 1_000_000, 5);
    assert_eq!(far(), Ok(vec![]));
    assert!(with_deadline(Instant::now(), far).is_err());
}

#[test]
fn reads_of_several_statements_end_when_their_time_is_over() {
    let mut conn = database(Content::Everything);
    let story = reads::item(&mut conn, 1).unwrap().unwrap().item;
    let place = reads::Place {
        from: i64::MAX,
        skip: 0,
        count: 1,
    };
    let mut read = || {
        [
            stories(&mut conn, &[2]).is_ok(),
            reads::thread(&mut conn, &story, 10).is_ok(),
            reads::newest(&mut conn, place, |_| true).is_ok(),
        ]
    };
    assert_eq!(read(), [true; 3]);
    assert_eq!(with_deadline(Instant::now(), read), [false; 3]);
}
