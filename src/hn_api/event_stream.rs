//! A stream of server-sent events about one value, as plain as the real API's.

use std::{convert::Infallible, time::Duration};

use actix_web::{HttpRequest, HttpResponse, http::header};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use log::debug;
use tokio::time::sleep;

use super::{
    answer::unavailable,
    change_events::Event,
    cross_origin::with_cross_origin,
    data::{Follow, HnData, Unavailable},
    path::DocumentPath,
    watch::{Seen, Watch},
};

/// As often as Firebase.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Whether a request asks for a stream.
pub(crate) fn wants_stream(request: &HttpRequest) -> bool {
    request.headers().get_all(header::ACCEPT).any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.contains("text/event-stream")
    })
}

/// Answers with a stream about a value of `data`. `place` is dropped when the stream ends; without one there is no stream.
pub(crate) fn answer_with_stream<P: 'static>(
    request: &HttpRequest,
    path: DocumentPath,
    data: &impl HnData,
    place: Option<P>,
) -> HttpResponse {
    let Some(place) = place else {
        return unavailable(request, Unavailable::Busy("too many streams are open"));
    };
    let watch = Watch::new(data.follow(&path.record), path.keys, KEEP_ALIVE);
    let response = HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .streaming(chunks(watch, place));
    with_cross_origin(request, response)
}

fn chunks<P: 'static>(
    watch: Watch<impl Follow>,
    place: P,
) -> impl Stream<Item = Result<Bytes, Infallible>> + 'static {
    stream::unfold((watch, place), async |(mut watch, place)| {
        let event = next_event(&mut watch).await?;
        let chunk = Bytes::from(event.encode("\n"));
        Some((Ok(chunk), (watch, place)))
    })
}

/// `None` if the server ends.
async fn next_event(watch: &mut Watch<impl Follow>) -> Option<Event> {
    loop {
        return Some(match watch.next().await {
            Ok(Seen::First) => watch.whole(),
            Ok(Seen::Changed { old }) => watch.change_from(&old),
            Ok(Seen::Quiet) => Event::keep_alive(),
            Err(Unavailable::Closing) => return None,
            Err(why) => {
                debug!("an event stream waits: {why:?}");
                sleep(Unavailable::RETRY_AFTER).await;
                continue;
            }
        });
    }
}
