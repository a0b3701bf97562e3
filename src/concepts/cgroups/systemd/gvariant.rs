//! Values in GVariant text, as annotations give them: `org.systemd.property.TimeoutStopUSec: "uint64 5000000"` (GVariant text format,
//! a part of GLib's documentation).
//!
//! Understood: booleans, numbers, strings, byte strings, arrays, tuples, dictionaries, variants, and a type in front of a value
//! (`uint64 5`, `@as []`). A number without a type is an int32, or a double with a point. Left out is what D-Bus cannot carry: maybe types.

use super::wire::{Value, single};

/// How deep arrays and tuples may nest.
const MAX_DEPTH: usize = 8;

/// The value that `text` describes, or why it describes none.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text.trim_start() };
    let value = parser.value(None, 0)?;
    match parser.rest.trim_start() {
        "" => Ok(value),
        rest => Err(format!("unexpected {rest:?}")),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self, part: impl Fn(char) -> bool) -> &'a str {
        self.rest = self.rest.trim_start();
        let (word, rest) = self.rest.split_at(self.rest.find(|c| !part(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        word
    }

    /// `wanted`: the type the value must have, in D-Bus notation.
    fn value(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err("it nests too deep".into());
        }
        self.rest = self.rest.trim_start();
        match self.rest.chars().next() {
            None => Err("a value is missing".into()),
            Some('@') => {
                self.eat('@');
                let signature = self.word(|c| c.is_ascii_alphabetic() || "(){}".contains(c));
                if single(signature.as_bytes()).ok() != Some(signature.len()) {
                    return Err(format!("unknown type {signature:?}"));
                }
                self.value(Some(signature), depth + 1).and_then(|value| fit(value, wanted))
            }
            Some('\'' | '"') => {
                let text = self.string()?;
                string(text, wanted)
            }
            Some('b') if self.rest[1..].starts_with(['\'', '"']) => {
                self.eat('b');
                // Byte strings end with a zero, as C's.
                fit(Value::bytes(&[self.string()?.as_bytes(), &[0]].concat()), wanted)
            }
            Some('[') => self.array(wanted, depth),
            Some('{') => self.dictionary(wanted, depth),
            Some('(') => self.tuple(wanted, depth),
            Some('<') => {
                self.eat('<');
                let inner = self.value(None, depth + 1)?;
                if self.eat('>') { fit(Value::Variant(Box::new(inner)), wanted) } else { Err("> is missing".into()) }
            }
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => {
                let word = self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
                number(word, wanted)
            }
            Some(_) => self.keyword(wanted, depth),
        }
    }

    fn keyword(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        let word = self.word(|c| c.is_ascii_alphanumeric());
        let signature = match word {
            "true" | "false" => return fit(Value::Bool(word == "true"), wanted),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            _ => return Err(format!("unknown word {word:?} (a string stands in quotes)")),
        };
        self.value(Some(signature), depth + 1).and_then(|value| fit(value, wanted))
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = self.rest.chars().next().unwrap_or('\'');
        let mut chars = self.rest.char_indices().skip(1);
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('a') => text.push('\x07'),
                    Some('b') => text.push('\x08'),
                    Some('f') => text.push('\x0c'),
                    Some('v') => text.push('\x0b'),
                    Some('\n') => {}
                    Some(size @ ('u' | 'U')) => {
                        let digits: String = chars.by_ref().take(if size == 'u' { 4 } else { 8 }).map(|(_, c)| c).collect();
                        let c = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).filter(|c| *c != '\0');
                        text.push(c.ok_or_else(|| format!("unknown escape \\{size}{digits}"))?);
                    }
                    Some(c @ ('\\' | '\'' | '"')) => text.push(c),
                    other => return Err(format!("unknown escape \\{}", other.unwrap_or(' '))),
                },
                c => text.push(c),
            }
        }
        Err("a quote is not closed".into())
    }

    fn array(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        let element = match wanted {
            None => None,
            Some(w) => Some(w.strip_prefix('a').ok_or_else(|| format!("an array is not of type {w}"))?),
        };
        self.eat('[');
        let mut values: Vec<Value> = Vec::new();
        while !self.eat(']') {
            if !values.is_empty() && !self.eat(',') {
                return Err(", or ] is missing".into());
            }
            // All are of the first one's type: `[uint64 1, 2]`.
            let first = values.first().map(Value::signature);
            values.push(self.value(element.or(first.as_deref()), depth + 1)?);
        }
        let signature = element.map(str::to_owned).or_else(|| values.first().map(Value::signature));
        signature.map(|s| Value::Array(s, values)).ok_or_else(|| "the type of an empty array is unknown (@as [])".into())
    }

    /// `{'key': value, …}`: an array of entries, the types of the first one being those of all.
    fn dictionary(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        let pair = |element: &str| -> Option<(String, String)> {
            let inner = element.strip_prefix('{')?.strip_suffix('}')?;
            let (key, value) = inner.split_at(single(inner.as_bytes()).ok()?);
            Some((key.to_owned(), value.to_owned()))
        };
        let mut types = match wanted {
            None => None,
            Some(w) => Some(w.strip_prefix('a').and_then(pair).ok_or_else(|| format!("a dictionary is not of type {w}"))?),
        };
        self.eat('{');
        let mut entries = Vec::new();
        while !self.eat('}') {
            if !entries.is_empty() && !self.eat(',') {
                return Err(", or } is missing".into());
            }
            let key = self.value(types.as_ref().map(|t| t.0.as_str()), depth + 1)?;
            if matches!(key, Value::Array(..) | Value::Struct(_) | Value::Variant(_)) {
                return Err("a key is a string or a number".into());
            }
            if !self.eat(':') {
                return Err(": is missing after a key".into());
            }
            let value = self.value(types.as_ref().map(|t| t.1.as_str()), depth + 1)?;
            types = types.or_else(|| Some((key.signature(), value.signature())));
            entries.push(Value::Entry(Box::new((key, value))));
        }
        let (key, value) = types.ok_or("the type of an empty dictionary is unknown (@a{sv} {})")?;
        Ok(Value::Array(format!("{{{key}{value}}}"), entries))
    }

    fn tuple(&mut self, wanted: Option<&str>, depth: usize) -> Result<Value, String> {
        let mut types = wanted.map(|w| w.strip_prefix('(').and_then(|w| w.strip_suffix(')')).unwrap_or_default());
        self.eat('(');
        let mut parts = Vec::new();
        while !self.eat(')') {
            if !parts.is_empty() && !self.eat(',') {
                return Err(", or ) is missing".into());
            }
            // A tuple of one ends with a comma.
            if self.eat(')') {
                break;
            }
            let length = types.and_then(|t| single(t.as_bytes()).ok());
            let (next, rest) = types.map(|t| t.split_at(length.unwrap_or(t.len()))).unzip();
            parts.push(self.value(next.filter(|n| !n.is_empty()), depth + 1)?);
            types = rest;
        }
        if parts.is_empty() { Err("an empty tuple means nothing here".into()) } else { fit(Value::Struct(parts), wanted) }
    }
}

fn fit(value: Value, wanted: Option<&str>) -> Result<Value, String> {
    match wanted {
        Some(w) if w != value.signature() => Err(format!("a value of type {} where {w} is wanted", value.signature())),
        _ => Ok(value),
    }
}

fn string(text: String, wanted: Option<&str>) -> Result<Value, String> {
    match wanted {
        None | Some("s") => Ok(Value::Str(text)),
        Some("o") => Ok(Value::Path(text)),
        Some("g") => Ok(Value::Signature(text)),
        Some(w) => Err(format!("a string where {w} is wanted")),
    }
}

fn number(word: &str, wanted: Option<&str>) -> Result<Value, String> {
    let wrong = |_| format!("invalid number {word:?}");
    let (sign, digits) = word.strip_prefix('-').map_or(("", word), |digits| ("-", digits));
    let integer = || match (digits.strip_prefix("0x"), digits.strip_prefix('0')) {
        (Some(hex), _) => i128::from_str_radix(&format!("{sign}{hex}"), 16),
        (_, Some(octal)) if !octal.is_empty() => i128::from_str_radix(&format!("{sign}{octal}"), 8),
        _ => word.parse::<i128>(),
    };
    let is_float = !digits.starts_with("0x") && word.contains(['.', 'e', 'E']);
    let range = |_| format!("{word} is out of range");
    Ok(match wanted {
        None if is_float => Value::F64(word.parse().map_err(|_| format!("invalid number {word:?}"))?),
        Some("d") => Value::F64(word.parse().map_err(|_| format!("invalid number {word:?}"))?),
        Some("y") => Value::Byte(integer().map_err(wrong)?.try_into().map_err(range)?),
        Some("n") => Value::I16(integer().map_err(wrong)?.try_into().map_err(range)?),
        Some("q") => Value::U16(integer().map_err(wrong)?.try_into().map_err(range)?),
        None | Some("i") => Value::I32(integer().map_err(wrong)?.try_into().map_err(range)?),
        Some("u") => Value::U32(integer().map_err(wrong)?.try_into().map_err(range)?),
        Some("x") => Value::I64(integer().map_err(wrong)?.try_into().map_err(range)?),
        Some("t") => Value::U64(integer().map_err(wrong)?.try_into().map_err(range)?),
        Some(w) => return Err(format!("a number where {w} is wanted")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_format() {
        let text = |t: &str| Value::Str(t.into());
        let entry = |k: &str, v: Value| Value::Entry(Box::new((Value::Str(k.into()), v)));
        for (given, expected) in [
            ("true", Value::Bool(true)),
            ("5", Value::I32(5)),
            ("uint64 5000000", Value::U64(5_000_000)),
            ("@t 0x10", Value::U64(16)),
            ("-1.5", Value::F64(-1.5)),
            ("'on failure'", text("on failure")),
            ("\"it's\"", text("it's")),
            (r"'it\'s'", text("it's")),
            ("['a', 'b']", Value::strings(&["a", "b"])),
            ("@as []", Value::strings(&[])),
            ("[byte 1, 2]", Value::bytes(&[1, 2])),
            ("objectpath '/x'", Value::Path("/x".into())),
            ("('a', uint32 3)", Value::Struct(vec![text("a"), Value::U32(3)])),
            ("@(su) ('a', 3)", Value::Struct(vec![text("a"), Value::U32(3)])),
            ("<5>", Value::Variant(Box::new(Value::I32(5)))),
            ("@((su)s) (('a', 3), 'b')", Value::Struct(vec![Value::Struct(vec![text("a"), Value::U32(3)]), text("b")])),
            ("[('/dev/sda', uint64 5)]", Value::Array("(st)".into(), vec![Value::Struct(vec![text("/dev/sda"), Value::U64(5)])])),
            ("{'k': <1>}", Value::Array("{sv}".into(), vec![entry("k", Value::Variant(Box::new(Value::I32(1))))])),
            ("@a{su} {'k': 1, 'l': 2}", Value::Array("{su}".into(), vec![entry("k", Value::U32(1)), entry("l", Value::U32(2))])),
            ("@a{sv} {}", Value::Array("{sv}".into(), vec![])),
            ("b'ab'", Value::bytes(b"ab\0")),
            (r"'\u00e9\t'", text("é\t")),
            ("-0x10", Value::I32(-16)),
            ("010", Value::I32(8)),
            ("1e3", Value::F64(1000.0)),
            ("int16 -5", Value::I16(-5)),
            ("signature 'a(sv)'", Value::Signature("a(sv)".into())),
        ] {
            assert_eq!(parse(given).as_ref(), Ok(&expected), "{given}");
        }
    }

    #[test]
    fn nonsense_has_a_reason() {
        for bad in [
            "",
            "abc",
            "'a",
            "[1",
            "[1 2]",
            "[]",
            "byte 256",
            "uint64 'a'",
            "@zz 1",
            "1 2",
            "5x",
            "<1",
            "()",
            "@as [1]",
            "[1, uint64 2]",
            "@as [@s 'a', uint32 1]",
            "@t byte 1",
            "{}",
            "{'a' 1}",
            "{'a': 1, 'b': 'c'}",
            "{<1>: 1}",
            "@a{vs} {<1>: 'a'}",
            "nothing",
            "just 5",
            r"'\ud800'",
            "b'a",
            &"[".repeat(99),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
