//! No output holds a password, however much is logged.

use crate::{
    common::{Api, Sandbox},
    server::{DATABASE, PASSWORD, Server},
};

#[test]
fn no_output_holds_the_password() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    api.list("top", [1, 2]);
    let in_query = format!(
        "postgresql://127.0.0.1:{}/{DATABASE}?user=postgres&password={PASSWORD}",
        server.port()
    );
    for url in [server.url(DATABASE), in_query] {
        for args in [
            &["top"][..],
            &["status"],
            &["status", "--format", "json"],
            &["verify"],
            &["verify", "--repair"],
            &["retry"],
            &["--help"],
            &["backfill", "--help"],
            &["top", "--limit", "x"],
        ] {
            let finished = sandbox
                .call(args)
                .env("DATABASE_URL", &url)
                .env("INGEST_API_URL", api.url())
                .env("RUST_LOG", "trace")
                .run();
            for output in [&finished.stdout, &finished.stderr] {
                assert!(!output.contains(PASSWORD), "{args:?}: {output}");
            }
        }
    }
}
