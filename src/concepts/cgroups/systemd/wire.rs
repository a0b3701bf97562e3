//! The D-Bus wire format, as much as talking to systemd needs (D-Bus specification, "Marshaling").
//!
//! Everything is little-endian and aligned to its size; a container is its length and its parts. What comes in was written by another process:
//! each length is checked against what is there before it is believed.

use crate::error::{Error, Result};

/// Deeper nesting than this is an attack or a bug (the specification's limit is 64).
const MAX_DEPTH: usize = 16;

/// One value, of the types that occur here.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Value {
    Byte(u8),
    Bool(bool),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F64(f64),
    Str(String),
    Path(String),
    Signature(String),
    /// The signature of the elements, and the elements.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    /// Key and value, an element of an array.
    Entry(Box<(Value, Value)>),
    Variant(Box<Value>),
}

impl Value {
    /// An array of strings.
    #[cfg(test)]
    pub fn strings(texts: &[&str]) -> Self {
        Self::Array("s".into(), texts.iter().map(|t| Self::Str((*t).into())).collect())
    }

    /// An array of bytes.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::Array("y".into(), bytes.iter().map(|b| Self::Byte(*b)).collect())
    }

    /// Its type in D-Bus notation.
    pub fn signature(&self) -> String {
        match self {
            Self::Byte(_) => "y".into(),
            Self::Bool(_) => "b".into(),
            Self::I16(_) => "n".into(),
            Self::U16(_) => "q".into(),
            Self::I32(_) => "i".into(),
            Self::U32(_) => "u".into(),
            Self::I64(_) => "x".into(),
            Self::U64(_) => "t".into(),
            Self::F64(_) => "d".into(),
            Self::Str(_) => "s".into(),
            Self::Path(_) => "o".into(),
            Self::Signature(_) => "g".into(),
            Self::Array(element, _) => format!("a{element}"),
            Self::Struct(parts) => format!("({})", parts.iter().map(Self::signature).collect::<String>()),
            Self::Entry(pair) => format!("{{{}{}}}", pair.0.signature(), pair.1.signature()),
            Self::Variant(_) => "v".into(),
        }
    }

    /// The text of a string or path.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Str(text) | Self::Path(text) => Some(text),
            _ => None,
        }
    }
}

/// Where a value of the type that begins with `code` must start.
fn alignment(code: u8) -> usize {
    match code {
        b'n' | b'q' => 2,
        b'b' | b'i' | b'u' | b's' | b'o' | b'a' => 4,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 1,
    }
}

/// Writes values one after the other.
#[derive(Debug, Default)]
pub(super) struct Encoder(pub Vec<u8>);

impl Encoder {
    pub fn pad(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, bytes: &[u8]) {
        self.pad(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.number(&(text.len() as u32).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn short(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend_from_slice(signature.as_bytes());
        self.0.push(0);
    }

    pub fn value(&mut self, value: &Value) {
        match value {
            Value::Byte(n) => self.0.push(*n),
            Value::Bool(b) => self.number(&u32::from(*b).to_le_bytes()),
            Value::I16(n) => self.number(&n.to_le_bytes()),
            Value::U16(n) => self.number(&n.to_le_bytes()),
            Value::I32(n) => self.number(&n.to_le_bytes()),
            Value::U32(n) => self.number(&n.to_le_bytes()),
            Value::I64(n) => self.number(&n.to_le_bytes()),
            Value::U64(n) => self.number(&n.to_le_bytes()),
            Value::F64(n) => self.number(&n.to_le_bytes()),
            Value::Str(text) | Value::Path(text) => self.text(text),
            Value::Signature(text) => self.short(text),
            Value::Array(element, values) => self.array(element, values),
            Value::Struct(parts) => {
                self.pad(8);
                parts.iter().for_each(|part| self.value(part));
            }
            Value::Entry(pair) => {
                self.pad(8);
                self.value(&pair.0);
                self.value(&pair.1);
            }
            Value::Variant(inner) => {
                self.short(&inner.signature());
                self.value(inner);
            }
        }
    }

    fn array(&mut self, element: &str, values: &[Value]) {
        self.number(&[0; 4]);
        let length_at = self.0.len() - 4;
        // The padding before the first element does not count, and is there even without one.
        self.pad(alignment(element.as_bytes()[0]));
        let start = self.0.len();
        values.iter().for_each(|value| self.value(value));
        let length = (self.0.len() - start) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Reads values one after the other.
pub(super) struct Decoder<'a> {
    data: &'a [u8],
    at: usize,
}

fn broken() -> Error {
    Error::new("broken D-Bus message")
}

impl<'a> Decoder<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len()).ok_or_else(broken)?;
        let taken = &self.data[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub fn align(&mut self, to: usize) -> Result<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.align(N)?;
        Ok(self.take(N)?.try_into().expect("as long as asked"))
    }

    fn text(&mut self, length: usize) -> Result<String> {
        let text = self.take(length)?;
        if self.take(1)? != [0] {
            return Err(broken());
        }
        String::from_utf8(text.to_vec()).map_err(|_| broken())
    }

    /// Reads one value for each type in `signature`.
    pub fn values(&mut self, signature: &str) -> Result<Vec<Value>> {
        self.sequence(signature.as_bytes(), 0)
    }

    fn sequence(&mut self, mut signature: &[u8], depth: usize) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        while !signature.is_empty() {
            let (one, rest) = signature.split_at(single(signature)?);
            values.push(self.value(one, depth)?);
            signature = rest;
        }
        Ok(values)
    }

    fn value(&mut self, signature: &[u8], depth: usize) -> Result<Value> {
        if depth > MAX_DEPTH {
            return Err(broken());
        }
        Ok(match signature[0] {
            b'y' => Value::Byte(self.take(1)?[0]),
            b'b' => Value::Bool(u32::from_le_bytes(self.number()?) != 0),
            b'n' => Value::I16(i16::from_le_bytes(self.number()?)),
            b'q' => Value::U16(u16::from_le_bytes(self.number()?)),
            b'i' => Value::I32(i32::from_le_bytes(self.number()?)),
            b'u' => Value::U32(u32::from_le_bytes(self.number()?)),
            b'x' => Value::I64(i64::from_le_bytes(self.number()?)),
            b't' => Value::U64(u64::from_le_bytes(self.number()?)),
            b'd' => Value::F64(f64::from_le_bytes(self.number()?)),
            b's' | b'o' => {
                let length = u32::from_le_bytes(self.number()?) as usize;
                let text = self.text(length)?;
                if signature[0] == b's' { Value::Str(text) } else { Value::Path(text) }
            }
            b'g' => {
                let length = self.take(1)?[0];
                Value::Signature(self.text(length.into())?)
            }
            b'a' => self.array(&signature[1..], depth)?,
            b'(' => {
                self.align(8)?;
                Value::Struct(self.sequence(&signature[1..signature.len() - 1], depth + 1)?)
            }
            b'{' => {
                self.align(8)?;
                let mut pair = self.sequence(&signature[1..signature.len() - 1], depth + 1)?;
                let value = pair.pop().ok_or_else(broken)?;
                Value::Entry(Box::new((pair.pop().ok_or_else(broken)?, value)))
            }
            b'v' => {
                let length = self.take(1)?[0];
                let inner = self.text(length.into())?;
                let mut values = self.sequence(inner.as_bytes(), depth + 1)?;
                let only = values.pop().filter(|_| values.is_empty()).ok_or_else(broken)?;
                Value::Variant(Box::new(only))
            }
            _ => return Err(broken()),
        })
    }

    fn array(&mut self, element: &[u8], depth: usize) -> Result<Value> {
        let length = u32::from_le_bytes(self.number()?) as usize;
        self.align(alignment(element[0]))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.data.len()).ok_or_else(broken)?;
        let mut values = Vec::new();
        while self.at < end {
            let before = self.at;
            values.push(self.value(element, depth + 1)?);
            // An empty struct would never come to the end.
            if self.at == before {
                return Err(broken());
            }
        }
        let name = String::from_utf8(element.to_vec()).map_err(|_| broken())?;
        if self.at == end { Ok(Value::Array(name, values)) } else { Err(broken()) }
    }
}

/// The length of the first complete type of a signature.
pub(super) fn single(signature: &[u8]) -> Result<usize> {
    single_at(signature, 0)
}

fn single_at(signature: &[u8], depth: usize) -> Result<usize> {
    if depth > MAX_DEPTH {
        return Err(broken());
    }
    match signature.first() {
        Some(b'a') => Ok(1 + single_at(&signature[1..], depth + 1)?),
        Some(open @ (b'(' | b'{')) => {
            let close = if *open == b'(' { b')' } else { b'}' };
            let mut at = 1;
            while *signature.get(at).ok_or_else(broken)? != close {
                at += single_at(&signature[at..], depth + 1)?;
            }
            if at == 1 { Err(broken()) } else { Ok(at + 1) }
        }
        Some(b'y' | b'b' | b'n' | b'q' | b'i' | b'u' | b'x' | b't' | b'd' | b's' | b'o' | b'g' | b'v') => Ok(1),
        _ => Err(broken()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Value {
        let entry = Value::Entry(Box::new((Value::Str("k".into()), Value::Variant(Box::new(Value::I16(-3))))));
        Value::Struct(vec![
            Value::Byte(7),
            Value::U64(1 << 40),
            Value::Bool(true),
            Value::Array(
                "(sv)".into(),
                vec![Value::Struct(vec![Value::Str("é".into()), Value::Variant(Box::new(Value::bytes(&[1, 2])))])],
            ),
            Value::Array("{sv}".into(), vec![entry]),
            Value::Array("t".into(), vec![]),
            Value::Path("/a".into()),
            Value::Signature("a(sv)".into()),
            Value::F64(0.5),
            Value::U16(3),
        ])
    }

    #[test]
    fn what_is_written_is_read() {
        let value = all();
        assert_eq!(value.signature(), "(ytba(sv)a{sv}atogdq)");
        let mut encoder = Encoder::default();
        encoder.value(&value);
        assert_eq!(Decoder::new(&encoder.0).values(&value.signature()).expect("decode"), [value]);
    }

    #[test]
    fn the_layout_is_that_of_the_specification() {
        let mut encoder = Encoder::default();
        encoder.value(&Value::Array("t".into(), vec![Value::U64(5)]));
        encoder.value(&Value::Variant(Box::new(Value::U32(1))));
        assert_eq!(encoder.0, [8, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, b'u', 0, 0, 1, 0, 0, 0]);
    }

    #[test]
    fn cut_and_bent_messages_are_errors_never_panics() {
        let value = all();
        let mut encoder = Encoder::default();
        encoder.value(&value);
        let signature = value.signature();
        for cut in 0..encoder.0.len() {
            assert!(Decoder::new(&encoder.0[..cut]).values(&signature).is_err(), "{cut}");
        }
        for at in 0..encoder.0.len() {
            for bent in [0, 1, 0x28, 0x61, 0x76, 0x7f, 0xff] {
                let mut data = encoder.0.clone();
                data[at] = bent;
                Decoder::new(&data).values(&signature).ok();
            }
        }
        for bad in ["a", "(", "()", "(s", "{s", "z", &"a".repeat(100), &"(".repeat(100)] {
            assert!(Decoder::new(&[0; 64]).values(bad).is_err(), "{bad}");
        }
    }
}
