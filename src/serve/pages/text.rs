//! Texts of items: what of their HTML a page shows, which addresses it links to, and which site those are of.

use std::{borrow::Cow, collections::HashSet, sync::LazyLock};

use ammonia::{Builder, UrlRelative};
use url::Url;

/// The elements that texts of Hacker News have. Of others, the content stays.
const ELEMENTS: [&str; 6] = ["p", "a", "i", "b", "pre", "code"];

/// What every link in a text says of itself.
const LINK_REL: &str = "noopener nofollow ugc";

/// Sites of many authors, who are named by the first part of the path.
const SHARED_SITES: [&str; 6] = [
    "github.com",
    "gitlab.com",
    "codeberg.org",
    "medium.com",
    "twitter.com",
    "x.com",
];

static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    builder
        .add_tags(ELEMENTS)
        .add_tag_attributes("a", ["href"])
        .url_schemes(HashSet::from(["http", "https"]))
        .url_relative(UrlRelative::Deny)
        .link_rel(Some(LINK_REL));
    builder
});

/// The HTML of an item as a page may hold it: nothing in it runs, loads, or looks like a part of the page.
pub(super) fn safe_html(html: &str) -> Cow<'_, str> {
    // Entities make no element.
    if !html.contains(['<', '>', '\0']) {
        return Cow::Borrowed(html);
    }
    Cow::Owned(CLEANER.clean(html).to_string())
}

/// A title, or another text whose entities are the only HTML in it, as plain text.
pub(super) fn plain_title(html: &str) -> Cow<'_, str> {
    html_escape::decode_html_entities(html)
}

/// The HTML of a text as plain text, a paragraph on each line.
pub(super) fn plain_text(html: &str) -> String {
    let with_lines = html.replace("<p>", "\n").replace("<pre>", "\n");
    let without_elements = Builder::empty().clean(&with_lines).to_string();
    plain_title(&without_elements).trim().to_owned()
}

/// The address, if a page may link to it.
pub(super) fn linkable(address: &str) -> Option<String> {
    let address = address.trim();
    let url = Url::parse(address).ok()?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return None;
    }
    // Browsers leave out what does not belong there, and so does this.
    let is_plain = !address.contains(|c: char| c.is_whitespace() || c.is_control());
    Some(if is_plain {
        address.to_owned()
    } else {
        url.into()
    })
}

/// The site of an address that can be linked to, as lists show it.
pub(super) fn site_of(address: &str) -> Option<String> {
    let url = Url::parse(address.trim()).ok()?;
    let host = url.host_str()?;
    let host = host.strip_prefix("www.").unwrap_or(host);
    let author = url.path_segments()?.next().unwrap_or_default();
    Some(if SHARED_SITES.contains(&host) && !author.is_empty() {
        format!("{host}/{}", author.to_lowercase())
    } else {
        host.to_owned()
    })
}

/// Whether an address is of this site, as [`site_of`] names it. A site of many authors is also meant as a whole.
pub(super) fn is_of_site(address: &str, site: &str) -> bool {
    site_of(address).is_some_and(|own| {
        let rest = own.strip_prefix(site);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hacker_news_writes_stays_and_links_say_what_they_are() {
        for (html, safe) in [
            (
                "A &lt; B &amp;&amp; C&#x27;s",
                "A &lt; B &amp;&amp; C&#x27;s",
            ),
            (
                "One<p>two <i>three</i><p><pre><code>a &lt; b\n  c</code></pre>",
                "One<p>two <i>three</i></p><p></p><pre><code>a &lt; b\n  c</code></pre>",
            ),
            (
                "<a href=\"https:&#x2F;&#x2F;a.example&#x2F;?b=1&amp;c=2\" rel=\"nofollow\">a</a>",
                "<a href=\"https://a.example/?b=1&amp;c=2\" rel=\"noopener nofollow ugc\">a</a>",
            ),
        ] {
            assert_eq!(safe_html(html), safe);
        }
    }

    #[test]
    fn nothing_in_a_text_runs_or_loads_or_leaves_its_place() {
        for html in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg onload=alert(1)><style>*{}</style></svg>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\" java\nscript:alert(1)\">x</a>",
            "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
            "<a href=\"//evil.example\">x</a>",
            "<a href=\"/logout\" onclick=alert(1) style=\"position:fixed\">x</a>",
            "<p style=\"position:fixed\" class=top id=content>x</p>",
            "</div></article><form action=//evil.example><input name=q>",
            "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
            "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<!--><img src=x onerror=alert(1)>-->",
            "<base href=//evil.example><meta http-equiv=refresh content=0>",
            "a\0<scr\0ipt>alert(1)</script>",
            "<scr<script>ipt>alert(1)</scr</script>ipt>",
            "<plaintext>",
        ] {
            let safe = safe_html(html);
            let lower = safe.to_lowercase();
            for part in [
                "<script",
                "<img",
                "<svg",
                "<style",
                "<iframe",
                "<form",
                "<input",
                "<base",
                "<meta",
                "<math",
                "<!--",
                "<plaintext",
                "<noscript",
                "</div",
                "</article",
                "javascript:",
                "href=\"data",
                "href=\"/",
                " style=",
                " class=",
                " id=",
                " on",
                "\0",
            ] {
                let is_text = part.starts_with(' ') && !lower.contains('<');
                assert!(is_text || !lower.contains(part), "{html}: {safe}");
            }
        }
    }

    #[test]
    fn only_addresses_of_the_web_are_linked() {
        for (address, link) in [
            (
                "https://a.example/b?c=d&e",
                Some("https://a.example/b?c=d&e"),
            ),
            ("HTTP://A.example", Some("HTTP://A.example")),
            (" http://a.example/b c", Some("http://a.example/b%20c")),
            ("javascript:alert(1)", None),
            ("java\tscript:alert(1)", None),
            ("\u{1}javascript:alert(1)", None),
            ("data:text/html,x", None),
            ("vbscript:x", None),
            ("file:///etc/passwd", None),
            ("//a.example", None),
            ("item?id=1", None),
            ("https:", None),
            ("", None),
        ] {
            assert_eq!(linkable(address).as_deref(), link, "{address}");
        }
    }

    #[test]
    fn a_site_is_a_host_or_an_author_on_one() {
        assert_eq!(
            site_of("https://www.a.example/b").as_deref(),
            Some("a.example")
        );
        let author = "https://github.com/Rust-Lang/rust";
        assert_eq!(site_of(author).as_deref(), Some("github.com/rust-lang"));
        assert!(is_of_site(author, "github.com") && is_of_site(author, "github.com/rust-lang"));
        assert!(!is_of_site(author, "github.com/rust") && !is_of_site(author, "hub.com"));
    }

    #[test]
    fn plain_texts_have_no_elements_and_no_entities() {
        assert_eq!(plain_text("a &lt;b&gt;<p><i>c</i> &amp; d"), "a <b>\nc & d");
        assert_eq!(plain_title("AT&amp;T &#x27;s <b>"), "AT&T 's <b>");
    }
}
