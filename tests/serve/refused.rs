//! What the server refuses, and what its refusals say.

use crate::{
    fixture::Mirror,
    http::{Answer, get, request, send},
};

/// Asks with this `Host`.
fn with_host(address: &str, path: &str, host: &str) -> Answer {
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
    )
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

#[test]
fn on_loopback_a_request_for_a_foreign_name_is_refused() {
    let mirror = Mirror::empty();
    let served = mirror.serve_with(|config| config.allowed_hosts = vec!["hn.example".to_owned()]);
    let a = &served.address;
    let port = port(a);
    for path in ["/v0/maxitem.json", "/", "/health", "/metrics", "/x"] {
        for host in [
            "evil.example",
            &format!("evil.example:{port}"),
            "localhost.evil.example",
            "127.0.0.1.evil.example",
        ] {
            let answer = with_host(a, path, host);
            assert_eq!(answer.status, 403, "{path} {host}");
            assert!(!answer.body.contains("evil"), "{answer:?}");
        }
    }
    for host in [
        "localhost",
        &format!("localhost:{port}"),
        a,
        "[::1]:1",
        "HN.example.",
        "hn.example:80",
    ] {
        assert_eq!(with_host(a, "/v0/maxitem.json", host).status, 200, "{host}");
    }
    for head in [
        "GET http://evil.example/v0/maxitem.json HTTP/1.1\r\nHost: localhost",
        "GET /v0/maxitem.json HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
        "GET /v0/maxitem.json HTTP/1.1\r\nX: y",
        "GET /v0/maxitem.json HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
    ] {
        let answer = send(a, &format!("{head}\r\nConnection: close\r\n\r\n"));
        assert!([400, 403].contains(&answer.status), "{head}: {answer:?}");
    }
    let old = send(a, "GET /v0/maxitem.json HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200, "no browser sends this: {old:?}");
}

#[test]
fn beyond_loopback_every_name_is_answered() {
    let mirror = Mirror::empty();
    let served = mirror.serve_with(|config| config.address = "0.0.0.0:0".parse().unwrap());
    let a = format!("127.0.0.1:{}", port(&served.address));
    assert_eq!(with_host(&a, "/v0/maxitem.json", "any.example").status, 200);
}

#[test]
fn an_address_that_is_too_long_is_refused() {
    let served = Mirror::empty().into_served();
    let long = "x".repeat(4_200);
    for path in [
        format!("/v0/user/{long}.json"),
        format!("/v0/maxitem.json?x={long}"),
        format!("/{long}"),
    ] {
        assert_eq!(get(&served.address, &path).status, 414);
    }
    let many = format!("/v0/maxitem.json?{}", "a=1&".repeat(900));
    assert_eq!(get(&served.address, &many).status, 200);
}

#[test]
fn every_page_forbids_scripts_from_elsewhere_and_guessing_of_types() {
    let served = Mirror::empty().into_served();
    for path in ["/", "/nothing", "/v0x"] {
        let answer = get(&served.address, path);
        assert_eq!(
            answer.header("content-type"),
            Some("text/html; charset=utf-8")
        );
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    let page = get(&served.address, "/<script>alert(1)</script>");
    assert!(!page.body.contains("alert"), "{page:?}");
}

#[test]
fn a_database_that_fails_gives_an_error_without_a_path_and_without_sql() {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1}"#.into())]);
    let served = mirror.serve();
    mirror.execute("ALTER TABLE items RENAME TO secret_items");
    let a = &served.address;
    for path in ["/v0/item/1.json", "/v0/maxitem.json", "/v0/updates.json"] {
        let answer = get(a, path);
        answer.is_error(500);
        let body = answer.body.to_lowercase();
        for word in [
            "select", "items", "table", "sqlite", "hn.db", "/tmp", "column",
        ] {
            assert!(!body.contains(word), "{body}");
        }
    }
    mirror.execute("ALTER TABLE secret_items RENAME TO items");
    assert_eq!(
        get(a, "/v0/item/1.json").body,
        r#"{"id":1}"#,
        "it reads again"
    );
}

#[test]
fn a_row_that_another_program_has_spoilt_costs_that_item_only() {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1}"#.into()), (2, r#"{"id":2}"#.into())]);
    mirror.execute("UPDATE items SET text = x'ff00fe' WHERE id = 1");
    let served = mirror.serve();
    let spoilt = get(&served.address, "/v0/item/1.json");
    assert!([200, 500].contains(&spoilt.status), "{spoilt:?}");
    assert_eq!(get(&served.address, "/v0/item/2.json").body, r#"{"id":2}"#);
}

#[test]
fn nothing_that_is_asked_changes_the_database() {
    let mirror = Mirror::of_mock_api();
    let served = mirror.serve();
    let a = &served.address;
    for method in ["PUT", "POST", "PATCH", "DELETE"] {
        let body = ["Content-Type: application/json", "Content-Length: 2"];
        request(a, method, "/v0/item/1.json", &body);
    }
    for path in [
        "/v0/user/x';DROP%20TABLE%20items;--.json",
        "/v0/item/1;DELETE.json",
    ] {
        assert_eq!(get(a, path).body, "null");
    }
    let mut conn = mirror.connect();
    let count = diesel::QueryDsl::count(hn_ingest::hn::schema::items::table);
    let count: i64 = diesel::RunQueryDsl::get_result(count, &mut conn).unwrap();
    assert!(count > 1_900, "{count}");
}

#[test]
fn what_an_api_refuses_is_json_that_any_site_may_read() {
    let served = Mirror::empty().into_served();
    let a = &served.address;
    let long = "x".repeat(4_200);
    for root in ["/v0/maxitem.json", "/api/v1/search"] {
        let foreign = with_host(a, root, "evil.example");
        let too_long = get(a, &format!("{root}?x={long}"));
        for (answer, status) in [(foreign, 403), (too_long, 414)] {
            assert_eq!(answer.status, status, "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let why = if root.starts_with("/v0") {
                &answer.json()["error"]
            } else {
                &answer.json()["message"]
            };
            assert!(why.is_string(), "{answer:?}");
        }
    }
}

#[test]
fn the_search_api_can_be_asked_about_and_read_but_not_written() {
    let served = Mirror::empty().into_served();
    let a = &served.address;
    for path in [
        "/api/v1/search?query=",
        "/api/v1/search_by_date",
        "/api/v1/users/pg",
    ] {
        let (got, head) = (get(a, path), request(a, "HEAD", path, &[]));
        assert_eq!(
            (head.status, head.body.as_str()),
            (got.status, ""),
            "{path}"
        );
        let options = request(a, "OPTIONS", path, &["Origin: https://x.example"]);
        assert_eq!(options.status, 200, "{options:?}");
        let allowed = options.header("access-control-allow-methods");
        assert_eq!(allowed, Some("GET, HEAD, OPTIONS"));
        for method in ["POST", "PUT", "DELETE"] {
            let answer = request(a, method, path, &[]);
            assert_eq!((answer.status, answer.header("allow")), (405, allowed));
            assert_eq!(answer.json()["status"], 405, "{answer:?}");
        }
    }
}

#[test]
fn nothing_that_is_no_page_is_taken_for_one() {
    let served = Mirror::empty().into_served();
    for path in ["/v0/maxitem.json", "/v0/x", "/robots.txt"] {
        let answer = get(&served.address, path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let robots = get(&served.address, "/robots.txt").body;
    assert!(robots.contains("Disallow: /search\nDisallow: /status\n"));
}
