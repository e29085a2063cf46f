//! Questions to the fitter, each with the command of the shell that asks the same.

use std::path::Path;

use gradus_fit::FitError;
use gradus_fit::report::{Report, Request, What, report};
use gradus_fit::table::Table;

/// One question about the rows of one file.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The law, as on the command line.
    pub law: &'static str,
    /// The law, as the fitter takes it.
    pub what: What,
    /// Flags of this law alone that say what [`Self::what`] says.
    pub flags: String,
    /// Columns whose values separate fits.
    pub group: Vec<String>,
    /// Conditions on rows, all of which hold.
    pub conditions: Vec<String>,
    /// Column of weights.
    pub weight: Option<String>,
}

impl Ask {
    /// A question about every row.
    pub fn new(law: &'static str, what: What) -> Self {
        Self { law, what, flags: String::new(), group: Vec::new(), conditions: Vec::new(), weight: None }
    }

    /// The same about the rows of a group.
    #[must_use]
    pub fn of(mut self, group: &[(String, String)]) -> Self {
        self.conditions.extend(group.iter().map(|(column, value)| format!("{column} == {}", word(value))));
        self
    }

    fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" and "))
    }

    /// The command that prints the fit of this file.
    pub fn command(&self, file: &Path) -> String {
        let mut line = format!("gradus fit {} {}", self.law, quoted(&file.display().to_string()));
        if let Some(condition) = self.condition() {
            line += &format!(" --where {}", quoted(&condition));
        }
        if !self.group.is_empty() {
            line += &format!(" --group {}", self.group.join(","));
        }
        if let Some(weight) = &self.weight {
            line += &format!(" --weight {weight}");
        }
        line + &self.flags
    }

    /// The fitter's answer.
    ///
    /// # Errors
    /// What the fitter has to say of the data.
    pub fn answer(&self, table: &Table) -> Result<Report, FitError> {
        let condition = self.condition();
        let table = match &condition {
            Some(condition) => table.filter(condition)?,
            None => table.clone(),
        };
        let request = Request {
            group: self.group.clone(),
            weight: self.weight.clone(),
            condition,
            ..Request::new(self.what.clone())
        };
        report(table, &request)
    }
}

/// A value as a condition takes it.
fn word(value: &str) -> String {
    if value.contains(char::is_whitespace) { format!("\"{value}\"") } else { value.to_owned() }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,=:".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
