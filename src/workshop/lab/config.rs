//! The two configs of a lab: OFF, and ON, which differs by the switch and nothing else.
//!
//! Both grow from the config that `spec` writes: confined, with limits on memory and processes whatever a lab does. Its base
//! patch takes one wall down, its switch puts that wall back.

use serde_json::{Value, json};

use super::patch;
use super::table::{Lab, Switch};
use crate::bundle::template::{self, Profile};
use crate::error::{Error, Result};

/// What the placeholders in a lab's texts stand for.
pub struct Names {
    /// `@dir@`: the lab's directory.
    pub dir: String,
    /// `@rrun@`: the running program.
    pub rrun: String,
    /// `@id@`: what the ids of its containers begin with.
    pub id: String,
}

impl Names {
    /// A text with its placeholders filled in.
    pub fn fill(&self, text: &str) -> String {
        text.replace("@dir@", &self.dir).replace("@rrun@", &self.rrun).replace("@id@", &self.id)
    }
}

/// The switch as a JSON patch, with its large values in place; empty when it is no patch.
pub fn switch(lab: &Lab, names: &Names) -> Result<Value> {
    match lab.switch {
        Switch::Patch(text) => parse(lab, &names.fill(text)),
        _ => Ok(json!([])),
    }
}

/// The config with the switch OFF and with it ON.
pub fn both(lab: &Lab, names: &Names, unified: bool) -> Result<[Value; 2]> {
    let mut off = common(template::config(false, unified, 0, 0), names);
    patch::apply(&mut off, &parse(lab, &names.fill(lab.base))?)?;
    let mut on = off.clone();
    match lab.switch {
        Switch::None => on = common(template::of(Profile::Hardened, unified, 0, 0, None), names),
        _ => patch::apply(&mut on, &switch(lab, names)?)?,
    }
    Ok([off, on])
}

fn parse(lab: &Lab, text: &str) -> Result<Value> {
    let mut patch: Value = serde_json::from_str(text).map_err(|e| Error::new(format!("the patch of lab {}: {e}", lab.name)))?;
    for operation in patch.as_array_mut().into_iter().flatten() {
        if operation["value"] == "@seccomp@" {
            operation["value"] = template::of(Profile::Hardened, false, 0, 0, None)["linux"]["seccomp"].take();
        }
    }
    Ok(patch)
}

/// What all labs share: no terminal, a small root, a place to write, a directory shared with the script outside, limits.
fn common(mut config: Value, names: &Names) -> Value {
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["sh", "/bin/lab", "@role@"]);
    config["process"]["env"] = json!(["PATH=/bin", "HOME=/"]);
    config["root"]["path"] = json!(format!("{}/rootfs", names.dir));
    config["hostname"] = json!("lab");
    let limit = 256 << 20;
    config["linux"]["resources"]["memory"] = json!({"limit": limit, "swap": limit});
    config["linux"]["resources"]["pids"] = json!({"limit": 64});
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.truncate(7);
    mounts.push(json!({
        "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777", "size=32m"],
    }));
    mounts.push(json!({
        "destination": "/share", "type": "bind", "source": format!("{}/share", names.dir),
        "options": ["rbind", "rw", "nosuid", "nodev"],
    }));
    config
}

#[cfg(test)]
mod tests {
    use super::super::table::labs;
    use super::*;

    fn names() -> Names {
        Names { dir: "/d".into(), rrun: "/usr/bin/rrun".into(), id: "lab".into() }
    }

    #[test]
    fn every_lab_makes_two_configs_that_rrun_reads() {
        for lab in labs() {
            for unified in [false, true] {
                let [off, on] = both(lab, &names(), unified).unwrap_or_else(|e| panic!("{}: {e}", lab.name));
                assert_eq!(off == on, matches!(lab.switch, Switch::Flags { .. }), "{}", lab.name);
                for config in [off, on] {
                    assert!(config["linux"]["resources"]["pids"]["limit"].as_u64() <= Some(100), "{}", lab.name);
                    assert!(config["linux"]["resources"]["memory"]["limit"].as_u64() <= Some(256 << 20), "{}", lab.name);
                    crate::bundle::parse_known(config.to_string().as_bytes()).unwrap_or_else(|e| panic!("{}: {e}", lab.name));
                    assert!(!config.to_string().replace("@role@", "").contains('@'), "{}: a placeholder is left", lab.name);
                }
            }
        }
    }

    #[test]
    fn the_texts_are_short_and_tell_both_sides() {
        let mut names: Vec<&str> = labs().map(|lab| lab.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), labs().count(), "a name stands twice");
        for lab in labs() {
            assert!((4..=11).contains(&lab.text.lines().count()), "{}: ten lines", lab.name);
            assert!(lab.text.lines().chain([lab.about]).all(|l| l.len() <= 120), "{}: narrow lines", lab.name);
            let sides = lab.text.contains("\nOFF  ") && lab.text.contains("\nON   ");
            assert!(sides || matches!(lab.switch, Switch::None), "{}: what OFF and ON are", lab.name);
            assert!(!lab.refs.is_empty() && lab.about.len() < 90, "{}", lab.name);
        }
    }
}
