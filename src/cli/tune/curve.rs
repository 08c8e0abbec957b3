//! The curve of a sweep as text: a column for each worker count, as high as its rate. Pure.

use super::wording;

/// The height of the columns in lines.
const HEIGHT: usize = 8;
/// The width of a column at most, with the gap before it.
const CELL_MAX: usize = 7;
/// A line of a column, by how many eighths of it are filled.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const KNEE: &str = "▲ knee";
/// The same with the arrow at its end, where there is no room to the right.
const KNEE_ON_THE_LEFT: &str = "knee ▲";

/// A worker count and its rate.
pub(super) struct CurvePoint {
    pub(super) workers: usize,
    pub(super) rate: f64,
}

/// The lines of the drawing. They are at most `width` wide, if each point then still gets a column. `knee` is the position of
/// the point to mark.
pub(super) fn draw(points: &[CurvePoint], knee: Option<usize>, width: usize) -> Vec<String> {
    let best = points.iter().map(|point| point.rate).fold(0.0, f64::max);
    if best <= 0.0 {
        return Vec::new();
    }
    let top_label = wording::rate(best);
    let middle_label = wording::rate(best / 2.0);
    let margin = "workers".len().max(top_label.len());
    let room = width.saturating_sub(margin + 2);
    let cell = (room / points.len()).clamp(1, CELL_MAX);
    let mut lines = vec![format!("{:>margin$}", "items/s")];
    for row in (0..HEIGHT).rev() {
        let (label, axis) = if row == HEIGHT - 1 {
            (top_label.as_str(), '┤')
        } else if row == HEIGHT / 2 - 1 {
            (middle_label.as_str(), '┤')
        } else {
            ("", '│')
        };
        let columns: String = points
            .iter()
            .map(|point| column(filled(point.rate / best, row), cell))
            .collect();
        lines.push(format!("{label:>margin$} {axis}{columns}"));
    }
    let floor = "─".repeat(cell * points.len());
    lines.push(format!("{:>margin$} └{floor}", ""));
    lines.push(format!("{:>margin$}  {}", "workers", labels(points, cell)));
    if let Some(knee) = knee {
        lines.push(format!("{:>margin$}  {}", "", pointer(knee, cell, room)));
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// What a column shows in this row, counted from the bottom, if it is as high as this share of the best.
fn filled(share: f64, row: usize) -> char {
    // A rate above nothing always shows.
    let least = f64::from(share > 0.0);
    let eighths = (share * (HEIGHT * 8) as f64).round().max(least);
    EIGHTHS[(eighths as usize).saturating_sub(row * 8).min(8)]
}

fn column(filled: char, cell: usize) -> String {
    let gap = usize::from(cell > 1);
    let column = filled.to_string().repeat(cell - gap);
    format!("{}{column}", " ".repeat(gap))
}

/// The worker counts, each ending where its column ends. A count that would touch the one before it is left out.
fn labels(points: &[CurvePoint], cell: usize) -> String {
    let mut line = String::new();
    for (position, point) in points.iter().enumerate() {
        let label = point.workers.to_string();
        let end = (position + 1) * cell;
        let gap = usize::from(!line.is_empty());
        if line.len() + gap + label.len() <= end.max(label.len()) {
            let width = end.saturating_sub(line.len());
            line.push_str(&format!("{label:>width$}"));
        }
    }
    line
}

/// The line with the arrow under the knee.
fn pointer(knee: usize, cell: usize, room: usize) -> String {
    let arrow = knee * cell + cell / 2;
    let length = KNEE.chars().count();
    let fits_on_the_right = arrow + length <= room;
    let fits_on_the_left = arrow + 1 >= length;
    if fits_on_the_right || !fits_on_the_left {
        format!("{:arrow$}{KNEE}", "")
    } else {
        format!("{KNEE_ON_THE_LEFT:>end$}", end = arrow + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubling(rates: &[f64]) -> Vec<CurvePoint> {
        let points = rates.iter().enumerate();
        points
            .map(|(power, &rate)| CurvePoint {
                workers: 1 << power,
                rate,
            })
            .collect()
    }

    #[test]
    fn a_plateau_is_drawn_with_its_knee() {
        let drawn = draw(&doubling(&[100.0, 200.0, 400.0, 390.0]), Some(2), 30);
        let expected = [
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
        assert_eq!(drawn, expected, "{drawn:#?}");
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
    fn without_room_for_every_count_some_are_left_out_and_no_two_touch() {
        let points: Vec<_> = (1..=40)
            .map(|n| CurvePoint {
                workers: n * 100,
                rate: n as f64,
            })
            .collect();
        let drawn = draw(&points, Some(39), 80);
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
    fn the_smallest_rate_shows_and_a_curve_without_a_rate_is_not_drawn() {
        let drawn = draw(&doubling(&[1.0, 100_000.0]), None, 40);
        assert!(drawn[HEIGHT].contains('▁'), "{drawn:#?}");
        assert!(draw(&doubling(&[0.0, 0.0]), None, 80).is_empty());
        assert!(draw(&[], None, 80).is_empty());
    }

    #[test]
    fn a_terminal_that_is_too_narrow_does_not_panic() {
        for width in 0..20 {
            assert!(!draw(&doubling(&[1.0; 11]), Some(10), width).is_empty());
        }
    }
}
