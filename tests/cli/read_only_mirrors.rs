//! A mirror that the user may not write to can be read all the same.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};

use crate::{
    common::{Api, Call, Finished, Sandbox, foreign_database, wait_until},
    serve::Served,
};

/// A mirror in a folder, neither of which another user may write to.
struct ReadOnlyMirror {
    sandbox: Sandbox,
    /// Root may write everywhere, and so becomes another user.
    is_root: bool,
}

impl ReadOnlyMirror {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        fs::create_dir(sandbox.path("theirs")).unwrap();
        let args = ["items", "1", "2", "--database", "theirs/hn.db"];
        sandbox.ingest(&Api::of_stories(), &args).exits(0);
        let is_root = fs::metadata(sandbox.path("theirs")).unwrap().uid() == 0;
        if is_root {
            // The other user may not be allowed to enter the folder that the program is in.
            fs::copy(env!("CARGO_BIN_EXE_hn-ingest"), sandbox.path("hn-ingest")).unwrap();
            fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
        }
        Self { sandbox, is_root }
    }

    /// Takes the right to write away.
    fn lock_up(&self) {
        for file in fs::read_dir(self.sandbox.path("theirs")).unwrap() {
            fs::set_permissions(file.unwrap().path(), Permissions::from_mode(0o444)).unwrap();
        }
        let folder = Permissions::from_mode(0o555);
        fs::set_permissions(self.sandbox.path("theirs"), folder).unwrap();
    }

    /// Runs a command as somebody who may not write to the mirror.
    fn run(&self, args: &[&str]) -> Finished {
        self.call(args).args(&["--format", "json"]).run()
    }

    fn call(&self, args: &[&str]) -> Call {
        let call = if self.is_root {
            let program = self.sandbox.path("hn-ingest");
            Call::new(program.to_str().unwrap(), &self.sandbox).user(65534)
        } else {
            Call::new(env!("CARGO_BIN_EXE_hn-ingest"), &self.sandbox)
        };
        call.args(args).args(&["--database", "theirs/hn.db"])
    }
}

impl Drop for ReadOnlyMirror {
    fn drop(&mut self) {
        // Otherwise only root could delete it.
        let folder = Permissions::from_mode(0o755);
        let _ = fs::set_permissions(self.sandbox.path("theirs"), folder);
    }
}

#[test]
fn a_mirror_of_another_user_can_be_compared_with_the_api() {
    let mirror = ReadOnlyMirror::new();
    mirror.lock_up();
    let api = Api::of_stories();
    let url = api.url();
    let sample = ["verify", "--sample", "5", "--api-url", &url];
    let finished = mirror.run(&sample).exits(0);
    assert_eq!(finished.stderr, "");
    let equal = r#""population":2,"population_is_exact":true"#;
    assert!(finished.stdout.contains(equal), "{}", finished.stdout);
    assert!(
        finished.stdout.contains(r#""equal":2"#),
        "{}",
        finished.stdout
    );
    let repair = [&sample[..], &["--repair"]].concat();
    mirror
        .run(&repair)
        .refuses(&["theirs/hn.db", "this user may not write"]);
}

#[test]
fn a_mirror_of_another_user_can_be_read() {
    let mirror = ReadOnlyMirror::new();
    mirror.lock_up();
    for command in ["status", "verify"] {
        let finished = mirror.run(&[command]).exits(0);
        assert_eq!(finished.stderr, "", "{command}");
        assert!(
            finished.stdout.contains(r#""count":2"#) || finished.stdout.contains(r#""items":2"#)
        );
    }
    for args in [&["verify", "--repair"][..], &["retry"], &["--demo"]] {
        let parts = [
            "theirs/hn.db",
            "this user may not write",
            "name another file",
        ];
        mirror.run(args).refuses(&parts);
    }
    assert_eq!(
        fs::read_dir(mirror.sandbox.path("theirs")).unwrap().count(),
        1
    );
}

#[test]
fn a_folder_that_may_not_be_written_to_is_named() {
    let mirror = ReadOnlyMirror::new();
    mirror.lock_up();
    let file = Permissions::from_mode(0o666);
    fs::set_permissions(mirror.sandbox.path("theirs/hn.db"), file).unwrap();
    for args in [&["verify", "--repair"][..], &["retry"], &["--demo"]] {
        let parts = [
            "this user may not write to the folder theirs",
            "name another",
        ];
        mirror.run(args).refuses(&parts);
    }
}

/// Only root may mount anything; elsewhere, this test tests nothing.
#[cfg(target_os = "linux")]
#[test]
fn a_file_system_that_is_read_only_is_named() {
    let mirror = ReadOnlyMirror::new();
    let call = |args: &[&str]| {
        let mount = "mount --bind theirs theirs && mount -o remount,ro,bind theirs &&";
        Call::new("unshare", &mirror.sandbox)
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .args(&[
                "-m",
                "/bin/sh",
                "-c",
                &format!("{mount} exec \"$0\" \"$@\""),
            ])
            .args(&[env!("CARGO_BIN_EXE_hn-ingest")])
            .args(args)
    };
    if call(&["--version"]).run().code != Some(0) {
        return;
    }
    for args in [&["verify", "--repair"][..], &["retry"], &["--demo"]] {
        let parts = ["theirs/hn.db", "is mounted read-only", "name a file"];
        let call = call(args).args(&["--database", "theirs/hn.db"]);
        call.run().refuses(&parts);
    }
}

#[test]
fn a_mirror_that_another_user_writes_to_is_read_up_to_its_last_commit() {
    let mirror = ReadOnlyMirror::new();
    let mut owner = foreign_database(&mirror.sandbox.path("theirs/hn.db"));
    owner.execute("INSERT INTO absent VALUES (3, 1, 1, 1)");
    mirror.lock_up();
    owner.execute("BEGIN IMMEDIATE; INSERT INTO absent VALUES (4, 1, 1, 1)");
    let finished = mirror.run(&["status"]).exits(0);
    assert!(finished.stdout.contains(r#""absent":1"#), "{finished:?}");
    mirror.run(&["verify"]).exits(0);
}

#[test]
fn a_log_that_cannot_be_read_is_named_and_not_passed_over() {
    let mirror = ReadOnlyMirror::new();
    let theirs = |name: &str| mirror.sandbox.path("theirs").join(name);
    let mut owner = foreign_database(&theirs("hn.db"));
    owner.execute("INSERT INTO absent VALUES (3, 1, 1, 1)");
    // What a crash and a copy of two of the three files leave.
    for name in ["hn.db", "hn.db-wal"] {
        fs::copy(theirs(name), mirror.sandbox.path(name)).unwrap();
    }
    drop(owner);
    for name in ["hn.db", "hn.db-wal"] {
        fs::copy(mirror.sandbox.path(name), theirs(name)).unwrap();
    }
    mirror.lock_up();
    for command in ["status", "verify"] {
        mirror
            .run(&[command])
            .refuses(&["theirs/hn.db", "hn.db-wal", "copy both"]);
    }
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    let mirror = ReadOnlyMirror::new();
    let file = mirror.sandbox.path("theirs/hn.db");
    fs::set_permissions(&file, Permissions::from_mode(0o000)).unwrap();
    for command in ["status", "verify", "retry"] {
        mirror
            .run(&[command])
            .refuses(&["theirs/hn.db", "Permission denied"]);
    }
}

#[test]
fn a_mirror_of_another_user_is_served_as_it_was_written_last() {
    let mirror = ReadOnlyMirror::new();
    mirror.lock_up();
    let served = Served::of(mirror.call(&["serve", "--bind", "127.0.0.1:0"]).start());
    assert!(served.said.contains("is read as it is"), "{}", served.said);
    assert!(served.get("/v0/item/1.json").contains("\"id\":1"));
    // Whoever may write replaces the content at once, as a copy does.
    let database = mirror.sandbox.path("theirs/hn.db");
    let written = mirror.sandbox.path("written.db");
    fs::copy(&database, &written).unwrap();
    fs::set_permissions(&written, Permissions::from_mode(0o644)).unwrap();
    let mut conn = SqliteConnection::establish(written.to_str().unwrap()).unwrap();
    conn.batch_execute("DELETE FROM items WHERE id = 1; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    drop(conn);
    fs::set_permissions(&database, Permissions::from_mode(0o644)).unwrap();
    fs::write(&database, fs::read(&written).unwrap()).unwrap();
    wait_until("the change is seen", || {
        served.get("/v0/item/1.json").ends_with("\r\n\r\nnull")
    });
    served.running.signal("TERM");
    served.running.wait().exits(143);
}
