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

type Function = Box<dyn Fn(&[Var]) -> Result<Last>>;

/// The last operation of a [`Tape::checkpoint`], with its inputs, not yet run; it has one visible output.
#[derive(Debug)]
pub struct Last {
    operation: Rc<dyn Operation>,
    inputs: Vec<Var>,
}

impl Last {
    /// `operation` on `inputs`.
    pub fn new(operation: impl Operation, inputs: Vec<Var>) -> Self {
        Self { operation: Rc::new(operation), inputs }
    }

    /// Runs the operation as [`apply_one`] does.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn apply(self) -> Result<Var> {
        apply_one(self.operation, &self.inputs.iter().collect::<Vec<_>>())
    }

    fn run(&self) -> Result<Vec<Tensor>> {
        run(&*self.operation, &self.inputs.iter().map(|input| &input.tensor).collect::<Vec<_>>())
    }

    /// The gradients of the leaves that the inputs follow from, for the gradients of the visible outputs.
    fn backward(self, d_outputs: &[Option<Tensor>]) -> Result<Gradients> {
        let inputs: Vec<&Var> = self.inputs.iter().collect();
        let Some(tape) = common_tape(self.operation.name(), &inputs)? else { return Ok(Gradients::default()) };
        // What the backward does not read is not computed again.
        let outputs = if self.operation.saves().outputs.is_empty() { Vec::new() } else { self.run()? };
        let node = Node {
            kind: Kind::operation(self.operation.clone(), inputs.iter().map(|input| &input.tensor), &outputs),
            inputs: places(&inputs),
            input_specs: inputs.iter().map(|input| input.tensor.spec()).collect(),
            first_output: 0,
            visible: d_outputs.len(),
        };
        drop(outputs);
        let mut no_sums = vec![None; node.inputs.len()];
        let d_inputs = node.backward(d_outputs, &mut no_sums)?;
        let seeds = self.inputs.into_iter().zip(d_inputs).filter(|(input, _)| input.needs_gradient());
        tape.backward_from(seeds.filter_map(|(input, seed)| seed.map(|seed| (input, seed))).collect())
    }
}

/// For each value its place on the tape, if it is on the tape.
fn places(values: &[&Var]) -> Vec<Option<usize>> {
    values.iter().map(|value| value.link.as_ref().map(|(_, place)| *place)).collect()
}

impl Kind {
    /// An operation with what its backward reads of `inputs` and `outputs`.
    fn operation<'a>(
        operation: Rc<dyn Operation>,
        inputs: impl Iterator<Item = &'a Tensor>,
        outputs: &[Tensor],
    ) -> Self {
        let saves = operation.saves();
        let keep = |tensor: &Tensor, place: usize, kept: &[usize]| kept.contains(&place).then(|| tensor.clone());
        Self::Operation {
            operation,
            inputs: inputs.enumerate().map(|(place, tensor)| keep(tensor, place, saves.inputs)).collect(),
            outputs: outputs.iter().enumerate().map(|(place, tensor)| keep(tensor, place, saves.outputs)).collect(),
        }
    }
}

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
    let kind = Kind::operation(Rc::new(operation), tensors.iter().copied(), &outputs);
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
            inputs: places(inputs),
            input_specs: inputs.iter().map(|input| input.tensor.spec()).collect(),
            first_output,
            visible: outputs.len(),
        });
        outputs
    }

    /// Runs `function` and the last operation that it names, without recording them: on the way back the function runs again
    /// from its inputs, so that only they are kept. The last operation does not run again unless its backward reads its
    /// outputs. Everything that needs a gradient, weights too, must be among `inputs`, and the function must give the same
    /// whenever it is called.
    ///
    /// # Errors
    /// What `function` and the last operation meet; inputs of two tapes.
    pub fn checkpoint(inputs: &[&Var], function: impl Fn(&[Var]) -> Result<Last> + 'static) -> Result<Var> {
        let tape = common_tape("checkpoint", inputs)?;
        let constants: Vec<Var> = inputs.iter().map(|input| Var::constant(input.tensor.clone())).collect();
        let output = function(&constants)?.apply()?;
        let Some(tape) = tape else { return Ok(output) };
        let kind = Kind::Checkpoint {
            function: Box::new(function),
            inputs: inputs.iter().map(|input| input.tensor.clone()).collect(),
        };
        Ok(tape.record(kind, inputs, [output.into_tensor()].into_iter()).remove(0))
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
                let mut gradients = function(&leaves)?.backward(d_outputs)?;
                Ok(leaves.iter().map(|leaf| gradients.take(leaf)).collect())
            }
        }
    }
}

/// The gradients of a tape's leaves.
#[derive(Debug, Default)]
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
    use crate::ops::arithmetic::{Arithmetic, add, multiply};
    use crate::ops::dropout::dropout;
    use crate::ops::softmax::Softmax;

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
        let product = |inputs: &[Var]| {
            Ok(Last::new(Arithmetic::Multiply, vec![multiply(&inputs[0], &inputs[1])?, inputs[0].clone()]))
        };
        let z = Tape::checkpoint(&[&x, &y], product).unwrap();
        let z = multiply(&z, &y).unwrap();
        let mut gradients = tape.backward(&z).unwrap();
        // z = x²y²
        assert_eq!(gradients.take(&x).unwrap().to_vec::<f64>().unwrap(), [150.0]);
        assert_eq!(gradients.take(&y).unwrap().to_vec::<f64>().unwrap(), [90.0]);
    }

    /// Dropout draws the same elements again, and a last operation whose backward reads its output gets it again.
    #[test]
    fn a_checkpoint_gives_the_same_bits() {
        let x = Tensor::new(&Device::cpu(), &[4, 8], &(0..32).map(|at| 0.3 * at as f32 - 4.0).collect::<Vec<_>>());
        let x = x.unwrap();
        let body = |x: &Var| multiply(&dropout(x, 0.3, 17)?, x);
        let gradient = |output: &dyn Fn(&Var) -> Result<Var>| {
            let tape = Tape::new();
            let leaf = tape.leaf(x.clone());
            let output = output(&leaf).unwrap();
            let seed = x.clone();
            let d_x = tape.backward_from(vec![(output.clone(), seed)]).unwrap().take(&leaf).unwrap();
            [output.tensor(), &d_x].map(|tensor| tensor.to_vec::<f32>().unwrap())
        };
        let plain = gradient(&|x| apply_one(Softmax::Probability, &[&body(x)?]));
        let again =
            gradient(&|x| Tape::checkpoint(&[x], move |x| Ok(Last::new(Softmax::Probability, vec![body(&x[0])?]))));
        assert_eq!(plain, again);
        assert!(plain[1].iter().any(|&d| d != 0.0));
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
