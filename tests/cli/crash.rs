//! `kill -9` at any moment: the database opens clean, holds whole batches only, and a rerun ends as an undisturbed run does.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::common::{Api, Home, Running, counts};

/// Times a run is killed in a row; `KILLS=50` tries more.
fn kills() -> u64 {
    std::env::var("KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(12)
}

const IDS: u64 = 2000;
const BATCH: u64 = 10;

fn ingest(home: &Home, api: &Api) -> Running {
    let batch = BATCH.to_string();
    // A batch is written when it is full or at the end, never half full.
    let args = [
        "items",
        "-",
        "--batch",
        &batch,
        "--linger",
        "1h",
        "--progress",
        "never",
    ];
    let ids = fs::File::open(home.path("ids")).unwrap();
    Running::start(home.ingesting(api, &args).stdin(Stdio::from(ids)))
}

fn home() -> Home {
    let home = Home::new();
    let ids: Vec<_> = (1..=IDS).map(|id| id.to_string()).collect();
    fs::write(home.path("ids"), ids.join("\n")).unwrap();
    home
}

fn all_rows(home: &Home) -> serde_json::Value {
    home.db("hn.db")
        .rows("id, type, \"by\", time, title, score", "items ORDER BY id")
}

#[test]
fn a_killed_run_leaves_whole_batches_and_its_rerun_ends_as_an_undisturbed_run() {
    let (home, undisturbed) = (home(), home());
    let api = Api::of_stories();
    for kill in 0..kills() {
        // Somewhere in the run, told by what the API was asked for, so that no kill misses it.
        let asked = api.0.stats().requests;
        let more = usize::try_from((kill * 7919) % (IDS - 100)).unwrap();
        let running = ingest(&home, &api);
        api.0.wait_for(move |stats| stats.requests > asked + more);
        running.signal("KILL");
        assert_eq!(running.wait().code, None, "it was killed");
        if !home.path("hn.db").exists() {
            continue;
        }
        let mut db = home.db("hn.db");
        assert_eq!(
            db.column("integrity_check", "pragma_integrity_check"),
            json!(["ok"])
        );
        let committed = db.count("items");
        assert_eq!(committed % BATCH, 0, "whole batches, after kill {kill}");
        db.execute("DELETE FROM items");
    }
    let report = ingest(&home, &api).wait().exits(0).report();
    assert_eq!(counts(&report), [IDS, 0, 0, 0]);
    ingest(&undisturbed, &api).wait().exits(0);
    assert_eq!(all_rows(&home), all_rows(&undisturbed));
    // The killed runs never finished, and say so.
    let mut db = home.db("hn.db");
    let finished = db.count("runs WHERE finished_at IS NOT NULL");
    assert_eq!(finished, 1);
}

#[test]
fn what_a_finished_report_called_stored_outlives_a_kill_right_after_it() {
    let home = home();
    let api = Api::of_stories();
    let report = ingest(&home, &api).wait().exits(0).report();
    // Another run is killed over the same file.
    let asked = api.0.stats().requests;
    let running = ingest(&home, &api);
    api.0.wait_for(move |stats| stats.requests > asked + 500);
    running.signal("KILL");
    running.wait();
    assert_eq!(
        home.db("hn.db").count("items"),
        report["stored"].as_u64().unwrap()
    );
}
