//! A server over a mirror on a PostgreSQL server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use hn_ingest::serve::{ServeConfig, Server as WebServer};

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
    let mut config = ServeConfig::default();
    config.address.set_port(0);
    config.look_every = Duration::from_millis(10);
    config.reads.time = Duration::from_secs(2);
    let (started, address) = std::sync::mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let web = std::thread::spawn(move || {
        actix_rt::System::new().block_on(async {
            let web = WebServer::new(url).config(config).start().await.unwrap();
            started.send(web.address().to_string()).unwrap();
            let _ = stopped.await;
            web.stop().await;
        });
    });
    let address = address.recv().unwrap();
    let json =
        |path: &str| -> serde_json::Value { serde_json::from_str(&body(&address, path)).unwrap() };
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
    let failed = get(&address, "/v0/item/3.json");
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
        get(&address, &path).starts_with("HTTP/1.1 5")
    });
    server.start_again();
    wait_until("it reads again", || {
        body(&address, "/v0/item/7/id.json") == "7"
    });
    drop(stop);
    web.join().unwrap();
}
