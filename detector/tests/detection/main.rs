//! Detectors as a whole, over a real MongoDB and real sockets.

mod alerts;
mod content;
mod sandbox;
mod sharing;
