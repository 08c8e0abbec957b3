//! Connects sockets with awc, with TLS for https.

use std::{error::Error, sync::Arc, time::Duration};

use actix_rt::task::spawn_blocking;
use actix_service::{Service, ServiceExt, boxed, boxed::RcService};
use awc::{BoxedSocket, Connect, Connector, error::ConnectError};
use log::warn;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::OnceCell,
};

use crate::ingest::http::{
    error::{AttemptError, certificate_advice, with_causes},
    target::Target,
};

/// Timeouts of awc that must never take effect: the deadline of an attempt is never longer.
const AWC_TIMEOUT: Duration = Duration::from_secs(3600);

type ConnectService = RcService<Connect, BoxedSocket, ConnectError>;

/// Connects to servers.
pub(super) struct Connecting {
    /// For http.
    plain: ConnectService,
    /// For https. Made when the first https URL is requested, because reading the system's certificates takes time.
    tls: OnceCell<ConnectService>,
}

impl Connecting {
    pub(super) fn new() -> Self {
        Self {
            plain: boxed_service(Connector::new().limit(0).timeout(AWC_TIMEOUT).finish()),
            tls: OnceCell::new(),
        }
    }

    /// Connects to the server of a target.
    pub(super) async fn connect(&self, target: &Target) -> Result<BoxedSocket, AttemptError> {
        let service = if target.is_https() {
            self.tls.get_or_try_init(with_tls).await?
        } else {
            &self.plain
        };
        // awc uses the `Uri` of an older version of the `http` crate.
        let uri = target.uri().to_string().parse().map_err(|error| {
            AttemptError::Request(format!("`{}` is not a URL: {error}", target.uri()))
        })?;
        let connect = Connect { uri, addr: None };
        service
            .call(connect)
            .await
            .map_err(|error| AttemptError::Connect(explain(&error, target)))
    }
}

/// Why no connection was made, and what to do about it where that is known.
fn explain(error: &ConnectError, target: &Target) -> String {
    let cause = with_causes(error);
    let host = target.uri().host().unwrap_or_default();
    let tls_error: &(dyn Error + 'static) = match error {
        // awc does not show it as a source.
        ConnectError::Io(error) => error,
        _ => error,
    };
    match certificate_advice(tls_error, host) {
        Some(advice) => format!("{cause}; {advice}"),
        None => cause,
    }
}

async fn with_tls() -> Result<ConnectService, AttemptError> {
    let config = spawn_blocking(tls_config)
        .await
        .unwrap_or_else(|_| Err("reading the system's certificates panicked".to_owned()))
        .map_err(AttemptError::Request)?;
    let connector = Connector::new()
        .limit(0)
        .timeout(AWC_TIMEOUT)
        .handshake_timeout(AWC_TIMEOUT)
        .rustls_0_23(Arc::new(config));
    Ok(boxed_service(connector.finish()))
}

fn boxed_service<Io>(
    service: impl Service<Connect, Response = Io, Error = ConnectError> + 'static,
) -> ConnectService
where
    Io: AsyncRead + AsyncWrite + Unpin + 'static,
{
    boxed::rc_service(service.map(|io| -> BoxedSocket { Box::new(io) }))
}

/// Trusts the system's certificates, or those in the PEM file that `SSL_CERT_FILE` names. Sets no process-wide crypto provider,
/// because that is the host's choice.
fn tls_config() -> Result<rustls::ClientConfig, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    for error in &found.errors {
        warn!("some certificates cannot be read and are not trusted: {error}");
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
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
