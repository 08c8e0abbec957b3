//! A sweep: its steps so far, and the conclusions from them.

use super::{
    knee::{self, TOLERANCE},
    step::Step,
    stop_reason::StopReason,
    tested_api::TestedApi,
    wording::{self, capitalised},
};
use crate::ingest::config::WORKERS_MAX;

/// A rate of at least this share of `--rate` counts as held by it. The first requests of a step come late, so the whole of it
/// is never reached.
const SHARE_OF_RATE_LIMIT: f64 = 0.9;

pub(super) struct Sweep {
    pub(super) api: TestedApi,
    /// The most requests a second, from `--rate`; 0 is no limit.
    pub(super) rate_limit: u32,
    pub(super) steps: Vec<Step>,
    /// `None` if the sweep lasted to its last step.
    pub(super) stop_reason: Option<StopReason>,
}

/// A line for the environment.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl Sweep {
    pub(super) fn new(api: TestedApi, rate_limit: u32) -> Self {
        Self {
            api,
            rate_limit,
            steps: Vec::new(),
            stop_reason: None,
        }
    }

    /// Whether the last two steps brought nothing.
    pub(super) fn has_flattened(&self) -> bool {
        knee::has_flattened(&self.rates())
    }

    /// The step with as many workers as are worth it, as far as the steps show.
    pub(super) fn recommended(&self) -> Option<&Step> {
        knee::knee(&self.rates()).map(|position| &self.steps[position])
    }

    /// The position of the knee among the steps, if there are steps beyond it.
    pub(super) fn visible_knee(&self) -> Option<usize> {
        knee::knee(&self.rates()).filter(|position| position + 1 < self.usable_steps().len())
    }

    /// The step at the knee. `None` if the rates were still rising at the last step, and no limit held them.
    pub(super) fn knee(&self) -> Option<&Step> {
        let is_known = self.visible_knee().is_some() || self.is_held_by_rate_limit();
        self.recommended().filter(|_| is_known)
    }

    fn is_held_by_rate_limit(&self) -> bool {
        let limit = self.rate_limit;
        limit > 0 && knee::best(&self.rates()) >= SHARE_OF_RATE_LIMIT * f64::from(limit)
    }

    /// The conclusions in words.
    pub(super) fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        match &self.stop_reason {
            None | Some(StopReason::NoMoreGain) => {}
            Some(reason) => sentences.push(capitalised(&format!("{reason}."))),
        }
        let Some(step) = self.recommended() else {
            sentences.push("There is no knee within the steps.".to_owned());
            return sentences;
        };
        sentences.push(self.explain(step));
        if !self.api.is_live() {
            sentences.push(
                "Measured on this machine alone, which also served the API. To measure another\nAPI, use --live --rate N."
                    .to_owned(),
            );
        }
        sentences
    }

    /// Why this many workers, and not more.
    fn explain(&self, step: &Step) -> String {
        let workers = wording::workers(step.workers);
        let rate = wording::rate(step.items_per_second);
        if self.is_held_by_rate_limit() {
            let workers = capitalised(&workers);
            let limit = self.rate_limit;
            return format!(
                "{workers}: {rate} items/s, held by --rate {limit}; more of them bring nothing."
            );
        }
        if self.visible_knee().is_some() {
            let share = TOLERANCE * 100.0;
            return format!(
                "The knee: {workers}, {rate} items/s. More workers bring less than {share:.0} %."
            );
        }
        let rates = self.rates();
        let [.., before, last] = rates.as_slice() else {
            return format!(
                "There is no knee within the steps: one step shows none. {}: {rate} items/s.",
                capitalised(&workers)
            );
        };
        let gain = (last / before.max(f64::MIN_POSITIVE) - 1.0) * 100.0;
        let next_step = match self.stop_reason {
            None if step.workers < WORKERS_MAX => {
                "\nMore may bring more: see --max-workers and --steps."
            }
            None => "\nThat is the most workers that a pipeline may have.",
            Some(_) => "",
        };
        format!(
            "There is no knee within the steps: the last one, {workers} with {rate} items/s,\nbrought {gain:.0} % more.{next_step}"
        )
    }

    /// The settings to use, as variables.
    pub(super) fn environment(&self) -> Vec<Variable> {
        let Some(step) = self.recommended() else {
            return Vec::new();
        };
        let mut variables = Vec::new();
        if self.api.is_live() {
            variables.push(Variable {
                name: "INGEST_RATE",
                value: self.recommended_rate(step).to_string(),
            });
        }
        variables.push(Variable {
            name: "INGEST_WORKERS",
            value: step.workers.to_string(),
        });
        variables
    }

    fn recommended_rate(&self, step: &Step) -> u32 {
        match self.stop_reason {
            // The API refused the rate that was allowed, so recommend the one that it served.
            Some(StopReason::TooManyRequests { .. }) => {
                (step.items_per_second as u32).clamp(1, self.rate_limit.max(1))
            }
            _ => self.rate_limit,
        }
    }

    fn rates(&self) -> Vec<f64> {
        let steps = self.usable_steps().iter();
        steps.map(|step| step.items_per_second).collect()
    }

    /// The steps without the one that went too far.
    fn usable_steps(&self) -> &[Step] {
        match (&self.stop_reason, self.steps.as_slice()) {
            (Some(reason), [usable @ .., _]) if reason.discards_last_step() => usable,
            (_, steps) => steps,
        }
    }
}
