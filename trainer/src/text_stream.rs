//! Bytes from a model as text on a screen, as they come.

/// Joins bytes to characters. What is not UTF-8 becomes U+FFFD; so do control characters if the text goes to a terminal,
/// which a byte-level model could otherwise make do anything.
#[derive(Debug, Default)]
pub struct TextStream {
    waiting: Vec<u8>,
    terminal: bool,
}

impl TextStream {
    /// A stream to a terminal, or to a file or another program.
    pub fn new(terminal: bool) -> Self {
        Self { waiting: Vec::new(), terminal }
    }

    /// Takes a token and returns the text that is whole by now. Tokens from 256 on stand for no byte.
    pub fn push(&mut self, token: u32) -> String {
        match u8::try_from(token) {
            Ok(byte) => {
                self.waiting.push(byte);
                self.whole()
            }
            Err(_) => self.finish() + "\u{fffd}",
        }
    }

    fn whole(&mut self) -> String {
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.waiting) {
                Ok(rest) => {
                    text.push_str(rest);
                    self.waiting.clear();
                    break;
                }
                Err(error) => {
                    let good = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.waiting[..good]));
                    let Some(bad) = error.error_len() else {
                        // The start of a character whose end is still to come.
                        self.waiting.drain(..good);
                        break;
                    };
                    text.push('\u{fffd}');
                    self.waiting.drain(..good + bad);
                }
            }
        }
        self.shown(text)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> String {
        let rest = String::from_utf8_lossy(&std::mem::take(&mut self.waiting)).into_owned();
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

    fn streamed(bytes: &[u8], terminal: bool) -> String {
        let mut stream = TextStream::new(terminal);
        let text: String = bytes.iter().map(|byte| stream.push((*byte).into())).collect();
        text + &stream.finish()
    }

    #[test]
    fn text_comes_out_as_it_went_in() {
        for text in ["fn main() {}\n", "Übergröße, 日本, 🦀 end", ""] {
            assert_eq!(streamed(text.as_bytes(), true), text);
        }
        let mut stream = TextStream::new(false);
        assert_eq!((stream.push(0xc3), stream.push(0xa9)), (String::new(), "é".into()));
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        for bytes in [&b"a\xffb\xc3(c\xe6\x97"[..], b"\xf0\x9f\xa6", b"\x80\x80", b"\xe6\x97a"] {
            assert_eq!(streamed(bytes, false), String::from_utf8_lossy(bytes));
        }
        assert_eq!(streamed(b"\x1b[2J\ta\r\n", true), "\u{fffd}[2J\ta\u{fffd}\n");
        let mut stream = TextStream::new(false);
        assert_eq!((stream.push(b'a'.into()), stream.push(300)), ("a".into(), "\u{fffd}".into()));
    }
}
