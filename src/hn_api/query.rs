//! The parameters of a request.

use url::form_urlencoded;

use super::selection::Selection;

/// The longest name of a JSONP callback.
const CALLBACK_MAX: usize = 100;

/// What the parameters ask for. Unknown ones mean nothing, as in Firebase.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// `print=pretty`: indented.
    pub(super) pretty: bool,
    /// `print=silent`: no body.
    pub(super) silent: bool,
    /// `shallow=true`: one level only.
    pub(super) shallow: bool,
    /// `orderBy` and what goes with it.
    pub(super) selection: Option<Selection>,
    /// `callback`: the function that a script (JSONP) calls with the answer.
    pub(super) callback: Option<String>,
}

impl Query {
    /// Reads the part of an address behind its `?`. An error is the message for the client.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let pairs: Vec<_> = form_urlencoded::parse(text.as_bytes()).collect();
        // The last one of several counts.
        let value = |name: &str| {
            let pair = pairs.iter().rev().find(|(key, _)| key == name);
            pair.map(|(_, value)| value.as_ref())
        };
        let query = Self {
            pretty: value("print") == Some("pretty"),
            silent: value("print") == Some("silent"),
            shallow: value("shallow") == Some("true"),
            selection: Selection::parse(value)?,
            callback: value("callback").map(str::to_owned),
        };
        if query.shallow && query.selection.is_some() {
            return Err("shallow cannot be combined with orderBy".to_owned());
        }
        match &query.callback {
            Some(name) if !is_function_name(name) => {
                Err("callback must be the name of a JavaScript function".to_owned())
            }
            _ => Ok(query),
        }
    }
}

/// Whether a text is a name, or several with dots between them. Anything else could be a script of its own.
fn is_function_name(text: &str) -> bool {
    let is_name = |name: &str| {
        let mut chars = name.chars();
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
        chars.next().is_some_and(starts) && chars.all(|c| starts(c) || c.is_ascii_digit())
    };
    text.len() <= CALLBACK_MAX && text.split('.').all(is_name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_and_unknown_ones_mean_nothing() {
        let read = |text: &str| Query::parse(text).unwrap();
        let plain = read("x=1&print=&ns=hacker-news");
        assert!(!plain.pretty && !plain.silent && !plain.shallow);
        assert!(plain.selection.is_none() && plain.callback.is_none());
        assert!(read("x=1&print=pretty").pretty && read("print=silent").silent);
        assert!(read("shallow=true").shallow && !read("shallow=1").shallow);
        assert_eq!(read("callback=a.b%24_1").callback.unwrap(), "a.b$_1");
        assert!(
            read("orderBy=%22%24key%22&limitToFirst=2")
                .selection
                .is_some()
        );
    }

    #[test]
    fn a_callback_is_a_name_and_no_script() {
        for bad in [
            "",
            "a%20b",
            "alert(1)%2f%2f",
            "a..b",
            "1a",
            "%3Cscript%3E",
            "a;b",
            "ä",
        ] {
            assert!(Query::parse(&format!("callback={bad}")).is_err(), "{bad}");
        }
        let long = format!("callback={}", "a".repeat(101));
        assert!(Query::parse(&long).is_err());
    }
}
