//! The coverage of the ids as a picture: a grid of cells.

use std::fmt::Write;

use super::story::counted;
use crate::{
    hn::status::Status,
    serve::{
        status::{COLUMNS, Cell, CoverageMap},
        wording::grouped,
    },
};

/// The ids as a grid: the outline of the cells of each class, for an SVG.
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) paths: Vec<(&'static str, String)>,
    pub(super) label: String,
    pub(super) cell: String,
}

impl Picture {
    pub(super) fn new(map: &CoverageMap, status: &Status) -> Self {
        let classes = [
            ("empty", Cell::Empty),
            ("little", Cell::Little),
            ("much", Cell::Much),
            ("leased", Cell::Leased),
            ("full", Cell::Full),
        ];
        let paths = classes.map(|(class, cell)| {
            let mut path = String::new();
            let cells = map.cells.iter().enumerate().filter(|(_, at)| **at == cell);
            for (at, _) in cells {
                let (x, y) = (at % COLUMNS * 10, at / COLUMNS * 10);
                let _ = write!(path, "M{x} {y}h9v9h-9z");
            }
            (class, path)
        });
        let full = map.cells.iter().filter(|cell| **cell == Cell::Full).count();
        let cells = map.cells.len();
        Self {
            width: COLUMNS * 10,
            height: cells.div_ceil(COLUMNS) * 10,
            paths: paths
                .into_iter()
                .filter(|(_, path)| !path.is_empty())
                .collect(),
            label: format!(
                "The ids up to {} in {cells} parts, of which {full} are settled.",
                status
                    .coverage
                    .highest_known
                    .map(grouped)
                    .unwrap_or_default()
            ),
            cell: counted(map.ids_of_cell, "id"),
        }
    }
}
