//! Calling the binary: in a folder of its own, as a process that can be signalled and waited for.

use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{api::Api, database::Db, finished::Finished};

/// A process that does not end within this time hangs. It is much longer than any test needs.
const HANG_LIMIT: Duration = Duration::from_secs(30);

/// An empty folder to run the binary in.
pub(crate) struct Sandbox(TempDir);

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The path as text.
    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The names of all files in the folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries
            .map(|entry| name(entry).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A call of the binary with these arguments.
    pub(crate) fn call(&self, args: &[&str]) -> Call {
        Call::new(env!("CARGO_BIN_EXE_hn-ingest"), self).args(args)
    }

    /// A call that fetches from `api`, prints a JSON report, and has a backoff that does not delay the test.
    pub(crate) fn call_with(&self, api: &Api, args: &[&str]) -> Call {
        let call = self
            .call(args)
            .args(&["--api-url", &api.url(), "--format", "json"]);
        if args.contains(&"--backoff") {
            call
        } else {
            call.args(&["--backoff", "1ms"])
        }
    }

    /// Runs a call to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Finished {
        self.call(args).run()
    }

    /// Runs a call that fetches from `api` to its end.
    pub(crate) fn ingest(&self, api: &Api, args: &[&str]) -> Finished {
        self.call_with(api, args).run()
    }

    /// A database that the binary has made.
    pub(crate) fn db(&self, name: &str) -> Db {
        let path = self.path(name);
        assert!(path.exists(), "there is no {name}");
        Db::open(&path)
    }
}

/// The words of a command line.
pub(crate) fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// A command to be started. It inherits no variable of the tester's environment.
pub(crate) struct Call(Command);

impl Call {
    pub(crate) fn new(program: &str, sandbox: &Sandbox) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .current_dir(sandbox.0.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command)
    }

    pub(crate) fn args(mut self, args: &[impl AsRef<OsStr>]) -> Self {
        self.0.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    /// Without this, standard input is empty.
    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.0.stdin(stdin);
        self
    }

    /// Without this, standard output is a pipe.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.0.stdout(stdout);
        self
    }

    /// Starts it with a pipe as its standard input. Dropping the pipe closes the input.
    pub(crate) fn start_piped(self) -> (Running, ChildStdin) {
        let mut running = self.stdin(Stdio::piped()).start();
        let stdin = running.child().stdin.take().unwrap();
        (running, stdin)
    }

    pub(crate) fn start(mut self) -> Running {
        // A copy of the binary is busy for as long as a process that another test starts at this moment has the copy open for
        // writing.
        let child = loop {
            match self.0.spawn() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                    thread::sleep(Duration::from_millis(10));
                }
                spawned => break spawned.unwrap(),
            }
        };
        Running { child: Some(child) }
    }

    /// Without this, standard error is a pipe.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Self {
        self.0.stderr(stderr);
        self
    }

    /// Without this, it runs in the sandbox.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.0.current_dir(folder);
        self
    }

    /// Runs it as another user. Only root may do this.
    pub(crate) fn user(mut self, id: u32) -> Self {
        self.0.uid(id).gid(id);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Finished {
        self.start().wait()
    }
}

/// A running process. It is killed if the test ends first.
pub(crate) struct Running {
    /// `None` once its end is waited for.
    child: Option<Child>,
}

impl Running {
    /// The pipe to its standard input. Dropping it closes the input.
    pub(crate) fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// Sends a signal by its name, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&[self.id()], name);
    }

    /// Sends a signal twice within microseconds, as `timeout` does.
    pub(crate) fn signal_twice_at_once(&self, name: &str) {
        signal(&[self.id(), self.id()], name);
    }

    /// Waits until it has this file open. It receives signals then.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait_for_open_file(&self, file: &Path) {
        let folder = format!("/proc/{}/fd", self.id());
        wait_until(&format!("{} is open", file.display()), || {
            let files = fs::read_dir(&folder).unwrap();
            files
                .flatten()
                .any(|open| fs::read_link(open.path()).is_ok_and(|path| path == file))
        });
    }

    /// Waits until one of its threads is blocked by a full pipe.
    #[cfg(target_os = "linux")]
    pub(crate) fn wait_until_a_pipe_blocks_it(&self) {
        let folder = format!("/proc/{}/task", self.id());
        wait_until("it is blocked by a pipe", || {
            let threads = fs::read_dir(&folder).unwrap().flatten();
            threads
                .filter_map(|thread| fs::read_to_string(thread.path().join("wchan")).ok())
                .any(|waits_in| waits_in.contains("pipe_write"))
        });
    }

    /// Sends a signal again and again until the process ends. Signals of one kind that come close together count as one, so
    /// sending it twice is not always a second signal.
    pub(crate) fn signal_until_it_ends(&mut self, name: &str) {
        let deadline = Instant::now() + HANG_LIMIT;
        while self.child().try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{name} does not end it");
            self.signal(name);
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Finished {
        self.wait_within(HANG_LIMIT)
    }

    pub(crate) fn wait_within(mut self, limit: Duration) -> Finished {
        let child = self.child.take().unwrap();
        let id = child.id();
        let (sender, receiver) = mpsc::channel();
        let waiter = thread::spawn(move || sender.send(child.wait_with_output()));
        let Ok(output) = receiver.recv_timeout(limit) else {
            signal(&[id], "KILL");
            let _ = waiter.join();
            panic!("it did not end within {limit:?}");
        };
        Finished::new(output.unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until `condition` holds, for as long as a process may take.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + HANG_LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn signal(ids: &[u32], name: &str) {
    let sent = Command::new("/bin/kill")
        .arg(format!("-{name}"))
        .args(ids.iter().map(ToString::to_string))
        .stderr(Stdio::null())
        .status();
    sent.expect("the tests need /bin/kill");
}
