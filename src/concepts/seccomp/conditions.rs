//! The rules with conditions of one system call, as a part of the decision diagram.
//!
//! Several rules combine as in libseccomp, whose filters engines were tested with: an unconditional rule beats all others;
//! of the conditional ones the first that matches decides, in an order of libseccomp's own (higher arguments first, then
//! equality before less before greater, then greater values first), whatever the order in the profile.

use std::ops::Range;

use oci_spec::runtime::LinuxSeccompOperator as Operator;

use super::architecture::Architecture;
use super::diagram::{Compare, Diagram, Id, Test};
use super::profile::Condition;

/// Beyond this many questions asked while building, tests are no longer left out because of earlier answers.
const MOST_VISITS: usize = 2048;

/// A rule for one call on one architecture: its conditions as questions about words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditional {
    parts: Vec<Part>,
    /// Their questions in order.
    ranked: Vec<(Rank, Test)>,
    /// `SECCOMP_RET_*` when all conditions hold.
    pub action: u32,
}

/// One condition, cut into questions about words: it holds if the last question's answer is `wanted`, or, where the upper
/// word alone decides (`above`), if that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    operator: Operator,
    /// The upper word is greater; only for the order operators on 64 bits.
    above: Option<Test>,
    /// The upper word is equal (64 bits).
    upper: Option<Test>,
    /// The lower word compares.
    lower: Test,
    /// The answer to `above` and to `lower` with which the condition holds.
    wanted: bool,
}

/// Argument, upper half, kind of operator, value (turned for "less"): the greatest comes first.
type Rank = (u8, bool, u8, u32);

impl Conditional {
    /// Cuts the conditions for an architecture. Without parts, the rule is unconditional there. With `code` it is one for
    /// the call behind a multiplexer: the code stands in place of a condition on the first argument. (The others stay, as
    /// in libseccomp, though the multiplexer's further arguments mean something else.)
    pub fn new(conditions: &[Condition], code: Option<u64>, action: u32, on: &Architecture) -> Self {
        let code = code.map(|value| Condition { index: 0, operator: Operator::ScmpCmpEq, value, mask: u64::MAX });
        let own = conditions.iter().filter(|c| code.is_none() || c.index != 0);
        let parts: Vec<Part> = code.iter().chain(own).filter_map(|c| Part::new(c, on)).collect();
        Self { ranked: parts.iter().flat_map(Part::ranked).collect(), parts, action }
    }

    /// Whether every call matches.
    pub fn is_always(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Part {
    /// `None` if the condition holds for every value: a mask without bits.
    fn new(condition: &Condition, on: &Architecture) -> Option<Self> {
        let Condition { index, operator, value, mask } = *condition;
        let mask = if on.wide { mask } else { mask & u64::from(u32::MAX) };
        if mask == 0 {
            return None;
        }
        let start = 16 + 8 * index;
        let (low, high) = if on.big_endian { (start + 4, start) } else { (start, start + 4) };
        let (compare, wanted) = match operator {
            Operator::ScmpCmpEq | Operator::ScmpCmpMaskedEq => (Compare::Equal, true),
            Operator::ScmpCmpNe => (Compare::Equal, false),
            Operator::ScmpCmpGt => (Compare::Greater, true),
            Operator::ScmpCmpLe => (Compare::Greater, false),
            Operator::ScmpCmpGe => (Compare::AtLeast, true),
            Operator::ScmpCmpLt => (Compare::AtLeast, false),
        };
        let upper_test = |compare| Test { offset: high, mask: (mask >> 32) as u32, compare, value: (value >> 32) as u32 };
        let upper = on.wide.then(|| upper_test(Compare::Equal));
        let above = (on.wide && compare != Compare::Equal).then(|| upper_test(Compare::Greater));
        Some(Self {
            operator,
            above,
            upper,
            lower: Test { offset: low, mask: mask as u32, compare, value: value as u32 },
            wanted,
        })
    }

    /// The questions in the order in which they are asked, each with its rank among others in the same place.
    fn ranked(&self) -> impl Iterator<Item = (Rank, Test)> {
        let (kind, turned) = match self.operator {
            Operator::ScmpCmpEq | Operator::ScmpCmpNe | Operator::ScmpCmpMaskedEq => (3, false),
            Operator::ScmpCmpLt | Operator::ScmpCmpLe => (2, true),
            Operator::ScmpCmpGt | Operator::ScmpCmpGe => (1, false),
        };
        let index = self.lower.offset / 8;
        let rank = move |test: Test, high: bool| ((index, high, kind, if turned { !test.value } else { test.value }), test);
        let (above, upper) = (self.above.map(|t| rank(t, true)), self.upper.map(|t| rank(t, true)));
        [above, upper, Some(rank(self.lower, false))].into_iter().flatten()
    }
}

/// The rules of one call, in the order in which they decide.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Conditionals {
    rules: Vec<Conditional>,
    /// When each of them came.
    turns: Vec<usize>,
}

impl Conditionals {
    /// Adds a rule at its place. False if it contradicts an earlier one: the same conditions, or fewer, with another action.
    pub fn add(&mut self, new: Conditional) -> bool {
        if self.rules.iter().any(|old| old.action != new.action && old.parts.starts_with(&new.parts)) {
            return false;
        }
        // Rules that begin with the same questions stand together. The new one belongs to those it shares most with.
        let shared = |old: &Conditional| old.ranked.iter().zip(&new.ranked).take_while(|(a, b)| a.1 == b.1).count();
        let shares: Vec<usize> = self.rules.iter().map(shared).collect();
        let most = shares.iter().copied().max().unwrap_or(0);
        let family =
            shares.iter().position(|s| *s == most).unwrap_or(0)..shares.iter().rposition(|s| *s == most).map_or(0, |at| at + 1);
        let at = new.ranked.get(most).and_then(|(rank, _)| self.place(family.clone(), most, *rank)).unwrap_or(family.end);
        self.rules.insert(at, new);
        self.turns.insert(at, self.turns.len());
        true
    }

    /// Where a rule that differs from its `family` in question `depth` goes before others. Rules that share that question
    /// have one rank, which is that of the one that came first.
    fn place(&self, family: Range<usize>, depth: usize, rank: Rank) -> Option<usize> {
        let mut at = family.start;
        while at < family.end {
            let question = self.rules[at].ranked.get(depth).map(|(_, test)| test);
            let alike = |i: &usize| self.rules[*i].ranked.get(depth).map(|(_, test)| test) == question;
            let end = (at..family.end).take_while(alike).last().map_or(at, |last| last) + 1;
            let first = (at..end).min_by_key(|i| self.turns[*i])?;
            if self.rules[first].ranked.get(depth).is_some_and(|(theirs, _)| *theirs < rank) {
                return Some(at);
            }
            at = end;
        }
        None
    }

    /// Builds the part of the diagram that decides; `default` is for calls that no rule matches.
    pub fn build(&self, diagram: &mut Diagram, default: Id) -> Id {
        let start = diagram.len();
        let mut walk = Walk { rules: &self.rules, default, diagram, answers: Vec::new(), visits: 0 };
        if let Some(root) = walk.ask(0, 0, Stage::Above) {
            return root;
        }
        diagram.rewind(start);
        self.build_plainly(diagram, default)
    }

    /// Every question of every rule, one after the other: grows with the number of rules only.
    fn build_plainly(&self, diagram: &mut Diagram, default: Id) -> Id {
        self.rules.iter().rev().fold(default, |next, rule| {
            let verdict = diagram.verdict(rule.action);
            rule.parts.iter().rev().fold(verdict, |holds, part| {
                let (positive, negative) = if part.wanted { (holds, next) } else { (next, holds) };
                let lower = diagram.question(part.lower, positive, negative);
                let upper = part.upper.map_or(lower, |test| diagram.question(test, lower, negative));
                part.above.map_or(upper, |test| diagram.question(test, positive, upper))
            })
        })
    }
}

/// Which question of a part comes next.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Above,
    Upper,
    Lower,
}

/// A walk through all rules that remembers the answers given so far and asks nothing twice.
struct Walk<'a> {
    rules: &'a [Conditional],
    default: Id,
    diagram: &'a mut Diagram,
    answers: Vec<(Test, bool)>,
    visits: usize,
}

impl Walk<'_> {
    /// The node for the question `stage` of part `part` of rule `rule`; `None` once there were too many visits.
    fn ask(&mut self, rule: usize, part: usize, stage: Stage) -> Option<Id> {
        self.visits += 1;
        if self.visits > MOST_VISITS {
            return None;
        }
        let rules = self.rules;
        let Some(current) = rules.get(rule) else { return Some(self.default) };
        let Some(p) = current.parts.get(part) else { return Some(self.diagram.verdict(current.action)) };
        // Where a positive or a negative answer about the whole condition leads.
        let settled =
            |positive: bool| if positive == p.wanted { (rule, part + 1, Stage::Above) } else { (rule + 1, 0, Stage::Above) };
        let (test, yes, no) = match stage {
            Stage::Above => (p.above, settled(true), (rule, part, Stage::Upper)),
            Stage::Upper => (p.upper, (rule, part, Stage::Lower), settled(false)),
            Stage::Lower => (Some(p.lower), settled(true), settled(false)),
        };
        let Some(test) = test else {
            // A question that does not arise here: `above` leads on as if denied, `upper` as if affirmed.
            let (rule, part, stage) = if matches!(stage, Stage::Above) { no } else { yes };
            return self.ask(rule, part, stage);
        };
        match self.implied(&test) {
            Some(true) => self.ask(yes.0, yes.1, yes.2),
            Some(false) => self.ask(no.0, no.1, no.2),
            None => {
                let yes = self.under(test, true, yes)?;
                let no = self.under(test, false, no)?;
                Some(self.diagram.question(test, yes, no))
            }
        }
    }

    fn under(&mut self, test: Test, answer: bool, (rule, part, stage): (usize, usize, Stage)) -> Option<Id> {
        self.answers.push((test, answer));
        let node = self.ask(rule, part, stage);
        self.answers.pop();
        node
    }

    /// The answer to `test`, if the answers given so far leave only one.
    fn implied(&self, test: &Test) -> Option<bool> {
        if test.mask == 0 {
            return Some(true);
        }
        let (mut least, mut most) = (0, u32::MAX);
        for (asked, answer) in self.answers.iter().filter(|(t, _)| t.offset == test.offset) {
            if asked == test {
                return Some(*answer);
            }
            if asked.mask != u32::MAX {
                continue;
            }
            match (asked.compare, answer) {
                (Compare::Equal, true) => (least, most) = (asked.value, asked.value),
                (Compare::Equal, false) if asked.value == least => least += 1,
                (Compare::Equal, false) if asked.value == most => most -= 1,
                (Compare::Equal, false) => {}
                (Compare::Greater, true) => least = least.max(asked.value + 1),
                (Compare::Greater, false) => most = most.min(asked.value),
                (Compare::AtLeast, true) => least = least.max(asked.value),
                (Compare::AtLeast, false) => most = most.min(asked.value - 1),
            }
        }
        let holds = |word: u32| match test.compare {
            Compare::Equal => word & test.mask == test.value,
            Compare::Greater => word > test.value,
            Compare::AtLeast => word >= test.value,
        };
        match test.compare {
            _ if least == most => Some(holds(least)),
            Compare::Equal if test.mask != u32::MAX => None,
            Compare::Equal => (test.value < least || test.value > most).then_some(false),
            // For the order comparisons the ends of the interval tell about all between.
            _ => (holds(least) == holds(most)).then(|| holds(least)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulate::run;
    use super::super::{architecture, diagram::MOST_INSTRUCTIONS};
    use super::*;

    /// A small generator with a fixed start: the same rules on every run.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % n as u64) as usize
        }

        fn value(&mut self) -> u64 {
            [0, 1, 5, 6, 0xffff_ffff, 1 << 32, (1 << 32) + 5, (2 << 32) + 5, u64::MAX][self.below(9)]
        }
    }

    fn holds(c: &Condition, args: &[u64; 6]) -> bool {
        let arg = args[usize::from(c.index)];
        match c.operator {
            Operator::ScmpCmpEq => arg == c.value,
            Operator::ScmpCmpNe => arg != c.value,
            Operator::ScmpCmpLt => arg < c.value,
            Operator::ScmpCmpLe => arg <= c.value,
            Operator::ScmpCmpGt => arg > c.value,
            Operator::ScmpCmpGe => arg >= c.value,
            Operator::ScmpCmpMaskedEq => arg & c.mask == c.value,
        }
    }

    fn condition(dice: &mut Dice, index: u8) -> Condition {
        use Operator::*;
        let operator = [ScmpCmpEq, ScmpCmpNe, ScmpCmpLt, ScmpCmpLe, ScmpCmpGt, ScmpCmpGe, ScmpCmpMaskedEq][dice.below(7)];
        let mask = if operator == ScmpCmpMaskedEq { dice.value() } else { u64::MAX };
        Condition { index, operator, value: dice.value() & mask, mask }
    }

    #[test]
    fn the_verdict_is_that_of_a_rule_that_matches() {
        let on = architecture::named("x86_64").expect("known");
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        for _ in 0..400 {
            let mut rules: Vec<(Vec<Condition>, u32)> = Vec::new();
            let mut list = Conditionals::default();
            for action in 1..=1 + dice.below(7) as u32 {
                let wanted = 1 + dice.below(7);
                let conditions: Vec<Condition> =
                    (0..3).filter(|i| wanted >> i & 1 == 1).map(|i| condition(&mut dice, i)).collect();
                let rule = Conditional::new(&conditions, None, action, on);
                if !rule.is_always() && list.add(rule) {
                    rules.push((conditions, action));
                }
            }
            let mut diagram = Diagram::default();
            let default = diagram.verdict(99);
            let (quick, plain) = (list.build(&mut diagram, default), list.build_plainly(&mut diagram, default));
            let (quick, plain) = (diagram.flatten(quick).expect("small"), diagram.flatten(plain).expect("small"));
            for _ in 0..100 {
                let args = std::array::from_fn(|_| dice.value());
                let verdict = run(&quick, on.token, 0, args).verdict.0;
                assert_eq!(run(&plain, on.token, 0, args).verdict.0, verdict, "{rules:?} {args:x?}");
                let matching: Vec<u32> =
                    rules.iter().filter(|(all, _)| all.iter().all(|c| holds(c, &args))).map(|r| r.1).collect();
                let fits = if matching.is_empty() { verdict == 99 } else { matching.contains(&verdict) };
                assert!(fits, "{verdict} is none of {matching:?}: {rules:?} {args:x?}");
            }
        }
    }

    #[test]
    fn hundreds_of_rules_for_one_call_grow_the_filter_in_proportion() {
        let on = architecture::named("x86_64").expect("known");
        let mut list = Conditionals::default();
        for bit in 0..300_u64 {
            let one = |index| Condition {
                index,
                operator: Operator::ScmpCmpMaskedEq,
                value: 1 << (bit % 60),
                mask: (1 << (bit % 60)) | bit,
            };
            assert!(list.add(Conditional::new(&[one(0), one(1)], None, 1, on)));
        }
        let mut diagram = Diagram::default();
        let default = diagram.verdict(0);
        let root = list.build(&mut diagram, default);
        assert!(diagram.flatten(root).expect("it fits").len() < MOST_INSTRUCTIONS);
    }
}
