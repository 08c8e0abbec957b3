//! `tune`: finds how many workers are worth it. A sweep measures worker counts with a real pipeline each, and names the knee of
//! the curve.

// What to measure.
mod args;
mod worker_counts;
mod tested_api;

// Measuring.
mod bench;
mod temporary_folder;
mod step;
mod rate_meter;
mod stop_reason;

// Conclusions.
mod sweep;
mod knee;

// The report.
mod report;
mod curve;
mod wording;

pub(super) use self::args::{TuneArgs, command};
use self::{
    bench::{Bench, StepResult},
    stop_reason::StopReason,
    sweep::Sweep,
    tested_api::TestedApi,
};
use super::{
    exit::{CommandError, ExitStatus},
    health::Health,
    metrics_server::MetricsServer,
    options::{Options, ProgressMode, ReportFormat},
    terminal::{counted, print_message, write_stdout},
};

pub(super) async fn run(options: &Options, args: TuneArgs) -> Result<ExitStatus, CommandError> {
    if args.live && options.config.rate == 0 {
        return Err(CommandError::new(
            "--live measures an API that others use too: say with --rate N (or INGEST_RATE) how many requests a second it may get",
        ));
    }
    if !args.live && options.api_url.is_some() {
        print_message("INGEST_API_URL is not asked without --live; this is the embedded API");
    }
    let _metrics_server = match options.metrics {
        Some(address) => Some(MetricsServer::start(address, Health::default())?),
        None => None,
    };
    let counts = args.worker_counts.within_open_file_limit(!args.live)?;
    let api = TestedApi::new(options, &args);
    let most_workers = counts.last().copied().unwrap_or(1);
    let bench = Bench::open(options, &args, &api, most_workers).await?;
    if options.progress != ProgressMode::Never {
        print_message(plan(options, &args, &api, counts.len()));
    }
    let mut sweep = Sweep::new(api, options.config.rate);
    let is_text = options.format == ReportFormat::Text;
    if is_text {
        write_stdout(report::write_head);
    }
    for workers in counts {
        let StepResult { step, stop_reason } = bench.measure(workers).await?;
        if let Some(step) = step {
            if is_text {
                write_stdout(|out| report::write_row(&step, out));
            }
            sweep.steps.push(step);
        }
        sweep.stop_reason = stop_reason;
        if sweep.stop_reason.is_none()
            && args.worker_counts.is_open_ended()
            && sweep.has_flattened()
        {
            sweep.stop_reason = Some(StopReason::NoMoreGain);
        }
        if sweep.stop_reason.is_some() {
            break;
        }
    }
    // The embedded API stops serving before the report.
    drop(bench);
    let printed = report::print(&sweep, options.format);
    Ok(exit_status(&sweep, printed))
}

fn exit_status(sweep: &Sweep, printed: ExitStatus) -> ExitStatus {
    match &sweep.stop_reason {
        Some(StopReason::Interrupted { signal }) => ExitStatus::Interrupted { signal: *signal },
        Some(StopReason::PipelineBroken(why)) => {
            print_message(format_args!("the sweep cannot go on: {why}"));
            ExitStatus::CouldNotGoOn
        }
        _ if sweep.recommended().is_none() => ExitStatus::Incomplete,
        _ => printed,
    }
}

/// What the sweep will do, and how long that takes.
fn plan(options: &Options, args: &TuneArgs, api: &TestedApi, steps: usize) -> String {
    let time = args.step_time * u32::try_from(steps).unwrap_or(u32::MAX);
    let requests = match options.config.rate {
        0 => String::new(),
        rate => {
            let most = (f64::from(rate) * time.as_secs_f64()).ceil();
            format!(", at most {most} requests")
        }
    };
    let up_to = if args.worker_counts.is_open_ended() {
        "up to "
    } else {
        ""
    };
    format!(
        "{api}: {up_to}{} of {}, {up_to}{} in all{requests}",
        counted(steps as u64, "step"),
        humantime::format_duration(args.step_time),
        humantime::format_duration(time),
    )
}
