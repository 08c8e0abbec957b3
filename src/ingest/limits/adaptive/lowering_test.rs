//! Tests whether a lower limit brings fewer refusals.
//!
//! Some servers refuse requests for reasons that no limit of ours changes. Each such refusal would lower the limit further. So
//! the share of refused attempts is noted when the limit begins to fall. If the share is about the same when the limit has fallen
//! to half, lowering the limit does not help.

use std::time::Duration;

/// The share is compared once the limit has fallen to this part of where it started.
const FALLEN_TO: f64 = 0.5;

/// A share that is at least this part of the first one counts as "about the same". If refusals depended on the limit, half the
/// limit would bring at most half of them. Three quarters leave room for chance on both sides.
const SAME_SHARE: f64 = 0.75;

/// A comparison starts again after this time, because the server may have changed meanwhile. For the in-flight limit, five or ten
/// seconds are as good, and two are too short if refusals are rare. The rate needs longer to fall to half.
const STALE_AFTER: Duration = Duration::from_secs(15);

/// Compares the share of refused attempts at a lowered limit with the share before.
#[derive(Clone, Debug, Default)]
pub(super) struct LoweringTest {
    /// The comparison under way.
    started: Option<Started>,
}

/// What was measured when the comparison started.
#[derive(Clone, Copy, Debug)]
struct Started {
    at: Duration,
    limit: f64,
    /// The share of refused attempts.
    share: f64,
}

impl LoweringTest {
    /// Call this when attempts were refused. `limit` is the limit at that time, and `share` the share of refused attempts.
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
