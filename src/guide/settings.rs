//! The settings, in two sentences each: what it is, and when to change it.
//!
//! They are the fields of [`Config`]. [`SETTINGS`](crate::ingest::config::SETTINGS) has their ranges and their environment
//! variables, which [`Config::from_env`] reads.
//!
//! | setting | default | what it is, and when to change it |
//! |---|---|---|
//! | [`workers`](Config::workers) | 16 | How many requests may be in flight at once. Raise it if the API is far away and `in_flight` is always as high as `workers`. |
//! | [`rate`](Config::rate) | 0 (no limit) | How many requests per second may start, retries included. Set it to what the API allows you. |
//! | [`adaptive`](Config::adaptive) | off | Finds by itself how many requests, and how many per second, the API accepts. Switch it on if the API has limits that you do not know. |
//! | [`timeout`](Config::timeout) | 5 s | How long one attempt may take, from connecting to the last byte. Set it to several times the latency that you see at the 99th percentile. |
//! | [`attempts`](Config::attempts) | 4 | How often an id is tried before it fails. Raise it if the API has short faults; an API that is out altogether is waited for anyway. |
//! | [`backoff`](Config::backoff) | 1 s | The longest wait before the second attempt; it doubles with each further one. Lower it if failures are rare and their ids are urgent. |
//! | [`backoff_max`](Config::backoff_max) | 30 s | The longest wait before any attempt. Lower it if an API that has recovered should be noticed sooner. |
//! | [`outage_patience`](Config::outage_patience) | 10 min | How long a run waits for an API that does not answer. Raise it for a run that nobody watches. |
//! | [`max_refusals`](Config::max_refusals) | 100 | The run ends when this number of ids is refused in a row, because then the API probably refuses you. Set it to 0 if long rows of refused ids are normal. |
//! | [`batch`](Config::batch) | 500 | How many rows one transaction may have. Lower it if each row is so large that a transaction takes long. |
//! | [`linger`](Config::linger) | 100 ms | How long a record may wait for others before it is committed. Lower it if single records must be visible soon. |
//! | [`drain`](Config::drain) | 5 s | How long requests in flight may go on after [`Run::cancel`](crate::Run::cancel). Raise it if their answers are worth waiting for. |
//! | [`max_body`](Config::max_body) | 8 MiB | The largest body that is accepted. Raise it if records of that size are real. |
//! | [`mailbox`](Config::mailbox) | 0 | How many ids are read ahead for each fetcher while all of them are busy. Raise it if the list of ids is slow and fetchers wait for it. |
//! | [`proxy`](Config::proxy) | none | The HTTP proxy for all requests. Set it where the API can be reached through a proxy only. |
//!
//! A setting that is out of its range is an error of `start()`, and the error names the setting and what is allowed.
//! [Tuning](super::tuning) says which number to look at before you change one.

#[cfg(doc)]
use crate::Config;
