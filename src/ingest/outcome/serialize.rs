//! How durations and failed attempts look in serialized reports.

use std::time::Duration;

use serde::{Serializer, ser::SerializeMap};

use crate::ingest::outcome::failure::FailureKind;

/// A duration in seconds.
pub(super) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// A map from the names of the failure kinds to the numbers of attempts.
pub(super) fn by_kind<S: Serializer>(
    attempts: &[u64; FailureKind::COUNT],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(FailureKind::COUNT))?;
    for kind in FailureKind::ALL {
        map.serialize_entry(kind.as_str(), &attempts[kind.index()])?;
    }
    map.end()
}
