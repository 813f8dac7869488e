//! Single correlations, by example.
