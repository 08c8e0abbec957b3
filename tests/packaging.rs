//! The files for systemd and for containers: they are valid, and they name what exists.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(PACKAGING).join(name)).unwrap()
}

/// The services, with the command that each of them runs.
const SERVICES: [(&str, &str); 2] = [
    ("hn-ingest.service", "backfill"),
    ("hn-ingest-follow.service", "follow"),
];

/// Runs `systemd-analyze`; `None` where it is not installed.
fn systemd_analyze(args: &[&str]) -> Option<std::process::Output> {
    let output = Command::new("systemd-analyze").args(args).output();
    if output.is_err() {
        eprintln!("systemd-analyze is not installed: the units are not checked");
    }
    output.ok()
}

#[test]
fn systemd_accepts_the_units_and_rates_the_service_as_well_confined() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let services = SERVICES.map(|(name, command)| {
        let start = "ExecStart=/usr/local/bin/hn-ingest";
        let text = read(name);
        assert!(text.contains(&format!("{start} {command}\n")));
        // systemd checks that the program is there.
        let built = format!("ExecStart={}", env!("CARGO_BIN_EXE_hn-ingest"));
        put(name, &text.replace(start, &built))
    });
    let timer = put("hn-ingest.timer", &read("hn-ingest.timer"));
    let [backfill, follow] = &services;
    let Some(output) = systemd_analyze(&["verify", backfill, follow, &timer]) else {
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    for service in &services {
        // The threshold is ten times the exposure, which is from 0 (best) to 10.
        let threshold = ["security", "--offline=true", "--threshold=20", service];
        let output = systemd_analyze(&threshold).unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn the_services_share_a_mirror_and_its_user() {
    let shared = |name: &str| {
        let text = read(name);
        let lines = text.lines().filter(|line| {
            ["User=", "StateDirectory=", "Environment=DATABASE_URL="]
                .iter()
                .any(|begin| line.starts_with(begin))
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let [backfill, follow] = SERVICES.map(|(name, _)| shared(name));
    assert_eq!(backfill.len(), 3);
    assert_eq!(backfill, follow);
}

#[test]
fn the_variables_that_the_packages_set_are_those_of_the_program() {
    let settings = include_str!("../docs/settings.md");
    for (file, prefix) in [
        ("hn-ingest.service", "Environment="),
        ("hn-ingest-follow.service", "Environment="),
        ("Containerfile", "ENV "),
    ] {
        let text = read(file);
        let assignments = text.lines().filter_map(|line| line.strip_prefix(prefix));
        let mut count = 0;
        for assignment in assignments {
            let (name, _) = assignment.split_once('=').unwrap();
            assert!(settings.contains(&format!("`{name}`")), "{file}: {name}");
            count += 1;
        }
        assert!(count > 0, "{file}");
    }
}
