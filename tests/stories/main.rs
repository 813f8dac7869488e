//! Stories: what a user does and sees, told on real processes, sockets, files and a real MongoDB.

mod backtest;
mod chaos;
mod correlation;
mod delivery;
mod detectors;
mod dumped;
mod enrolment;
mod feeds;
mod first_alert;
mod hostile;
mod intel;
mod keeping;
mod numbered;
mod operator;
mod parsers;
mod pressure;
mod proof;
mod reload;
mod rotation;
mod rules;
mod search;
mod silence;
