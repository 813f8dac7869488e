//! The contributions of a window by who gave them.

use crate::correlation::contribution::{Entry, Origin};

/// Contributions in the order of their origins, each once. Most windows have one or two, so that they are kept as a
/// list: a tree would take ten times the memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entries(Vec<(Origin, Entry)>);

impl Entries {
    /// Merges contributions in any order, repeated ones included.
    pub(crate) fn gathered(mut all: Vec<(Origin, Entry)>) -> Self {
        all.sort_by(|left, right| left.0.cmp(&right.0));
        all.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                earlier.1.merge(&later.1);
            }
            is_same
        });
        all.shrink_to_fit();
        Self(all)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&Origin, &Entry)> {
        self.0.iter().map(|(origin, entry)| (origin, entry))
    }

    fn find(&self, origin: &Origin) -> Result<usize, usize> {
        // Events of one source come in their order, so that new ones mostly go to the end.
        match self.0.last() {
            Some((last, _)) if last < origin => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| known.cmp(origin)),
        }
    }

    pub(crate) fn contains(&self, origin: &Origin) -> bool {
        self.find(origin).is_ok()
    }

    pub(crate) fn get_mut(&mut self, origin: &Origin) -> Option<&mut Entry> {
        let at = self.find(origin).ok()?;
        self.0.get_mut(at).map(|(_, entry)| entry)
    }

    /// Takes in what is not there yet.
    pub(crate) fn add(&mut self, origin: &Origin, entry: &Entry) {
        if let Err(at) = self.find(origin) {
            self.0.insert(at, (origin.clone(), entry.clone()));
        }
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&Origin, &mut Entry) -> bool) {
        self.0.retain_mut(|(origin, entry)| keep(origin, entry));
    }
}

impl FromIterator<(Origin, Entry)> for Entries {
    fn from_iter<I: IntoIterator<Item = (Origin, Entry)>>(entries: I) -> Self {
        Self::gathered(entries.into_iter().collect())
    }
}
