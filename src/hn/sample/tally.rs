//! Counts what a sample found, by field and by age. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{difference::Difference, open_checks::Finding};

/// Stale ids that are listed. All are counted.
const EXAMPLES: usize = 100;

/// Fields that are counted by name. An API of many names must not take memory without end.
const FIELDS: usize = 100;

const OTHER_FIELDS: &str = "others";

/// What a sample found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Ids that were compared.
    pub(crate) checked: u64,
    /// Those of them that differ.
    pub(crate) stale: u64,
    /// The mirror holds no item, and the API has one.
    pub(crate) missing: u64,
    /// The mirror holds an item, and the API has none.
    pub(crate) gone: u64,
    /// How many items differ in each field.
    pub(crate) fields: BTreeMap<String, u64>,
    /// By the age of the item, in the order of [`Age::ALL`].
    pub(crate) by_item_age: [AgeCount; Age::ALL.len()],
    /// By the age of the mirror's copy.
    pub(crate) by_copy_age: [AgeCount; Age::ALL.len()],
    /// The first stale ids.
    pub(crate) examples: Vec<Example>,
}

/// A stale id.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Example {
    pub(crate) id: i64,
    /// `fields`, `missing` or `gone`.
    pub(crate) difference: &'static str,
    /// The fields that differ.
    pub(crate) fields: Vec<String>,
}

/// A group of ages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Age {
    UnderOneHour,
    UnderOneDay,
    UnderFifteenDays,
    Older,
    Unknown,
}

/// How many ids of an age were compared, and how many of them differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AgeCount {
    pub(crate) checked: u64,
    pub(crate) stale: u64,
}

impl Age {
    pub(crate) const ALL: [Self; 5] = [
        Self::UnderOneHour,
        Self::UnderOneDay,
        Self::UnderFifteenDays,
        Self::Older,
        Self::Unknown,
    ];

    fn between(from: Option<i64>, to: i64) -> Self {
        const HOUR: i64 = 3600;
        match from.map(|from| to.saturating_sub(from)) {
            None => Self::Unknown,
            Some(..HOUR) => Self::UnderOneHour,
            Some(age) if age < 24 * HOUR => Self::UnderOneDay,
            Some(age) if age < 15 * 24 * HOUR => Self::UnderFifteenDays,
            Some(_) => Self::Older,
        }
    }
}

impl Tally {
    pub(crate) fn equal(&self) -> u64 {
        self.checked - self.stale
    }

    pub(crate) fn add(&mut self, id: i64, finding: Finding) {
        let is_stale = finding.difference.is_some();
        self.checked += 1;
        self.stale += u64::from(is_stale);
        let item_age = Age::between(finding.made_at, finding.answered_at);
        let copy_age = Age::between(finding.copied_at, finding.answered_at);
        for count in [
            &mut self.by_item_age[item_age as usize],
            &mut self.by_copy_age[copy_age as usize],
        ] {
            count.checked += 1;
            count.stale += u64::from(is_stale);
        }
        if let Some(difference) = finding.difference {
            self.add_difference(id, difference);
        }
    }

    fn add_difference(&mut self, id: i64, difference: Difference) {
        let (name, fields) = match difference {
            Difference::Missing => {
                self.missing += 1;
                ("missing", Vec::new())
            }
            Difference::Gone => {
                self.gone += 1;
                ("gone", Vec::new())
            }
            Difference::Fields(fields) => ("fields", fields),
        };
        for field in &fields {
            let is_known = self.fields.contains_key(field) || self.fields.len() < FIELDS;
            let field = if is_known { field } else { OTHER_FIELDS };
            *self.fields.entry(field.to_owned()).or_default() += 1;
        }
        if self.examples.len() < EXAMPLES {
            self.examples.push(Example {
                id,
                difference: name,
                fields,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_grouped_at_an_hour_a_day_and_fifteen_days() {
        let now = 2_000_000_000;
        for (age, group) in [
            (-5, Age::UnderOneHour),
            (3599, Age::UnderOneHour),
            (3600, Age::UnderOneDay),
            (86_399, Age::UnderOneDay),
            (86_400, Age::UnderFifteenDays),
            (15 * 86_400, Age::Older),
        ] {
            assert_eq!(Age::between(Some(now - age), now), group, "{age}");
        }
        assert_eq!(Age::between(None, now), Age::Unknown);
        assert_eq!(Age::between(Some(i64::MIN), now), Age::Older);
    }

    #[test]
    fn fields_without_end_are_counted_together() {
        let mut tally = Tally::default();
        for number in 0..300 {
            let finding = Finding {
                difference: Some(Difference::Fields(vec![format!("field {number}")])),
                answered_at: 0,
                made_at: None,
                copied_at: None,
            };
            tally.add(number, finding);
        }
        assert_eq!((tally.stale, tally.equal()), (300, 0));
        assert_eq!(tally.fields.len(), FIELDS + 1);
        assert_eq!(tally.fields[OTHER_FIELDS], 200);
        assert_eq!(tally.examples.len(), EXAMPLES);
    }
}
