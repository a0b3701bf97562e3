//! Layered root filesystems: read-only layers below, one writable layer on top (overlayfs).
//!
//! An image is a stack of directories that many containers share. What a container changes goes to an upper directory of
//! its own: changed files are copied up, removed ones are hidden by a whiteout (a character device 0:0). The layers below
//! stay as they are, so one container cannot change what the next one starts from; a runtime that got this wrong would let
//! it poison the image. The upper directory is hostile content: it is never walked by path.
//!
//! Annotations of the bundle: `io.rrun.rootfs.layers`, a JSON array of directories from bottom to top, absolute or relative
//! to the bundle; `io.rrun.rootfs.upper`, a directory that is the upper one itself and stays (its work directory is made
//! beside it, hidden, and goes; no two running containers may share it); `io.rrun.rootfs.size`, as `10G`.

mod mount;
mod writable;

use std::ffi::{CString, OsStr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::host::Host;
use crate::suggest::did_you_mean;

pub use writable::remove;

/// What the annotations begin with.
const PREFIX: &str = "io.rrun.rootfs.";
/// What follows.
const KEYS: [&str; 3] = ["layers", "size", "upper"];

/// What the command line asks for beside the annotations, and before them.
#[derive(Debug, Clone, Default)]
pub struct LayerOptions {
    /// `--layer DIR`, bottom first.
    pub layers: Vec<PathBuf>,
    /// `--overlay`: the bundle's own rootfs is the lowest layer.
    pub overlay: bool,
    /// `--overlay-size`.
    pub size: Option<String>,
    /// `--keep-layer DIR`: the writable layer stays there.
    pub keep: Option<PathBuf>,
}

/// An overlay to mount as the root.
#[derive(Debug, Clone, Default)]
pub struct LayersPlan {
    /// The read-only layers, top first.
    lower: Vec<CString>,
    /// The writable layer; none with a read-only root.
    upper: Option<Upper>,
    /// Whiteouts and opaque marks are `user.overlay.*` attributes: the mounter may not write `trusted.*` ones.
    user_marks: bool,
    /// Where it is attached if somebody outside shall see it.
    place: PathBuf,
    /// The container's state directory.
    state: PathBuf,
}

/// The writable layer.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Upper {
    /// The upper directory.
    upper: PathBuf,
    /// Overlay's work directory, on the same filesystem.
    work: PathBuf,
    /// It stays after `delete`.
    kept: bool,
    /// At most so many bytes.
    size: Option<u64>,
}

/// What `delete` must take away, kept in the state.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Record {
    /// The state directory, whose `layer` and `rootfs` go.
    state: PathBuf,
    /// The work directory of a kept layer.
    work: Option<PathBuf>,
    /// The directory that was limited: a mount lies on it, or it has a quota.
    limited: Option<PathBuf>,
    /// The writable layer.
    #[serde(default)]
    upper: Option<PathBuf>,
    /// What lies below it, the topmost first.
    #[serde(default)]
    lower: Vec<PathBuf>,
}

impl Record {
    /// The writable layer, and the layers below it from the topmost on; `None` when nothing can be written.
    pub fn writable(&self) -> Option<(&Path, &[PathBuf])> {
        self.upper.as_deref().map(|upper| (upper, self.lower.as_slice()))
    }
}

/// Decides the overlay: none when neither annotations nor options ask for one.
pub fn plan(spec: &Spec, host: &Host, bundle: &Path, state_dir: &Path, options: &LayerOptions) -> Result<Option<LayersPlan>> {
    let asked = Asked::read(spec, options)?;
    if asked.layers.is_empty() && !options.overlay {
        return match (&asked.upper, &asked.size) {
            (None, None) => Ok(None),
            _ => {
                Err(Error::new("a writable layer needs layers below it")
                    .hint("add --overlay, --layer DIR, or io.rrun.rootfs.layers"))
            }
        };
    }
    let root = spec.root().as_ref();
    let root_path = bundle.join(root.map_or(Path::new("rootfs"), |r| r.path()));
    let bottom = options.overlay.then(|| root_path.clone());
    let lower = bottom.into_iter().chain(asked.layers.iter().map(|l| bundle.join(l)));
    let mut lower: Vec<CString> = lower.map(|l| text_of(&l)).collect::<Result<_>>()?;
    lower.reverse();
    let size = asked.size.as_deref().map(parse_size).transpose()?;
    let upper = match (root.and_then(|r| r.readonly()).unwrap_or(false), asked.upper) {
        (true, None) if size.is_none() => None,
        (true, _) => {
            return Err(Error::new("a read-only root has no writable layer to keep or to limit").config("root.readonly"));
        }
        (false, keep) => Some(Upper::new(keep.map(|k| bundle.join(k)), size, state_dir)?),
    };
    let place = if options.overlay { root_path } else { state_dir.join("rootfs") };
    Ok(Some(LayersPlan { lower, upper, user_marks: host.rootless, place, state: state_dir.to_owned() }))
}

/// The wishes of annotations and command line, where the latter counts more.
struct Asked {
    layers: Vec<PathBuf>,
    upper: Option<PathBuf>,
    size: Option<String>,
}

impl Asked {
    fn read(spec: &Spec, options: &LayerOptions) -> Result<Self> {
        let mut asked = Self { layers: options.layers.clone(), upper: options.keep.clone(), size: options.size.clone() };
        let all = spec.annotations().iter().flatten();
        let mut ours: Vec<(&str, &String)> = all.filter_map(|(k, v)| Some((k.strip_prefix(PREFIX)?, v))).collect();
        ours.sort_unstable();
        for (key, value) in ours {
            let field = || format!("annotations[{PREFIX}{key}]");
            match key {
                "layers" => {
                    let listed: Vec<PathBuf> = serde_json::from_str(value).map_err(|e| {
                        Error::new(format!("{PREFIX}layers: expected a JSON array of directories: {e}")).config(field())
                    })?;
                    if listed.is_empty() {
                        return Err(Error::new(format!("{PREFIX}layers is an empty list")).config(field()));
                    }
                    if asked.layers.is_empty() {
                        asked.layers = listed;
                    }
                }
                "upper" => {
                    asked.upper.get_or_insert_with(|| value.into());
                }
                "size" => {
                    asked.size.get_or_insert_with(|| value.clone());
                }
                _ => {
                    let hint = did_you_mean(key, KEYS);
                    return Err(Error::new(format!("unknown annotation {PREFIX}{key}{hint}")).config(field()));
                }
            }
        }
        Ok(asked)
    }
}

impl Upper {
    fn new(keep: Option<PathBuf>, size: Option<u64>, state: &Path) -> Result<Self> {
        let Some(upper) = keep else {
            let layer = state.join("layer");
            return Ok(Self { upper: layer.join("upper"), work: layer.join("work"), kept: false, size });
        };
        // The id keeps two containers apart that were given the same directory, one after the other.
        let id = state.file_name().unwrap_or_default().to_string_lossy();
        let (Some(parent), Some(name)) = (upper.parent(), upper.file_name()) else {
            return Err(Error::new(format!("{} cannot be a writable layer", upper.display())));
        };
        let work = parent.join(format!(".{}.{id}.work", name.to_string_lossy()));
        Ok(Self { upper, work, kept: true, size })
    }
}

fn text_of(path: &Path) -> Result<CString> {
    CString::new(path.as_os_str().as_encoded_bytes()).map_err(|_| Error::new("a layer's path contains a null byte"))
}

/// `4096`, `64M`, `10G`: bytes, with K, M, G, T for powers of 1024.
fn parse_size(text: &str) -> Result<u64> {
    let refuse = || Error::new(format!("size {text:?} is no number of bytes")).hint("write it as 64M or 10G");
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return Err(refuse()),
    };
    let bytes: u64 = number.parse().map_err(|_| refuse())?;
    bytes.checked_mul(1 << shift).filter(|b| *b > 0).ok_or_else(refuse)
}

/// Outside: makes upper and work directories and the overlay, attached nowhere. `owner` is the host uid and gid of the
/// container's root, to whom a private upper layer belongs. `None` when only the inside may mount, for lack of privilege.
pub fn apply_from_parent(plan: &LayersPlan, owner: (u32, u32)) -> Result<Option<OwnedFd>> {
    match make(plan, Some(owner)) {
        Err(e) if e.errno() == Some(libc::EPERM) && ["fsopen", "open_tree"].iter().any(|call| e.op_text().contains(call)) => {
            Ok(None)
        }
        made => made.map(Some),
    }
}

/// Inside, where the outside could not: the same, with the directories that are there.
pub fn apply(plan: &LayersPlan) -> Result<OwnedFd> {
    make(plan, None)
}

fn make(plan: &LayersPlan, owner: Option<(u32, u32)>) -> Result<OwnedFd> {
    let make = || {
        writable::make_place(plan)?;
        let upper = plan.upper.as_ref().map(|upper| writable::prepare(plan, upper, owner)).transpose()?;
        mount::mount(plan, upper)
    };
    make().map_err(|e| e.context("error mounting \"overlay\" to rootfs at \"/\"").code("E-MOUNT"))
}

impl LayersPlan {
    /// What `remove` will need.
    pub fn record(&self) -> Record {
        let (mut work, mut limited) = (None, None);
        if let Some(upper) = &self.upper {
            work = upper.kept.then(|| upper.work.clone());
            let whole = if upper.kept { upper.upper.clone() } else { self.state.join("layer") };
            limited = upper.size.map(|_| whole);
        }
        let upper = self.upper.as_ref().map(|upper| upper.upper.clone());
        let lower = self.lower.iter().map(|l| PathBuf::from(OsStr::from_bytes(l.to_bytes()))).collect();
        Record { state: self.state.clone(), work, limited, upper, lower }
    }

    /// Where the root is attached if somebody outside shall see it.
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// The lines of `rrun plan`.
    pub fn describe(&self) -> Vec<String> {
        let lower = self.lower.iter().rev().map(|l| format!("layer {}", l.to_string_lossy()));
        let mut lines: Vec<String> = lower.collect();
        match &self.upper {
            None => lines.push("no writable layer".to_owned()),
            Some(upper) => {
                let fate = if upper.kept { "kept" } else { "removed on delete" };
                lines.push(format!("writable layer {} ({fate})", upper.upper.display()));
                let how =
                    if upper.kept { "by a project quota" } else { "by a project quota, or as a tmpfs where there are none" };
                lines.extend(upper.size.map(|size| format!("limit it to {size} bytes {how}")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decide(config: Value, options: &LayerOptions) -> Result<Option<LayersPlan>> {
        let mut host = Host::ask().expect("a host");
        host.rootless = false;
        let spec = serde_json::from_value(config).expect("a configuration");
        plan(&spec, &host, Path::new("/b"), Path::new("/run/rrun/x"), options)
    }

    fn layered(more: Value) -> Value {
        let mut annotations = json!({"io.rrun.rootfs.layers": "[\"base\", \"/abs/app\"]", "other": "x"});
        annotations.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"ociVersion": "1.2.0", "root": {"path": "absent", "readonly": false}, "annotations": annotations})
    }

    #[test]
    fn nothing_asked_nothing_done() {
        let config = json!({"ociVersion": "1.2.0", "annotations": {"a": "b"}});
        assert!(decide(config, &LayerOptions::default()).expect("valid").is_none());
    }

    #[test]
    fn the_last_of_the_list_is_on_top() {
        let made = decide(layered(json!({})), &LayerOptions::default()).expect("valid").expect("layers");
        assert_eq!(made.lower, [CString::from(c"/abs/app"), CString::from(c"/b/base")]);
        assert_eq!(made.place, Path::new("/run/rrun/x/rootfs"));
        let upper = made.upper.expect("writable");
        assert_eq!(upper.upper, Path::new("/run/rrun/x/layer/upper"));
    }

    #[test]
    fn the_bundles_root_is_the_lowest() {
        let options = LayerOptions { overlay: true, layers: vec!["/l".into()], ..LayerOptions::default() };
        let config = json!({"ociVersion": "1.2.0", "root": {"path": "rootfs", "readonly": false}});
        let made = decide(config, &options).expect("valid").expect("layers");
        assert_eq!(made.lower, [CString::from(c"/l"), CString::from(c"/b/rootfs")]);
    }

    #[test]
    fn a_kept_layer_is_the_directory_itself() {
        let made = decide(layered(json!({"io.rrun.rootfs.upper": "kept"})), &LayerOptions::default());
        let made = made.expect("valid").expect("layers");
        assert_eq!(made.record().work.as_deref(), Some(Path::new("/b/.kept.x.work")));
        assert_eq!(made.upper.expect("writable").upper, Path::new("/b/kept"));
    }

    #[test]
    fn a_read_only_root_has_no_upper() {
        let mut config = layered(json!({}));
        config["root"]["readonly"] = json!(true);
        assert!(decide(config, &LayerOptions::default()).expect("valid").expect("layers").upper.is_none());
        let mut config = layered(json!({"io.rrun.rootfs.upper": "kept"}));
        config["root"]["readonly"] = json!(true);
        assert!(decide(config, &LayerOptions::default()).is_err());
    }

    #[test]
    fn misspelt_annotations_are_errors() {
        let error = decide(layered(json!({"io.rrun.rootfs.layer": "[]"})), &LayerOptions::default()).expect_err("unknown");
        assert!(error.to_string().contains("did you mean layers?"), "{error}");
        let error = decide(layered(json!({"io.rrun.rootfs.size": "10Q"})), &LayerOptions::default()).expect_err("no size");
        assert!(error.to_string().contains("10Q"));
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4096").expect("a size"), 4096);
        assert_eq!(parse_size("10G").expect("a size"), 10 << 30);
        assert_eq!(parse_size("1kib").expect("a size"), 1024);
        for bad in ["", "0", "G", "-1", "1.5G", "99999999999T", "1 G"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_size_without_layers_is_an_error() {
        let options = LayerOptions { size: Some("1M".into()), ..LayerOptions::default() };
        assert!(decide(json!({"ociVersion": "1.2.0"}), &options).is_err());
    }
}
