//! Requests through an HTTP proxy, as the setting `proxy` of a host says.

use hn_ingest::{
    Config, HttpProxy, Report, StartError,
    test_util::{Reply, ScriptedServer},
};

use crate::{
    fixture::{Fixture, NotesSink, NotesSource, failure},
    support::in_system,
};

/// The server of the fixture plays the proxy. It gets whole URLs as paths.
fn through_proxy(fixture: &mut Fixture, credentials: &str, base: &str) -> Report<i64> {
    let proxy = format!("http://{credentials}{}", fixture.server.addr());
    fixture.config.proxy = HttpProxy::parse(&proxy).unwrap();
    let builder = fixture.builder_of(NotesSource::at(base.to_owned()), NotesSink);
    in_system(async {
        builder
            .start()
            .await
            .unwrap()
            .run(vec![1, 2, 3])
            .await
            .unwrap()
    })
}

#[test]
fn plain_requests_go_to_the_proxy_with_whole_urls_and_with_the_credentials_of_its_url() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    let report = through_proxy(&mut fixture, "alice:s3%2Fcret@", "http://notes.test:81");
    assert_eq!(report.totals.stored, 3, "{:?}", report.failures);
    let requests = fixture.server.requests();
    assert_eq!(requests.len(), 3);
    for (id, request) in (1..).zip(&requests) {
        assert_eq!(request.path, format!("http://notes.test:81/{id}"));
        assert_eq!(request.header("host"), Some("notes.test:81"));
        // alice:s3/cret
        let authorization = request.header("proxy-authorization");
        assert_eq!(authorization, Some("Basic YWxpY2U6czMvY3JldA=="));
    }
    assert_eq!(fixture.server.stats().connections, 1);
}

#[test]
fn this_machine_is_reached_without_the_proxy() {
    let mut fixture = Fixture::new();
    let proxy = ScriptedServer::start();
    fixture.config.proxy = HttpProxy::parse(&proxy.url()).unwrap();
    let report = fixture.ingest(1..=3);
    assert_eq!(report.totals.stored, 3);
    assert_eq!(proxy.stats().connections, 0);
}

#[test]
fn a_proxy_that_wants_other_credentials_is_named_and_not_asked_again() {
    for (credentials, part) in [
        ("", "asks for a user name and password (HTTP status 407)"),
        (
            "alice:s3cret@",
            "does not accept the user name and password",
        ),
    ] {
        let mut fixture = Fixture::new();
        fixture.server.otherwise(|_| Reply::status(407));
        let report = through_proxy(&mut fixture, credentials, "http://notes.test");
        assert_eq!(failure(&report, 2), ("connect", 1));
        let message = &report.failures[0].message;
        for part in [
            part,
            &fixture.server.addr().to_string(),
            "(from the setting proxy)",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn a_407_of_a_server_itself_is_a_status_like_any_other() {
    let fixture = Fixture::new();
    fixture.on(1, [Reply::status(407)]);
    let report = fixture.ingest(1..=1);
    assert_eq!(failure(&report, 1), ("status", 1));
}

#[test]
fn a_proxy_that_is_down_is_an_outage_of_the_network_and_named() {
    let mut fixture = Fixture::new();
    fixture.config.attempts = 2;
    fixture.server.go_down();
    let report = through_proxy(&mut fixture, "", "http://notes.test");
    assert_eq!(failure(&report, 1), ("connect", 2));
    let message = &report.failures[0].message;
    let proxy = format!(
        "the proxy {} (from the setting proxy)",
        fixture.server.addr()
    );
    assert!(message.contains(&proxy), "{message}");
}

#[test]
fn the_default_settings_have_no_proxy_and_debug_prints_no_password() {
    assert_eq!(Config::default().proxy, HttpProxy::none());
    let config = Config {
        proxy: HttpProxy::parse("http://alice:s3cret@proxy.test:3128").unwrap(),
        ..Config::default()
    };
    let printed = format!("{config:?}");
    assert!(printed.contains("proxy.test:3128"), "{printed}");
    assert!(!printed.contains("s3cret"), "{printed}");
}

#[test]
fn a_pipeline_with_another_proxy_than_its_clients_does_not_start() {
    let fixture = Fixture::new();
    let config = Config {
        proxy: HttpProxy::parse("http://alice:s3cret@proxy.test:3128").unwrap(),
        ..Config::default()
    };
    in_system(async {
        let client = hn_ingest::Client::new(&Config::default());
        let started = fixture
            .builder()
            .config(config)
            .client(client)
            .database(fixture.database_file())
            .start()
            .await;
        let error = started.err().unwrap();
        assert!(
            matches!(
                &error,
                StartError::ClientDiffers {
                    setting: "proxy",
                    ..
                }
            ),
            "{error}"
        );
        assert!(!error.to_string().contains("s3cret"), "{error}");
    });
}
