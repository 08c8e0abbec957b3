//! What the search index holds, and in which columns a search looks.

/// What the search index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Titles, addresses, texts and authors of everything that is neither dead nor deleted.
    Everything,
    /// Titles and addresses only.
    Stories,
}

impl Content {
    /// As the table `search_index` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Stories => "stories",
        }
    }

    pub(super) fn of_name(name: &str) -> Self {
        if name == Self::Stories.name() {
            Self::Stories
        } else {
            Self::Everything
        }
    }

    /// The columns of `items` that it holds.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Everything => &["title", "url", "text", "by"],
            Self::Stories => &["title", "url"],
        }
    }
}

/// Columns of `items` in which a search looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Columns {
    pub(crate) title: bool,
    pub(crate) url: bool,
    pub(crate) text: bool,
    pub(crate) author: bool,
}

impl Columns {
    pub(crate) const ALL: Self = Self {
        title: true,
        url: true,
        text: true,
        author: true,
    };

    pub(crate) const NONE: Self = Self {
        title: false,
        url: false,
        text: false,
        author: false,
    };

    pub(crate) const TITLE: Self = Self {
        title: true,
        ..Self::NONE
    };

    /// Those that the index holds.
    pub(super) fn names(self, content: Content) -> Vec<&'static str> {
        let is_wanted = |name: &&&str| match **name {
            "title" => self.title,
            "url" => self.url,
            "text" => self.text,
            _ => self.author,
        };
        content
            .columns()
            .iter()
            .filter(is_wanted)
            .copied()
            .collect()
    }
}
