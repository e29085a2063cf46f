//! Text from a model on a screen, as it comes.

use gradus_models::tokenizer::{self, Tokenizer};

/// Joins tokens to text. If it goes to a terminal, control characters, with which a model could make it do anything, become
/// U+FFFD.
pub struct TextStream<'a> {
    stream: tokenizer::TextStream<'a>,
    terminal: bool,
}

impl<'a> TextStream<'a> {
    /// A stream to a terminal, or to a file or another program.
    pub fn new(tokenizer: &'a Tokenizer, terminal: bool) -> Self {
        Self { stream: tokenizer.stream(), terminal }
    }

    /// Takes a token and returns the text that is whole by now.
    pub fn push(&mut self, token: u32) -> String {
        let text = self.stream.push(token);
        self.shown(text)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let rest = self.stream.finish();
        self.shown(rest)
    }

    fn shown(&self, text: String) -> String {
        let harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        if self.terminal { text.chars().map(|c| if harmless(c) { c } else { '\u{fffd}' }).collect() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let bytes = Tokenizer::bytes(256);
        for (terminal, expected) in [(true, "\u{fffd}[2J\ta\u{fffd}\n\u{fffd}"), (false, "\x1b[2J\ta\r\n\u{fffd}")] {
            let mut stream = TextStream::new(&bytes, terminal);
            let text: String = b"\x1b[2J\ta\r\n\xe6".iter().map(|byte| stream.push((*byte).into())).collect();
            assert_eq!(text + &stream.finish(), expected);
        }
    }
}
