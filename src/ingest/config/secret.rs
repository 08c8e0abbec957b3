//! How a text that may hold a password is printed.

/// The text without the password of a URL, and with control characters escaped. The text need not be a valid URL: everything up
/// to the last `@` counts as user name and password, and everything from a parameter on that is named after a password counts as
/// one. In an http URL a user name without a password is masked as well, since it is often a token.
pub(crate) fn presentable(text: &str) -> String {
    if let Some(at) = text.to_ascii_lowercase().find("password=") {
        return format!("{}password=***", presentable(&text[..at]));
    }
    let masked = match text.rsplit_once('@') {
        Some((before, host)) => {
            let (scheme, credentials) = before.split_at(scheme_len(before));
            let is_http = scheme.starts_with("http");
            match credentials.split_once(':') {
                Some((user, _)) => format!("{scheme}{user}:***@{host}"),
                None if is_http => format!("{scheme}***@{host}"),
                None => text.to_owned(),
            }
        }
        None => without_port_that_is_none(text),
    };
    let mut printed = String::with_capacity(masked.len());
    for c in masked.chars() {
        if c.is_control() {
            printed.extend(c.escape_default());
        } else {
            printed.push(c);
        }
    }
    printed
}

/// The URL of a database without what follows its host, unless that begins with a port. It may be a password whose host is
/// missing.
fn without_port_that_is_none(text: &str) -> String {
    let (scheme, rest) = text.split_at(scheme_len(text));
    match rest.split_once(':') {
        Some((host, port))
            if scheme.starts_with("postgres")
                && !port.starts_with(|c: char| c.is_ascii_digit()) =>
        {
            format!("{scheme}{host}:***")
        }
        _ => text.to_owned(),
    }
}

/// How long the scheme of a URL is, with the slashes behind it. 0 if there is none.
fn scheme_len(text: &str) -> usize {
    let Some((name, rest)) = text.split_once(':') else {
        return 0;
    };
    let slashes = rest.len() - rest.trim_start_matches(['/', '\\']).len();
    let is_scheme = slashes > 0 && name.chars().all(|c| c.is_ascii_alphanumeric());
    if is_scheme {
        name.len() + 1 + slashes
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names_and_passwords_are_masked_however_odd_the_url_is() {
        for (text, printed) in [
            ("http://host/v0", "http://host/v0"),
            ("http://alice:s3cret@host/v0", "http://alice:***@host/v0"),
            ("http://token@host/v0", "http://***@host/v0"),
            ("http://alice:s3/cr@et?#@host", "http://alice:***@host"),
            ("http:/alice:s3cret@host", "http:/alice:***@host"),
            ("http:alice:s3cret@host", "http:***@host"),
            ("alice:s3cret@host:80", "alice:***@host:80"),
            ("socks5://alice:s3cret@host", "socks5://alice:***@host"),
            ("http:\\\\alice:s3cret@host", "http:\\\\alice:***@host"),
            ("http://host\r\n/v0\t", "http://host\\r\\n/v0\\t"),
            ("mysql://root@host/db", "mysql://root@host/db"),
            ("postgres://host:s3cret/db", "postgres://host:***"),
            ("postgres://host:5432/a:b", "postgres://host:5432/a:b"),
            (
                "postgres://u:x@h/d?password=s3@c&ret",
                "postgres://u:***@h/d?password=***",
            ),
            (
                "mysql://h/d?sslpassword=s3cret",
                "mysql://h/d?sslpassword=***",
            ),
            ("host=h password=s3cret user=u", "host=h password=***"),
            ("postgres//u:s3cret@h/d", "postgres//u:***@h/d"),
            (" 'postgres://u:s3cret@h/d'", " 'postgres:***@h/d'"),
            ("hn.db", "hn.db"),
        ] {
            assert_eq!(presentable(text), printed);
        }
    }
}
