//! What a report is made of: sections of parts, with diagrams, tables and the command that makes each anew.

use gradus_fit::plot::{Plot, Series};
use serde_json::Value;

/// A table for people.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    /// Above it.
    pub caption: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// The cells.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// An empty table.
    pub fn new(caption: &str, head: &[&str]) -> Self {
        Self { caption: caption.into(), head: head.iter().map(|name| (*name).into()).collect(), rows: Vec::new() }
    }
}

/// What one command of the fitter, or one reading of a folder, gives.
#[derive(Clone, Debug, Default)]
pub struct Part {
    /// What it is of, such as the architecture; empty if it is of everything.
    pub heading: String,
    /// Diagrams.
    pub plots: Vec<Plot>,
    /// Tables.
    pub grids: Vec<Grid>,
    /// What the fitter says.
    pub text: String,
    /// The fitter's document.
    pub document: Value,
    /// The command that makes it anew.
    pub command: String,
    /// What else there is to say.
    pub note: String,
    /// Why it could not be made.
    pub missing: Option<String>,
}

/// A section of the report.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its anchor.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What is shown, in a sentence or two.
    pub about: &'static str,
    /// Its parts; without any, [`Self::missing`] says why.
    pub parts: Vec<Part>,
    /// What is missing, if it is the whole section.
    pub missing: Option<String>,
    /// What was found, in words.
    pub found: Vec<String>,
    /// What the data do not settle.
    pub unsettled: Vec<String>,
}

impl Section {
    /// An empty section.
    pub fn new(id: &'static str, title: &'static str, about: &'static str) -> Self {
        Self { id, title, about, parts: Vec::new(), missing: None, found: Vec::new(), unsettled: Vec::new() }
    }

    /// The section with a sentence on what is missing.
    #[must_use]
    pub fn without(mut self, missing: &str) -> Self {
        self.missing = Some(missing.into());
        self
    }
}

/// The same diagram of several groups in one: a colour and a name a group.
pub fn together(of: &[(String, &Plot)]) -> Option<Plot> {
    let (_, first) = of.first()?;
    let mut plot = Plot { series: Vec::new(), ..(*first).clone() };
    for (colour, (label, one)) in of.iter().enumerate() {
        for series in &one.series {
            let name = if series.name.is_empty() { String::new() } else { label.clone() };
            plot.series.push(Series { name, colour, ..series.clone() });
        }
    }
    Some(plot)
}
