//! A database that cannot be used is refused: exit code 2, and one message that names what is wrong, and where.

use crate::{
    common::{Api, Sandbox},
    server::{DATABASE, PASSWORD, Server},
};

/// `top` on this database is refused, and so is `status`.
fn refuses(url: &str, parts: &[&str]) {
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    api.list("top", [1]);
    for finished in [
        sandbox.ingest(&api, &["top", "--database", url]),
        sandbox.run(&["status", "--database", url]),
    ] {
        finished.refuses(parts);
        for secret in [PASSWORD, "other-secret"] {
            assert!(!finished.stderr.contains(secret), "{finished:?}");
        }
    }
}

#[test]
fn what_cannot_be_reached_is_named_with_its_place() {
    let server = Server::start();
    let port = server.port();
    let wrong = format!("postgres://postgres:other-secret@127.0.0.1:{port}/{DATABASE}");
    refuses(
        &wrong,
        &[&server.place(DATABASE), "password authentication failed"],
    );
    let wrong =
        format!("postgres://127.0.0.1:{port}/{DATABASE}?user=postgres&password=other-secret");
    refuses(&wrong, &["user=postgres", "password authentication failed"]);
    refuses(
        &server.url("nowhere"),
        &[&server.place("nowhere"), "does not exist"],
    );
    let unknown = format!("postgres://postgres:{PASSWORD}@no-such-host.invalid/{DATABASE}");
    refuses(
        &unknown,
        &["postgres@no-such-host.invalid", "translate host name"],
    );
    let closed = format!("postgres://postgres:{PASSWORD}@127.0.0.1:1/{DATABASE}");
    refuses(&closed, &["127.0.0.1:1/", "Connection refused"]);
}

#[test]
fn a_url_that_is_none_is_refused_without_its_password() {
    for url in [
        "postgres://u:other-secret/x@host/db",
        "postgres://u:x@other-secret@host/db",
        "postgres://host/db?password=other-secret@x",
        "postgres://host:other-secret/db",
        "mysql://u:other-secret@host/db",
        "mysql://host/db?password=other-secret",
    ] {
        refuses(url, &["--database", "allowed:"]);
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_stays_as_it_is() {
    let server = Server::start();
    server.execute("CREATE TABLE accounts (id int); CREATE TABLE __diesel_schema_migrations (version text, run_on timestamp)");
    refuses(
        &server.url(DATABASE),
        &[&server.place(DATABASE), "belongs to another program"],
    );
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(server.number(tables), 2);
}

#[test]
fn an_empty_database_is_not_read() {
    let server = Server::start();
    let sandbox = Sandbox::new();
    for command in ["status", "verify", "retry"] {
        let refused = sandbox.run(&[command, "--database", &server.url(DATABASE)]);
        refused.refuses(&[&server.place(DATABASE), "holds no Hacker News items"]);
    }
    assert_eq!(
        server.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"),
        0
    );
}

#[test]
fn a_role_without_rights_is_told_which_it_needs() {
    let server = Server::start();
    server.execute(&format!(
        "CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'; REVOKE CREATE ON SCHEMA public FROM public"
    ));
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let guest = server.url_of("guest", DATABASE);
    let refused = sandbox.ingest(&api, &["items", "1", "--database", &guest]);
    refused.refuses(&[
        "guest@127.0.0.1",
        "may not make tables in the schema public",
        "GRANT CREATE ON SCHEMA public TO guest",
    ]);
    sandbox
        .ingest(&api, &["items", "1", "--database", &server.url(DATABASE)])
        .exits(0);
    for command in ["status", "verify", "retry"] {
        let refused = sandbox.run(&[command, "--database", &guest]);
        refused.refuses(&[
            "guest@127.0.0.1",
            "may not read the tables",
            "GRANT SELECT ON __diesel_schema_migrations, absent, cool_down",
            "users TO guest",
        ]);
    }
    server.execute("REVOKE USAGE ON SCHEMA public FROM public");
    let refused = sandbox.run(&["status", "--database", &guest]);
    refused.refuses(&["GRANT USAGE ON SCHEMA public TO guest"]);
    server.execute("GRANT USAGE ON SCHEMA public TO guest; GRANT SELECT ON ALL TABLES IN SCHEMA public TO guest");
    sandbox.run(&["status", "--database", &guest]).exits(0);
    sandbox.run(&["verify", "--database", &guest]).exits(0);
    let refused = sandbox.ingest(&api, &["items", "1", "--database", &guest]);
    refused.refuses(&[
        "guest@127.0.0.1",
        "may not write the tables",
        "items",
        "GRANT",
    ]);
}

#[test]
fn a_database_that_cannot_hold_every_text_is_refused() {
    let server = Server::start();
    server.execute_in(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
    );
    refuses(
        &server.url("latin"),
        &[&server.place("latin"), "LATIN1", "UTF8"],
    );
    server.execute("ALTER ROLE postgres SET search_path = nothing");
    refuses(
        &server.url(DATABASE),
        &[&server.place(DATABASE), "search_path"],
    );
}
