//! What a terminal shows: progress in one line, and text from elsewhere that cannot control it.

use std::{
    io::Read,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use hn_ingest::test_util::{Latch, Reply};
use serde_json::json;

use crate::common::{Api, Call, Finished, Running, Sandbox, id_of, story};

/// The binary on a terminal of its own.
struct OnTerminal {
    running: Running,
    /// Everything that it wrote, to stdout and stderr.
    output: Arc<Mutex<String>>,
    reader: thread::JoinHandle<()>,
}

impl OnTerminal {
    /// Without `term`, the variable `TERM` is not set.
    fn start(
        sandbox: &Sandbox,
        columns: usize,
        term: Option<&str>,
        api: &Api,
        args: &[&str],
    ) -> Self {
        let binary = env!("CARGO_BIN_EXE_hn-ingest");
        let args = args.join(" ");
        let unset = if term.is_none() { "unset TERM; " } else { "" };
        let script = format!("stty cols {columns} rows 20; {unset}exec {binary} {args}");
        // From Debian's bsdutils, which is on every machine: it runs a command on a new terminal.
        let mut running = Call::new("/usr/bin/script", sandbox)
            .args(&["-q", "-e", "-c", &script, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", term.unwrap_or("dumb"))
            .env("INGEST_API_URL", api.url())
            .start();
        let output = Arc::new(Mutex::new(String::new()));
        let mut pipe = running.child().stdout.take().unwrap();
        let written = output.clone();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]);
                written.lock().unwrap().push_str(&text);
            }
        });
        Self {
            running,
            output,
            reader,
        }
    }

    /// Waits until it has written this.
    #[track_caller]
    fn wait_for(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.output.lock().unwrap().contains(text) {
            let output = self.output.lock().unwrap().clone();
            assert!(Instant::now() < deadline, "no `{text}`: {output:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end. Returns everything that it wrote.
    fn wait(self) -> (Finished, String) {
        let finished = self.running.wait();
        self.reader.join().unwrap();
        let output = self.output.lock().unwrap().clone();
        (finished, output)
    }
}

/// Three stories, of which the last one is held back until the latch opens.
fn api_that_waits() -> (Api, Latch) {
    let api = Api::new();
    let gate = Latch::new();
    let held = gate.clone();
    api.0.otherwise(move |path| match id_of(path) {
        Some(3) => Reply::json(story(3, 3)).held_by(&held),
        Some(id) => Reply::json(story(id, id)),
        None => Reply::status(404),
    });
    (api, gate)
}

/// The lines of a screen after this output. A line that is as wide as the screen would wrap, so it is a fault.
fn screen(output: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let mut column = 0;
    let mut rest = output;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\u{1b}[J") {
            lines.last_mut().unwrap().truncate(column);
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '\r' => column = 0,
            '\n' => lines.push(Vec::new()),
            '\u{1b}' => panic!("an unknown sequence: {output:?}"),
            _ => {
                let line = lines.last_mut().unwrap();
                line.resize(line.len().max(column + 1), ' ');
                line[column] = c;
                column += 1;
                let is_bar = line[0] == '[';
                assert!(!is_bar || column < columns, "it wraps: {output:?}");
            }
        }
    }
    let text = |line: Vec<char>| line.into_iter().collect();
    lines.into_iter().map(text).collect()
}

#[test]
fn progress_fits_a_terminal_of_any_width_and_leaves_nothing_behind() {
    for columns in [30, 60, 80, 200] {
        let sandbox = Sandbox::new();
        let (api, gate) = api_that_waits();
        let args = ["items", "1", "2", "3"];
        let running = OnTerminal::start(&sandbox, columns, Some("xterm"), &api, &args);
        running.wait_for("2 of 3 done");
        gate.open();
        let (finished, output) = running.wait();
        finished.exits(0);
        let lines = screen(&output, columns);
        assert!(lines[0].starts_with("3 stored"), "{columns}: {output:?}");
        assert!(!lines.concat().contains("done"), "{columns}: {output:?}");
        if columns >= 60 {
            assert!(
                output.contains("[======>   ") || output.contains("[====="),
                "{output:?}"
            );
        }
        assert_eq!(
            columns >= 200,
            output.contains("being retried"),
            "{output:?}"
        );
    }
}

#[test]
fn a_terminal_that_draws_no_bar_gets_plain_lines() {
    for (term, args) in [
        (Some("dumb"), &["--progress", "always"][..]),
        (None, &["--progress", "always"]),
        (Some("dumb"), &[]),
        (None, &[]),
    ] {
        let sandbox = Sandbox::new();
        let (api, gate) = api_that_waits();
        let args = [&["items", "1", "2", "3"], args].concat();
        let running = OnTerminal::start(&sandbox, 80, term, &api, &args);
        running.wait_for(" of 3 done, ");
        gate.open();
        let (finished, output) = running.wait();
        finished.exits(0);
        assert!(!output.contains('\u{1b}'), "{output:?}");
        assert!(!output.contains("[="), "{output:?}");
    }
}

#[test]
fn a_warning_is_a_line_of_its_own_above_the_bar() {
    let sandbox = Sandbox::new();
    let (api, gate) = api_that_waits();
    api.item(4, [Reply::status(404)]);
    let args = ["items", "1", "3", "4", "--rate", "2"];
    // `--rate 2` lets the failure come after the bar was drawn.
    let args = [&args[..], &["--workers", "2"]].concat();
    let running = OnTerminal::start(&sandbox, 80, Some("xterm"), &api, &args);
    running.wait_for("2 of 3 done");
    gate.open();
    let (finished, output) = running.wait();
    finished.exits(1);
    let lines = screen(&output, 80);
    assert!(lines[0].starts_with("2 stored"), "{output:?}");
}

#[test]
fn a_short_run_without_a_terminal_says_nothing_on_stderr() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.0.on("/v0/maxitem.json", [Reply::json("3")]);
    for args in [&["items", "1"][..], &["backfill"], &["verify"], &["status"]] {
        let fetches = matches!(args[0], "items" | "backfill");
        let finished = if fetches {
            sandbox.ingest(&api, args).exits(0)
        } else {
            sandbox.run(args).exits(0)
        };
        assert_eq!(finished.stderr, "", "{args:?}");
    }
}

#[test]
fn a_check_and_the_building_of_indexes_show_progress_too() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    api.0.on("/v0/maxitem.json", [Reply::json("3")]);
    let finished = sandbox
        .ingest(&api, &["backfill", "--progress", "always"])
        .exits(0);
    for part in ["building the indexes", "building index 1 of 4"] {
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
    let finished = sandbox.run(&["verify", "--progress", "always"]).exits(0);
    assert!(finished.stderr.contains("step 1 of 3"), "{finished:?}");
    let finished = sandbox.run(&["verify", "--progress", "never"]).exits(0);
    assert_eq!(finished.stderr, "");
}

#[test]
fn titles_are_shown_as_text_and_in_columns() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    api.list("top", [1, 2, 3, 4]);
    for (id, title) in [
        (1, "AT&amp;T &lt;3 <b>Rust</b> &#x27;n&#39; &quot;C&quot;"),
        (2, "日本語のタイトル"),
        (3, "a\u{202e}b\u{2066}c\u{2028}d\u{200f}e\u{61c}f&#x202e;g"),
        (4, "e\u{301}te\u{301} 🚀"),
    ] {
        let body = json!({"id": id, "type": "story", "score": id, "title": title});
        api.item(id, [Reply::json(body.to_string())]);
    }
    let url = api.url();
    let finished = sandbox.run(&["top", "--api-url", &url]).exits(0);
    let table: Vec<_> = finished.stdout.lines().skip(4).collect();
    let title = "AT&T <3 Rust 'n' \"C\"";
    let width = title.len();
    // Wide characters take two columns, combining ones none.
    let row = |score, title: &str, columns: usize, id| {
        let blanks = " ".repeat(width - columns);
        format!("{score:>6}  {title}{blanks}  {id:>10}")
    };
    let replaced = "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e\u{fffd}f\u{fffd}g";
    assert_eq!(
        table,
        [
            row(4, "e\u{301}te\u{301} 🚀", 6, 4),
            row(3, replaced, 13, 3),
            row(2, "日本語のタイトル", 16, 2),
            row(1, title, width, 1),
        ]
    );
    let stored = sandbox.db("hn.db").column("title", "items WHERE id = 1");
    assert_eq!(
        stored[0],
        "AT&amp;T &lt;3 <b>Rust</b> &#x27;n&#39; &quot;C&quot;"
    );
}

#[test]
fn a_table_fits_the_terminal() {
    for columns in [40, 60, 200] {
        let sandbox = Sandbox::new();
        let api = Api::new();
        api.list("top", [1, 2]);
        for (id, title) in [(1, "word ".repeat(18)), (2, "字".repeat(60))] {
            let body = json!({"id": id, "type": "story", "score": id, "title": title});
            api.item(id, [Reply::json(body.to_string())]);
        }
        let running = OnTerminal::start(&sandbox, columns, Some("xterm"), &api, &["top"]);
        let (finished, output) = running.wait();
        finished.exits(0);
        let lines = screen(&output, columns);
        let rows = lines.iter().filter(|line| line.starts_with("     "));
        // A wide character takes two columns.
        let width = |line: &String| line.chars().map(|c| if c == '字' { 2 } else { 1 }).sum();
        let widths: Vec<usize> = rows.map(width).collect();
        assert_eq!(widths.len(), 2, "{output:?}");
        assert!(widths.iter().all(|width| *width <= columns), "{output:?}");
        assert_eq!(columns < 200, output.contains('…'), "{output:?}");
    }
}

#[test]
fn what_an_api_says_reaches_no_message_and_no_log_as_it_is() {
    let sandbox = Sandbox::new();
    let api = Api::new();
    let odd = "\u{1b}[31m\u{202e}\u{2028}";
    api.item(1, [Reply::json(format!("\"{odd}\""))]);
    api.0
        .on("/v0/topstories.json", [Reply::json(format!("\"{odd}\""))]);
    let url = api.url();
    for args in [&["items", "1"][..], &["top"]] {
        let finished = sandbox
            .call(args)
            .args(&["--api-url", &url])
            .env("RUST_LOG", "hn_ingest=debug")
            .run();
        assert_ne!(finished.code, Some(0));
        for text in [&finished.stdout, &finished.stderr] {
            assert!(
                !text.contains(['\u{1b}', '\u{202e}', '\u{2028}']),
                "{text:?}"
            );
        }
    }
}
