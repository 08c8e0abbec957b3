//! Every command works with a database on a server as with a file.

use crate::{
    common::{Api, Sandbox},
    server::{DATABASE, Server},
};

#[test]
fn a_list_is_fetched_into_a_database_on_a_server() {
    let server = Server::start();
    let (sandbox, api) = (Sandbox::new(), Api::of_stories());
    let url = server.url(DATABASE);
    api.list("top", [1, 2, 3]);
    sandbox.ingest(&api, &["top", "--database", &url]).exits(0);
    assert_eq!(
        server.text("SELECT string_agg(id::text, ',' ORDER BY id) FROM items"),
        "1,2,3"
    );
    sandbox.run(&["verify", "--database", &url]).exits(0);
}

#[test]
fn a_database_that_is_not_there_is_refused_with_its_place() {
    let server = Server::start();
    server.execute("CREATE TABLE other (x int)");
    let sandbox = Sandbox::new();
    let place = format!("postgres://postgres@127.0.0.1:{}/nowhere", server.port());
    let refused = sandbox.run(&["status", "--database", &server.url("nowhere")]);
    refused.refuses(&[&place, "does not exist"]);
}
