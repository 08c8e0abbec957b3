//! Measures one worker count: an API and a client for the whole sweep, and for each step a pipeline and a database of its own.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::{
    future::Either,
    stream::{self, Stream},
};
use tokio::time::MissedTickBehavior;

use super::{
    args::TuneArgs,
    rate_meter::RateMeter,
    step::{Step, failed_attempts},
    stop_reason::StopReason,
    temporary_folder::{self, TemporaryFolder},
    tested_api::TestedApi,
    wording,
};
use crate::{
    cli::{
        database::{blocking, connection},
        exit::CommandError,
        options::{Options, ProgressMode},
        progress::{ProgressDisplay, ProgressView},
        signals::Drain,
    },
    hn::{HnSink, HnSource, lists, migrations},
    ingest::{Builder, Client, Config, Pipeline, Run, RunWatch},
    mock_api::{Faults, MockApi, RunningMockApi},
    serve::wording::grouped,
    store::{StoreConnection, any::AnyConnection},
};

/// The first part of a step, one in this many, opens connections and fills batches. It is not counted.
const RAMP_FRACTION: u32 = 5;
/// How long the storage may take to close its database after a step.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How often the counters of a run are read.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(20);

pub(super) struct Bench {
    progress: ProgressMode,
    step_time: Duration,
    /// Whether the API is one that others use too.
    is_live: bool,
    source: HnSource,
    /// All steps share it, so that together they keep to the rate and use the same connections.
    client: Client,
    config: Config,
    /// The largest id of the API.
    max_item: i64,
    /// The embedded API. It serves until the bench is dropped.
    _embedded_api: Option<RunningMockApi>,
}

/// What came out of measuring a worker count.
pub(super) struct StepResult {
    /// `None` if the step did not last to its end.
    pub(super) step: Option<Step>,
    /// Why the sweep must end with this step, if it must.
    pub(super) stop_reason: Option<StopReason>,
}

/// How the run of a step ended.
struct StepEnd {
    items_per_second: f64,
    stop_reason: Option<StopReason>,
}

impl Bench {
    /// `most_workers` is the largest worker count that will be measured.
    pub(super) async fn open(
        options: &Options,
        args: &TuneArgs,
        api: &TestedApi,
        most_workers: usize,
    ) -> Result<Self, CommandError> {
        temporary_folder::delete_abandoned();
        let (url, embedded_api) = match api {
            TestedApi::Live { url } => (url.clone(), None),
            TestedApi::Embedded { latency } => {
                let faults = Faults {
                    latency: *latency,
                    ..Faults::default()
                };
                let api = MockApi {
                    faults,
                    ..MockApi::default()
                };
                let api = api.start().await.map_err(|error| {
                    CommandError(format!(
                        "the embedded API cannot start on this machine: {error}"
                    ))
                })?;
                (api.url(), Some(api))
            }
        };
        let source = HnSource::new(&url).map_err(CommandError::new)?;
        let config = Config {
            workers: most_workers,
            // Each worker count is measured as it is.
            adaptive: false,
            ..options.config.clone()
        };
        let client = Client::new(&config);
        let read = lists::max_item(&client, &source).await;
        let max_item = read.map_err(|error| {
            if api.is_live() {
                CommandError(format!(
                    "{error}; check --api-url and the network, or leave out --live"
                ))
            } else {
                CommandError::new(error)
            }
        })?;
        Ok(Self {
            progress: options.progress,
            step_time: args.step_time,
            is_live: api.is_live(),
            source,
            client,
            config,
            max_item,
            _embedded_api: embedded_api,
        })
    }

    /// Ingests with this many workers for the time of a step.
    pub(super) async fn measure(&self, workers: usize) -> Result<StepResult, CommandError> {
        let mut drain = Drain::begin();
        let folder = TemporaryFolder::new()?;
        let pipeline = self.start_pipeline(workers, folder.database()).await?;
        let run = pipeline.run_stream(self.ids());
        let watch = run.watch();
        let StepEnd {
            items_per_second,
            stop_reason,
        } = self.drive(run, workers, &mut drain).await;
        // A database that is still open could make files in the folder while it is being deleted.
        let _ = pipeline.shutdown(CLOSE_WAIT).await;
        drop(folder);
        if let Some(StopReason::PipelineBroken(_) | StopReason::Interrupted { .. }) = stop_reason {
            return Ok(StepResult {
                step: None,
                stop_reason,
            });
        }
        let nothing_stored =
            (items_per_second == 0.0).then_some(StopReason::NothingStored { workers });
        Ok(StepResult {
            step: Some(Step {
                workers,
                items_per_second,
                totals: watch.progress(),
            }),
            stop_reason: stop_reason.or(nothing_stored),
        })
    }

    /// Reads the counters of a run until the time of a step is over, the API should get no more requests, or a signal comes.
    /// Then cancels the run and waits for its end.
    async fn drive(&self, mut run: Run<i64>, workers: usize, drain: &mut Drain) -> StepEnd {
        let watch = run.watch();
        let started = Instant::now();
        let mut meter = RateMeter::new(self.step_time / RAMP_FRACTION);
        let _display = self.display(workers, started, watch.clone());
        let mut ticks = actix_rt::time::interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_cancelled = false;
        let mut is_interrupted = false;
        let mut stop_reason = None;
        let report = loop {
            tokio::select! {
                report = &mut run => break report,
                signal = drain.first_signal(), if !is_interrupted => {
                    is_interrupted = true;
                    stop_reason = Some(StopReason::Interrupted { signal });
                    is_cancelled = true;
                    run.cancel();
                }
                _ = ticks.tick(), if !is_cancelled => {
                    let time = started.elapsed();
                    let progress = watch.progress();
                    meter.add_sample(time, progress.settled());
                    stop_reason = StopReason::from_progress(workers, &progress);
                    if time >= self.step_time || stop_reason.is_some() {
                        is_cancelled = true;
                        run.cancel();
                    }
                }
            }
        };
        let broken = match report {
            Ok(report) => report.gave_up.map(|why| why.to_string()),
            Err(error) => Some(error.to_string()),
        };
        StepEnd {
            items_per_second: meter.rate(),
            stop_reason: broken.map(StopReason::PipelineBroken).or(stop_reason),
        }
    }

    async fn start_pipeline(
        &self,
        workers: usize,
        database: PathBuf,
    ) -> Result<Pipeline<i64>, CommandError> {
        let pool = blocking(move || {
            let pool = AnyConnection::open(database.as_os_str()).map_err(CommandError::new)?;
            migrations::run(&mut *connection(&pool)?).map_err(CommandError::new)?;
            Ok(pool)
        })
        .await?;
        let config = Config {
            workers,
            ..self.config.clone()
        };
        Builder::new(self.source.clone(), HnSink::new().over::<AnyConnection>())
            .config(config)
            .client(self.client.clone())
            .pool(pool)
            .start()
            .await
            .map_err(CommandError::new)
    }

    /// Ids without end. Those of a live API are random, because ids close to each other could come from a cache and make the
    /// API look faster than it is.
    fn ids(&self) -> impl Stream<Item = i64> + Send + 'static {
        let ids = 1..=self.max_item;
        if self.is_live {
            Either::Left(stream::repeat_with(move || fastrand::i64(ids.clone())))
        } else {
            Either::Right(stream::iter(ids.cycle()))
        }
    }

    fn display(&self, workers: usize, started: Instant, watch: RunWatch) -> ProgressDisplay {
        let step_time = self.step_time;
        ProgressDisplay::start(self.progress, move || {
            let progress = watch.progress();
            let time = started.elapsed();
            ProgressView {
                position: time.min(step_time).as_millis() as u64,
                length: Some(step_time.as_millis() as u64),
                parts: vec![
                    format!(
                        "{}: {} settled in {:.1} s",
                        wording::workers(workers),
                        grouped(progress.settled()),
                        time.as_secs_f64(),
                    ),
                    format!("{} failed", grouped(failed_attempts(&progress))),
                    format!("{} in flight", grouped(progress.in_flight)),
                ],
            }
        })
    }
}
