//! Ids, names and ranges of ids, as people read and write them.

use url::Url;

use crate::hn::coverage::Range;

/// The site whose pages stand for ids and names.
const SITE: &str = "news.ycombinator.com";

/// Reads an id or a name. The error names the text and what is allowed.
pub(super) type ParseId<I> = fn(&str) -> Result<I, String>;

/// Reads a number that may be an id: a whole number from 1.
pub(super) fn parse_id(text: &str) -> Option<i64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| is_digits && *id > 0)
}

/// Reads the id of an item: a number, or the address of its page. The error names the text and what is allowed.
pub(super) fn parse_item(text: &str) -> Result<i64, String> {
    let of_page = || parse_id(&id_of_page(text, "/item")??);
    let id = parse_id(text).or_else(of_page);
    id.ok_or_else(|| {
        let shown = shortened(text);
        format!(
            "`{shown}` is no id; an id is a whole number from 1, or an address such as https://{SITE}/item?id=8863"
        )
    })
}

/// Reads the name of a user: the name itself, or the address of their page. The error names the text and what is allowed.
pub(super) fn parse_user(text: &str) -> Result<String, String> {
    let name = id_of_page(text, "/user").unwrap_or_else(|| Some(text.to_owned()));
    let is_name = |name: &String| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !name.is_empty() && name.bytes().all(is_allowed)
    };
    name.filter(is_name).ok_or_else(|| {
        let shown = shortened(text);
        format!(
            "`{shown}` is no user name; a name is made of letters, digits, - and _, or is an address such as https://{SITE}/user?id=pg"
        )
    })
}

/// The parameter `id` of a page of the site. `None` if the text is no URL, `Some(None)` if it is the URL of something else.
fn id_of_page(text: &str, path: &str) -> Option<Option<String>> {
    let url = if text.starts_with(&format!("{SITE}/")) {
        format!("https://{text}")
    } else if text.contains("://") {
        text.to_owned()
    } else {
        return None;
    };
    let url = Url::parse(&url).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str() == Some(SITE)
            && url.port().is_none()
            && url.path() == path
    });
    Some(url.and_then(|url| {
        let mut parameters = url.query_pairs();
        let id = parameters.find(|(name, _)| name == "id");
        id.map(|(_, id)| id.into_owned())
    }))
}

/// The beginning of a text that was given in place of an id, for a message.
fn shortened(text: &str) -> String {
    const CHARS: usize = 80;
    match text.char_indices().nth(CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One id, or the first and the last of several.
pub(super) fn format_range(Range { lo, hi }: Range) -> String {
    if lo == hi {
        lo.to_string()
    } else {
        format!("{lo}-{hi}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_whole_number_from_1_or_the_address_of_an_item() {
        for text in [
            "8863",
            "https://news.ycombinator.com/item?id=8863",
            "http://news.ycombinator.com/item?id=8863",
            "HTTPS://News.YCombinator.com/item?id=8863",
            "https://news.ycombinator.com:443/item?p=2&id=8863&x#9001",
            "news.ycombinator.com/item?id=8863",
        ] {
            assert_eq!(parse_item(text), Ok(8863), "{text}");
        }
        for text in [
            "",
            "0",
            "-1",
            "+1",
            "1.0",
            "x",
            "99999999999999999999",
            "https://news.ycombinator.com/item",
            "https://news.ycombinator.com/item?id=",
            "https://news.ycombinator.com/item?id=x",
            "https://news.ycombinator.com/item?id=-1",
            "https://news.ycombinator.com/user?id=8863",
            "https://example.com/item?id=8863",
            "https://news.ycombinator.com.example.com/item?id=8863",
            "https://news.ycombinator.com@example.com/item?id=8863",
            "https://news.ycombinator.com:8080/item?id=8863",
            "ftp://news.ycombinator.com/item?id=8863",
            "example.com/item?id=8863",
        ] {
            let error = parse_item(text).expect_err(text);
            assert!(error.starts_with(&format!("`{text}` is no id")), "{error}");
        }
        assert_eq!(parse_id("8863"), Some(8863));
        assert_eq!(parse_id("https://news.ycombinator.com/item?id=8863"), None);
    }

    #[test]
    fn a_name_is_of_letters_digits_hyphens_and_underscores_or_an_address() {
        for (text, name) in [
            ("pg", "pg"),
            ("a_B-9", "a_B-9"),
            ("https://news.ycombinator.com/user?id=dang", "dang"),
        ] {
            assert_eq!(parse_user(text).as_deref(), Ok(name));
        }
        for text in [
            "",
            "a b",
            "a/b",
            "../maxitem",
            "a.json?x",
            "ü",
            "a%2Fb",
            "https://news.ycombinator.com/item?id=1",
            "https://example.com/user?id=pg",
        ] {
            let error = parse_user(text).expect_err(text);
            assert!(error.contains("is no user name"), "{error}");
        }
    }

    #[test]
    fn a_long_text_is_shortened_in_the_message() {
        let error = parse_item(&"ü".repeat(1000)).expect_err("no id");
        assert!(
            error.chars().count() < 250 && error.contains('…'),
            "{error}"
        );
    }
}
