//! What the head of an answer says if its body is not wanted: where a redirect leads, or what went wrong.

use std::time::SystemTime;

use hyper::{
    HeaderMap, StatusCode,
    header::{
        ACCEPT_ENCODING, CONTENT_ENCODING, LOCATION, PROXY_AUTHENTICATE, TRANSFER_ENCODING,
        WWW_AUTHENTICATE,
    },
};

use crate::ingest::{
    config::ProxyServer,
    http::{
        connection::HttpConnection, error::AttemptError, retry_after::retry_after, target::Target,
    },
};

/// A redirect that is followed.
pub(super) struct Redirect {
    /// The status of the answer.
    pub(super) code: u16,
    /// Where it leads.
    pub(super) target: Target,
}

/// The redirect in the head that `connection` has read. `target` is what was requested.
///
/// # Errors
/// The head is no redirect that is followed.
pub(super) fn redirect(
    target: &Target,
    status: StatusCode,
    connection: &HttpConnection,
) -> Result<Redirect, AttemptError> {
    let (code, headers) = (status.as_u16(), &connection.headers);
    let proxy = connection.forwarder.as_ref();
    if let Some(proxy) = proxy
        && rejects_credentials(proxy, status, headers)
    {
        return Err(AttemptError::wants_other_credentials(proxy, code));
    }
    let mut redirect = redirect_of_server(target, code, headers);
    if let Some(proxy) = proxy
        && let Err(AttemptError::Status { note, .. }) = &mut redirect
    {
        // Nothing in the answer says for sure which of the two it comes from.
        note.push_str(&format!(", from the API or from {proxy}"));
        if status == StatusCode::UNAUTHORIZED && proxy.authorization.is_some() {
            note.push_str(", which may not accept the user name and password in its URL");
        }
    }
    redirect
}

fn redirect_of_server(
    target: &Target,
    code: u16,
    headers: &HeaderMap,
) -> Result<Redirect, AttemptError> {
    if code < 200 {
        let why = format!("the server answered with HTTP status {code}, which was not asked for");
        return Err(AttemptError::Reset(why));
    }
    let mut note = String::new();
    if matches!(code, 301 | 302 | 303 | 307 | 308) {
        if let Some(location) = headers.get(LOCATION) {
            let target = target.redirected(code, location.as_bytes())?;
            return Ok(Redirect { code, target });
        }
        // hyper skips a header whose value cannot be one.
        note.push_str(
            ", and the redirect is not followed: the header Location is missing or holds a control character",
        );
    }
    Err(AttemptError::Status {
        code,
        retry_after: retry_after(code, headers, SystemTime::now()),
        note,
    })
}

/// Whether a proxy that passes requests on wants other credentials. Some proxies answer 401 to a wrong password. Such an answer
/// is the proxy's if it lacks the header that a server must send with it (RFC 9110, 11.6.1), or has a proxy's.
fn rejects_credentials(proxy: &ProxyServer, status: StatusCode, headers: &HeaderMap) -> bool {
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => true,
        StatusCode::UNAUTHORIZED => {
            headers.contains_key(PROXY_AUTHENTICATE)
                || (proxy.authorization.is_some() && !headers.contains_key(WWW_AUTHENTICATE))
        }
        _ => false,
    }
}

/// The header that names a coding of the body, if the request did not ask for it. A source that sends its own `Accept-Encoding`
/// gets what it asks for.
pub(super) fn unwanted_coding(target: &Target, headers: &HeaderMap) -> Option<String> {
    if target.headers.contains_key(ACCEPT_ENCODING) {
        return None;
    }
    [CONTENT_ENCODING, TRANSFER_ENCODING]
        .iter()
        .find_map(|name| {
            let values = headers.get_all(name).into_iter();
            let mut codings = values.filter(|value| {
                let text = String::from_utf8_lossy(value.as_bytes());
                text.split(',').any(|coding| {
                    let coding = coding.trim().to_ascii_lowercase();
                    !matches!(&*coding, "" | "identity" | "chunked")
                })
            });
            let value = String::from_utf8_lossy(codings.next()?.as_bytes()).into_owned();
            Some(format!("{name}: {value}"))
        })
}
