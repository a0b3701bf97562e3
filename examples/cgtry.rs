//! throw-away
#![allow(clippy::all, missing_docs)]
use rrun::concepts::cgroups::{self, *};
use rrun::error::Warnings;
use rrun::host::Host;
use rrun::sys::process::*;
use std::os::fd::AsFd;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (id, cfg) = (&a[1], &a[2]);
    let spec: oci_spec::runtime::Spec =
        serde_json::from_str(&format!(r#"{{"ociVersion":"1.0.0","root":{{"path":"r"}},"linux":{}}}"#, cfg)).unwrap();
    let mut host = Host::ask().unwrap();
    if std::env::var_os("ROOTLESS").is_some() {
        host.rootless = true;
    }
    let mut w = Warnings::default();
    let driver = if std::env::var_os("SYSTEMD").is_some() { Driver::Systemd } else { Driver::Cgroupfs };
    let plan = match cgroups::plan(&spec, &host, id, driver, &mut w) {
        Ok(p) => p,
        Err(e) => {
            println!("plan error: {e} | {:?} | {:?}", e.config_text(), e.hint_text());
            std::process::exit(3)
        }
    };
    let verb = a[3].as_str();
    let rec = plan.record();
    match verb {
        "plan" => {
            for l in plan.describe() {
                println!("{l}");
            }
            for l in w.lines() {
                println!("W {l}");
            }
        }
        "run" | "start" => {
            let t = std::time::Instant::now();
            let join = match cgroups::apply_from_parent(&plan) {
                Ok(p) => p,
                Err(e) => {
                    println!("apply error: {e} | {:?} | {:?}", e.config_text(), e.hint_text());
                    std::process::exit(4)
                }
            };
            eprintln!("made {:?} note {:?} skipped {}", t.elapsed(), join.note, join.devices_skipped);
            let t = std::time::Instant::now();
            let mut pipe = nix::unistd::pipe().unwrap();
            match clone3(0, join.v2.as_ref().map(|f| f.as_fd())).unwrap() {
                Cloned::Child => {
                    drop(pipe.1);
                    cgroups::apply(&join).unwrap();
                    nix::unistd::read(&pipe.0, &mut [0u8]).unwrap();
                    use std::os::unix::process::CommandExt;
                    let e = std::process::Command::new(&a[4]).args(&a[5..]).exec();
                    eprintln!("{e}");
                    exit_now(99);
                }
                Cloned::Parent { pid, pidfd } => {
                    if plan.needs_pid() {
                        if let Err(e) = cgroups::adopt(&plan, pid) {
                            println!("adopt error: {e} | {:?} | {:?}", e.config_text(), e.hint_text());
                            let _ = pidfd_signal(pidfd.as_fd(), 9);
                            cgroups::remove(&rec).unwrap();
                            std::process::exit(5)
                        }
                        eprintln!("adopted {:?}", t.elapsed());
                    }
                    nix::unistd::write(&mut pipe.1, b"x").unwrap();
                    drop(pipe.1);
                    if verb == "start" {
                        println!("{pid}");
                        return;
                    }
                    let st = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(pid), None).unwrap();
                    println!("{st:?}");
                    println!("oom {}", cgroups::oom_kills(&rec));
                    let t = std::time::Instant::now();
                    cgroups::kill_all(&rec).unwrap();
                    let _ = pidfd;
                    cgroups::remove(&rec).unwrap();
                    eprintln!("removed {:?}", t.elapsed());
                }
            }
        }
        "attach" => println!("{:?}", cgroups::attach(&rec, a[4].parse().unwrap())),
        "into" => { let j = cgroups::join(&rec, &[], 1).unwrap(); println!("{:?}", clone3(0, j.v2.as_ref().map(|f| f.as_fd())).map(|_| ())); }
        "stats" => println!("{}", serde_json::to_string(&cgroups::stats(&rec)).unwrap()),
        "pids" => println!("{:?}", cgroups::pids(&rec)),
        "freeze" => {
            println!("{:?}", cgroups::freeze(&rec, Freezer::Frozen));
            println!("{:?}", cgroups::freezer(&rec));
        }
        "thaw" => {
            println!("{:?}", cgroups::freeze(&rec, Freezer::Thawed));
            println!("{:?}", cgroups::freezer(&rec));
        }
        "kill" => {
            let t = std::time::Instant::now();
            println!("{:?} {:?}", cgroups::kill_all(&rec), t.elapsed());
        }
        "remove" => {
            let t = std::time::Instant::now();
            println!("{:?} {:?}", cgroups::remove(&rec), t.elapsed());
        }
        "update" => {
            let r = serde_json::from_str(&a[4]).unwrap();
            match cgroups::update(&rec, &host, &r) {
                Ok(()) => println!("ok"),
                Err(e) => println!("{e} | {:?} | {:?}", e.config_text(), e.hint_text()),
            }
        }
        _ => panic!(),
    }
}
