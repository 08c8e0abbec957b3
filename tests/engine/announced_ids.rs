//! Runs of the ids that an event stream announces: what is fetched when, what a broken stream or event costs, and how they end.

use std::time::Duration;

use hn_ingest::{
    Builder, Config, DecodeError, EventWatch, FailureKind, Pipeline, Priority, Request, Run,
    ServerEvent, Source, Start,
    test_util::{Latch, Reply},
};

use crate::{
    fixture::{Fixture, NotesSink, NotesSource},
    support::{eventually, in_system},
};

/// Notes whose ids are announced: each event is a JSON array of ids.
struct AnnouncedNotes {
    notes: NotesSource,
    /// The request for the stream, if there is one.
    stream: fn(&NotesSource) -> Option<Request>,
}

impl AnnouncedNotes {
    /// They are announced at `/stream`.
    fn of(fixture: &Fixture) -> Self {
        Self {
            notes: fixture.source(),
            stream: |notes| {
                let url = format!("{}/stream", notes.base);
                Some(Request::get(url).header("x-key", "s3cret"))
            },
        }
    }
}

impl Source for AnnouncedNotes {
    type Id = i64;
    type Record = String;

    fn url(&self, id: &i64) -> String {
        self.notes.url(id)
    }

    fn decode(&self, id: &i64, body: &[u8]) -> Result<Option<String>, DecodeError> {
        self.notes.decode(id, body)
    }

    fn events(&self) -> Option<Request> {
        (self.stream)(&self.notes)
    }

    fn announced(&self, event: &ServerEvent) -> Result<Vec<i64>, DecodeError> {
        assert_ne!(event.data, "panic", "this event cannot be read");
        serde_json::from_str(&event.data).map_err(DecodeError::new)
    }
}

/// The settings and the database of `fixture`, and its server with this stream.
fn builder(
    fixture: &Fixture,
    streams: impl IntoIterator<Item = Reply>,
) -> Builder<AnnouncedNotes, NotesSink> {
    fixture.server.on("/stream", streams);
    fixture.builder_of(AnnouncedNotes::of(fixture), NotesSink)
}

async fn stored(run: &Run<i64>, count: u64) {
    eventually(&format!("{count} ids are stored"), || {
        run.progress().stored == count
    })
    .await;
}

/// Waits until the stream was opened so often.
async fn opened(events: &mut EventWatch, times: u64) {
    while events.now().opened < times {
        assert!(events.changed().await.is_some(), "it is read no more");
    }
}

#[test]
fn an_announced_id_is_committed_while_the_stream_stays_open() {
    for own_thread in [false, true] {
        let fixture = Fixture::new();
        let latches = [Latch::new(), Latch::new()];
        let stream = Reply::event_stream("data: [1,2]\n\nevent: keep-alive\ndata: []\n\n")
            .then_when(&latches[0], "data: [3]\n\n")
            .then_when(&latches[1], "data: [4]\n\n")
            .then_silence();
        let builder = builder(&fixture, [stream]);
        let report = in_system(async {
            let pipeline = if own_thread {
                builder.own_thread().start().await.unwrap()
            } else {
                builder.start().await.unwrap()
            };
            let (start, mut events) = Start::events();
            let run = pipeline.start(start.priority(Priority::High));
            opened(&mut events, 1).await;
            stored(&run, 2).await;
            // Each is committed although nothing follows it.
            latches[0].open();
            stored(&run, 3).await;
            latches[1].open();
            stored(&run, 4).await;
            assert_eq!(fixture.count_rows("notes"), 4);
            let now = events.now();
            assert!(now.is_open && now.last_failure.is_none(), "{now:?}");
            assert_eq!((now.opened, now.events, now.unreadable), (1, 4, 0));
            run.cancel();
            assert_eq!(events.changed().await, None, "it is read no more");
            run.await.unwrap()
        });
        fixture.check_report(&report);
        assert!(report.interrupted && report.list_failed.is_none());
        let requests = fixture.server.requests();
        let stream = requests.iter().find(|request| request.path == "/stream");
        assert_eq!(stream.unwrap().header("x-key"), Some("s3cret"));
        // The stream is closed with its run.
        fixture.server.wait_for(|stats| stats.in_flight == 0);
    }
}

#[test]
fn an_event_that_cannot_be_read_costs_only_itself() {
    let fixture = Fixture::new();
    let text = "data: [1]\n\ndata: panic\n\ndata: {\"no\": \"list\"}\n\ndata: [2]\n\n";
    let builder = builder(&fixture, [Reply::event_stream(text).then_silence()]);
    let report = in_system(async {
        let (run, events) = builder.start().await.unwrap().run_events();
        stored(&run, 2).await;
        assert_eq!((events.now().events, events.now().unreadable), (4, 2));
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
}

#[test]
fn a_host_learns_of_each_connection_and_why_the_last_one_broke() {
    let fixture = Fixture::new();
    let streams = [
        Reply::event_stream("data: [1]\n\n").then_reset(),
        Reply::status(503),
        Reply::event_stream("data: [2]\n\n").then_silence(),
    ];
    let builder = builder(&fixture, streams);
    let report = in_system(async {
        let (run, mut events) = builder.start().await.unwrap().run_events();
        opened(&mut events, 2).await;
        let now = events.now();
        assert!(now.is_open);
        assert_eq!(now.last_failure.unwrap().kind, FailureKind::Status);
        stored(&run, 2).await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert_eq!(fixture.server.hits("/stream"), 3);
}

#[test]
fn an_id_that_waits_is_fetched_once_and_one_in_flight_again() {
    let mut fixture = Fixture::new();
    fixture.config.workers = 1;
    let latch = Latch::new();
    fixture.on(1, [Reply::json("{}").held_by(&latch), Reply::json("[]")]);
    let again = Latch::new();
    let flood = "data: [2,3,2,4]\n\n".repeat(1000);
    let stream = Reply::event_stream("data: [1]\n\n")
        .then_when(&again, format!("data: [1]\n\n{flood}data: [5]\n\n"))
        .then_silence();
    let builder = builder(&fixture, [stream]);
    let report = in_system(async {
        let (run, events) = builder.start().await.unwrap().run_events();
        // The stream and the first id.
        fixture.wait_in_flight(2).await;
        again.open();
        eventually("all events are read", || events.now().events == 1003).await;
        latch.open();
        stored(&run, 6).await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
    let hits = [1, 2, 3, 4, 5].map(|id| fixture.hits(id));
    assert_eq!(hits, [2, 1, 1, 1, 1]);
    assert_eq!(report.totals.requested, 6);
}

/// Runs announced ids until the run ends by itself.
fn until_its_end(fixture: &Fixture, builder: Builder<AnnouncedNotes, NotesSink>) -> String {
    let report = in_system(async {
        let (run, mut events) = builder.start().await.unwrap().run_events();
        while events.changed().await.is_some() {}
        assert!(!events.now().is_open);
        run.await.unwrap()
    });
    fixture.check_report(&report);
    assert!(!report.interrupted && !report.is_complete());
    assert_eq!(report.totals.not_attempted, 0);
    report.list_failed.unwrap()
}

#[test]
fn without_an_event_stream_the_run_ends_in_order_and_says_why() {
    for (refusal, why) in [
        (
            Reply::status(404),
            "the server has no event stream here: status: HTTP status 404",
        ),
        (
            Reply::json("[1]"),
            "the server has no event stream here: status: ",
        ),
        (
            Reply::status(403),
            "the event stream cannot be opened: status: HTTP status 403",
        ),
    ] {
        let fixture = Fixture::new();
        // What was announced before is still settled.
        let streams = [Reply::event_stream("data: [1,2,3]\n\n"), refusal];
        let said = until_its_end(&fixture, builder(&fixture, streams));
        assert!(said.starts_with(why), "{said}");
        assert_eq!(fixture.count_rows("notes"), 3);
    }
}

#[test]
fn a_source_without_a_stream_or_whose_code_panics_ends_the_run_in_order() {
    let none: fn(&NotesSource) -> Option<Request> = |_| None;
    let panicking: fn(&NotesSource) -> Option<Request> = |_| panic!("no stream today");
    for (stream, why) in [
        (none, "the source has no event stream"),
        (panicking, "the source panicked: no stream today"),
    ] {
        let fixture = Fixture::new();
        let notes = fixture.source();
        let builder = fixture.builder_of(AnnouncedNotes { notes, stream }, NotesSink);
        let (report, other) = in_system(async {
            let pipeline = builder.start().await.unwrap();
            let (run, _) = pipeline.run_events();
            (run.await.unwrap(), pipeline.run([1]).await.unwrap())
        });
        assert_eq!(report.list_failed.as_deref(), Some(why));
        assert_eq!((report.totals.requested, other.totals.stored), (0, 1));
    }
}

#[test]
fn a_flood_is_left_to_tcp_while_ten_thousand_ids_wait() {
    let fixture = Fixture::new();
    let flood: String = (1..=30_000).map(|id| format!("data: [{id}]\n\n")).collect();
    let builder = builder(&fixture, [Reply::event_stream(flood).then_silence()]);
    let report = in_system(async {
        let pipeline = builder.start().await.unwrap();
        pipeline.pause();
        let (run, events) = pipeline.run_events();
        eventually("the bound is reached", || events.now().events == 10_000).await;
        // It takes no event more, however long it may.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(events.now().events, 10_000);
        pipeline.resume();
        eventually("reading goes on", || events.now().events > 10_100).await;
        run.cancel();
        run.await.unwrap()
    });
    fixture.check_report(&report);
}

#[test]
fn a_shutdown_and_the_drop_of_the_last_handle_end_the_stream() {
    let fixture = Fixture::new();
    let stream = || Reply::event_stream("data: [1]\n\n").then_silence();
    let ended = |pipeline: Pipeline<i64>, is_shut_down: bool| async move {
        let (run, mut events) = pipeline.run_events();
        stored(&run, 1).await;
        if is_shut_down {
            pipeline.shutdown(Duration::from_secs(10)).await.unwrap();
            assert!(run.await.unwrap().interrupted);
        } else {
            drop((run, pipeline));
        }
        while events.changed().await.is_some() {}
    };
    for is_shut_down in [true, false] {
        for own_thread in [true, false] {
            let builder = builder(&fixture, [stream()]);
            in_system(async {
                let pipeline = if own_thread {
                    builder.own_thread().start().await.unwrap()
                } else {
                    builder.start().await.unwrap()
                };
                ended(pipeline, is_shut_down).await;
            });
            fixture.server.wait_for(|stats| stats.open_connections == 0);
        }
    }
}

#[test]
fn an_open_stream_takes_no_fetcher_and_no_place_in_the_in_flight_limit() {
    let mut fixture = Fixture::new();
    fixture.config = Config {
        workers: 1,
        adaptive: true,
        ..fixture.config
    };
    let streams = [Reply::event_stream("data: [1]\n\n").then_silence()];
    let builder = builder(&fixture, streams);
    let reports = in_system(async {
        let pipeline = builder.start().await.unwrap();
        let (run, _events) = pipeline.run_events();
        stored(&run, 1).await;
        let other = pipeline.run(10..=100).await.unwrap();
        run.cancel();
        [run.await.unwrap(), other]
    });
    fixture.check_reports(&reports);
    assert_eq!(reports[1].totals.stored, 91);
}
