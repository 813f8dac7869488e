//! What a second thread adds.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::cpu_time;
use crate::report::median;

/// Lines a thread takes at a time.
const PORTION: usize = 64;
/// How often all lines are gone through at once, so that starting and waiting for threads does not count.
const PASSES: usize = 4;
/// Portions of the task that needs no memory.
const TASKS: usize = 1000;

/// What was measured in each round.
#[derive(Debug, Default)]
pub(super) struct Threads {
    /// By the clock: events per second of two threads over those of one.
    speedup: Vec<f64>,
    /// The same of a task that needs no memory: what the machine gives at that time.
    ceiling: Vec<f64>,
    /// The first over the second, of the same round.
    share: Vec<f64>,
    /// CPU time an event takes a thread that is alone, over what it takes one beside another.
    alone: Vec<f64>,
}

/// What some threads did together.
#[derive(Clone, Copy, Debug)]
struct Speed {
    /// Portions per second by the clock.
    by_clock: f64,
    /// Portions per second of CPU time.
    by_cpu: f64,
}

impl Threads {
    /// One round: `work` on all lines by one thread, by two, and by one again, with the task that needs no memory between.
    pub(super) fn measure<S: Send>(
        &mut self,
        lines: &[Vec<u8>],
        states: &mut [S; 2],
        work: impl Fn(&[Vec<u8>], &mut S) + Sync,
    ) {
        let portions: Vec<&[Vec<u8>]> = (0..PASSES).flat_map(|_| lines.chunks(PORTION)).collect();
        let work = |portion: &&[Vec<u8>], state: &mut S| work(portion, state);
        let tasks = [(); TASKS];
        let mut nothing = [(), ()];
        let task = |(): &(), (): &mut ()| multiply();

        let before = speed(&portions, &mut states[..1], work);
        let task_before = speed(&tasks, &mut nothing[..1], task);
        let both = speed(&portions, states, work);
        let task_both = speed(&tasks, &mut nothing, task);
        let after = speed(&portions, &mut states[..1], work);
        let task_after = speed(&tasks, &mut nothing[..1], task);

        let speedup = both.by_clock / f64::midpoint(before.by_clock, after.by_clock);
        let ceiling = task_both.by_clock / f64::midpoint(task_before.by_clock, task_after.by_clock);
        self.speedup.push(speedup);
        self.ceiling.push(ceiling);
        self.share.push(speedup / ceiling);
        self.alone
            .push(both.by_cpu / f64::midpoint(before.by_cpu, after.by_cpu));
    }

    pub(super) fn print(&self) {
        let (low, high) = range(&self.speedup);
        println!(
            "ours, 2 threads       {:.2}x one thread by the clock [{low:.2} - {high:.2}], {:.2} of the {:.2}x that multiplying alone gets here",
            median(&self.speedup),
            median(&self.share),
            median(&self.ceiling)
        );
        let (low, high) = range(&self.alone);
        println!(
            "                      {:.2}x by CPU time [{:.2} - {:.2}]: what two do if each has a core",
            2.0 * median(&self.alone),
            2.0 * low,
            2.0 * high
        );
    }
}

/// Smallest and greatest.
pub(super) fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, 0.0_f64), |(low, high), value| {
        (low.min(*value), high.max(*value))
    })
}

/// Does all portions, in as many threads as there are states.
fn speed<P: Sync, S: Send>(portions: &[P], states: &mut [S], work: impl Fn(&P, &mut S) + Sync) -> Speed {
    let (next, start) = (AtomicUsize::new(0), Instant::now());
    let cpu: f64 = std::thread::scope(|scope| {
        let threads: Vec<_> = states
            .iter_mut()
            .map(|state| {
                scope.spawn(|| {
                    let start = cpu_time();
                    while let Some(portion) = portions.get(next.fetch_add(1, Ordering::Relaxed)) {
                        work(portion, state);
                    }
                    cpu_time() - start
                })
            })
            .collect();
        // A thread only panics where the benchmark is wrong; its time then does not count.
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .sum()
    });
    let count = portions.len() as f64;
    Speed {
        by_clock: count / start.elapsed().as_secs_f64().max(1e-9),
        by_cpu: count / cpu.max(1e-9),
    }
}

/// Keeps a core busy for about 100 microseconds.
fn multiply() {
    let product = (1..100_000_u64).fold(1, |product: u64, factor| black_box(product.wrapping_mul(factor)));
    black_box(product);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_portion_is_done_once_whatever_the_number_of_threads() {
        for count in 1..=2 {
            let mut done = vec![Vec::new(); count];
            let portions: Vec<usize> = (0..500).collect();
            speed(&portions, &mut done, |portion, done: &mut Vec<usize>| {
                done.push(*portion)
            });
            let mut all = done.concat();
            all.sort_unstable();
            assert_eq!(all, portions);
        }
    }
}
