//! The files for systemd and for containers: they are valid, and they name what exists.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

const PACKAGING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging");

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(PACKAGING).join(name)).unwrap()
}

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
    let installed = "/usr/local/bin/hn-ingest";
    let service = read("hn-ingest.service");
    assert!(service.contains(&format!("ExecStart={installed} backfill")));
    // systemd checks that the program is there.
    let built = service.replace(
        &format!("ExecStart={installed}"),
        &format!("ExecStart={}", env!("CARGO_BIN_EXE_hn-ingest")),
    );
    let service = folder.path().join("hn-ingest.service");
    let timer = folder.path().join("hn-ingest.timer");
    fs::write(&service, built).unwrap();
    fs::write(&timer, read("hn-ingest.timer")).unwrap();
    let (service, timer) = (service.to_str().unwrap(), timer.to_str().unwrap());
    let Some(output) = systemd_analyze(&["verify", service, timer]) else {
        return;
    };
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );
    // The threshold is ten times the exposure, which is from 0 (best) to 10.
    let threshold = ["security", "--offline=true", "--threshold=20", service];
    let output = systemd_analyze(&threshold).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn the_variables_that_the_packages_set_are_those_of_the_program() {
    let settings = include_str!("../docs/settings.md");
    for (file, prefix) in [
        ("hn-ingest.service", "Environment="),
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
