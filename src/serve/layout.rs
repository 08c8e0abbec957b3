//! What all pages have in common: their head, their foot, and the links between them.

use super::assets::{ICON, SCRIPT, STYLE};

/// Where the original is.
pub(super) const ORIGINAL: &str = "https://news.ycombinator.com/";

/// The lists that every page leads to.
const SECTIONS: [(&str, &str); 6] = [
    ("/newest", "new"),
    ("/best", "best"),
    ("/ask", "ask"),
    ("/show", "show"),
    ("/jobs", "jobs"),
    ("/newcomments", "comments"),
];

/// What the frame of a page shows.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) title: String,
    /// The address of the section that the page is, without parameters.
    pub(super) section: &'static str,
    /// The same page of Hacker News.
    pub(super) original: String,
    pub(super) live: Option<Live>,
}

/// A number of the API that a page follows, to say how much is new.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) address: String,
    /// What is counted, in the singular.
    pub(super) noun: &'static str,
    /// The number that the page shows. If there is none, the first one that the stream sends counts.
    pub(super) seen: Option<usize>,
}

impl Page {
    /// A page with this title. `address` is where Hacker News has it.
    pub(super) fn new(title: impl Into<String>, address: &str) -> Self {
        let path = address.split('?').next().unwrap_or_default();
        let section = SECTIONS.iter().find(|(section, _)| *section == path);
        Self {
            title: format!("{} | Hacker News mirror", title.into()),
            section: match section {
                Some((section, _)) => section,
                None if path == "/" => "/",
                None => "",
            },
            original: format!("{ORIGINAL}{}", address.trim_start_matches('/')),
            live: None,
        }
    }

    /// It follows this number.
    pub(super) fn live(self, address: String, noun: &'static str, seen: Option<usize>) -> Self {
        let live = Some(Live {
            address,
            noun,
            seen,
        });
        Self { live, ..self }
    }

    pub(super) fn is_at(&self, address: &str) -> bool {
        self.section == address
    }

    pub(super) fn sections(&self) -> [(&'static str, &'static str); 6] {
        SECTIONS
    }

    pub(super) fn style(&self) -> &'static str {
        &STYLE.address
    }

    pub(super) fn script(&self) -> &'static str {
        &SCRIPT.address
    }

    pub(super) fn icon(&self) -> &'static str {
        &ICON.address
    }
}
