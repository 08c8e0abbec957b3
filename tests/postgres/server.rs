//! A PostgreSQL server of a test's own, from the installed packages. It can be stopped, killed and started again, and is deleted
//! at the end of the test.

use std::{
    env, fs,
    net::TcpListener,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection, PgConnection, RunQueryDsl,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Nullable, Text},
};
use tempfile::TempDir;

/// The password of the server's roles. No output may contain it.
pub(crate) const PASSWORD: &str = "hunter2-horse";

/// The database that a test uses, unless it makes another one.
pub(crate) const DATABASE: &str = "mirror";

/// A server that does not start or stop within this time never does.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// The user `nobody`: PostgreSQL does not run as root.
const ORDINARY_USER: u32 = 65_534;

/// The server, with an empty database and the superuser `postgres`.
pub(crate) struct Server {
    process: Option<Child>,
    port: u16,
    folder: TempDir,
    largest_file_kib: Option<u32>,
}

impl Server {
    /// A server that is never killed, so that it need not wait for the disk.
    pub(crate) fn start() -> Self {
        Self::with_settings("fsync = off")
    }

    /// A server none of whose files may grow beyond this many KiB.
    pub(crate) fn with_largest_file(kib: u32) -> Self {
        Self::make("fsync = off", Some(kib))
    }

    /// A server with these lines in its configuration.
    pub(crate) fn with_settings(settings: &str) -> Self {
        Self::make(settings, None)
    }

    fn make(settings: &str, largest_file_kib: Option<u32>) -> Self {
        let folder = TempDir::with_prefix("hn-ingest-pg").unwrap();
        if is_root() {
            chown(folder.path(), Some(ORDINARY_USER), Some(ORDINARY_USER)).unwrap();
        }
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let data = folder.path().join("data");
        let made = command("initdb")
            .arg("--pgdata")
            .arg(&data)
            .arg(format!("--pwfile={}", password.display()))
            .args(["--username=postgres", "--auth=scram-sha-256"])
            .args([
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
                "--wal-segsize=1",
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let configuration = format!(
            "listen_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nmax_connections = 40\n{settings}\n",
            folder.path().display()
        );
        let path = data.join("postgresql.conf");
        let default = fs::read_to_string(&path).unwrap();
        fs::write(&path, default + &configuration).unwrap();
        let port = free_port();
        let mut server = Self {
            process: None,
            port,
            folder,
            largest_file_kib,
        };
        server.start_again();
        server.execute_in("postgres", &format!("CREATE DATABASE {DATABASE}"));
        server
    }

    /// Starts it after it was stopped or killed.
    pub(crate) fn start_again(&mut self) {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let mut process = self.spawn();
            loop {
                assert!(Instant::now() < deadline, "{}", self.log());
                if PgConnection::establish(&self.url("postgres")).is_ok() {
                    self.process = Some(process);
                    return;
                }
                // After a kill, the sessions of the old server may still be ending.
                if process.try_wait().unwrap().is_some() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// Starts it without waiting until it takes connections.
    fn spawn(&self) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        let mut call = command("postgres");
        if let Some(kib) = self.largest_file_kib {
            let postgres = call.get_program().to_owned();
            call = as_ordinary_user(Command::new("/bin/bash"));
            call.args(["-c", &format!("ulimit -f {kib} && exec \"$@\""), "bash"]);
            call.arg(postgres);
        }
        call.arg("-D")
            .arg(self.data())
            .arg("-p")
            .arg(self.port.to_string())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Shuts it down. Its sessions end at once.
    pub(crate) fn stop(&mut self) {
        self.end("INT");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.end("KILL");
    }

    fn end(&mut self, signal: &str) {
        if let Some(mut process) = self.process.take() {
            let sent = Command::new("/bin/kill")
                .arg(format!("-{signal}"))
                .arg(process.id().to_string())
                .status();
            assert!(sent.unwrap().success());
            process.wait().unwrap();
        }
    }

    /// The URL of a database, with the password.
    pub(crate) fn url(&self, database: &str) -> String {
        self.url_of("postgres", database)
    }

    /// The URL of a database for another role.
    pub(crate) fn url_of(&self, role: &str, database: &str) -> String {
        format!(
            "postgres://{role}:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// The URL of a database by way of a proxy at this port.
    pub(crate) fn url_at(&self, port: u16, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/{database}")
    }

    /// The URL of a database as messages show it.
    pub(crate) fn place(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Starts it again as one that replays the log of another server, and so takes no writes.
    pub(crate) fn become_standby(&mut self) {
        self.stop();
        let signal = self.data().join("standby.signal");
        fs::write(&signal, "").unwrap();
        if is_root() {
            chown(&signal, Some(ORDINARY_USER), Some(ORDINARY_USER)).unwrap();
        }
        self.start_again();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where its files are.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn connect(&self) -> PgConnection {
        PgConnection::establish(&self.url(DATABASE)).unwrap()
    }

    pub(crate) fn execute(&self, sql: &str) {
        self.execute_in(DATABASE, sql);
    }

    pub(crate) fn execute_in(&self, database: &str, sql: &str) {
        let mut conn = PgConnection::establish(&self.url(database)).unwrap();
        conn.batch_execute(sql).unwrap();
    }

    /// The one value that a query gives, as text.
    pub(crate) fn text(&self, query: &str) -> String {
        #[derive(diesel::QueryableByName)]
        struct OneText {
            #[diesel(sql_type = Nullable<Text>)]
            value: Option<String>,
        }
        let query = format!("SELECT ({query})::text AS value");
        let row: OneText = sql_query(query).get_result(&mut self.connect()).unwrap();
        row.value.unwrap_or_default()
    }

    pub(crate) fn number(&self, query: &str) -> i64 {
        self.text(query).parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once: its files are deleted next.
        if let Some(mut process) = self.process.take() {
            let quit = Command::new("/bin/kill")
                .args(["-QUIT", &process.id().to_string()])
                .status();
            if quit.is_err() {
                let _ = process.kill();
            }
            let _ = process.wait();
        }
    }
}

/// A program of the installed PostgreSQL, run as an ordinary user.
pub(crate) fn command(program: &str) -> Command {
    as_ordinary_user(Command::new(programs().join(program)))
}

/// PostgreSQL does not run as root.
fn as_ordinary_user(mut command: Command) -> Command {
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command.env_remove("PGPASSWORD").env("LC_ALL", "C");
    if is_root() {
        command.uid(ORDINARY_USER).gid(ORDINARY_USER);
    }
    command
}

/// The folder of the newest PostgreSQL server that is installed.
fn programs() -> PathBuf {
    let version = |folder: &PathBuf| {
        let version = folder.parent().and_then(Path::file_name);
        version.and_then(|name| name.to_str()?.parse::<u32>().ok())
    };
    let installed = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<_> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.sort_by_key(version);
    folders.reverse();
    if let Some(path) = env::var_os("PATH") {
        folders.extend(env::split_paths(&path));
    }
    let found = folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists());
    found.expect("these tests need a PostgreSQL server; install it, on Debian with `apt-get install postgresql libpq-dev`")
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
