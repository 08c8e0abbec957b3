//! Times as the tables hold them. A test may let them go faster than the machine's, to see days pass in seconds.

#[cfg(feature = "cli")]
use std::str::FromStr;
use std::{
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The clock of the process. The machine's, unless a test has set another one.
static CLOCK: OnceLock<TestClock> = OnceLock::new();

/// A clock that shows `start` when the machine's shows `began`, and then runs `speed` times as fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TestClock {
    start: SystemTime,
    began: SystemTime,
    speed: f64,
}

impl TestClock {
    fn show(&self, machine: SystemTime) -> SystemTime {
        let passed = machine.duration_since(self.began).unwrap_or_default();
        let passed = Duration::try_from_secs_f64(passed.as_secs_f64() * self.speed);
        let shown = self.start.checked_add(passed.unwrap_or_default());
        shown.unwrap_or(self.start)
    }
}

/// Lets this process use a test clock. To be called once, before anything reads the time.
#[cfg(feature = "cli")]
pub(crate) fn set(clock: TestClock) {
    let _ = CLOCK.set(clock);
}

/// Reads `START/BEGAN*SPEED`: two times in Unix seconds, which may have fractions, and a factor above 0.
#[cfg(feature = "cli")]
impl FromStr for TestClock {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (start, rest) = text.split_once('/').ok_or(())?;
        let (began, speed) = rest.split_once('*').ok_or(())?;
        let time = |text: &str| {
            let seconds = text.parse().map_err(drop)?;
            let since = Duration::try_from_secs_f64(seconds).map_err(drop)?;
            UNIX_EPOCH.checked_add(since).ok_or(())
        };
        let speed: f64 = speed.parse().map_err(drop)?;
        Ok(Self {
            start: time(start)?,
            began: time(began)?,
            speed: Some(speed)
                .filter(|speed| *speed > 0.0 && speed.is_finite())
                .ok_or(())?,
        })
    }
}

/// This moment in Unix seconds, as the tables' `…_at` columns hold it.
pub(crate) fn now() -> i64 {
    unix_seconds(SystemTime::now())
}

/// A time of the machine in Unix seconds. A time before 1970 is 0.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    let shown = CLOCK.get().map_or(time, |clock| clock.show(time));
    let since = shown.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// How long the machine takes for `duration` of this clock.
#[cfg(feature = "cli")]
pub(crate) fn on_machine(duration: Duration) -> Duration {
    CLOCK
        .get()
        .map_or(duration, |clock| duration.div_f64(clock.speed))
}

#[cfg(all(test, feature = "cli"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_runs_from_its_start_at_its_speed() {
        let clock: TestClock = "1000/500.5*60".parse().unwrap();
        let shown = |machine: f64| {
            let time = UNIX_EPOCH + Duration::from_secs_f64(machine);
            clock
                .show(time)
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .as_secs_f64()
        };
        assert_eq!(shown(500.5), 1000.0);
        assert_eq!(shown(501.5), 1060.0);
        assert_eq!(shown(400.0), 1000.0);
    }

    #[test]
    fn a_text_that_is_no_clock_is_refused() {
        for text in [
            "", "1/2", "1*2", "1/2*0", "1/2*-1", "x/2*1", "1/2*inf", "-1/2*1", "1/2*nan",
        ] {
            assert_eq!(text.parse::<TestClock>(), Err(()), "{text}");
        }
    }
}
