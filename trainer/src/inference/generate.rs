//! `gradus generate`: continues texts, token by token as they come.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use gradus_models::configuration::Architecture;
use gradus_models::generate::{Language, Sampling, generate_batch};
use gradus_models::tokenizer::Tokenizer;
use serde_json::{Value, json};

use super::stop_strings::StopStrings;
use super::{Speaker, check_length, open_to_generate, print, token_file};
use crate::error::{Result, TrainerError};
use crate::figures;
use crate::text_stream::TextStream;
use crate::verbs::generate::Arguments;

/// What an empty prompt stands for where tokens are bytes: a model needs something to go on from.
const START: u32 = b'\n' as u32;
/// Tokens to write if nobody says how many.
const DEFAULT_TOKENS: usize = 200;

/// A text to go on from.
struct Prompt {
    text: String,
    tokens: Vec<u32>,
}

/// Writes the prompts and what the model makes of them to standard output, and the speed to standard error.
///
/// # Errors
/// If the folder holds no whole model, a prompt cannot be encoded or leaves no room, or the device fails.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Speaker { model, tokenizer, device, why } =
        open_to_generate(&arguments.model, arguments.device, arguments.precision)?;
    let prompts = prompts(arguments, &tokenizer)?;
    let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max().unwrap_or(0);
    let configuration = model.configuration();
    let count = match arguments.max_tokens {
        Some(count) => count as usize,
        // As many as there are positions for; of an xLSTM there is no end.
        None if configuration.architecture == Architecture::Transformer => {
            DEFAULT_TOKENS.min((configuration.context_length + 1).saturating_sub(longest)).max(1)
        }
        None => DEFAULT_TOKENS,
    };
    // The last token is written, not read.
    check_length(configuration, longest + count - 1, "a shorter prompt or fewer --max-tokens")?;
    let sampling = Sampling {
        temperature: arguments.temperature,
        top_k: arguments.top_k.map(|k| k as usize),
        top_p: arguments.top_p,
        repetition_penalty: arguments.repetition_penalty,
        seed: arguments.seed,
    };
    let started = Instant::now();
    let stdout = io::stdout();
    let terminal = stdout.is_terminal();
    let mut session = Session {
        model: model.as_ref(),
        tokenizer: &tokenizer,
        prompts: &prompts,
        arguments,
        count,
        sampling,
        terminal,
        out: &mut stdout.lock(),
        written: 0,
        first: None,
        started,
    };
    if !session.run()? {
        return Ok(());
    }
    let (written, first) = (session.written, session.first.unwrap_or_default());
    let total = started.elapsed().as_secs_f64();
    // The first token of a batch's texts is of the prefill.
    let rate = figures::count(written as f64 / total);
    // Nobody may be reading.
    let _ = writeln!(
        io::stderr(),
        "{written} tokens in {total:.2} s, {rate} tokens/s, the first after {:.1} ms on {} ({why})",
        first.as_secs_f64() * 1e3,
        device.name()
    );
    Ok(())
}

/// The prompts that the command line names, as tokens.
fn prompts(arguments: &Arguments, tokenizer: &Tokenizer) -> Result<Vec<Prompt>> {
    if let Some(path) = &arguments.tokens {
        let texts = token_file::read(path, tokenizer.vocabulary())?;
        return Ok(texts.into_iter().map(|tokens| Prompt { text: String::new(), tokens }).collect());
    }
    let texts = match &arguments.prompts {
        Some(path) => prompts_of_file(path)?,
        None => vec![arguments.prompt.clone()],
    };
    let several = texts.len() > 1;
    let encode = |(number, text): (usize, String)| -> Result<Prompt> {
        let mut tokens = tokenizer
            .encode(&text)
            .map_err(|error| match several {
                true => gradus_models::Error::Request(format!("prompt {}: {error}", number + 1)),
                false => error,
            })?
            .tokens;
        if tokens.is_empty() && tokenizer.is_bytes() {
            tokens.push(START);
        }
        if tokens.is_empty() {
            return Err(TrainerError::Usage {
                message: "the prompt is empty, and the model has no token that begins a text".into(),
                hint: Some("give a --prompt".into()),
            });
        }
        Ok(Prompt { text, tokens })
    };
    texts.into_iter().enumerate().map(encode).collect()
}

/// A prompt a line, or of a JSON file the strings of its list.
fn prompts_of_file(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(TrainerError::io("read", path))?;
    let wrong = |problem: String| TrainerError::Data {
        path: path.to_owned(),
        problem,
        hint: "give text with a prompt a line, or JSON (.json), a list of strings".into(),
    };
    let prompts: Vec<String> = if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| wrong(format!("it is no list of strings: {error}")))?
    } else {
        text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    };
    if prompts.is_empty() { Err(wrong("it has no prompts".into())) } else { Ok(prompts) }
}

/// Why a text ended.
#[derive(Clone, Copy, PartialEq)]
enum Reason {
    Length,
    StopString,
    EndToken,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::StopString => "stop",
            Self::EndToken => "end",
        }
    }
}

/// A text being written.
struct Text<'a> {
    stream: TextStream<'a>,
    stops: StopStrings,
    text: String,
    tokens: Vec<u32>,
    ended: Option<Reason>,
}

impl Text<'_> {
    /// Takes a token and returns what may be shown.
    fn push(&mut self, token: u32, end: &[u32], count: usize) -> String {
        self.tokens.push(token);
        if end.contains(&token) {
            self.ended = Some(Reason::EndToken);
        } else {
            let piece = self.stream.push(token);
            let (shown, stopped) = self.stops.push(&piece);
            self.text.push_str(&shown);
            if stopped {
                self.ended = Some(Reason::StopString);
                return shown;
            }
            if self.tokens.len() < count {
                return shown;
            }
            self.ended = Some(Reason::Length);
            return shown + &self.rest();
        }
        self.rest()
    }

    fn rest(&mut self) -> String {
        let piece = self.stream.finish();
        let (mut shown, stopped) = self.stops.push(&piece);
        if !stopped {
            shown.push_str(&self.stops.finish());
        }
        self.text.push_str(&shown);
        shown
    }
}

/// All prompts of a command.
struct Session<'a> {
    model: &'a dyn Language,
    tokenizer: &'a Tokenizer,
    prompts: &'a [Prompt],
    arguments: &'a Arguments,
    count: usize,
    sampling: Sampling,
    terminal: bool,
    out: &'a mut dyn Write,
    /// Tokens of all texts so far.
    written: u64,
    /// From the start to the first token of all.
    first: Option<Duration>,
    started: Instant,
}

impl Session<'_> {
    /// Whether anyone still reads at the end.
    fn run(&mut self) -> Result<bool> {
        let mut order: Vec<usize> = (0..self.prompts.len()).collect();
        // Texts of a batch stand at one position: those of like length go together.
        order.sort_by_key(|number| self.prompts[*number].tokens.len());
        let mut done: Vec<Option<Value>> = vec![None; self.prompts.len()];
        let mut shown = 0;
        for batch in order.chunks((self.arguments.batch as usize).max(1)) {
            for (number, result) in self.batch(batch)? {
                done[number] = Some(result);
            }
            if self.streams() {
                return Ok(true);
            }
            // In the order in which they were given.
            while let Some(result) = done.get_mut(shown).and_then(Option::take) {
                shown += 1;
                if !self.show(shown, &result)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// One text is shown as it comes, several one behind the other.
    fn streams(&self) -> bool {
        self.prompts.len() == 1 && !self.arguments.json
    }

    /// Generates the texts of these numbers.
    fn batch(&mut self, numbers: &[usize]) -> Result<Vec<(usize, Value)>> {
        let streams = self.streams();
        let end = if self.arguments.ignore_end { &[] } else { self.tokenizer.special().end.as_slice() };
        let mut texts: Vec<Text> = numbers
            .iter()
            .map(|_| Text {
                stream: TextStream::new(self.tokenizer, self.terminal && !self.arguments.json),
                stops: StopStrings::new(&self.arguments.stop),
                text: String::new(),
                tokens: Vec::new(),
                ended: None,
            })
            .collect();
        let prompts: Vec<(Vec<u32>, u64)> = numbers
            .iter()
            .map(|number| (self.prompts[*number].tokens.clone(), self.sampling.seed_of(*number)))
            .collect();
        let mut failure = None;
        let mut listening = true;
        if streams {
            listening = print(self.out, &self.prompts[numbers[0]].text)?;
        }
        generate_batch(self.model, &prompts, self.count, self.sampling, |row, token| {
            self.written += 1;
            self.first.get_or_insert_with(|| self.started.elapsed());
            let shown = texts[row].push(token, end, self.count);
            if streams {
                match print(self.out, &shown) {
                    Ok(heard) => listening = heard,
                    Err(error) => failure = Some(error),
                }
            }
            texts[row].ended.is_none() && listening && failure.is_none()
        })?;
        if let Some(error) = failure {
            return Err(error);
        }
        if streams && listening {
            print(self.out, "\n")?;
        }
        let result = |(number, text): (&usize, Text)| {
            let reason = text.ended.unwrap_or(Reason::Length).name();
            let prompt = &self.prompts[*number].text;
            (*number, json!({"prompt": prompt, "text": text.text, "tokens": text.tokens, "end": reason}))
        };
        Ok(numbers.iter().zip(texts).map(result).collect())
    }

    fn show(&mut self, number: usize, result: &Value) -> Result<bool> {
        if self.arguments.json {
            return print(self.out, &format!("{result}\n"));
        }
        let part = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
        let head = format!("=== {number} of {} ===", self.prompts.len());
        print(self.out, &format!("{head}\n{}{}\n", part("prompt"), part("text")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_lines_or_strings_of_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let (text, json) = (folder.path().join("p.txt"), folder.path().join("p.json"));
        fs::write(&text, "one\n\ntwo three\n").unwrap();
        assert_eq!(prompts_of_file(&text).unwrap(), ["one", "two three"]);
        fs::write(&json, r#"["a\nb", ""]"#).unwrap();
        assert_eq!(prompts_of_file(&json).unwrap(), ["a\nb", ""]);
        for (path, content, part) in [(&text, "\n", "no prompts"), (&json, "[1]", "no list of strings")] {
            fs::write(path, content).unwrap();
            let error = prompts_of_file(path).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn texts_end_at_the_count_a_string_or_a_token() {
        let bytes = Tokenizer::bytes(256);
        let text = |stop: &[&str], written: &[u8]| {
            let mut text = Text {
                stream: TextStream::new(&bytes, false),
                stops: StopStrings::new(&stop.iter().map(|stop| (*stop).to_owned()).collect::<Vec<_>>()),
                text: String::new(),
                tokens: Vec::new(),
                ended: None,
            };
            let mut shown = String::new();
            for byte in written {
                shown += &text.push((*byte).into(), &[0], 5);
                if text.ended.is_some() {
                    break;
                }
            }
            assert_eq!(shown, text.text);
            (shown, text.tokens.len(), text.ended.map(Reason::name))
        };
        assert_eq!(text(&[], b"abcdefg"), ("abcde".into(), 5, Some("length")));
        assert_eq!(text(&["cd"], b"abcdefg"), ("ab".into(), 4, Some("stop")));
        assert_eq!(text(&["ef"], b"abcdefg"), ("abcde".into(), 5, Some("length")));
        assert_eq!(text(&["bx"], b"ab\0"), ("ab".into(), 3, Some("end")));
        assert_eq!(text(&[], b"abc\xf0\x9f"), ("abc\u{fffd}".into(), 5, Some("length")));
    }
}
