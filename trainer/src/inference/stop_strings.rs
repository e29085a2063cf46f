//! Strings that end a text.

/// Watches a text that comes in pieces for the first of several strings.
#[derive(Debug, Default)]
pub struct StopStrings {
    strings: Vec<String>,
    held: String,
}

impl StopStrings {
    /// Watches for these; empty ones are none.
    pub fn new(strings: &[String]) -> Self {
        Self { strings: strings.iter().filter(|string| !string.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Takes a piece of text. Returns what may be shown by now, and whether a string has come: then the text ends before it.
    pub fn push(&mut self, piece: &str) -> (String, bool) {
        self.held.push_str(piece);
        if let Some(at) = self.strings.iter().filter_map(|string| self.held.find(string.as_str())).min() {
            self.held.truncate(at);
            return (std::mem::take(&mut self.held), true);
        }
        // What could be the beginning of a string waits for its end.
        let begins = |rest: &str| self.strings.iter().any(|string| string.starts_with(rest));
        let wait = self.held.char_indices().map(|(at, _)| at).find(|at| begins(&self.held[*at..]));
        let rest = self.held.split_off(wait.unwrap_or(self.held.len()));
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was still waiting.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(strings: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
        let mut watch = StopStrings::new(&strings.iter().map(|string| (*string).to_owned()).collect::<Vec<_>>());
        let mut shown = Vec::new();
        for piece in pieces {
            let (text, stopped) = watch.push(piece);
            shown.push(text);
            if stopped {
                return (shown, true);
            }
        }
        shown.push(watch.finish());
        (shown, false)
    }

    #[test]
    fn a_string_ends_the_text_even_over_several_pieces() {
        assert_eq!(run(&["###"], &["ab#", "c##", "#d"]), (vec!["ab".into(), "#c".into(), String::new()], true));
        assert_eq!(run(&["END", "\n\n"], &["xE", "N\n", "\nD"]).0.concat(), "xEN");
        assert_eq!(run(&["b", "ab"], &["xab"]), (vec!["x".into()], true));
        assert_eq!(run(&["é🦀"], &["aé", "🦀"]), (vec!["a".into(), String::new()], true));
    }

    #[test]
    fn what_only_looked_like_it_is_shown() {
        assert_eq!(run(&["###"], &["a##", "b#"]), (vec!["a".into(), "##b".into(), "#".into()], false));
        assert_eq!(run(&[""], &["a", "b"]).0.concat(), "ab");
        assert_eq!(run(&["aab"], &["aaab"]), (vec!["a".into()], true));
    }
}
