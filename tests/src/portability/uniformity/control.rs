//! Statements: how the control flow's level changes, and what waits.

use naga::{Block, CollectiveOperation, Expression, GatherMode, Handle, Span, Statement, SwitchCase};

use super::function::{Root, Run, Variables, join};
use super::{Control, Level};

/// The ways in which a block can be left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Exits {
    next: bool,
    jump: bool,
    leave: bool,
}

impl Exits {
    const NEXT: Self = Self { next: true, jump: false, leave: false };
    /// `break` and `continue`.
    const JUMP: Self = Self { next: false, jump: true, leave: false };
    /// `return`.
    const LEAVE: Self = Self { next: false, jump: false, leave: true };

    fn or(self, other: Self) -> Self {
        Self { next: self.next || other.next, jump: self.jump || other.jump, leave: self.leave || other.leave }
    }

    fn only_next(self) -> bool {
        self.next && !self.jump && !self.leave
    }
}

/// What a loop or switch has collected from the jumps to it.
#[derive(Debug)]
pub(super) struct Target {
    is_loop: bool,
    breaks: Variables,
    continues: Variables,
    broken: bool,
    continued: bool,
}

impl Target {
    fn new(is_loop: bool) -> Self {
        Self { is_loop, breaks: None, continues: None, broken: false, continued: false }
    }
}

fn start(span: &Span) -> Option<u32> {
    span.to_range().map(|range| range.start as u32)
}

impl<'a> Run<'a, '_, '_, '_> {
    /// Runs a block; returns how it is left and the control flow at its end.
    pub(super) fn block(&mut self, block: &'a Block, mut control: Control) -> (Exits, Control) {
        let mut exits = Exits::NEXT;
        for (statement, span) in block.span_iter() {
            let (of_statement, after) = self.statement(statement, start(span), control);
            exits = Exits { next: false, ..exits }.or(of_statement);
            control = after;
            if !of_statement.next {
                break;
            }
        }
        (exits, control)
    }

    fn statement(&mut self, statement: &'a Statement, offset: Option<u32>, control: Control) -> (Exits, Control) {
        match statement {
            Statement::Emit(range) => {
                for expression in range.clone() {
                    self.evaluate(expression, control);
                }
            }
            Statement::Block(block) => return self.block(block, control),
            Statement::If { condition, accept, reject } => {
                let inside = self.under(*condition, control);
                return self.branches(&[(accept, false), (reject, false)], inside, control);
            }
            Statement::Switch { selector, cases } => return self.switch(*selector, cases, control),
            Statement::Loop { body, continuing, break_if } => return self.cycle(body, continuing, *break_if, control),
            Statement::Break => {
                let live = self.live.take();
                if let Some(target) = self.targets.last_mut() {
                    target.breaks = join(target.breaks.take(), live);
                    target.broken = true;
                }
                return (Exits::JUMP, control);
            }
            Statement::Continue => {
                let live = self.live.take();
                if let Some(target) = self.targets.iter_mut().rev().find(|target| target.is_loop) {
                    target.continues = join(target.continues.take(), live);
                    target.continued = true;
                }
                return (Exits::JUMP, control);
            }
            Statement::Return { value } => {
                let level = value.map_or(Level::Workgroup, |value| self.level(value));
                self.result = self.result.max(level).max(control.level);
                self.returned = join(self.returned.take(), self.live.take());
                return (Exits::LEAVE, control);
            }
            Statement::Kill => return (Exits::LEAVE, control),
            Statement::ControlBarrier(_) | Statement::MemoryBarrier(_) => {
                let subgroup = naga::Barrier::SUB_GROUP;
                let wanted = match statement {
                    Statement::ControlBarrier(kind) if *kind == subgroup => Level::Subgroup,
                    _ => Level::Workgroup,
                };
                self.shared.arrive("a barrier", wanted, control, offset);
            }
            Statement::Store { pointer, value } => {
                let level = self.highest(&[*pointer, *value]).max(control.level);
                if let Some((Root::Variable(place), whole)) = self.root(*pointer) {
                    self.assign(place, whole, level);
                }
            }
            Statement::Atomic { result: Some(result), .. } => self.levels[result.index()] = Level::Invocation,
            Statement::WorkGroupUniformLoad { pointer, result } => {
                self.shared.arrive("workgroupUniformLoad", Level::Workgroup, control, offset);
                // Its place must be the same for all, too.
                let place = Control { level: self.level(*pointer), cause: self.offset(*pointer) };
                self.shared.arrive("workgroupUniformLoad", Level::Workgroup, place, offset);
                self.levels[result.index()] = Level::Workgroup;
            }
            Statement::Call { function, arguments, result } => {
                let level = self.call(*function, arguments, control);
                if let Some(result) = result {
                    self.levels[result.index()] = level;
                }
            }
            Statement::SubgroupBallot { result, .. } => self.subgroup(*result, true, control, offset),
            Statement::SubgroupGather { mode, result, .. } => {
                let same = matches!(mode, GatherMode::BroadcastFirst | GatherMode::Broadcast(_));
                self.subgroup(*result, same, control, offset);
            }
            Statement::SubgroupCollectiveOperation { collective_op, result, .. } => {
                self.subgroup(*result, *collective_op == CollectiveOperation::Reduce, control, offset);
            }
            Statement::CooperativeStore { .. } => {
                self.shared.arrive("a cooperative store", Level::Subgroup, control, offset);
            }
            // Atomics without result; images and rays, which have no part in control flow.
            _ => {}
        }
        (Exits::NEXT, control)
    }

    /// The control flow under a condition.
    fn under(&self, condition: Handle<Expression>, control: Control) -> Control {
        control.max(Control { level: self.level(condition), cause: self.offset(condition) })
    }

    /// The result of a subgroup's operation, the same for the subgroup or each invocation's own.
    fn subgroup(&mut self, result: Handle<Expression>, same: bool, control: Control, offset: Option<u32>) {
        self.shared.arrive("a subgroup operation", Level::Subgroup, control, offset);
        self.levels[result.index()] = if same { Level::Subgroup } else { Level::Invocation };
    }

    /// Runs blocks of which each invocation takes one, or goes from one on to the next where that is said.
    fn branches(&mut self, blocks: &[(&'a Block, bool)], inside: Control, control: Control) -> (Exits, Control) {
        let before = self.live.clone();
        let (mut after, mut fallen) = (None, None);
        let (mut exits, mut end) = (Exits::default(), inside);
        for &(block, falls) in blocks {
            self.live = join(before.clone(), fallen.take());
            let (of_block, at_end) = self.block(block, inside);
            if falls {
                fallen = self.live.take();
                exits = exits.or(Exits { next: false, ..of_block });
            } else {
                after = join(after, self.live.take());
                exits = exits.or(of_block);
            }
            end = end.max(at_end);
        }
        self.live = after;
        (exits, if exits.only_next() { control } else { end })
    }

    fn switch(&mut self, selector: Handle<Expression>, cases: &'a [SwitchCase], control: Control) -> (Exits, Control) {
        let inside = self.under(selector, control);
        let blocks: Vec<_> = cases.iter().map(|case| (&case.body, case.fall_through)).collect();
        self.targets.push(Target::new(false));
        let (mut exits, end) = self.branches(&blocks, inside, control.max(inside));
        if let Some(target) = self.targets.pop() {
            // A break goes to what follows; a continue goes on to the loop around.
            self.live = join(self.live.take(), target.breaks);
            exits.next |= target.broken;
            let continued = self.targets.iter().rev().find(|target| target.is_loop);
            exits.jump = exits.jump && continued.is_some_and(|target| target.continued);
        }
        (exits, if exits.only_next() { control } else { end })
    }

    fn cycle(
        &mut self,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
        control: Control,
    ) -> (Exits, Control) {
        let mut entry = self.live.clone();
        let mut around = control;
        loop {
            self.live = entry.clone();
            self.targets.push(Target::new(true));
            let (mut exits, mut end) = self.block(body, around);
            let continues = self.targets.last_mut().and_then(|target| target.continues.take());
            self.live = join(self.live.take(), continues);
            let mut broken = false;
            if self.live.is_some() {
                let (of_continuing, after) = self.block(continuing, end);
                exits = exits.or(of_continuing);
                end = after;
                if let Some(condition) = break_if {
                    end = self.under(condition, end);
                    broken = true;
                }
            }
            let mut exit = if broken { self.live.clone() } else { None };
            if let Some(target) = self.targets.pop() {
                broken |= target.broken;
                exit = join(exit, target.breaks);
            }
            let again = join(entry.clone(), self.live.take());
            if again == entry && end.level <= around.level {
                self.live = exit;
                let exits = Exits { next: broken, jump: false, leave: exits.leave };
                return (exits, if exits.only_next() { control } else { around });
            }
            entry = again;
            around = around.max(end);
        }
    }
}
