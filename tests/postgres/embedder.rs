//! The engine over PostgreSQL with a sink of an embedder's own: the example `postgres_sink`.

#[path = "../../examples/postgres_sink/main.rs"]
#[allow(dead_code)]
mod example;

use diesel::{PgConnection, QueryResult};
use hn_ingest::{
    Builder, Report, Settled, Sink,
    store::postgres,
    test_util::{Reply, ScriptedServer},
};

use crate::server::{DATABASE, Server};

const SYMBOLS: usize = 300;

fn ingest(server: &Server, prices: impl Fn(usize) -> i64) -> Report<String> {
    let api = ScriptedServer::start();
    let symbols: Vec<String> = (0..SYMBOLS).map(|number| format!("S{number}")).collect();
    for (number, symbol) in symbols.iter().enumerate() {
        let body = format!(r#"{{"price_cents":{}}}"#, prices(number));
        api.on(format!("/quotes/{symbol}"), [Reply::json(body)]);
    }
    let url = server.url(DATABASE);
    let ingest = example::ingest(api.url(), &url, symbols);
    actix_rt::System::new().block_on(ingest).unwrap()
}

#[test]
fn records_go_to_the_embedders_own_table() {
    let server = Server::start();
    for price in [1, 2] {
        let report = ingest(&server, |_| price);
        assert_eq!(report.totals.stored, SYMBOLS as u64);
        assert_eq!(
            server.number("SELECT sum(price_cents) FROM quotes"),
            price * SYMBOLS as i64
        );
    }
}

#[test]
fn a_row_that_violates_a_constraint_fails_alone() {
    let server = Server::start();
    let report = ingest(&server, |number| if number == 17 { -1 } else { 1 });
    assert_eq!(
        (report.totals.stored, report.totals.failed),
        (SYMBOLS as u64 - 1, 1)
    );
    assert_eq!(report.failures[0].kind, "storage");
    assert_eq!(
        server.number("SELECT count(*) FROM quotes"),
        SYMBOLS as i64 - 1
    );
}

/// Lets the first inserts fail with this error.
fn let_inserts_fail(server: &Server, times: usize, state: &str, message: &str) {
    ingest(server, |_| 1);
    server.execute(&format!(
        "TRUNCATE quotes;
         CREATE SEQUENCE tries;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             -- A sequence does not go back with a transaction.
             IF nextval('tries') <= {times} THEN
                 RAISE EXCEPTION USING ERRCODE = '{state}', MESSAGE = '{message}';
             END IF;
             RETURN new;
         END $$;
         CREATE TRIGGER fail BEFORE INSERT ON quotes FOR EACH ROW EXECUTE FUNCTION fail()"
    ));
}

#[test]
fn a_transaction_that_another_one_was_in_the_way_of_is_tried_again() {
    for (state, message) in [
        (
            "40001",
            "could not serialize access due to concurrent update",
        ),
        ("40P01", "deadlock detected"),
        ("55P03", "canceling statement due to lock timeout"),
    ] {
        let server = Server::start();
        let_inserts_fail(&server, 3, state, message);
        let report = ingest(&server, |_| 1);
        assert_eq!(report.totals.stored, SYMBOLS as u64, "{state}: {report:?}");
        assert!(server.number("SELECT last_value FROM tries") > SYMBOLS as i64);
    }
}

/// Writes as the example does, and panics inside the transaction if one of the rows is this one.
struct PanickingSink;

const PANICS: &str = "S17";

impl Sink for PanickingSink {
    type Id = String;
    type Record = example::Quote;
    type Connection = PgConnection;

    fn write(
        &self,
        conn: &mut PgConnection,
        batch: &[Settled<String, example::Quote>],
    ) -> QueryResult<()> {
        example::QuoteSink.write(conn, batch)?;
        let panics = |row: &&Settled<_, _>| row.id == PANICS;
        assert!(batch.iter().find(panics).is_none(), "this row panics");
        Ok(())
    }
}

#[test]
fn a_row_whose_sink_panics_fails_alone_and_leaves_no_transaction_open() {
    let server = Server::start();
    ingest(&server, |_| 1);
    server.execute("TRUNCATE quotes");
    let api = ScriptedServer::start();
    api.otherwise(|_| Reply::json(r#"{"price_cents":2}"#));
    let symbols: Vec<_> = (0..SYMBOLS).map(|number| format!("S{number}")).collect();
    let report = actix_rt::System::new().block_on(async {
        let source = example::QuoteSource { base: api.url() };
        let pool = postgres::open(&server.url(DATABASE)).unwrap();
        let builder = Builder::new(source, PanickingSink).pool(pool);
        let pipeline = builder.start().await.unwrap();
        let report = pipeline.run(symbols).await.unwrap();
        let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
        assert_eq!(server.number(open), 0);
        report
    });
    let totals = &report.totals;
    // The failure of that row cannot be written either.
    assert_eq!(totals.stored, SYMBOLS as u64 - 1);
    assert_eq!(totals.failed + totals.not_attempted, 1);
    let stored = "SELECT count(*) FROM quotes WHERE price_cents = 2 AND symbol <> 'S17'";
    assert_eq!(server.number(stored), SYMBOLS as i64 - 1);
    assert_eq!(
        server.number("SELECT count(*) FROM quotes"),
        SYMBOLS as i64 - 1
    );
}

#[test]
fn a_database_that_is_at_fault_ends_the_run() {
    let server = Server::start();
    let message = "could not extend file \"base/1/2\": No space left on device";
    let_inserts_fail(&server, usize::MAX / 2, "53100", message);
    let report = ingest(&server, |_| 1);
    assert!(report.gave_up.is_some(), "{report:?}");
    assert_eq!((report.totals.stored, report.totals.failed), (0, 0));
}
