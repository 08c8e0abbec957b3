//! The HTTP side that the fetchers of one arbiter share: connections, pace, and the loop of attempts and waits.

use std::{rc::Rc, sync::Arc, time::Duration};

use actix_rt::net::ActixStream;
use actix_rt::task::spawn_blocking;
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::{Connector, http::Uri};
use bytes::Bytes;
use log::debug;
use tokio::sync::OnceCell;

use super::{
    Config, Failure, FailureKind,
    attempt::{AttemptError, Exchange, attempt},
    control::Control,
    health::Sign,
    pace::Pace,
    retry::{Decision, RetryPolicy},
    wire,
};

/// Fetches URLs as the settings say: one deadline an attempt, retries with backoff, one rate for all.
///
/// Belongs to the arbiter that it was made on. Clones share connections and rate.
#[derive(Clone)]
pub struct Client(Rc<Inner>);

struct Inner {
    connections: Connections,
    pace: Pace,
    policy: RetryPolicy,
    deadline: Duration,
    max_body: usize,
}

/// What came of the attempts for one URL.
#[derive(Debug)]
pub(crate) enum Answer {
    Body(Bytes),
    Absent,
    Failed(FailureKind, String),
    /// The run was stopped before there was an answer.
    NotAttempted,
}

impl Client {
    /// A client with at most `config.workers` connections open.
    pub fn new(config: &Config) -> Self {
        Self(Rc::new(Inner {
            connections: Connections::new(config.workers, config.timeout),
            pace: Pace::new(config.rate),
            policy: RetryPolicy {
                attempts: config.attempts,
                backoff: config.backoff,
                backoff_max: config.backoff_max,
            },
            deadline: config.timeout,
            max_body: usize::try_from(config.max_body).unwrap_or(usize::MAX),
        }))
    }

    /// For how long the API gave nothing but connect errors, timeouts and 5xx.
    pub(crate) fn down_for(&self) -> Option<Duration> {
        self.0.pace.down_for()
    }

    /// Reads one document that is no record, such as a list of ids.
    ///
    /// # Errors
    /// The failure after the last attempt.
    pub async fn get(&self, url: &str, headers: &[(String, String)]) -> Result<Bytes, Failure> {
        let control = Control::default();
        let (answer, attempts) = self.fetch(url, url, headers, |_| false, &control).await;
        let (kind, message) = match answer {
            Answer::Body(body) => return Ok(body),
            Answer::Failed(kind, message) => (kind, message),
            Answer::Absent | Answer::NotAttempted => (FailureKind::Status, "no answer".to_owned()),
        };
        Err(Failure {
            kind,
            message,
            attempts,
        })
    }

    /// Attempts and waits until there is an answer, or the run stops. Also says how many attempts were made.
    pub(crate) async fn fetch(
        &self,
        id: &(impl std::fmt::Display + ?Sized),
        url: &str,
        headers: &[(String, String)],
        is_absent: impl Fn(u16) -> bool,
        control: &Control,
    ) -> (Answer, u32) {
        let Inner {
            connections,
            pace,
            policy,
            deadline,
            max_body,
        } = &*self.0;
        let exchange = Exchange {
            url,
            headers,
            deadline: *deadline,
            max_body: *max_body,
        };
        let mut attempts = 0;
        loop {
            if control
                .unless_stopping(pace.turn(attempts > 0))
                .await
                .is_none()
            {
                return (Answer::NotAttempted, attempts);
            }
            attempts += 1;
            control.counters.attempt(attempts);
            let tried = control.in_flight(attempt(connections, &exchange)).await;
            let Some(tried) = tried else {
                return (Answer::NotAttempted, attempts);
            };
            pace.note(Sign::of(&tried));
            let error = match tried {
                Ok(body) => {
                    control.counters.bytes.add(body.len() as u64);
                    return (Answer::Body(body), attempts);
                }
                Err(error) => error,
            };
            if let AttemptError::Status { code, .. } = error
                && is_absent(code)
            {
                return (Answer::Absent, attempts);
            }
            control.counters.attempt_failed(error.kind());
            match policy.after(attempts, &error, fastrand::f64()) {
                Decision::GiveUp => {
                    return (Answer::Failed(error.kind(), error.to_string()), attempts);
                }
                Decision::RetryAfter(wait) => {
                    if error.is_meant_for_all() {
                        pace.cool_for(wait);
                    }
                    debug!("{id}: attempt {attempts} failed: {error}; again in {wait:.1?}");
                    if control
                        .unless_stopping(tokio::time::sleep(wait))
                        .await
                        .is_none()
                    {
                        return (Answer::NotAttempted, attempts);
                    }
                }
            }
        }
    }
}

/// Two connection pools, the second made when first an https URL is asked for: reading the system's certificates takes time
/// that plain HTTP should not pay.
pub(crate) struct Connections {
    plain: awc::Client,
    tls: OnceCell<awc::Client>,
    limit: usize,
    patience: Duration,
}

impl Connections {
    fn new(limit: usize, patience: Duration) -> Self {
        let plain = pool(None, limit, patience);
        Self {
            plain,
            tls: OnceCell::new(),
            limit,
            patience,
        }
    }

    pub(crate) async fn for_scheme(&self, scheme: Option<&str>) -> Result<&awc::Client, String> {
        match scheme {
            Some("http") => Ok(&self.plain),
            Some("https") => self.tls.get_or_try_init(|| self.with_tls()).await,
            _ => Err("the URL begins with neither http:// nor https://".to_owned()),
        }
    }

    async fn with_tls(&self) -> Result<awc::Client, String> {
        let config = spawn_blocking(tls_config)
            .await
            .map_err(|_| "reading the system's certificates panicked".to_owned())??;
        Ok(pool(Some(Arc::new(config)), self.limit, self.patience))
    }
}

/// An attempt has one deadline around all of it, so those of awc, which would cut across it, are as long or off; and it
/// follows redirects itself, inside that deadline.
fn pool(tls: Option<Arc<rustls::ClientConfig>>, limit: usize, patience: Duration) -> awc::Client {
    match tls {
        Some(config) => client(
            Connector::new().connector(wire::tls(config)),
            limit,
            patience,
        ),
        None => client(Connector::new().connector(wire::plain()), limit, patience),
    }
}

fn client<S, Io>(connector: Connector<S>, limit: usize, patience: Duration) -> awc::Client
where
    S: Service<ConnectInfo<Uri>, Response = Connection<Uri, Io>, Error = ConnectError>
        + Clone
        + 'static,
    Io: ActixStream + std::fmt::Debug + 'static,
{
    let connector = connector.limit(limit).timeout(patience);
    awc::Client::builder()
        .connector(connector)
        .disable_timeout()
        .disable_redirects()
        .add_default_header((
            "User-Agent",
            concat!("hn-ingest/", env!("CARGO_PKG_VERSION")),
        ))
        .finish()
}

/// Trusts what the system trusts, or what `SSL_CERT_FILE` names. The crypto provider is this configuration's own: the
/// process-wide one belongs to the host.
fn tls_config() -> Result<rustls::ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = found
            .errors
            .first()
            .map(|error| format!(" ({error})"))
            .unwrap_or_default();
        return Err(format!(
            "no certificates to trust were found{why}; install the system's ca-certificates, or name a PEM file in SSL_CERT_FILE"
        ));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // awc does not multiplex HTTP/2, and fails what is in flight when a server ends such a connection (actix-web #2715).
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
