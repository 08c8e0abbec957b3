//! The report of a sample.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{
    args::SampleArgs,
    percent::{Percent, rounded, rounded_up},
    reading::Sampled,
};
use crate::{
    cli::{printable::printable, run_report::failure_line},
    hn::sample::{
        Age, AgeCount, Example, SampleIds,
        bound::{CONFIDENCE, checks_needed, upper_bound},
    },
    ingest::FailedId,
    serve::wording::grouped,
};

/// How many stale ids, and how many failures, the text shows.
const SHOWN: usize = 10;

/// What the command prints. The keys of the JSON are part of the program's contract.
#[derive(Serialize)]
pub(super) struct SampleReport {
    pub(super) command: &'static str,
    pub(super) database: String,
    pub(super) sample: SampleResult,
}

/// What a sample shows.
#[derive(Serialize)]
pub(super) struct SampleResult {
    /// How many settled ids there are.
    population: u64,
    /// Whether that is an exact number.
    population_is_exact: bool,
    /// `--seed` with this number gives the same ids.
    seed: u64,
    /// How many ids were to be read.
    requested: u64,
    /// How many were read and compared.
    checked: u64,
    equal: u64,
    stale: u64,
    /// Ids that failed, or were not read before the end.
    not_checked: u64,
    /// Whether every settled id was compared.
    is_whole: bool,
    /// The stale part of what was checked. `None` if nothing was.
    stale_share: Option<f64>,
    /// The stale part of all settled ids is at most this, with this confidence.
    stale_share_at_most: f64,
    confidence: f64,
    /// What `--max-stale` allows.
    max_stale: Option<f64>,
    /// Whether the sample shows that no more is stale.
    pub(super) is_within_max_stale: Option<bool>,
    /// How many ids must be checked, and none differ, to show that. `None` also if only reading every id would.
    checks_needed: Option<u64>,
    /// The mirror holds no item, and the API has one.
    missing: u64,
    /// The mirror holds an item, and the API has none.
    gone: u64,
    /// How many items differ in each field.
    fields: BTreeMap<String, u64>,
    /// By the age of the item.
    by_item_age: Vec<AgeRow>,
    /// By the age of the mirror's copy.
    by_copy_age: Vec<AgeRow>,
    /// The first stale ids.
    examples: Vec<Example>,
    /// Whether what was read is stored.
    repaired: bool,
    interrupted: bool,
    attempts: u64,
    retries: u64,
    elapsed_ms: u64,
    failed: u64,
    /// The first ids that failed.
    failures: Vec<FailedId<i64>>,
    #[serde(skip)]
    given_max_stale: Option<Percent>,
}

#[derive(Serialize)]
struct AgeRow {
    age: Age,
    checked: u64,
    stale: u64,
}

fn age_rows(counts: &[AgeCount]) -> Vec<AgeRow> {
    let rows = Age::ALL.into_iter().zip(counts);
    rows.map(|(age, count)| AgeRow {
        age,
        checked: count.checked,
        stale: count.stale,
    })
    .collect()
}

impl SampleResult {
    pub(super) fn new(args: &SampleArgs, ids: &SampleIds, sampled: &Sampled) -> Self {
        let tally = &sampled.tally;
        let totals = sampled.totals();
        let report = sampled.report.as_ref();
        let population = ids.population_count();
        let population_is_exact = ids.is_population_known();
        let requested = args.size.min(if population_is_exact {
            population
        } else {
            u64::MAX
        });
        let is_whole = population_is_exact && population > 0 && tally.checked >= population;
        let share = tally.stale as f64 / tally.checked.max(1) as f64;
        let at_most = if is_whole {
            share
        } else {
            upper_bound(tally.stale, tally.checked)
        };
        let max_stale = args.max_stale.map(|max| max.share);
        Self {
            population,
            population_is_exact,
            seed: args.seed,
            requested,
            checked: tally.checked,
            equal: tally.equal(),
            stale: tally.stale,
            not_checked: requested.saturating_sub(tally.checked),
            is_whole,
            stale_share: (tally.checked > 0).then_some(share),
            stale_share_at_most: at_most,
            confidence: if is_whole { 1.0 } else { CONFIDENCE },
            max_stale,
            is_within_max_stale: max_stale.map(|max| at_most <= max),
            checks_needed: max_stale.and_then(checks_needed),
            missing: tally.missing,
            gone: tally.gone,
            fields: tally.fields.clone(),
            by_item_age: age_rows(&tally.by_item_age),
            by_copy_age: age_rows(&tally.by_copy_age),
            examples: tally.examples.clone(),
            repaired: args.repair,
            interrupted: report.is_some_and(|report| report.interrupted),
            attempts: totals.attempts,
            retries: totals.retries,
            elapsed_ms: report.map_or(0, |report| {
                u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX)
            }),
            failed: totals.failed,
            failures: report
                .map(|report| report.failures.clone())
                .unwrap_or_default(),
            given_max_stale: args.max_stale,
        }
    }

    /// How many settled ids there are, as people read it.
    fn population_text(&self) -> String {
        let about = if self.population_is_exact {
            ""
        } else {
            "about "
        };
        format!("{about}{}", grouped(self.population))
    }
}

impl SampleReport {
    pub(super) fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let sample = &self.sample;
        if sample.interrupted {
            write!(out, "interrupted: ")?;
        }
        writeln!(
            out,
            "{} of {} settled ids read again (--seed {}): {} equal, {} differ{}",
            grouped(sample.checked),
            sample.population_text(),
            sample.seed,
            grouped(sample.equal),
            grouped(sample.stale),
            sample
                .stale_share
                .map(|share| format!(" ({})", rounded(share)))
                .unwrap_or_default(),
        )?;
        if sample.not_checked > 0 {
            writeln!(
                out,
                "not checked: {}, {} of them because they failed",
                grouped(sample.not_checked),
                grouped(sample.failed)
            )?;
        }
        writeln!(out, "{}", self.conclusion())?;
        self.write_max_stale(out)?;
        self.write_differences(out)?;
        if sample.checked > 0 {
            write_ages(out, "age of the item", &sample.by_item_age)?;
            write_ages(out, "age of the copy", &sample.by_copy_age)?;
        }
        if sample.repaired && sample.checked > 0 {
            writeln!(out, "\nrepaired: what was read is stored")?;
        }
        self.write_failures(out)
    }

    fn conclusion(&self) -> String {
        let sample = &self.sample;
        let population = sample.population_text();
        if sample.is_whole {
            format!(
                "of {population} ids {} differ from the API: all were read",
                grouped(sample.stale)
            )
        } else {
            format!(
                "of {population} ids at most {} differ from the API, with 95 % confidence",
                rounded_up(sample.stale_share_at_most)
            )
        }
    }

    fn write_max_stale(&self, out: &mut dyn Write) -> io::Result<()> {
        let sample = &self.sample;
        let (Some(max), Some(is_within)) = (sample.given_max_stale, sample.is_within_max_stale)
        else {
            return Ok(());
        };
        if is_within {
            return writeln!(out, "that is within --max-stale {max}");
        }
        if sample.is_whole || sample.stale_share > Some(max.share) {
            return writeln!(out, "that is more than --max-stale {max}");
        }
        write!(out, "that does not show --max-stale {max}: ")?;
        match sample.checks_needed {
            Some(needed) if needed > sample.checked => writeln!(
                out,
                "it takes at least {} ids, if none of them differs",
                grouped(needed)
            ),
            Some(_) => writeln!(out, "a larger --sample may show it"),
            None => writeln!(out, "only a --sample of all ids can"),
        }
    }

    fn write_differences(&self, out: &mut dyn Write) -> io::Result<()> {
        let sample = &self.sample;
        if sample.stale == 0 {
            return Ok(());
        }
        let mut fields: Vec<_> = sample.fields.iter().collect();
        fields.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), name.as_str()));
        let fields = fields.into_iter();
        let fields = fields.map(|(name, count)| format!("{} {}", printable(name), grouped(*count)));
        let mut kinds: Vec<_> = fields.collect();
        for (count, kind) in [
            (sample.missing, "not in the mirror"),
            (sample.gone, "no longer in the API"),
        ] {
            if count > 0 {
                kinds.push(format!("{kind} {}", grouped(count)));
            }
        }
        writeln!(out, "what differs: {}", kinds.join(", "))?;
        let shown = sample.examples.iter().take(SHOWN).map(|example| {
            let what = match example.difference {
                "missing" => "not in the mirror".to_owned(),
                "gone" => "no longer in the API".to_owned(),
                _ => printable(&example.fields.join(", ")),
            };
            format!("{} ({what})", example.id)
        });
        let shown: Vec<_> = shown.collect();
        let more = if sample.stale as usize > shown.len() {
            ", and more"
        } else {
            ""
        };
        writeln!(out, "for example: {}{more}", shown.join(", "))
    }

    fn write_failures(&self, out: &mut dyn Write) -> io::Result<()> {
        for failure in self.sample.failures.iter().take(SHOWN) {
            writeln!(out, "{}", failure_line(failure))?;
        }
        Ok(())
    }
}

fn write_ages(out: &mut dyn Write, title: &str, rows: &[AgeRow]) -> io::Result<()> {
    writeln!(out, "\n{title:<16}  {:>10}  {:>10}", "checked", "differ")?;
    for row in rows.iter().filter(|row| row.checked > 0) {
        let age = match row.age {
            Age::UnderOneHour => "under 1 hour",
            Age::UnderOneDay => "1 to 24 hours",
            Age::UnderFifteenDays => "1 to 15 days",
            Age::Older => "older",
            Age::Unknown => "unknown",
        };
        let (checked, stale) = (grouped(row.checked), grouped(row.stale));
        writeln!(out, "{age:<16}  {checked:>10}  {stale:>10}")?;
    }
    Ok(())
}
