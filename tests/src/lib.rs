//! Whole-system stories over real processes, and what the benchmarks share with them.

pub mod lines;
