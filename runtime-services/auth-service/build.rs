//! Rebuilds the crate when a migration is added: the macro that embeds them cannot say so itself.

fn main() {
    // Cargo reads instructions from the standard output of a build script.
    #[expect(clippy::print_stdout, reason = "this is how a build script speaks")]
    {
        println!("cargo::rerun-if-changed=migrations");
    }
}
