//! The roofline: FLOP/s over FLOPs a byte of prefills and generation steps.

use gradus_fit::report::{TimingKind, TimingSettings, What};

use super::ask::Ask;
use super::fitting::add;
use super::parts::{Grid, Section};
use super::study::Study;
use super::words::{ends, number, range};
use crate::error::Result;

const ABOUT: &str = "Every timed call by its FLOPs a byte and the FLOP/s that it reached. The roof is made of the highest rates of any \
    of them, of arithmetic and of memory: nothing that was timed here is above it, and the card itself may allow more.";

/// The section.
///
/// # Errors
/// If a column of a file is missing or damaged.
pub fn section(study: &Study) -> Result<Section> {
    let mut section = Section::new("roofline", "Roofline", ABOUT);
    let mut sources = Vec::new();
    for source in [&study.first_token, &study.step].into_iter().flatten() {
        if sources.iter().all(|(path, _)| *path != &source.path) {
            sources.push((&source.path, source));
        }
    }
    if sources.is_empty() {
        return Ok(section.without("There is no inference.csv in this folder."));
    }
    let several = sources.len() > 1;
    for (path, source) in sources {
        let ask = Ask::new("roofline", What::Roofline(TimingSettings::new(TimingKind::Step)));
        let heading =
            if several { path.file_name().unwrap_or_default().to_string_lossy().into_owned() } else { String::new() };
        add(&mut section, source, &ask, heading, |section, part, report| {
            let fit = &report.sections[0].fit;
            let mut grid = Grid::new("Share of the roof", &["calls", "FLOPs a byte", "share reached"]);
            let percent = |share: f64| format!("{:.0} %", 100.0 * share);
            for one in fit["law"].as_array().into_iter().flatten() {
                grid.rows.push(vec![
                    one["name"].as_str().unwrap_or("").to_owned(),
                    range(ends(one, "/intensity"), |value| format!("{value:.1}")),
                    range(ends(one, "/share"), percent),
                ]);
            }
            section.found.push(format!(
                "Roofline{}: the fastest call reaches {:.3e} FLOP/s, the one that moves most {:.3e} byte/s; below {:.1} FLOPs a byte \
                 memory is the bound.",
                if part.heading.is_empty() { String::new() } else { format!(", {}", part.heading) },
                number(fit, "/flop_rate"),
                number(fit, "/byte_rate"),
                number(fit, "/ridge")
            ));
            part.grids = vec![grid];
        })?;
    }
    Ok(section)
}
