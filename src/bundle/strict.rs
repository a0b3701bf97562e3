//! A layer around a parser that makes it as strict as the specification, and tells whether a key was passed over.
//!
//! The types' derived readers take more than they should: a list of values where an object is due, `"capabilities": []`, is
//! an object without members to them, and `{"pid": null}` is the name `pid`. Go's reader, and so every engine, takes neither:
//! whoever writes it means something else than what would happen. This layer asks the parser for a map where the type has
//! named members, and for a string where it has names. On a good document nothing is copied or kept, and it costs no time;
//! on one that is read again for its faults, the layer keeps the way from the top to where the reader is.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

/// One step of the way into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the member of this name.
    Key(String),
    /// To the element of this index.
    Index(usize),
}

/// What is noted while a document is read.
#[derive(Debug, Default)]
pub struct Watch {
    ignored: Cell<bool>,
    trail: Option<Trail>,
}

/// The way to where the reader is, and the ways to what no type has a place for.
#[derive(Debug, Default)]
struct Trail {
    here: RefCell<Vec<Step>>,
    ignored: RefCell<Vec<Vec<Step>>>,
}

impl Watch {
    /// Notes ways too, which costs time.
    pub fn with_trail() -> Self {
        Self { ignored: Cell::new(false), trail: Some(Trail::default()) }
    }

    /// Whether a value was read that no type has a place for.
    pub fn has_ignored(&self) -> bool {
        self.ignored.get()
    }

    /// After a failed reading: the way to the value that failed. After a good one it is empty.
    pub fn place(&self) -> Vec<Step> {
        self.trail.as_ref().map_or_else(Vec::new, |trail| trail.here.borrow().clone())
    }

    /// The ways to the values that no type has a place for, in the order of the text.
    pub fn ignored(&self) -> Vec<Vec<Step>> {
        self.trail.as_ref().map_or_else(Vec::new, |trail| trail.ignored.borrow().clone())
    }

    fn ignore(&self) {
        self.ignored.set(true);
        if let Some(trail) = &self.trail {
            trail.ignored.borrow_mut().push(trail.here.borrow().clone());
        }
    }

    fn enter(&self, step: impl FnOnce() -> Step) {
        if let Some(trail) = &self.trail {
            trail.here.borrow_mut().push(step());
        }
    }

    /// Never called after an error: the way then leads to it.
    fn leave(&self) {
        if let Some(trail) = &self.trail {
            trail.here.borrow_mut().pop();
        }
    }
}

/// A parser, a visitor, an access or a seed with the layer around it.
pub struct Strict<'f, T> {
    inner: T,
    watch: &'f Watch,
}

impl<'f, T> Strict<'f, T> {
    /// Puts the layer around `inner`.
    pub fn new(inner: T, watch: &'f Watch) -> Self {
        Self { inner, watch }
    }

    fn around<U>(&self, inner: U) -> Strict<'f, U> {
        Strict { inner, watch: self.watch }
    }
}

macro_rules! ask_for {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.around(visitor);
            self.inner.$method(visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<'_, D> {
    type Error = D::Error;

    ask_for! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.watch.ignore();
        self.inner.deserialize_ignored_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_str(Name(visitor))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.around(visitor);
        self.inner.deserialize_tuple_struct(name, length, visitor)
    }
}

macro_rules! hand_on {
    ($($method:ident: $type:ty)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    hand_on! {
        visit_bool: bool visit_i64: i64 visit_u64: u64 visit_f64: f64 visit_str: &str visit_borrowed_str: &'de str
        visit_string: String visit_bytes: &[u8] visit_borrowed_bytes: &'de [u8] visit_byte_buf: Vec<u8>
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, parser: D) -> Result<V::Value, D::Error> {
        let parser = self.around(parser);
        self.inner.visit_some(parser)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, parser: D) -> Result<V::Value, D::Error> {
        let parser = self.around(parser);
        self.inner.visit_newtype_struct(parser)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Elements { access, watch: self.watch, next: 0 })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.around(access);
        self.inner.visit_map(access)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(access)
    }
}

/// The elements of a list.
struct Elements<'f, A> {
    access: A,
    watch: &'f Watch,
    next: usize,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Elements<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.watch.enter(|| Step::Index(self.next));
        let element = self.access.next_element_seed(Strict::new(seed, self.watch))?;
        self.watch.leave();
        self.next += 1;
        Ok(element)
    }

    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(Key(Strict::new(seed, self.watch)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.inner.next_value_seed(Strict::new(seed, self.watch))?;
        self.watch.leave();
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<S::Value, D::Error> {
        let parser = self.around(parser);
        self.inner.deserialize(parser)
    }
}

/// Reads a key, and takes the step to its value.
struct Key<'f, T>(Strict<'f, T>);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<S::Value, D::Error> {
        let Strict { inner, watch } = self.0;
        inner.deserialize(Key(Strict::new(parser, watch)))
    }
}

/// All keys are strings, whatever the type makes of them.
macro_rules! ask_for_a_string {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.inner.deserialize_str(Key(Strict::new(visitor, self.0.watch)))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Key<'_, D> {
    type Error = D::Error;

    ask_for_a_string! { deserialize_any deserialize_str deserialize_string deserialize_identifier deserialize_ignored_any }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Key<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.inner.expecting(f)
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<V::Value, E> {
        self.0.watch.enter(|| Step::Key(key.to_owned()));
        self.0.inner.visit_str(key)
    }

    fn visit_borrowed_str<E: Error>(self, key: &'de str) -> Result<V::Value, E> {
        self.0.watch.enter(|| Step::Key(key.to_owned()));
        self.0.inner.visit_borrowed_str(key)
    }
}

/// Reads one of several names: a string and nothing else.
struct Name<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Name<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<V::Value, E> {
        self.0.visit_enum(StrDeserializer::new(name))
    }
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::{LinuxNamespace, Process, Spec};
    use serde::Deserialize;
    use serde::de::DeserializeOwned;

    use super::*;

    fn read<T: DeserializeOwned>(text: &str) -> Result<(T, bool), String> {
        let watch = Watch::default();
        let value =
            T::deserialize(Strict::new(&mut serde_json::Deserializer::from_str(text), &watch)).map_err(|e| e.to_string())?;
        Ok((value, watch.has_ignored()))
    }

    #[test]
    fn a_list_is_no_object() {
        assert!(read::<Spec>("[]").is_err());
        assert!(read::<Spec>(r#"{"process": {"cwd": "/", "user": {}, "capabilities": []}}"#).is_err());
        assert!(read::<Process>(r#"{"cwd": "/", "user": [1000, 1000]}"#).is_err());
        // The types alone take it.
        assert!(serde_json::from_str::<Spec>("[]").is_ok());
    }

    #[test]
    fn an_object_is_no_name() {
        assert!(read::<LinuxNamespace>(r#"{"type": {"pid": null}}"#).is_err());
        assert!(read::<LinuxNamespace>(r#"{"type": "pid"}"#).is_ok());
        assert!(serde_json::from_str::<LinuxNamespace>(r#"{"type": {"pid": null}}"#).is_ok());
    }

    #[test]
    fn tells_of_ignored_keys_at_every_depth() {
        let ignored = |text| read::<Spec>(text).expect("a spec").1;
        assert!(!ignored(r#"{"hostname": "x", "linux": {"sysctl": {"any": "thing"}}}"#));
        assert!(ignored(r#"{"hostnam": "x"}"#));
        assert!(ignored(r#"{"mounts": [{"destination": "/", "extra": 1}]}"#));
        assert!(ignored(r#"{"linux": {"rdma": null, "resources": {"rdma": {"a": {"b": 1}}}}}"#));
    }
    #[test]
    fn keeps_the_way_to_a_fault_and_to_what_is_ignored() {
        let text = r#"{"hooks": {"prestart": [{"path": "/a", "x": [1]}, {"path": "/b", "timeout": "5"}]}}"#;
        let watch = Watch::with_trail();
        Spec::deserialize(Strict::new(&mut serde_json::Deserializer::from_str(text), &watch)).expect_err("a wrong type");
        let prestart = |index| [Step::Key("hooks".into()), Step::Key("prestart".into()), Step::Index(index)].to_vec();
        assert_eq!(watch.place(), [prestart(1), vec![Step::Key("timeout".into())]].concat());
        assert_eq!(watch.ignored(), [[prestart(0), vec![Step::Key("x".into())]].concat()]);
    }
}
