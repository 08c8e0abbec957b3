//! A process that has ended: its exit code and its output.

use std::process::Output;

use serde_json::Value;

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    pub(super) fn new(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The JSON report. Its counts must add up.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        let report: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no report: {error}: {self:?}"));
        let count = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{key}"));
        let settled = count("stored") + count("absent") + count("failed");
        assert_eq!(
            count("requested"),
            settled + count("not_attempted"),
            "{report}"
        );
        report
    }

    /// The ids of the items that the report of a list names.
    #[track_caller]
    pub(crate) fn top_ids(&self) -> Vec<Value> {
        let report = self.report();
        let top = report["top"].as_array().unwrap();
        top.iter().map(|item| item["id"].clone()).collect()
    }

    /// It did not start, with exit code 2 and one message, which contains all `parts`.
    #[track_caller]
    pub(crate) fn refuses(&self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        let stderr = &self.stderr;
        let heads = ["hn-ingest: ", "error: "];
        let messages = stderr
            .lines()
            .filter(|line| heads.iter().any(|head| line.starts_with(head)));
        assert_eq!(messages.count(), 1, "one message: {self:?}");
        if stderr.starts_with("hn-ingest: ") {
            assert_eq!(stderr.lines().count(), 1, "one line: {self:?}");
        }
        for never in ["panicked", "stack backtrace", "internal error", ".rs:"] {
            assert!(!stderr.contains(never), "{never}: {self:?}");
        }
        for part in parts {
            assert!(stderr.contains(part), "`{part}` is missing: {self:?}");
        }
    }
}

/// `stored`, `absent`, `failed` and `not_attempted` of a report.
pub(crate) fn counts(report: &Value) -> [u64; 4] {
    ["stored", "absent", "failed", "not_attempted"].map(|key| report[key].as_u64().unwrap())
}
