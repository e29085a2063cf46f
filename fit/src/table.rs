//! CSV tables: columns by name, rows by condition, and errors that say where.

use crate::FitError;
use std::path::Path;

/// Columns with the value that a group of rows shares in each.
pub type GroupValues = Vec<(String, String)>;

/// A table in memory; cells are text until a column is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    path: String,
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Line of each row in the file, from 1.
    lines: Vec<usize>,
}

impl Table {
    /// Reads a CSV file with a header.
    pub fn read(path: &Path) -> Result<Self, FitError> {
        let shown = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|e| FitError::File { path: shown.clone(), problem: format!("cannot be read: {e}") })?;
        let text = String::from_utf8(bytes).map_err(|e| FitError::File {
            path: shown.clone(),
            problem: format!("is not UTF-8 text (byte {})", e.utf8_error().valid_up_to()),
        })?;
        Self::parse(&shown, &text)
    }

    /// Reads CSV text; `path` is for messages.
    pub fn parse(path: &str, text: &str) -> Result<Self, FitError> {
        let problem = |problem: String| FitError::File { path: path.into(), problem };
        let mut records = records(text.strip_prefix('\u{feff}').unwrap_or(text)).map_err(problem)?.into_iter();
        let Some((_, header)) = records.next() else { return Err(problem("is empty: a header line is needed".into())) };
        let names: Vec<String> = header.iter().map(|n| n.trim().to_string()).collect();
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(problem(format!("has two columns named `{name}`")));
            }
        }
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for (line, cells) in records {
            if cells.len() != names.len() {
                return Err(problem(format!("row {line} has {} cells, the header has {}", cells.len(), names.len())));
            }
            rows.push(cells);
            lines.push(line);
        }
        Ok(Self { path: path.into(), names, rows, lines })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Renames columns: (`name` asked for, `other` in the file).
    pub fn rename(&mut self, pairs: &[(String, String)]) -> Result<(), FitError> {
        for (name, other) in pairs {
            let index = self.index(other)?;
            if let Some(old) = self.names.iter().position(|n| n == name && n != other) {
                self.names[old] = format!("{name} (as in the file)");
            }
            self.names[index].clone_from(name);
        }
        Ok(())
    }

    /// Whether a column is there.
    pub fn has(&self, column: &str) -> bool {
        self.names.iter().any(|n| n == column)
    }

    fn index(&self, column: &str) -> Result<usize, FitError> {
        self.names.iter().position(|n| n == column).ok_or_else(|| {
            let mut near: Vec<(f64, &String)> = self
                .names
                .iter()
                .map(|n| (strsim::jaro_winkler(n, column), n))
                .filter(|(score, _)| *score > 0.75)
                .collect();
            near.sort_by(|a, b| b.0.total_cmp(&a.0));
            let near: Vec<String> = near.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
            let hint = if near.is_empty() {
                format!("; it has {} (say --column {column}=NAME)", self.names.join(", "))
            } else {
                format!("; did you mean {}? (or --column {column}=NAME)", near.join(" or "))
            };
            FitError::MissingColumn { path: self.path.clone(), column: column.into(), hint }
        })
    }

    /// Cells of a column as text.
    pub fn text(&self, column: &str) -> Result<Vec<&str>, FitError> {
        let index = self.index(column)?;
        Ok(self.rows.iter().map(|r| r[index].trim()).collect())
    }

    fn cell_error(&self, row: usize, column: &str, problem: String) -> FitError {
        FitError::Cell { path: self.path.clone(), row: self.lines[row], column: column.into(), problem }
    }

    /// Line in the file of a row counted from 0, the header being line 1.
    pub fn line(&self, row: usize) -> usize {
        self.lines[row]
    }

    /// A column of finite numbers.
    pub fn numbers(&self, column: &str) -> Result<Vec<f64>, FitError> {
        let cells = self.text(column)?;
        cells
            .iter()
            .enumerate()
            .map(|(row, cell)| {
                let wrong = |problem: String| self.cell_error(row, column, problem);
                if cell.is_empty() {
                    return Err(wrong(
                        "the cell is empty; a number is needed (leave such rows out with --where)".into(),
                    ));
                }
                let value: f64 = cell.parse().map_err(|_| wrong(format!("`{cell}` is not a number")))?;
                if value.is_finite() { Ok(value) } else { Err(wrong(format!("`{cell}` is not a finite number"))) }
            })
            .collect()
    }

    /// A column of numbers above zero, for logarithms.
    pub fn positive(&self, column: &str) -> Result<Vec<f64>, FitError> {
        let values = self.numbers(column)?;
        match values.iter().position(|v| *v <= 0.0) {
            Some(row) => {
                Err(self.cell_error(row, column, format!("{} has no logarithm; it must be above zero", values[row])))
            }
            None => Ok(values),
        }
    }

    /// A column of weights: numbers not below zero, and not all zero.
    pub fn weights(&self, column: &str) -> Result<Vec<f64>, FitError> {
        let values = self.numbers(column)?;
        if let Some(row) = values.iter().position(|v| *v < 0.0) {
            return Err(self.cell_error(row, column, format!("a weight cannot be below zero, as {} is", values[row])));
        }
        if values.iter().all(|v| *v == 0.0) {
            return Err(FitError::Data(format!("every weight in column `{column}` of {} is zero", self.path)));
        }
        Ok(values)
    }

    /// Names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The rows at these positions.
    pub fn take(&self, rows: &[usize]) -> Self {
        Self {
            path: self.path.clone(),
            names: self.names.clone(),
            rows: rows.iter().map(|&i| self.rows[i].clone()).collect(),
            lines: rows.iter().map(|&i| self.lines[i]).collect(),
        }
    }

    /// The rows that meet a condition such as `arch == xlstm and ctx >= 2048`.
    pub fn filter(&self, condition: &str) -> Result<Self, FitError> {
        let mut keep: Vec<bool> = vec![true; self.len()];
        for clause in clauses(condition) {
            let (column, operator, wanted) = clause_of(clause)?;
            let cells = self.text(column)?;
            for (row, cell) in cells.iter().enumerate() {
                keep[row] &= compare(cell, operator, wanted).map_err(|p| self.cell_error(row, column, p))?;
            }
        }
        let rows: Vec<usize> = (0..self.len()).filter(|&i| keep[i]).collect();
        if rows.is_empty() {
            return Err(FitError::Data(format!("no row of {} meets `{condition}`", self.path)));
        }
        Ok(self.take(&rows))
    }

    /// Splits by the values of columns, in order of first appearance; each part with its values.
    pub fn group(&self, columns: &[String]) -> Result<Vec<(GroupValues, Self)>, FitError> {
        let mut cells = Vec::new();
        for column in columns {
            cells.push(self.text(column)?);
        }
        let mut groups: Vec<(Vec<&str>, Vec<usize>)> = Vec::new();
        for row in 0..self.len() {
            let key: Vec<&str> = cells.iter().map(|c| c[row]).collect();
            match groups.iter_mut().find(|g| g.0 == key) {
                Some(group) => group.1.push(row),
                None => groups.push((key, vec![row])),
            }
        }
        Ok(groups
            .into_iter()
            .map(|(key, rows)| {
                let named = columns.iter().cloned().zip(key.into_iter().map(str::to_string)).collect();
                (named, self.take(&rows))
            })
            .collect())
    }

    /// Lines of rows that repeat an earlier row in all of these columns, with the line they repeat.
    pub fn repeats(&self, columns: &[&str]) -> Result<Vec<(usize, usize)>, FitError> {
        let mut cells = Vec::new();
        for column in columns {
            cells.push(self.text(column)?);
        }
        let mut seen = std::collections::HashMap::new();
        let mut repeats = Vec::new();
        for row in 0..self.len() {
            let key: Vec<&str> = cells.iter().map(|c| c[row]).collect();
            match seen.get(&key) {
                Some(&first) => repeats.push((self.lines[row], first)),
                None => {
                    seen.insert(key, self.lines[row]);
                }
            }
        }
        Ok(repeats)
    }
}

/// Splits CSV text into records with the line each starts on; quotes may hold commas and line ends.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = Vec::new();
    let (mut cells, mut cell, mut quoted, mut line, mut first) = (Vec::new(), String::new(), false, 1, 1);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                line += 1;
                finish(&mut records, &mut cells, &mut cell, first);
                first = line;
            }
            '\r' if !quoted && characters.peek() == Some(&'\n') => {}
            c => {
                line += usize::from(c == '\n');
                cell.push(c);
            }
        }
    }
    if quoted {
        return Err(format!("row {first}: a quote is not closed"));
    }
    finish(&mut records, &mut cells, &mut cell, first);
    Ok(records)
}

fn finish(records: &mut Vec<(usize, Vec<String>)>, cells: &mut Vec<String>, cell: &mut String, line: usize) {
    // A line without any character is no record.
    if !(cells.is_empty() && cell.is_empty()) {
        cells.push(std::mem::take(cell));
        records.push((line, std::mem::take(cells)));
    }
}

/// Splits a condition at the word `and`, quoted text left alone.
fn clauses(condition: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, c) in condition.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '"' || c == '\'' => quote = Some(c),
            None if at >= start && condition[at..].to_ascii_lowercase().starts_with(" and ") => {
                parts.push(&condition[start..at]);
                start = at + " and ".len();
            }
            None => {}
        }
    }
    parts.push(&condition[start..]);
    parts
}

const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

fn clause_of(clause: &str) -> Result<(&str, &'static str, &str), FitError> {
    for operator in OPERATORS {
        if let Some((column, value)) = clause.split_once(operator) {
            let value = value.trim().trim_matches(['"', '\'']);
            return Ok((column.trim(), operator, value));
        }
    }
    Err(FitError::Data(format!(
        "--where: `{}` is not `column op value`; operators are {}",
        clause.trim(),
        OPERATORS.join(" ")
    )))
}

/// Compares as numbers where both are, else as text (equality only).
fn compare(cell: &str, operator: &str, wanted: &str) -> Result<bool, String> {
    if let (Ok(a), Ok(b)) = (cell.parse::<f64>(), wanted.parse::<f64>()) {
        return Ok(match operator {
            "==" => a == b,
            "!=" => a != b,
            "<" => a < b,
            "<=" => a <= b,
            ">" => a > b,
            _ => a >= b,
        });
    }
    match operator {
        "==" => Ok(cell == wanted),
        "!=" => Ok(cell != wanted),
        // An empty cell is neither above nor below.
        _ if cell.is_empty() => Ok(false),
        _ => Err(format!("`{cell}` {operator} `{wanted}` compares text; only == and != do that")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table::parse("runs.csv", "arch,loss,\"n, all\"\nx,3.5,1\ny,2.5,2\n\nx,3.5,1\n").expect("valid")
    }

    #[test]
    fn rows_are_filtered_grouped_and_compared() {
        let table = table();
        assert_eq!(table.numbers("n, all").expect("numbers"), [1.0, 2.0, 1.0]);
        assert_eq!(table.filter("arch == x and loss > 3").expect("rows").len(), 2);
        let quoted = Table::parse("f", "name,n\nsalt and pepper,1\nsalt,2\n").expect("valid");
        assert_eq!(quoted.filter("name == 'salt and pepper' AND n < 2").expect("rows").len(), 1);
        assert_eq!(table.group(&["arch".into()]).expect("groups").len(), 2);
        assert_eq!(table.repeats(&["loss", "n, all"]).expect("columns"), [(5, 2)]);
        let mut renamed = table.clone();
        renamed.rename(&[("val_loss".into(), "loss".into())]).expect("there");
        assert!(renamed.has("val_loss"));
    }

    #[test]
    fn mistakes_name_the_row_and_the_nearest_column() {
        let message = |r: Result<Vec<f64>, FitError>| r.expect_err("wrong").to_string();
        assert!(message(table().numbers("los")).contains("did you mean `loss`"));
        assert!(message(table().numbers("arch")).contains("row 2, column `arch`: `x` is not a number"));
        let odd = Table::parse("f", "a,b\n1,0\nNaN,2\n").expect("valid");
        assert!(message(odd.numbers("a")).contains("row 3, column `a`: `NaN` is not a finite number"));
        assert!(message(odd.positive("b")).contains("row 2, column `b`: 0 has no logarithm"));
        for (text, word) in
            [("", "empty"), ("a,b\n1\n", "row 2 has 1 cells"), ("a,a\n", "two columns"), ("a\n\"1\n", "not closed")]
        {
            assert!(Table::parse("f", text).expect_err(text).to_string().contains(word), "{text}");
        }
        let weighed = Table::parse("f", "a,b\n1,0\n-2,0\n").expect("valid");
        let weights = |column: &str| weighed.weights(column).expect_err("wrong").to_string();
        assert!(weights("a").contains("row 3, column `a`: a weight cannot be below zero"));
        assert!(weights("b").contains("every weight in column `b`"));
        assert!(table().filter("loss ~ 3").expect_err("operator").to_string().contains("operators are"));
        assert!(table().filter("loss > 100").expect_err("none").to_string().contains("no row"));
        assert!(table().filter("arch > y").is_err());
        assert!(Table::read(Path::new("/nowhere/at.all")).is_err());
    }
}
