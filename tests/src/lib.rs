//! Whole-system stories over real processes, and what the benchmarks share with them.

pub mod binaries;
pub mod chaos;
pub mod endpoint;
pub mod lines;
pub mod system;
pub mod until;
