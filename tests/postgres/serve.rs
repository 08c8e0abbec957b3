//! A server over a mirror on a PostgreSQL server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use hn_ingest::serve::{ServeConfig, Server as WebServer};
use tokio::sync::oneshot;

use crate::{
    common::{Api, Sandbox, wait_until},
    server::{DATABASE, PASSWORD, Server},
};

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn body(address: &str, path: &str) -> String {
    let answer = get(address, path);
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// A server of pages and of the API, in a thread of its own. It ends when it is dropped.
struct Web {
    address: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    fn start(url: String) -> Self {
        let mut config = ServeConfig::default();
        config.address.set_port(0);
        config.look_every = Duration::from_millis(10);
        config.reads.time = Duration::from_secs(2);
        let (started, address) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            actix_rt::System::new().block_on(async {
                let web = WebServer::new(url).config(config).start().await.unwrap();
                started.send(web.address().to_string()).unwrap();
                let _ = stopped.await;
                web.stop().await;
            });
        });
        Self {
            address: address.recv().unwrap(),
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

#[test]
fn a_mirror_on_a_server_is_served_and_its_changes_are_seen() {
    let mut server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    let odd = r#"{"id":7,"text":"a\u0000b","new":null}"#;
    api.item(7, [hn_ingest::test_util::Reply::json(odd)]);
    for args in [
        &["top", "--database", &url][..],
        &["items", "7", "--database", &url],
    ] {
        api.list("top", [3, 1, 2]);
        sandbox.ingest(&api, args).exits(0);
    }
    let web = Web::start(url);
    let address = &*web.address;
    let json =
        |path: &str| -> serde_json::Value { serde_json::from_str(&body(address, path)).unwrap() };
    assert_eq!(json("/v0/topstories.json"), serde_json::json!([3, 1, 2]));
    let wanted: serde_json::Value = serde_json::from_str(odd).unwrap();
    assert_eq!(json("/v0/item/7.json"), wanted);
    assert_eq!(json("/v0/maxitem.json"), 7);
    assert!(json("/v0/updates.json")["items"].is_array());
    for path in ["/v0/user/%00.json", "/v0/user/x.json", "/v0/item/999.json"] {
        assert!(json(path).is_null());
    }
    server.execute("UPDATE items SET score = 99 WHERE id = 7");
    wait_until("the change is seen", || json("/v0/item/7/score.json") == 99);

    server.execute("ALTER TABLE items RENAME TO secret_items");
    // Nobody has asked for this one, so no cache has it.
    let failed = get(address, "/v0/item/3.json");
    assert!(failed.starts_with("HTTP/1.1 500"), "{failed}");
    for word in ["secret", "items", "relation", PASSWORD, "postgres"] {
        assert!(!failed.contains(word), "{failed}");
    }
    server.execute("ALTER TABLE secret_items RENAME TO items");
    assert_eq!(json("/v0/item/7/id.json"), 7);
    server.kill();
    // The processes of a server that was killed may answer for a moment. Each id is asked for once, so no cache has it.
    let mut ids = 1000..;
    wait_until("reads fail", || {
        let path = format!("/v0/item/{}.json", ids.next().unwrap());
        get(address, &path).starts_with("HTTP/1.1 5")
    });
    server.start_again();
    wait_until("it reads again", || {
        body(address, "/v0/item/7/id.json") == "7"
    });
}

#[test]
fn each_page_shows_a_mirror_on_a_server() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    sandbox
        .ingest(&api, &["items", "1", "--database", &url])
        .exits(0);
    server.execute(
        "INSERT INTO items (id, type, \"by\", time, title, url, text, score, descendants, parent, kids, dead, fetched_at) VALUES
             (11, 'story', 'ann', 1700000000, 'Made of iron', 'https://example.com/iron', NULL, 40, 2, NULL, '[13,12]', NULL, 1700000100),
             (12, 'comment', 'bob', 1700000010, NULL, NULL, 'first <i>said</i>', NULL, NULL, 11, NULL, NULL, 1700000100),
             (13, 'comment', 'eve', 1700000020, NULL, NULL, 'then said', NULL, NULL, 11, NULL, NULL, 1700000100),
             (14, 'job', 'ann', 1700000030, 'Hiring smiths', NULL, NULL, 1, NULL, NULL, NULL, NULL, 1700000100),
             (15, 'story', 'ann', 1700000040, 'Show HN: An anvil', NULL, 'Look', 3, 0, NULL, NULL, NULL, 1700000100);
         INSERT INTO lists SELECT list, 1, 11, 1700000100 FROM unnest(ARRAY['top', 'best', 'ask', 'show', 'job']) AS list
             ON CONFLICT DO NOTHING;
         INSERT INTO users (id, created, karma, about, fetched_at) VALUES ('ann', 1600000000, 7, 'a <b>smith</b>', 1700000100);
         UPDATE items SET title = 'Made of steel' WHERE id = 11",
    );
    let build = ["search", "--build", "--database", &url];
    sandbox.run(&build).exits(0);
    let web = Web::start(url);
    for (path, text) in [
        ("/", "Made of steel"),
        ("/best", "Made of steel"),
        ("/ask", "Made of steel"),
        ("/show", "Made of steel"),
        ("/jobs", "Made of steel"),
        ("/newest", "An anvil"),
        ("/newcomments", "then said"),
        ("/item?id=11", "<i>said</i>"),
        ("/item?id=12", "first <i>said</i>"),
        ("/user?id=ann", "smith"),
        ("/submitted?id=ann", "Hiring smiths"),
        ("/threads?id=eve", "then said"),
        ("/from?site=example.com", "Made of steel"),
        ("/search?q=steel", "Made of steel"),
        ("/search?q=said", "<mark>said</mark>"),
        ("/history?id=11", "iron"),
        ("/status", "items"),
        ("/api/v1/items/11", "\"text\":\"then said\""),
        ("/api/v1/users/ann", "\"karma\":7"),
        ("/api/v1/search?query=said&tags=comment", "<em>said</em>"),
    ] {
        let answer = get(&web.address, path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(answer.contains(text), "{path}: {answer}");
    }
}
