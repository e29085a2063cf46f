//! Aligned tables whose lines are printed as they are measured: the widths are fixed.

/// A column: its name with the unit, and its width. Texts stand at the left, numbers at the right.
pub enum Column {
    /// Of words.
    Text(&'static str, usize),
    /// Of numbers.
    Number(&'static str, usize),
}

/// The names of the columns and a rule below them.
pub fn head(columns: &[Column]) -> String {
    let names: Vec<String> = columns
        .iter()
        .map(|column| match column {
            Column::Text(name, _) | Column::Number(name, _) => name.to_string(),
        })
        .collect();
    let names = line(columns, &names);
    format!("{names}\n{}", "-".repeat(names.chars().count()))
}

/// One line.
pub fn line(columns: &[Column], cells: &[String]) -> String {
    let cells = columns.iter().zip(cells).map(|(column, cell)| match column {
        Column::Text(_, width) => format!("{cell:<width$}"),
        Column::Number(_, width) => format!("{cell:>width$}"),
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
}

/// A number with three digits or all before the point: 0.0123, 1.23, 12.3, 123, 12345. A dash for what is none, such as a rate
/// over no time: some clocks are coarse.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    let decimals = match value.abs() {
        x if x >= 99.95 || x == 0.0 => 0,
        x if x >= 9.995 => 1,
        x if x >= 0.9995 => 2,
        x if x >= 0.09995 => 3,
        _ => 4,
    };
    format!("{value:.decimals$}")
}

/// A number that may be missing.
pub fn optional(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), number)
}

/// A share in percent.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.1}", 100.0 * share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_their_names() {
        let columns = [Column::Text("kernel", 8), Column::Number("µs", 6)];
        assert_eq!(head(&columns), "kernel        µs\n----------------");
        assert_eq!(line(&columns, &["add".into(), number(12.345)]), "add         12.3");
        assert_eq!([optional(None), percent(Some(0.5)), percent(None)], ["-", "50.0", "-"]);
        assert_eq!(number(1.0 / 0.0), "-");
        assert_eq!([0.0123, 1.234, 99.97, 12_345.6].map(number), ["0.0123", "1.23", "100", "12346"]);
    }
}
