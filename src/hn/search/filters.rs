//! What a search is limited to, besides its words: tags and numbers, as conditions on the table `items`.

use super::statement::Part;

/// How many stories the front page has, as on Hacker News.
pub(crate) const FRONT_PAGE: usize = 30;

/// What a search is limited to. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    /// An item must have at least one tag of each of these lists.
    pub(crate) tags: Vec<Vec<Tag>>,
    /// At least one comparison of each of these lists must be true.
    pub(crate) numbers: Vec<Vec<Comparison>>,
}

/// A kind of items, or what they belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// Items of this type.
    Type(String),
    /// Stories that ask.
    AskHn,
    /// Stories that show.
    ShowHn,
    /// The first stories of the list of top stories.
    FrontPage,
    /// Items of this author.
    Author(String),
    /// A story and all comments below it.
    Story(i64),
    /// No item at all.
    Nothing,
}

/// A number of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberField {
    /// When it was made, in Unix seconds.
    Time,
    /// Its points.
    Points,
    /// How many comments it has.
    Comments,
    /// What it answers.
    Parent,
}

/// How a number is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    More,
}

/// A number of an item, compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) field: NumberField,
    pub(crate) operator: Operator,
    pub(crate) value: i64,
}

/// The types that have points and a title.
const TITLED: [&str; 3] = ["story", "poll", "job"];

/// The types that have points.
pub(super) const WITH_POINTS: [&str; 4] = ["story", "poll", "job", "pollopt"];

impl Filters {
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.numbers.is_empty()
    }

    pub(crate) fn add_tag(&mut self, tag: Tag) {
        self.tags.push(vec![tag]);
    }

    pub(crate) fn add_number(&mut self, field: NumberField, operator: Operator, value: i64) {
        self.numbers.push(vec![Comparison {
            field,
            operator,
            value,
        }]);
    }

    /// The author, if all items must be of one.
    pub(crate) fn author(&self) -> Option<&str> {
        self.tags.iter().find_map(|tags| match &tags[..] {
            [Tag::Author(name)] => Some(&**name),
            _ => None,
        })
    }

    /// The type, if all items must be of one.
    pub(crate) fn only_type(&self) -> Option<&str> {
        self.tags.iter().find_map(|tags| match &tags[..] {
            [Tag::Type(name)] => Some(&**name),
            [Tag::AskHn | Tag::ShowHn] => Some("story"),
            _ => None,
        })
    }

    /// What all titles must begin with, apart from case.
    pub(super) fn beginning_of_title(&self) -> Option<&'static str> {
        self.tags.iter().find_map(|tags| match &tags[..] {
            [Tag::AskHn] => Some("ask hn"),
            [Tag::ShowHn] => Some("show hn"),
            _ => None,
        })
    }

    /// The types of which items must be. `None` if they may be of any.
    pub(super) fn types(&self) -> Option<Vec<&str>> {
        let by_tags = self.tags.iter().find_map(|tags| {
            let types: Option<Vec<Vec<&str>>> = tags.iter().map(Tag::types).collect();
            types.map(|types| types.concat())
        });
        let of_stories =
            |one: &Comparison| matches!(one.field, NumberField::Points | NumberField::Comments);
        let mut numbers = self.numbers.iter();
        by_tags.or_else(|| {
            let is_of_stories = numbers.any(|numbers| numbers.iter().all(of_stories));
            is_of_stories.then(|| WITH_POINTS.to_vec())
        })
    }

    /// The same, each once, if items of all of those have points.
    pub(super) fn types_with_points(&self) -> Option<Vec<&'static str>> {
        let has_points = |name: &str| WITH_POINTS.into_iter().find(|known| *known == name);
        let types = self.types()?.into_iter().map(has_points);
        let mut types: Vec<&str> = types.collect::<Option<_>>()?;
        types.sort_unstable();
        types.dedup();
        Some(types)
    }

    /// Whether they ask for types, and for nothing else.
    pub(super) fn are_types(&self) -> bool {
        let is_type = |tag: &Tag| matches!(tag, Tag::Type(_));
        matches!(&self.tags[..], [tags] if tags.iter().all(is_type)) && self.numbers.is_empty()
    }

    /// Whether no item with a title can pass.
    pub(crate) fn excludes_titles(&self) -> bool {
        let has_none = |tag: &Tag| matches!(tag, Tag::Type(name) if !TITLED.contains(&&**name));
        self.tags.iter().any(|tags| tags.iter().all(has_none))
    }

    /// The earliest and the latest time that can pass.
    pub(crate) fn times(&self) -> (Option<i64>, Option<i64>) {
        let (mut earliest, mut latest) = (None::<i64>, None::<i64>);
        for comparisons in &self.numbers {
            let [comparison] = &comparisons[..] else {
                continue;
            };
            if comparison.field != NumberField::Time {
                continue;
            }
            let value = comparison.value;
            let is_lower = |operator| matches!(operator, Operator::AtLeast | Operator::More);
            let is_upper = |operator| matches!(operator, Operator::AtMost | Operator::Less);
            let is_equal = comparison.operator == Operator::Equal;
            if is_lower(comparison.operator) || is_equal {
                earliest = Some(earliest.map_or(value, |time| time.max(value)));
            }
            if is_upper(comparison.operator) || is_equal {
                latest = Some(latest.map_or(value, |time| time.min(value)));
            }
        }
        (earliest, latest)
    }

    /// The conditions on a row `i` of the table `items`, each after an `AND`. `by_type`: whether an index may lead to the items of a
    /// type. SQLite would even take it where there is a far better one.
    pub(crate) fn conditions(&self, by_type: bool) -> Part {
        let mut all = Part::new("");
        for tags in &self.tags {
            // A story is the only item of its thread that is a story.
            let only_titled = self.only_type().is_some_and(|name| TITLED.contains(&name));
            let conditions = tags.iter().map(|tag| tag.condition(only_titled, by_type));
            all = all.sql(" AND (").part(any_part(conditions)).sql(")");
        }
        for comparisons in &self.numbers {
            let conditions = comparisons.iter().map(|comparison| comparison.condition());
            all = all.sql(" AND (").part(any_part(conditions)).sql(")");
        }
        all
    }
}

/// Whether at least one of these conditions holds, without brackets.
pub(super) fn any_part(conditions: impl Iterator<Item = Part>) -> Part {
    let mut any = Part::new("");
    for (at, condition) in conditions.enumerate() {
        any = any.sql(if at > 0 { " OR " } else { "" }).part(condition);
    }
    any
}

impl Tag {
    /// The types of the items that have it. `None` if they may be of any.
    fn types(&self) -> Option<Vec<&str>> {
        match self {
            Self::Type(name) => Some(vec![name]),
            Self::AskHn | Self::ShowHn => Some(vec!["story"]),
            Self::FrontPage => Some(TITLED.to_vec()),
            Self::Author(_) | Self::Story(_) | Self::Nothing => None,
        }
    }

    fn condition(&self, only_titled: bool, by_type: bool) -> Part {
        let of_type = Part::new(if by_type {
            "i.type = "
        } else {
            "coalesce(i.type, '') = "
        });
        match self {
            Self::Type(name) => of_type.text(name),
            Self::AskHn => of_type.sql("'story' AND lower(substr(i.title, 1, 6)) = 'ask hn'"),
            Self::ShowHn => of_type.sql("'story' AND lower(substr(i.title, 1, 7)) = 'show hn'"),
            Self::FrontPage => Part::new(format!(
                "i.id IN (SELECT id FROM lists WHERE list = 'top' ORDER BY rank LIMIT {FRONT_PAGE})"
            )),
            Self::Author(name) => Part::new("i.\"by\" = ").text(name),
            Self::Story(id) if only_titled => Part::new("i.id = ").number(*id),
            Self::Story(id) => Part::new("i.id IN (").part(thread(*id)).sql(")"),
            Self::Nothing => Part::new("1 = 0"),
        }
    }
}

/// The ids of a story and of all that is stored below it.
fn thread(story: i64) -> Part {
    Part::new("WITH RECURSIVE thread(id) AS (SELECT CAST(")
        .number(story)
        .sql(" AS BIGINT) UNION SELECT c.id FROM thread t JOIN items c ON c.parent = t.id) SELECT id FROM thread")
}

impl Comparison {
    fn condition(self) -> Part {
        let column = match self.field {
            NumberField::Time => "i.time",
            NumberField::Points => "i.score",
            NumberField::Comments => "i.descendants",
            NumberField::Parent => "i.parent",
        };
        let operator = match self.operator {
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::Equal => "=",
            Operator::NotEqual => "<>",
            Operator::AtLeast => ">=",
            Operator::More => ">",
        };
        Part::new(format!("{column} {operator} ")).number(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(operator: Operator, value: i64) -> Vec<Comparison> {
        vec![Comparison {
            field: NumberField::Time,
            operator,
            value,
        }]
    }

    #[test]
    fn the_times_that_can_pass_are_the_narrowest_ones() {
        let mut filters = Filters::default();
        assert_eq!(filters.times(), (None, None));
        filters.numbers = vec![
            time(Operator::AtLeast, 10),
            time(Operator::More, 20),
            time(Operator::Less, 90),
            time(Operator::NotEqual, 50),
            [time(Operator::Less, 1), time(Operator::More, 2)].concat(),
        ];
        assert_eq!(filters.times(), (Some(20), Some(90)));
        filters.numbers.push(time(Operator::Equal, 30));
        assert_eq!(filters.times(), (Some(30), Some(30)));
    }

    #[test]
    fn types_with_points_are_named_if_no_other_type_can_pass() {
        let tag = |name: &str| Tag::Type(name.to_owned());
        let check = |tags: Vec<Vec<Tag>>, expected: Option<&[&str]>| {
            let numbers = Vec::new();
            let filters = Filters { tags, numbers };
            assert_eq!(filters.types_with_points().as_deref(), expected);
        };
        check(vec![vec![tag("story")]], Some(&["story"]));
        check(
            vec![vec![tag("story"), tag("poll")]],
            Some(&["poll", "story"]),
        );
        check(vec![vec![Tag::AskHn, Tag::ShowHn]], Some(&["story"]));
        check(vec![vec![tag("story"), tag("comment")]], None);
        check(vec![vec![tag("story"), Tag::Author("a".into())]], None);
        check(Vec::new(), None);
        let mut filters = Filters::default();
        filters.add_number(NumberField::Points, Operator::More, 50);
        let all = ["job", "poll", "pollopt", "story"];
        assert_eq!(filters.types_with_points().as_deref(), Some(&all[..]));
    }

    #[test]
    fn comments_have_no_titles() {
        let tag = |name: &str| Tag::Type(name.to_owned());
        let excludes = |tags: Vec<Vec<Tag>>| {
            let numbers = Vec::new();
            Filters { tags, numbers }.excludes_titles()
        };
        assert!(excludes(vec![
            vec![tag("comment")],
            vec![tag("x"), Tag::Author("a".into())]
        ]));
        assert!(!excludes(vec![vec![tag("comment"), tag("story")]]));
        assert!(!excludes(vec![vec![Tag::Story(1)]]));
        assert!(!excludes(Vec::new()));
    }
}
