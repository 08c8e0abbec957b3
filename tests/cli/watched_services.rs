//! How whoever runs `follow` as a service sees what it does: `sd_notify` and `/health`.

use std::{
    os::unix::net::UnixDatagram,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hn_ingest::test_util::{Latch, Reply};

use crate::{
    common::{Api, Call, Running, Sandbox, address_of, get, wait_until},
    serve::Served,
};

/// A service manager in this folder, whose watchdog expects a message every second.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(sandbox: &Sandbox, name: &str) -> Self {
        let socket = UnixDatagram::bind(sandbox.path(name)).unwrap();
        let limit = Some(Duration::from_secs(30));
        socket.set_read_timeout(limit).unwrap();
        Self(socket)
    }

    /// Reads messages until one begins so.
    fn wait_for(&self, begin: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.0.recv(&mut buffer).unwrap();
            let message = str::from_utf8(&buffer[..length]).unwrap();
            if message.starts_with(begin) {
                return message.to_owned();
            }
        }
    }
}

fn follow(sandbox: &Sandbox, socket: &str) -> Call {
    sandbox
        .call(&["follow", "--demo"])
        .env("NOTIFY_SOCKET", sandbox.text(socket))
        .env("WATCHDOG_USEC", "1000000")
}

fn end(running: Running, manager: &Manager) {
    running.signal("TERM");
    manager.wait_for("STOPPING=1");
    running.wait().exits(143);
}

#[test]
fn a_service_manager_hears_when_follow_begins_what_it_does_that_it_lives_and_when_it_ends() {
    let sandbox = Sandbox::new();
    let (first, second) = ("first.socket", "second.socket");
    let managers = [first, second].map(|name| Manager::listen(&sandbox, name));
    let follower = follow(&sandbox, first).start();
    managers[0].wait_for("READY=1");
    managers[0].wait_for("WATCHDOG=1");
    let status = managers[0].wait_for("STATUS=newest ");
    assert!(!status.contains('\n'), "{status}");

    let standby = follow(&sandbox, second).start();
    managers[1].wait_for("READY=1");
    let status = managers[1].wait_for("STATUS=stands by");
    let holder = format!("process {} ", follower.id());
    assert!(status.contains(&holder), "{status}");
    managers[1].wait_for("WATCHDOG=1");

    end(follower, &managers[0]);
    managers[1].wait_for("STATUS=newest ");
    end(standby, &managers[1]);
}

#[test]
fn follow_goes_on_although_its_service_manager_is_gone() {
    let sandbox = Sandbox::new();
    let mut running = follow(&sandbox, "no.socket")
        .args(&["--metrics", "127.0.0.1:0"])
        .env("RUST_LOG", "hn_ingest=info")
        .start();
    let address = address_of(&mut running);
    wait_until("an item is stored", || {
        let text = get(&address, "/metrics");
        let freshness = "ingest_freshness_seconds_count ";
        text.lines()
            .any(|line| line.starts_with(freshness) && !line.ends_with(" 0"))
    });
    running.signal("TERM");
    running.wait().exits(143);
}

/// An API whose streams are silent until the latch opens.
fn silent_api(latch: &Latch) -> Api {
    let api = Api::of_stories();
    let silent = || Reply::event_stream("").then_silence();
    for document in ["top", "new", "best", "ask", "show", "job"] {
        let path = format!("/v0/{document}stories.json");
        api.0.on(path, [silent()]);
    }
    api.0.on("/v0/updates.json", [silent()]);
    let put = "event: put\ndata: {\"path\":\"/\",\"data\":5}\n\n";
    let alive = "event: keep-alive\ndata: null\n\n";
    api.0.on(
        "/v0/maxitem.json",
        [
            Reply::json("5"),
            Reply::event_stream(put).then_silence(),
            Reply::event_stream("")
                .then_when(latch, alive)
                .then_silence(),
        ],
    );
    api
}

/// Ends the silence, also for a process that has no stream at this moment and asks for the largest id instead.
fn speak(api: &Api, latch: &Latch) {
    api.0.on("/v0/maxitem.json", [Reply::json("5")]);
    latch.open();
}

/// A clock on which a minute is a second.
pub(crate) fn fast_clock() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = now.as_secs_f64();
    format!("{now}/{now}*60")
}

#[test]
fn a_minute_of_silence_is_unhealthy_until_something_is_heard() {
    let (sandbox, latch) = (Sandbox::new(), Latch::new());
    let api = silent_api(&latch);
    let mut running = sandbox
        .call_with(&api, &["follow", "--metrics", "127.0.0.1:0"])
        .env("RUST_LOG", "hn_ingest=info")
        .env("INGEST_TEST_CLOCK", fast_clock())
        .start();
    let address = address_of(&mut running);
    wait_until("it is unhealthy", || {
        let answer = get(&address, "/health");
        let is_unhealthy = answer.starts_with("HTTP/1.1 503 ");
        let why = "nothing was heard from the API for ";
        assert_eq!(answer.contains(why), is_unhealthy, "{answer}");
        is_unhealthy
    });
    let text = get(&address, "/metrics");
    assert!(text.contains("ingest_freshness_seconds"), "{text}");
    speak(&api, &latch);
    wait_until("it is healthy", || {
        get(&address, "/health").starts_with("HTTP/1.1 200 ")
    });
    running.signal("TERM");
    running.wait().exits(143);
}

#[test]
fn a_server_that_follows_is_unhealthy_after_a_minute_of_silence_and_serves_on() {
    let (sandbox, latch) = (Sandbox::new(), Latch::new());
    let api = silent_api(&latch);
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    let serve = ["serve", "--follow", "--bind", "127.0.0.1:0"];
    let call = sandbox.call(&serve).env("INGEST_API_URL", api.url());
    let served = Served::of(call.env("INGEST_TEST_CLOCK", fast_clock()).start());
    wait_until("it is unhealthy", || {
        let answer = served.get("/health");
        let is_unhealthy = answer.starts_with("HTTP/1.1 503 ");
        let why = r#""reason":"nothing was heard from the API for "#;
        assert_eq!(answer.contains(why), is_unhealthy, "{answer}");
        is_unhealthy
    });
    let item = served.get("/v0/item/1.json");
    assert!(item.contains("\"id\":1"), "{item}");
    speak(&api, &latch);
    wait_until("it is healthy", || {
        served.get("/health").contains(r#"{"status":"ok"}"#)
    });
    served.running.signal("TERM");
    served.running.wait().exits(143);
}

#[test]
fn a_server_that_stands_by_says_so_and_then_that_it_follows() {
    let sandbox = Sandbox::new();
    let manager = Manager::listen(&sandbox, "socket");
    let follower = follow(&sandbox, "socket").start();
    manager.wait_for("READY=1");
    let api = ["serve", "--follow", "--demo", "--bind", "127.0.0.1:0"];
    let mut served = Served::of(sandbox.call(&api).start());
    served.read_until("this one stands by");
    wait_until("it stands by, and is healthy", || {
        let answer = served.get("/health");
        let why = r#"{"reason":"stands by: "#;
        answer.starts_with("HTTP/1.1 200 ") && answer.contains(why)
    });
    follower.signal("KILL");
    follower.wait();
    served.read_until("this one follows now");
    served.running.signal("TERM");
    served.running.wait().exits(143);
}
