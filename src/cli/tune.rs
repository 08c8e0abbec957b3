//! `tune`: how many workers are worth it. Sweeps worker counts against an API, a real pipeline each, and says where the knee is.
//!
//! Reading order: `bench` (one step), `meter` (its rate), `stopped`, `knee`, `curve`, `told` (what is said of it all).

mod bench;
mod curve;
mod knee;
mod meter;
mod stopped;
mod told;

use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use self::{bench::Bench, stopped::Stopped, told::Told};
use super::{
    Ending, Refusal,
    metrics::Metrics,
    mock_api, open_files,
    options::{Format, Options},
    output::{complain, to_stdout},
    progress::say,
    signals::Signals,
};
use crate::{
    ingest::config::{Config, SETTINGS, WORKERS_MAX},
    mock_api::Latency,
};

const STEP_TIME: &str = "3s";
const LATENCY: &str = "100ms";
/// More than a curve has room for.
const STEPS_MAX: usize = 40;

pub(super) struct TuneArgs {
    live: bool,
    steps: Steps,
    step_time: Duration,
    latency: Latency,
}

enum Steps {
    Named(Vec<usize>),
    DoublingTo(usize),
}

pub(super) fn command() -> Command {
    let flag = |name: &'static str, value: &'static str, help: String| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .allow_hyphen_values(true)
            .help(help)
    };
    let live = Arg::new("live")
        .long("live")
        .action(ArgAction::SetTrue)
        .conflicts_with("latency")
        .help("Ask the API of --api-url, random ids, no faster than --rate, which must be given; ends at the first 429, or when over 5 % fail");
    Command::new("tune")
        .about("Find how many workers are worth it: sweep worker counts, draw the curve, name the knee")
        .long_about(
            "Find how many workers are worth it: sweep worker counts, draw the curve, name the knee.\n\n\
             Each step runs a whole pipeline for a while into a temporary database (in TMPDIR), by default from an API of made-up \
             items inside this program: that shows what this machine can do with an API that far away. INGEST_API_URL is \
             asked only with --live. The last lines on standard output are to be pasted: `hn-ingest tune | grep ^export`.",
        )
        .arg(live)
        .arg(flag(
            "steps",
            "N,…",
            "These worker counts [default: 1, 2, 4 and so on, until two more steps bring nothing]".to_owned(),
        ))
        .arg(
            flag(
                "max-workers",
                "N",
                format!("The most workers of a sweep [default: {WORKERS_MAX}]"),
            )
            .conflicts_with("steps"),
        )
        .arg(flag(
            "step-time",
            "TIME",
            format!("How long each step lasts; its first fifth is not counted [default: {STEP_TIME}]"),
        ))
        .arg(flag(
            "latency",
            "TIME",
            format!("How long the embedded API waits before each answer: 80ms, or 80ms..200ms [default: {LATENCY}]"),
        ))
}

impl TuneArgs {
    pub(super) fn read(own: &ArgMatches) -> Result<Self, String> {
        let given = |name: &str| own.get_one::<String>(name).map(String::as_str);
        let live = own.get_flag("live");
        if given("workers").is_some() {
            return Err(
                "the workers are what tune sweeps: leave out --workers, or name counts with --steps 8,16,32"
                    .to_owned(),
            );
        }
        for flag in ["database", "limit", "adaptive"] {
            if given(flag).is_some() {
                complain(format_args!(
                    "--{flag} means nothing to tune: it asks for ids without end, stores them into temporary databases, and measures each worker count as it stands"
                ));
            }
        }
        if live && own.get_flag("demo") {
            return Err("--demo is the embedded API, --live is not: leave out one".to_owned());
        }
        if !live && given("api-url").is_some() {
            return Err(
                "tune asks the embedded API; to sweep the one of --api-url add --live and --rate N"
                    .to_owned(),
            );
        }
        let steps = match given("steps") {
            Some(text) => Steps::Named(named(text)?),
            // A sweep ends by itself.
            None => Steps::DoublingTo(match given("max-workers") {
                Some(text) => workers("max-workers", text, text)?,
                None => WORKERS_MAX,
            }),
        };
        let step_time = given("step-time").unwrap_or(STEP_TIME);
        let latency = given("latency").unwrap_or(LATENCY);
        Ok(Self {
            live,
            steps,
            step_time: duration(step_time).ok_or_else(|| {
                format!("--step-time is `{step_time}`; allowed: 500ms to 1h, with a unit: 3s, 1m")
            })?,
            latency: mock_api::latency(latency)?,
        })
    }
}

/// In the order of their size, each once.
fn named(text: &str) -> Result<Vec<usize>, String> {
    let counts = text
        .split(',')
        .map(|count| workers("steps", text, count.trim()));
    let mut counts = counts.collect::<Result<Vec<_>, _>>()?;
    counts.sort_unstable();
    counts.dedup();
    match counts.len() {
        ..=STEPS_MAX => Ok(counts),
        more => Err(format!(
            "--steps names {more} worker counts; allowed: at most {STEPS_MAX}"
        )),
    }
}

/// A count that `--workers` would take.
fn workers(flag: &str, text: &str, count: &str) -> Result<usize, String> {
    let mut config = Config::default();
    let setting = SETTINGS.iter().find(|setting| setting.flag == "workers");
    let allowed = setting.map_or("", |setting| setting.allowed);
    setting
        .and_then(|setting| (setting.set)(&mut config, count))
        .map(|()| config.workers)
        .ok_or_else(|| match text == count {
            true => format!("--{flag} is `{text}`; allowed: {allowed}"),
            false => format!("--{flag} is `{text}`; `{count}` is no worker count; allowed: {allowed}, as in 8,16,32"),
        })
}

/// In less, hardly a batch is committed.
fn duration(text: &str) -> Option<Duration> {
    let allowed = Duration::from_millis(500)..=Duration::from_secs(3600);
    let duration = humantime::parse_duration(text).ok();
    duration.filter(|duration| allowed.contains(duration))
}

pub(super) async fn run(options: &Options, args: TuneArgs) -> Result<Ending, Refusal> {
    let mut signals = Signals::listen()?;
    if args.live && options.config.rate == 0 {
        return Err(Refusal::new(
            "--live asks an API that others use too: say with --rate N (or INGEST_RATE) how many requests a second it may get",
        ));
    }
    if !args.live && options.api_url.is_some() {
        complain("INGEST_API_URL is not asked without --live; this is the embedded API");
    }
    let _metrics = options.metrics.map(Metrics::serve).transpose()?;
    let steps = affordable(&args)?;
    let most = steps.last().copied().unwrap_or(1);
    let bench = Bench::open(options, &args, most, &mut signals).await?;
    say(options.progress, plan(options, &args, &steps));
    let mut told = Told::new(options, &args);
    let text = options.format == Format::Text;
    if text {
        to_stdout(told::head);
    }
    for workers in steps {
        let (step, stopped) = bench.step(workers, &mut signals).await?;
        if let Some(step) = step {
            if text {
                to_stdout(|out| told::row(&step, out));
            }
            told.steps.push(step);
        }
        let is_flat = || args.is_open_ended() && knee::has_flattened(&told.rates());
        told.stopped = stopped.or_else(|| is_flat().then_some(Stopped::Flat));
        if told.stopped.is_some() {
            break;
        }
    }
    drop(bench);
    told.tell(options.format);
    Ok(match told.stopped {
        Some(Stopped::Interrupted(signal)) => Ending::Interrupted(signal),
        Some(Stopped::Broken(why)) => {
            complain(format_args!("the sweep cannot go on: {why}"));
            Ending::Broken
        }
        _ if told.knee().is_none() => Ending::Incomplete,
        _ => Ending::Complete,
    })
}

impl TuneArgs {
    /// Whether the sweep decides itself when it has seen enough.
    fn is_open_ended(&self) -> bool {
        matches!(self.steps, Steps::DoublingTo(_))
    }
}

/// The steps for which there are connections enough.
fn affordable(args: &TuneArgs) -> Result<Vec<usize>, Refusal> {
    let mut steps = match &args.steps {
        Steps::Named(steps) => steps.clone(),
        Steps::DoublingTo(most) => {
            let doublings = std::iter::successors(Some(1), |workers| Some(workers * 2));
            let below = doublings.take_while(|workers| workers < most);
            below.chain([*most]).collect()
        }
    };
    let most = steps.last().copied().unwrap_or(1);
    let room = open_files::room_for(most, !args.live);
    if room < most {
        let why = format!(
            "the limit of open files has room for {room} workers, not {most}; raise it with ulimit -n"
        );
        steps.retain(|workers| *workers <= room);
        if steps.is_empty() {
            return Err(Refusal(why));
        }
        complain(why);
    }
    Ok(steps)
}

fn plan(options: &Options, args: &TuneArgs, steps: &[usize]) -> String {
    let api = match args.live {
        true => bench::live_url(options).to_owned(),
        false => format!("the embedded API, {} away", args.latency),
    };
    let time = args.step_time * u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let requests = match options.config.rate {
        0 => String::new(),
        rate => format!(
            ", at most {} requests",
            (f64::from(rate) * time.as_secs_f64()).ceil()
        ),
    };
    let plural = if steps.len() == 1 { "" } else { "s" };
    let up_to = if args.is_open_ended() { "up to " } else { "" };
    format!(
        "{api}: {up_to}{} step{plural} of {}, {up_to}{} in all{requests}",
        steps.len(),
        humantime::format_duration(args.step_time),
        humantime::format_duration(time),
    )
}
