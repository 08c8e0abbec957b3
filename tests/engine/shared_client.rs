//! Several pipelines on one client: what they share, what is each one's own, and what is refused.

use std::time::{Duration, Instant};

use hn_ingest::{
    Client, Config, Report, StartError,
    test_util::{Latch, Reply},
};

use crate::{
    fixture::{Fixture, failure},
    support::in_system,
};

/// Runs ids in a pipeline with `config` on a client that was made with `client`.
fn ingest(fixture: &Fixture, client: &Config, config: &Config, ids: &[i64]) -> Report<i64> {
    in_system(async {
        let pipeline = fixture
            .builder()
            .config(config.clone())
            .client(Client::new(client))
            .database(fixture.database_file())
            .start()
            .await
            .unwrap();
        pipeline.run(ids.to_vec()).await.unwrap()
    })
}

#[test]
fn deadline_attempts_and_backoff_are_those_of_the_pipeline() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::hang()]);
    let config = Config {
        timeout: Duration::from_millis(100),
        attempts: 2,
        ..fixture.config.clone()
    };
    let report = ingest(&fixture, &Config::default(), &config, &[1]);
    assert_eq!(failure(&report, 1), ("timeout", 2));
    // The default's backoff of a second would show here.
    assert!(report.elapsed < Duration::from_secs(1) + 2 * config.timeout + config.backoff);
}

#[test]
fn the_largest_body_is_that_of_the_pipeline() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::json("x".repeat(100))]);
    let config = Config {
        max_body: 10,
        ..fixture.config.clone()
    };
    let report = ingest(&fixture, &Config::default(), &config, &[1]);
    assert_eq!(failure(&report, 1).0, "body");
}

#[test]
fn a_rate_or_adaptive_limits_that_the_client_does_not_have_are_refused() {
    let fixture = Fixture::new();
    let of_pipeline = [
        (
            Config {
                rate: 50,
                ..Config::default()
            },
            "rate",
        ),
        (
            Config {
                adaptive: true,
                ..Config::default()
            },
            "adaptive",
        ),
    ];
    for (config, name) in of_pipeline {
        let refused = in_system(async {
            let builder = fixture.builder().config(config);
            let client = Client::new(&Config {
                rate: 20,
                ..Config::default()
            });
            let start = builder.client(client).database(fixture.database_file());
            start.start().await.map(|_| ()).unwrap_err()
        });
        assert!(
            matches!(&refused, StartError::ClientDiffers { setting, .. } if *setting == name),
            "{refused}"
        );
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

#[test]
fn two_pipelines_share_one_rate() {
    let fixture = Fixture::new();
    let began = Instant::now();
    in_system(async {
        let client = Client::new(&Config {
            rate: 100,
            ..fixture.config.clone()
        });
        let start = || {
            let builder = fixture.builder().client(client.clone());
            builder.database(fixture.database_file()).start()
        };
        let (first, second) = (start().await.unwrap(), start().await.unwrap());
        let (first, second) = (first.run(1..=50), second.run(51..=100));
        first.await.unwrap();
        second.await.unwrap();
    });
    // A twentieth of a second's requests may come at once.
    assert!(
        began.elapsed() >= Duration::from_millis(940),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_wait_for_a_connection_of_the_pool_is_not_part_of_an_attempt() {
    let fixture = Fixture::new();
    fixture
        .server
        .otherwise(|_| Reply::json("{}").latency(Duration::from_millis(300)));
    // One connection for four fetchers: the last one waits for three times as long as a request takes.
    let client = Config {
        workers: 1,
        ..fixture.config.clone()
    };
    let config = Config {
        workers: 4,
        attempts: 1,
        timeout: Duration::from_millis(800),
        ..fixture.config.clone()
    };
    let report = ingest(&fixture, &client, &config, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!((report.totals.stored, report.totals.attempts), (8, 8));
    assert!(report.totals.latency.max < Duration::from_millis(800));
}

#[test]
fn each_run_counts_its_own_connections_and_attempts() {
    let fixture = Fixture::new();
    let latch = Latch::new();
    let held = latch.clone();
    fixture
        .server
        .otherwise(move |_| Reply::json("{}").held_by(&held));
    in_system(async {
        let client = Client::new(&Config {
            workers: 16,
            ..fixture.config.clone()
        });
        let start = || {
            let builder = fixture.builder().client(client.clone());
            builder.database(fixture.database_file()).start()
        };
        let (first, second) = (start().await.unwrap(), start().await.unwrap());
        let (first, second) = (first.run(1..=2), second.run(3..=5));
        fixture.wait_in_flight(5).await;
        latch.open();
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert_eq!((first.totals.connections, first.totals.attempts), (2, 2));
        assert_eq!((second.totals.connections, second.totals.attempts), (3, 3));
    });
}

#[test]
fn a_client_can_be_made_anywhere() {
    let client = std::thread::spawn(|| {
        Client::new(&Config::default());
    });
    client.join().unwrap();
}
