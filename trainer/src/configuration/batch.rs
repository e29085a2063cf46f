//! A batch that is a number, or to be as large as memory allows.

use toml::{Table, Value};

use super::document::{Document, set_value, value_at};
use super::layers::count;

/// What `--batch` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// As many sequences as memory holds.
    Auto,
    /// So many sequences.
    Rows(u64),
}

impl BatchSize {
    const AUTO: &str = "auto";

    /// The value of the key.
    pub(super) fn value(self) -> Value {
        match self {
            Self::Auto => Value::String(Self::AUTO.into()),
            Self::Rows(rows) => count(rows),
        }
    }
}

/// A batch that is to be as large as memory allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutomaticBatch {
    /// As many sequences as fit.
    Free,
    /// A step has a given number of sequences: `batch` x `accumulation` as they stand.
    OfStep,
}

/// Puts a number in the place of `auto`: the one of the highest layer that names one, flag or document, else `default`. Returns
/// what is to be chosen.
pub(super) fn automatic(
    sections: &mut Table,
    documents: &[Document],
    flag: Option<BatchSize>,
    default: usize,
) -> Option<AutomaticBatch> {
    if value_at(sections, "train", "batch")?.as_str() != Some(BatchSize::AUTO) {
        return None;
    }
    let in_documents = || documents.iter().rev().find_map(|document| document.value("train", "batch")?.as_integer());
    let named = flag.and_then(|flag| flag.value().as_integer()).or_else(in_documents);
    set_value(sections, "train", "batch", Value::Integer(named.unwrap_or(default as i64)));
    Some(if named.is_some() { AutomaticBatch::OfStep } else { AutomaticBatch::Free })
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, Layers, ModelBase, Train};
    use super::*;

    fn train(file: &str, flags: Flags) -> Train {
        let layers = Layers::over(Some(Document::parse("a.toml", file).unwrap()), flags).unwrap();
        layers.resolve(ModelBase::FileOr("xlstm-tiny"), 256).unwrap().train
    }

    fn flag(batch: BatchSize) -> Flags {
        Flags { batch: Some(batch), ..Flags::default() }
    }

    #[test]
    fn an_automatic_batch_keeps_the_step_that_a_lower_layer_names() {
        let free = train("", flag(BatchSize::Auto));
        assert_eq!((free.automatic_batch, free.batch), (Some(AutomaticBatch::Free), 8));
        assert_eq!(train("[train]\nbatch = 'auto'\n", Flags::default()).automatic_batch, Some(AutomaticBatch::Free));
        let named = train("[train]\nbatch = 32\naccumulation = 2\n", flag(BatchSize::Auto));
        assert_eq!((named.automatic_batch, named.batch, named.accumulation), (Some(AutomaticBatch::OfStep), 32, 2));
        let number = train("[train]\nbatch = 'auto'\n", flag(BatchSize::Rows(4)));
        assert_eq!((number.automatic_batch, number.batch), (None, 4));
        let assigned = Flags { set: vec!["train.batch=auto".into()], ..flag(BatchSize::Rows(4)) };
        let assigned = train("[train]\nbatch = 32\n", assigned);
        assert_eq!((assigned.automatic_batch, assigned.batch), (Some(AutomaticBatch::OfStep), 4));
    }
}
