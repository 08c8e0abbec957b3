//! The example of an actix-web host, over real sockets.
//!
//! It has its own test program, because a process has one recorder.
#![allow(clippy::unwrap_used)]

#[path = "../examples/actix_web.rs"]
#[allow(dead_code)]
mod example;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use hn_ingest::{Config, mock_api::MockApi};
use serde_json::Value;

/// Sends a request. The connection closes after the answer.
fn send(host: SocketAddr, method: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(host).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    stream
}

/// The status and the body of the answer.
fn answer(host: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut text = String::new();
    send(host, method, path, body)
        .read_to_string(&mut text)
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn json(host: SocketAddr, method: &str, path: &str, body: &str) -> Value {
    let (status, text) = answer(host, method, path, body);
    assert!(
        (200..300).contains(&status),
        "{method} {path}: {status} {text}"
    );
    serde_json::from_str(&text).unwrap()
}

/// The data of a run's server-sent events, until the stream ends.
fn events(host: SocketAddr, run: &Value) -> impl Iterator<Item = Value> {
    let stream = send(host, "GET", &format!("/runs/{run}/events"), "");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.filter_map(|line| Some(serde_json::from_str(line.strip_prefix("data: ")?).unwrap()))
}

fn use_the_api(host: SocketAddr) {
    assert_eq!(answer(host, "GET", "/healthz", "").1, "ok");
    let run = &json(host, "POST", "/runs", r#"{"ids":[1,2,3,99999999]}"#)["run"];
    let last = events(host, run).last().unwrap();
    assert_eq!(
        (&last["stored"], &last["absent"], &last["over"]),
        (&3.into(), &1.into(), &true.into())
    );

    let run = &json(host, "POST", "/runs", r#"{"list":"job"}"#)["run"];
    assert!(events(host, run).last().unwrap()["stored"].as_u64() > Some(0));
    assert!(
        !json(host, "GET", "/stories", "")
            .as_array()
            .unwrap()
            .is_empty()
    );

    // A long run. The host reads the database meanwhile, then cancels the run.
    let ids: Vec<u32> = (1..=100_000).collect();
    let long = format!(r#"{{"ids":{ids:?}}}"#);
    let run = &json(host, "POST", "/runs", &long)["run"];
    let path = format!("/runs/{run}");
    let mut watched = events(host, run);
    assert!(watched.any(|now| now["stored"].as_u64() > Some(0)));
    assert!(
        !json(host, "GET", "/stories", "")
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(json(host, "GET", &path, "")["over"], false);
    assert_eq!(answer(host, "DELETE", &path, "").0, 202);
    let last = watched.last().unwrap();
    assert!(last["not_attempted"].as_u64() > Some(0), "{last}");

    let text = answer(host, "GET", "/metrics", "").1;
    assert!(
        text.contains("ingest_runs_total{pipeline=\"default\"} 3\n"),
        "{text}"
    );
    assert_eq!(answer(host, "GET", "/runs/77", "").0, 404);
    assert_eq!(
        answer(host, "POST", "/runs", r#"{"list":"nothing"}"#).0,
        404
    );
    assert_eq!(answer(host, "POST", "/runs", "{}").0, 400);
    // This run is under way when the host stops.
    let run = &json(host, "POST", "/runs", &long)["run"];
    assert!(events(host, run).any(|now| now["stored"].as_u64() > Some(0)));
}

/// Starts the example on a free port, with settings that let a test see what it does.
async fn start_host(file: &Path) -> example::Host {
    let config = Config {
        linger: Duration::from_millis(5),
        rate: 5000,
        ..Config::default()
    };
    example::host(0, file, MockApi::default(), config)
        .await
        .unwrap()
}

/// One run was under way when the host ended: it stored something, and what it had in flight was decided.
fn check_summary(summary: &str) {
    assert!(summary.starts_with("1 runs ended: "), "{summary}");
    assert!(
        !summary.contains(": 0 stored")
            && !summary.contains(" 0 not attempted")
            && summary.ends_with(" 0 undecided"),
        "{summary}"
    );
}

#[test]
fn a_host_starts_watches_and_cancels_runs_reads_meanwhile_and_shuts_down() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host.db");
    actix_rt::System::new().block_on(async {
        let host = start_host(&file).await;
        let handle = host.server.handle();
        let address = host.address;
        let serving = actix_rt::spawn(host.serve());
        actix_rt::task::spawn_blocking(move || use_the_api(address))
            .await
            .unwrap();
        handle.stop(true).await;
        check_summary(&serving.await.unwrap().unwrap());
    });
}

/// The next test runs it as a process of its own, and sends it a signal.
#[test]
#[ignore = "a child process of the next test"]
fn child_host() {
    let file = std::env::var("HOST_DATABASE").unwrap();
    actix_rt::System::new().block_on(async {
        let host = start_host(file.as_ref()).await;
        println!("\nhttp://{}", host.address);
        println!("\nsummary: {}", host.serve().await.unwrap());
    });
}

#[test]
#[cfg(unix)]
fn a_signal_that_the_server_handles_drains_the_pipeline() {
    for signal in ["-INT", "-TERM"] {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_host", "--ignored", "--nocapture"])
            .env("HOST_DATABASE", folder.path().join("host.db"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(Result::unwrap);
        let address = lines.find_map(|line| line.strip_prefix("http://")?.parse().ok());
        let address = address.expect("the host's address");
        let ids: Vec<u32> = (1..=100_000).collect();
        let run = &json(address, "POST", "/runs", &format!(r#"{{"ids":{ids:?}}}"#))["run"];
        assert!(events(address, run).any(|now| now["stored"].as_u64() > Some(0)));
        let kill = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
        let summary = lines.find_map(|line| Some(line.strip_prefix("summary: ")?.to_owned()));
        check_summary(&summary.expect("a summary"));
        lines.for_each(drop);
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}
