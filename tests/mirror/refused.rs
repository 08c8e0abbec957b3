//! Tests of commands that are refused before they start.

use diesel::connection::SimpleConnection;
use hn_ingest::test_util::Reply;

use crate::fixture::Mirror;

#[test]
fn a_refused_command_creates_no_database() {
    let mirror = Mirror::new(10);
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
        let result = mirror.run(args);
        assert!(
            result.exit_code == 2 && !result.stderr.is_empty(),
            "{args:?}: {result:?}"
        );
        assert!(!mirror.database().exists(), "{args:?}");
    }
    let why = mirror.run(&["verify"]).stderr;
    assert!(
        why.contains("hn.db; `hn-ingest backfill` makes one"),
        "{why}"
    );
    let why = mirror.run(&["retry", "--kind", "slow"]).stderr;
    assert!(why.contains("timeout, connect"), "{why}");
    mirror.api.go_down();
    let result = mirror.run(&["backfill", "--attempts", "2"]);
    assert_eq!(result.exit_code, 2);
    assert!(result.stderr.contains("maxitem.json"), "{result:?}");
}

#[test]
fn a_largest_id_that_is_not_a_positive_number_is_refused() {
    for largest in ["0", "-5", "null", "1.5"] {
        let mirror = Mirror::new(10);
        mirror.api.on("/v0/maxitem.json", [Reply::json(largest)]);
        let result = mirror.run(&["backfill"]);
        assert_eq!(result.exit_code, 2, "{result:?}");
        assert!(result.stderr.contains("no number of items"), "{result:?}");
    }
}

#[test]
fn the_database_of_another_program_is_refused_and_not_changed() {
    let mirror = Mirror::new(10);
    mirror.execute("CREATE TABLE theirs (id)");
    for command in ["verify", "status", "retry"] {
        let result = mirror.run(&[command]);
        assert_eq!(result.exit_code, 2);
        assert!(
            result.stderr.contains("belongs to another program"),
            "{result:?}"
        );
    }
    let select = mirror.connect().batch_execute("SELECT * FROM items");
    assert!(select.is_err(), "there is still no table `items`");
}
