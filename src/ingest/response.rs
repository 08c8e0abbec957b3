//! A response, as a source sees it: status, headers and body.

/// The answer to a request, received whole.
#[derive(Clone, Copy, Debug)]
pub struct Response<'a> {
    status: u16,
    headers: &'a [(String, String)],
    body: &'a [u8],
}

impl<'a> Response<'a> {
    /// Makes a response, for tests that call a source without a server.
    #[must_use]
    pub fn new(status: u16, headers: &'a [(String, String)], body: &'a [u8]) -> Self {
        Self {
            status,
            headers,
            body,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of that name, in upper or lower case. `None` for every name unless
    /// [`Source::wants_headers`](crate::Source::wants_headers) says `true`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All headers, with names in lower case. A name may occur more than once. Bytes that are not UTF-8 are replaced. Empty
    /// unless [`Source::wants_headers`](crate::Source::wants_headers) says `true`.
    #[must_use]
    pub fn headers(&self) -> &'a [(String, String)] {
        self.headers
    }

    /// The body. Empty if there is none.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }
}
