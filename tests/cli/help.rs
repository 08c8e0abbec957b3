//! Help, completions and the manual, and flags that mean nothing to a command.

use std::{fs, path::Path, process::Command};

use crate::common::{Api, Call, Sandbox};

const COMMANDS: [&str; 19] = [
    "top",
    "new",
    "best",
    "ask",
    "show",
    "job",
    "items",
    "users",
    "backfill",
    "retry",
    "verify",
    "copy",
    "status",
    "search",
    "serve",
    "tune",
    "mock-api",
    "completions",
    "man",
];

fn help(args: &[&str]) -> String {
    Sandbox::new().run(args).exits(0).stdout
}

/// The flags that a help text shows, in its order.
fn shown_flags(help: &str) -> Vec<&str> {
    let flags = help.lines().filter_map(|line| {
        let flag = line.trim_start().strip_prefix("--");
        let flag = flag.or_else(|| Some(line.trim_start().split_once(", --")?.1))?;
        flag.split([' ', '\n']).next()
    });
    flags.collect()
}

fn place(text: &str, part: &str) -> usize {
    text.find(part)
        .unwrap_or_else(|| panic!("no `{part}`: {text}"))
}

#[test]
fn help_shows_a_commands_own_flags_first_and_then_the_settings_under_headings() {
    let text = help(&["backfill", "--help"]);
    let order = [
        "Options:",
        "--from <N>",
        "Pipeline:",
        "--workers <N>",
        "Retries and rate:",
        "--attempts <N>",
        "Database:",
        "--database <FILE>",
        "Output:",
        "--format <FORMAT>",
    ];
    let places: Vec<_> = order.iter().map(|part| place(&text, part)).collect();
    assert!(places.is_sorted(), "{text}");
    assert!(!shown_flags(&text).contains(&"limit"), "{text}");
    assert!(shown_flags(&help(&["top", "--help"])).contains(&"limit"));
}

#[test]
fn help_shows_no_setting_that_means_nothing_to_the_command() {
    let own = [
        "port",
        "max-item",
        "seed",
        "latency",
        "fail-rate",
        "hang-rate",
        "reset-rate",
        "truncate-rate",
        "rate-limit",
        "live",
        "speed",
        "live-start",
        "live-limit",
        "stream-cut-rate",
        "stream-loss-rate",
        "stream-cancel-rate",
        "stream-stall",
        "stream-keep-alive",
        "no-streams",
        "help",
    ];
    // The short help leaves out what means something with `--live` only.
    let live_only = &own[own.iter().position(|flag| *flag == "speed").unwrap()..own.len() - 1];
    let none: [&str; 1] = ["help"];
    for (command, flags) in [
        ("mock-api", &own[..]),
        ("status", &["help", "database", "demo", "format"]),
        (
            "copy",
            &["to", "help", "database", "demo", "format", "progress"],
        ),
        ("completions", &none),
        ("man", &none),
    ] {
        for option in ["--help", "-h"] {
            let text = help(&[command, option]);
            // The short help has no headings, so that these two come last.
            let in_order = |mut flags: Vec<&'static str>| {
                if option == "-h" {
                    flags.retain(|flag| !live_only.contains(flag));
                    let last = ["demo", "help"];
                    flags.sort_by_key(|flag| last.iter().position(|name| name == flag));
                }
                flags
            };
            assert_eq!(
                shown_flags(&text),
                in_order(flags.to_vec()),
                "{command} {option}"
            );
        }
    }
    // With `--sample`, it fetches.
    let verify = help(&["verify", "--help"]);
    for flag in ["repair", "sample", "max-stale", "seed", "rate", "api-url"] {
        assert!(shown_flags(&verify).contains(&flag), "{flag}");
    }
    assert!(!shown_flags(&verify).contains(&"limit"));
    let tune = help(&["tune", "--help"]);
    for flag in ["workers", "adaptive", "database", "limit"] {
        assert!(!shown_flags(&tune).contains(&flag), "{flag}");
    }
}

#[test]
fn short_help_fits_a_screen_and_long_help_fits_the_width_of_the_terminal() {
    let sandbox = Sandbox::new();
    let lines = |args: &[&str], columns: Option<&str>| {
        let call = sandbox.call(args);
        let call = match columns {
            Some(columns) => call.env("COLUMNS", columns),
            None => call,
        };
        let finished = call.run().exits(0);
        let lines = finished.stdout.lines().map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    let fits = |lines: &[String], width: usize| {
        for line in lines {
            assert!(line.chars().count() <= width, "{line}");
        }
    };
    for columns in [None, Some("80"), Some("200")] {
        for command in [None].into_iter().chain(COMMANDS.map(Some)) {
            let args: Vec<_> = command.into_iter().chain(["-h"]).collect();
            let short = lines(&args, columns);
            assert!(short.len() < 24, "{command:?}: {short:#?}");
            assert!(short.concat().contains("--help"), "{short:#?}");
            fits(&short, 80);
        }
    }
    for command in COMMANDS {
        fits(&lines(&[command, "--help"], Some("100")), 100);
    }
}

#[test]
fn the_short_help_of_the_program_names_every_command_and_every_exit_code() {
    let text = help(&["-h"]);
    for name in COMMANDS {
        assert!(
            text.split([' ', ',', '\n']).any(|word| word == name),
            "{name}: {text}"
        );
    }
    for code in ["130/143/129", "--database", "--demo", "--workers"] {
        place(&text, code);
        place(&help(&["--help"]), code);
    }
}

#[test]
fn help_about_help_is_help() {
    let whole = help(&["--help"]);
    for option in ["--help", "-h"] {
        assert_eq!(help(&["help", option]), whole);
    }
    let sandbox = Sandbox::new();
    sandbox.run(&["helf"]).refuses(&["is not a command"]);
    // An id is meant for another command.
    sandbox.run(&["8863"]).refuses(&["hn-ingest items 8863"]);
}

#[test]
fn a_flag_that_means_nothing_to_a_command_is_refused_wherever_it_stands() {
    for (args, flag) in [
        (&["status", "--workers", "3"][..], "--workers"),
        (&["--workers", "3", "status"], "--workers"),
        (&["status", "--limit=3"], "--limit"),
        (&["verify", "--rate", "3"], "--rate"),
        (&["backfill", "--limit", "3"], "--limit"),
        (&["items", "1", "--limit", "3"], "--limit"),
        (&["retry", "--limit", "3"], "--limit"),
        (&["mock-api", "--database", "x.db"], "--database"),
        (&["--demo", "mock-api"], "--demo"),
        (&["top", "--bind", "127.0.0.1:1"], "--bind"),
        (&["serve", "--workers", "3"], "--workers"),
        (&["tune", "--database", "x.db"], "--database"),
        (&["tune", "--adaptive", "true"], "--adaptive"),
        (&["completions", "bash", "--format", "json"], "--format"),
        (&["man", "--progress", "never"], "--progress"),
    ] {
        let sandbox = Sandbox::new();
        let message = format!("hn-ingest: `{flag}` means nothing to `");
        sandbox.run(args).refuses(&[&message, "leave it out"]);
        assert!(sandbox.files().is_empty());
    }
}

#[test]
fn a_variable_that_means_nothing_to_a_command_is_no_fault() {
    let sandbox = Sandbox::new();
    let api = Api::of_stories();
    sandbox.ingest(&api, &["items", "1"]).exits(0);
    let status = sandbox.call(&["status"]);
    let status = status.env("INGEST_WORKERS", "3").env("INGEST_LIMIT", "5");
    assert_eq!(status.run().exits(0).stderr, "");
}

#[test]
fn completions_are_right_where_the_shell_is_installed() {
    let sandbox = Sandbox::new();
    for (shell, program, check) in [
        ("bash", "/bin/bash", "-n"),
        ("zsh", "/usr/bin/zsh", "-n"),
        ("fish", "/usr/bin/fish", "--no-execute"),
        ("powershell", "", ""),
    ] {
        let script = sandbox.run(&["completions", shell]).exits(0).stdout;
        for part in ["backfill", "newest-first", "workers", "mock-api", "users"] {
            assert!(script.contains(part), "{shell}: {part}");
        }
        fs::write(sandbox.path(shell), &script).unwrap();
        if Path::new(program).exists() {
            let checked = Call::new(program, &sandbox).args(&[check, shell]).run();
            assert_eq!(checked.exits(0).stderr, "", "{shell}");
        }
    }
}

#[test]
fn bash_completes_the_flags_that_apply_and_no_others() {
    let sandbox = Sandbox::new();
    let script = sandbox.run(&["completions", "bash"]).exits(0).stdout;
    fs::write(sandbox.path("script"), script).unwrap();
    let complete = |words: &str, word: &str| {
        let program = format!(
            "source ./script; COMP_WORDS=({words} '{word}'); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _hn__ingest hn-ingest '{word}' \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        let call = Call::new("/bin/bash", &sandbox).args(&["-c", &program]);
        call.run().exits(0).stdout
    };
    if !Path::new("/bin/bash").exists() {
        return;
    }
    let words: Vec<_> = vec!["--database", "--demo", "--format", "--help"];
    let status = complete("hn-ingest status", "--");
    let mut found: Vec<_> = status.split_whitespace().collect();
    found.sort_unstable();
    assert_eq!(found, words);
    assert_eq!(
        complete("hn-ingest status --format", "").trim(),
        "text json"
    );
    let manual = complete("hn-ingest man", "");
    for command in COMMANDS {
        assert!(
            manual.split_whitespace().any(|word| word == command),
            "{manual}"
        );
    }
}

#[test]
fn completions_and_the_manual_that_cannot_be_written_are_an_error() {
    let sandbox = Sandbox::new();
    for args in [&["completions", "zsh"][..], &["man"], &["man", "top"]] {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        sandbox.call(args).stdout(full).run().exits(1);
    }
}

#[test]
fn completions_and_the_manual_depend_on_no_variable() {
    let sandbox = Sandbox::new();
    for args in [&["completions", "bash"][..], &["man"]] {
        let call = sandbox.call(args).env("INGEST_WORKERS", "many");
        assert_eq!(call.run().exits(0).stderr, "");
    }
    let shells = ["bash", "zsh", "fish", "powershell"];
    sandbox.run(&["completions", "tcsh"]).refuses(&shells);
    sandbox.run(&["man", "bakfill"]).refuses(&["backfill"]);
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_each_command() {
    let sandbox = Sandbox::new();
    for command in [None].into_iter().chain(COMMANDS.map(Some)) {
        let args: Vec<_> = ["man"].into_iter().chain(command).collect();
        let page = sandbox.run(&args).exits(0).stdout;
        let name = command.map_or("hn-ingest".into(), |name| format!("hn-ingest-{name}"));
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
        fs::write(sandbox.path("page.1"), &page).unwrap();
        if Path::new("/usr/bin/man").exists() {
            let shown = Command::new("/usr/bin/man")
                .args(["--warnings", "-E", "UTF-8", "-l", "-P", "cat"])
                .arg(sandbox.path("page.1"))
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&shown.stderr);
            assert!(shown.status.success() && errors.is_empty(), "{errors}");
            assert!(String::from_utf8_lossy(&shown.stdout).contains("NAME"));
        }
    }
}
