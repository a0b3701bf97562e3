//! Has the linker lay side by side what a start runs, apart from the rest (.cargo/hot.ld), in releases for x86-64.
//!
//! A page of a program that is touched brings its neighbours along: the kernel maps the whole stretch that it has read. What a start
//! runs is a third of the text; scattered over all of it, it makes all of it resident. In a segment of its own it does
//! not, and is there after fewer page faults. scripts/hot.sh writes the script; a name in it that is not there any more is passed over.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=.cargo/hot.ld");
    let told = |name| std::env::var(name).unwrap_or_default();
    // The toolchain's own linker of this target takes a script that adds to its own order; others may not.
    if told("PROFILE") == "release" && told("TARGET") == "x86_64-unknown-linux-gnu" {
        println!("cargo::rustc-link-arg-bin=rrun=-Wl,-T,{}/.cargo/hot.ld", told("CARGO_MANIFEST_DIR"));
        println!("cargo::rustc-link-arg-bin=rrun=-Wl,--no-eh-frame-hdr");
    }
}
