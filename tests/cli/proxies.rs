//! Proxies of the flag and of the environment: what goes through them, what does not, and what is said if they fail.

use std::{
    fs,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use hn_ingest::test_util::Reply;
use rcgen::SanType;

use crate::{
    common::{Api, Finished, Sandbox, counts, story},
    https_trust::{Authority, serve, stories},
};

/// A proxy that makes a tunnel to one server for every CONNECT, whatever host it names. It serves until the test process ends.
struct TunnelProxy {
    addr: SocketAddr,
    /// The heads of the requests.
    heads: Arc<Mutex<Vec<String>>>,
}

impl TunnelProxy {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let seen = heads.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = seen.clone();
                // A client that leaves ends the tunnel, which is no error here.
                thread::spawn(move || tunnel(client, server, &seen).ok());
            }
        });
        Self { addr, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

fn tunnel(client: TcpStream, server: SocketAddr, heads: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        (&client).read_exact(&mut byte)?;
        head.extend(byte);
    }
    heads.lock().unwrap().push(String::from_utf8(head).unwrap());
    let server = TcpStream::connect(server)?;
    (&client).write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    thread::scope(|scope| {
        scope.spawn(|| io::copy(&mut &client, &mut &server));
        io::copy(&mut &server, &mut &client).map(drop)
    })
}

/// Serves stories over HTTPS as `api.test` and as 0.0.0.0, which is this machine but no loopback address. Returns the address,
/// and saves the certificate to trust as `ours.pem`.
fn https_stories(sandbox: &Sandbox) -> SocketAddr {
    let authority = Authority::new();
    authority.save(sandbox, "ours.pem");
    let config = authority.certify(|params| {
        params.subject_alt_names = vec![
            SanType::DnsName("api.test".to_owned().try_into().unwrap()),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ];
    });
    let url = serve(config, stories);
    let port = url.rsplit(':').next().unwrap().trim_end_matches("/v0");
    (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into()
}

/// An API whose server plays the proxy: it gets whole URLs as paths.
fn forwarding_proxy() -> Api {
    let api = Api::new();
    api.0.otherwise(|path| match path {
        "http://api.test/v0/item/1.json" => Reply::json(story(1, 1)),
        _ => Reply::status(404),
    });
    api
}

fn fetch(sandbox: &Sandbox, url: &str, variables: &[(&str, &str)], args: &[&str]) -> Finished {
    let mut call = sandbox
        .call(&["items", "1"])
        .args(&["--api-url", url, "--format", "json"])
        .args(&["--attempts", "2", "--backoff", "1ms"])
        .args(args)
        .env("SSL_CERT_FILE", sandbox.path("ours.pem"));
    for (name, value) in variables {
        call = call.env(name, value);
    }
    call.run()
}

fn stored(finished: Finished) -> bool {
    counts(&finished.report())[0] == 1
}

#[test]
fn https_goes_through_a_tunnel_of_the_proxy_and_its_password_is_printed_nowhere() {
    let sandbox = Sandbox::new();
    let proxy = TunnelProxy::to(https_stories(&sandbox));
    let url = format!("http://al%40ice:s3cret@{}", proxy.addr);
    let variants: [(&[_], &[_]); 6] = [
        (&[("HTTPS_PROXY", &*url)], &[]),
        (
            &[("https_proxy", &url), ("HTTPS_PROXY", "http://127.0.0.1:1")],
            &[],
        ),
        (&[("ALL_PROXY", &url), ("https_proxy", "")], &[]),
        (&[("all_proxy", &url)], &[]),
        (
            &[
                ("INGEST_PROXY", &url),
                ("HTTPS_PROXY", "http://127.0.0.1:1"),
            ],
            &[],
        ),
        (
            &[("INGEST_PROXY", "http://127.0.0.1:1")],
            &["--proxy", &url],
        ),
    ];
    for (number, (variables, args)) in (1..).zip(variants) {
        let variables = [variables, &[("RUST_LOG", "trace")]].concat();
        let finished = fetch(&sandbox, "https://api.test/v0", &variables, args).exits(0);
        for secret in ["s3cret", "YWxAaWNl"] {
            assert!(!finished.stderr.contains(secret), "{finished:?}");
        }
        assert!(stored(finished), "{variables:?} {args:?}");
        let heads = proxy.heads();
        assert_eq!(heads.len(), number, "one connection each");
        assert!(
            heads[0].starts_with("CONNECT api.test:443 HTTP/1.1\r\n"),
            "{heads:?}"
        );
        // al@ice:s3cret
        let authorization = "Proxy-Authorization: Basic YWxAaWNlOnMzY3JldA==\r\n";
        assert!(heads[0].contains(authorization), "{heads:?}");
    }
}

#[test]
fn http_goes_to_the_proxy_with_whole_urls() {
    let sandbox = Sandbox::new();
    let proxy = forwarding_proxy();
    let url = proxy.0.url();
    for variable in ["http_proxy", "ALL_PROXY", "all_proxy", "INGEST_PROXY"] {
        let finished = fetch(&sandbox, "http://api.test/v0", &[(variable, &url)], &[]);
        assert!(stored(finished.exits(0)), "{variable}");
    }
    assert_eq!(proxy.0.hits("http://api.test/v0/item/1.json"), 4);
}

#[test]
fn what_needs_no_proxy_and_proxy_none_go_directly() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let port = api.0.addr().port();
    let (loopback, other) = (
        format!("http://127.0.0.1:{port}/v0"),
        format!("http://0.0.0.0:{port}/v0"),
    );
    let dead = "http://127.0.0.1:1";
    let names = [
        ("http_proxy", dead),
        ("https_proxy", dead),
        ("ALL_PROXY", dead),
    ];
    let with = |variable| [&names[..], &[variable]].concat();
    for (url, variables, args) in [
        // Loopback, however it is named.
        (&loopback, with(("INGEST_PROXY", dead)), &[][..]),
        (&loopback, names.to_vec(), &["--proxy", dead]),
        (&format!("http://localhost:{port}/v0"), names.to_vec(), &[]),
        (
            &format!("http://api.localhost:{port}/v0"),
            names.to_vec(),
            &[],
        ),
        (&format!("http://127.0.0.1:{port}/v0"), names.to_vec(), &[]),
        // Exceptions.
        (&other, with(("NO_PROXY", "0.0.0.0")), &[]),
        (&other, with(("no_proxy", "host.test, 0.0.0.0/8")), &[]),
        (&other, with(("NO_PROXY", "*")), &[]),
        (
            &other,
            vec![("HTTP_PROXY", dead), ("HTTPS_PROXY", dead)],
            &[],
        ),
        // The environment is ignored.
        (&other, names.to_vec(), &["--proxy", "none"]),
        (&other, with(("INGEST_PROXY", "none")), &[]),
        (&other, vec![("http_proxy", ""), ("INGEST_PROXY", "")], &[]),
    ] {
        let finished = fetch(&sandbox, url, &variables, args).exits(0);
        assert!(stored(finished), "{url} {variables:?} {args:?}");
    }
    let finished = fetch(&sandbox, &other, &with(("NO_PROXY", "host.test")), &[]);
    finished.exits(1);
}

#[test]
fn no_proxy_also_counts_for_a_proxy_that_the_flag_or_its_variable_names() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    let url = format!("http://0.0.0.0:{}/v0", api.0.addr().port());
    let dead = "http://127.0.0.1:1";
    for (variables, args) in [
        (&[][..], &["--proxy", dead][..]),
        (&[("INGEST_PROXY", dead)], &[]),
    ] {
        for (exception, is_direct) in [
            (("NO_PROXY", "0.0.0.0"), true),
            (("no_proxy", "host.test, 0.0.0.0/8"), true),
            (("NO_PROXY", "*"), true),
            (("NO_PROXY", "host.test"), false),
            (("NO_PROXY", ""), false),
        ] {
            let variables = [variables, &[exception]].concat();
            let finished = fetch(&sandbox, &url, &variables, args);
            assert_eq!(stored(finished), is_direct, "{variables:?} {args:?}");
        }
    }
    // The variable in lower case goes first.
    let both = [("no_proxy", "host.test"), ("NO_PROXY", "*")];
    let finished = fetch(&sandbox, &url, &both, &["--proxy", dead]);
    assert!(!stored(finished));
    // A flag is checked even if its proxy would not be used.
    let finished = fetch(
        &sandbox,
        &url,
        &[("NO_PROXY", "*")],
        &["--proxy", "socks5://h:1"],
    );
    finished.refuses(&["--proxy is `"]);
}

#[test]
fn a_run_that_a_proxy_refuses_ends_with_the_proxy_named_and_not_only_the_api() {
    for (status, header, kind, parts) in [
        (
            407,
            "proxy-authenticate",
            "connect",
            &["does not accept", "its user name and password"][..],
        ),
        (
            401,
            "proxy-authenticate",
            "connect",
            &["does not accept", "its user name and password"],
        ),
        (
            401,
            "x-none",
            "connect",
            &["does not accept", "its user name and password"],
        ),
        (
            401,
            "www-authenticate",
            "status",
            &["may not accept the user name and password", "in a browser"],
        ),
        (
            403,
            "x-none",
            "status",
            &["from the API or from the proxy", "in a browser"],
        ),
    ] {
        let sandbox = Sandbox::new();
        let proxy = Api::new();
        proxy
            .0
            .otherwise(move |_| Reply::status(status).header(header, "Basic"));
        let address = proxy.0.addr().to_string();
        let url = format!("http://alice:s3cret@{address}");
        let finished = sandbox
            .call(&["items", "1", "2", "3", "4", "5"])
            .args(&["--api-url", "http://api.test/v0", "--max-refusals", "3"])
            .args(&["--proxy", &url])
            .run();
        assert_eq!(finished.code, Some(3), "{finished:?}");
        let named = format!("the proxy {address} (from the setting proxy)");
        let message = format!("were all refused: {kind}: ");
        for part in [parts, &[&message, &named, &format!("HTTP status {status}")]].concat() {
            assert!(finished.stderr.contains(part), "{part}: {finished:?}");
        }
        assert!(!finished.stderr.contains("s3cret"), "{finished:?}");
        assert!(!finished.stderr.contains("API refused"), "{finished:?}");

        let finished = sandbox
            .call(&["top", "--api-url", "http://api.test/v0"])
            .args(&["--proxy", &url])
            .run();
        finished.refuses(&["the proxy"]);
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_refused_at_the_start_if_the_api_needs_it() {
    let sandbox = Sandbox::new();
    for bad in [
        "socks5://127.0.0.1:1",
        "socks5h://alice:s3cret@127.0.0.1:1",
        "https://127.0.0.1:1",
        "http://127.0.0.1:1/path",
        "http://127.0.0.1:0",
        "proxy",
    ] {
        for (variables, args, origin) in [
            (&[][..], &["--proxy", bad][..], "--proxy"),
            (&[("INGEST_PROXY", bad)], &[], "INGEST_PROXY"),
            (&[("ALL_PROXY", bad)], &[], "ALL_PROXY"),
            (&[("https_proxy", bad)], &[], "https_proxy"),
        ] {
            let finished = fetch(&sandbox, "https://api.test/v0", variables, args);
            finished.refuses(&[
                &format!("{origin} is `"),
                "allowed: ",
                "http://[USER:PASSWORD@]HOST:PORT",
            ]);
            assert!(!finished.stderr.contains("s3cret"), "{finished:?}");
        }
    }
    assert!(sandbox.files().is_empty(), "no database is made");
    let api = Api::of_stories();
    let finished = fetch(
        &sandbox,
        &api.url(),
        &[("ALL_PROXY", "socks5://127.0.0.1:1")],
        &[],
    );
    assert!(stored(finished.exits(0)), "loopback needs no proxy");
}

#[test]
fn a_proxy_that_refuses_or_is_down_is_named_with_its_variable() {
    let sandbox = Sandbox::new();
    https_stories(&sandbox);
    let proxy = Api::new();
    let address = proxy.0.addr().to_string();
    let url = format!("http://alice:s3cret@{address}");
    for (status, attempts) in [(407, 1), (403, 1), (502, 2)] {
        proxy.0.on("api.test:443", [Reply::status(status)]);
        let before = proxy.0.hits("api.test:443");
        let variables = [("HTTPS_PROXY", &*url)];
        let finished = fetch(&sandbox, "https://api.test/v0", &variables, &[]).exits(1);
        let failure = &finished.report()["failures"][0];
        assert_eq!(
            (&failure["kind"], &failure["attempts"]),
            (&"connect".into(), &attempts.into())
        );
        let message = failure["message"].as_str().unwrap();
        let named = format!("the proxy {address} (from HTTPS_PROXY)");
        for part in [&named, &format!("HTTP status {status}")] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!finished.stdout.contains("s3cret"), "{finished:?}");
        assert_eq!(proxy.0.hits("api.test:443") - before, attempts);
    }
    proxy.0.go_down();
    let args = [
        "top",
        "--api-url",
        "https://api.test/v0",
        "--backoff",
        "1ms",
    ];
    let finished = sandbox
        .call(&args)
        .env("HTTPS_PROXY", &url)
        .env("SSL_CERT_FILE", sandbox.path("ours.pem"))
        .run();
    finished.refuses(&[
        "topstories.json",
        "check --proxy",
        &format!("the proxy {address} (from HTTPS_PROXY)"),
    ]);
    assert!(!finished.stderr.contains("s3cret"), "{finished:?}");
}

/// tinyproxy with a user name and a password. `None` if it is not installed.
struct TinyProxy {
    process: Child,
    port: u16,
}

impl TinyProxy {
    fn start(sandbox: &Sandbox) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nBasicAuth alice s3cret\nMaxClients 50\n"
        );
        fs::write(sandbox.path("tinyproxy.conf"), config).unwrap();
        let process = Command::new("tinyproxy")
            .arg("-d")
            .arg("-c")
            .arg(sandbox.path("tinyproxy.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let proxy = Self { process, port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "tinyproxy does not listen"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Some(proxy)
    }
}

impl Drop for TinyProxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_real_proxy_passes_on_http_and_https_and_refuses_a_wrong_password() {
    let sandbox = Sandbox::new();
    let Some(proxy) = TinyProxy::start(&sandbox) else {
        println!("skipped, because tinyproxy is not installed");
        return;
    };
    // An address of this machine that is no loopback address, so that it goes through the proxy.
    let secure = https_stories(&sandbox).port();
    let plain = Api::of_stories();
    let port = plain.0.addr().port();
    let url = |credentials: &str| format!("http://{credentials}127.0.0.1:{}", proxy.port);
    for api in [
        format!("http://0.0.0.0:{port}/v0"),
        format!("https://0.0.0.0:{secure}/v0"),
    ] {
        let proxied = |credentials| {
            let variables = [("ALL_PROXY", &*url(credentials))];
            fetch(&sandbox, &api, &variables, &[])
        };
        assert!(stored(proxied("alice:s3cret@").exits(0)), "{api}");
        for (credentials, part) in [("", "HTTP status 407"), ("alice:wr0ng@", "HTTP status 401")] {
            let failure = proxied(credentials).exits(1).report()["failures"][0].clone();
            assert_eq!(failure["attempts"], 1, "{failure}");
            let message = failure["message"].as_str().unwrap();
            assert!(
                message.contains(part) && !message.contains("wr0ng"),
                "{message}"
            );
            let named = format!("the proxy 127.0.0.1:{}", proxy.port);
            assert!(message.contains(&named), "{message}");
        }
    }
    assert_eq!(plain.0.stats().requests, 1);
}
