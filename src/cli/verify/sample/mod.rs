//! `verify --sample`: reads random settled ids from the API again, and says how many of them differ.

mod args;
mod reading;
mod report;
mod percent;

pub(in crate::cli) use self::args::SampleArgs;
pub(super) use self::args::flags;
use self::{
    reading::{SampleRun, Sampled},
    report::{SampleReport, SampleResult},
};
use crate::{
    cli::{
        database,
        exit::{CommandError, ExitStatus},
        onlooker::Onlooker,
        options::Options,
        presence::Presence,
        run::exit_status,
        session::Session,
        signals::{self, Drain},
        terminal::{print_message, print_report},
    },
    hn::{
        HnConnection,
        sample::{OpenChecks, Population, SampleIds, SampleSink, bound::checks_needed},
    },
    serve::wording::grouped,
};

/// The command, with `--sample` or without.
pub(super) const COMMAND: &str = "verify";

pub(super) async fn run(options: &Options, args: SampleArgs) -> Result<ExitStatus, CommandError> {
    // Before there is something to drain, a signal ends the process at once.
    if !args.repair {
        let session = Session::open_read_only(options).await?;
        let ids = draw(&session, &args).await?;
        let mut drain = Drain::begin();
        let mut onlooker = Onlooker::new(&session, COMMAND);
        onlooker.look().await;
        let reading = SampleRun::new(&session, &ids, SampleSink::new(ids.checks()));
        let (sampled, kept) = reading
            .read(&mut drain, |watch| onlooker.keep(watch))
            .await?;
        kept.end(sampled.totals()).await;
        return Ok(report(options, &args, &ids, sampled, drain));
    }
    // Without a database there is nothing to check, and the session would create one.
    let (location, demo) = (options.database(), options.demo);
    database::blocking(move || database::require_existing(&location, demo)).await?;
    let session = Session::open_to_repair(options).await?;
    let ids = draw(&session, &args).await?;
    let row = session.record_start(COMMAND, None).await?;
    let mut drain = Drain::begin();
    let mut presence = Presence::new(&session, COMMAND, row, None);
    presence.look().await;
    let reading = SampleRun::new(&session, &ids, SampleSink::repairing(ids.checks()));
    let (sampled, kept) = reading
        .read(&mut drain, |watch| presence.keep(move || watch.progress()))
        .await?;
    drop(kept);
    if let Some(report) = &sampled.report {
        session.record_end(row, None, report).await;
    }
    Ok(report(options, &args, &ids, sampled, drain))
}

/// Draws the ids. Says so if they are too few for what is to be shown.
async fn draw<C: HnConnection>(
    session: &Session<'_, C>,
    args: &SampleArgs,
) -> Result<SampleIds, CommandError> {
    let reading = database::with_connection(&session.pool, |conn| {
        Population::read(conn)
            .map_err(|error| CommandError(format!("the settled ids cannot be read: {error}")))
    });
    let population = reading.await?;
    let is_whole = population.count().is_some_and(|count| count <= args.size);
    if let Some(max_stale) = args.max_stale
        && !is_whole
    {
        match checks_needed(max_stale.share) {
            Some(needed) if needed <= args.size => {}
            Some(needed) => print_message(format_args!(
                "--sample {} is too small to show --max-stale {}: it takes at least {} ids, if none of them differs",
                args.size,
                max_stale,
                grouped(needed)
            )),
            None => print_message(format_args!(
                "no sample shows --max-stale {max_stale}; --sample {} reads every id",
                population.count().unwrap_or(u64::MAX)
            )),
        }
    }
    let checks = OpenChecks::default();
    Ok(SampleIds::new(population, args.size, args.seed, checks))
}

fn report(
    options: &Options,
    args: &SampleArgs,
    ids: &SampleIds,
    sampled: Sampled,
    drain: Drain,
) -> ExitStatus {
    let status = match &sampled.report {
        _ if sampled.ids_error.is_some() => ExitStatus::CouldNotGoOn,
        None => ExitStatus::CouldNotGoOn,
        Some(report) => exit_status(report, signals::noted()),
    };
    // The reader of the report may keep the process waiting, so from here on a signal ends it.
    drop(drain);
    if let Some(message) = &sampled.ids_error {
        print_message(format_args!(
            "the ids of the sample cannot be read to their end: {message}; what was checked before counts, so run this again"
        ));
    }
    let report = SampleReport {
        command: COMMAND,
        database: options.database().to_string(),
        sample: SampleResult::new(args, ids, &sampled),
    };
    let printed = print_report(options.format, &report, |out| report.write_text(out));
    match status {
        ExitStatus::Complete if report.sample.is_within_max_stale == Some(false) => {
            ExitStatus::Incomplete
        }
        ExitStatus::Complete => printed,
        other => other,
    }
}
