//! Shows how following goes: on the terminal, and to the service manager.

use std::{cell::RefCell, rc::Rc, time::Duration};

use super::{fetch_runs::FetchRuns, monitor::Monitor};
use crate::{
    cli::{
        options::ProgressMode,
        progress::{ProgressDisplay, ProgressView},
        service_manager::ServiceManager,
    },
    hn::follow::intake::Intake,
    serve::wording::grouped,
    store::message::in_words,
};

/// Shows a line until it is dropped.
pub(super) struct StatusDisplay {
    /// The parts of the line.
    parts: Rc<RefCell<Vec<String>>>,
    _display: ProgressDisplay,
}

impl StatusDisplay {
    pub(super) fn new(mode: ProgressMode) -> Self {
        let parts = Rc::new(RefCell::new(vec!["connecting".to_owned()]));
        let shown = parts.clone();
        let view = move || ProgressView {
            position: 0,
            length: None,
            parts: shown.borrow().clone(),
        };
        Self {
            parts,
            _display: ProgressDisplay::start(mode, view),
        }
    }

    pub(super) fn update(
        &self,
        intake: &Intake,
        runs: &FetchRuns,
        due: u64,
        monitor: &Monitor,
        cool_down: Duration,
        manager: &ServiceManager,
    ) {
        let totals = runs.totals()();
        let waiting = intake.items.waiting() as u64 + intake.backlog() + runs.left_in_gap();
        let newest = u64::try_from(intake.announced()).unwrap_or(0);
        let per_second = totals.last_minute.settled_per_second();
        let mut parts = vec![
            format!("newest {}", grouped(newest)),
            format!("{per_second:.1} read/s"),
            format!("{} waiting", grouped(waiting)),
            format!("{} refreshes due", grouped(due)),
            monitor.summary(),
            format!("{} failed", grouped(totals.failed)),
        ];
        if !cool_down.is_zero() {
            let rest = Duration::from_secs(cool_down.as_secs() + 1);
            let rest = in_words(rest);
            parts.insert(1, format!("the API asks to wait {rest}"));
        }
        manager.status(&parts.join(", "));
        *self.parts.borrow_mut() = parts;
    }
}
