//! Reads the ids of a sample, and counts what is found.

use std::{cell::RefCell, rc::Rc};

use futures_util::{Stream, StreamExt, stream};

use super::percent::rounded;
use crate::{
    cli::{
        database,
        exit::CommandError,
        id_stream_error::IdStreamError,
        progress::{ProgressDisplay, ProgressView},
        run::CLOSE_WAIT,
        session::{Session, time_after},
        signals::Drain,
        terminal::print_message,
    },
    hn::{
        HnConnection,
        sample::{SampleIds, SampleSink, SampleSource, Tally},
    },
    ingest::{
        GaveUp, IdOutcome, Outcomes, PipelineStopped, Progress, Report, Run, RunWatch, Start,
    },
    serve::wording::grouped,
    store::Pool,
};

/// A run that reads the ids of a sample.
pub(super) struct SampleRun<'a, C: HnConnection> {
    session: &'a Session<'a, C>,
    ids: SampleIds,
    sink: SampleSink<C>,
}

/// What a sample has come to.
pub(super) struct Sampled {
    /// `None` if the pipeline broke.
    pub(super) report: Option<Report<i64>>,
    pub(super) tally: Tally,
    /// Why there were not more ids.
    pub(super) ids_error: Option<String>,
}

impl Sampled {
    pub(super) fn totals(&self) -> Progress {
        let report = self.report.as_ref();
        report
            .map(|report| report.totals.clone())
            .unwrap_or_default()
    }
}

impl<'a, C: HnConnection> SampleRun<'a, C> {
    pub(super) fn new(session: &'a Session<'a, C>, ids: &SampleIds, sink: SampleSink<C>) -> Self {
        Self {
            session,
            ids: ids.clone(),
            sink,
        }
    }

    /// Reads until all ids are read, or until a signal. Returns, too, what `keep` makes of the run when it has begun.
    pub(super) async fn read<K>(
        self,
        drain: &mut Drain,
        keep: impl FnOnce(RunWatch) -> K,
    ) -> Result<(Sampled, K), CommandError> {
        let Self { session, ids, sink } = self;
        let checks = ids.checks();
        let source = SampleSource {
            source: session.source.clone(),
            checks: checks.clone(),
        };
        let pipeline = session.builder(source, sink).start().await;
        let pipeline = pipeline.map_err(CommandError::new)?;
        let ids_error = IdStreamError::default();
        let stream = pages::<C>(session.pool.clone(), ids.clone(), ids_error.clone());
        let (start, outcomes) = Start::stream(stream).with_outcomes();
        let run = pipeline.start(start);
        let tally = Rc::new(RefCell::new(Tally::default()));
        let kept = keep(run.watch());
        let display = display(session, ids.len(), tally.clone(), run.watch());
        let (ended, ()) = tokio::join!(drive(run, drain), count(outcomes, &ids, &tally));
        drop(display);
        // Otherwise the process could end while the database is being closed.
        let _ = pipeline.shutdown(CLOSE_WAIT).await;
        let report = match ended {
            Ok(mut report) => {
                // The answers may have been compared with a file that is not the mirror any more.
                if let Err(why) = C::check(&session.database) {
                    report.gave_up.get_or_insert(GaveUp::StorageLost(why));
                }
                if let Some(why) = &report.gave_up {
                    print_message(format_args!("{why}; {}", next_step(why)));
                }
                Some(report)
            }
            Err(error) => {
                print_message(error);
                None
            }
        };
        let sampled = Sampled {
            report,
            tally: tally.take(),
            ids_error: ids_error.message().map(str::to_owned),
        };
        Ok((sampled, kept))
    }
}

/// The ids, page by page.
fn pages<C: HnConnection>(
    pool: Pool<C>,
    ids: SampleIds,
    error: IdStreamError,
) -> impl Stream<Item = i64> + Send {
    let pages = stream::unfold((), move |()| {
        let (pool, ids, error) = (pool.clone(), ids.clone(), error.clone());
        async move {
            let reading = database::query(&pool, move |conn| ids.next_page(conn));
            match reading.await {
                Ok(page) => (!page.is_empty()).then_some((page, ())),
                Err(CommandError(message)) => {
                    error.set(message);
                    None
                }
            }
        }
    });
    pages.flat_map(stream::iter)
}

async fn drive(mut run: Run<i64>, drain: &mut Drain) -> Result<Report<i64>, PipelineStopped> {
    tokio::select! {
        report = &mut run => return report,
        _ = drain.first_signal() => run.cancel(),
    }
    run.await
}

/// Counts each id when it is settled.
async fn count(mut outcomes: Outcomes<i64>, ids: &SampleIds, tally: &RefCell<Tally>) {
    let checks = ids.checks();
    while let Some(batch) = outcomes.next_batch().await {
        for ended in batch {
            let finding = checks.end(ended.id);
            if let (IdOutcome::Stored | IdOutcome::Absent, Some(finding)) = (ended.outcome, finding)
            {
                tally.borrow_mut().add(ended.id, finding);
            }
        }
    }
}

fn display<C: HnConnection>(
    session: &Session<'_, C>,
    length: u64,
    tally: Rc<RefCell<Tally>>,
    watch: RunWatch,
) -> ProgressDisplay {
    ProgressDisplay::start_timed(session.options.progress, move |elapsed| {
        let tally = tally.borrow();
        let share = tally.stale as f64 / tally.checked.max(1) as f64;
        ProgressView {
            position: tally.checked,
            length: Some(length),
            parts: vec![
                format!("{} of {} checked", grouped(tally.checked), grouped(length)),
                format!("{} differ ({})", grouped(tally.stale), rounded(share)),
                elapsed,
                format!("{} failed", grouped(watch.progress().failed)),
            ],
        }
    })
}

/// What the user can do about a sample that could not go on.
fn next_step(why: &GaveUp) -> String {
    let again = match why {
        GaveUp::ApiAsksToWait { wait, .. } => {
            format!("run this again from {} on", time_after(*wait))
        }
        GaveUp::ApiRefuses { .. } => {
            "see whether the API or a proxy refuses this machine, and run this again with a lower --rate".to_owned()
        }
        GaveUp::ApiOut { .. } => "run this again when the API is back".to_owned(),
        GaveUp::StorageBusy(_) => "run this again".to_owned(),
        GaveUp::StorageLost(_) => "mend this, and run this again".to_owned(),
    };
    format!("the report counts what was checked until then; {again}")
}
