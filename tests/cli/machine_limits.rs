//! Machines that limit the program: sizes of files, odd folders, closed streams, a name server that does not answer.
#![cfg(target_os = "linux")]

use std::{
    ffi::OsStr,
    fs,
    net::UdpSocket,
    os::unix::ffi::OsStrExt,
    time::{Duration, Instant},
};

use hn_ingest::test_util::Reply;
use serde_json::json;

use crate::common::{Api, Call, Sandbox, counts};

/// The binary, started by a shell after this command.
fn after(command: &str, sandbox: &Sandbox, args: &[&str]) -> Call {
    Call::new("/bin/sh", sandbox)
        .args(&["-c", &format!("{command} exec \"$0\" \"$@\"")])
        .args(&[env!("CARGO_BIN_EXE_hn-ingest")])
        .args(args)
}

#[test]
fn a_limit_of_file_sizes_ends_a_run_as_a_full_disk_does() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.list("top", 1..=400);
    api.0.otherwise(|path| {
        let id = crate::common::id_of(path).unwrap();
        Reply::json(json!({"id": id, "text": "x".repeat(4000)}).to_string())
    });
    let args = [
        "top",
        "--limit",
        "0",
        "--batch",
        "20",
        "--format",
        "json",
        "--api-url",
        &api.url(),
    ];
    // In blocks of 512 bytes.
    let finished = after("ulimit -f 1000 &&", &sandbox, &args).run().exits(3);
    let report = finished.report();
    let [stored, absent, failed, left] = counts(&report);
    assert!(stored > 0 && left > 0 && absent + failed == 0, "{report}");
    assert!(
        finished.stderr.contains("nothing more can be stored"),
        "{finished:?}"
    );
    assert!(finished.stderr.contains("512000 bytes"), "{finished:?}");
    assert!(finished.stderr.contains("ulimit -f"), "{finished:?}");
    assert_eq!(sandbox.db("hn.db").count("items"), stored);
    sandbox.run(&["verify"]).exits(0);
}

#[test]
fn a_limit_that_allows_no_database_is_named_and_leaves_no_file() {
    let api = Api::of_stories();
    // In blocks of 512 bytes: nothing at all, a header, and a part of the tables.
    for blocks in [0, 1, 8, 16, 40] {
        let sandbox = Sandbox::new();
        let args = [
            "items",
            "1",
            "--database",
            "fresh.db",
            "--api-url",
            &api.url(),
        ];
        let limit = format!("ulimit -f {blocks} &&");
        let bytes = format!("{} bytes", blocks * 512);
        let parts = ["fresh.db", &bytes, "ulimit -f"];
        after(&limit, &sandbox, &args).run().refuses(&parts);
        assert!(sandbox.files().is_empty(), "{blocks} {:?}", sandbox.files());
    }
    // A file that was there before stays.
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("hn.db"), "").unwrap();
    let args = ["items", "1", "--api-url", &api.url()];
    let finished = after("ulimit -f 0 &&", &sandbox, &args).run();
    finished.refuses(&["ulimit -f"]);
    assert!(sandbox.path("hn.db").exists());
}

#[test]
fn a_folder_whose_name_is_not_utf_8_works() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("").join(OsStr::from_bytes(b"f\xff"));
    fs::create_dir(&folder).unwrap();
    let api = Api::of_stories();
    sandbox
        .call_with(&api, &["items", "1"])
        .folder(&folder)
        .run()
        .exits(0)
        .report();
    for command in ["status", "verify"] {
        sandbox.call(&[command]).folder(&folder).run().exits(0);
    }
    assert!(folder.join("hn.db").exists());
}

#[test]
fn a_database_path_that_is_not_utf_8_is_refused_before_a_file_is_made() {
    let sandbox = Sandbox::new();
    let folder = sandbox.path("").join(OsStr::from_bytes(b"f\xff"));
    fs::create_dir(&folder).unwrap();
    let call = sandbox
        .call(&["--demo"])
        .env("DATABASE_URL", folder.join("hn.db"));
    call.run()
        .refuses(&["DATABASE_URL", "f\u{fffd}/hn.db`", "UTF-8"]);
    let call = sandbox
        .call(&["--demo", "--database"])
        .args(&[folder.join("hn.db")]);
    call.run()
        .refuses(&["--database", "f\u{fffd}/hn.db`", "UTF-8"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn an_argument_that_is_not_utf_8_is_named_with_its_value() {
    let sandbox = Sandbox::new();
    for (args, name, value) in [
        (
            &["items", "--database"][..],
            "--database",
            &b"d\xff/x.db"[..],
        ),
        (&["items", "1"], "--workers", b"--workers=\xff"),
        (&["items", "1"], "argument 3", b"\xff"),
        (&["items", "--tree"], "argument 3", b"\xff"),
        (&["users"], "argument 2", b"\xff"),
        (&["mock-api", "--port"], "--port", b"8\xff"),
    ] {
        let call = sandbox.call(args).args(&[OsStr::from_bytes(value)]);
        let shown = String::from_utf8_lossy(value);
        let shown = shown.trim_start_matches("--workers=");
        call.run().refuses(&[name, &format!("`{shown}`"), "UTF-8"]);
    }
    assert!(sandbox.files().is_empty());
}

#[test]
fn something_that_is_no_file_is_refused_without_waiting_for_it() {
    let sandbox = Sandbox::new();
    let made = std::process::Command::new("mkfifo")
        .arg(sandbox.path("pipe"))
        .status();
    assert!(made.unwrap().success());
    for name in ["pipe", "/dev/null"] {
        for args in [&["--demo"][..], &["status"]] {
            let args = [args, &["--database", name]].concat();
            sandbox.run(&args).refuses(&[name, "no file"]);
        }
    }
}

#[test]
fn closed_streams_change_no_exit_code() {
    let sandbox = Sandbox::new();
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        for args in [&["--demo"][..], &["status", "--database", "hn-demo.db"]] {
            after(&format!("exec {closed};"), &sandbox, args)
                .run()
                .exits(0);
        }
    }
}

/// Only root may serve names and change where they are looked up; elsewhere, this test tests nothing.
#[test]
fn the_process_ends_with_its_report_even_if_a_name_server_does_not_answer() {
    let Ok(name_server) = UdpSocket::bind("127.83.19.7:53") else {
        return;
    };
    let sandbox = Sandbox::new();
    let address = name_server.local_addr().unwrap().ip();
    fs::write(
        sandbox.path("resolv.conf"),
        format!("nameserver {address}\n"),
    )
    .unwrap();
    let own_names = "mount --bind resolv.conf /etc/resolv.conf &&";
    let call = |host: &str, args: &[&str]| {
        Call::new("unshare", &sandbox)
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .args(&[
                "-m",
                "/bin/sh",
                "-c",
                &format!("{own_names} exec \"$0\" \"$@\""),
            ])
            .args(&[env!("CARGO_BIN_EXE_hn-ingest")])
            .args(args)
            .args(&[
                "--api-url",
                &format!("http://{host}.example/v0"),
                "--format",
                "json",
            ])
    };
    if call("no", &["--version"]).run().code != Some(0) {
        return;
    }
    // glibc asks twice, and waits for five seconds each time.
    let began = Instant::now();
    let args = ["items", "1", "2", "--attempts", "1", "--timeout", "300ms"];
    let report = call("first", &args).run().exits(1).report();
    assert_eq!(counts(&report), [0, 0, 2, 0]);
    let args = ["top", "--attempts", "1", "--timeout", "300ms"];
    call("second", &args).run().refuses(&["topstories.json"]);
    let running = call("third", &["items", "1", "--drain", "100ms"]).start();
    let mut query = [0; 512];
    while !query.windows(5).any(|part| part == b"third") {
        name_server.recv(&mut query).unwrap();
    }
    running.signal("INT");
    let report = running.wait().exits(130).report();
    assert_eq!(counts(&report), [0, 0, 0, 1]);
    assert!(
        began.elapsed() < Duration::from_secs(8),
        "{:?}",
        began.elapsed()
    );
}
