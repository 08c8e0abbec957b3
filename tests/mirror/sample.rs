//! Tests of `verify --sample`: what it finds, what it says of all ids, and what it leaves behind.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime},
};

use diesel::{ExpressionMethods, QueryDsl, RunQueryDsl, connection::SimpleConnection};
use hn_ingest::{
    hn::schema::{absent, failures, item_history, items, runs},
    mock_api::{Clock, Live, MockApi},
    test_util::{Latch, Reply},
};
use serde_json::{Value, json};

use crate::fixture::{CommandResult, Mirror, comment};

/// A mirror of the ids 1 to 60 that equals the API.
fn fresh_mirror() -> Mirror {
    let mirror = Mirror::new(60);
    assert_eq!(mirror.run(&["backfill"]).exit_code, 0);
    mirror
}

/// Takes a sample. Returns the part of the report that is about it.
fn sample(mirror: &Mirror, exit_code: i32, args: &[&str]) -> Value {
    let result = mirror.run(&[&["verify", "--sample"], args].concat());
    sample_of(&result, exit_code)
}

/// Its counts must add up.
fn sample_of(result: &CommandResult, exit_code: i32) -> Value {
    assert_eq!(result.exit_code, exit_code, "{result:?}");
    let sample = result.report["sample"].clone();
    let count = |key: &str| sample[key].as_u64().unwrap();
    assert_eq!(count("requested"), count("checked") + count("not_checked"));
    assert_eq!(count("checked"), count("equal") + count("stale"));
    for ages in ["by_item_age", "by_copy_age"] {
        for key in ["checked", "stale"] {
            let ages = sample[ages].as_array().unwrap();
            let sum: u64 = ages.iter().map(|age| age[key].as_u64().unwrap()).sum();
            assert_eq!(sum, count(key), "{ages:?}");
        }
    }
    sample
}

fn count(sample: &Value, key: &str) -> u64 {
    sample[key].as_u64().unwrap()
}

fn start(mirror: &Mirror, args: &[&str]) -> Child {
    let mut command = mirror.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn end(child: Child) -> CommandResult {
    CommandResult::new(&child.wait_with_output().unwrap())
}

#[test]
fn a_fresh_mirror_equals_the_api_and_a_sample_leaves_it_untouched() {
    let mirror = fresh_mirror();
    // Stored without coverage, and far away.
    assert_eq!(mirror.run(&["items", "5001", "9001"]).exit_code, 0);
    let before = fs::read(mirror.database()).unwrap();
    let whole = sample(&mirror, 0, &["1000000"]);
    for (key, value) in [
        ("population", json!(62)),
        ("requested", json!(62)),
        ("checked", json!(62)),
        ("equal", json!(62)),
        ("is_whole", json!(true)),
        ("stale_share", json!(0.0)),
        ("stale_share_at_most", json!(0.0)),
        ("fields", json!({})),
        ("examples", json!([])),
        ("repaired", json!(false)),
    ] {
        assert_eq!(whole[key], value, "{key}");
    }
    let part = sample(&mirror, 0, &["20"]);
    assert_eq!(
        (count(&part, "population"), count(&part, "checked")),
        (62, 20)
    );
    // 1 - 0.05^(1/20)
    let bound = part["stale_share_at_most"].as_f64().unwrap();
    assert!((bound - 0.139_108).abs() < 1e-6, "{bound}");
    assert_eq!(
        (&part["confidence"], &part["is_whole"]),
        (&json!(0.95), &json!(false))
    );
    assert_eq!(fs::read(mirror.database()).unwrap(), before);
}

#[test]
fn a_seed_chooses_the_same_ids_again() {
    let mirror = fresh_mirror();
    let chosen = |args: &[&str]| {
        let all = [&["verify", "--sample", "10", "--workers", "1"], args].concat();
        mirror.ids_requested_by(&all)
    };
    let ids = chosen(&["--seed", "7"]);
    assert_eq!(ids.len(), 10);
    assert_eq!(chosen(&["--seed", "7"]), ids);
    assert_ne!(chosen(&["--seed", "8"]), ids);
    let random = sample(&mirror, 0, &["10"]);
    let seed = count(&random, "seed").to_string();
    assert_eq!(
        count(&sample(&mirror, 0, &["10", "--seed", &seed]), "seed"),
        count(&random, "seed")
    );
}

#[test]
fn what_was_altered_by_hand_is_found_by_field_and_a_repair_mends_it() {
    let mirror = fresh_mirror();
    mirror.answer_item(
        9,
        [Reply::json(
            r#"{"id":9,"kids":[3,1,2],"new":{"a":1.50,"b":null}}"#,
        )],
    );
    mirror.answer_item(10, [Reply::json("null")]);
    assert_eq!(mirror.run(&["items", "9", "10"]).exit_code, 0);
    mirror.execute(
        r#"UPDATE items SET text = 'other', score = 3 WHERE id = 1;
         UPDATE items SET text = NULL WHERE id = 2;
         UPDATE items SET text = x'ff' WHERE id = 3;
         UPDATE items SET fetched_at = 5, time = '4' WHERE id = 4;
         UPDATE items SET kids = '[ 3,1, 2]', extra = ' {"new":{"b":null,"a":1.5}}' WHERE id = 9;
         DELETE FROM items WHERE id = 20;
         DELETE FROM items WHERE id = 21;
         INSERT INTO absent VALUES (21, 1, 0, 0);
         DELETE FROM items WHERE id = 22;
         INSERT INTO failures VALUES (22, 'timeout', '', 4, 0);
         INSERT INTO items (id, fetched_at) VALUES (70, 0);
         DELETE FROM item_history"#,
    );
    mirror.answer_item(70, [Reply::json("null")]);
    let found = sample(&mirror, 0, &["100", "--seed", "1"]);
    assert_eq!(count(&found, "checked"), 61);
    assert_eq!((count(&found, "missing"), count(&found, "gone")), (3, 1));
    assert_eq!(found["fields"], json!({"score": 1, "text": 3}));
    assert_eq!(count(&found, "stale"), 7);
    let examples = found["examples"].as_array().unwrap();
    let example = |id| examples.iter().find(|example| example["id"] == id).unwrap();
    assert_eq!(
        *example(1),
        json!({"id": 1, "difference": "fields", "fields": ["score", "text"]})
    );
    assert_eq!(
        *example(20),
        json!({"id": 20, "difference": "missing", "fields": []})
    );
    assert_eq!(
        *example(70),
        json!({"id": 70, "difference": "gone", "fields": []})
    );

    let repaired = sample(&mirror, 0, &["100", "--seed", "1", "--repair"]);
    assert_eq!(
        (count(&repaired, "stale"), &repaired["repaired"]),
        (7, &json!(true))
    );
    let again = sample(&mirror, 0, &["100", "--seed", "1"]);
    assert_eq!((count(&again, "checked"), count(&again, "stale")), (61, 0));
    let mut conn = mirror.connect();
    let history = item_history::table
        .order(item_history::id)
        .select((item_history::id, item_history::text));
    let history: Vec<(i64, Option<String>)> = history
        .filter(item_history::id.ne(3))
        .load(&mut conn)
        .unwrap();
    assert_eq!(history, [(1, Some("other".to_owned()))]);
    let failed: Vec<i64> = failures::table
        .select(failures::id)
        .load(&mut conn)
        .unwrap();
    let absent: Vec<i64> = absent::table
        .select(absent::id)
        .order(absent::id)
        .load(&mut conn)
        .unwrap();
    assert_eq!((failed, absent), (vec![], vec![10, 70]));
    assert_eq!(mirror.run(&["verify"]).report["faults"], json!([]));
}

#[test]
fn an_id_that_failed_and_is_absent_now_is_left_to_the_next_backfill() {
    let mirror = fresh_mirror();
    mirror.execute(
        "DELETE FROM items WHERE id = 30; INSERT INTO failures VALUES (30, 'timeout', '', 4, 0)",
    );
    mirror.answer_item(30, [Reply::json("null")]);
    let found = sample(&mirror, 0, &["100", "--repair"]);
    // The mirror has no item, nor has the API.
    assert_eq!((count(&found, "checked"), count(&found, "stale")), (60, 0));
    assert_eq!(mirror.covered_ranges(), [(1, 29), (31, 60)]);
    assert_eq!(mirror.ids_requested_by(&["backfill"]), [30]);
}

/// Serves a mock API until the tests end. Returns its base URL.
fn serve(api: MockApi) -> String {
    let (sender, url) = mpsc::channel();
    thread::spawn(move || {
        actix_rt::System::new().block_on(async move {
            let api = api.start().await.unwrap();
            sender.send(api.url()).unwrap();
            std::future::pending::<()>().await;
        });
    });
    url.recv().unwrap()
}

#[test]
fn a_live_api_that_went_on_shows_staleness_by_age() {
    let mirror = Mirror::new(1);
    let clock = Clock::manual(SystemTime::now() - Duration::from_secs(20 * 24 * 3600));
    let live = Live::new("60/min".parse().unwrap()).clock(clock.clone());
    let api = MockApi {
        max_item: 1200,
        ..MockApi::default()
    };
    let url = serve(api.live(live));
    let run = |args: &[&str]| {
        let mut command = mirror.command(args);
        let output = command.env("INGEST_API_URL", &url).output().unwrap();
        CommandResult::new(&output)
    };
    clock.advance(Duration::from_secs(60));
    assert_eq!(run(&["backfill", "--last", "400"]).exit_code, 0);
    let args = ["verify", "--sample", "250", "--seed", "2"];
    let fresh = sample_of(&run(&args), 0);
    assert_eq!((count(&fresh, "checked"), count(&fresh, "stale")), (250, 0));

    clock.advance(Duration::from_secs(4 * 24 * 3600));
    mirror.execute("UPDATE items SET fetched_at = unixepoch() - 7200 WHERE id % 2 = 0");
    let old = sample_of(&run(&args), 0);
    let stale = count(&old, "stale");
    assert!((10..250).contains(&stale), "{old}");
    assert!(old["stale_share_at_most"].as_f64() > old["stale_share"].as_f64());
    assert!(count(&old["fields"], "score") > 0, "{old}");
    let stale_at = |ages: &str, age: &str| {
        let ages = old[ages].as_array().unwrap();
        count(ages.iter().find(|row| row["age"] == age).unwrap(), "stale")
    };
    assert_eq!(stale_at("by_item_age", "older"), stale);
    assert!(stale_at("by_copy_age", "under_one_hour") > 0);
    assert!(stale_at("by_copy_age", "under_one_day") > 0);

    let repair = [&args[..], &["--repair", "--max-stale", "1%"]].concat();
    assert_eq!(count(&sample_of(&run(&repair), 1), "stale"), stale);
    let mended = sample_of(&run(&args), 0);
    assert_eq!(
        (count(&mended, "checked"), count(&mended, "stale")),
        (250, 0)
    );
}

#[test]
fn max_stale_is_compared_with_the_bound() {
    let mirror = fresh_mirror();
    for (size, max_stale, exit_code) in [
        // All ids are read, so the share is exact.
        ("60", "0%", 0),
        ("60", "1%", 0),
        // 0 of 20 has a bound of 13.9 %.
        ("20", "14%", 0),
        ("20", "13.9%", 1),
        ("20", "1%", 1),
        ("20", "0%", 1),
    ] {
        let args = ["verify", "--sample", size, "--max-stale", max_stale];
        let result = mirror.run(&args);
        let shown = sample_of(&result, exit_code);
        assert_eq!(
            shown["is_within_max_stale"],
            json!(exit_code == 0),
            "{args:?}"
        );
        let is_told = result.stderr.contains("--max-stale");
        assert_eq!(is_told, exit_code == 1, "{args:?}: {}", result.stderr);
    }
    let too_small = mirror.run(&["verify", "--sample", "20", "--max-stale", "1%"]);
    assert!(
        too_small.stderr.contains("at least 299 ids"),
        "{}",
        too_small.stderr
    );
    assert_eq!(too_small.report["sample"]["checks_needed"], 299);

    mirror.execute("UPDATE items SET text = 'x' WHERE id <= 3");
    // 3 of 60 are 5 %.
    assert_eq!(
        count(&sample(&mirror, 1, &["60", "--max-stale", "4.9%"]), "stale"),
        3
    );
    sample(&mirror, 0, &["60", "--max-stale", "5%"]);
    // Differences alone are no fault.
    sample(&mirror, 0, &["60"]);
    let text = mirror.run(&[
        "verify",
        "--sample",
        "60",
        "--max-stale",
        "1%",
        "--format",
        "text",
    ]);
    assert_eq!(text.exit_code, 1);
}

#[test]
fn the_text_says_what_differs_in_plain_words() {
    let mirror = fresh_mirror();
    mirror.execute(
        "UPDATE items SET text = 'x' WHERE id <= 3; UPDATE items SET time = 1 WHERE id = 3",
    );
    let mut command = mirror.command(&["verify", "--sample", "60", "--seed", "4"]);
    let output = command.env("INGEST_FORMAT", "text").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "60 of 60 settled ids read again (--seed 4): 57 equal, 3 differ (5.0 %)\n",
        "of 60 ids 3 differ from the API: all were read\n",
        "what differs: text 3, time 1\n",
        "3 (text, time)",
        "\nage of the item      checked      differ\nolder                     60           3\n",
        "\nage of the copy      checked      differ\nunder 1 hour              60           3\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let mut command = mirror.command(&["verify", "--sample", "40", "--max-stale", "1%"]);
    let output = command.env("INGEST_FORMAT", "text").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("of 60 ids at most "), "{text}");
    assert!(
        text.contains("differ from the API, with 95 % confidence\n"),
        "{text}"
    );
}

#[test]
fn an_id_that_another_process_stores_meanwhile_is_not_stale() {
    for repair in [&[][..], &["--repair"]] {
        let mirror = fresh_mirror();
        let latch = Latch::new();
        let old = Reply::json(r#"{"id":7,"text":"old"}"#).held_by(&latch);
        mirror.answer_item(7, [old]);
        let before = mirror.api.stats().requests;
        let sampling = start(&mirror, &[&["verify", "--sample", "60"], repair].concat());
        mirror
            .api
            .wait_for(|stats| stats.requests == before + 60 && stats.in_flight == 1);
        mirror.execute("UPDATE items SET text = 'newer', fetched_at = unixepoch() WHERE id = 7");
        // An edit by hand does not look like another process.
        mirror.execute("UPDATE items SET fetched_at = fetched_at - 9 WHERE id <> 7");
        latch.open();
        let found = sample_of(&end(sampling), 0);
        assert_eq!(
            (count(&found, "checked"), count(&found, "stale")),
            (60, 0),
            "{found}"
        );
        let text = items::table.find(7).select(items::text);
        let text: Option<String> = text.first(&mut mirror.connect()).unwrap();
        assert_eq!(text.as_deref(), Some("newer"));
    }
}

#[test]
fn ids_that_cannot_be_read_are_not_checked_and_not_recorded() {
    let mirror = fresh_mirror();
    mirror.answer_item(5, [Reply::status(403)]);
    mirror.answer_item(6, [Reply::json("[]")]);
    for repair in [&[][..], &["--repair"]] {
        let found = sample(&mirror, 1, &[&["60"], repair].concat());
        assert_eq!(
            (count(&found, "checked"), count(&found, "not_checked")),
            (58, 2)
        );
        assert_eq!(
            (count(&found, "failed"), &found["is_whole"]),
            (2, &json!(false))
        );
        let failed = found["failures"].as_array().unwrap();
        assert_eq!(failed.len(), 2, "{failed:?}");
        assert_eq!(mirror.failed_ids(), [0; 0]);
    }
}

#[test]
fn a_sample_keeps_to_the_rate_that_others_on_the_database_share() {
    let mirror = fresh_mirror();
    let elapsed = |args: &[&str]| count(&sample(&mirror, 0, args), "elapsed_ms");
    // A burst of a few requests is free.
    assert!(elapsed(&["60", "--rate", "100"]) >= 400);
    let rows = runs::table.filter(runs::command.eq("verify")).count();
    let rows = || rows.get_result::<i64>(&mut mirror.connect()).unwrap();
    assert_eq!(rows(), 0, "a sample alone writes nothing");
    mirror.execute(
        "INSERT INTO runs (command, host, pid, machine, rate, started_at, heartbeat_at)
         VALUES ('backfill', 'far', 1, 'away', 100, unixepoch(), unixepoch() + 100)",
    );
    // Half of the other's rate, and the other can see that.
    assert!(elapsed(&["60"]) >= 800);
    assert_eq!(rows(), 1);
    let ended: Vec<Option<i64>> = runs::table
        .filter(runs::command.eq("verify"))
        .select(runs::finished_at)
        .load(&mut mirror.connect())
        .unwrap();
    assert!(ended[0].is_some());
}

#[test]
fn an_interrupted_sample_reports_what_it_has_checked() {
    let mirror = fresh_mirror();
    let latch = Latch::new();
    let requests = Arc::new(AtomicUsize::new(0));
    mirror.api.otherwise({
        let (latch, requests) = (latch.clone(), requests.clone());
        move |path| {
            let reply = Reply::json(comment(crate::fixture::id_of(path).unwrap()));
            if requests.fetch_add(1, Ordering::SeqCst) < 30 {
                reply
            } else {
                reply.held_by(&latch)
            }
        }
    });
    // As many workers as answers that are held back: when each worker waits, all other answers have arrived.
    let args = [
        "verify",
        "--sample",
        "60",
        "--max-stale",
        "50%",
        "--drain",
        "0s",
        "--workers",
        "30",
    ];
    let sampling = start(&mirror, &args);
    let all_are_sent = || requests.load(Ordering::SeqCst) == 60;
    mirror
        .api
        .wait_for(|stats| stats.in_flight == 30 && all_are_sent());
    let kill = Command::new("kill")
        .args(["-INT", &sampling.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    let found = sample_of(&end(sampling), 130);
    latch.open();
    assert_eq!(found["interrupted"], true);
    assert_eq!(
        (count(&found, "requested"), count(&found, "checked")),
        (60, 30)
    );
    assert_eq!(
        (count(&found, "stale"), &found["is_whole"]),
        (0, &json!(false))
    );
    let bound = found["stale_share_at_most"].as_f64().unwrap();
    assert!((bound - 0.095).abs() < 0.001, "{bound}");
}

#[test]
fn an_api_that_refuses_everything_ends_a_sample_with_an_honest_report() {
    let mirror = fresh_mirror();
    mirror.api.otherwise(|_| Reply::status(403));
    let result = mirror.run(&["verify", "--sample", "60", "--max-refusals", "5"]);
    let found = sample_of(&result, 3);
    assert_eq!(
        (count(&found, "checked"), &found["stale_share"]),
        (0, &Value::Null)
    );
    assert_eq!(found["stale_share_at_most"], 1.0);
    assert!(result.stderr.contains("refused"), "{}", result.stderr);
}

#[test]
fn a_mirror_without_settled_ids_proves_nothing() {
    let mirror = fresh_mirror();
    mirror
        .connect()
        .batch_execute("DELETE FROM items; DELETE FROM coverage")
        .unwrap();
    let found = sample(&mirror, 0, &["10"]);
    assert_eq!(
        (count(&found, "population"), count(&found, "requested")),
        (0, 0)
    );
    sample(&mirror, 1, &["10", "--max-stale", "1%"]);
}

#[test]
fn what_means_nothing_without_a_sample_is_refused_and_a_demo_does_not_mix_with_real_items() {
    let mirror = fresh_mirror();
    for (args, message) in [
        (
            &["verify", "--max-stale", "1%"][..],
            "`--max-stale` means nothing to `verify` without --sample",
        ),
        (
            &["verify", "--seed", "1"],
            "`--seed` means nothing to `verify` without --sample",
        ),
        (
            &["verify", "--rate", "1"],
            "what applies only with --sample",
        ),
        (&["verify", "--sample", "0"], "--sample is `0`"),
        (&["verify", "--sample", "1.5"], "--sample is `1.5`"),
        (
            &["verify", "--sample", "5", "--max-stale", "1"],
            "--max-stale is `1`",
        ),
        (&["verify", "--sample", "5", "--seed", "x"], "--seed is `x`"),
        (
            &["verify", "--sample", "5", "--limit", "3"],
            "`--limit` means nothing",
        ),
    ] {
        let result = mirror.run(args);
        assert_eq!(result.exit_code, 2, "{result:?}");
        assert!(result.stderr.contains(message), "{result:?}");
    }
    for repair in [&[][..], &["--repair"]] {
        let args = [&["verify", "--sample", "5", "--demo"], repair].concat();
        let mut command = mirror.command(&args);
        let result = CommandResult::new(&command.env_remove("INGEST_API_URL").output().unwrap());
        assert_eq!(result.exit_code, 2, "{result:?}");
        assert!(result.stderr.contains("holds real items"), "{result:?}");
    }
}

/// The demo of `follow` goes on, and a sample is compared with what it is now.
#[test]
fn a_demo_is_compared_with_the_api_that_its_items_are_from() {
    let mirror = Mirror::new(1);
    let run = |args: &[&str]| {
        let mut command = mirror.command(args);
        CommandResult::new(&command.env_remove("INGEST_API_URL").output().unwrap())
    };
    assert_eq!(run(&["items", "--demo", "5"]).exit_code, 0);
    mirror.execute("UPDATE items SET id = 1000001");
    let found = sample_of(&run(&["verify", "--demo", "--sample", "3"]), 0);
    // Only the API that goes on has an item of this number.
    assert_eq!((count(&found, "stale"), count(&found, "gone")), (1, 0));
}

#[test]
fn a_demo_can_be_sampled_without_a_network() {
    let mirror = Mirror::new(1);
    let run = |args: &[&str]| {
        let mut command = mirror.command(args);
        CommandResult::new(&command.env_remove("INGEST_API_URL").output().unwrap())
    };
    assert_eq!(run(&["backfill", "--demo", "--last", "300"]).exit_code, 0);
    let found = sample_of(&run(&["verify", "--demo", "--sample", "100"]), 0);
    assert_eq!((count(&found, "checked"), count(&found, "stale")), (100, 0));
}
