//! Which nodes there are to be.

use std::str::FromStr;

use model::node::Role;

/// Most nodes of one role on one machine.
const MOST: u16 = 16;

/// How many nodes of each role: `collector=2,detector=2`; one where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub collector: u16,
    pub detector: u16,
    pub responder: u16,
    pub gateway: u16,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            collector: 1,
            detector: 1,
            responder: 1,
            gateway: 1,
        }
    }
}

impl FromStr for Counts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut counts = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let error = || {
                format!(
                    "expected ROLE=N with a role of collector, detector, responder, and N of 1 to {MOST}, got {part:?}"
                )
            };
            let (role, number) = part.split_once('=').ok_or_else(error)?;
            let number = number
                .parse()
                .ok()
                .filter(|n| (1..=MOST).contains(n))
                .ok_or_else(error)?;
            let count = match role {
                "collector" => &mut counts.collector,
                "detector" => &mut counts.detector,
                "responder" => &mut counts.responder,
                // There is one port for people; more gateways belong behind a balancer.
                "gateway" if number == 1 => &mut counts.gateway,
                _ => return Err(error()),
            };
            *count = number;
        }
        Ok(counts)
    }
}

/// One node to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub role: Role,
    /// Unique, such as `collector-1`.
    pub name: String,
    /// Position among the nodes of its role, from 0.
    pub index: usize,
}

impl Counts {
    /// All nodes in the order in which they are started: who takes work before who gives it.
    pub(super) fn plans(self) -> Vec<Plan> {
        [
            (Role::Detector, self.detector),
            (Role::Collector, self.collector),
            (Role::Responder, self.responder),
            (Role::Gateway, self.gateway),
        ]
        .into_iter()
        .flat_map(|(role, count)| {
            (0..usize::from(count)).map(move |index| Plan {
                role,
                name: format!("{role}-{}", index + 1),
                index,
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_checked() {
        let counts: Counts = "collector=2, detector=3".parse().unwrap();
        assert_eq!((counts.collector, counts.detector, counts.responder), (2, 3, 1));
        assert_eq!("".parse(), Ok(Counts::default()));
        for wrong in [
            "collector",
            "collector=0",
            "collector=17",
            "agent=1",
            "gateway=2",
            "detector=x",
        ] {
            assert!(wrong.parse::<Counts>().unwrap_err().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn detectors_come_before_collectors_and_the_gateway_last() {
        let names: Vec<String> = "collector=2"
            .parse::<Counts>()
            .unwrap()
            .plans()
            .into_iter()
            .map(|p| p.name)
            .collect();
        assert_eq!(
            names,
            ["detector-1", "collector-1", "collector-2", "responder-1", "gateway-1"]
        );
    }
}
