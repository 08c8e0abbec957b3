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

fn ingest(home: &Home, api: &Api, ids: &str) -> Running {
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
    let ids = fs::File::open(home.path(ids)).unwrap();
    Running::start(home.ingesting(api, &args).stdin(Stdio::from(ids)))
}

/// A folder with lists of ids, named by their number: each has ids of its own.
fn home(lists: u64) -> Home {
    let home = Home::new();
    for list in 0..lists {
        let ids: Vec<_> = (1..=IDS).map(|id| (list * IDS + id).to_string()).collect();
        fs::write(home.path(&list.to_string()), ids.join("\n")).unwrap();
    }
    home
}

/// Everything that is stored, but for when it was fetched.
fn all_rows(home: &Home) -> serde_json::Value {
    let columns = "id, type, \"by\", time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, extra";
    home.db("hn.db").rows(columns, "items ORDER BY id")
}

#[test]
fn killed_runs_leave_whole_batches_and_their_reruns_end_as_undisturbed_runs_do() {
    let kills = kills();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (killed, undisturbed) = (home(kills), home(kills));
    let api = Api::of_stories();
    for list in (0..kills).map(|list| list.to_string()) {
        // Somewhere in the run, told by what the API was asked for, so that no kill misses it.
        let asked = api.0.stats().requests;
        let more = random.usize(..(IDS - 100) as usize);
        let running = ingest(&killed, &api, &list);
        api.0.wait_for(move |stats| stats.requests > asked + more);
        running.signal("KILL");
        assert_eq!(running.wait().code, None, "it was killed");
        let mut db = killed.db("hn.db");
        assert_eq!(
            db.column("integrity_check", "pragma_integrity_check"),
            json!(["ok"])
        );
        assert_eq!(
            db.count("items") % BATCH,
            0,
            "whole batches, after list {list}"
        );
        assert_eq!(db.count("failures") + db.count("absent"), 0);
    }
    for list in (0..kills).map(|list| list.to_string()) {
        for home in [&killed, &undisturbed] {
            let report = ingest(home, &api, &list).wait().exits(0).report();
            assert_eq!(counts(&report), [IDS, 0, 0, 0]);
        }
    }
    assert_eq!(all_rows(&killed), all_rows(&undisturbed));
    // The killed runs never finished, and say so.
    let finished = killed
        .db("hn.db")
        .count("runs WHERE finished_at IS NOT NULL");
    assert_eq!(finished, kills);
}

#[test]
fn what_a_finished_report_called_stored_outlives_a_kill_right_after_it() {
    let home = home(1);
    let api = Api::of_stories();
    let report = ingest(&home, &api, "0").wait().exits(0).report();
    // Another run is killed over the same file.
    let asked = api.0.stats().requests;
    let running = ingest(&home, &api, "0");
    api.0.wait_for(move |stats| stats.requests > asked + 500);
    running.signal("KILL");
    running.wait();
    assert_eq!(
        home.db("hn.db").count("items"),
        report["stored"].as_u64().unwrap()
    );
}
