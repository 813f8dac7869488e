//! `up.json`, kept true while processes come and go.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::data_dir::{UpFile, UpNode};

/// What is running. Nothing is written before [`Board::publish`].
#[derive(Clone, Debug)]
pub(crate) struct Board(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    data: PathBuf,
    nodes: Vec<UpNode>,
    published: Option<UpFile>,
}

impl Board {
    pub(super) fn new(data: PathBuf) -> Self {
        Self(Arc::new(Mutex::new(State {
            data,
            nodes: Vec::new(),
            published: None,
        })))
    }

    /// Adds a node, or changes what is said of the one of its name.
    pub(super) fn set(&self, node: UpNode) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.nodes.iter_mut().find(|known| known.name == node.name) {
            Some(known) => *known = node,
            None => state.nodes.push(node),
        }
        state.write();
    }

    /// Writes the file, and again whenever something changes.
    pub(super) fn publish(&self, file: UpFile) -> anyhow::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let file = UpFile {
            nodes: state.nodes.clone(),
            ..file
        };
        file.write(&state.data)?;
        state.published = Some(file);
        Ok(())
    }

    /// From now on nothing is written.
    pub(super) fn withdraw(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).published = None;
    }
}

impl State {
    fn write(&mut self) {
        let Some(file) = &mut self.published else { return };
        file.nodes.clone_from(&self.nodes);
        if let Err(error) = file.write(&self.data) {
            eprintln!("warning: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, pid: u32) -> UpNode {
        UpNode {
            role: "collector".to_owned(),
            name: name.to_owned(),
            pid,
            addr: String::new(),
        }
    }

    #[test]
    fn the_file_follows_what_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let board = Board::new(dir.path().to_owned());
        board.set(node("collector-1", 1));
        assert!(UpFile::read(dir.path()).is_err());
        let file = UpFile {
            rest_url: String::new(),
            grpc_addr: String::new(),
            ca_file: PathBuf::new(),
            api_key: String::new(),
            admin_user: String::new(),
            admin_password: String::new(),
            mongodb_uri: String::new(),
            nodes: Vec::new(),
        };
        board.publish(file).unwrap();
        board.set(node("collector-1", 2));
        assert_eq!(UpFile::read(dir.path()).unwrap().nodes, [node("collector-1", 2)]);
        std::fs::remove_file(UpFile::path(dir.path())).unwrap();
        board.withdraw();
        board.set(node("collector-1", 3));
        assert!(!UpFile::path(dir.path()).exists());
    }
}
