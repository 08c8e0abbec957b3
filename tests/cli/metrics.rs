//! `--metrics`: serves Prometheus text and the health of the process while a command runs, and nothing afterwards.

use std::net::TcpStream;

use hn_ingest::{
    ingest::metrics::METRICS,
    test_util::{Latch, Reply},
};

use crate::common::{Api, Running, Sandbox, address_of, ask, get};

/// Fetches item 5, and gives the address of the metrics.
fn start_with_metrics(sandbox: &Sandbox, api: &Api) -> (Running, String) {
    let mut running = sandbox
        .call_with(api, &["items", "5", "--metrics", "127.0.0.1:0"])
        .env("RUST_LOG", "hn_ingest=info")
        .start();
    let address = address_of(&mut running);
    (running, address)
}

#[test]
fn metrics_are_served_as_prometheus_text_while_a_run_is_under_way() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let gate = Latch::new();
    let held = Reply::json("null").held_by(&gate);
    api.item(5, [held]);
    let (running, address) = start_with_metrics(&sandbox, &api);

    api.0.wait_in_flight(1);
    let answer = get(&address, "/metrics");
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"),
        "{head}"
    );
    assert!(
        text.contains("ingest_in_flight{pipeline=\"default\"} 1\n"),
        "{text}"
    );
    for metric in METRICS {
        assert!(
            text.contains(&format!("# HELP {} ", metric.name))
                || text.contains(&format!("# TYPE {} ", metric.name)),
            "{}: {text}",
            metric.name
        );
    }
    for line in text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(
            name.starts_with("ingest_") && value.parse::<f64>().is_ok(),
            "{line}"
        );
    }
    for path in ["/", "/healthz", "/health/", "/metrics/"] {
        assert!(get(&address, path).starts_with("HTTP/1.1 404"), "{path}");
    }

    gate.open();
    running.wait().exits(0);
    assert!(TcpStream::connect(&address).is_err(), "still served");
}

#[test]
fn a_command_that_waits_for_the_api_is_healthy() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let gate = Latch::new();
    api.item(5, [Reply::json("null").held_by(&gate)]);
    let (running, address) = start_with_metrics(&sandbox, &api);
    api.0.wait_in_flight(1);

    for head in [
        "GET /health HTTP/1.1\r\nHost: elsewhere.test",
        "GET /health?verbose HTTP/1.1\r\nHost: x",
        "GET /health HTTP/1.0",
    ] {
        let answer = ask(&address, head);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 OK\r\n"), "{head}");
        assert!(head.contains("application/json"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["is_healthy"], true);
    }
    for path in ["/health", "/metrics"] {
        let answer = ask(&address, &format!("HEAD {path} HTTP/1.1\r\nHost: x"));
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body, "");
    }
    let answer = ask(&address, "POST /health HTTP/1.1\r\nHost: x");
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");

    gate.open();
    running.wait().exits(0);
}

#[test]
fn an_address_that_is_taken_is_refused_before_a_file_is_made() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = sandbox
        .ingest(&api, &["items", "5", "--metrics", &address])
        .exits(2);
    assert!(finished.stderr.contains(&address), "{finished:?}");
    assert_eq!(sandbox.files(), [""; 0]);
}
