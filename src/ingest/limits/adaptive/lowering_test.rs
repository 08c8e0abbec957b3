//! Does asking for less bring fewer refusals?
//!
//! Some servers refuse for reasons that have nothing to do with us. A limit that is lowered for such refusals would only
//! fall and fall. So the share of refused attempts is noted when the lowering starts; if it is about the same after the
//! limit has fallen to half, then lowering does not help.

use std::time::Duration;

/// The share is compared once the limit has fallen to this part of where it started.
const FALLEN_TO: f64 = 0.5;

/// A share that is at least this part of the first one counts as "about the same". If refusals did depend on the limit, half
/// the limit would bring at most half of them; three quarters leaves room for chance on both sides.
const SAME_SHARE: f64 = 0.75;

/// A comparison starts anew after this time, because the server may have changed meanwhile. Five or ten seconds do as well for
/// the in-flight limit; two are too short for rare refusals. The rate needs longer to fall to half.
const STALE_AFTER: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, Default)]
pub(super) struct LoweringTest {
    started: Option<Started>,
}

#[derive(Clone, Copy, Debug)]
struct Started {
    at: Duration,
    limit: f64,
    share: f64,
}

impl LoweringTest {
    /// To be called when attempts were refused: with the limit that they met, and the share of them among all attempts.
    ///
    /// `settle` is how long the share still contains refusals from before the limit was lowered.
    pub(super) fn shows_no_help(
        &mut self,
        now: Duration,
        limit: f64,
        share: f64,
        settle: Duration,
    ) -> bool {
        let Some(started) = self
            .started
            .filter(|started| now.saturating_sub(started.at) <= STALE_AFTER)
        else {
            self.started = Some(Started {
                at: now,
                limit,
                share,
            });
            return false;
        };
        let shows_no_help = now.saturating_sub(started.at) >= settle
            && limit <= started.limit * FALLEN_TO
            && share >= started.share * SAME_SHARE;
        if shows_no_help {
            self.started = None;
        }
        shows_no_help
    }
}
