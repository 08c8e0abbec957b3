//! `kill -9` at any moment: the database is sound, holds whole batches only, and a rerun ends as an undisturbed run does.

use std::{fs, process::Stdio};

use serde_json::json;

use crate::common::{Api, Running, Sandbox, counts};

/// How many runs are killed. `KILLS=50` kills more.
fn kills() -> u64 {
    std::env::var("KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok())
        .unwrap_or(12)
}

const IDS: u64 = 2000;
const BATCH: u64 = 10;

fn ingest(sandbox: &Sandbox, api: &Api, ids: &str) -> Running {
    let batch = BATCH.to_string();
    // With this linger, a batch is written only when it is full, or at the end of the run.
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
    let ids = fs::File::open(sandbox.path(ids)).unwrap();
    sandbox
        .call_with(api, &args)
        .stdin(Stdio::from(ids))
        .start()
}

/// A folder with files of ids, named by their number. No id is in two of them.
fn sandbox_with_lists(lists: u64) -> Sandbox {
    let sandbox = Sandbox::new();
    for list in 0..lists {
        let ids: Vec<_> = (1..=IDS).map(|id| (list * IDS + id).to_string()).collect();
        fs::write(sandbox.path(&list.to_string()), ids.join("\n")).unwrap();
    }
    sandbox
}

/// Every item, without the time of its fetch.
fn all_rows(sandbox: &Sandbox) -> serde_json::Value {
    let columns = "id, type, \"by\", time, title, url, text, score, descendants, parent, poll, kids, parts, deleted, dead, extra";
    sandbox.db("hn.db").rows(columns, "items ORDER BY id")
}

#[test]
fn killed_runs_leave_whole_batches_and_their_reruns_end_as_undisturbed_runs_do() {
    let kills = kills();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let killed = sandbox_with_lists(kills);
    let undisturbed = sandbox_with_lists(kills);
    let api = Api::of_stories();
    for list in (0..kills).map(|list| list.to_string()) {
        // The number of requests says when to kill, so that the run is always under way then.
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
        for sandbox in [&killed, &undisturbed] {
            let report = ingest(sandbox, &api, &list).wait().exits(0).report();
            assert_eq!(counts(&report), [IDS, 0, 0, 0]);
        }
    }
    assert_eq!(all_rows(&killed), all_rows(&undisturbed));
    // The runs that were killed have no end in the table.
    let finished = killed
        .db("hn.db")
        .count("runs WHERE finished_at IS NOT NULL");
    assert_eq!(finished, kills);
}

#[test]
fn what_a_report_calls_stored_survives_a_kill_of_the_next_run() {
    let sandbox = sandbox_with_lists(1);
    let api = Api::of_stories();
    let report = ingest(&sandbox, &api, "0").wait().exits(0).report();
    // A run on the same file is killed.
    let asked = api.0.stats().requests;
    let running = ingest(&sandbox, &api, "0");
    api.0.wait_for(move |stats| stats.requests > asked + 500);
    running.signal("KILL");
    running.wait();
    assert_eq!(
        sandbox.db("hn.db").count("items"),
        report["stored"].as_u64().unwrap()
    );
}
