//! The levels of values.

use naga::{AddressSpace, Expression, Handle, StorageAccess};

use super::function::{Root, Run};
use super::{Control, Level};

impl Run<'_, '_, '_, '_> {
    /// The level at the last evaluation.
    pub(super) fn level(&self, expression: Handle<Expression>) -> Level {
        self.levels[expression.index()]
    }

    pub(super) fn offset(&self, expression: Handle<Expression>) -> Option<u32> {
        self.function.expressions.get_span(expression).to_range().map(|range| range.start as u32)
    }

    /// Evaluates an expression where it stands in the order of statements: what a load gives depends on it.
    pub(super) fn evaluate(&mut self, expression: Handle<Expression>, control: Control) {
        let level = match self.function.expressions[expression] {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::Override(_)
            | Expression::ZeroValue(_)
            | Expression::ArrayLength(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_) => Level::Workgroup,
            Expression::FunctionArgument(index) => self.arguments[index as usize],
            Expression::Compose { ref components, .. } => self.highest(components),
            Expression::Access { base, index } => self.highest(&[base, index]),
            Expression::AccessIndex { base, .. } => self.level(base),
            Expression::Splat { value, .. } => self.level(value),
            Expression::Swizzle { vector, .. } => self.level(vector),
            Expression::Load { pointer } => self.load(pointer),
            Expression::Unary { expr, .. } | Expression::As { expr, .. } => self.level(expr),
            Expression::Binary { left, right, .. } => self.highest(&[left, right]),
            Expression::Select { condition, accept, reject } => self.highest(&[condition, accept, reject]),
            Expression::Relational { argument, .. } => self.level(argument),
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                let others = [arg1, arg2, arg3].into_iter().flatten();
                others.fold(self.level(arg), |level, other| level.max(self.level(other)))
            }
            Expression::CooperativeLoad { ref data, .. } => {
                let level = self.load(data.pointer).max(self.level(data.stride));
                let offset = self.offset(expression);
                self.shared.arrive("a cooperative load", Level::Subgroup, control, offset);
                level
            }
            Expression::CooperativeMultiplyAdd { a, b, c } => {
                let offset = self.offset(expression);
                self.shared.arrive("a cooperative product", Level::Subgroup, control, offset);
                self.highest(&[a, b, c])
            }
            // Set by the statement that they are the result of.
            Expression::CallResult(_)
            | Expression::AtomicResult { .. }
            | Expression::WorkGroupUniformLoadResult { .. }
            | Expression::SubgroupBallotResult
            | Expression::SubgroupOperationResult { .. } => return,
            // Images and rays: not in our kernels.
            _ => Level::Invocation,
        };
        self.levels[expression.index()] = level;
    }

    pub(super) fn highest(&self, expressions: &[Handle<Expression>]) -> Level {
        expressions.iter().map(|&expression| self.level(expression)).max().unwrap_or(Level::Workgroup)
    }

    /// What a load through a pointer gives.
    fn load(&self, pointer: Handle<Expression>) -> Level {
        let place = self.level(pointer);
        match self.root(pointer) {
            Some((Root::Variable(variable), _)) => self.live.as_ref().map_or(place, |live| live[variable].max(place)),
            Some((Root::Global(AddressSpace::Uniform | AddressSpace::Immediate), _)) => place,
            Some((Root::Global(AddressSpace::Storage { access }), _)) if !access.contains(StorageAccess::STORE) => {
                place
            }
            _ => Level::Invocation,
        }
    }
}
