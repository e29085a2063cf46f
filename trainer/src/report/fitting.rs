//! A question to the fitter as a part of a section.

use gradus_fit::FitError;
use gradus_fit::report::Report;

use super::ask::Ask;
use super::parts::{Part, Section};
use super::study::Source;
use crate::error::Result;

/// Adds what the fitter answers, to which `fill` adds tables and sentences. Data that allow no fit are said; they are no error.
///
/// # Errors
/// If a column is missing or a cell damaged.
pub fn add(
    section: &mut Section,
    source: &Source,
    ask: &Ask,
    heading: String,
    fill: impl FnOnce(&mut Section, &mut Part, Report),
) -> Result<()> {
    let mut part = Part { heading, command: ask.command(&source.path), ..Part::default() };
    match ask.answer(&source.table) {
        Ok(report) => {
            part.text = report.text();
            part.document = report.json();
            part.plots = report.sections.iter().flat_map(|section| &section.plots).cloned().collect();
            fill(section, &mut part, report);
        }
        Err(error @ (FitError::Cell { .. } | FitError::MissingColumn { .. })) => return Err(error.into()),
        Err(error) => {
            let of = if part.heading.is_empty() { String::new() } else { format!(", {}", part.heading) };
            section.unsettled.push(format!("{}{of}: no fit. {error}.", section.title));
            part.missing = Some(format!("No fit: {error}."));
        }
    }
    section.parts.push(part);
    Ok(())
}
