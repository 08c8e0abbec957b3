//! `copy`: copies a mirror into another database.

mod report;

use std::{sync::Arc, time::Instant};

use clap::{Arg, ArgMatches, Command};
use log::warn;

use self::report::{Copied, CopyReport};
use super::{
    database::{
        self,
        advice::indexes_are_owners,
        location::{self, Location},
        may_wait,
        pair::Pair,
    },
    exit::{CommandError, ExitStatus},
    options::{Options, ProgressMode},
    progress::{ProgressDisplay, ProgressView},
    signals::{self, Drain},
    terminal::{print_message, print_report},
};
use crate::{
    hn::{
        copy::{Copy, CopyProgress, TABLES},
        indexes::{self, Index},
    },
    ingest::config::{BadSetting, presentable},
    serve::wording::grouped,
    store::{
        locks::{while_disconnected, while_locked},
        silence::note_answer,
    },
};

const COMMAND: &str = "copy";

pub(super) struct CopyArgs {
    to: Location,
}

pub(super) fn command() -> Command {
    let to = Arg::new("to")
        .long("to")
        .value_name("DATABASE")
        .required(true)
        .help("Database to copy into; made if it does not exist");
    Command::new(COMMAND)
        .about("Copy the database into another one, from or to PostgreSQL too")
        .long_about(
            "Copy the database into another one: from a file to a PostgreSQL server, back, or between two of a kind. It may be stopped and \
             started again at any time. A row that is newer at the target stays. Needs no network but the servers'.",
        )
        .arg(to)
}

impl CopyArgs {
    pub(super) fn read(matches: &ArgMatches) -> Result<Self, String> {
        let text = matches.get_one::<String>("to").map_or("", String::as_str);
        let to = location::parse(text).ok_or_else(|| {
            let bad = BadSetting {
                origin: "--to".to_owned(),
                value: presentable(text),
                allowed: location::ALLOWED,
            };
            bad.to_string()
        })?;
        Ok(Self { to })
    }
}

/// The two databases, their connections, and how far the copy is. A lost connection is made again.
struct CopyJob {
    from: Location,
    to: Location,
    connections: Option<Pair>,
    copy: Copy,
}

impl CopyJob {
    fn open(
        from: Location,
        to: Location,
        progress: Arc<CopyProgress>,
    ) -> Result<Self, CommandError> {
        Ok(Self {
            connections: Some(while_disconnected(may_wait, || Pair::open(&from, &to))?),
            from,
            to,
            copy: Copy::new(progress),
        })
    }

    /// Works with both connections.
    fn with_connections<T>(
        &mut self,
        mut work: impl FnMut(&mut Copy, &mut Pair) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        while_disconnected(may_wait, || {
            let mut pair = match self.connections.take() {
                Some(pair) => pair,
                None => Pair::open(&self.from, &self.to).map_err(waited_for)?,
            };
            let done = work(&mut self.copy, &mut pair)?;
            self.connections = Some(pair);
            Ok(done)
        })
    }

    /// Copies until nothing is left or a signal was noted.
    fn copy_all(mut self) -> Result<Self, CommandError> {
        let mut has_more = true;
        while has_more && signals::noted().is_none() {
            note_answer();
            has_more = self.with_connections(|copy, pair| {
                pair.check_target()?;
                copy.copy_page(&mut pair.from, &mut pair.to)
                    .map_err(|error| CommandError(format!("{}: {error}", copy.table())))
            })?;
        }
        Ok(self)
    }

    /// Builds the indexes that the source has.
    fn build_indexes(mut self) -> Result<Self, CommandError> {
        self.with_connections(|_, Pair { from, to, .. }| {
            let missing_there =
                while_locked(|| indexes::missing(from)).map_err(CommandError::new)?;
            let to = &mut **to;
            let mut missing = while_locked(|| indexes::missing(to)).map_err(CommandError::new)?;
            missing.retain(|index| !missing_there.contains(index));
            if missing.is_empty() {
                return Ok(());
            }
            let owner = while_locked(|| indexes::owner_to_ask(to)).map_err(CommandError::new)?;
            if let Some(owner) = owner {
                warn!("{}", indexes_are_owners(&owner));
                return Ok(());
            }
            let begin = |_: &Index| {};
            while_locked(|| indexes::build(to, &missing, begin))
                .map(drop)
                .map_err(|error| CommandError(format!("the indexes: {error}")))
        })?;
        Ok(self)
    }
}

/// The error of a connection that is made again, in the words of a pool: a server that restarts is waited for.
fn waited_for(CommandError(why): CommandError) -> CommandError {
    CommandError(format!("timed out waiting for connection: {why}"))
}

pub(super) async fn run(options: &Options, args: CopyArgs) -> Result<ExitStatus, CommandError> {
    let began = Instant::now();
    let from = options.database();
    let (from_name, to_name) = (from.to_string(), args.to.to_string());
    let servers = Location::servers(&[&from, &args.to]);
    let progress = Arc::new(CopyProgress::default());
    let job = {
        let progress = progress.clone();
        database::blocking(move || CopyJob::open(from, args.to, progress)).await?
    };
    let drain = Drain::begin();
    let display = display(options.progress, progress.clone());
    let mut ended = database::unless_silent(servers.as_deref(), may_wait, || job.copy_all()).await;
    drop(display);
    let signal = signals::noted();
    drop(drain);
    if signal.is_none()
        && let Ok(job) = ended
    {
        ended = database::blocking(|| job.build_indexes()).await;
    }
    let copied = progress.copied();
    let report = CopyReport {
        command: COMMAND,
        from: from_name,
        to: to_name,
        tables: copied.tables.iter().map(Copied::from_count).collect(),
        refused: copied.refused,
        elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        interrupted: signal.is_some(),
    };
    let printed = print_report(options.format, &report, |out| report.write_text(out));
    if let Some(signal) = signal {
        print_message(format_args!("interrupted; {GOES_ON}"));
        return Ok(ExitStatus::Interrupted { signal });
    }
    if let Err(CommandError(why)) = ended {
        print_message(format_args!("the copy cannot go on: {why}; {GOES_ON}"));
        return Ok(ExitStatus::CouldNotGoOn);
    }
    if report.refused.count > 0 {
        return Ok(ExitStatus::Incomplete);
    }
    Ok(printed)
}

/// How to go on.
const GOES_ON: &str = "what was copied stays, and the same command goes on behind it";

fn display(mode: ProgressMode, progress: Arc<CopyProgress>) -> ProgressDisplay {
    ProgressDisplay::start_timed(mode, move |elapsed| {
        let number = |number: i64| u64::try_from(number).unwrap_or(0);
        let (id, last_id) = (number(progress.number()), number(progress.last_number()));
        let mut what = format!(
            "step {} of {TABLES}: {}",
            progress.tables(),
            progress.table()
        );
        if last_id > 0 {
            what += &format!(", {} of {} done", grouped(id), grouped(last_id));
        }
        ProgressView {
            position: id,
            length: Some(last_id.max(1)),
            parts: vec![
                what,
                elapsed,
                format!("{} rows read", grouped(progress.rows())),
            ],
        }
    })
}
