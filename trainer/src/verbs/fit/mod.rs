//! `gradus fit`: laws from tables of runs and times.

mod arguments;

pub use arguments::FitArgs;

use arguments::plan;
use gradus_fit::report::{Request, report};
use gradus_fit::table::Table;
use gradus_fit::{FitError, plot};
use std::io::IsTerminal;
use std::path::Path;

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
        kind_of(path)?;
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
        draw(path, &made.plots())?;
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

/// How a plot is drawn.
enum Picture {
    Svg,
    Png,
}

fn kind_of(path: &Path) -> Result<Picture, FitError> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("svg") => Ok(Picture::Svg),
        Some("png") => Ok(Picture::Png),
        _ => Err(plot_error(path, "a plot is written as .svg or .png".into())),
    }
}

fn plot_error(path: &Path, problem: String) -> FitError {
    FitError::File { path: path.display().to_string(), problem }
}

/// Writes beside the path and renames, so that no half a file is ever there.
fn draw(path: &Path, plots: &[plot::Plot]) -> Result<(), FitError> {
    let bytes = match kind_of(path)? {
        Picture::Svg => plot::svg(plots).into_bytes(),
        Picture::Png => plot::png(plots)?,
    };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes).and_then(|()| std::fs::rename(&partial, path)).map_err(|e| {
        // Whatever was written of it is of no use; that it cannot be removed changes nothing.
        let _ = std::fs::remove_file(&partial);
        plot_error(path, format!("cannot be written: {e}"))
    })
}
