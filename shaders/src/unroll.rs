//! Loops that are written out before a driver sees them.
//!
//! A loop whose line ends with the comment `// unrolled` is replaced by copies of its body with the counter's value in place of
//! its name. Drivers unroll loops too, but some decide only afterwards what lives in registers: an array that such a loop
//! indexes stays in memory. On an NVIDIA card, matrices that a subgroup holds together were read from memory and written to
//! it for each product. So kernels keep their arrays and loops, which read well, and the copies have constant indices.
//!
//! The file stays WGSL, with or without this. A copy of the loop takes one line, and blank lines follow, so that the numbers of
//! all lines stay as they are.

use std::collections::HashMap;

const MARK: &str = "// unrolled";

/// `text` with its marked loops written out.
///
/// # Panics
/// If a marked line is no loop that counts from a number up to a constant: a mistake in a file of ours, which the tests find.
pub(crate) fn unroll(text: String) -> String {
    if !text.contains(MARK) {
        return text;
    }
    let constants = constants(&text);
    let lines: Vec<&str> = text.lines().collect();
    let mut result = String::with_capacity(text.len() * 2);
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_end().ends_with(MARK) {
            let end = closing(&lines, at);
            result.push_str(&written_out(&lines[at..=end], &constants));
            result.push_str(&"\n".repeat(end - at + 1));
            at = end + 1;
        } else {
            result.push_str(lines[at]);
            result.push('\n');
            at += 1;
        }
    }
    result
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The line of the brace that closes the block which line `first` opens.
fn closing(lines: &[&str], first: usize) -> usize {
    let depth = indentation(lines[first]);
    (first + 1..lines.len())
        .find(|&at| lines[at].trim_start().starts_with('}') && indentation(lines[at]) == depth)
        .unwrap_or_else(|| panic!("{:?} is not closed", lines[first]))
}

/// A marked loop, from its first line to its brace, as one line.
fn written_out(lines: &[&str], constants: &HashMap<&str, i64>) -> String {
    let (counter, first, end, step) = counted(lines[0], constants);
    let mut body = String::new();
    let mut at = 1;
    while at < lines.len() - 1 {
        if lines[at].trim_end().ends_with(MARK) {
            let end = closing(lines, at);
            body.push_str(&written_out(&lines[at..=end], constants));
            at = end + 1;
        } else {
            body.push_str(lines[at].split("//").next().unwrap_or_default().trim());
            body.push(' ');
            at += 1;
        }
    }
    let mut value = first;
    let mut result = String::new();
    while value < end {
        result.push_str("{ ");
        result.push_str(&replaced(&body, counter, &format!("{value}u")));
        result.push_str("} ");
        value += step;
    }
    result
}

/// Counter, first value, end and step of `for (var i = 0u; i < END; i++) {`, or `i += STEP`.
fn counted<'a>(line: &'a str, constants: &HashMap<&str, i64>) -> (&'a str, i64, i64, i64) {
    let parts = || {
        let (head, _) = line.trim().strip_prefix("for (var ")?.rsplit_once(") {")?;
        let mut parts = head.split(';').map(str::trim);
        let (counter, first) = parts.next()?.split_once(" = ")?;
        let end = parts.next()?.strip_prefix(counter)?.strip_prefix(" < ")?;
        let step = match parts.next()?.strip_prefix(counter)? {
            "++" => 1,
            more => evaluate(more.strip_prefix(" += ")?, constants)?,
        };
        Some((counter, evaluate(first, constants)?, evaluate(end, constants)?, step))
    };
    parts().filter(|parts| parts.3 > 0).unwrap_or_else(|| panic!("{line:?} does not count from a number to a constant"))
}

/// `text` with the name `from` replaced wherever it stands alone and is no member of something.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for word in words(text) {
        let stands = word == from && !result.ends_with('.');
        result.push_str(if stands { to } else { word });
    }
    result
}

/// Names and numbers, and single characters between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = match is_part(first) {
            true => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            false => first.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        rest = after;
        Some(word)
    })
}

/// The constants of a text that are whole numbers or conditions, each on one line.
fn constants(text: &str) -> HashMap<&str, i64> {
    let mut constants = HashMap::new();
    for line in text.lines() {
        let named = line.strip_prefix("const ").and_then(|rest| rest.split(';').next()?.split_once('='));
        if let Some((name, value)) = named
            && let Some(value) = evaluate(value, &constants)
        {
            constants.insert(name.split(':').next().unwrap_or(name).trim(), value);
        }
    }
    constants
}

/// The value of an expression of whole numbers, constants and conditions (0 or 1); `None` if there is anything else in it.
fn evaluate(text: &str, constants: &HashMap<&str, i64>) -> Option<i64> {
    let words: Vec<&str> = words(text).filter(|word| !word.trim().is_empty()).collect();
    let mut expression = Expression { words: &words, constants };
    let value = expression.value(0)?;
    expression.words.is_empty().then_some(value)
}

struct Expression<'a> {
    words: &'a [&'a str],
    constants: &'a HashMap<&'a str, i64>,
}

/// Operators from those that bind least.
const OPERATORS: [&[&str]; 5] =
    [&["||", "|"], &["&&", "&"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/", "%"]];

impl<'a> Expression<'a> {
    /// Takes an operator of this level, if one comes next.
    fn operator(&mut self, level: usize) -> Option<&'static str> {
        let found = OPERATORS[level].iter().find(|operator| {
            let length = operator.len();
            self.words.len() > length && self.words[..length].concat() == **operator
        })?;
        self.words = &self.words[found.len()..];
        Some(found)
    }

    fn value(&mut self, level: usize) -> Option<i64> {
        if level == OPERATORS.len() {
            return self.single();
        }
        let mut left = self.value(level + 1)?;
        while let Some(operator) = self.operator(level) {
            let right = self.value(level + 1)?;
            left = match operator {
                "||" | "|" => i64::from(left != 0 || right != 0),
                "&&" | "&" => i64::from(left != 0 && right != 0),
                "==" => i64::from(left == right),
                "!=" => i64::from(left != right),
                "<=" => i64::from(left <= right),
                ">=" => i64::from(left >= right),
                "<" => i64::from(left < right),
                ">" => i64::from(left > right),
                "+" => left.checked_add(right)?,
                "-" => left.checked_sub(right)?,
                "*" => left.checked_mul(right)?,
                "/" => left.checked_div(right)?,
                _ => left.checked_rem(right)?,
            };
        }
        Some(left)
    }

    fn take(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// A number, a name, `select(...)` or what is in parentheses.
    fn single(&mut self) -> Option<i64> {
        let word = self.take()?;
        match word {
            "(" => {
                let value = self.value(0)?;
                (self.take()? == ")").then_some(value)
            }
            "select" => {
                let mut values = [0; 3];
                for (value, before) in values.iter_mut().zip(["(", ",", ","]) {
                    (self.take()? == before).then_some(())?;
                    *value = self.value(0)?;
                }
                (self.take()? == ")").then_some(if values[2] != 0 { values[1] } else { values[0] })
            }
            "true" => Some(1),
            "false" => Some(0),
            _ => match self.constants.get(word) {
                Some(&value) => Some(value),
                None => word.strip_suffix('u').unwrap_or(word).parse().ok(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_loops_are_written_out_and_lines_keep_their_numbers() {
        let text = "const WIDE: u32 = 4u;\nconst HALF = WIDE / 2u;\nfn main() {\n    for (var i = 0u; i < HALF; i++) {  // unrolled\n        \
                    for (var j = 1u; j < WIDE; j += 2u) {  // unrolled\n            sum[i * WIDE + j] += a_i[i].i;  // not i\n        }\n    }\n    done();\n}\n";
        let found = unroll(text.into());
        assert_eq!(found.lines().count(), text.lines().count());
        assert_eq!(found.lines().nth(8), Some("    done();"));
        let line = found.lines().nth(3).unwrap_or_default();
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(
            words.join(" "),
            "{ { sum[0u * WIDE + 1u] += a_i[0u].i; } { sum[0u * WIDE + 3u] += a_i[0u].i; } } \
             { { sum[1u * WIDE + 1u] += a_i[1u].i; } { sum[1u * WIDE + 3u] += a_i[1u].i; } }"
        );
        // What is not marked stays as it is.
        let plain = "for (var i = 0u; i < n; i++) {\n}\n";
        assert_eq!(unroll(plain.into()), plain);
    }

    #[test]
    fn expressions_of_constants_have_their_value() {
        let constants = HashMap::from([("A", 5), ("B", 2)]);
        for (text, value) in [
            ("A * (B + 1u) - 4u", Some(11)),
            ("select(16u, 32u, A > 4u && B == 2u)", Some(32)),
            ("(A >= 6u) | (B != 2u)", Some(0)),
            ("A / B % 2u", Some(0)),
            ("1.5", None),
            ("parameters.rows", None),
            ("A / (B - 2u)", None),
        ] {
            assert_eq!(evaluate(text, &constants), value, "{text}");
        }
    }

    #[test]
    #[should_panic(expected = "does not count")]
    fn a_marked_loop_without_a_constant_end_is_a_mistake() {
        let _ = unroll("for (var i = 0u; i < count; i++) {  // unrolled\n}\n".into());
    }
}
