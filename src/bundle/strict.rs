//! A layer around a parser that makes it as strict as the specification, and tells whether a key was passed over.
//!
//! The types' derived readers take more than they should: a list of values where an object is due, `"capabilities": []`, is
//! an object without members to them, and `{"pid": null}` is the name `pid`. Go's reader, and so every engine, takes neither:
//! whoever writes it means something else than what would happen. This layer asks the parser for a map where the type has
//! named members, and for a string where it has names. Nothing is copied or kept: it costs no time on a good document.

use std::cell::Cell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

/// A parser, a visitor, an access or a seed with the layer around it.
pub struct Strict<'f, T> {
    inner: T,
    ignored: &'f Cell<bool>,
}

impl<'f, T> Strict<'f, T> {
    /// Puts the layer around `inner`; `ignored` becomes true when a value is read that no type has a place for.
    pub fn new(inner: T, ignored: &'f Cell<bool>) -> Self {
        Self { inner, ignored }
    }

    fn around<U>(&self, inner: U) -> Strict<'f, U> {
        Strict { inner, ignored: self.ignored }
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
        self.ignored.set(true);
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
        let access = self.around(access);
        self.inner.visit_seq(access)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let access = self.around(access);
        self.inner.visit_map(access)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(access)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let seed = self.around(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.next_value_seed(seed)
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
    use serde::de::DeserializeOwned;

    use super::*;

    fn read<T: DeserializeOwned>(text: &str) -> Result<(T, bool), String> {
        let ignored = Cell::new(false);
        let value =
            T::deserialize(Strict::new(&mut serde_json::Deserializer::from_str(text), &ignored)).map_err(|e| e.to_string())?;
        Ok((value, ignored.get()))
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
}
