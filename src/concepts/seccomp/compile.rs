//! From rules to a decision diagram: the audit architecture first, then the number by binary search, then the conditions.
//!
//! Numbers that lie side by side and have the same verdict are one range, so that a profile of 350 calls becomes some fifty
//! ranges and a call is decided by six comparisons. The rest of the number space is made of ranges as well: numbers
//! above the highest one that the profile names (ENOSYS), and on x86-64 those with the x32 bit.

use super::architecture::{self, Architecture, Call, Column, X32_BIT};
use super::conditions::{Conditional, Conditionals};
use super::diagram::{Compare, Diagram, Id, MOST_INSTRUCTIONS, Test, WORD_ARCH, WORD_NUMBER};
use super::profile::{Profile, Rule};
use crate::error::{Error, Result};

/// What the filter says to architectures that are not in the profile: as libseccomp's `SCMP_FLTATR_ACT_BADARCH`.
const BAD_ARCHITECTURE: u32 = libc::SECCOMP_RET_KILL_THREAD;
/// What calls get that are newer than the profile.
const NEWER_CALL: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
/// A tracer skips a call by setting its number to -1; the filter sees that number and must not kill for its x32 bit.
const SKIPPED: u32 = u32::MAX;

/// What the profile says about one number.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Unnamed,
    Always(u32),
    /// The conditional rules at this place in [`Table::conditionals`].
    When(usize),
}

/// All that the profile says about one architecture.
struct Table {
    on: &'static Architecture,
    /// By number, from the architecture's base on.
    entries: Vec<Entry>,
    /// The same for private numbers, which are few and far away.
    private: Vec<(u32, Entry)>,
    conditionals: Vec<Conditionals>,
    /// One more than the highest number named, counted from the base; 0 if none is.
    end: usize,
}

/// The compiled diagram and what was left out.
pub struct Compiled {
    /// The diagram.
    pub diagram: Diagram,
    /// Where it begins.
    pub root: Id,
    /// How many names have a rule on at least one of the architectures.
    pub rules: usize,
    /// Names that no architecture knows, with the place of their rule in the profile.
    pub unknown: Vec<(usize, String)>,
}

/// Compiles a profile.
pub fn compile(profile: &Profile) -> Result<Compiled> {
    let mut tables: Vec<Table> = profile.architectures.iter().map(|on| Table::new(on)).collect();
    let mut unknown = Vec::new();
    let mut rules = 0;
    for (at, rule) in profile.rules.iter().enumerate() {
        for name in rule.names {
            let call = Call::named(name);
            if call.is_none() {
                unknown.push((at, name.clone()));
                continue;
            }
            let mut used = false;
            for table in &mut tables {
                used |= table
                    .add(name, call.as_ref(), rule, profile.default)
                    .map_err(|e| e.config(format!("linux.seccomp.syscalls[{at}]")))?;
            }
            rules += usize::from(used);
        }
    }
    let mut diagram = Diagram::default();
    let root = whole(&mut diagram, &tables, profile)?;
    Ok(Compiled { diagram, root, rules, unknown })
}

impl Table {
    fn new(on: &'static Architecture) -> Self {
        Self { on, entries: vec![Entry::Unnamed; 512], private: Vec::new(), conditionals: Vec::new(), end: 0 }
    }

    /// Adds a rule for one name; whether it applies to this architecture.
    fn add(&mut self, name: &str, call: Option<&Call>, rule: &Rule, default: u32) -> Result<bool> {
        let number = call.and_then(|c| c.number(self.on));
        if let Some(number) = number.filter(|n| !self.on.is_private(*n)) {
            self.end = self.end.max((number - self.on.base) as usize + 1);
        }
        // The default action needs no rule, and as one it would change how the others combine.
        if rule.action == default {
            return Ok(number.is_some());
        }
        if let Some(number) = number {
            self.add_at(name, number, rule, None)?;
        }
        let Some((door, code)) = self.on.multiplexed.then(|| architecture::multiplexer(name)).flatten() else {
            return Ok(number.is_some());
        };
        let door = Call::named(door).and_then(|c| c.number(self.on));
        match door {
            Some(door) => self.add_at(name, door, rule, Some(code)).map(|()| true),
            None => Ok(number.is_some()),
        }
    }

    /// Adds the alternatives of a rule at a number. `code` is what the first argument must be when the number is that of a
    /// multiplexer, in place of the rule's own condition on it.
    fn add_at(&mut self, name: &str, number: u32, rule: &Rule, code: Option<u64>) -> Result<()> {
        for conditions in &rule.alternatives {
            let conditional = Conditional::new(conditions, code, rule.action, self.on);
            let place = place(&mut self.entries, &mut self.private, self.on, number);
            match *place {
                // The first unconditional rule stays, whatever comes.
                Entry::Always(_) => {}
                _ if conditional.is_always() => *place = Entry::Always(rule.action),
                Entry::When(list) => {
                    if !self.conditionals[list].add(conditional) {
                        return Err(Error::new(format!("two seccomp rules for {name} contradict each other"))
                            .hint("give the calls that both rules match one action"));
                    }
                }
                Entry::Unnamed => {
                    let mut list = Conditionals::default();
                    list.add(conditional);
                    self.conditionals.push(list);
                    *place = Entry::When(self.conditionals.len() - 1);
                }
            }
        }
        Ok(())
    }
}

/// The entry of a number, made if need be.
fn place<'a>(entries: &'a mut Vec<Entry>, private: &'a mut Vec<(u32, Entry)>, on: &Architecture, number: u32) -> &'a mut Entry {
    if on.is_private(number) {
        let at = private.iter().position(|(n, _)| *n == number).unwrap_or_else(|| {
            private.push((number, Entry::Unnamed));
            private.len() - 1
        });
        return &mut private[at].1;
    }
    let at = (number - on.base) as usize;
    if at >= entries.len() {
        entries.resize(at + 1, Entry::Unnamed);
    }
    &mut entries[at]
}

/// Stretches of numbers with one verdict each: where each begins, in ascending order, the first at 0.
struct Ranges(Vec<(u32, Id)>);

impl Ranges {
    /// The numbers from `start` on have this verdict, until a later call says otherwise.
    fn from(&mut self, start: u32, verdict: Id) {
        if self.0.last().is_some_and(|(at, _)| *at == start) {
            self.0.pop();
        }
        if self.0.last().is_none_or(|(_, last)| *last != verdict) {
            self.0.push((start, verdict));
        }
    }
}

/// The architectures one after the other, and death behind the last.
fn whole(diagram: &mut Diagram, tables: &[Table], profile: &Profile) -> Result<Id> {
    let mut next = diagram.verdict(BAD_ARCHITECTURE);
    let mut tokens: Vec<u32> = Vec::new();
    for table in tables {
        if !tokens.contains(&table.on.token) {
            tokens.push(table.on.token);
        }
    }
    for token in tokens.into_iter().rev() {
        let mut ranges = Ranges(Vec::new());
        let table = |x32: bool| tables.iter().find(|t| t.on.token == token && (t.on.base == X32_BIT) == x32);
        match table(false) {
            Some(table) => fill(diagram, &mut ranges, table, profile)?,
            None => ranges.from(0, diagram.verdict(BAD_ARCHITECTURE)),
        }
        if token == architecture::X86_TOKEN {
            let x32 = match table(true) {
                Some(table) => {
                    let mut ranges = Ranges(Vec::new());
                    fill(diagram, &mut ranges, table, profile)?;
                    search(diagram, &ranges.0)
                }
                None => diagram.verdict(BAD_ARCHITECTURE),
            };
            ranges.from(X32_BIT, x32);
            ranges.from(SKIPPED, diagram.verdict(profile.default));
        }
        let block = search(diagram, &ranges.0);
        next = diagram.question(Test { offset: WORD_ARCH, mask: u32::MAX, compare: Compare::Equal, value: token }, block, next);
    }
    Ok(next)
}

/// The ranges of one table.
fn fill(diagram: &mut Diagram, ranges: &mut Ranges, table: &Table, profile: &Profile) -> Result<()> {
    let default = diagram.verdict(profile.default);
    let newer = if profile.hides_newer_calls { diagram.verdict(NEWER_CALL) } else { default };
    let base = table.on.base;
    ranges.from(0, default);
    // The entry code of s390 turns every number that it does not know into 0, which no program calls.
    let catches_all = |number: u32| number == 0 && matches!(table.on.column, Column::S390 | Column::S390x);
    for (number, entry) in (base..).zip(&table.entries).take(table.end) {
        let verdict = if catches_all(number) { newer } else { node(diagram, table, *entry, default)? };
        ranges.from(number, verdict);
    }
    if table.end > 0 {
        ranges.from(base + table.end as u32, newer);
    }
    if let Some(first) = table.on.first_private() {
        ranges.from(first, default);
    }
    let mut private = table.private.clone();
    private.sort_unstable_by_key(|(number, _)| *number);
    for (number, entry) in private {
        let verdict = node(diagram, table, entry, default)?;
        ranges.from(number, verdict);
        ranges.from(number + 1, default);
    }
    Ok(())
}

fn node(diagram: &mut Diagram, table: &Table, entry: Entry, default: Id) -> Result<Id> {
    let id = match entry {
        Entry::Unnamed => default,
        Entry::Always(action) => diagram.verdict(action),
        Entry::When(list) => table.conditionals[list].build(diagram, default),
    };
    // Also what bounds the recursion of `flatten`.
    if diagram.len() > MOST_INSTRUCTIONS { Err(Diagram::too_large()) } else { Ok(id) }
}

/// The binary search over ranges.
fn search(diagram: &mut Diagram, ranges: &[(u32, Id)]) -> Id {
    match ranges {
        [] => unreachable!("there is a range that begins at 0"),
        [(_, verdict)] => *verdict,
        // One number between two alike: equality decides in one step.
        [(_, before), (number, verdict), (next, after)] if before == after && *next == number + 1 => {
            diagram.own_question(WORD_NUMBER, Compare::Equal, *number, *verdict, *before)
        }
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let (no, yes) = (search(diagram, low), search(diagram, high));
            diagram.own_question(WORD_NUMBER, Compare::AtLeast, high[0].0, yes, no)
        }
    }
}
