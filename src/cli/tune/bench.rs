//! What a step runs on: an API, one client for the whole sweep, and for each step a pipeline and a database of its own.

use std::time::{Duration, Instant};

use futures_util::{
    future::Either,
    stream::{self, Stream},
};
use tokio::time::MissedTickBehavior;

use super::{
    TuneArgs, curve,
    meter::Meter,
    stopped::{Stopped, trouble},
};
use crate::{
    cli::{
        Refusal,
        options::Options,
        progress::{Display, Shown},
        session,
        signals::{self, Signals},
    },
    hn::{HnSink, HnSource, PUBLIC_API, lists, migrations},
    ingest::{Builder, Client, Config, Latency, Progress, RunWatch},
    mock_api::{Faults, MockApi, RunningMockApi},
    store::sqlite,
};

/// The first part of a step opens connections and fills batches, and is not counted.
const RAMP: u32 = 5;
/// How often the counters are looked at.
const LOOK: Duration = Duration::from_millis(20);

pub(super) struct Bench<'a> {
    options: &'a Options,
    step_time: Duration,
    source: HnSource,
    /// One for all steps: so no two steps together exceed the rate, and no connection is opened twice.
    client: Client,
    config: Config,
    max_item: i64,
    live: bool,
    _mock: Option<RunningMockApi>,
}

/// What a step came to.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) workers: usize,
    pub(super) items_per_second: f64,
    pub(super) totals: Progress,
}

impl Step {
    /// Attempts that failed, be they tried again or not.
    pub(super) fn failed(&self) -> u64 {
        failed(&self.totals)
    }

    pub(super) fn latency(&self) -> Latency {
        self.totals.latency
    }
}

pub(super) fn failed(progress: &Progress) -> u64 {
    let attempts: u64 = progress.attempts_failed.iter().sum();
    // An answer that is no item fails its id, and no attempt.
    attempts.max(progress.failed)
}

impl<'a> Bench<'a> {
    /// `most` is the largest worker count to come.
    pub(super) async fn open(
        options: &'a Options,
        args: &TuneArgs,
        most: usize,
        signals: &mut Signals,
    ) -> Result<Self, Refusal> {
        let faults = Faults {
            latency: args.latency,
            ..Faults::default()
        };
        let mock = match args.live {
            true => None,
            false => Some(
                MockApi {
                    faults,
                    ..MockApi::default()
                }
                .start()
                .await
                .map_err(|error| Refusal(format!("the embedded API cannot start: {error}")))?,
            ),
        };
        let base = match &mock {
            Some(mock) => mock.url(),
            None => live_url(options).to_owned(),
        };
        let source = HnSource::new(&base).map_err(Refusal::new)?;
        let config = Config {
            workers: most,
            // A sweep measures each worker count as it stands.
            adaptive: false,
            ..options.config.clone()
        };
        let client = Client::new(&config);
        let read = signals.or_leave(lists::max_item(&client, &source)).await;
        let max_item = read.map_err(|error| match args.live {
            true => Refusal(format!(
                "{error}; check --api-url and the network, or leave out --live"
            )),
            false => Refusal::new(error),
        })?;
        Ok(Self {
            options,
            step_time: args.step_time,
            source,
            client,
            config,
            max_item,
            live: args.live,
            _mock: mock,
        })
    }

    /// Ingests with so many workers for the time of a step. There is no step if a signal cut it short.
    pub(super) async fn step(
        &self,
        workers: usize,
        signals: &mut Signals,
    ) -> Result<(Option<Step>, Option<Stopped>), Refusal> {
        let folder = tempfile::Builder::new()
            .prefix("hn-ingest-tune-")
            .tempdir()
            .map_err(|error| Refusal(format!("no folder for a temporary database: {error}")))?;
        let pool = sqlite::open(&folder.path().join("tune.db")).map_err(Refusal::new)?;
        migrations::run(&mut *session::connection(&pool)?).map_err(Refusal::new)?;
        let pipeline = Builder::new(self.source.clone(), HnSink::new())
            .config(Config {
                workers,
                ..self.config.clone()
            })
            .client(self.client.clone())
            .pool(pool)
            .start()
            .await
            .map_err(Refusal::new)?;
        let mut run = pipeline.run_stream(self.ids());
        let watch = run.watch();
        let (began, mut meter) = (Instant::now(), Meter::after(self.step_time / RAMP));
        let display = self.display(workers, began, watch.clone());
        let mut tick = actix_rt::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut under_way, mut stopped) = (true, None);
        let report = loop {
            tokio::select! {
                report = &mut run => break report,
                number = signals.next() => {
                    if let Some(Stopped::Interrupted(_)) = stopped {
                        // Leaving does not come back to clean up.
                        drop(folder);
                        signals::leave(number);
                    }
                    stopped = Some(Stopped::Interrupted(number));
                    under_way = false;
                    run.cancel();
                }
                _ = tick.tick(), if under_way => {
                    let (at, progress) = (began.elapsed(), watch.progress());
                    meter.look(at, progress.settled());
                    stopped = trouble(workers, &progress);
                    under_way = at < self.step_time && stopped.is_none();
                    if !under_way {
                        run.cancel();
                    }
                }
            }
        };
        drop(display);
        let broken = match report {
            Ok(report) => report.storage_lost,
            Err(stopped) => Some(stopped.to_string()),
        };
        if let Some(why) = broken {
            return Ok((None, Some(Stopped::Broken(why))));
        }
        if let Some(Stopped::Interrupted(_)) = stopped {
            return Ok((None, stopped));
        }
        let step = Step {
            workers,
            items_per_second: meter.rate(),
            totals: watch.progress(),
        };
        let silent = (step.items_per_second == 0.0).then_some(Stopped::Silent { workers });
        Ok((Some(step), stopped.or(silent)))
    }

    /// Endless. Those of a live API are spread over all it has, so that no cache makes it look quicker than it is.
    fn ids(&self) -> impl Stream<Item = i64> + Send + 'static {
        let ids = 1..=self.max_item;
        match self.live {
            true => Either::Left(stream::repeat_with(move || fastrand::i64(ids.clone()))),
            false => Either::Right(stream::iter(ids.cycle())),
        }
    }

    fn display(&self, workers: usize, began: Instant, watch: RunWatch) -> Display {
        let step_time = self.step_time;

        Display::of(self.options.progress, move || {
            let (progress, at) = (watch.progress(), began.elapsed());
            Shown {
                position: at.min(step_time).as_millis() as u64,
                length: step_time.as_millis() as u64,
                line: format!(
                    "{}: {} settled in {:.1} s, {} failed, {} in flight",
                    curve::workers(workers),
                    progress.settled(),
                    at.as_secs_f64(),
                    failed(&progress),
                    progress.in_flight
                ),
            }
        })
    }
}

pub(super) fn live_url(options: &Options) -> &str {
    options.api_url.as_deref().unwrap_or(PUBLIC_API)
}
