//! The curve as text: a column for each worker count, as high as its rate. Pure.

/// Lines of the columns.
const HEIGHT: usize = 8;
/// A column with the gap before it.
const WIDEST: usize = 7;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const KNEE: &str = "▲ knee";

/// The lines of a drawing at most `width` wide, as far as each step gets a column. `knee` is the place of the step to point at.
pub(super) fn draw(steps: &[(usize, f64)], knee: Option<usize>, width: usize) -> Vec<String> {
    let best = steps.iter().map(|step| step.1).fold(0.0, f64::max);
    if best <= 0.0 {
        return Vec::new();
    }
    let (top, half) = (rate(best), rate(best / 2.0));
    // The words at the axes are as long as a rate can be, mostly.
    let margin = "workers".len().max(top.len());
    let room = width.saturating_sub(margin + 2);
    let cell = (room / steps.len()).clamp(1, WIDEST);
    let mut lines = vec![format!("{:>margin$}", "items/s")];
    for row in (0..HEIGHT).rev() {
        let (label, tick) = match row {
            _ if row == HEIGHT - 1 => (top.as_str(), '┤'),
            _ if row == HEIGHT / 2 - 1 => (half.as_str(), '┤'),
            _ => ("", '│'),
        };
        let columns: String = steps
            .iter()
            .map(|step| column(level(step.1 / best, row), cell))
            .collect();
        lines.push(format!("{label:>margin$} {tick}{columns}"));
    }
    lines.push(format!(
        "{:>margin$} └{}",
        "",
        "─".repeat(cell * steps.len())
    ));
    lines.push(format!("{:>margin$}  {}", "workers", labels(steps, cell)));
    if let Some(knee) = knee {
        lines.push(format!("{:>margin$}  {}", "", pointer(knee, cell, room)));
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// A rate as people read it.
pub(super) fn rate(rate: f64) -> String {
    match rate < 99.95 {
        true => format!("{rate:.1}"),
        false => format!("{rate:.0}"),
    }
}

pub(super) fn workers(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} worker{plural}")
}

/// How much of this row a column fills that is as high as this share of the best.
fn level(share: f64, row: usize) -> char {
    // Whatever is more than nothing shows.
    let eighths = (share * (HEIGHT * 8) as f64)
        .round()
        .max(f64::from(share > 0.0));
    EIGHTHS[(eighths as usize).saturating_sub(row * 8).min(8)]
}

fn column(level: char, cell: usize) -> String {
    let gap = usize::from(cell > 1);
    let filled = level.to_string().repeat(cell - gap);
    format!("{}{filled}", " ".repeat(gap))
}

/// Each count ends where its column does; one that would touch the count before it is left out.
fn labels(steps: &[(usize, f64)], cell: usize) -> String {
    let mut line = String::new();
    for (at, (workers, _)) in steps.iter().enumerate() {
        let (label, end) = (workers.to_string(), (at + 1) * cell);
        let gap = usize::from(!line.is_empty());
        if line.len() + gap + label.len() <= end.max(label.len()) {
            let rest = end.saturating_sub(line.len());
            line.push_str(&format!("{label:>rest$}"));
        }
    }
    line
}

fn pointer(knee: usize, cell: usize, room: usize) -> String {
    let under = knee * cell + cell / 2;
    let long = KNEE.chars().count();
    match under + long <= room || under + 1 < long {
        true => format!("{:under$}{KNEE}", ""),
        false => format!("{:>end$}", "knee ▲", end = under + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubling(rates: &[f64]) -> Vec<(usize, f64)> {
        let workers = (0..rates.len()).map(|power| 1 << power);
        workers.zip(rates.iter().copied()).collect()
    }

    #[test]
    fn a_plateau_is_drawn_with_its_knee() {
        let drawn = draw(&doubling(&[100.0, 200.0, 400.0, 390.0]), Some(2), 30);
        let right = [
            "items/s",
            "    400 ┤           ████ ▆▆▆▆",
            "        │           ████ ████",
            "        │           ████ ████",
            "        │           ████ ████",
            "    200 ┤      ████ ████ ████",
            "        │      ████ ████ ████",
            "        │ ████ ████ ████ ████",
            "        │ ████ ████ ████ ████",
            "        └────────────────────",
            "workers      1    2    4    8",
            "                     ▲ knee",
        ];
        assert_eq!(drawn, right, "{drawn:#?}");
    }

    #[test]
    fn a_whole_sweep_fits_eighty_columns_with_every_count_named() {
        let rates: Vec<_> = (0..13).map(|power| f64::from(10 << power)).collect();
        for knee in 0..13 {
            let drawn = draw(&doubling(&rates), Some(knee), 80);
            let widest = drawn.iter().map(|line| line.chars().count()).max();
            assert!(widest <= Some(80), "{drawn:#?}");
            let counts = &drawn[drawn.len() - 2];
            for workers in [" 1 ", " 512 ", " 1024 ", " 4096"] {
                assert!(counts.contains(workers), "{drawn:#?}");
            }
            assert!(drawn[drawn.len() - 1].contains('▲'));
        }
    }

    #[test]
    fn where_there_is_no_room_for_every_count_some_are_left_out_and_none_touch() {
        let steps: Vec<_> = (1..=40).map(|n| (n * 100, n as f64)).collect();
        let drawn = draw(&steps, Some(39), 80);
        assert!(
            drawn.iter().all(|line| line.chars().count() <= 80),
            "{drawn:#?}"
        );
        let counts: Vec<_> = drawn[HEIGHT + 2].split_whitespace().skip(1).collect();
        assert!(counts.len() > 5, "{drawn:#?}");
        let known = |count: &&str| {
            count
                .parse()
                .is_ok_and(|n: usize| n.is_multiple_of(100) && n <= 4000)
        };
        assert!(counts.iter().all(known), "{drawn:#?}");
    }

    #[test]
    fn the_least_rate_shows_and_no_rate_draws_nothing() {
        let drawn = draw(&doubling(&[1.0, 100_000.0]), None, 40);
        assert!(drawn[HEIGHT].contains('▁'), "{drawn:#?}");
        assert!(draw(&doubling(&[0.0, 0.0]), None, 80).is_empty());
        assert!(draw(&[], None, 80).is_empty());
    }

    #[test]
    fn a_terminal_too_narrow_for_anything_panics_not() {
        for width in 0..20 {
            assert!(!draw(&doubling(&[1.0; 11]), Some(10), width).is_empty());
        }
    }
}
