//! `gradus fit`: laws from tables of runs and times.

mod arguments;

pub use arguments::FitArgs;

use arguments::plan;
use gradus_fit::report::{Request, report};
use gradus_fit::table::Table;
use gradus_fit::{FitError, plot};
use std::io::IsTerminal;

use crate::picture::{self, Picture};

/// Runs the verb and returns what it says: everything is computed before anything is written.
///
/// # Errors
/// A file, column or value that is wrong, by name; a fit that cannot be made.
pub fn run(args: FitArgs) -> Result<String, FitError> {
    let (what, input) = plan(args.what)?;
    input.refuse_unused(&what)?;
    let level = input.level.unwrap_or(0.95);
    if !(level > 0.0 && level < 1.0) {
        return Err(FitError::Data(format!("--level must lie between 0 and 1, not {level}")));
    }
    if let Some(path) = &input.plot {
        Picture::of(path)?;
    }
    let mut table = Table::read(&input.file)?;
    table.rename(&input.columns)?;
    if let Some(condition) = &input.condition {
        table = table.filter(condition)?;
    }
    let request = Request {
        what,
        group: input.group,
        weight: input.weight,
        condition: input.condition,
        level,
        bootstrap: input.bootstrap.unwrap_or(1000),
        seed: input.seed.unwrap_or(0),
    };
    let made = report(table, &request)?;
    if let Some(path) = &input.plot {
        picture::write(path, &made.plots())?;
    }
    if input.json {
        return Ok(format!("{:#}\n", made.json()));
    }
    let mut text = made.text().to_string();
    if std::io::stdout().is_terminal() {
        for diagram in made.plots().iter().take(4) {
            text.push_str(&format!("\n{}\n", plot::terminal(diagram, 72, 18)));
        }
    }
    Ok(text)
}
