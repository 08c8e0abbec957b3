//! The mirror's promises, on real files and through the real binary: nothing settled is asked for again, nothing else is passed
//! over, and what does not hold is found.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant, SystemTime},
};

use diesel::{
    Connection, ExpressionMethods, QueryDsl, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
};
use hn_ingest::{
    Failure, FailureKind, Outcome, Settled, Sink,
    hn::{
        HnSink, Item,
        coverage::Range,
        migrations,
        plan::{Refetch, RemainingIds},
        schema::{absent, coverage, failures, item_history, items},
    },
    test_util::{Reply, ScriptedServer},
};
use serde_json::{Value, json};
use tempfile::TempDir;

const NONE: [i64; 0] = [];

/// A folder with a database, and an API.
struct World {
    folder: TempDir,
    api: ScriptedServer,
}

impl World {
    /// Each id up to `max_item` is a comment, but for every hundredth, of which there is none.
    fn new(max_item: i64) -> Self {
        let api = ScriptedServer::start();
        api.on("/v0/maxitem.json", [Reply::json(max_item.to_string())]);
        api.otherwise(|path| match id_of(path) {
            Some(id) if id % 100 != 0 => Reply::json(comment(id)),
            _ => Reply::json("null"),
        });
        let folder = TempDir::new().unwrap();
        Self { folder, api }
    }

    fn item(&self, id: i64, replies: impl IntoIterator<Item = Reply>) {
        self.api.on(format!("/v0/item/{id}.json"), replies);
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("hn.db")
    }

    fn connect(&self) -> SqliteConnection {
        SqliteConnection::establish(&self.database().to_string_lossy()).unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hn-ingest"));
        command
            .env_clear()
            .env("DATABASE_URL", self.database())
            .env("INGEST_API_URL", format!("{}/v0", self.api.url()))
            .env("INGEST_PROGRESS", "never")
            .env("INGEST_FORMAT", "json")
            .env("INGEST_BACKOFF", "1ms")
            .args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Told {
        Told::new(&self.command(args).output().unwrap())
    }

    /// How often each id was asked for.
    fn asked(&self) -> BTreeMap<i64, usize> {
        let mut asked = BTreeMap::new();
        for request in self.api.requests() {
            if let Some(id) = id_of(&request.path) {
                *asked.entry(id).or_default() += 1;
            }
        }
        asked
    }

    /// The ids that a command asks for, in order.
    fn asked_by(&self, args: &[&str]) -> Vec<i64> {
        let before = self.api.requests().len();
        let told = self.run(args);
        assert!(told.code < 2, "{told:?}");
        let requests = self.api.requests().split_off(before);
        let ids = requests.iter().filter_map(|request| id_of(&request.path));
        ids.collect()
    }

    fn covered(&self) -> Vec<(i64, i64)> {
        let ranges = coverage::table.order(coverage::lo);
        ranges.load(&mut self.connect()).unwrap()
    }

    fn failed(&self) -> Vec<i64> {
        let ids = failures::table.select(failures::id).order(failures::id);
        ids.load(&mut self.connect()).unwrap()
    }

    fn sql(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    /// Fills the database without the API: ids 1 to 100 are settled, 40 is absent, 50 failed, and 2 hangs below 1.
    fn fill(&self) {
        let mut conn = self.connect();
        migrations::run(&mut conn).unwrap();
        let batch = (1..=100).map(|id| match id {
            1 => {
                let story = r#"{"id":1,"type":"story","title":"<b>","kids":[2],"new":{"a":1}}"#;
                settled(id, stored(story))
            }
            2 => settled(
                id,
                stored(r#"{"id":2,"type":"comment","parent":1,"text":"a"}"#),
            ),
            40 => settled(id, Outcome::Absent),
            50 => settled(id, failed()),
            _ => settled(id, stored(&comment(id))),
        });
        let batch: Vec<_> = batch.collect();
        let sink = HnSink::with_coverage(1_000);
        sink.write(&mut conn, &batch).unwrap();
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
struct Told {
    code: i32,
    json: Value,
    errors: String,
}

impl Told {
    fn new(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

fn id_of(path: &str) -> Option<i64> {
    let id = path.strip_prefix("/v0/item/")?.strip_suffix(".json")?;
    id.parse().ok()
}

fn comment(id: i64) -> String {
    let text = format!("text {id}");
    json!({"id": id, "type": "comment", "by": "ann", "time": id, "text": text}).to_string()
}

fn stored(json: &str) -> Outcome<Item> {
    let id = serde_json::from_str::<Value>(json).unwrap()["id"].as_i64();
    let item = Item::decode(id.unwrap(), json.as_bytes()).unwrap();
    Outcome::Stored(item.unwrap())
}

/// An answer that has just been received.
fn settled(id: i64, outcome: Outcome<Item>) -> Settled<i64, Item> {
    Settled::new(id, outcome, SystemTime::now())
}

fn failed() -> Outcome<Item> {
    Outcome::Failed(Failure::new(FailureKind::Timeout, "too slow\u{1b}", 4))
}

type Text = Option<String>;
type Comment = (i64, Text, Text, Option<i64>, Text);

/// The items and the absent ids.
fn contents(database: &Path) -> (Vec<Comment>, Vec<i64>) {
    let mut conn = SqliteConnection::establish(&database.to_string_lossy()).unwrap();
    let columns = (items::id, items::type_, items::by, items::time, items::text);
    let stored = items::table.select(columns).order(items::id);
    let gone = absent::table.select(absent::id).order(absent::id);
    (
        stored.load(&mut conn).unwrap(),
        gone.load(&mut conn).unwrap(),
    )
}

#[test]
fn a_backfill_killed_again_and_again_ends_as_if_it_had_not_been() {
    const BATCH: usize = 50;
    let world = World::new(20_000);
    fn args(workers: &str) -> [&str; 7] {
        [
            "backfill",
            "--to",
            "2000",
            "--batch",
            "50",
            "--workers",
            workers,
        ]
    }
    let seed =
        std::env::var("KILL_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // Never more than an undisturbed run asks for, so that each comes.
    let mut kills: Vec<_> = (0..8)
        .map(|_| (random.usize(1..1900), random.usize(1..=16)))
        .collect();
    kills.sort_unstable();
    for &(requests, workers) in &kills {
        let mut command = world.command(&args(&workers.to_string()));
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        world.api.wait_for(|stats| stats.requests >= requests);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let told = world.run(&args("8"));
    assert_eq!(told.code, 0, "{told:?}");

    assert_eq!(world.covered(), [(1, 2000)]);
    let verified = world.run(&["verify"]);
    assert_eq!((verified.code, &verified.json["faults"]), (0, &json!([])));
    let asked = world.asked();
    assert!(asked.keys().copied().eq(1..=2000));
    let repeats = asked.values().sum::<usize>() - asked.len();
    // In flight or held by a fetcher, and two batches unsaved; what waits at a fetcher was not asked for.
    let at_most: usize = kills.iter().map(|(_, workers)| workers + 2 * BATCH).sum();
    assert!(repeats <= at_most, "{repeats} of at most {at_most}");

    let undisturbed = World::new(20_000);
    assert_eq!(undisturbed.run(&args("8")).code, 0);
    let (had, wanted) = (world.database(), undisturbed.database());
    assert_eq!(contents(&had), contents(&wanted));
}

#[test]
fn an_interrupted_backfill_goes_on_where_it_was_and_asks_for_nothing_twice() {
    let world = World::new(20_000);
    let args = ["backfill", "--last", "1000", "--newest-first"];
    // No nulls: ones this new are asked for again. The latency keeps it from being over before the signal comes.
    let reply = |path: &str| Reply::json(comment(id_of(path).unwrap()));
    world
        .api
        .otherwise(move |path| reply(path).latency(Duration::from_millis(5)));
    let mut command = world.command(&args);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    world.api.wait_for(|stats| stats.requests >= 100);
    let pid = child.id().to_string();
    let kill = Command::new("kill").args(["-INT", &pid]).status();
    assert!(kill.unwrap().success());
    let told = Told::new(&child.wait_with_output().unwrap());
    assert_eq!((told.code, &told.json["interrupted"]), (130, &json!(true)));
    assert_eq!(told.json["requested"], 1000);

    assert_eq!(world.run(&args).code, 0);
    let asked = world.asked();
    assert!(asked.keys().copied().eq(19_001..=20_000));
    assert!(asked.values().all(|&times| times == 1));
    assert_eq!(world.covered(), [(19_001, 20_000)]);
}

#[test]
fn newest_first_goes_down_from_the_largest_id() {
    let world = World::new(500);
    let args = [
        "backfill",
        "--last",
        "20",
        "--newest-first",
        "--workers",
        "1",
    ];
    let down: Vec<i64> = (481..=500).rev().collect();
    assert_eq!(world.asked_by(&args), down);
}

#[test]
fn an_absence_is_believed_once_it_is_old_and_asked_for_again_until_then() {
    let world = World::new(12_100);
    let within = ["backfill", "--from", "1950", "--to", "2250"];
    // Absent are 2000 and 2100, which are old, and 2200, which is new.
    assert_eq!(world.asked_by(&within).len(), 301);
    assert_eq!(world.covered(), [(1950, 2199), (2201, 2250)]);
    assert_eq!(world.asked_by(&within), [2200]);
    let again = [&within[..], &["--recheck-absent", "--workers", "1"]].concat();
    assert_eq!(world.asked_by(&again), [2000, 2100, 2200]);

    world.api.on("/v0/maxitem.json", [Reply::json("12200")]);
    assert_eq!(world.asked_by(&within), [2200]);
    assert_eq!(world.covered(), [(1950, 2250)]);
    assert_eq!(world.asked_by(&within), NONE);
}

#[test]
fn a_failed_id_is_settled_until_it_is_retried_by_kind_or_by_the_backfill() {
    let world = World::new(20_000);
    let (gone, found) = (Reply::status(404), |id| Reply::json(comment(id)));
    world.item(7, [gone.clone(), found(7)]);
    world.item(8, [Reply::json("[]"), found(8)]);
    world.item(9, [gone.clone(), gone, found(9)]);
    let within = ["backfill", "--to", "20"];
    assert_eq!(world.run(&within).code, 1);
    assert_eq!(world.failed(), [7, 8, 9]);
    assert_eq!(world.covered(), [(1, 20)]);
    assert_eq!(world.asked_by(&within), NONE);

    assert_eq!(world.asked_by(&["retry", "--kind", "timeout,decode"]), [8]);
    assert_eq!(world.asked_by(&["retry", "--workers", "1"]), [7, 9]);
    assert_eq!(world.failed(), [9]);
    let again = [&within[..], &["--retry-failed"]].concat();
    assert_eq!(world.asked_by(&again), [9]);
    assert_eq!(world.failed(), NONE);
    assert_eq!(world.asked_by(&["retry"]), NONE);
}

#[test]
fn a_retried_id_that_is_absent_is_asked_for_once_more_by_the_next_backfill() {
    let world = World::new(20_000);
    world.item(9, [Reply::status(404), Reply::json("null")]);
    assert_eq!(world.run(&["backfill", "--to", "20"]).code, 1);
    let told = world.run(&["retry"]);
    assert_eq!((told.code, &told.json["absent"]), (0, &json!(1)));
    assert_eq!(world.covered(), [(1, 8), (10, 20)]);
    assert_eq!(world.asked_by(&["backfill", "--to", "20"]), [9]);
    assert_eq!(world.covered(), [(1, 20)]);
}

#[test]
fn a_retry_ends_even_if_everything_fails_again() {
    let world = World::new(20_000);
    world.fill();
    let ids: Vec<_> = (1..=2100).map(|id| settled(id, failed())).collect();
    HnSink::new().write(&mut world.connect(), &ids).unwrap();
    world.api.otherwise(|_| Reply::status(404));
    let told = world.run(&["retry"]);
    assert_eq!((told.code, &told.json["requested"]), (1, &json!(2100)));
    assert_eq!(told.json["failed"], 2100);
}

#[test]
fn a_backfill_asks_for_nothing_beyond_the_largest_id_and_says_so() {
    let world = World::new(150);
    let told = world.run(&["backfill", "--from", "101", "--to", "9999"]);
    assert_eq!((told.code, &told.json["requested"]), (0, &json!(50)));
    assert_eq!(told.json["command"], "backfill");
    assert!(told.errors.contains("largest id is 150"), "{told:?}");
    let beyond = world.run(&["backfill", "--from", "151"]);
    assert_eq!((beyond.code, &beyond.json["requested"]), (0, &json!(0)));
}

#[test]
fn what_cannot_be_started_is_refused_and_makes_no_database() {
    let world = World::new(10);
    for args in [
        &["verify"][..],
        &["verify", "--repair"],
        &["status"],
        &["retry"],
        &["retry", "--kind", "timeout,slow"],
        &["backfill", "--last", "0"],
        &["backfill", "--from", "x"],
        &["backfill", "--from", "3", "--to", "2"],
        &["backfill", "--last", "3", "--to", "2"],
    ] {
        let told = world.run(args);
        assert!(
            told.code == 2 && !told.errors.is_empty(),
            "{args:?}: {told:?}"
        );
        assert!(!world.database().exists(), "{args:?}");
    }
    let why = world.run(&["verify"]).errors;
    assert!(
        why.contains("hn.db; `hn-ingest backfill` makes one"),
        "{why}"
    );
    let why = world.run(&["retry", "--kind", "slow"]).errors;
    assert!(why.contains("timeout, connect"), "{why}");
    world.api.go_down();
    let told = world.run(&["backfill", "--attempts", "2"]);
    assert_eq!(told.code, 2);
    assert!(told.errors.contains("maxitem.json"), "{told:?}");
}

#[test]
fn a_largest_id_that_is_none_is_refused() {
    for largest in ["0", "-5", "null", "1.5"] {
        let world = World::new(10);
        world.api.on("/v0/maxitem.json", [Reply::json(largest)]);
        let told = world.run(&["backfill"]);
        assert_eq!(told.code, 2, "{told:?}");
        assert!(told.errors.contains("no number of items"), "{told:?}");
    }
}

#[test]
fn another_programs_database_is_left_alone() {
    let world = World::new(10);
    world.sql("CREATE TABLE theirs (id)");
    for command in ["verify", "status", "retry"] {
        let told = world.run(&[command]);
        assert_eq!(told.code, 2);
        assert!(
            told.errors.contains("belongs to another program"),
            "{told:?}"
        );
    }
    let look = world.connect().batch_execute("SELECT * FROM items");
    assert!(look.is_err());
}

/// What `verify` finds after `sql` has been done to a sound mirror: faults and notes.
fn found(sql: &str) -> (World, Value, Value) {
    let world = World::new(20_000);
    world.fill();
    world.sql(sql);
    let told = world.run(&["verify"]);
    let (faults, notes) = (told.json["faults"].clone(), told.json["notes"].clone());
    assert_eq!(told.code, i32::from(faults != json!([])), "{told:?}");
    (world, faults, notes)
}

fn listed(count: u64, listed: &Value) -> Value {
    json!({"count": count, "listed": listed, "cut": false})
}

#[test]
fn verify_finds_nothing_wrong_with_a_sound_mirror() {
    let (world, faults, notes) = found("");
    assert_eq!((faults, notes), (json!([]), json!([])));
    let checked = world.run(&["verify"]).json["checked"].clone();
    let wanted = json!({"items": 98, "absent": 1, "failures": 1, "ranges": 1, "covered": 100});
    assert_eq!(checked, wanted);
}

#[test]
fn verify_names_the_ids_that_are_covered_and_not_there() {
    let one = |id: i64| json!({"lo": id, "hi": id});
    let several = |lo: i64, hi: i64| json!({"lo": lo, "hi": hi});
    let last = i64::MAX;
    for (sql, count, ids) in [
        (
            "DELETE FROM items WHERE id IN (17, 20, 21, 22)",
            4,
            json!([one(17), several(20, 22)]),
        ),
        (
            "DELETE FROM items WHERE id IN (3, 100)",
            2,
            json!([one(3), one(100)]),
        ),
        (
            "DELETE FROM absent; DELETE FROM failures",
            2,
            json!([one(40), one(50)]),
        ),
        (
            "UPDATE coverage SET hi = 105",
            5,
            json!([several(101, 105)]),
        ),
        ("UPDATE coverage SET lo = -1", 2, json!([several(-1, 0)])),
        (
            "INSERT INTO coverage VALUES (9223372036854775806, 9223372036854775807)",
            2,
            json!([several(last - 1, last)]),
        ),
    ] {
        let (_, faults, notes) = found(sql);
        let missing = json!([{"kind": "missing", "ids": listed(count, &ids)}]);
        assert_eq!((faults, notes), (missing, json!([])), "{sql}");
    }
}

#[test]
fn verify_names_the_ranges_that_overlap_touch_or_are_empty_and_repair_mends_them() {
    for (sql, range) in [
        (
            "INSERT INTO coverage VALUES (10, 12)",
            json!({"lo": 10, "hi": 12, "meets": {"lo": 1, "hi": 100}}),
        ),
        (
            "INSERT INTO coverage VALUES (500, 400)",
            json!({"lo": 500, "hi": 400, "meets": null}),
        ),
        (
            "UPDATE coverage SET hi = 60; INSERT INTO coverage VALUES (61, 100)",
            json!({"lo": 61, "hi": 100, "meets": {"lo": 1, "hi": 60}}),
        ),
    ] {
        let (world, faults, notes) = found(sql);
        let ranges = listed(1, &json!([range]));
        let wanted = json!([{"kind": "ranges", "ranges": ranges}]);
        assert_eq!((faults, notes), (wanted, json!([])), "{sql}");
        let told = world.run(&["verify", "--repair"]);
        assert_eq!((told.code, &told.json["repaired"]), (0, &json!(true)));
        assert_eq!(world.covered(), [(1, 100)]);
        assert_eq!(world.run(&["verify"]).code, 0);
    }
}

#[test]
fn verify_names_the_fields_that_are_not_their_json() {
    let (_, faults, _) = found(
        "UPDATE items SET kids = '[1,' WHERE id = 3;
         UPDATE items SET parts = '{}' WHERE id = 4;
         UPDATE items SET extra = '[]' WHERE id = 5;
         UPDATE items SET kids = '[\"6\"]' WHERE id = 6;
         UPDATE items SET extra = CAST(x'7bff7d' AS TEXT) WHERE id = 7;
         UPDATE items SET kids = '' WHERE id = 8",
    );
    assert_eq!(faults.as_array().map(Vec::len), Some(1), "{faults}");
    let fields = &faults[0]["fields"];
    assert_eq!(
        (&faults[0]["kind"], &fields["count"]),
        (&json!("json"), &json!(6))
    );
    let field = |field: &Value| json!([field["id"], field["column"]]);
    let fields: Vec<_> = fields["listed"]
        .as_array()
        .unwrap()
        .iter()
        .map(field)
        .collect();
    let wanted = json!([
        [3, "kids"],
        [4, "parts"],
        [5, "extra"],
        [6, "kids"],
        [7, "extra"],
        [8, "kids"]
    ]);
    assert_eq!(json!(fields), wanted);
}

#[test]
fn json_nested_deeper_than_sqlite_goes_is_no_fault() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(3000), "]".repeat(3000));
    let (_, faults, _) = found(&format!("UPDATE items SET extra = '{deep}' WHERE id = 3"));
    assert_eq!(faults, json!([]));
}

#[test]
fn verify_tells_what_sqlite_itself_finds_and_repairs_nothing_then() {
    let (world, faults, _) = found(
        "CREATE INDEX x ON items (time);
         DELETE FROM items WHERE id = 30;
         PRAGMA writable_schema = ON;
         UPDATE sqlite_master SET sql = 'CREATE INDEX x ON items (score)' WHERE name = 'x'",
    );
    assert_eq!(faults[0]["kind"], "integrity");
    assert_eq!(faults[1]["kind"], "missing");
    let told = world.run(&["verify", "--repair"]);
    assert_eq!((told.code, &told.json["repaired"]), (1, &json!(false)));
    assert_eq!(world.covered(), [(1, 100)]);
}

#[test]
fn a_damaged_page_is_a_fault_wherever_it_is() {
    let world = World::new(20_000);
    world.fill();
    let batch: Vec<_> = (101..=3_000)
        .map(|id| settled(id, stored(&comment(id))))
        .collect();
    HnSink::with_coverage(20_000)
        .write(&mut world.connect(), &batch)
        .unwrap();
    world.sql("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = WAL");
    let sound = std::fs::read(world.database()).unwrap();
    let middle = sound.len() / 4096 / 2;
    for page in [1, 2, 3, 4, middle] {
        let mut bytes = sound.clone();
        let noise = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8);
        bytes.splice(page * 4096..(page + 1) * 4096, noise);
        std::fs::write(world.database(), bytes).unwrap();
        let told = world.run(&["verify"]);
        let faults = told.json["faults"].as_array().cloned();
        let kinds: Vec<_> = faults
            .iter()
            .flatten()
            .map(|fault| fault["kind"].clone())
            .collect();
        assert_eq!(told.code, 1, "{page}: {told:?}");
        let damage = ["integrity", "unreadable"].map(Value::from);
        assert!(
            kinds.iter().any(|kind| damage.contains(kind)),
            "{page}: {told:?}"
        );
        let repair = ["verify", "--repair", "--format", "text"];
        let repair = world.command(&repair).output().unwrap();
        let text = String::from_utf8_lossy(&repair.stdout);
        assert_eq!(repair.status.code(), Some(1), "{page}: {text}");
        assert!(
            text.contains("\nfault: ") && text.contains("the file is damaged"),
            "{text}"
        );
        assert!(!text.contains('\u{fffd}'), "{text}");
    }
}

#[test]
fn a_look_does_not_wait_for_who_writes() {
    let world = World::new(20_000);
    world.fill();
    world.sql("PRAGMA journal_mode = WAL");
    let mut writer = world.connect();
    writer.batch_execute("BEGIN IMMEDIATE").unwrap();
    for command in ["status", "verify"] {
        let began = Instant::now();
        let told = world.run(&[command]);
        assert_eq!(told.code, 0, "{told:?}");
        assert!(began.elapsed() < Duration::from_secs(4), "{command}");
    }
}

#[test]
fn what_may_well_be_is_noted_and_no_fault() {
    let (_, faults, notes) = found(
        "INSERT INTO failures SELECT 9, kind, message, attempts, failed_at FROM failures;
         INSERT INTO absent SELECT 12, checks, 0, 0 FROM absent",
    );
    let wanted = json!([
        {"kind": "stored_and_failed", "ids": listed(1, &json!([9]))},
        {"kind": "stored_and_absent", "ids": listed(1, &json!([12]))},
    ]);
    assert_eq!((faults, notes), (json!([]), wanted));

    let (_, faults, notes) = found("UPDATE items SET parent = 77 WHERE id = 2");
    let kid = json!([{"id": 2, "listed_by": 1, "parent": 77}]);
    let wanted = json!([{"kind": "other_parent", "kids": listed(1, &kid)}]);
    assert_eq!((faults, notes), (json!([]), wanted));
}

#[test]
fn repaired_holes_are_what_the_next_backfill_asks_for() {
    let holes = "DELETE FROM items WHERE id IN (17, 20, 21); UPDATE coverage SET hi = 110";
    let (world, ..) = found(holes);
    let told = world.run(&["verify", "--repair"]);
    assert_eq!((told.code, &told.json["sound"]), (0, &json!(true)));
    assert_eq!(world.covered(), [(1, 16), (18, 19), (22, 100)]);
    assert_eq!(world.run(&["verify"]).json["faults"], json!([]));
    let within = ["backfill", "--to", "105", "--workers", "1"];
    assert_eq!(
        world.asked_by(&within),
        [17, 20, 21, 101, 102, 103, 104, 105]
    );
    assert_eq!(world.run(&["verify"]).code, 0);
}

#[test]
fn an_item_with_a_broken_field_is_fetched_again_after_a_repair() {
    let (world, ..) = found("UPDATE items SET kids = '[' WHERE id = 33");
    let told = world.run(&["verify", "--repair"]);
    assert_eq!((told.code, &told.json["sound"]), (0, &json!(true)));
    assert_eq!(told.json["repaired"], true);
    assert_eq!(world.covered(), [(1, 32), (34, 100)]);
    assert_eq!(world.asked_by(&["backfill", "--to", "100"]), [33]);
    assert_eq!(world.run(&["verify"]).json["notes"], json!([]));
}

#[test]
fn a_broken_field_that_no_backfill_mends_is_kept_as_text_by_a_repair() {
    let (world, faults, _) = found(
        r#"UPDATE items SET kids = '5', parts = '["', extra = '{"n":1.10} ' WHERE id = 33;
         UPDATE items SET kids = '[', extra = CAST(x'7bff' AS TEXT) WHERE id = 34;
         UPDATE items SET parts = '{}', extra = '{}' WHERE id = 35;
         INSERT INTO absent VALUES (33, 1, 0, 0)"#,
    );
    assert_eq!(faults[0]["fields"]["count"], 5, "{faults}");
    assert_eq!(world.run(&["verify", "--repair"]).code, 0);
    let told = world.run(&["verify"]).json;
    assert_eq!(told["faults"], json!([]));
    let ids = listed(3, &json!([{"lo": 33, "hi": 35}]));
    assert_eq!(told["notes"][0], json!({"kind": "unclaimed", "ids": ids}));
    type Fields = (Text, Text, Text);
    let columns = (items::kids, items::parts, items::extra);
    let rows = items::table.filter(items::id.between(33, 35));
    let rows: Vec<Fields> = rows.select(columns).load(&mut world.connect()).unwrap();
    let kept = |extra: &str| (None, None, Some(extra.to_owned()));
    let wanted = [
        kept(r#"{"n":1.10,"kids":"5","parts":"[\""}"#),
        kept("{\"kids\":\"[\",\"extra\":\"{\u{fffd}\"}"),
        kept(r#"{"parts":"{}"}"#),
    ];
    assert_eq!(rows, wanted);
    assert_eq!(
        world.asked_by(&["backfill", "--to", "100", "--workers", "1"]),
        [33, 34, 35]
    );
}

#[test]
fn claims_that_were_lost_are_noted_and_a_repair_brings_them_back() {
    let (world, faults, notes) = found(
        "DELETE FROM coverage WHERE lo = 1; INSERT INTO coverage VALUES (40, 41);
         INSERT INTO absent VALUES (120, 1, 0, 0)",
    );
    let ids = listed(98, &json!([{"lo": 1, "hi": 39}, {"lo": 42, "hi": 100}]));
    let wanted = json!([{"kind": "unclaimed", "ids": ids}]);
    assert_eq!((faults, notes), (json!([]), wanted));
    assert_eq!(world.run(&["verify", "--repair"]).code, 0);
    assert_eq!(world.covered(), [(1, 100)]);
    assert_eq!(world.asked_by(&["backfill", "--to", "100"]), NONE);
}

#[test]
fn every_bad_field_of_an_item_is_named_and_what_is_no_list_names_no_kids() {
    let (_, faults, notes) = found(
        "UPDATE items SET kids = '5', parts = '[', extra = '3' WHERE id = 3;
         UPDATE items SET parent = 77 WHERE id = 5",
    );
    assert_eq!(
        (&faults[0]["fields"]["count"], notes),
        (&json!(3), json!([]))
    );
}

#[test]
fn a_long_list_of_faults_is_counted_whole() {
    let (_, faults, _) = found(
        "UPDATE coverage SET hi = 400;
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
         INSERT INTO items (id, fetched_at) SELECT 100 + 2 * i, 0 FROM n",
    );
    let ids = &faults[0]["ids"];
    assert_eq!((&ids["count"], &ids["cut"]), (&json!(150), &json!(true)));
    assert_eq!(ids["listed"].as_array().map(Vec::len), Some(100));
}

#[test]
fn status_tells_what_there_is_and_what_is_left() {
    let world = World::new(20_000);
    world.fill();
    let later = [settled(150, stored(&comment(150))), settled(160, failed())];
    let sink = HnSink::with_coverage(0);
    sink.write(&mut world.connect(), &later).unwrap();
    assert_eq!(world.run(&["items", "170"]).code, 0);
    let told = world.run(&["status"]);
    assert_eq!(told.code, 0);
    let status = told.json;
    let types = json!([{"type": "comment", "count": 99}, {"type": "story", "count": 1}]);
    assert_eq!(status["items"]["count"], 100);
    assert_eq!(status["items"]["by_type"], types);
    assert_eq!(status["items"]["newest"], json!({"id": 170, "time": 170}));
    assert_eq!(status["items"]["oldest"], json!({"id": 1, "time": null}));
    let holes = json!([{"lo": 101, "hi": 149}, {"lo": 151, "hi": 159}]);
    let holes = json!({"count": 2, "ids": 58, "listed": holes});
    let covered = json!({"ranges": 3, "ids": 102, "holes": holes, "highest_known": 170, "left": 68, "left_absent": 0});
    assert_eq!(status["coverage"], covered);
    let kind = &status["failures"]["by_kind"][0];
    assert_eq!(
        (&kind["kind"], &kind["count"]),
        (&json!("timeout"), &json!(2))
    );
    assert_eq!(kind["examples"][1]["id"], 160);
    assert_eq!(
        (&status["absent"], &status["item_history"]),
        (&json!(1), &json!(0))
    );
    let run = &status["runs"][0];
    assert_eq!(
        (&run["command"], &run["stored"]),
        (&json!("items"), &json!(1))
    );
    assert!(status["size"]["database"].as_u64() > Some(0));

    let mut command = world.command(&["status", "--format", "text"]);
    let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert!(text.contains("101-149"), "{text}");
    // Text of others must not steer a terminal.
    assert!(text.contains("too slow\u{fffd}") && !text.contains('\u{1b}'));
}

#[test]
fn status_counts_the_gap_below_what_is_settled_and_tells_the_absent_that_are_left() {
    let world = World::new(12_000);
    let within = ["backfill", "--from", "1950", "--to", "2250"];
    assert_eq!(world.run(&within).code, 0);
    world.sql("INSERT INTO coverage VALUES (2240, 2245)");
    let covered = world.run(&["status"]).json["coverage"].clone();
    // Absent are 2000, which is old, and 2100 and 2200, which are new.
    assert_eq!(
        (&covered["ids"], &covered["left"]),
        (&json!(299), &json!(1951))
    );
    assert_eq!(covered["left_absent"], 2);
    assert_eq!(
        (&covered["holes"]["count"], &covered["holes"]["ids"]),
        (&json!(3), &json!(1951))
    );
    assert_eq!(covered["holes"]["listed"][0], json!({"lo": 1, "hi": 1949}));
}

#[test]
fn the_indexes_are_there_once_a_backfill_leaves_a_twentieth_and_not_before() {
    let indexes = |world: &World| -> Vec<String> {
        let names = diesel::dsl::sql::<diesel::sql_types::Text>(
            "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'items' ORDER BY 1",
        );
        names.load(&mut world.connect()).unwrap()
    };
    let world = World::new(50);
    assert_eq!(world.run(&["items", "1"]).code, 0);
    assert_eq!(world.run(&["backfill", "--from", "4"]).code, 0);
    assert_eq!(indexes(&world), [""; 0]);
    assert_eq!(world.run(&["backfill", "--from", "3"]).code, 0);
    let names = ["author", "parent", "time", "type_and_score"];
    assert_eq!(
        indexes(&world),
        names.map(|name| format!("items_by_{name}"))
    );
}

#[test]
fn a_million_ranges_are_planned_around_at_once() {
    let world = World::new(20_000);
    world.fill();
    world.sql(
        "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
         INSERT INTO coverage SELECT 2 * i, 2 * i FROM n",
    );
    let within = Range {
        lo: 1,
        hi: 2_000_300,
    };
    let mut conn = world.connect();
    let began = Instant::now();
    let left = RemainingIds::plan(&mut conn, within, Refetch::default()).unwrap();
    assert_eq!(left.len(), 1_000_200);
    // Well under a second where the compiler optimises.
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn what_an_item_loses_stays_in_its_history() {
    let world = World::new(10);
    world.fill();
    let mut conn = world.connect();
    let mut put = |json: &str| {
        let row = settled(1, stored(json));
        HnSink::new().write(&mut conn, &[row]).unwrap();
    };
    // Votes, kids and what was not there before are no loss.
    put(r#"{"id":1,"type":"story","title":"<b>","text":"new","score":9}"#);
    put(r#"{"id":1,"type":"story","title":"<b>","text":"newer","score":9}"#);
    put(r#"{"id":1,"type":"story","title":"<b>","text":"newer","dead":true}"#);
    put(r#"{"id":1,"deleted":true,"dead":true}"#);
    put(r#"{"id":1,"deleted":true,"dead":true}"#);
    put(r#"{"id":1,"type":"story","title":"back"}"#);
    let columns = (
        item_history::title,
        item_history::text,
        item_history::score,
        item_history::type_,
        item_history::deleted,
        item_history::dead,
    );
    type Row = (Text, Text, Option<i64>, Text, Option<i32>, Option<i32>);
    let history = item_history::table.filter(item_history::id.eq(1));
    let rows: Vec<Row> = history.select(columns).load(&mut world.connect()).unwrap();
    let own = |text: &str| Some(text.to_owned());
    let (title, story) = (own("<b>"), own("story"));
    let wanted: [Row; 3] = [
        (
            title.clone(),
            own("new"),
            Some(9),
            story.clone(),
            None,
            None,
        ),
        (
            title.clone(),
            own("newer"),
            Some(9),
            story.clone(),
            None,
            None,
        ),
        (title, own("newer"), None, story, None, Some(1)),
    ];
    assert_eq!(rows, wanted);
    assert_eq!(world.run(&["status"]).json["item_history"], 3);
}
