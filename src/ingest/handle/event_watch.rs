//! What a host learns of the event stream of a run.

use tokio::sync::watch;

use crate::ingest::outcome::failure::Failure;

/// The event stream of a run, up to one moment. See [announced ids](crate::guide::streams#announced-ids) in the guide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventProgress {
    /// How often the stream was opened.
    ///
    /// **Most servers have no replay:** whenever this grows, what they announced since the last event before is lost. Ask for it
    /// in another way.
    pub opened: u64,
    /// Whether it is open now.
    pub is_open: bool,
    /// Why it was closed last, or why it was not opened. `None` if neither has happened.
    pub last_failure: Option<Failure>,
    /// Events read.
    pub events: u64,
    /// Events whose ids could not be read: [`Source::announced`](crate::Source::announced) returned an error, or panicked.
    pub unreadable: u64,
}

/// Watches the event stream of a run. It keeps nothing alive, and a host need not read it.
#[derive(Clone, Debug)]
pub struct EventWatch(watch::Receiver<EventProgress>);

impl EventWatch {
    /// The stream at this moment.
    pub fn now(&self) -> EventProgress {
        self.0.borrow().clone()
    }

    /// Waits until the stream is opened or closed, or until an event is unreadable. Several changes that were not waited for are
    /// one: compare [`opened`](EventProgress::opened). `None` when the stream is read no more: its run ends.
    pub async fn changed(&mut self) -> Option<EventProgress> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

/// Writes what an [`EventWatch`] reads.
#[derive(Debug)]
pub(crate) struct EventRecorder(watch::Sender<EventProgress>);

/// A recorder and the watch that reads it.
pub(crate) fn event_watch() -> (EventRecorder, EventWatch) {
    let (sender, receiver) = watch::channel(EventProgress::default());
    (EventRecorder(sender), EventWatch(receiver))
}

impl EventRecorder {
    pub(crate) fn record_opened(&self) {
        self.0.send_modify(|stream| {
            stream.opened += 1;
            stream.is_open = true;
        });
    }

    /// The stream was closed, or was not opened.
    pub(crate) fn record_closed(&self, failure: Failure) {
        self.0.send_modify(|stream| {
            stream.is_open = false;
            stream.last_failure = Some(failure);
        });
    }

    /// An event was read. It wakes no reader, because there may be many of them.
    pub(crate) fn record_event(&self) {
        self.0.send_if_modified(|stream| {
            stream.events += 1;
            false
        });
    }

    pub(crate) fn record_unreadable(&self) {
        self.0.send_modify(|stream| stream.unreadable += 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::ingest::outcome::failure::FailureKind;

    #[test]
    fn changes_that_nobody_waited_for_are_one_and_events_are_none() {
        let (recorder, mut watch) = event_watch();
        recorder.record_event();
        assert_eq!(watch.changed().now_or_never(), None);
        for _ in 0..1000 {
            recorder.record_opened();
            recorder.record_closed(Failure::new(FailureKind::Reset, "cut", 1));
        }
        recorder.record_opened();
        let changed = watch.changed().now_or_never().flatten().expect("a change");
        assert_eq!(
            (changed.opened, changed.is_open, changed.events),
            (1001, true, 1)
        );
        assert!(changed.last_failure.is_some());
        assert_eq!(watch.changed().now_or_never(), None);
        recorder.record_unreadable();
        drop(recorder);
        let last = watch.changed().now_or_never().flatten().expect("a change");
        assert_eq!(last.unreadable, 1);
        assert_eq!(watch.changed().now_or_never(), Some(None));
        assert_eq!(watch.now(), last);
    }
}
