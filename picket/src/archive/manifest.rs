//! What is in an archive: one JSON file, replaced as a whole each time a file is complete.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};

use super::file::End;

const NAME: &str = "manifest.json";
const VERSION: u32 = 1;

/// The archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Of this form.
    pub(super) version: u32,
    /// Files of blocks.
    pub(super) chunks: Vec<Chunk>,
    /// Files of what goes with them.
    pub(super) companions: Vec<Entry>,
}

/// The blocks of one day, tenant and partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chunk {
    pub(super) day: String,
    pub(super) tenant: String,
    pub(super) partition: u16,
    /// In order. Later ones hold what came in after the earlier ones were deleted from the database.
    pub(super) files: Vec<Entry>,
    /// Whether all of it was written.
    pub(super) complete: bool,
    /// Whether it was deleted from the database.
    pub(super) deleted: bool,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Below the archive's directory.
    pub(super) path: String,
    pub(super) bytes: u64,
    /// BLAKE3 of all but the last 32 bytes, which are this.
    pub(super) blake3: String,
    #[serde(flatten)]
    pub(super) end: End,
}

impl Chunk {
    pub(super) fn blocks(&self) -> u64 {
        self.files.iter().map(|file| file.end.records).sum()
    }

    pub(super) fn events(&self) -> u64 {
        self.files.iter().map(|file| file.end.events).sum()
    }
}

impl Manifest {
    /// That of a directory; an empty one when there is none.
    pub(super) fn open_or_new(dir: &Path) -> anyhow::Result<Self> {
        if dir.join(NAME).exists() {
            return Self::open(dir);
        }
        Ok(Self {
            version: VERSION,
            chunks: Vec::new(),
            companions: Vec::new(),
        })
    }

    pub(super) fn open(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join(NAME);
        let text = std::fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let manifest: Self =
            serde_json::from_slice(&text).with_context(|| format!("{} is no manifest", path.display()))?;
        let version = manifest.version;
        ensure!(
            version == VERSION,
            "{}: version {version} is not known here, only {VERSION}",
            path.display()
        );
        let files = manifest
            .chunks
            .iter()
            .flat_map(|chunk| &chunk.files)
            .chain(&manifest.companions);
        for file in files {
            let inside = Path::new(&file.path)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            ensure!(inside, "{}: {:?} is not below the archive", path.display(), file.path);
        }
        Ok(manifest)
    }

    pub(super) fn save(&self, dir: &Path) -> anyhow::Result<()> {
        let path = dir.join(NAME);
        let partial = dir.join(format!("{NAME}.partial"));
        let mut file = File::create(&partial).with_context(|| format!("create {}", partial.display()))?;
        let text = serde_json::to_vec_pretty(self).context("write the manifest")?;
        file.write_all(&text).context("write the manifest")?;
        file.sync_all().context("wait for the disk")?;
        std::fs::rename(&partial, &path).with_context(|| format!("name {}", path.display()))?;
        sync_dir(dir)
    }

    /// The chunk of a day, tenant and partition; a new one when there is none.
    pub(super) fn chunk(&mut self, day: &str, tenant: &str, partition: u16) -> &mut Chunk {
        let is_it = |chunk: &Chunk| chunk.day == day && chunk.tenant == tenant && chunk.partition == partition;
        let index = self.chunks.iter().position(is_it).unwrap_or(self.chunks.len());
        if index == self.chunks.len() {
            self.chunks.push(Chunk {
                day: day.to_owned(),
                tenant: tenant.to_owned(),
                partition,
                files: Vec::new(),
                complete: false,
                deleted: false,
            });
        }
        #[allow(clippy::indexing_slicing, reason = "it was found, or pushed just before")]
        &mut self.chunks[index]
    }
}

/// Waits until the names in a directory are on the disk.
pub(super) fn sync_dir(dir: &Path) -> anyhow::Result<()> {
    File::open(dir)
        .and_then(|dir| dir.sync_all())
        .with_context(|| format!("wait for the disk of {}", dir.display()))
}
