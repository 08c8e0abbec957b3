//! What a user can do about a certificate that is not trusted.

use std::{error::Error, io};

use rustls::CertificateError;

/// What to do about a server's certificate that is not trusted, if that is why no connection was made.
pub(super) fn certificate_advice(error: &(dyn Error + 'static), host: &str) -> Option<String> {
    let advice = match certificate_error(error)? {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "the certificate of {host} is not signed by an authority that this machine trusts; if you trust {host}, add the authority's certificate (or {host}'s own, if it is self-signed) to the system's, or name it as a PEM file in SSL_CERT_FILE"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!(
            "the certificate of {host} has expired; its operator must renew it, unless this machine's clock is wrong"
        ),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("the certificate of {host} is not valid yet; check this machine's clock")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "the certificate is for another host than {host}; check the URL, and that no proxy stands between"
            )
        }
        CertificateError::Revoked => {
            format!("the certificate of {host} was revoked; do not trust that server")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!(
                "the certificate of {host} is not meant for a server; its operator must mend that"
            )
        }
        // What `openssl req -x509` makes by default. rustls refuses it even where it is trusted.
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            format!(
                "the certificate of {host} is a certificate authority's own, and a server must not use that; its operator must make one with basicConstraints=CA:FALSE, which SSL_CERT_FILE can then name"
            )
        }
        _ => format!(
            "the certificate of {host} cannot be trusted; its operator must mend that, or SSL_CERT_FILE names the certificates to trust"
        ),
    };
    Some(advice)
}

/// Looks for rustls's error among the causes. An I/O error hides its own from `source`.
fn certificate_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CertificateError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(reason)) = error.downcast_ref() {
            return Some(reason);
        }
        let hidden = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|error| error as &(dyn Error + 'static));
        next = hidden.or_else(|| error.source());
    }
    None
}
