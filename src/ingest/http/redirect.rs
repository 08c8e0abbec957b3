//! Where a redirect leads.

use awc::http::{Uri, header::HeaderValue};

/// The URL that a `Location` names, relative to the one that was asked for.
///
/// # Errors
/// It names none, or one that leaves https.
pub(super) fn target(from: &Uri, location: &HeaderValue) -> Result<Uri, String> {
    let refuse = |why: &str| {
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        format!("from {from} to `{location}`: {why}")
    };
    let text = location.to_str().map_err(|_| refuse("that is no URL"))?;
    let base = url::Url::parse(&from.to_string()).map_err(|_| refuse("the base is no URL"))?;
    let next = base.join(text).map_err(|_| refuse("that is no URL"))?;
    match next.scheme() {
        "http" if base.scheme() == "https" => Err(refuse("it leaves https")),
        "http" | "https" => next.as_str().parse().map_err(|_| refuse("that is no URL")),
        _ => Err(refuse("it is neither http nor https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_may_be_relative_and_never_leaves_https() {
        let to = |from: &str, location: &'static str| {
            let from: Uri = from.parse().expect("a URL");
            target(&from, &HeaderValue::from_static(location)).map(|uri| uri.to_string())
        };
        assert_eq!(to("http://a/b/c", "d").expect("relative"), "http://a/b/d");
        assert_eq!(
            to("http://a/b", "https://c/").expect("absolute"),
            "https://c/"
        );
        for (from, location) in [
            ("https://a/b", "http://a/b"),
            ("http://a/b", "file:///etc"),
            ("http://a/b", "http://[::1"),
        ] {
            assert!(to(from, location).is_err(), "{location}");
        }
    }
}
