//! The run of one function for given levels of its arguments.

use naga::{AddressSpace, Expression, Function, Handle, TypeInner};

use super::control::Target;
use super::{Control, Level, Shared};

/// What a call is known to do.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    /// The level of what it returns.
    pub(super) result: Level,
    /// For each argument, the level of what it points to afterwards.
    pub(super) pointees: Vec<Level>,
}

/// Levels of the variables: the function's own by index, then what its arguments point to. `None` where no invocation is.
pub(super) type Variables = Option<Vec<Level>>;

/// Joins what two ways bring to a place.
pub(super) fn join(a: Variables, b: Variables) -> Variables {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.into_iter().zip(b).map(|(a, b)| a.max(b)).collect()),
        (a, b) => a.or(b),
    }
}

/// What a pointer points into.
pub(super) enum Root {
    /// A variable, by its place in [`Variables`].
    Variable(usize),
    /// A global variable's address space.
    Global(AddressSpace),
}

/// A function while it is run.
pub(super) struct Run<'a, 'r, 'b, 'c> {
    pub(super) shared: &'r mut Shared<'a, 'b, 'c>,
    pub(super) function: &'a Function,
    pub(super) arguments: Vec<Level>,
    /// The level of every expression at its last evaluation.
    pub(super) levels: Vec<Level>,
    pub(super) live: Variables,
    /// The loops and switches around, innermost last.
    pub(super) targets: Vec<Target>,
    pub(super) result: Level,
    /// The variables at the returns so far.
    pub(super) returned: Variables,
}

impl<'a, 'r, 'b, 'c> Run<'a, 'r, 'b, 'c> {
    pub(super) fn new(shared: &'r mut Shared<'a, 'b, 'c>, function: &'a Function, arguments: Vec<Level>) -> Self {
        let mut variables = vec![Level::Workgroup; function.local_variables.len()];
        variables.extend(&arguments);
        Self {
            shared,
            function,
            arguments,
            levels: vec![Level::Workgroup; function.expressions.len()],
            live: Some(variables),
            targets: Vec::new(),
            result: Level::Workgroup,
            returned: None,
        }
    }

    /// Runs the body.
    pub(super) fn whole(mut self, control: Control) -> Summary {
        for (handle, expression) in self.function.expressions.iter() {
            if let Expression::FunctionArgument(index) = *expression
                && !self.is_pointer(index)
            {
                self.levels[handle.index()] = self.arguments[index as usize];
            }
        }
        let function = self.function;
        self.block(&function.body, control);
        let variables = join(self.live.take(), self.returned.take());
        let first = function.local_variables.len();
        let pointees = match variables {
            Some(variables) => variables[first..].to_vec(),
            None => self.arguments.clone(),
        };
        Summary { result: self.result, pointees }
    }

    fn is_pointer(&self, argument: u32) -> bool {
        let ty = self.function.arguments[argument as usize].ty;
        matches!(self.shared.module.types[ty].inner, TypeInner::Pointer { .. } | TypeInner::ValuePointer { .. })
    }

    /// What a pointer points into, and whether it is the whole of it; `None` for what is no pointer.
    pub(super) fn root(&self, mut pointer: Handle<Expression>) -> Option<(Root, bool)> {
        let mut whole = true;
        loop {
            match self.function.expressions[pointer] {
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                    pointer = base;
                    whole = false;
                }
                Expression::LocalVariable(variable) => return Some((Root::Variable(variable.index()), whole)),
                Expression::GlobalVariable(variable) => {
                    let space = self.shared.module.global_variables[variable].space;
                    return Some((Root::Global(space), whole));
                }
                Expression::FunctionArgument(index) => {
                    let ty = self.function.arguments[index as usize].ty;
                    let space = match self.shared.module.types[ty].inner {
                        TypeInner::Pointer { space, .. } | TypeInner::ValuePointer { space, .. } => space,
                        _ => return None,
                    };
                    let first = self.function.local_variables.len();
                    let root = match space {
                        AddressSpace::Function => Root::Variable(first + index as usize),
                        space => Root::Global(space),
                    };
                    return Some((root, whole));
                }
                _ => return None,
            }
        }
    }

    /// Runs a function that is called here, unless it was run for the same levels before.
    pub(super) fn call(
        &mut self,
        function: Handle<Function>,
        arguments: &[Handle<Expression>],
        control: Control,
    ) -> Level {
        let levels: Vec<Level> = arguments
            .iter()
            .map(|&argument| match (self.root(argument), &self.live) {
                (Some((Root::Variable(place), _)), Some(live)) => live[place].max(self.level(argument)),
                _ => self.level(argument),
            })
            .collect();
        let key = (function, levels.clone(), control.level);
        let summary = match self.shared.done.get(&key) {
            Some(summary) => summary.clone(),
            None => {
                let called = &self.shared.module.functions[function];
                let summary = Run::new(self.shared, called, levels).whole(control);
                self.shared.done.insert(key, summary.clone());
                summary
            }
        };
        for (&argument, &level) in arguments.iter().zip(&summary.pointees) {
            if let Some((Root::Variable(place), whole)) = self.root(argument) {
                self.assign(place, whole, level);
            }
        }
        summary.result
    }

    /// A variable, or a part of it, gets a value of this level.
    pub(super) fn assign(&mut self, place: usize, whole: bool, level: Level) {
        if let Some(live) = &mut self.live {
            live[place] = if whole { level } else { live[place].max(level) };
        }
    }
}
