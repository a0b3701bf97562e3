//! A filter as a decision diagram: tests on 32-bit words of `seccomp_data`, ending in verdicts.
//!
//! Classic BPF has one register of use here (A), loads of 32-bit words, comparisons with constants, and jumps that only go
//! forward, at most 255 instructions where they depend on a comparison. A diagram leaves all of that aside: a node asks one
//! question about one word and names two next nodes. [`Diagram::flatten`] turns it into instructions, from the last to the
//! first, so that every target is already placed: it inserts loads where the register holds another word, and short-cuts
//! where a target is too far. Facts: linux/filter.h, seccomp(2), Documentation/networking/filter.rst.

use std::collections::BTreeMap;

use libc::sock_filter;

use crate::error::{Error, Result};

/// The most instructions the kernel takes (`BPF_MAXINSNS`).
pub const MOST_INSTRUCTIONS: usize = 4096;

/// Offset of the call's number in `seccomp_data`.
pub const WORD_NUMBER: u8 = 0;
/// Offset of the audit architecture in `seccomp_data`.
pub const WORD_ARCH: u8 = 4;

/// A node, by its place in the diagram.
pub type Id = u32;

/// How a word is compared with the constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compare {
    /// Equal.
    Equal,
    /// Greater, unsigned.
    Greater,
    /// Greater or equal, unsigned.
    AtLeast,
}

/// One question: does the word at `offset`, masked, compare so with `value`?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// Offset of the word in `seccomp_data`.
    pub offset: u8,
    /// Bits that count; all of them unless `compare` is `Equal`.
    pub mask: u32,
    /// The comparison.
    pub compare: Compare,
    /// What it is compared with.
    pub value: u32,
}

/// A place in the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// The end: a `SECCOMP_RET_*` value.
    Verdict(u32),
    /// A question and where its two answers lead.
    Question(Test, Id, Id),
}

/// A growing set of nodes in which equal ones are one.
#[derive(Debug, Default)]
pub struct Diagram {
    nodes: Vec<Node>,
    known: BTreeMap<Node, Id>,
    /// The verdicts, by action: a handful, asked for once per number.
    verdicts: Vec<(u32, Id)>,
}

impl Diagram {
    /// The end with this verdict.
    pub fn verdict(&mut self, action: u32) -> Id {
        if let Some((_, id)) = self.verdicts.iter().find(|(known, _)| *known == action) {
            return *id;
        }
        self.nodes.push(Node::Verdict(action));
        let id = self.nodes.len() as Id - 1;
        self.verdicts.push((action, id));
        id
    }

    /// A question, or nothing at all where both answers lead to the same place or no bit counts.
    pub fn question(&mut self, test: Test, yes: Id, no: Id) -> Id {
        if yes == no || test.mask == 0 {
            return yes;
        }
        let Self { nodes, known, .. } = self;
        let node = Node::Question(test, yes, no);
        *known.entry(node).or_insert_with(|| {
            nodes.push(node);
            nodes.len() as Id - 1
        })
    }

    /// A question that no other place can share: not looked up, which is faster.
    pub fn own_question(&mut self, offset: u8, compare: Compare, value: u32, yes: Id, no: Id) -> Id {
        self.nodes.push(Node::Question(Test { offset, mask: u32::MAX, compare, value }, yes, no));
        self.nodes.len() as Id - 1
    }

    /// How many nodes there are. Each becomes at least one instruction, so that more than [`MOST_INSTRUCTIONS`] is too much.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The error for a diagram that has become too large.
    pub fn too_large() -> Error {
        Error::new(format!("the seccomp profile needs more than the {MOST_INSTRUCTIONS} instructions that the kernel takes"))
            .config("linux.seccomp.syscalls")
            .code("E-SECCOMP")
            .hint("drop rules or architectures from the profile")
    }

    /// Forgets all nodes beyond the first `len`.
    pub fn rewind(&mut self, len: usize) {
        self.nodes.truncate(len);
        self.known.retain(|_, id| (*id as usize) < len);
        self.verdicts.retain(|(_, id)| (*id as usize) < len);
    }

    /// The instructions that decide as the diagram does from `root` on.
    pub fn flatten(&self, root: Id) -> Result<Vec<sock_filter>> {
        let mut flat = Flat {
            diagram: self,
            code: Vec::with_capacity(self.nodes.len() * 2),
            places: vec![Place::default(); self.nodes.len()],
        };
        flat.place(root, None)?;
        flat.code.reverse();
        Ok(flat.code)
    }
}

/// Where a node's code begins, as the number of instructions from there to the end; 0 is nowhere.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// With the word loaded by its own first instruction.
    loading: usize,
    /// With the word already in A.
    loaded: usize,
}

struct Flat<'a> {
    diagram: &'a Diagram,
    /// The instructions, last first.
    code: Vec<sock_filter>,
    places: Vec<Place>,
}

impl Flat<'_> {
    /// Places `id`, entered while A holds the word at `held`, and all it leads to; says where.
    fn place(&mut self, id: Id, held: Option<u8>) -> Result<usize> {
        let known = self.places[id as usize];
        let (test, yes, no) = match self.diagram.nodes[id as usize] {
            Node::Verdict(action) if known.loaded == 0 => return self.put_verdict(id, action),
            Node::Verdict(_) => return Ok(known.loaded),
            Node::Question(..) if held.is_none() && known.loading != 0 => return Ok(known.loading),
            Node::Question(test, yes, no) => (test, yes, no),
        };
        let has_word = held == Some(test.offset);
        if has_word && known.loaded != 0 {
            return Ok(known.loaded);
        }
        if !has_word && known.loading != 0 {
            return Ok(known.loading);
        }
        if !has_word && known.loaded != 0 && known.loaded == self.code.len() {
            return self.put_load(id, test.offset);
        }
        self.put_question(id, test, yes, no)?;
        if has_word { Ok(self.places[id as usize].loaded) } else { self.put_load(id, test.offset) }
    }

    fn put(&mut self, code: u32, yes: u8, no: u8, k: u32) -> Result<usize> {
        if self.code.len() == MOST_INSTRUCTIONS {
            return Err(Diagram::too_large());
        }
        self.code.push(sock_filter { code: code as u16, jt: yes, jf: no, k });
        Ok(self.code.len())
    }

    fn put_verdict(&mut self, id: Id, action: u32) -> Result<usize> {
        let at = self.put(libc::BPF_RET | libc::BPF_K, 0, 0, action)?;
        self.places[id as usize].loaded = at;
        Ok(at)
    }

    fn put_load(&mut self, id: Id, offset: u8) -> Result<usize> {
        let at = self.put(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, u32::from(offset))?;
        self.places[id as usize].loading = at;
        Ok(at)
    }

    fn put_question(&mut self, id: Id, test: Test, mut yes: Id, mut no: Id) -> Result<()> {
        let masked = test.mask != u32::MAX;
        // "No bit of the mask is set" and "the one bit of the mask is set" are one instruction that leaves A as it is.
        let bits = masked && (test.value == 0 || (test.value == test.mask && test.mask.is_power_of_two()));
        if bits && test.value == 0 {
            std::mem::swap(&mut yes, &mut no);
        }
        let held = (!masked || bits).then_some(test.offset);
        // The "no" side, as a rule the longer one, is placed last, which is right behind the question.
        let mut to_yes = self.place(yes, held)?;
        let mut to_no = self.place(no, held)?;
        // Too far for a byte: a way station, which may push the other target out of reach in turn.
        loop {
            let (far, node) = if to_yes < to_no { (&mut to_yes, yes) } else { (&mut to_no, no) };
            if self.code.len() - *far <= 255 {
                break;
            }
            *far = self.put_station(node, *far)?;
        }
        let (yes_by, no_by) = ((self.code.len() - to_yes) as u8, (self.code.len() - to_no) as u8);
        let (code, k) = match test.compare {
            Compare::Equal if bits => (libc::BPF_JSET, test.mask),
            Compare::Equal => (libc::BPF_JEQ, test.value),
            Compare::Greater => (libc::BPF_JGT, test.value),
            Compare::AtLeast => (libc::BPF_JGE, test.value),
        };
        let mut at = self.put(libc::BPF_JMP | libc::BPF_K | code, yes_by, no_by, k)?;
        if masked && !bits {
            at = self.put(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, test.mask)?;
        }
        self.places[id as usize].loaded = at;
        Ok(())
    }

    /// A near place that leads to the far `target` of `node`: a copy of a verdict, else an unconditional jump.
    fn put_station(&mut self, node: Id, target: usize) -> Result<usize> {
        match self.diagram.nodes[node as usize] {
            Node::Verdict(action) => self.put_verdict(node, action),
            Node::Question(..) => self.put(libc::BPF_JMP | libc::BPF_JA, 0, 0, (self.code.len() - target) as u32),
        }
    }
}
