//! `gradus bench kernels`: the important operations at fixed sizes. [`rows`] lists them.

mod rows;

pub use rows::{Cell, attention_flops};

use std::io::Write;

use serde_json::{Value, json};

use super::print;
use super::session::Session;
use super::stopwatch::{Measured, Prepare, Spread, measure};
use super::table::{self, Column, number, optional, percent};
use crate::configuration::keys::nearest;
use crate::error::{Result, TrainerError};
use crate::verbs::bench::KernelsArguments;

const COLUMNS: [Column; 8] = [
    Column::Text("name", 27),
    Column::Text("sizes", 28),
    Column::Number("µs", 9),
    Column::Number("lowest", 9),
    Column::Number("highest", 9),
    Column::Number("TFLOP/s", 8),
    Column::Number("GB/s", 8),
    Column::Number("% of ceiling", 12),
];

/// What keeps an operation from being faster, and so what its speed is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The device's memory: the ceiling is the copy.
    Memory,
    /// The same for tensors of [8192, 1024]: the ceiling is a copy of one of these.
    Rows,
    /// Its arithmetic in f32: the ceiling is the fastest matrix product.
    Arithmetic,
    /// Its arithmetic on f16: the ceiling is the fastest matrix product of f16.
    HalfArithmetic,
}

/// One operation at one size.
pub struct Row {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// Its sizes.
    pub sizes: String,
    /// Floating-point operations of a launch; 0 where memory is all that counts.
    pub flops: f64,
    /// Bytes of a launch: each input and output of the forward, and of the backward if there is one, once.
    pub bytes: f64,
    /// What limits it.
    pub bound: Bound,
    /// Whether its speed is a ceiling for others: the copy and the matrix products.
    pub is_ceiling: bool,
    /// What records it.
    pub prepare: Prepare,
}

/// The most that the device was seen to reach, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ceilings {
    flops: Option<f64>,
    half_flops: Option<f64>,
    bytes: Option<f64>,
    row_bytes: Option<f64>,
}

impl Ceilings {
    fn raise(&mut self, row: &Row, spread: Spread) {
        let (ceiling, rate) = match row.bound {
            Bound::Memory => (&mut self.bytes, row.bytes / spread.median),
            Bound::Rows => (&mut self.row_bytes, row.bytes / spread.median),
            Bound::Arithmetic => (&mut self.flops, row.flops / spread.median),
            Bound::HalfArithmetic => (&mut self.half_flops, row.flops / spread.median),
        };
        *ceiling = Some(ceiling.unwrap_or(0.0).max(rate));
    }

    fn share(&self, row: &Row, spread: Spread) -> Option<f64> {
        match row.bound {
            Bound::Memory => self.bytes.map(|ceiling| row.bytes / spread.median / ceiling),
            Bound::Rows => self.row_bytes.map(|ceiling| row.bytes / spread.median / ceiling),
            Bound::Arithmetic => self.flops.map(|ceiling| row.flops / spread.median / ceiling),
            Bound::HalfArithmetic => self.half_flops.map(|ceiling| row.flops / spread.median / ceiling),
        }
    }
}

/// Runs the sub-verb.
///
/// # Errors
/// A name that no row has, no such device, one without timestamps, whatever the launches meet.
pub fn run(arguments: &KernelsArguments, out: &mut dyn Write) -> Result<()> {
    let asked = |row: &Row| arguments.only.as_deref().is_none_or(|only| row.name.contains(only));
    if let Some(only) = &arguments.only {
        // Known before a device is opened.
        expect_match(only)?;
    }
    let session = Session::open(arguments.device, true)?;
    let half = session.gpu().is_some_and(|gpu| gpu.report().shader_f16);
    let rows = rows::list(if session.is_processor() { rows::PROCESSOR_PART } else { 1 }, half);
    let is_needed = |bound| rows.iter().any(|row| asked(row) && row.bound == bound);
    // Shares are of ceilings: those come first, also where nobody asked for their rows.
    let mut ceilings = Ceilings::default();
    let mut measured: Vec<Option<Measured>> = Vec::new();
    for row in &rows {
        let first = row.is_ceiling && is_needed(row.bound);
        let time = first.then(|| measure(&session, &row.prepare)).transpose()?;
        if let Some(Ok(spread)) = &time {
            ceilings.raise(row, *spread);
        }
        measured.push(time);
    }
    let mut report = Report { session: &session, json: arguments.json, rows: Vec::new() };
    report.begin(ceilings, out);
    for (row, measured) in rows.iter().zip(measured).filter(|(row, _)| asked(row)) {
        let measured = match measured {
            Some(measured) => measured,
            None => measure(&session, &row.prepare)?,
        };
        report.row(row, &measured, ceilings, out);
    }
    if arguments.json {
        print(out, &format!("{:#}", session.json("kernels", report.rows)));
    }
    Ok(())
}

fn expect_match(only: &str) -> Result<()> {
    let rows = rows::list(1, true);
    if rows.iter().any(|row| row.name.contains(only)) {
        return Ok(());
    }
    let hint = match nearest(only, rows.iter().map(|row| row.name)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", rows.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")),
    };
    Err(TrainerError::Usage { message: format!("--only: no row's name contains `{only}`"), hint: Some(hint) })
}

/// What is printed: lines as they come, or one object at the end.
struct Report<'a> {
    session: &'a Session,
    json: bool,
    rows: Vec<Value>,
}

impl Report<'_> {
    fn begin(&self, ceilings: Ceilings, out: &mut dyn Write) {
        if self.json {
            return;
        }
        let small = if self.session.is_processor() { "sizes are small, so that it ends within a minute; " } else { "" };
        let ceiling = |rate: Option<f64>, unit: f64| optional(rate.map(|rate| rate / unit));
        print(
            out,
            &self.session.head(&format!(
                "{small}ceilings: the copy's {} GB/s, {} for rows, and the fastest product's {} TFLOP/s, in f16 {}",
                ceiling(ceilings.bytes, 1e9),
                ceiling(ceilings.row_bytes, 1e9),
                ceiling(ceilings.flops, 1e12),
                ceiling(ceilings.half_flops, 1e12)
            )),
        );
        print(out, &table::head(&COLUMNS));
    }

    fn row(&mut self, row: &Row, measured: &Measured, ceilings: Ceilings, out: &mut dyn Write) {
        if self.json {
            self.rows.push(json_row(row, measured, ceilings));
            return;
        }
        let line = match measured {
            Ok(spread) => table::line(&COLUMNS, &cells(row, *spread, ceilings)),
            Err(reason) => format!("{}  {reason}", table::line(&COLUMNS[..2], &[row.name.into(), row.sizes.clone()])),
        };
        print(out, &line);
    }
}

/// A rate in some unit, where anything is counted.
fn rate(count: f64, spread: Spread, unit: f64) -> Option<f64> {
    (count > 0.0).then(|| count / spread.median / unit)
}

fn cells(row: &Row, spread: Spread, ceilings: Ceilings) -> Vec<String> {
    let Spread { median, lowest, highest } = spread.times(1e6);
    vec![
        row.name.into(),
        row.sizes.clone(),
        number(median),
        number(lowest),
        number(highest),
        optional(rate(row.flops, spread, 1e12)),
        optional(rate(row.bytes, spread, 1e9)),
        percent(ceilings.share(row, spread)),
    ]
}

fn json_row(row: &Row, measured: &Measured, ceilings: Ceilings) -> Value {
    let spread = measured.as_ref().ok().copied();
    json!({
        "name": row.name,
        "sizes": row.sizes,
        "flops": row.flops,
        "bytes": row.bytes,
        "microseconds": spread.map(|spread| spread.times(1e6).json()),
        "tflops": spread.and_then(|spread| rate(row.flops, spread, 1e12)),
        "gigabytes_per_second": spread.and_then(|spread| rate(row.bytes, spread, 1e9)),
        "share_of_ceiling": spread.and_then(|spread| ceilings.share(row, spread)),
        "refused": measured.as_ref().err(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &'static str) -> Row {
        rows::list(1, true).into_iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn shares_are_of_the_ceiling_that_bounds_a_row() {
        let mut ceilings = Ceilings::default();
        let second = Spread::of(vec![1.0]);
        let (copy, add, product, attention) = (row("copy"), row("add"), row("matmul_1024"), row("attention_1024"));
        let (row_copy, norm) = (row("copy_rows"), row("rms_norm"));
        assert_eq!(ceilings.share(&add, second), None);
        ceilings.raise(&copy, second);
        ceilings.raise(&product, second);
        ceilings.raise(&product, second.times(2.0));
        assert_eq!(ceilings, Ceilings { flops: Some(product.flops), bytes: Some(copy.bytes), ..Ceilings::default() });
        assert_eq!(ceilings.share(&add, second.times(2.0)), Some(add.bytes / copy.bytes / 2.0));
        assert_eq!(ceilings.share(&attention, second), Some(attention.flops / product.flops));
        assert_eq!(ceilings.share(&norm, second), None);
        ceilings.raise(&row_copy, second);
        assert_eq!(ceilings.share(&norm, second), Some(norm.bytes / row_copy.bytes));
        assert_eq!(ceilings.share(&add, second), Some(add.bytes / copy.bytes));
    }

    #[test]
    fn a_line_has_the_rates_of_what_is_counted() {
        let add = row("add");
        let cells = cells(&add, Spread::of(vec![1e-3, 2e-3, 4e-3]), Ceilings::default());
        assert_eq!(cells[2..6], ["2000", "1000", "4000", "-"]);
        assert_eq!(cells[6..], [number(add.bytes / 2e-3 / 1e9), "-".into()]);
        let json = json_row(&add, &Err("too large".into()), Ceilings::default());
        assert_eq!((json["refused"].as_str(), json["microseconds"].is_null()), (Some("too large"), true));
    }

    #[test]
    fn a_name_without_a_row_suggests_the_nearest() {
        let error = expect_match("attnetion_1024").unwrap_err();
        assert_eq!((error.exit_code(), error.hint().unwrap().as_str()), (2, "did you mean `attention_1024`?"));
        assert!(expect_match("zzz").unwrap_err().hint().unwrap().contains("matmul_4096"));
        expect_match("attention").unwrap();
    }
}
