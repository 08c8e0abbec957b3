//! How a server starts, says how it is, and ends.

use std::{fs, net::TcpListener, thread, time::Duration};

use hn_ingest::serve::{ServeConfig, ServeError, Server};

use crate::{
    fixture::Mirror,
    http::{Events, get, json},
};

#[test]
fn health_says_whether_the_database_can_be_read() {
    let mirror = Mirror::empty();
    let served = mirror.serve();
    let health = get(&served.address, "/health");
    assert_eq!(
        (health.status, health.json()["status"].as_str()),
        (200, Some("ok"))
    );
    assert_eq!(
        get(&served.address, "/metrics").status,
        404,
        "the host gives none"
    );
}

#[test]
fn a_stop_ends_streams_in_order_and_closes_the_port() {
    let mirror = Mirror::empty();
    let mut served = mirror.serve();
    let mut events = Events::open(&served.address, "/v0/maxitem.json");
    events.next().unwrap();
    served.begin_to_stop();
    assert_eq!(events.next(), None);
    served.stop();
    assert!(
        TcpListener::bind(&served.address).is_ok(),
        "the port is free"
    );
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let start = |server: Server| {
        actix_rt::System::new()
            .block_on(server.start())
            .unwrap_err()
    };
    let mirror = Mirror::empty();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = ServeConfig::default();
    config.address = taken.local_addr().unwrap();
    let error = start(Server::new(mirror.path()).config(config));
    assert!(matches!(error, ServeError::Address { .. }), "{error}");
    let missing = mirror.path().with_file_name("missing.db");
    let error = start(Server::new(&missing));
    assert!(matches!(error, ServeError::Database(_)), "{error}");
    assert!(!missing.exists(), "nothing is created");
}

#[test]
fn a_file_that_is_written_meanwhile_is_read_without_waiting() {
    let mirror = Mirror::empty();
    mirror.store_items([(1, r#"{"id":1}"#.into())]);
    let served = mirror.serve();
    let writer = {
        let mut conn = mirror.connect();
        thread::spawn(move || {
            use diesel::connection::SimpleConnection;
            conn.batch_execute("BEGIN IMMEDIATE; UPDATE items SET score = 1")
                .unwrap();
            thread::sleep(Duration::from_millis(200));
            conn.batch_execute("COMMIT").unwrap();
        })
    };
    while !writer.is_finished() {
        assert!(json(&served.address, "item/1").is_object());
    }
    writer.join().unwrap();
}

#[test]
fn a_file_that_was_replaced_is_read_and_one_that_is_gone_is_said() {
    let mirror_of = |id: i64| {
        let mirror = Mirror::empty();
        mirror.store_items([(id, format!(r#"{{"id":{id}}}"#))]);
        mirror.execute("PRAGMA journal_mode = DELETE");
        mirror
    };
    let (mirror, other) = (mirror_of(1), mirror_of(2));
    let served = mirror.serve();
    let a = &served.address;
    let wait = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            thread::sleep(Duration::from_millis(10));
        }
    };
    assert_eq!(json(a, "item/1")["id"], 1);
    assert_eq!(get(a, "/status").status, 200);
    other.execute("INSERT INTO coverage VALUES (1, 500), (601, 1000)");
    fs::rename(other.path(), mirror.path()).unwrap();
    wait(&|| get(a, "/v0/item/2.json").body == r#"{"id":2}"#);
    assert_eq!(get(a, "/v0/item/1.json").body, "null");
    // The watch over the file opens it by itself, a moment later.
    wait(&|| get(a, "/health").status == 200);
    wait(&|| get(a, "/status").body.contains("90.0%"));
    let aside = mirror.path().with_extension("aside");
    fs::rename(mirror.path(), &aside).unwrap();
    wait(&|| get(a, "/health").status == 503);
    let health = get(a, "/health");
    let why = health.json()["reason"].as_str().unwrap().to_owned();
    assert_eq!(why, "the database file was removed or replaced");
    assert_eq!(get(a, "/v0/item/2.json").status, 500);
    fs::rename(&aside, mirror.path()).unwrap();
    wait(&|| get(a, "/health").status == 200);
    assert_eq!(json(a, "item/2")["id"], 2);
}
