//! Fetches one document, without a run.

use std::cell::Cell;

use bytes::Bytes;

use crate::ingest::{
    backlog::Backlog,
    handle::control::RunControl,
    http::{client::Client, fetch::FetchRequest},
    outcome::{
        answer::{Answer, NotAnswered},
        failure::{Failure, FailureKind},
    },
    request::Request,
};

impl Client {
    /// Fetches one document that is not a record, such as a list of ids.
    ///
    /// # Errors
    /// The failure of the last attempt.
    ///
    /// # Panics
    /// It runs outside an actix arbiter or another `LocalSet`.
    pub async fn get(&self, url: &str, headers: &[(String, String)]) -> Result<Bytes, Failure> {
        let request = FetchRequest {
            id: &url,
            next_at: None,
            request: &|| Request::get(url).headers(headers.iter().cloned()),
            is_answer: &|status| (200..300).contains(&status),
            wants_headers: false,
            is_absent: &|_| false,
            refresher: None,
        };
        let backlog = Backlog::new(1);
        let control = RunControl::default();
        let attempts = Cell::new(0);
        let answer = self
            .fetch(request, self.config(), &backlog, &control, &attempts)
            .await;
        let failed = |kind, message| Failure::new(kind, message, attempts.get());
        Err(match answer {
            Ok(Answer::Body(body)) => return Ok(body.bytes),
            Ok(Answer::Failed(failure, _)) => failure,
            Err(NotAnswered::AskedToWait(asked)) => Failure {
                asked_to_wait: Some(asked.rest),
                ..failed(FailureKind::Status, asked.to_string())
            },
            // This cannot happen: no status means absent here, and `control` is this call's own, so nobody stops it.
            Ok(Answer::Absent) | Err(NotAnswered::Stopped | NotAnswered::GaveWay(_)) => {
                failed(FailureKind::Status, "no answer".to_owned())
            }
        })
    }
}
