//! One process at a time follows with a database. Others stand by, and the first of them takes over when it ends or dies.

use std::time::Duration;

use actix_rt::time::sleep;
use log::warn;

use crate::{
    cli::{
        database::{self, NOT_WRITTEN},
        exit::CommandError,
        options::ProgressMode,
        service_manager::ServiceManager,
        session::Session,
        terminal::print_message,
    },
    hn::leases::{Turn, begin_turn},
};

/// How often a process that stands by looks whether it is its turn.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait after the database has failed.
const FAILED_WAIT: Duration = Duration::from_secs(10);

/// It is this process's turn.
pub(super) struct OwnTurn {
    /// The run that begins, in the table `runs`.
    pub(super) row: i64,
    /// The process that followed before, if this one has stood by.
    pub(super) instead_of: Option<String>,
}

/// Waits until no other process follows with this database, and begins a run.
///
/// A signal ends the process meanwhile.
pub(super) async fn wait_for_turn(
    session: &Session<'_>,
    manager: &ServiceManager,
) -> Result<OwnTurn, CommandError> {
    let mut known_holder = None;
    loop {
        let (process, rate) = (session.process.clone(), session.config.rate);
        let turn = database::query_or(NOT_WRITTEN, &session.pool, move |conn| {
            begin_turn(conn, super::args::COMMAND, &process, rate)
        });
        let turn = turn.await;
        // Nothing else writes while the process stands by, so nothing else would take back that storage was lost.
        let written = turn.as_ref().map(drop).map_err(ToString::to_string);
        session.health.note_storage(written);
        let turn = match turn {
            Ok(turn) => turn,
            // Whatever the database suffers from may pass, and the process that follows waits for that as well.
            Err(error) if known_holder.is_some() => {
                warn!("{error}; trying again");
                sleep(FAILED_WAIT).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        match turn {
            Turn::Ours(row) => {
                return Ok(OwnTurn {
                    row,
                    instead_of: known_holder,
                });
            }
            Turn::Others { host, pid } => {
                let holder = format!("process {pid} on {host}");
                if known_holder.as_ref() != Some(&holder) {
                    if session.options.progress != ProgressMode::Never {
                        print_message(format_args!(
                            "{holder} follows with this database; this one stands by and takes over when that one ends"
                        ));
                    }
                    session.health.stand_by();
                    manager.ready();
                    manager.status(&format!("stands by: {holder} follows"));
                    known_holder = Some(holder);
                }
                if manager.watchdog_interval().is_some() {
                    manager.watchdog();
                }
            }
        }
        sleep(LOOK_INTERVAL).await;
    }
}
