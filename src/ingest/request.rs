//! A request, as a source makes it: method, URL, headers and body.

use std::{borrow::Cow, fmt};

use bytes::Bytes;

/// An HTTP request for the record of one id.
///
/// ```
/// use hn_ingest::Request;
///
/// let request = Request::post("https://api.test/graphql", r#"{"query":"{ price }"}"#)
///     .header("content-type", "application/json");
/// assert_eq!((&*request.method, request.body.len()), ("POST", 21));
/// ```
///
/// **A request may be sent more than once.** The pipeline repeats it after a timeout, a broken connection or an answer such as
/// 503, and the server may have carried out the earlier one. That is right for requests that only read: a GET, a GraphQL query, a
/// search by POST. If a repetition does harm, say so with [`once`](Self::once).
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method, such as `GET`.
    pub method: Cow<'static, str>,
    /// The absolute URL.
    pub url: String,
    /// Headers besides those that every request has.
    pub headers: Vec<(String, String)>,
    /// The body. Empty if there is none.
    pub body: Bytes,
    /// Whether the server must not get it twice.
    pub is_once: bool,
}

impl Request {
    /// A GET request for an absolute URL (http or https).
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Cow::Borrowed("GET"),
            url: url.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            is_once: false,
        }
    }

    /// A POST request with a body. The body needs a `content-type` among the headers.
    #[must_use]
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::get(url).method("POST").body(body)
    }

    /// Sets the method, such as `PUT`.
    #[must_use]
    pub fn method(mut self, method: impl Into<Cow<'static, str>>) -> Self {
        self.method = method.into();
        self
    }

    /// Adds a header. It replaces a header of that name which every request has, such as `user-agent` or `accept-encoding`.
    /// `content-length` and `transfer-encoding` follow from the body and cannot be set.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds headers, as [`header`](Self::header) does.
    #[must_use]
    pub fn headers(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The server must not get this request twice. It goes over a new connection, and its id fails without another attempt if the
    /// server may have carried it out: after a broken connection, a timeout, or a 5xx status other than 503. What the server did
    /// not carry out is tried again: no connection, 408, 425, 429, 503.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.is_once = true;
        self
    }
}

/// Headers and body may hold secrets, so only the names of the headers and the length of the body are printed.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("body_len", &self.body.len())
            .field("is_once", &self.is_once)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let request = Request::post("http://host/", "s3cret").header("x-key", "s3cret");
        let text = format!("{request:?}");
        assert!(text.contains("x-key") && !text.contains("s3cret"), "{text}");
    }
}
