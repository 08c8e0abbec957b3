//! The rules of which file may know which, as they stand in ARCHITECTURE.md. No compiler checks them.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The module path of a file of `src`, such as `["ingest", "http"]` for `src/ingest/http/mod.rs`.
type ModulePath = Vec<String>;

/// A file of `src`, without its comments and without its tests.
struct SourceFile {
    path: PathBuf,
    module: ModulePath,
    code: String,
}

impl SourceFile {
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("mod tests {").next().unwrap();
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect::<Vec<_>>()
            .join("\n");
        let relative = path.strip_prefix(source_folder()).unwrap();
        let module = relative
            .with_extension("")
            .iter()
            .map(|part| part.to_str().unwrap().to_owned())
            .filter(|part| !["mod", "lib"].contains(&part.as_str()))
            .collect();
        Self { path, module, code }
    }

    /// The absolute paths that its `use` items name, beginning below `crate`.
    fn imports(&self) -> Vec<ModulePath> {
        let mut imports = Vec::new();
        let mut item: Option<String> = None;
        for line in self.code.lines().map(str::trim) {
            let begins = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "]
                .iter()
                .find_map(|keyword| line.strip_prefix(keyword));
            match &mut item {
                Some(item) => item.push_str(line),
                None => item = begins.map(str::to_owned),
            }
            if let Some(whole) = item.take_if(|item| item.ends_with(';')) {
                let paths = expand(whole.trim_end_matches(';'));
                imports.extend(paths.into_iter().filter_map(|path| self.resolve(path)));
            }
        }
        imports
    }

    /// Makes a path absolute; `None` for a path into another crate.
    fn resolve(&self, path: ModulePath) -> Option<ModulePath> {
        let mut rest = path.into_iter().peekable();
        let mut absolute = match rest.next()?.as_str() {
            "crate" => Vec::new(),
            "self" => self.module.clone(),
            "super" => parent(&self.module),
            _ => return None,
        };
        while rest.next_if(|part| part == "super").is_some() {
            absolute = parent(&absolute);
        }
        absolute.extend(rest);
        Some(absolute)
    }
}

fn parent(module: &[String]) -> ModulePath {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// The single paths of a `use` item with groups: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn expand(item: &str) -> Vec<ModulePath> {
    let parts = |path: &str| -> ModulePath {
        let names = path.split("::").map(str::trim);
        let names = names.filter(|name| !name.is_empty());
        // What follows `as` is only the name here.
        names
            .map(|name| name.split(" as ").next().unwrap().to_owned())
            .collect()
    };
    let Some((head, group)) = item.split_once('{') else {
        return vec![parts(item)];
    };
    let group = &group[..group.rfind('}').unwrap()];
    let mut depth = 0;
    let entries = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    entries
        .filter(|entry| !entry.trim().is_empty())
        .flat_map(expand)
        .map(|tail| [parts(head), tail].concat())
        .collect()
}

fn source_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The files below a folder of `src`, or one file. Files of tests are left out.
fn files(place: &str) -> Vec<SourceFile> {
    let mut paths = Vec::new();
    collect(&source_folder().join(place), &mut paths);
    assert!(!paths.is_empty(), "there is no {place}");
    paths
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(SourceFile::read)
        .collect()
}

fn collect(place: &Path, paths: &mut Vec<PathBuf>) {
    if place.is_dir() {
        let entries = fs::read_dir(place).unwrap();
        let entries: BTreeSet<_> = entries.map(|entry| entry.unwrap().path()).collect();
        entries.iter().for_each(|entry| collect(entry, paths));
    } else if place.extension().is_some_and(|extension| extension == "rs") {
        paths.push(place.to_owned());
    }
}

#[test]
fn imports_are_found_alone_grouped_and_relative() {
    let file = SourceFile {
        path: PathBuf::new(),
        module: vec!["hn".to_owned(), "sink".to_owned()],
        code: "use std::fmt;\npub use crate::store::Pool;\nuse crate::{cli, ingest::{Source as S, x::{y, z}}};\n\
               use super::item::Item;\nuse self::{outcomes::Outcomes};\nlet because = 1;"
            .to_owned(),
    };
    let imports: Vec<_> = file.imports().iter().map(|path| path.join("::")).collect();
    assert_eq!(
        imports,
        [
            "store::Pool",
            "cli",
            "ingest::Source",
            "ingest::x::y",
            "ingest::x::z",
            "hn::item::Item",
            "hn::sink::outcomes::Outcomes",
        ]
    );
}

#[test]
fn rooms_import_only_the_rooms_below_them() {
    for (place, may_import) in [
        ("store", &["store"][..]),
        ("ingest", &["ingest", "store"]),
        ("hn", &["hn", "ingest", "store"]),
        ("hn_api", &["hn_api", "hn"]),
        ("mock_api", &["mock_api", "hn_api", "hn"]),
        ("serve", &["serve", "hn_api", "hn", "ingest", "store"]),
        ("test_util", &["test_util"]),
        (
            "cli",
            &["cli", "serve", "mock_api", "hn", "ingest", "store"],
        ),
    ] {
        for file in files(place) {
            for import in file.imports() {
                let room = import.first().map_or("the crate itself", String::as_str);
                assert!(
                    may_import.contains(&room),
                    "{} imports {room}",
                    file.path.display()
                );
            }
            // A path may also stand in the code itself.
            for part in file.code.split("crate::").skip(1) {
                let name: String = part
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                assert!(
                    name.is_empty() || may_import.contains(&name.as_str()),
                    "{} names crate::{name}",
                    file.path.display()
                );
            }
        }
    }
}

#[test]
fn no_two_files_import_each_other_not_even_by_way_of_others() {
    let files = files("");
    let modules: BTreeSet<&ModulePath> = files.iter().map(|file| &file.module).collect();
    let mut imports: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> = BTreeMap::new();
    for file in &files {
        for import in file.imports() {
            // The file that defines it is the longest module path that it begins with.
            let target = (0..=import.len())
                .rev()
                .find_map(|length| modules.get(&import[..length].to_vec()));
            if let Some(target) = target.filter(|target| **target != &file.module) {
                imports.entry(&file.module).or_default().insert(target);
            }
        }
    }
    for module in &modules {
        let mut reached = BTreeSet::new();
        let mut to_visit = vec![*module];
        while let Some(next) = to_visit.pop() {
            for import in imports.get(next).into_iter().flatten() {
                assert!(
                    import != module,
                    "{} imports itself by way of {}",
                    module.join("::"),
                    next.join("::")
                );
                if reached.insert(*import) {
                    to_visit.push(import);
                }
            }
        }
    }
}

#[track_caller]
fn never(place: &str, words: &[&str]) {
    for file in files(place) {
        for word in words {
            assert!(
                !file.code.contains(word),
                "{}: `{word}`",
                file.path.display()
            );
        }
    }
}

#[test]
fn the_engine_knows_nothing_about_hacker_news() {
    never(
        "ingest",
        &["hackernews", "HackerNews", "hacker-news", "HnS"],
    );
}

#[test]
fn actors_do_not_import_each_other() {
    let actors = ["coordinator", "fetcher", "storage"];
    for actor in actors {
        let place = if actor == "fetcher" {
            "ingest/actors/fetcher.rs".to_owned()
        } else {
            format!("ingest/actors/{actor}")
        };
        for file in files(&place) {
            for import in file.imports() {
                let is_other = actors.iter().any(|other| {
                    *other != actor
                        && import.starts_with(&["ingest", "actors", other].map(String::from))
                });
                assert!(!is_other, "{}: {import:?}", file.path.display());
            }
        }
    }
}

#[test]
fn the_coordinator_knows_no_http_and_no_sql_and_a_fetcher_neither_json_nor_tables() {
    never(
        "ingest/actors/coordinator",
        &["awc", "hyper", "diesel", "http", "Connection"],
    );
    never("ingest/actors/fetcher.rs", &["serde_json", "diesel"]);
}

#[test]
fn the_engine_names_no_database() {
    never("ingest", &["Sqlite", "sqlite::", "PRAGMA"]);
}

#[test]
fn the_engine_names_no_flag() {
    never("ingest", &["\"--", " --"]);
}

#[test]
fn everything_that_paces_uses_the_clock_that_tests_can_move() {
    for place in [
        "ingest/limits",
        "ingest/http",
        "ingest/handle",
        "ingest/actors/coordinator",
    ] {
        never(place, &["std::time::Instant", "thread::sleep"]);
    }
}

#[test]
fn clap_and_the_logger_are_the_binarys_alone() {
    for room in [
        "ingest",
        "hn",
        "hn_api",
        "mock_api",
        "serve",
        "test_util",
        "store",
        "lib.rs",
    ] {
        never(room, &["clap::", "env_logger", "indicatif"]);
    }
}

#[test]
fn the_library_leaves_its_host_alone() {
    for room in [
        "ingest", "hn", "hn_api", "mock_api", "serve", "store", "lib.rs",
    ] {
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
                "tokio::signal",
                "println!",
            ],
        );
    }
}

#[test]
fn the_environment_is_read_only_where_settings_are() {
    for file in files("ingest") {
        let reads = file.code.contains("env::var");
        assert_eq!(
            reads,
            file.path.ends_with("ingest/config/setting.rs"),
            "{}",
            file.path.display()
        );
    }
}
