//! The connections that the fetchers of one arbiter share.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use actix_rt::{net::ActixStream, task::spawn_blocking};
use actix_service::{Service, ServiceExt};
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::{Connector, http::Uri};
use log::warn;
use tokio::sync::OnceCell;

use super::wire;

type Counter = Rc<Cell<u64>>;

/// Two connection pools, the second made when first an https URL is asked for: reading the system's certificates takes time
/// that plain HTTP should not pay.
pub(crate) struct Connections {
    plain: awc::Client,
    tls: OnceCell<awc::Client>,
    opened: Counter,
    resent: Cell<u64>,
    limit: usize,
    patience: Duration,
}

impl Connections {
    /// At most `limit` connections; making one may take `patience`.
    pub(crate) fn new(limit: usize, patience: Duration) -> Self {
        let opened = Counter::default();
        let plain = client(wire::plain(), limit, patience, &opened);
        Self {
            plain,
            tls: OnceCell::new(),
            opened,
            resent: Cell::new(0),
            limit,
            patience,
        }
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
        let connector = wire::tls(Arc::new(config));
        Ok(client(connector, self.limit, self.patience, &self.opened))
    }
}

/// An attempt has one deadline around all of it, so those of awc, which would cut across it, are as long or off; and it
/// follows redirects itself, inside that deadline.
fn client<S, Io>(connect: S, limit: usize, patience: Duration, opened: &Counter) -> awc::Client
where
    S: Service<ConnectInfo<Uri>, Response = Connection<Uri, Io>, Error = ConnectError>
        + Clone
        + 'static,
    Io: ActixStream + std::fmt::Debug + 'static,
{
    let opened = opened.clone();
    let counted = connect.map(move |connection| {
        opened.set(opened.get() + 1);
        connection
    });
    awc::Client::builder()
        .connector(
            Connector::new()
                .connector(counted)
                .limit(limit)
                .timeout(patience),
        )
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
