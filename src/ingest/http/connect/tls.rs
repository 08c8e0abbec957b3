//! TLS: which certificates are trusted, and the handshake.

use std::{
    env, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_rt::task::spawn_blocking;
use log::warn;
use rustls::pki_types::ServerName;
use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};
use tokio::{net::TcpStream, sync::OnceCell};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::ingest::{
    config::variable,
    http::{
        connect::certificate_advice::certificate_advice,
        error::{AttemptError, with_causes},
    },
};

/// The TLS settings. They are made when the first https URL is requested, because reading the system's certificates takes time.
/// If that fails, it is not tried again.
#[derive(Default)]
pub(super) struct Tls(OnceCell<Result<TlsConnector, String>>);

impl Tls {
    /// Trusts what this configuration trusts.
    #[cfg(test)]
    pub(super) fn with_config(config: rustls::ClientConfig) -> Self {
        Self(OnceCell::new_with(Some(Ok(Arc::new(config).into()))))
    }

    pub(super) async fn connector(&self) -> Result<TlsConnector, AttemptError> {
        let connector = self.0.get_or_init(|| async {
            let config = spawn_blocking(trusting_system_certificates)
                .await
                .unwrap_or_else(|_| Err("reading the system's certificates panicked".to_owned()));
            config.map(|config| Arc::new(config).into())
        });
        connector.await.clone().map_err(AttemptError::TlsSetup)
    }
}

/// Makes a TLS connection to the server `host` over a TCP connection. An IPv6 address has no brackets.
pub(super) async fn handshake(
    tls: &TlsConnector,
    tcp: TcpStream,
    host: &str,
) -> Result<TlsStream<TcpStream>, AttemptError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        AttemptError::Request(format!("`{host}` cannot be the name in a certificate"))
    })?;
    let shaken = tls.connect(name, tcp).await;
    shaken.map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return AttemptError::Connect(format!(
                "no TLS connection to {host}: the server closed the connection during the TLS handshake"
            ));
        }
        let advice = next_step(&error, host).map(|advice| format!("; {advice}"));
        AttemptError::Connect(format!(
            "no TLS connection to {host}: {}{}",
            with_causes(&error),
            advice.unwrap_or_default()
        ))
    })
}

/// What the user can do about an error of TLS, where that is known.
fn next_step(error: &io::Error, host: &str) -> Option<String> {
    if let Some(advice) = certificate_advice(error, host) {
        return Some(advice);
    }
    let is_no_tls = matches!(
        error.get_ref().and_then(|inner| inner.downcast_ref()),
        Some(rustls::Error::InvalidMessage(_))
    );
    is_no_tls.then(|| "check that this port speaks https, not http".to_owned())
}

/// Trusts the system's certificates, or those that `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Sets no process-wide crypto provider,
/// because that is the host's choice.
fn trusting_system_certificates() -> Result<rustls::ClientConfig, String> {
    let found = system_certificates();
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
    trusting(roots)
}

/// The certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or the system's. An empty variable counts as unset, while
/// `rustls_native_certs` would take it for the name of a file.
fn system_certificates() -> CertificateResult {
    let file = variable("SSL_CERT_FILE").map(PathBuf::from);
    let folders = variable("SSL_CERT_DIR").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&folders)
        .filter(|folder| !folder.as_os_str().is_empty())
        .collect();
    if file.is_some() || !folders.is_empty() {
        return certificates_at(file.as_deref(), &folders);
    }
    if cfg!(any(target_os = "macos", windows)) {
        // They are in no files.
        return load_native_certs();
    }
    let probed = openssl_probe::probe();
    certificates_at(probed.cert_file.as_deref(), &probed.cert_dir)
}

/// The certificates in a file and in folders.
fn certificates_at(file: Option<&Path>, folders: &[PathBuf]) -> CertificateResult {
    // In one call, no file is read twice. A folder often holds links to the file.
    let mut found = load_certs_from_paths(file, folders.first().map(PathBuf::as_path));
    for folder in folders.iter().skip(1) {
        let more = load_certs_from_paths(None, Some(folder));
        found.certs.extend(more.certs);
        found.errors.extend(more.errors);
    }
    found
}

/// Trusts these certificates only.
pub(super) fn trusting(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
