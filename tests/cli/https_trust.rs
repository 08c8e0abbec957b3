//! HTTPS: which certificates the binary trusts, and that a broken TLS stream is noticed.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::common::{Api, Finished, Sandbox, counts, id_of, story};

/// A certificate authority of the test's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Writes its certificate to a file, for `SSL_CERT_FILE`.
    pub(crate) fn save(&self, sandbox: &Sandbox, name: &str) {
        fs::write(sandbox.path(name), self.0.pem()).unwrap();
    }

    pub(crate) fn certify(&self, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        server_config(&certificate, &key)
    }
}

fn server_config(certificate: &Certificate, key: &KeyPair) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            key.serialize_der().try_into().unwrap(),
        );
    Arc::new(config.unwrap())
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ConnectionEnd {
    KeepAlive,
    /// A close that TLS announces.
    Goodbye,
    /// A close that TLS does not announce.
    Cut,
}

/// Serves HTTPS on a free port of `localhost` until the test process ends. Gives the base URL.
pub(crate) fn serve(
    config: Arc<ServerConfig>,
    answer: impl Fn(&str) -> (Vec<u8>, ConnectionEnd) + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let config = config.clone();
            let answer = answer.clone();
            // A client that leaves ends the conversation, which is no error here.
            thread::spawn(move || converse(config, tcp, &*answer).ok());
        }
    });
    format!("https://localhost:{port}/v0")
}

fn converse(
    config: Arc<ServerConfig>,
    tcp: TcpStream,
    answer: &impl Fn(&str) -> (Vec<u8>, ConnectionEnd),
) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut tls = BufReader::new(StreamOwned::new(connection, tcp));
    loop {
        let mut head = String::new();
        let mut line = String::from("-");
        while line.trim_end() != "" {
            line.clear();
            if tls.read_line(&mut line)? == 0 {
                return Ok(());
            }
            head.push_str(&line);
        }
        let path = head.split(' ').nth(1).unwrap_or_default();
        let (bytes, end) = answer(path);
        let stream = tls.get_mut();
        stream.write_all(&bytes)?;
        if end == ConnectionEnd::Goodbye {
            stream.conn.send_close_notify();
        }
        stream.flush()?;
        if end != ConnectionEnd::KeepAlive {
            return Ok(());
        }
    }
}

fn ok(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The whole API: a list of three stories, and every story.
pub(crate) fn stories(path: &str) -> (Vec<u8>, ConnectionEnd) {
    let body = match id_of(path) {
        Some(id) => story(id, id),
        None => "[3,1,2]".to_owned(),
    };
    (ok(&body), ConnectionEnd::KeepAlive)
}

fn run(sandbox: &Sandbox, url: &str, certificates: &str, args: &[&str]) -> Finished {
    sandbox
        .call(args)
        .args(&["--api-url", url, "--format", "json"])
        .args(&["--attempts", "2", "--backoff", "1ms"])
        .env("SSL_CERT_FILE", sandbox.path(certificates))
        .run()
}

#[test]
fn an_api_over_https_is_trusted_by_the_authority_that_ssl_cert_file_names() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    authority.save(&sandbox, "ours.pem");
    let url = serve(authority.certify(|_| {}), stories);
    let finished = run(&sandbox, &url, "ours.pem", &["top"]).exits(0);
    assert_eq!(
        (counts(&finished.report()), finished.stderr.as_str()),
        ([3, 0, 0, 0], "")
    );
    assert_eq!(
        sandbox.db("hn.db").column("id", "items ORDER BY id"),
        json!([1, 2, 3])
    );
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    Authority::new().save(&sandbox, "others.pem");
    let url = serve(authority.certify(|_| {}), stories);
    run(&sandbox, &url, "others.pem", &["top"]).refuses(&[
        &url,
        "invalid peer certificate",
        "not signed by an authority that this machine trusts",
        "SSL_CERT_FILE",
    ]);
}

#[test]
fn without_ssl_cert_file_a_certificate_that_the_system_does_not_know_is_refused() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let url = serve(authority.certify(|_| {}), stories);
    let args = ["top", "--api-url", &url, "--backoff", "1ms"];
    sandbox.run(&args).refuses(&[&url, "certificate"]);
}

#[test]
fn a_self_signed_certificate_is_refused_in_words_until_ssl_cert_file_names_it() {
    for is_ca in [false, true] {
        let sandbox = Sandbox::new();
        Authority::new().save(&sandbox, "others.pem");
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        if is_ca {
            // As `openssl req -x509` makes it.
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(sandbox.path("own.pem"), certificate.pem()).unwrap();
        let url = serve(server_config(&certificate, &key), stories);
        let reason = if is_ca {
            "a certificate authority's own"
        } else {
            "self-signed"
        };
        let words = [reason, "SSL_CERT_FILE", "the certificate of localhost"];
        run(&sandbox, &url, "others.pem", &["top"]).refuses(&words);
        if !is_ca {
            run(&sandbox, &url, "own.pem", &["top"]).exits(0);
        }
    }
}

#[test]
fn a_certificate_for_another_host_is_refused() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    authority.save(&sandbox, "ours.pem");
    let name = "news.example".to_owned().try_into().unwrap();
    let config = authority.certify(|params| {
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
    });
    let url = serve(config, stories);
    run(&sandbox, &url, "ours.pem", &["top"]).refuses(&[
        &url,
        "news.example",
        "the certificate is for another host than localhost; check the URL",
    ]);
}

#[test]
fn a_certificate_that_has_expired_is_refused() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    authority.save(&sandbox, "ours.pem");
    let config = authority.certify(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let url = serve(config, stories);
    run(&sandbox, &url, "ours.pem", &["top"]).refuses(&[
        &url,
        "the certificate of localhost has expired; its operator must renew it",
    ]);
}

#[test]
fn a_certificate_file_that_is_missing_or_holds_none_is_named() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    fs::write(sandbox.path("empty.pem"), "no certificate").unwrap();
    let url = serve(authority.certify(|_| {}), stories);
    for file in ["nowhere.pem", "empty.pem"] {
        run(&sandbox, &url, file, &["top"]).refuses(&["SSL_CERT_FILE", "certificates"]);
    }
}

#[test]
fn certificates_that_cannot_be_read_are_looked_for_once_and_not_for_every_id() {
    let sandbox = Sandbox::new();
    let ids = ["items", "1", "2", "3", "4", "5"];
    let finished = run(&sandbox, "https://localhost:1/v0", "nowhere.pem", &ids).exits(1);
    let report = finished.report();
    assert_eq!(
        (counts(&report), &report["attempts"]),
        ([0, 0, 5, 0], &json!(5))
    );
    // The ids are not at fault.
    assert_eq!(report["failures"][0]["kind"], "connect");
    let warnings = finished.stderr.matches("cannot be read").count();
    assert_eq!(warnings, 1, "{finished:?}");
    let few = [&ids[..], &["--max-refusals", "3"]].concat();
    let finished = run(&sandbox, "https://localhost:1/v0", "nowhere.pem", &few).exits(3);
    assert_eq!(counts(&finished.report()), [0, 0, 0, 5]);
}

#[test]
fn https_to_a_port_that_speaks_http_is_refused() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let api = Api::of_stories();
    authority.save(&sandbox, "ours.pem");
    let url = format!("https://localhost:{}/v0", api.0.addr().port());
    run(&sandbox, &url, "ours.pem", &["top", "--timeout", "500ms"]).refuses(&[&url, "--demo"]);
}

#[test]
fn a_redirect_never_leads_from_https_to_http() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let plain = Api::of_stories();
    authority.save(&sandbox, "ours.pem");
    let location = format!("{}/item/1.json", plain.url());
    let url = serve(authority.certify(|_| {}), move |_| {
        let head =
            format!("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n");
        (head.into_bytes(), ConnectionEnd::KeepAlive)
    });
    let report = run(&sandbox, &url, "ours.pem", &["items", "1"])
        .exits(1)
        .report();
    assert_eq!(
        (counts(&report), &report["attempts"]),
        ([0, 0, 1, 0], &json!(1))
    );
    assert_eq!(plain.0.stats().connections, 0);
}

/// Whether a first answer that is half a story, and ends in this way, leads to a second attempt that stores the story.
fn is_tried_again(head: &str, end: ConnectionEnd) -> bool {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    authority.save(&sandbox, "ours.pem");
    let whole = story(1, 1);
    let half = [head.as_bytes(), &whole.as_bytes()[..whole.len() / 2]].concat();
    let asked = AtomicUsize::new(0);
    let url = serve(authority.certify(|_| {}), move |_| {
        match asked.fetch_add(1, SeqCst) {
            0 => (half.clone(), end),
            _ => (ok(&whole), ConnectionEnd::KeepAlive),
        }
    });
    let report = run(&sandbox, &url, "ours.pem", &["items", "1"]).report();
    (&report["stored"], &report["attempts"]) == (&json!(1), &json!(2))
}

#[test]
fn a_body_of_announced_length_cut_short_over_https_is_tried_again() {
    let length = story(1, 1).len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    for end in [ConnectionEnd::Goodbye, ConnectionEnd::Cut] {
        assert!(is_tried_again(&head, end), "{end:?}");
    }
}

#[test]
fn a_chunked_body_cut_short_over_https_is_tried_again() {
    let length = story(1, 1).len();
    let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n");
    for end in [ConnectionEnd::Cut, ConnectionEnd::Goodbye] {
        assert!(is_tried_again(&head, end), "{end:?}");
    }
}

#[test]
fn an_empty_ssl_cert_file_or_ssl_cert_dir_counts_as_unset() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    fs::create_dir(sandbox.path("certificates")).unwrap();
    authority.save(&sandbox, "certificates/ours.pem");
    let url = serve(authority.certify(|_| {}), stories);
    let fetch = |file: &str, folder: &str| {
        sandbox
            .call(&["items", "1", "--api-url", &url])
            .args(&["--attempts", "1", "--format", "json"])
            .env("SSL_CERT_FILE", file)
            .env("SSL_CERT_DIR", folder)
            .run()
    };
    let folder = sandbox.path("certificates");
    let file = folder.join("ours.pem");
    for (file, folder) in [("", folder.to_str().unwrap()), (file.to_str().unwrap(), "")] {
        assert_eq!(fetch(file, folder).exits(0).stderr, "");
    }
    // The system's certificates count, and do not include this test's.
    let finished = fetch("", "");
    assert!(!finished.stderr.contains("cannot be read"), "{finished:?}");
    assert_eq!(counts(&finished.exits(1).report()), [0, 0, 1, 0]);
}

#[test]
fn a_connection_that_is_closed_during_or_after_the_handshake_is_explained_in_plain_words() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    authority.save(&sandbox, "ours.pem");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut tcp in listener.incoming().flatten() {
            // Reads the greeting first, because closing with unread bytes resets the connection.
            let _ = std::io::Read::read(&mut tcp, &mut [0; 4096]);
        }
    });
    let during = format!("https://localhost:{port}/v0");
    let after = serve(authority.certify(|_| {}), |_| (vec![], ConnectionEnd::Cut));
    let within = serve(authority.certify(|_| {}), |_| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx";
        (head.to_vec(), ConnectionEnd::Cut)
    });
    for (url, kind, words) in [
        (
            &during,
            "connect",
            "the server closed the connection during the TLS handshake",
        ),
        (
            &after,
            "reset",
            "the server closed the connection without a TLS goodbye",
        ),
        (
            &within,
            "reset",
            "the server closed the connection without a TLS goodbye",
        ),
    ] {
        let finished = run(&sandbox, url, "ours.pem", &["items", "1"]).exits(1);
        let failure = &finished.report()["failures"][0];
        assert_eq!(failure["kind"], kind, "{failure}");
        let message = failure["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("docs.rs"), "{message}");
    }
}
