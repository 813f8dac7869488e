//! What this collector holds and how fast it gets rid of it, for `picket status`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::NodeId;
use model::node::Load;
use storage::{Store, nodes};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Time between two notes.
const NOTE: Duration = Duration::from_secs(1);
/// How long a slow write is told of.
const MEMORY: Duration = Duration::from_secs(60);
/// Writes that are remembered; the slowest ones.
const WRITES: usize = 64;

/// Counters that all parts share. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauges(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    streams: AtomicU64,
    in_flight: AtomicU64,
    blocks_waiting: AtomicU64,
    waits: AtomicU64,
    writes: Mutex<Writes>,
}

#[derive(Debug, Default)]
struct Writes {
    next: u64,
    /// When each write that is under way began.
    running: Vec<(u64, Instant)>,
    last: Duration,
    slow: Vec<(Instant, Duration)>,
}

/// Something is counted as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauges, fn(&Inner) -> &AtomicU64);

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0.0).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A write under way.
#[derive(Debug)]
pub(crate) struct Writing(Gauges, u64);

impl Drop for Writing {
    fn drop(&mut self) {
        let mut writes = self.0.writes();
        let Some(index) = writes.running.iter().position(|(id, _)| *id == self.1) else {
            return;
        };
        let (_, began) = writes.running.swap_remove(index);
        let (now, took) = (Instant::now(), began.elapsed());
        writes.last = took;
        writes.slow.retain(|(at, _)| now.duration_since(*at) < MEMORY);
        if writes.slow.len() >= WRITES
            && let Some(fastest) = (0..writes.slow.len()).min_by_key(|index| writes.slow.get(*index).map(|slow| slow.1))
        {
            writes.slow.swap_remove(fastest);
        }
        writes.slow.push((now, took));
    }
}

impl Gauges {
    fn count(&self, which: fn(&Inner) -> &AtomicU64) -> Counted {
        which(&self.0).fetch_add(1, Ordering::Relaxed);
        Counted(self.clone(), which)
    }

    /// A stream, as long as the answer lives.
    pub(crate) fn stream(&self) -> Counted {
        self.count(|inner| &inner.streams)
    }

    /// A batch, as long as the answer lives.
    pub(crate) fn batch(&self) -> Counted {
        self.count(|inner| &inner.in_flight)
    }

    /// A write, as long as the answer lives.
    pub(crate) fn write(&self) -> Writing {
        let mut writes = self.writes();
        let id = writes.next;
        writes.next += 1;
        writes.running.push((id, Instant::now()));
        Writing(self.clone(), id)
    }

    /// An endpoint was asked to wait.
    pub(crate) fn waited(&self) {
        self.0.waits.fetch_add(1, Ordering::Relaxed);
    }

    /// So many blocks wait.
    pub(crate) fn blocks_waiting(&self, blocks: usize) {
        self.0.blocks_waiting.store(blocks as u64, Ordering::Relaxed);
    }

    fn writes(&self) -> std::sync::MutexGuard<'_, Writes> {
        self.0.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, now: Instant) -> Load {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let writes = self.writes();
        let recent = writes.slow.iter().filter(|(at, _)| now.duration_since(*at) < MEMORY);
        let running = writes.running.iter().map(|(_, began)| now.duration_since(*began));
        Load {
            streams: self.0.streams.load(Ordering::Relaxed),
            batches_in_flight: self.0.in_flight.load(Ordering::Relaxed),
            blocks_waiting: self.0.blocks_waiting.load(Ordering::Relaxed),
            blocks_writing: writes.running.len() as u64,
            write_millis: millis(writes.last),
            slowest_write_millis: millis(recent.map(|(_, took)| *took).chain(running).max().unwrap_or_default()),
            waits: self.0.waits.load(Ordering::Relaxed),
            ..Load::default()
        }
    }

    /// Notes the load every second until `shutdown`; `complete` adds what is known elsewhere. What cannot be noted is left
    /// out: the next note has it.
    pub(crate) async fn note(
        self,
        store: Store,
        node: NodeId,
        complete: impl Fn(&mut Load) + Send,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut tick = tokio::time::interval(NOTE);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut noted = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = tick.tick() => {}
            }
            let mut load = self.load(Instant::now());
            complete(&mut load);
            if noted == Some(load) {
                continue;
            }
            let noting = nodes::note_load(&store, &node, &load);
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                done = noting => noted = done.is_ok().then_some(load),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_write_shows_while_it_lasts_and_a_finished_one_for_a_minute() {
        let (gauges, begun) = (Gauges::default(), Instant::now());
        let (batch, write) = (gauges.batch(), gauges.write());
        let later = Instant::now() + Duration::from_secs(3);
        let load = gauges.load(later);
        assert_eq!((load.batches_in_flight, load.blocks_writing), (1, 1));
        assert!(load.slowest_write_millis >= 3000, "{load:?}");
        drop((batch, write));
        let load = gauges.load(begun);
        assert_eq!((load.batches_in_flight, load.blocks_writing), (0, 0));
        assert!(gauges.writes().slow.len() == 1);
        let much_later = Instant::now() + Duration::from_secs(61);
        assert_eq!(gauges.load(much_later).slowest_write_millis, 0);
    }
}
