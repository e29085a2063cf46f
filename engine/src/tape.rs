//! Reverse-mode differentiation: the tape, its values, and the way back.
//!
//! A [`Tape`] records each operation whose result depends on one of its leaves. [`Tape::backward`] walks the record from
//! the end to the start, asks each operation for the gradients of its inputs, adds up what reaches the same value, and
//! drops each node, and with it what the node had saved, as it passes. A tape is used once, by one thread; there is no
//! global state. Only first derivatives: the way back is not recorded.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::error::{Error, Result};
use crate::operation::{Context, Operation, run, run_backward_onto};
use crate::ops::arithmetic::add_tensors;
use crate::tensor::{Spec, Tensor};

/// The record of one forward pass.
#[derive(Debug, Clone, Default)]
pub struct Tape(Rc<RefCell<Record>>);

#[derive(Debug, Default)]
struct Record {
    nodes: Vec<Node>,
    values: usize,
    consumed: bool,
}

#[derive(Debug)]
struct Node {
    kind: Kind,
    /// For each input its value on the tape, if it is on the tape.
    inputs: Vec<Option<usize>>,
    input_specs: Vec<Spec>,
    /// The values of the visible outputs are `first_output..first_output + visible`.
    first_output: usize,
    visible: usize,
}

enum Kind {
    Operation {
        operation: Rc<dyn Operation>,
        inputs: Vec<Option<Tensor>>,
        outputs: Vec<Option<Tensor>>,
    },
    /// Only the inputs were kept; the function runs again on the way back.
    Checkpoint {
        function: Function,
        inputs: Vec<Tensor>,
    },
}

type Function = Box<dyn Fn(&[Var]) -> Result<Vec<Var>>>;

impl std::fmt::Debug for Kind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operation { operation, .. } => operation.fmt(formatter),
            Self::Checkpoint { .. } => formatter.write_str("checkpoint"),
        }
    }
}

/// A tensor in a computation: a constant, or a value on a tape.
#[derive(Debug, Clone)]
pub struct Var {
    tensor: Tensor,
    link: Option<(Tape, usize)>,
}

impl Var {
    /// A value that no gradient flows to.
    pub fn constant(tensor: Tensor) -> Self {
        Self { tensor, link: None }
    }

    /// The tensor.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The tensor, giving up the place on the tape.
    pub fn into_tensor(self) -> Tensor {
        self.tensor
    }

    /// The sizes, outermost first.
    pub fn sizes(&self) -> &[usize] {
        self.tensor.sizes()
    }

    /// Whether the value is on a tape, so that a gradient may flow to it.
    pub fn needs_gradient(&self) -> bool {
        self.link.is_some()
    }
}

impl From<Tensor> for Var {
    fn from(tensor: Tensor) -> Self {
        Self::constant(tensor)
    }
}

/// Runs an operation; records it if one of its inputs is on a tape. Returns the visible outputs.
///
/// # Errors
/// Shapes, types or devices that do not fit, inputs of two tapes, a tape after its backward, and what the computation meets.
pub fn apply(operation: impl Operation, inputs: &[&Var]) -> Result<Vec<Var>> {
    let tape = common_tape(operation.name(), inputs)?;
    let tensors: Vec<&Tensor> = inputs.iter().map(|input| &input.tensor).collect();
    let outputs = run(&operation, &tensors)?;
    let visible = outputs.len() - operation.auxiliary();
    let Some(tape) = tape else {
        return Ok(outputs.into_iter().take(visible).map(Var::constant).collect());
    };
    let saves = operation.saves();
    let keep = |tensor: &Tensor, place: usize, kept: &[usize]| kept.contains(&place).then(|| tensor.clone());
    let kind = Kind::Operation {
        operation: Rc::new(operation),
        inputs: tensors.iter().enumerate().map(|(place, tensor)| keep(tensor, place, saves.inputs)).collect(),
        outputs: outputs.iter().enumerate().map(|(place, tensor)| keep(tensor, place, saves.outputs)).collect(),
    };
    Ok(tape.record(kind, inputs, outputs.into_iter().take(visible)))
}

/// [`apply`] for an operation with one visible output.
///
/// # Errors
/// As [`apply`].
pub fn apply_one(operation: impl Operation, inputs: &[&Var]) -> Result<Var> {
    let name = operation.name();
    let outputs = apply(operation, inputs)?;
    outputs.into_iter().next().ok_or_else(|| Error::shape(name, "the operation has no output"))
}

fn common_tape(operation: &'static str, inputs: &[&Var]) -> Result<Option<Tape>> {
    let mut tapes = inputs.iter().filter_map(|input| input.link.as_ref().map(|(tape, _)| tape));
    let Some(first) = tapes.next() else { return Ok(None) };
    if tapes.any(|other| !Rc::ptr_eq(&other.0, &first.0)) {
        return Err(Error::Tape(format!("{operation}: its inputs are on two different tapes")));
    }
    if first.0.borrow().consumed {
        return Err(Error::Tape(format!("{operation}: the tape of an input was used by its backward; record anew")));
    }
    Ok(Some(first.clone()))
}

impl Tape {
    /// An empty tape.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a tensor on the tape, so that [`Tape::backward`] gives its gradient.
    pub fn leaf(&self, tensor: Tensor) -> Var {
        let mut record = self.0.borrow_mut();
        let value = record.values;
        record.values += 1;
        Var { tensor, link: Some((self.clone(), value)) }
    }

    fn record(&self, kind: Kind, inputs: &[&Var], outputs: impl Iterator<Item = Tensor>) -> Vec<Var> {
        let mut record = self.0.borrow_mut();
        let first_output = record.values;
        let outputs: Vec<Var> = outputs
            .enumerate()
            .map(|(place, tensor)| Var { tensor, link: Some((self.clone(), first_output + place)) })
            .collect();
        record.values += outputs.len();
        record.nodes.push(Node {
            kind,
            inputs: inputs.iter().map(|input| input.link.as_ref().map(|(_, value)| *value)).collect(),
            input_specs: inputs.iter().map(|input| input.tensor.spec()).collect(),
            first_output,
            visible: outputs.len(),
        });
        outputs
    }

    /// Runs `function` without recording it: on the way back it runs again from its inputs, so that only they are kept.
    /// Everything that needs a gradient, weights too, must be among `inputs`.
    ///
    /// # Errors
    /// What `function` meets; inputs of two tapes.
    pub fn checkpoint(inputs: &[&Var], function: impl Fn(&[Var]) -> Result<Vec<Var>> + 'static) -> Result<Vec<Var>> {
        let tape = common_tape("checkpoint", inputs)?;
        let constants: Vec<Var> = inputs.iter().map(|input| Var::constant(input.tensor.clone())).collect();
        let outputs = function(&constants)?;
        let Some(tape) = tape else { return Ok(outputs) };
        let kind = Kind::Checkpoint {
            function: Box::new(function),
            inputs: inputs.iter().map(|input| input.tensor.clone()).collect(),
        };
        Ok(tape.record(kind, inputs, outputs.into_iter().map(Var::into_tensor)))
    }

    /// The gradients of a scalar with respect to every leaf. The tape cannot be used again.
    ///
    /// # Errors
    /// A value that is not a scalar or not on this tape; a tape used before; what the operations meet.
    pub fn backward(&self, loss: &Var) -> Result<Gradients> {
        if loss.tensor.elements() != 1 {
            return Err(Error::shape(
                "backward",
                format!("the loss must be one number, it is {:?}", loss.tensor.shape()),
            ));
        }
        let one = Tensor::new(&loss.tensor.device(), loss.sizes(), &[1f32]);
        let one = match loss.tensor.dtype() {
            crate::DType::F64 => Tensor::new(&loss.tensor.device(), loss.sizes(), &[1f64]),
            _ => one,
        }?;
        self.backward_from(vec![(loss.clone(), one)])
    }

    /// The gradients of Σ ⟨value, d_value⟩ with respect to every leaf. The tape cannot be used again.
    ///
    /// # Errors
    /// As [`Tape::backward`]; a gradient whose shape is not its value's.
    pub fn backward_from(&self, seeds: Vec<(Var, Tensor)>) -> Result<Gradients> {
        let (mut nodes, values) = {
            let mut record = self.0.borrow_mut();
            if record.consumed {
                return Err(Error::Tape("backward: the tape was used by a backward before; record anew".into()));
            }
            record.consumed = true;
            (std::mem::take(&mut record.nodes), record.values)
        };
        let mut gradients: Vec<Option<Tensor>> = vec![None; values];
        for (var, seed) in seeds {
            let value = match &var.link {
                Some((tape, value)) if Rc::ptr_eq(&tape.0, &self.0) => *value,
                _ => return Err(Error::Tape("backward: the value is not on this tape".into())),
            };
            if seed.spec() != var.tensor.spec() {
                return Err(Error::shape("backward", format!("a gradient {seed:?} was given for {:?}", var.tensor)));
            }
            accumulate(&mut gradients[value], seed)?;
        }
        while let Some(node) = nodes.pop() {
            let outputs = node.first_output..node.first_output + node.visible;
            let d_outputs: Vec<Option<Tensor>> = gradients[outputs].iter_mut().map(Option::take).collect();
            if d_outputs.iter().all(Option::is_none) {
                continue;
            }
            let targets = node.inputs.clone();
            // A sum goes to the first of a node's inputs that are the same value; the tape adds what the others give.
            let mut sums: Vec<Option<Tensor>> =
                targets.iter().map(|target| take_exclusive(&mut gradients[(*target)?])).collect();
            let d_inputs = node.backward(&d_outputs, &mut sums)?;
            for (target, sum) in targets.iter().zip(sums) {
                if let (&Some(target), Some(sum)) = (target, sum) {
                    gradients[target] = Some(sum);
                }
            }
            for (target, d_input) in targets.into_iter().zip(d_inputs) {
                if let (Some(target), Some(d_input)) = (target, d_input) {
                    accumulate(&mut gradients[target], d_input)?;
                }
            }
        }
        let found = gradients.into_iter().enumerate();
        Ok(Gradients(found.filter_map(|(value, gradient)| gradient.map(|gradient| (value, gradient))).collect()))
    }
}

/// The sum so far, taken out if its buffer may be changed in place.
fn take_exclusive(slot: &mut Option<Tensor>) -> Option<Tensor> {
    let exclusive = slot.as_mut().is_some_and(Tensor::is_exclusive);
    if exclusive { slot.take() } else { None }
}

fn accumulate(slot: &mut Option<Tensor>, gradient: Tensor) -> Result<()> {
    *slot = Some(match slot.take() {
        None => gradient,
        Some(sum) => add_tensors(&sum, &gradient)?,
    });
    Ok(())
}

impl Node {
    /// The gradients of the node's inputs; the node and all it saved are gone afterwards.
    fn backward(self, d_outputs: &[Option<Tensor>], sums: &mut [Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let needs: Vec<bool> = self.inputs.iter().map(Option::is_some).collect();
        match self.kind {
            Kind::Operation { operation, inputs, outputs } => {
                let context = Context {
                    operation: operation.name(),
                    input_specs: &self.input_specs,
                    inputs: &inputs,
                    outputs: &outputs,
                    d_outputs,
                    needs: &needs,
                };
                run_backward_onto(&*operation, &context, sums)
            }
            Kind::Checkpoint { function, inputs } => {
                let tape = Tape::new();
                let leaves: Vec<Var> = inputs
                    .into_iter()
                    .zip(&needs)
                    .map(|(tensor, needed)| if *needed { tape.leaf(tensor) } else { Var::constant(tensor) })
                    .collect();
                let outputs = function(&leaves)?;
                let seeds = outputs
                    .into_iter()
                    .zip(d_outputs)
                    .filter_map(|(output, seed)| seed.clone().map(|seed| (output, seed)))
                    .collect();
                let mut gradients = tape.backward_from(seeds)?;
                Ok(leaves.iter().map(|leaf| gradients.take(leaf)).collect())
            }
        }
    }
}

/// The gradients of a tape's leaves.
#[derive(Debug)]
pub struct Gradients(HashMap<usize, Tensor>);

impl Gradients {
    /// The gradient of a leaf, taken out; `None` if the loss does not depend on it, or it was taken before.
    pub fn take(&mut self, leaf: &Var) -> Option<Tensor> {
        leaf.link.as_ref().and_then(|(_, value)| self.0.remove(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::ops::arithmetic::{add, multiply};

    fn scalar(value: f64) -> Tensor {
        Tensor::new(&Device::cpu(), &[1], &[value]).unwrap()
    }

    #[test]
    fn a_value_used_twice_gets_both_gradients() {
        let tape = Tape::new();
        let (x, y) = (tape.leaf(scalar(3.0)), tape.leaf(scalar(5.0)));
        // z = x·y + x·x: dz/dx = y + 2x, dz/dy = x
        let z = add(&multiply(&x, &y).unwrap(), &multiply(&x, &x).unwrap()).unwrap();
        let mut gradients = tape.backward(&z).unwrap();
        assert_eq!(gradients.take(&x).unwrap().to_vec::<f64>().unwrap(), [11.0]);
        assert_eq!(gradients.take(&y).unwrap().to_vec::<f64>().unwrap(), [3.0]);
    }

    #[test]
    fn a_checkpoint_gives_the_same_gradients() {
        let tape = Tape::new();
        let (x, y) = (tape.leaf(scalar(3.0)), tape.leaf(scalar(5.0)));
        let product = |inputs: &[Var]| Ok(vec![multiply(&multiply(&inputs[0], &inputs[1])?, &inputs[0])?]);
        let z = Tape::checkpoint(&[&x, &y], product).unwrap().remove(0);
        let z = multiply(&z, &y).unwrap();
        let mut gradients = tape.backward(&z).unwrap();
        // z = x²y²
        assert_eq!(gradients.take(&x).unwrap().to_vec::<f64>().unwrap(), [150.0]);
        assert_eq!(gradients.take(&y).unwrap().to_vec::<f64>().unwrap(), [90.0]);
    }

    #[test]
    fn a_tape_is_used_once() {
        let tape = Tape::new();
        let x = tape.leaf(scalar(3.0));
        let y = multiply(&x, &x).unwrap();
        tape.backward(&y).unwrap();
        assert!(tape.backward(&y).unwrap_err().to_string().contains("record anew"));
        assert!(multiply(&x, &y).unwrap_err().to_string().contains("record anew"));
        let other = Tape::new().leaf(scalar(1.0));
        let fresh = Tape::new().leaf(scalar(1.0));
        assert!(multiply(&other, &fresh).unwrap_err().to_string().contains("two different tapes"));
    }
}
