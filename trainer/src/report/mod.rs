//! `gradus report`: what studies found, as one HTML file with its diagrams, tables, and the command behind each.
//!
//! [`study`] reads a folder, [`ask`] puts questions to the fitter, [`fitting`] its answers on the page, [`profiles`],
//! [`surface`], [`overtraining`], [`rates`], [`context`], [`pareto`], [`times`], [`roofline`] and [`training`] make sections of [`parts`],
//! [`published`] has the paper's figures, [`words`] writes numbers, [`page`] makes the file. Every figure comes from the fitter:
//! nothing is computed here.

pub mod ask;
pub mod context;
pub mod fitting;
pub mod overtraining;
pub mod page;
pub mod pareto;
pub mod parts;
pub mod profiles;
pub mod published;
pub mod rates;
pub mod roofline;
pub mod study;
pub mod surface;
pub mod times;
pub mod training;
pub mod words;

use std::io::Write;

use crate::error::{Result, TrainerError};
use crate::inference::print;
use crate::picture::write_whole;
use crate::verbs::report::Arguments;
use parts::Section;
use study::Study;

/// A folder with what was made of it.
pub struct Chapter {
    /// The folder.
    pub study: Study,
    /// Its sections, in the order of the page.
    pub sections: Vec<Section>,
}

impl Chapter {
    /// Reads a folder and fits what it has.
    ///
    /// # Errors
    /// If a file is damaged or there is nothing to report on.
    pub fn of(study: Study) -> Result<Self> {
        let [profiles, laws] = profiles::sections(&study)?;
        let [first_token, step] = times::sections(&study)?;
        let mut sections = vec![
            training::curves(&study)?,
            profiles,
            laws,
            surface::section(&study)?,
            overtraining::section(&study)?,
            context::section(&study)?,
            pareto::section(&study)?,
            first_token,
            step,
            roofline::section(&study)?,
            training::table(&study)?,
        ];
        if let Some(rates) = rates::section(&study)? {
            sections.insert(1, rates);
        }
        sections[0].unsettled.extend(scale(&study)?);
        Ok(Self { study, sections })
    }
}

/// Says how far below the paper's runs these are.
fn scale(study: &Study) -> Result<Option<String>> {
    let Some(runs) = &study.runs else { return Ok(None) };
    let most = runs.table.positive("flops_train")?.into_iter().fold(0.0, f64::max);
    Ok((most < published::LEAST_FLOPS).then(|| {
        format!(
            "The largest run has {} FLOPs and the paper\u{2019}s smallest {}: whether what is found here holds there is not \
             for these runs to say.",
            words::flops(most),
            words::flops(published::LEAST_FLOPS)
        )
    }))
}

/// Runs the verb.
///
/// # Errors
/// A folder without anything to report on, a damaged file, or a file that cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<()> {
    if !arguments.out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html")) {
        return Err(TrainerError::Usage {
            message: format!("--out {}: a report is an HTML file", arguments.out.display()),
            hint: Some("name a file that ends in .html".into()),
        });
    }
    // All folders are looked at before the first fit, which takes its time.
    let studies: Vec<Study> = arguments.folders.iter().map(|folder| Study::open(folder)).collect::<Result<_>>()?;
    let chapters: Vec<Chapter> = studies.into_iter().map(Chapter::of).collect::<Result<_>>()?;
    let page = page::html(&chapters, &page::command(arguments));
    write_whole(&arguments.out, page.as_bytes())?;
    let said = chapters.iter().flat_map(|chapter| &chapter.sections).flat_map(|section| &section.found);
    let text: String = said.map(|sentence| format!("{sentence}\n")).collect();
    print(out, &format!("{text}wrote {}\n", arguments.out.display())).map(drop)
}
