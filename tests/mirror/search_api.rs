//! The search API over a mirror, through real sockets: the shapes that clients of hn.algolia.com read.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use hn_ingest::serve::{RunningServer, ServeConfig, Server};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::fixture::Mirror;

/// A story with a thread in which the order of `kids` is not that of the ids, a poll, a job and an Ask HN.
const SQL: &str = r#"
INSERT INTO items (id, type, "by", time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, fetched_at) VALUES
 (1, 'story', 'pg', 1160418111, 'Rust &amp; actors', 'https://example.com/rust', NULL, 57, 4, NULL, NULL, '[4,2,3]', NULL, NULL, NULL, 1700000000),
 (2, 'comment', 'ann', 1160418200, NULL, NULL, 'I don&#x27;t use rust<p>at all', NULL, NULL, 1, NULL, '[5]', NULL, NULL, NULL, 1700000000),
 (3, 'comment', NULL, 1160418300, NULL, NULL, NULL, NULL, NULL, 1, NULL, '[6]', NULL, 1, NULL, 1700000000),
 (4, 'comment', 'bob', 1160418400, NULL, NULL, 'first in rank', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (5, 'comment', 'pg', 1160418500, NULL, NULL, 'rust again', NULL, NULL, 2, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (6, 'comment', 'eve', 1160418600, NULL, NULL, 'below a deleted one', NULL, NULL, 3, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (7, 'comment', 'eve', 1160418700, NULL, NULL, 'rust, and its parent does not list it', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (8, 'comment', 'eve', 1160418800, NULL, NULL, 'rust', NULL, NULL, 1, NULL, NULL, NULL, NULL, 1, 1700000000),
 (9, 'poll', 'bob', 1160419000, 'Poll: rust or go?', NULL, 'vote', 30, 0, NULL, NULL, NULL, '[11,10]', NULL, NULL, 1700000000),
 (10, 'pollopt', 'bob', 1160419000, NULL, NULL, 'Rust', 20, NULL, NULL, 9, NULL, NULL, NULL, NULL, 1700000000),
 (11, 'pollopt', 'bob', 1160419000, NULL, NULL, 'Go', 10, NULL, NULL, 9, NULL, NULL, NULL, NULL, 1700000000),
 (12, 'job', 'ycorp', 1160419100, 'Acme is hiring', 'https://acme.example', NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (13, 'story', 'ann', 1160419200, 'Ask HN: Who uses rust?', NULL, 'Do you?', 300, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (14, 'story', 'ann', 1160419300, 'Show HN: A rust thing', 'https://example.com/thing', NULL, 5, 0, NULL, NULL, NULL, NULL, NULL, NULL, 1700000000),
 (15, 'comment', 'zoe', NULL, NULL, NULL, 'an orphan with rust', NULL, NULL, 999, NULL, NULL, NULL, NULL, NULL, 1700000000);
INSERT INTO lists VALUES ('top', 1, 14, 1700000000), ('top', 2, 1, 1700000000), ('top', 3, 12, 1700000000);
INSERT INTO users (id, created, karma, about, fetched_at) VALUES ('pg', 1160418092, 155111, 'Bug <i>fixer</i>', 1700000000)
"#;

/// A server over a mirror of these items.
struct Served {
    mirror: Mirror,
    server: Option<RunningServer>,
    runtime: Runtime,
}

impl Served {
    fn new() -> Self {
        let served = Self::without_index();
        assert_eq!(served.mirror.run(&["search", "--build"]).exit_code, 0);
        served
    }

    fn without_index() -> Self {
        let mirror = Mirror::new(20_000);
        let mut conn = mirror.connect();
        hn_ingest::hn::migrations::run(&mut conn).unwrap();
        drop(conn);
        mirror.execute("PRAGMA journal_mode = WAL");
        mirror.execute(SQL);
        let runtime = Runtime::new().unwrap();
        let mut config = ServeConfig::default();
        config.address.set_port(0);
        config.threads = 1;
        let server = Server::new(mirror.database()).config(config);
        let server = runtime.block_on(server.start()).unwrap();
        Self {
            mirror,
            server: Some(server),
            runtime,
        }
    }

    fn get(&self, path: &str) -> (u16, String, Value) {
        let (status, head, body) = self.text(path);
        (
            status,
            head,
            serde_json::from_str(&body).unwrap_or_default(),
        )
    }

    fn text(&self, path: &str) -> (u16, String, String) {
        let address = self.server.as_ref().unwrap().address();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn json(&self, path: &str) -> Value {
        let (status, head, json) = self.get(path);
        assert_eq!(status, 200, "{path}: {json}");
        assert!(head.contains("content-type: application/json"), "{head}");
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
        json
    }

    fn ids(&self, path: &str) -> Vec<i64> {
        let json = self.json(path);
        let hits = json["hits"].as_array().unwrap();
        assert_eq!(json["nbHits"].as_u64(), Some(hits.len() as u64), "{path}");
        let id = |hit: &Value| hit["objectID"].as_str().unwrap().parse().unwrap();
        hits.iter().map(id).collect()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }
}

#[test]
fn a_story_and_a_comment_have_the_fields_of_the_original() {
    let served = Served::new();
    let answer = served.json("/api/v1/search?query=rust+actors&tags=story&hitsPerPage=5");
    let envelope = json!({
        "nbHits": 1, "page": 0, "nbPages": 1, "hitsPerPage": 5, "exhaustiveNbHits": true,
        "query": "rust actors", "params": "query=rust+actors&tags=story&hitsPerPage=5",
    });
    for (key, value) in envelope.as_object().unwrap() {
        assert_eq!(&answer[key], value, "{key}");
    }
    assert!(answer["processingTimeMS"].is_u64());
    let story = json!({
        "objectID": "1", "title": "Rust &amp; actors", "url": "https://example.com/rust", "author": "pg", "points": 57,
        "story_text": null, "num_comments": 4, "created_at": "2006-10-09T18:21:51Z",
        "created_at_i": 1160418111, "updated_at": "2023-11-14T22:13:20Z", "children": [4, 2, 3], "story_id": 1,
        "_tags": ["story", "author_pg", "story_1", "front_page"],
        "_highlightResult": {
            "title": {"value": "<em>Rust</em> &amp; <em>actors</em>", "matchLevel": "full", "matchedWords": ["actors", "rust"],
                "fullyHighlighted": true},
            "url": {"value": "https://example.com/<em>rust</em>", "matchLevel": "partial", "matchedWords": ["rust"],
                "fullyHighlighted": false},
            "author": {"value": "pg", "matchLevel": "none", "matchedWords": []},
        },
    });
    assert_eq!(answer["hits"], json!([story]));
    let answer = served.json("/api/v1/search?query=don%27t&tags=comment");
    let comment = json!({
        "objectID": "2", "author": "ann", "points": null,
        "comment_text": "I don&#x27;t use rust<p>at all", "created_at": "2006-10-09T18:23:20Z",
        "created_at_i": 1160418200, "updated_at": "2023-11-14T22:13:20Z", "children": [5], "story_id": 1,
        "story_title": "Rust &amp; actors", "story_url": "https://example.com/rust", "parent_id": 1,
        "_tags": ["comment", "author_ann", "story_1"],
        "_highlightResult": {
            "author": {"value": "ann", "matchLevel": "none", "matchedWords": []},
            "comment_text": {"value": "I <em>don</em>&#x27;<em>t</em> use rust<p>at all", "matchLevel": "full",
                "matchedWords": ["don", "t"], "fullyHighlighted": false},
            "story_title": {"value": "Rust &amp; actors", "matchLevel": "none", "matchedWords": []},
            "story_url": {"value": "https://example.com/rust", "matchLevel": "none", "matchedWords": []},
        },
    });
    assert_eq!(answer["hits"], json!([comment]));
    let orphan = &served.json("/api/v1/search?query=orphan")["hits"][0];
    assert_eq!(
        (&orphan["story_id"], &orphan["created_at"]),
        (&json!(null), &json!(null))
    );
}

#[test]
fn a_hit_has_no_number_that_its_type_lacks() {
    let served = Served::new();
    let hit = |query_string: &str| {
        let answer = served.json(&format!("/api/v1/search?{query_string}"));
        answer["hits"][0].as_object().unwrap().clone()
    };
    let (job, option, story) = (hit("tags=job"), hit("tags=pollopt"), hit("tags=story"));
    assert!(!job.contains_key("num_comments") && !job.contains_key("parent_id"));
    assert!(!option.contains_key("num_comments"));
    assert_eq!(option["parent_id"], 9);
    assert_eq!(story["num_comments"], 0);
    assert!(!story.contains_key("parent_id"));
}

#[test]
fn a_query_is_answered_while_its_last_word_is_typed() {
    let served = Served::new();
    for (query_string, ids) in [
        ("query=orph", &[15][..]),
        ("query=rust+orph", &[15]),
        ("query=rust+orph&tags=comment", &[15]),
        ("query=use+rus&tags=story", &[]),
        ("query=uses+rus&tags=story", &[13]),
        // These words are typed to their end, too short, or no single words.
        ("query=orph+", &[]),
        ("query=orph&queryType=prefixNone", &[]),
        ("query=us", &[]),
        ("query=%22rust+aga%22", &[]),
    ] {
        let path = format!("/api/v1/search?{query_string}");
        assert_eq!(served.ids(&path), ids, "{query_string}");
    }
    let hit = &served.json("/api/v1/search?query=orph")["hits"][0];
    assert_eq!(
        hit["_highlightResult"]["comment_text"]["value"],
        "an <em>orphan</em> with rust"
    );
}

#[test]
fn ask_and_show_are_the_same_with_and_without_the_search_index() {
    let served = Served::new();
    served.mirror.execute(
        "WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 60)
         INSERT INTO items (id, type, \"by\", time, title, score, descendants, dead, fetched_at)
             SELECT 100 + i, iif(i % 20 = 0, 'job', 'story'), iif(i % 3 = 0, 'ann', 'bob'), 1160420000 + i,
                 CASE i % 4 WHEN 0 THEN 'ASK HN: n' WHEN 1 THEN 'Show HN: n' WHEN 2 THEN 'Why ask HN?' ELSE 'n' END,
                 i * 7 % 11, i % 2, iif(i % 15 = 0, 1, NULL), 1700000000 FROM n",
    );
    let answers = || {
        [
            "search?tags=ask_hn",
            "search?tags=show_hn&hitsPerPage=5&page=1",
            "search_by_date?tags=ask_hn&hitsPerPage=5&page=1",
            "search?tags=ask_hn,author_ann",
            "search_by_date?tags=show_hn&numericFilters=points%3E5,created_at_i%3C1160420050",
        ]
        .map(|query| {
            let answer = served.json(&format!("/api/v1/{query}"));
            let hits = answer["hits"].as_array().unwrap();
            let ids: Vec<_> = hits.iter().map(|hit| hit["objectID"].clone()).collect();
            (
                ids,
                answer["nbHits"].clone(),
                hits[0]["_highlightResult"].clone(),
            )
        })
    };
    let with_index = answers();
    assert!(with_index.iter().all(|(ids, ..)| !ids.is_empty()));
    assert_eq!(served.mirror.run(&["search", "--drop"]).exit_code, 0);
    assert_eq!(with_index, answers());
}

#[test]
fn the_front_page_has_thirty_stories() {
    let served = Served::new();
    served.mirror.execute(
        "WITH RECURSIVE n (rank) AS (VALUES (4) UNION ALL SELECT rank + 1 FROM n WHERE rank < 100)
         INSERT INTO lists SELECT 'top', rank, 1000 + rank, 1700000000 FROM n;
         INSERT INTO items (id, type, title, fetched_at) SELECT id, 'story', 'Full', 1700000000 FROM lists WHERE id > 1000",
    );
    let front_page = served.json("/api/v1/search?tags=front_page&hitsPerPage=100");
    assert_eq!(front_page["nbHits"], 30);
    let ids: Vec<i64> = [14, 1, 12].into_iter().chain(1004..=1030).collect();
    assert_eq!(
        served.ids("/api/v1/search?tags=front_page&hitsPerPage=100"),
        ids
    );
    let below = &served.json("/api/v1/search?tags=story_1031")["hits"][0];
    assert_eq!(below["_tags"], json!(["story", "story_1031"]));
}

#[test]
fn tags_and_numbers_limit_a_search_with_and_without_words() {
    let served = Served::new();
    for (parameters, ids) in [
        ("query=rust", &[13, 1, 9, 14, 10, 5, 15, 2, 7][..]),
        ("query=rust&tags=story", &[13, 1, 14]),
        ("query=rust&tags=(story,poll)", &[13, 1, 9, 14]),
        ("query=rust&tags=comment,author_pg", &[5]),
        ("query=rust&tags=comment,story_1", &[5, 2, 7]),
        ("query=rust&tags=comment,(story_1,story_9)", &[5, 2, 7]),
        ("query=rust&tags=ask_hn", &[13]),
        ("query=rust&tags=show_hn", &[14]),
        ("query=rust&tags=front_page", &[1, 14]),
        ("query=rust&numericFilters=points%3E=57", &[13, 1]),
        (
            "query=rust&numericFilters=points%3E=57,created_at_i%3C1160419000",
            &[1],
        ),
        ("query=rust&numericFilters=[%22points%3E100%22]", &[13]),
        (
            "query=rust&filters=parent_id=1%20OR%20parent_id=2&tags=comment",
            &[5, 2, 7],
        ),
        (
            "query=example.com&restrictSearchableAttributes=url",
            &[1, 14],
        ),
        ("query=rust&restrictSearchableAttributes=url", &[1]),
        ("query=pg&restrictSearchableAttributes=author", &[1, 5]),
        (
            "query=rust&restrictSearchableAttributes=comment_text",
            &[10, 5, 15, 2, 7],
        ),
        ("query=%22rust+again%22", &[5]),
        ("query=\"rust+again\"", &[5]),
        ("query=`again+rust`", &[5]),
        ("query=rust+-actors&tags=story", &[13, 14]),
        ("query=rust+-actors&tags=story&advancedSyntax=false", &[1]),
        ("query=acme+orphan&optionalWords=acme+orphan", &[12, 15]),
        ("query=!!!", &[]),
        ("tags=front_page", &[14, 1, 12]),
        ("tags=author_pg", &[1, 5]),
        ("tags=story_1", &[1, 7, 6, 5, 4, 2]),
        ("tags=comment,story_1", &[7, 6, 5, 4, 2]),
        ("tags=story,(story_1,story_13)", &[13, 1]),
        ("tags=story", &[13, 1, 14]),
        ("tags=poll", &[9]),
        ("tags=pollopt", &[10, 11]),
        ("tags=job", &[12]),
        ("tags=ask_hn", &[13]),
        ("tags=nonsense", &[]),
        ("tags=story&numericFilters=points%3C100", &[1, 14]),
        ("numericFilters=num_comments%3E0", &[1]),
        ("numericFilters=num_comments>0", &[1]),
        ("numericFilters=points%3E25", &[13, 1, 9]),
        ("numericFilters=points%3E0", &[13, 1, 9, 10, 11, 14, 12]),
        ("tags=(story,poll)", &[13, 1, 9, 14]),
        ("tags=(comment,poll)", &[15, 9, 7, 6, 5, 4, 2]),
        ("tags=(comment,pollopt)", &[15, 11, 10, 7, 6, 5, 4, 2]),
        ("tags=(story,comment)", &[15, 14, 13, 7, 6, 5, 4, 2, 1]),
        ("tags=author_%00", &[]),
        ("", &[15, 14, 13, 12, 11, 10, 9, 7, 6, 5, 4, 2, 1]),
    ] {
        let path = format!("/api/v1/search?{parameters}");
        assert_eq!(served.ids(&path), ids, "{parameters}");
        let path = format!("/api/v1/search_by_date?{parameters}");
        let mut by_date = served.ids(&path);
        let mut sorted = ids.to_vec();
        sorted.sort_unstable_by_key(|id| -id);
        // An item without a time comes last.
        by_date.sort_unstable_by_key(|id| -id);
        assert_eq!(by_date, sorted, "{parameters}");
    }
    let by_date = "/api/v1/search_by_date?query=rust&tags=comment,story_1";
    assert_eq!(served.ids(by_date), [7, 5, 2]);
}

#[test]
fn pages_follow_each_other_without_a_limit_of_a_thousand() {
    let served = Served::new();
    served.mirror.execute(
        "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 2599)
         INSERT INTO items (id, type, \"by\", time, text, parent, fetched_at)
             SELECT i, 'comment', 'bot', 1200000000 + i, 'a frequent word', 1, 1 FROM n",
    );
    for (path, query) in [
        ("search", "frequent"),
        ("search_by_date", "frequent"),
        ("search_by_date", ""),
    ] {
        let mut ids = Vec::new();
        let mut page = 0;
        loop {
            let path = format!(
                "/api/v1/{path}?query={query}&tags=author_bot&hitsPerPage=1000&page={page}"
            );
            let answer = served.json(&path);
            let hits = answer["hits"].as_array().unwrap();
            if hits.is_empty() {
                break;
            }
            // What is not counted to its end has another page as long as pages are full.
            let expected = if answer["exhaustiveNbHits"] == true {
                (json!(2500), json!(3))
            } else {
                (
                    json!((1000 * (page + 1)).min(2500)),
                    json!((page + 2).min(3)),
                )
            };
            assert_eq!(
                (&answer["nbHits"], &answer["nbPages"]),
                (&expected.0, &expected.1)
            );
            ids.extend(hits.iter().map(|hit| hit["created_at_i"].as_i64().unwrap()));
            page += 1;
        }
        assert_eq!((page, ids.len()), (3, 2500));
        assert!(ids.is_sorted_by(|a, b| a > b));
    }
    let none = served.json("/api/v1/search?query=frequent&hitsPerPage=0");
    assert_eq!((&none["nbHits"], &none["hits"]), (&json!(2500), &json!([])));
}

#[test]
fn a_thread_has_the_order_of_hacker_news_and_hides_what_is_dead_or_deleted() {
    let served = Served::new();
    let thread = served.json("/api/v1/items/1");
    let shape = |node: &Value| -> Value {
        fn shape(node: &Value) -> Value {
            let children = node["children"].as_array().unwrap();
            json!([node["id"], children.iter().map(shape).collect::<Vec<_>>()])
        }
        shape(node)
    };
    assert_eq!(
        shape(&thread),
        json!([
            1,
            [[4, []], [2, [[5, []]]], [3, [[6, []]]], [7, []], [8, []]]
        ])
    );
    let mut story = thread.clone();
    story["children"] = json!([]);
    let expected = json!({
        "id": 1, "created_at": "2006-10-09T18:21:51.000Z", "created_at_i": 1160418111, "type": "story", "author": "pg",
        "title": "Rust &amp; actors", "url": "https://example.com/rust", "text": null, "points": 57, "parent_id": null, "story_id": 1,
        "children": [], "options": [],
    });
    assert_eq!(story, expected);
    let deleted = &thread["children"][2];
    for hidden in [deleted, &thread["children"][4]] {
        for key in ["author", "title", "url", "text", "points"] {
            assert_eq!(hidden.get(key), Some(&Value::Null), "{key} of {hidden}");
        }
        assert!(hidden["created_at_i"].is_i64(), "{hidden}");
    }
    for path in [
        "items/1.json",
        "items/1/",
        "search.json",
        "search/",
        "search_by_date/",
    ] {
        served.json(&format!("/api/v1/{path}"));
    }
    let comment = served.json("/api/v1/items/2");
    assert_eq!(
        (&comment["parent_id"], &comment["story_id"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(comment["children"][0]["text"], "rust again");
    let poll = served.json("/api/v1/items/9");
    let options: Vec<_> = poll["options"]
        .as_array()
        .unwrap()
        .iter()
        .map(|option| &option["text"])
        .collect();
    assert_eq!(options, ["Go", "Rust"]);
    assert_eq!(poll["children"], json!([]));
}

#[test]
fn a_thread_of_1300_comments_comes_whole_and_a_circle_has_an_end() {
    let served = Served::new();
    served.mirror.execute(
        "WITH RECURSIVE n(i) AS (SELECT 10001 UNION ALL SELECT i + 1 FROM n WHERE i < 11300)
         INSERT INTO items (id, type, \"by\", time, text, parent, fetched_at)
             SELECT i, 'comment', 'bot', i, 'text', iif(i % 3 = 0, i - 1, 10000), 1 FROM n;
         INSERT INTO items (id, type, title, fetched_at) VALUES (10000, 'story', 'long', 1);
         INSERT INTO items (id, type, parent, fetched_at) VALUES (20001, 'comment', 20002, 1), (20002, 'comment', 20001, 1)",
    );
    let began = Instant::now();
    let thread = served.json("/api/v1/items/10000");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(thread.to_string().matches("\"created_at_i\"").count(), 1301);
    let circle = served.json("/api/v1/items/20001");
    assert_eq!(circle["children"][0]["id"], 20002);
    assert_eq!(circle["children"][0]["children"], json!([]));
}

#[test]
fn a_very_deep_thread_comes_whole_and_its_comments_know_their_story() {
    let served = Served::new();
    served.mirror.execute(
        "WITH RECURSIVE n(i) AS (SELECT 10001 UNION ALL SELECT i + 1 FROM n WHERE i < 13000)
         INSERT INTO items (id, type, \"by\", time, text, parent, fetched_at) SELECT i, 'comment', 'bot', i, 'text', i - 1, 1 FROM n;
         INSERT INTO items (id, type, title, fetched_at) VALUES (10000, 'story', 'deep', 1)",
    );
    // Deeper than a parser of JSON reads it.
    let (status, _, text) = served.text("/api/v1/items/10000");
    assert_eq!(
        (status, text.matches("\"created_at_i\"").count()),
        (200, 3001)
    );
    assert_eq!(text.matches("\"story_id\":10000").count(), 3001);
    assert!(
        text.ends_with(&r#"],"options":[]}"#.repeat(3001)),
        "{}",
        text.len()
    );
    let deepest = served.json("/api/v1/items/13000");
    assert_eq!(
        (&deepest["story_id"], &deepest["parent_id"]),
        (&json!(10000), &json!(12999))
    );
}

#[test]
fn users_have_the_shape_of_the_original() {
    let served = Served::new();
    let user = served.json("/api/v1/users/pg");
    assert_eq!(
        user,
        json!({"username": "pg", "about": "Bug <i>fixer</i>", "karma": 155111})
    );
}

#[test]
fn errors_are_json_and_say_what_is_wrong() {
    let served = Served::new();
    let long = format!("/api/v1/search?query={}", "x".repeat(2000));
    let tags = "a,".repeat(150);
    let many_tags = format!("/api/v1/search?tags={tags}&tags={tags}");
    let many_words = format!("/api/v1/search?query={}", "x-".repeat(100));
    for (path, status) in [
        ("/api/v1/items/4711", 404),
        ("/api/v1/items/+1", 404),
        ("/api/v1/items/abc", 404),
        ("/api/v1/users/nobody", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/search?page=-1", 400),
        ("/api/v1/search?page=9999999&hitsPerPage=1000", 400),
        ("/api/v1/search?hitsPerPage=many", 400),
        ("/api/v1/search?numericFilters=karma%3E1", 400),
        ("/api/v1/search?query=-rust", 400),
        (&long, 400),
        (&many_tags, 400),
        (&many_words, 400),
    ] {
        let (answered, head, json) = served.get(path);
        assert_eq!(answered, status, "{path}: {json}");
        assert_eq!(json["status"], status, "{path}");
        assert!(json["message"].is_string(), "{path}: {json}");
        assert!(head.contains("application/json"), "{path}: {head}");
    }
    let without = Served::without_index();
    let (status, _, json) = without.get("/api/v1/search?query=rust");
    assert_eq!((status, &json["status"]), (503, &json!(503)));
    assert!(json["message"].as_str().unwrap().contains("search --build"));
    assert_eq!(without.ids("/api/v1/search?tags=front_page"), [14, 1, 12]);
    assert_eq!(without.json("/api/v1/items/1")["children"][0]["id"], 4);
}
