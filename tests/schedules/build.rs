//! Says that the engine is built to be scheduled.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(shuttle, fuzzing)");
    println!("cargo::rustc-cfg=shuttle");
}
