//! Where things stand in a JSON text: lines and columns of keys and values, keys that occur twice, and what exactly is
//! wrong with a text that is not JSON.
//!
//! Parsers say "expected value at line 14 column 3"; a person wants to know which bracket was left open. This scanner runs
//! only after something was found wrong, so it may take its time, but it reads text of any origin: it allocates no more than
//! the text is long and goes no deeper than [`DEPTH`].

use std::collections::{HashMap, HashSet};

/// How deeply objects and lists may be nested; serde_json's own limit.
const DEPTH: usize = 127;

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// What is wrong with a text that is not JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Where it shows.
    pub place: Place,
    /// What is wrong, in plain words.
    pub text: String,
}

/// What a scan finds.
#[derive(Debug, Default)]
pub struct Places {
    /// For each wanted path that is there: the places of its key (of its value, in a list) and of its value.
    pub found: HashMap<String, (Place, Place)>,
    /// Keys that their object has already, with their paths; at most a hundred.
    pub duplicates: Vec<(String, Place)>,
}

/// Appends a key to a path: `process` + `cwd` is `process.cwd`.
pub fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Appends an index to a path: `mounts` + 3 is `mounts[3]`.
pub fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}

/// Reads the whole text and notes the places of the `wanted` paths.
pub fn scan(text: &[u8], wanted: &HashSet<String>) -> Result<Places, Broken> {
    let mut scanner = Scanner { text, at: 0, depth: 0, path: String::new(), wanted, offsets: HashMap::new(), duplicates: vec![] };
    let done = scanner.document();
    let lines = Lines::of(text);
    done.map_err(|(at, message)| Broken { place: lines.place(at), text: message(&lines) })?;
    let found = scanner.offsets.into_iter().map(|(path, (key, value))| (path, (lines.place(key), lines.place(value)))).collect();
    Ok(Places { found, duplicates: scanner.duplicates.into_iter().map(|(path, at)| (path, lines.place(at))).collect() })
}

/// Offsets of line beginnings.
struct Lines<'a> {
    text: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        let after_breaks = text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1);
        Self { text, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at);
        let before = &self.text[self.starts[line - 1]..at.min(self.text.len())];
        // Bytes that begin a character: all but UTF-8's continuation bytes.
        let column = before.iter().filter(|b| **b & 0xC0 != 0x80).count() + 1;
        Place { line, column }
    }

    fn show(&self, at: usize) -> String {
        let Place { line, column } = self.place(at);
        format!("{line}:{column}")
    }
}

/// An offset, and the message about it, made once the lines are known.
type Fault<'a> = (usize, Box<dyn FnOnce(&Lines) -> String + 'a>);

fn fault<'a, T>(at: usize, message: impl FnOnce(&Lines) -> String + 'a) -> Result<T, Fault<'a>> {
    Err((at, Box::new(message)))
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
    path: String,
    wanted: &'a HashSet<String>,
    offsets: HashMap<String, (usize, usize)>,
    duplicates: Vec<(String, usize)>,
}

impl<'a> Scanner<'a> {
    fn document(&mut self) -> Result<(), Fault<'a>> {
        if self.text.starts_with(b"\xEF\xBB\xBF") {
            return fault(0, |_| "the file begins with a byte order mark, which JSON has not".into());
        }
        if self.next().is_none() {
            return fault(self.at, |_| "the file is empty".into());
        }
        self.value()?;
        match self.next() {
            None => Ok(()),
            Some(b) => fault(self.at, move |_| format!("{} stands after the end of the document", shown(b))),
        }
    }

    /// Skips white space; the byte that follows.
    fn next(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn value(&mut self) -> Result<(), Fault<'a>> {
        match self.next() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => {
                self.skip_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
                Ok(())
            }
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_') => self.word(),
            Some(b'\'') => fault(self.at, |_| "strings stand in double quotes".into()),
            Some(b'/') => fault(self.at, |_| "JSON has no comments".into()),
            Some(b) => fault(self.at, move |_| format!("a value is missing before {}", shown(b))),
            None => fault(self.at, |_| "the file ends where a value is missing".into()),
        }
    }

    fn nested(&mut self, inner: fn(&mut Self) -> Result<(), Fault<'a>>) -> Result<(), Fault<'a>> {
        self.depth += 1;
        if self.depth > DEPTH {
            return fault(self.at, |_| format!("nested more than {DEPTH} levels deep"));
        }
        inner(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self) -> Result<(), Fault<'a>> {
        let opened = self.at;
        self.at += 1;
        let mut keys = HashSet::new();
        let mut comma = None;
        loop {
            match self.next() {
                Some(b'}') if comma.is_none() => break,
                Some(b'"') => {}
                other => return self.no_member("object", b'}', opened, comma, other),
            }
            let key_at = self.at;
            let key = self.string()?;
            if self.next() != Some(b':') {
                return fault(self.at, move |_| format!("`:` is missing after the key {key:?}"));
            }
            self.at += 1;
            self.next();
            let before = self.path.len();
            push_key(&mut self.path, &key);
            self.note(key_at, self.at);
            if !keys.insert(key) && self.duplicates.len() < 100 {
                self.duplicates.push((self.path.clone(), key_at));
            }
            self.value()?;
            self.path.truncate(before);
            match self.next() {
                Some(b',') => comma = Some(self.at),
                Some(b'}') => break,
                other => return self.not_closed("object", b'}', opened, other),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }

    fn list(&mut self) -> Result<(), Fault<'a>> {
        let opened = self.at;
        self.at += 1;
        let mut comma = None;
        for index in 0.. {
            match self.next() {
                Some(b']') if comma.is_none() => break,
                Some(b @ (b']' | b'}')) => return self.no_member("list", b']', opened, comma, Some(b)),
                None => return self.not_closed("list", b']', opened, None),
                Some(_) => {}
            }
            let before = self.path.len();
            push_index(&mut self.path, index);
            self.note(self.at, self.at);
            self.value()?;
            self.path.truncate(before);
            match self.next() {
                Some(b',') => comma = Some(self.at),
                Some(b']') => break,
                other => return self.not_closed("list", b']', opened, other),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }

    fn note(&mut self, key: usize, value: usize) {
        if self.wanted.contains(&self.path) {
            self.offsets.insert(self.path.clone(), (key, value));
        }
    }

    /// A member was due, after `{`, `[` or a comma, and something else came.
    fn no_member<T>(
        &self,
        kind: &'static str,
        close: u8,
        opened: usize,
        comma: Option<usize>,
        got: Option<u8>,
    ) -> Result<T, Fault<'a>> {
        match (got, comma) {
            (Some(b), Some(comma)) if b == close => fault(comma, move |_| format!("`,` before {}: nothing follows it", shown(b))),
            (Some(b'\''), _) => fault(self.at, |_| "keys stand in double quotes".into()),
            (Some(b'/'), _) => fault(self.at, |_| "JSON has no comments".into()),
            (Some(b'}' | b']') | None, _) => self.not_closed(kind, close, opened, got),
            (Some(b), _) => fault(self.at, move |_| format!("a key in double quotes is missing before {}", shown(b))),
        }
    }

    /// A comma or the closing bracket was due and something else came.
    fn not_closed<T>(&self, kind: &'static str, close: u8, opened: usize, got: Option<u8>) -> Result<T, Fault<'a>> {
        match got {
            None => fault(self.at, move |l| format!("the file ends, but the {kind} opened at {} is not closed", l.show(opened))),
            Some(b @ (b'}' | b']')) => fault(self.at, move |l| {
                format!("{} closes the {kind} opened at {}; {} is due", shown(b), l.show(opened), shown(close))
            }),
            Some(b'/') => fault(self.at, |_| "JSON has no comments".into()),
            Some(b) => fault(self.at, move |_| format!("`,` is missing before {}", shown(b))),
        }
    }

    fn word(&mut self) -> Result<(), Fault<'a>> {
        let begun = self.at;
        self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_');
        match &self.text[begun..self.at] {
            b"true" | b"false" | b"null" => Ok(()),
            word => {
                let word: String = String::from_utf8_lossy(word).chars().take(40).collect();
                fault(begun, move |_| {
                    format!(
                        "{word} is no JSON value: strings stand in double quotes, and true, false and null are the only words"
                    )
                })
            }
        }
    }

    /// Reads a string, its escapes undone.
    fn string(&mut self) -> Result<String, Fault<'a>> {
        let opened = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(0..=0x1F) => {
                    return fault(self.at, move |l| {
                        format!("a line break or control character in the string opened at {}", l.show(opened))
                    });
                }
                Some(_) => self.at += 1,
                None => {
                    return fault(self.text.len(), move |l| format!("the file ends in the string opened at {}", l.show(opened)));
                }
            }
        }
        self.at += 1;
        let quoted = &self.text[opened..self.at];
        match serde_json::from_slice(quoted) {
            Ok(string) => Ok(string),
            Err(e) => {
                // serde_json puts its own place (inside this string) behind the message.
                let text = e.to_string();
                let text = text.split(" at line ").next().unwrap_or_default().to_owned();
                fault(opened + e.column().saturating_sub(1).min(quoted.len()), move |_| format!("{text} in a string"))
            }
        }
    }

    fn skip_while(&mut self, condition: impl Fn(u8) -> bool) {
        while self.text.get(self.at).is_some_and(|b| condition(*b)) {
            self.at += 1;
        }
    }
}

/// A byte as a message may show it.
fn shown(b: u8) -> String {
    if b.is_ascii_graphic() { format!("`{}`", b as char) } else { format!("the byte 0x{b:02x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str) -> String {
        let b = scan(text.as_bytes(), &HashSet::new()).expect_err(text);
        format!("{}:{}: {}", b.place.line, b.place.column, b.text)
    }

    #[test]
    fn finds_keys_and_values() {
        let wanted = ["a.b", "a.c[1].d"].map(String::from).into();
        let places = scan(b"{\"a\": {\n  \"b\": 1,\n  \"c\": [0, {\"d\": \"\xC3\xA4\"}]}}", &wanted).expect("JSON");
        assert_eq!(places.found["a.b"], (Place { line: 2, column: 3 }, Place { line: 2, column: 8 }));
        assert_eq!(places.found["a.c[1].d"], (Place { line: 3, column: 13 }, Place { line: 3, column: 18 }));
    }

    #[test]
    fn finds_duplicate_keys_also_behind_escapes() {
        let places = scan(br#"{"x": {"ab": 1, "a\u0062": 2}, "y": 3}"#, &HashSet::new()).expect("JSON");
        assert_eq!(places.duplicates, [("x.ab".into(), Place { line: 1, column: 17 })]);
    }

    #[test]
    fn says_what_is_broken() {
        let table = [
            ("", "1:1: the file is empty"),
            ("{\n\"a\": [1, 2\n}", "3:1: `}` closes the list opened at 2:6; `]` is due"),
            ("{\"a\": 1]", "1:8: `]` closes the object opened at 1:1; `}` is due"),
            ("{\"a\": 1\n \"b\": 2}", "2:2: `,` is missing before `\"`"),
            ("{\"a\": [1,]}", "1:9: `,` before `]`: nothing follows it"),
            ("{\"a\": 1,}", "1:8: `,` before `}`: nothing follows it"),
            ("{\"a\": 1", "1:8: the file ends, but the object opened at 1:1 is not closed"),
            ("{\"a\": \"x", "1:9: the file ends in the string opened at 1:7"),
            ("{\"a\": \"x\n\"}", "1:9: a line break or control character in the string opened at 1:7"),
            ("{a: 1}", "1:2: a key in double quotes is missing before `a`"),
            ("{\"a\" 1}", "1:6: `:` is missing after the key \"a\""),
            (
                "{\"a\": yes}",
                "1:7: yes is no JSON value: strings stand in double quotes, and true, false and null are the only words",
            ),
            ("{\"a\": 'x'}", "1:7: strings stand in double quotes"),
            ("{\"a\": 1 // one\n}", "1:9: JSON has no comments"),
            ("{} {}", "1:4: `{` stands after the end of the document"),
            ("{\"a\": }", "1:7: a value is missing before `}`"),
            ("{\"a\": \"\\q\"}", "1:9: invalid escape in a string"),
        ];
        for (text, message) in table {
            assert_eq!(broken(text), message, "{text}");
        }
    }

    #[test]
    fn stops_at_a_depth() {
        assert!(broken(&"[".repeat(100_000)).contains("nested more than"));
        assert!(scan(format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)).as_bytes(), &HashSet::new()).is_ok());
    }

    #[test]
    fn survives_any_bytes() {
        let mut seed = 1_u32;
        for length in 0..400 {
            let text: Vec<u8> = (0..length)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    b"{}[]\",:\\tfn0-\x80\xC3 \n"[(seed >> 16) as usize % 17]
                })
                .collect();
            drop(scan(&text, &HashSet::new()));
        }
    }
}
