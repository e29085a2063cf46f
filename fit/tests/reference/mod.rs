//! Reference tables that are not part of this repository.
#![allow(dead_code, reason = "each test binary uses its own part of this file")]

use gradus_fit::counts::{Architecture, Shape};
use std::collections::HashMap;
use std::path::PathBuf;

/// A CSV file as rows of named cells.
pub struct Rows {
    names: HashMap<String, usize>,
    pub rows: Vec<Vec<String>>,
}

impl Rows {
    pub fn text<'a>(&self, row: &'a [String], column: &str) -> &'a str {
        &row[self.names[column]]
    }
    pub fn number(&self, row: &[String], column: &str) -> f64 {
        let text = self.text(row, column);
        text.parse().unwrap_or_else(|_| panic!("{column}: `{text}` is no number"))
    }
    pub fn whole(&self, row: &[String], column: &str) -> u64 {
        self.number(row, column) as u64
    }
    pub fn shape(&self, row: &[String], d_ff: &str) -> Shape {
        let architecture = architecture(self.text(row, "arch"));
        let [d_model, heads] = ["d_model", "n_heads"].map(|c| self.whole(row, c));
        let has = |c: &str| self.names.contains_key(c);
        let d_value = if has("d_hv") { self.whole(row, "d_hv") } else { d_model / heads };
        let half = if architecture == Architecture::Xlstm { d_value / 2 } else { d_value };
        let d_query = if has("d_qk") { self.whole(row, "d_qk") } else { half };
        Shape {
            architecture,
            d_model,
            heads,
            key_value_heads: heads,
            d_query,
            d_value,
            blocks: self.whole(row, "n_blocks"),
            d_ff: self.whole(row, d_ff),
            vocabulary: 50304,
            tied: false,
        }
    }
}

pub fn architecture(name: &str) -> Architecture {
    if name == "xlstm" { Architecture::Xlstm } else { Architecture::Transformer }
}

/// The folder of the paper's tables, if it is there.
pub fn folder() -> Option<PathBuf> {
    let base = std::env::var_os("GRADUS_REFERENCE")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"));
    let folder = base.join("paper-runs");
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("skipped: no paper-runs in {} (set GRADUS_REFERENCE)", base.display());
        None
    }
}

/// Reads a table, or says that the test is skipped.
pub fn read(name: &str) -> Option<Rows> {
    let text = std::fs::read_to_string(folder()?.join(name)).expect("the table is readable");
    let mut lines = text.lines();
    let header = lines.next().expect("a header");
    let names = header.split(',').enumerate().map(|(i, n)| (n.to_string(), i)).collect();
    let rows = lines.map(|l| l.split(',').map(str::to_string).collect()).collect();
    Some(Rows { names, rows })
}
