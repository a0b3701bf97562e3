//! The bundle: a directory with config.json (runtime-spec, bundle.md and config.md), and its cousins, the process file of
//! `exec` and the resources of `update`.
//!
//! This is the boundary between a text that others wrote and data that rrun acts on. A good document is read in one typed
//! pass. Whatever is not plainly good (a key nobody knows, a wrong type, broken JSON) is read again, slowly, to say where and
//! what it is: a runtime that passes over a misspelt `noNewPrivileges` starts a container that its author believes confined.

mod diagnosis;
pub mod keys;
mod places;
mod repair;
mod strict;
pub mod template;

use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxResources, Process, Spec};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{At, Error, Result, Warnings};
pub use repair::{capability, capability_names};
use strict::{Step, Strict, Watch};

/// The largest document that is read: far more than any engine writes, far less than would hurt the host.
const SIZE_LIMIT: u64 = 16 << 20;

/// Warnings about one document that are kept; whoever shows them shows fewer.
const NOTES_KEPT: usize = 100;

/// A bundle that was read.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Absolute path, without symbolic links.
    pub path: PathBuf,
    /// Its config.json.
    pub spec: Spec,
    /// The same as it was written.
    pub text: Vec<u8>,
}

/// Reads config.json in one pass: types checked (with line, column and key path), unknown keys warned about. The rules
/// between its fields are [`crate::plan::rules`]' business, but for `ociVersion` and the presence of `process`.
pub fn load(path: &Path, warnings: &mut Warnings) -> Result<Bundle> {
    let path = std::fs::canonicalize(path).at(|| format!("chdir {}", path.display()))?;
    let file = path.join("config.json");
    let opened = match File::open(&file) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Error::new("JSON specification file config.json not found")),
        opened => opened.at(|| format!("open {}", file.display()))?,
    };
    let text = read(opened, "config.json")?;
    let spec = parse_spec(&text, warnings)?;
    check_version(spec.version(), warnings)?;
    if spec.process().is_none() {
        return Err(Error::new("process property must not be empty").config("process"));
    }
    Ok(Bundle { path, spec, text })
}

/// Adds to an error that names a place in config.json its line and column, or those of what it would stand in. Looked up
/// after the failure; a file that cannot be read by now adds nothing.
pub fn locate(path: &Path, error: Error) -> Error {
    let Some(field) = error.config_text().filter(|_| error.file_text().is_none()) else { return error };
    let parents = field.char_indices().filter(|(_, c)| matches!(c, '.' | '[')).map(|(at, _)| &field[..at]);
    let wanted: Vec<String> = parents.chain([field]).map(str::to_owned).collect();
    let found = File::open(path.join("config.json")).ok().and_then(|file| read(file, "config.json").ok()).and_then(|text| {
        let places = places::scan(&text, &wanted.iter().cloned().collect()).ok()?;
        wanted
            .iter()
            .rev()
            .find_map(|field| places.found.get(field).map(|(_, value)| format!("config.json:{}:{}", value.line, value.column)))
    });
    match found {
        Some(place) => error.file(place),
        None => error,
    }
}

/// Reads a config.json again that was warned about when its container was made.
pub fn parse_known(text: &[u8]) -> Result<Spec> {
    parse_spec(text, &mut Warnings::default())
}

/// As [`parse_known`], with what it is warned about.
pub fn parse_noting(text: &[u8], warnings: &mut Warnings) -> Result<Spec> {
    parse_spec(text, warnings)
}

/// Reads the process file of `exec --process`.
pub fn load_process(path: &Path, warnings: &mut Warnings) -> Result<Process> {
    let name = path.file_name().map_or_else(|| "process".into(), |n| shown(&n.to_string_lossy()));
    let text = read(File::open(path).at(|| format!("open {}", path.display()))?, &name)?;
    parse_process(&text, &name, warnings)
}

/// The same of its text. `name` is what messages call it.
pub fn parse_process(text: &[u8], name: &str, warnings: &mut Warnings) -> Result<Process> {
    let kind = Kind { name, root: "process", repair: |v, notes| repair::process(v, "", notes), is_plain: process_is_plain };
    parse(text, &kind, warnings)
}

/// Reads the resources of `update --resources`. `name` is what messages call them (`resources.json`, `stdin`).
pub fn load_resources(text: &[u8], name: &str, warnings: &mut Warnings) -> Result<LinuxResources> {
    check_size(text.len(), name)?;
    let kind = Kind {
        name,
        root: "linux.resources",
        repair: |v, notes| repair::resources(v, "", notes),
        is_plain: |_, r| resources_are_plain(r),
    };
    parse(text, &kind, warnings)
}

fn read(file: File, name: &str) -> Result<Vec<u8>> {
    // Most documents fit; pages that are not needed are never touched.
    let mut text = Vec::with_capacity(64 << 10);
    file.take(SIZE_LIMIT + 1).read_to_end(&mut text).at(|| format!("read {name}"))?;
    check_size(text.len(), name)?;
    Ok(text)
}

fn check_size(length: usize, name: &str) -> Result<()> {
    if length as u64 > SIZE_LIMIT {
        return Err(Error::new(format!("{name} is larger than {} MiB", SIZE_LIMIT >> 20)));
    }
    Ok(())
}

/// What differs between the documents that are read.
struct Kind<'a, T> {
    /// What messages call it.
    name: &'a str,
    /// Where it would stand in config.json.
    root: &'a str,
    /// Brings it into the shape that the types accept.
    repair: fn(&mut Value, &mut repair::Notes),
    /// Whether the types cannot have hidden anything worth a warning.
    is_plain: fn(&[u8], &T) -> bool,
}

fn parse_spec(text: &[u8], warnings: &mut Warnings) -> Result<Spec> {
    parse(text, &Kind { name: "config.json", root: "", repair: repair::spec, is_plain: spec_is_plain }, warnings)
}

/// The one pass over a good document.
fn parse<T: DeserializeOwned>(text: &[u8], kind: &Kind<T>, warnings: &mut Warnings) -> Result<T> {
    let watch = Watch::default();
    match typed(text, &watch) {
        Ok(typed) if !watch.has_ignored() && (kind.is_plain)(text, &typed) => Ok(typed),
        _ => parse_slowly(text, kind, warnings),
    }
}

/// One instance for both passes: the types' readers are the largest part of the program.
fn typed<T: DeserializeOwned>(text: &[u8], watch: &Watch) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_slice(text);
    T::deserialize(Strict::new(&mut json, watch)).and_then(|typed| json.end().map(|()| typed))
}

/// Reads a document that is not plainly good: what is wrong with it becomes the error, what is odd becomes warnings.
fn parse_slowly<T: DeserializeOwned>(text: &[u8], kind: &Kind<T>, warnings: &mut Warnings) -> Result<T> {
    let name = kind.name;
    let broken = |line: usize, column: usize, what: &str| {
        let place = format!("{name}:{line}:{column}");
        Error::new(format!("{place}: {what}")).code("E-JSON").file(place)
    };
    let scan = |wanted| places::scan(text, &wanted).map_err(|b| broken(b.place.line, b.place.column, &b.text));
    let duplicates = scan(HashSet::new())?.duplicates;
    let mut value: Value = serde_json::from_slice(text).map_err(|e| broken(e.line(), e.column(), said(&e.to_string())))?;
    repair::without_nulls(&mut value);
    if kind.root.is_empty() && value.get("vm").is_some() {
        return Err(Error::new("vm asks for isolation by a virtual machine, which rrun does not give")
            .hint("remove the section vm")
            .config("vm"));
    }
    let mut notes: repair::Notes = vec![];
    (kind.repair)(&mut value, &mut notes);
    let repaired = serde_json::to_vec(&value).map_err(|e| Error::new(e.to_string()))?;
    let watch = Watch::with_trail();
    let typed = typed(&repaired, &watch).map_err(|e| {
        let path = render(&watch.place());
        let what = diagnosis::of(said(&e.to_string()), &within(kind.root, &path), diagnosis::at(&value, &watch.place()));
        let place = scan([path.clone()].into())
            .ok()
            .and_then(|p| p.found.get(&path).map(|(_, v)| format!("{name}:{}:{}", v.line, v.column)));
        what.error(place.as_deref(), &within(kind.root, &path))
    })?;
    for way in watch.ignored() {
        let (last, object) = way.split_last().expect("the document itself is never ignored");
        let key = render(std::slice::from_ref(last));
        notes.push((render(&way), keys::unknown(&within(kind.root, &render(object)), &shown(&key))));
    }
    for (path, _) in duplicates {
        let text = format!("the key {} stands there twice; the last one counts", shown(&within(kind.root, &path)));
        notes.push((path, text));
    }
    tell(notes, name, scan, warnings)?;
    Ok(typed)
}

/// Adds the notes to the warnings in the order of the text, each with its line, at most [`NOTES_KEPT`].
fn tell(
    notes: repair::Notes,
    name: &str,
    scan: impl Fn(HashSet<String>) -> Result<places::Places>,
    warnings: &mut Warnings,
) -> Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    let found = scan(notes.iter().map(|(path, _)| path.clone()).filter(|path| path.len() < 4096).collect())?.found;
    let mut lines: Vec<(usize, String)> =
        notes.into_iter().map(|(path, text)| (found.get(&path).map_or(1, |(key, _)| key.line), text)).collect();
    lines.sort();
    let more = lines.len().saturating_sub(NOTES_KEPT);
    for (line, text) in lines.into_iter().take(NOTES_KEPT) {
        let code = if text.starts_with(repair::UNKNOWN_CAPABILITY) { "E-CAP" } else { "E-KEY" };
        warnings.coded(code, format!("{name}:{line}: {text}"));
    }
    if more > 0 {
        warnings.add(format!("{name}: and {more} more"));
    }
    Ok(())
}

/// A path of the document as a path of config.json: `user.uid` of a process file is `process.user.uid`.
fn within(root: &str, path: &str) -> String {
    let mut whole = root.to_owned();
    if !path.is_empty() {
        places::push_key(&mut whole, path);
    }
    whole
}

/// A parser's message without its place.
fn said(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(said, _)| said)
}

/// A way into the document as text.
fn render(way: &[Step]) -> String {
    way.iter().fold(String::new(), |mut text, step| {
        match step {
            Step::Index(index) => places::push_index(&mut text, *index),
            Step::Key(key) => places::push_key(&mut text, key),
        }
        text
    })
}

/// Text of others as a message may show it: no control characters, at most 200 bytes.
fn shown(text: &str) -> String {
    let end = text.floor_char_boundary(200);
    let cut: String =
        text[..end].chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect();
    if end < text.len() { format!("{cut}…") } else { cut }
}

/// See [`Kind::is_plain`]: what the types of config.json read without a word, although a word is due.
fn spec_is_plain(text: &[u8], spec: &Spec) -> bool {
    let misplaced = spec.uid_mappings().is_some() || spec.gid_mappings().is_some();
    let other_platform = spec.windows().is_some() || spec.solaris().is_some() || spec.zos().is_some() || spec.vm().is_some();
    let resources = spec.linux().as_ref().and_then(|l| l.resources().as_ref());
    !misplaced
        && !other_platform
        && spec.process().as_ref().is_none_or(|process| process_is_plain(text, process))
        && resources.is_none_or(resources_are_plain)
        && !spec.annotations().as_ref().is_some_and(|a| repair::has_suspicious_annotation(a.keys()))
}

fn process_is_plain(text: &[u8], process: &Process) -> bool {
    process.command_line().is_none()
        && process.user().username().is_none()
        && (process.capabilities().is_none() || capabilities_are_plain(text))
}

/// A limit of 0 may be one that is not there.
fn resources_are_plain(resources: &LinuxResources) -> bool {
    resources.pids().is_none_or(|pids| pids.limit() != 0)
}

/// Whether all capabilities are spelt as in capabilities(7); the types take other spellings too, and forget which it was.
fn capabilities_are_plain(text: &[u8]) -> bool {
    const KEY: &[u8] = b"\"capabilities\"";
    let mut rest = text;
    while let Some(at) = rest.windows(KEY.len()).position(|w| w == KEY) {
        rest = &rest[at + KEY.len()..];
        let Some(object) =
            rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start).filter(|r| r.starts_with(b"{"))
        else {
            continue;
        };
        let Some(end) = object.iter().position(|b| *b == b'}') else { return false };
        // Every second piece between quotes is a string: a key, or a name.
        return object[..end].split(|b| *b == b'"').skip(1).step_by(2).all(|string| {
            matches!(string, b"bounding" | b"effective" | b"inheritable" | b"permitted" | b"ambient")
                || string.starts_with(b"CAP_") && string.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
        });
    }
    false
}

/// Any 1.x is read; what a newer minor version added is unknown here.
fn check_version(version: &str, warnings: &mut Warnings) -> Result<()> {
    let fail = |text: String| Err(Error::new(text).hint("write 1.3.0").config("ociVersion"));
    if version.is_empty() {
        return fail("ociVersion is missing".into());
    }
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u32>> = core.split('.').map(|n| n.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(1), Some(minor), Some(_)] => {
            if *minor > 3 {
                warnings
                    .add(format!("config.json: ociVersion {} is newer than 1.3: what it added has NO effect", shown(version)));
            }
            Ok(())
        }
        [Some(_), Some(_), Some(_)] => fail(format!("ociVersion {} is not supported, only 1.x is", shown(version))),
        _ => fail(format!("ociVersion \"{}\" is not a version such as 1.3.0", shown(version))),
    }
}

#[cfg(test)]
mod tests;
