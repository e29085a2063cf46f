//! Rules for the text of kernels and for where kernels may stand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Finding, Rule};

/// A file may have fewer lines than this.
const LINES: usize = 300;
/// A file with an entry point opens with as many lines of comment at least, empty ones not counted.
const HEAD: usize = 2;
/// Functions that a driver may let overflow into NaN, or that lose all accuracy for large arguments.
const OVERFLOWING: [&str; 7] = ["exp", "exp2", "tanh", "sin", "cos", "sinh", "cosh"];

/// What is wrong with a WGSL file. Files of the prelude may call what the others may not.
pub fn examine(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut add = |line: usize, message: String| {
        findings.push(Finding { rule: Rule::Text, place: format!("{path}:{line}"), message });
    };
    let lines = text.lines().count();
    if lines >= LINES {
        add(lines, format!("{lines} lines, fewer than {LINES} are allowed"));
    }
    let in_prelude = path.starts_with("prelude/");
    let code = without_comments(text);
    for (number, line) in code.lines().enumerate() {
        for (word, called) in words(line) {
            match word {
                "enable" | "requires" | "diagnostic" => {
                    add(number + 1, format!("`{word}`, which only the head may hold"))
                }
                "arrayLength" => add(number + 1, "arrayLength: buffers are longer than their tensors".into()),
                "override" => add(number + 1, "an override: variants are made by constants".into()),
                _ if called && !in_prelude && OVERFLOWING.contains(&word) => {
                    add(number + 1, format!("`{word}` itself, instead of the prelude's"));
                }
                _ => {}
            }
        }
    }
    let head = text.lines().take_while(|line| line.starts_with("//")).filter(|line| line.len() > 3).count();
    if code.contains("@compute") && head < HEAD {
        add(1, format!("a comment of {head} lines at its head, at least {HEAD} are wanted"));
    }
    findings
}

/// The text with comments made blank, lines kept.
pub fn without_comments(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let (mut depth, mut in_line) = (0usize, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        match (character, next) {
            ('\n', _) => {
                in_line = false;
                code.push('\n');
            }
            _ if in_line => {}
            ('/', Some('*')) => {
                characters.next();
                depth += 1;
            }
            ('*', Some('/')) if depth > 0 => {
                characters.next();
                depth -= 1;
            }
            _ if depth > 0 => {}
            ('/', Some('/')) => in_line = true,
            _ => code.push(character),
        }
    }
    code
}

/// The words of a line, and whether an opening parenthesis follows.
fn words(line: &str) -> impl Iterator<Item = (&str, bool)> {
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.find(is_word)?;
        let word = &rest[first..];
        let length = word.find(|character| !is_word(character)).unwrap_or(word.len());
        rest = &word[length..];
        Some((&word[..length], rest.trim_start().starts_with('(')))
    })
}

/// All files below a folder whose name ends so, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub fn files_below(folder: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
