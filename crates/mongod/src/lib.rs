//! mongod
