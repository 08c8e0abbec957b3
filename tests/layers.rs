//! The rules of who may know whom, which no compiler checks.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rust files below a folder of `src`, or one file, with their code: without comments and without what follows `mod tests {`.
fn code(place: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root.join(place), &mut files);
    assert!(!files.is_empty(), "there is no {place}");
    files
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("mod tests {").next().unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            (path, code.collect::<Vec<_>>().join("\n"))
        })
        .collect()
}

fn collect(place: &Path, files: &mut Vec<PathBuf>) {
    if place.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(place)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        entries.sort();
        entries.iter().for_each(|entry| collect(entry, files));
    } else if place.extension().is_some_and(|extension| extension == "rs") {
        files.push(place.to_owned());
    }
}

/// The rooms that a file imports from: `crate::room::…`, alone or grouped as in `crate::{room::…, …}`.
fn rooms(code: &str) -> Vec<String> {
    let flat: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut rooms = Vec::new();
    for (at, found) in flat.match_indices("crate::") {
        let after = &flat[at + found.len()..];
        let Some(group) = after.strip_prefix('{') else {
            rooms.push(first_name(after));
            continue;
        };
        let mut depth = 0;
        let mut entry = String::new();
        for c in group.chars() {
            match c {
                '}' if depth == 0 => break,
                ',' if depth == 0 => rooms.push(first_name(&std::mem::take(&mut entry))),
                _ => {
                    depth += i32::from(c == '{') - i32::from(c == '}');
                    entry.push(c);
                }
            }
        }
        rooms.push(first_name(&entry));
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

fn first_name(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn imports_are_found_alone_and_grouped() {
    let code = "use crate::store::Pool; use crate::{ cli, hn::{Item, List},\n  ingest::Source as S, }; crate::mock_api::x()";
    assert_eq!(rooms(code), ["store", "cli", "hn", "ingest", "mock_api"]);
}

#[track_caller]
fn never(place: &str, words: &[&str]) {
    for (path, code) in code(place) {
        for word in words {
            assert!(!code.contains(word), "{}: `{word}`", path.display());
        }
    }
}

#[test]
fn imports_point_one_way() {
    let own_names = ["tests"];
    for (place, may_know) in [
        ("store", &["store"][..]),
        ("ingest", &["ingest", "store"]),
        ("hn", &["hn", "ingest", "store"]),
        ("mock_api", &["mock_api"]),
        ("test_util", &["test_util"]),
        ("cli", &["cli", "hn", "mock_api", "ingest", "store"]),
    ] {
        for (path, code) in code(place) {
            for room in rooms(&code) {
                let known = may_know.contains(&room.as_str()) || own_names.contains(&room.as_str());
                assert!(known, "{} knows crate::{room}", path.display());
            }
        }
    }
    never("ingest", &["hackernews", "HackerNews", "hacker-news"]);
}

#[test]
fn actors_do_not_import_each_other() {
    never(
        "ingest/actors/coordinator",
        &["fetcher::", "storage::Storage", "Fetcher<", "Storage<"],
    );
    never(
        "ingest/actors/fetcher.rs",
        &["coordinator::", "storage::", "Coordinator", "Storage"],
    );
    never(
        "ingest/actors/storage",
        &["coordinator::Coordinator", "fetcher::", "Fetcher"],
    );
}

#[test]
fn the_coordinator_knows_no_http_and_no_sql_and_a_fetcher_neither_json_nor_tables() {
    never("ingest/actors/coordinator", &["awc", "diesel", "http"]);
    never(
        "ingest/actors/fetcher.rs",
        &["serde_json", "diesel", "SqliteConnection"],
    );
}

#[test]
fn clap_and_the_logger_are_the_binarys_alone() {
    for room in ["ingest", "hn", "mock_api", "test_util", "store", "lib.rs"] {
        never(room, &["clap::", "env_logger", "indicatif"]);
    }
}

#[test]
fn the_library_leaves_its_host_alone() {
    for room in ["ingest", "hn", "mock_api", "store", "lib.rs"] {
        never(
            room,
            &[
                "process::exit",
                "process::abort",
                "System::current().stop",
                ".stop_with_code",
                "set_hook",
                "set_logger",
                "set_boxed_logger",
                "install_default",
                "ctrl_c",
                "signal::",
                "println!",
            ],
        );
    }
}

#[test]
fn the_environment_is_read_only_where_settings_are() {
    for (path, code) in code("ingest") {
        let reads = code.contains("env::var");
        assert_eq!(
            reads,
            path.ends_with("ingest/config.rs"),
            "{}",
            path.display()
        );
    }
}
