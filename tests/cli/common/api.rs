//! An API to run the binary against.

use hn_ingest::test_util::{Reply, ScriptedServer};
use serde_json::json;

/// An API that answers what the test says, and everything else with 404.
pub(crate) struct Api(pub(crate) ScriptedServer);

impl Api {
    pub(crate) fn new() -> Self {
        Self(ScriptedServer::start())
    }

    /// Answers every id with a story whose score is the id.
    pub(crate) fn of_stories() -> Self {
        let api = Self::new();
        api.0.otherwise(|path| match id_of(path) {
            Some(id) => Reply::json(story(id, id)),
            None => Reply::status(404),
        });
        api
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/v0", self.0.url())
    }

    pub(crate) fn list(&self, name: &str, ids: impl IntoIterator<Item = i64>) {
        let ids: Vec<_> = ids.into_iter().collect();
        let body = json!(ids).to_string();
        self.0
            .on(format!("/v0/{name}stories.json"), [Reply::json(body)]);
    }

    pub(crate) fn item(&self, id: i64, replies: impl IntoIterator<Item = Reply>) {
        self.0.on(item_path(id), replies);
    }

    pub(crate) fn hits(&self, id: i64) -> usize {
        self.0.hits(&item_path(id))
    }
}

pub(crate) fn item_path(id: i64) -> String {
    format!("/v0/item/{id}.json")
}

pub(crate) fn id_of(path: &str) -> Option<i64> {
    let id = path.strip_prefix("/v0/item/")?.strip_suffix(".json")?;
    id.parse().ok()
}

pub(crate) fn story(id: i64, score: i64) -> String {
    json!({"id": id, "type": "story", "by": "someone", "time": 1_700_000_000, "title": format!("Story {id}"), "score": score})
        .to_string()
}
