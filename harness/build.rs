//! Rebuilds the crate when a scenario is added: `include_dir` itself notices only changes of files
//! that it has already seen.

fn main() {
    println!("cargo::rerun-if-changed=../scenarios");
}
