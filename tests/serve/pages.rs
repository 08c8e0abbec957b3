//! The pages, as a plain HTTP client sees them. `tests/pages_browser` looks at them in a browser.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::{
    fixture::{Mirror, Served},
    http::{connect, get, request},
};

/// A mirror that holds these items.
fn mirror_of(items: &[Value]) -> Mirror {
    let mirror = Mirror::empty();
    let bodies = items
        .iter()
        .map(|item| (item["id"].as_i64().unwrap(), item.to_string()));
    mirror.store_items(bodies);
    mirror
}

fn comment(id: i64, parent: i64, kids: &[i64]) -> Value {
    json!({"id": id, "type": "comment", "by": format!("u{id}"), "parent": parent, "time": 1_700_000_000, "text": format!("text {id}"),
        "kids": kids})
}

#[track_caller]
fn body(served: &Served, path: &str) -> String {
    let answer = get(&served.address, path);
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    assert_is_safe(&answer.body);
    answer.body
}

/// No page holds a script, a style or a handler of its own.
#[track_caller]
fn assert_is_safe(html: &str) {
    let lower = html.to_lowercase();
    for part in [
        "<style",
        " style=",
        "<img",
        "<iframe",
        "href=\"javascript:",
        "href=\"data:",
    ] {
        assert!(!lower.contains(part), "{part}: {html}");
    }
    assert_eq!(lower.matches("<script").count(), 1, "{html}");
}

/// Each of these texts must come after the one before.
#[track_caller]
fn assert_in_order(html: &str, texts: &[&str]) {
    let mut rest = html;
    for text in texts {
        let Some((_, after)) = rest.split_once(text) else {
            panic!("{text} is not there, or not after those before it: {texts:?}: {html}");
        };
        rest = after;
    }
}

#[test]
fn a_list_has_its_order_its_ranks_and_a_link_to_its_next_page() {
    let items: Vec<Value> = (1..=40)
        .map(|id| json!({"id": id, "type": "story", "by": "pg", "time": 1_700_000_000, "title": format!("Title {id} &amp; more"), "score": id,
            "descendants": 0, "url": format!("https://www.site{id}.example/")}))
        .collect();
    let mirror = mirror_of(&items);
    let ids: Vec<i64> = (1..=40).rev().chain([99]).collect();
    hn_ingest::hn::List::Top
        .keep(&mut mirror.connect(), &ids)
        .unwrap();
    let served = mirror.into_served();
    let first = body(&served, "/");
    assert_in_order(
        &first,
        &[
            "As of",
            ">1</span>",
            "Title 40 &#38; more",
            "site40.example",
            "Title 39",
            ">30</span>",
            "Title 11",
            "/?p=2",
        ],
    );
    assert!(!first.contains("Title 10 "));
    let second = body(&served, "/news?p=2");
    assert_in_order(
        &second,
        &[
            ">31</span>",
            "Title 10 ",
            "Title 1 ",
            "Item 99 is not stored",
            "https://news.ycombinator.com/item?id=99",
        ],
    );
    assert!(!second.contains("p=3"));
    assert!(body(&served, "/?p=3").contains("no such page"));
    assert!(body(&served, "/best").contains("not stored in this mirror"));
    // Without a list, by the ids.
    let newest = body(&served, "/newest");
    assert_in_order(&newest, &["Title 40", "Title 11", "next=10&#38;n=31"]);
    assert_in_order(
        &body(&served, "/newest?next=10&n=31"),
        &[">31</span>", "Title 10 ", "Title 1 "],
    );
    assert_in_order(
        &body(&served, "/newest?p=2"),
        &[">31</span>", "Title 10 ", "Title 1 "],
    );
    let of_site = body(&served, "/from?site=site7.example");
    assert!(
        of_site.contains("Title 7 ") && !of_site.contains("Title 17"),
        "{of_site}"
    );
}

#[test]
fn a_thread_is_whole_in_the_order_of_kids_with_or_without_the_index() {
    let mut items = vec![
        json!({"id": 1, "type": "story", "title": "Root", "time": 1_700_000_000, "kids": [5, 2, 77], "descendants": 6}),
    ];
    items.extend([
        comment(2, 1, &[3]),
        comment(3, 2, &[]),
        comment(5, 1, &[6, 4]),
        comment(4, 5, &[]),
        comment(6, 5, &[]),
    ]);
    items.push(
        json!({"id": 8, "type": "comment", "parent": 3, "deleted": true, "time": 1_700_000_000}),
    );
    items.push(json!({"id": 7, "type": "comment", "parent": 6, "dead": true, "by": "x", "text": "gone", "kids": [9]}));
    items.push(comment(9, 7, &[7, 9]));
    let mirror = mirror_of(&items);
    mirror.execute(
        "UPDATE items SET kids = '[7]' WHERE id = 6; UPDATE items SET kids = '[8]' WHERE id = 3",
    );
    for index in ["", "CREATE INDEX items_by_parent ON items (parent)"] {
        mirror.execute(index);
        let served = mirror.serve();
        let page = body(&served, "/item?id=1");
        let order: Vec<&str> = page
            .split("class=\"comment\" id=\"")
            .skip(1)
            .map(|part| &part[..1])
            .collect();
        assert_eq!(order, ["5", "6", "7", "9", "4", "2", "3", "8"], "{index}");
        assert_in_order(&page, &["[dead]", "[deleted]", "Comment 77 is not stored"]);
        assert_eq!(page.matches("<details open>").count(), 7);
        assert_eq!(
            page.matches("<details").count(),
            page.matches("</details>").count()
        );
        assert_eq!(page.matches("<div").count(), page.matches("</div>").count());
        let part = body(&served, "/item?id=6");
        assert_in_order(
            &part,
            &[
                "Comment on",
                "/item?id=1",
                "Root",
                "/item?id=5",
                "text 6",
                "id=\"7\"",
            ],
        );
    }
    // A comment that its parent does not name yet is found by the index.
    mirror.store_items([(10, comment(10, 1, &[]).to_string())]);
    let page = body(&mirror.serve(), "/item?id=1");
    assert_in_order(&page, &["id=\"5\"", "id=\"2\"", "id=\"10\""]);
}

#[test]
fn a_very_deep_and_a_very_wide_thread_are_shown_whole() {
    let deep: Vec<Value> = (2..=700).map(|id| comment(id, id - 1, &[id + 1])).collect();
    let kids: Vec<i64> = [2].into_iter().chain(1000..2400).collect();
    let wide = kids[1..].iter().map(|id| comment(*id, 1, &[]));
    let root = json!({"id": 1, "type": "story", "title": "Root", "kids": kids});
    let items: Vec<Value> = [root].into_iter().chain(deep).chain(wide).collect();
    let page = body(&mirror_of(&items).into_served(), "/item?id=1");
    assert_eq!(page.matches("class=\"comment\"").count(), 699 + 1400);
    // Elements nest far less than browsers allow.
    let mut depth = 0_i32;
    let deepest = page.match_indices("<").map(|(at, _)| {
        let rest = &page[at..];
        let opens = ["<article", "<details", "<div"]
            .iter()
            .any(|name| rest.starts_with(name));
        let closes = ["</article", "</details", "</div"]
            .iter()
            .any(|name| rest.starts_with(name));
        depth += i32::from(opens) - i32::from(closes);
        depth
    });
    assert!(deepest.max().unwrap() < 200);
    assert_eq!(depth, 0);
}

#[test]
fn polls_jobs_users_and_their_works_have_their_pages() {
    let mirror = mirror_of(&[
        json!({"id": 1, "type": "poll", "by": "a b", "title": "Which?", "parts": [3, 2], "score": 1, "descendants": 0}),
        json!({"id": 2, "type": "pollopt", "by": "a b", "poll": 1, "text": "Second", "score": 2}),
        json!({"id": 3, "type": "pollopt", "by": "a b", "poll": 1, "text": "First", "score": 1}),
        json!({"id": 4, "type": "job", "by": "a b", "title": "Work", "text": "With <i>us</i>", "score": 1}),
        comment(5, 1, &[]),
    ]);
    mirror.execute("UPDATE items SET \"by\" = 'a b' WHERE id = 5");
    mirror.store_user("a b", &json!({"id": "a b", "karma": 12345, "created": 1_600_000_000, "about": "<p>I", "submitted": [1, 4, 5, 6]}).to_string());
    let served = mirror.into_served();
    assert_in_order(
        &body(&served, "/item?id=1"),
        &["Which?", "First", "1 point", "Second", "2 points"],
    );
    assert_in_order(&body(&served, "/item?id=4"), &["Work", "With <i>us</i>"]);
    let user = body(&served, "/user?id=a+b");
    assert_in_order(
        &user,
        &["a b", "12,345", "/submitted?id=a+b", "/threads?id=a+b"],
    );
    assert_in_order(&body(&served, "/submitted?id=a+b"), &["Work", "Which?"]);
    assert_in_order(
        &body(&served, "/threads?id=a+b"),
        &["/item?id=1", "Which?", "text 5"],
    );
    assert!(!body(&served, "/threads?id=a+b").contains("Second"));
    assert_in_order(&body(&served, "/newcomments"), &["Which?", "text 5"]);
}

#[test]
fn an_author_without_a_stored_profile_has_a_page_with_links() {
    let mirror = mirror_of(&[comment(5, 1, &[])]);
    mirror
        .execute("UPDATE items SET \"by\" = 'a b'; CREATE INDEX items_by_author ON items (\"by\")");
    let served = mirror.into_served();
    assert_in_order(
        &body(&served, "/user?id=a+b"),
        &[
            "a b",
            "does not hold the profile",
            "/submitted?id=a+b",
            "/threads?id=a+b",
        ],
    );
    assert_eq!(get(&served.address, "/user?id=A+b").status, 404);
}

#[test]
fn earlier_versions_are_linked_and_shown() {
    let story =
        |title: &str| json!({"id": 1, "type": "story", "title": title, "time": 1_700_000_000});
    let mirror = mirror_of(&[story("Old words")]);
    mirror.execute("UPDATE items SET title = 'New words' WHERE id = 1");
    let served = mirror.into_served();
    assert!(body(&served, "/item?id=1").contains("/history?id=1"));
    let history = body(&served, "/history?id=1");
    assert_in_order(
        &history,
        &["New words", "<del>Old</del><ins>New</ins> words"],
    );
    assert_eq!(get(&served.address, "/history?id=2").status, 404);
}

#[test]
fn fields_are_escaped_on_every_page() {
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let mirror = mirror_of(&[
        json!({"id": 1, "type": "story", "by": evil, "title": evil, "url": "javascript:alert(1)", "text": evil, "score": 1, "kids": [2],
            "descendants": 1, "time": 1_700_000_000}),
        json!({"id": 2, "type": "comment", "by": evil, "parent": 1, "text": format!("</div></article>{evil}<a href=\"javascript:x\">a</a>")}),
    ]);
    mirror.store_user(
        evil,
        &json!({"id": evil, "about": evil, "submitted": [1, 2]}).to_string(),
    );
    mirror.execute("UPDATE items SET title = title || '2', type = 'story' WHERE id = 1");
    hn_ingest::hn::List::Top
        .keep(&mut mirror.connect(), &[1])
        .unwrap();
    let served = mirror.into_served();
    let name: String = evil.bytes().map(|b| format!("%{b:02X}")).collect();
    for path in [
        "/",
        "/newest",
        "/newcomments",
        "/item?id=1",
        "/item?id=2",
        "/history?id=1",
        "/status",
    ] {
        body(&served, path);
    }
    for path in [
        "user?id",
        "submitted?id",
        "threads?id",
        "search?q",
        "from?site",
    ] {
        body(&served, &format!("/{path}={name}"));
    }
    assert!(
        body(&served, "/item?id=1").contains("javascript:alert(1)</p>"),
        "shown as text"
    );
    for path in [
        format!("/{name}"),
        format!("/item?id={name}"),
        format!("/user?id={name}x"),
    ] {
        let answer = get(&served.address, &path);
        assert!([400, 404].contains(&answer.status), "{path}");
        assert_is_safe(&answer.body);
    }
}

#[test]
fn headers_forbid_what_pages_do_not_need_and_errors_are_pages_too() {
    let served = mirror_of(&[comment(1, 9, &[])]).into_served();
    for (path, status) in [
        ("/", 200),
        ("/item?id=1", 200),
        ("/item", 400),
        ("/item?id=0x1", 400),
        ("/item?id=99999999999999999999", 400),
        ("/item?id=5", 404),
        ("/user?id=", 400),
        ("/user?id=nobody", 404),
        ("/user?id=%00", 404),
        ("/submitted?id=%00", 404),
        ("/from", 400),
        ("/history?id=-1", 400),
        ("/nothing", 404),
        ("/assets/style.0.css", 404),
        ("/%ff", 404),
        ("/newest?next=x&n=-1&p=99999999999", 200),
    ] {
        let answer = get(&served.address, path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(
            answer.body.contains("<main") && answer.body.contains("<h1"),
            "{path}"
        );
    }
    assert!(
        get(&served.address, "/item?id=5")
            .body
            .contains("https://news.ycombinator.com/item?id=5")
    );
    let post = request(&served.address, "POST", "/item?id=1", &[]);
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
    let head = request(&served.address, "HEAD", "/item?id=1", &[]);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    // The files that pages name are kept by browsers.
    let page = get(&served.address, "/").body;
    for file in page.split("\"/assets/").skip(1) {
        let file = get(
            &served.address,
            &format!("/assets/{}", file.split('"').next().unwrap()),
        );
        assert_eq!(file.status, 200);
        assert!(file.header("cache-control").unwrap().contains("immutable"));
    }
}

#[test]
fn the_dashboard_shows_the_status_and_its_stream_sends_it() {
    let mirror = mirror_of(&[comment(1, 9, &[])]);
    mirror.execute(
        "INSERT INTO coverage VALUES (1, 500), (601, 1000);
         INSERT INTO failures VALUES (7, 'storage', 'no such table: secret', 1, 1), (8, 'status', 'status 403', 1, 1)",
    );
    let served = mirror.into_served();
    let page = body(&served, "/status");
    assert_in_order(
        &page,
        &[
            "items",
            "<svg",
            "90.0%",
            "1 hole with 100 ids",
            "501–600",
            "status: 1",
            "status 403",
            "storage: 1",
        ],
    );
    assert!(!page.contains("secret"));
    let mut stream = connect(&served.address);
    let address = &served.address;
    write!(
        stream,
        "GET /status/events HTTP/1.1\r\nHost: {address}\r\n\r\n"
    )
    .unwrap();
    let mut sent = String::new();
    while !sent.contains("90.0%") {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).unwrap();
        assert!(read > 0, "{sent}");
        sent.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(sent.contains("x-content-type-options: nosniff"), "{sent}");
    assert!(
        sent.contains("text/event-stream") && sent.contains("event: status\ndata: <p"),
        "{sent}"
    );
}
