//! detector
fn main() {}
