//! What goes wrong, and in which order.

use std::fmt;
use std::time::Duration;

use crate::lines::mix;

/// What can be done to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// SIGKILL to a collector, detector or mongod; what supervises it starts it again.
    Kill,
    /// SIGTERM to a collector or detector: it drains, and is started again.
    Restart,
    /// SIGSTOP to a node or mongod, SIGCONT after a while.
    Freeze,
    /// SIGKILL to an endpoint's agent, which is started again at once.
    KillAgent,
    /// SIGSTOP and SIGCONT to an endpoint's agent.
    FreezeAgent,
    /// Every connection of an endpoint to the collectors is cut, wherever it is in a message.
    Cut,
    /// The network between an endpoint and the collectors carries nothing for a while, then is cut.
    Stall,
    /// MongoDB's primary steps down; another one is elected, or itself again where it is alone.
    StepDown,
    /// The wall clock of a host is set wrong, forwards or backwards, or right again.
    ClockJump,
    /// The file system with an endpoint's spool is full for a while.
    FullSpool,
    /// The file system of MongoDB is full for a while.
    FullDatabase,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Freeze => "freeze",
            Self::KillAgent => "kill agent",
            Self::FreezeAgent => "freeze agent",
            Self::Cut => "cut",
            Self::Stall => "stall",
            Self::StepDown => "step-down",
            Self::ClockJump => "clock jump",
            Self::FullSpool => "full spool disk",
            Self::FullDatabase => "full database disk",
        })
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// To which, counted from 0 among those it can be done to.
    pub target: usize,
    /// For how long, where it has a duration.
    pub lasts: Duration,
    /// Time to the next one.
    pub pause: Duration,
}

/// An endless sequence of faults.
#[derive(Clone, Debug)]
pub struct Schedule {
    seed: u64,
    step: u64,
    kinds: Vec<Kind>,
}

/// How often each is drawn, of those that are possible.
const WEIGHTS: [(Kind, u64); 11] = [
    (Kind::Kill, 5),
    (Kind::Restart, 2),
    (Kind::Freeze, 4),
    (Kind::KillAgent, 5),
    (Kind::FreezeAgent, 2),
    (Kind::Cut, 6),
    (Kind::Stall, 2),
    (Kind::StepDown, 2),
    (Kind::ClockJump, 4),
    (Kind::FullSpool, 2),
    (Kind::FullDatabase, 1),
];

impl Schedule {
    /// The sequence of a seed; `possible` says what can be done here.
    pub fn new(seed: u64, possible: impl Fn(Kind) -> bool) -> Self {
        let kinds = WEIGHTS
            .iter()
            .filter(|(kind, _)| possible(*kind))
            .flat_map(|(kind, weight)| (0..*weight).map(move |_| *kind))
            .collect();
        Self { seed, step: 0, kinds }
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.step += 1;
        mix(self.seed ^ self.step.wrapping_mul(0x9e37_79b9)) % below.max(1)
    }
}

impl Iterator for Schedule {
    type Item = Fault;

    fn next(&mut self) -> Option<Fault> {
        let kinds = self.kinds.len() as u64;
        let index = usize::try_from(self.draw(kinds)).ok()?;
        let kind = *self.kinds.get(index)?;
        let target = usize::try_from(self.draw(1000)).ok()?;
        let lasts = Duration::from_millis(200 + self.draw(2300));
        let pause = Duration::from_millis(500 + self.draw(3000));
        Some(Fault {
            kind,
            target,
            lasts,
            pause,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_the_faults() {
        let take = |seed| Schedule::new(seed, |_| true).take(50).collect::<Vec<_>>();
        assert_eq!(take(7), take(7));
        assert_ne!(take(7), take(8));
        let only = Schedule::new(7, |kind| kind == Kind::Cut);
        assert!(only.take(20).all(|fault| fault.kind == Kind::Cut));
    }
}
