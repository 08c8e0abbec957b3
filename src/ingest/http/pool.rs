//! The connections that the fetchers of one arbiter share: awc makes them, and here they are kept.
//!
//! awc's own way of using a connection sets up a codec, with a timer task of its own, for every request; that took longer than
//! the rest of an item. So a connection keeps [its codec](crate::ingest::http::connection), too, and waits here for its next request.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_codec::{AsyncRead, AsyncWrite};
use actix_rt::task::spawn_blocking;
use actix_service::{Service, ServiceExt, boxed, boxed::RcService};
use awc::{BoxedSocket, Connect, Connector, error::ConnectError, http::Uri};
use futures_util::FutureExt;
use log::warn;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::ingest::{
    http::connection::{Connection, Shared},
    http::error::AttemptError,
};

/// A server, or what stands between, may forget a connection that was not used for longer.
const IDLE_MAX: Duration = Duration::from_secs(15);

type Connecting = RcService<Connect, BoxedSocket, ConnectError>;

/// Two ways to connect, the second made when first an https URL is asked for: reading the system's certificates takes time
/// that plain HTTP should not pay.
pub(crate) struct Connections {
    plain: Connecting,
    tls: OnceCell<Connecting>,
    patience: Duration,
    shared: Rc<Shared>,
    in_use: Arc<Semaphore>,
    idle: Rc<Idle>,
    opened: Cell<u64>,
    resent: Cell<u64>,
}

/// A connection while a request is made, and the right to have one.
pub(crate) struct Used {
    pub(crate) connection: Connection,
    idle: Rc<Idle>,
    _permit: Option<OwnedSemaphorePermit>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is the last.
    kept: RefCell<VecDeque<(Connection, Instant)>>,
    is_swept: Cell<bool>,
}

impl Connections {
    /// At most `limit` connections, idle ones included. An attempt has one deadline around all of it; so those of awc, which would cut across
    /// it, are as long: `patience`.
    pub(crate) fn new(limit: usize, patience: Duration) -> Self {
        Self {
            plain: connecting(Connector::new().limit(0).timeout(patience).finish()),
            tls: OnceCell::new(),
            patience,
            shared: Rc::default(),
            in_use: Arc::new(Semaphore::new(limit)),
            idle: Rc::default(),
            opened: Cell::new(0),
            resent: Cell::new(0),
        }
    }

    /// A connection to the server that a URL names: one that is idle, or a new one.
    pub(crate) async fn to(&self, url: &Uri) -> Result<Used, AttemptError> {
        let connecting = match url.scheme_str() {
            Some("http") => &self.plain,
            Some("https") => self
                .tls
                .get_or_try_init(|| self.with_tls())
                .await
                .map_err(AttemptError::Request)?,
            _ => {
                let why = "the URL begins with neither http:// nor https://";
                return Err(AttemptError::Request(why.to_owned()));
            }
        };
        // The semaphore is never closed, so a permit always comes.
        let permit = self.in_use.clone().acquire_owned().await.ok();
        let connection = match self.idle.take(url) {
            Some(connection) => connection,
            None => {
                self.idle.shrink_to(self.in_use.available_permits());
                let asked = Connect {
                    uri: url.clone(),
                    addr: None,
                };
                let socket = connecting.call(asked).await?;
                self.opened.set(self.opened.get() + 1);
                Connection::new(socket, self.shared.clone(), url)?
            }
        };
        Ok(Used {
            connection,
            idle: self.idle.clone(),
            _permit: permit,
        })
    }

    /// A request is sent again, since the connection that it went over was closed after an earlier answer.
    pub(crate) fn note_resent(&self) {
        self.resent.set(self.resent.get() + 1);
    }

    /// How many requests were sent again since this was last asked.
    pub(crate) fn newly_resent(&self) -> u64 {
        self.resent.take()
    }

    /// How many connections were opened since this was last asked.
    pub(crate) fn newly_opened(&self) -> u64 {
        self.opened.take()
    }

    async fn with_tls(&self) -> Result<Connecting, String> {
        let config = spawn_blocking(tls_config)
            .await
            .map_err(|_| "reading the system's certificates panicked".to_owned())??;
        let connector = Connector::new()
            .limit(0)
            .timeout(self.patience)
            .handshake_timeout(self.patience)
            .rustls_0_23(Arc::new(config));
        Ok(connecting(connector.finish()))
    }
}

impl Used {
    /// After an answer: the connection waits for its next request, unless this was its last.
    pub(crate) fn release(self) {
        if self.connection.is_at_rest() {
            self.idle.keep(self.connection);
        }
    }
}

impl Idle {
    fn keep(self: &Rc<Self>, connection: Connection) {
        self.kept
            .borrow_mut()
            .push_back((connection, Instant::now()));
        if !self.is_swept.replace(true) {
            actix_rt::spawn(sweep(Rc::downgrade(self)));
        }
    }

    /// Closes those that were not used for longest.
    fn shrink_to(&self, limit: usize) {
        let mut kept = self.kept.borrow_mut();
        let too_many = kept.len().saturating_sub(limit);
        kept.drain(..too_many);
    }

    /// The connection to a server that was used last, if it still stands.
    fn take(&self, url: &Uri) -> Option<Connection> {
        let mut kept = self.kept.borrow_mut();
        loop {
            let at = kept.iter().rposition(|(idle, _)| idle.leads_to(url))?;
            let (mut connection, since) = kept.remove(at)?;
            if since.elapsed() <= IDLE_MAX && connection.speaks().now_or_never().is_none() {
                return Some(connection);
            }
        }
    }
}

/// Closes connections that were idle for too long, which the server mostly has closed already, until there are none.
async fn sweep(idle: Weak<Idle>) {
    loop {
        tokio::time::sleep(IDLE_MAX).await;
        let Some(idle) = idle.upgrade() else { return };
        let mut kept = idle.kept.borrow_mut();
        kept.retain(|(_, since)| since.elapsed() <= IDLE_MAX);
        if kept.is_empty() {
            idle.is_swept.set(false);
            return;
        }
    }
}

fn connecting<Io>(
    service: impl Service<Connect, Response = Io, Error = ConnectError> + 'static,
) -> Connecting
where
    Io: AsyncRead + AsyncWrite + Unpin + 'static,
{
    boxed::rc_service(service.map(|io| -> BoxedSocket { Box::new(io) }))
}

/// Trusts what the system trusts, or what `SSL_CERT_FILE` names. The crypto provider is this configuration's own: the
/// process-wide one belongs to the host.
fn tls_config() -> Result<rustls::ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    for error in &found.errors {
        warn!("certificates are passed over: {error}");
    }
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
