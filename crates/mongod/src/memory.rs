//! How much memory this machine, or the container it runs in, gives.

use std::path::Path;

const GIB: f64 = (1_u64 << 30) as f64;
/// Least and most for a cache nobody chose a size for, in gigabytes.
const CACHE_GB: (f64, f64) = (0.25, 32.0);

/// A quarter of the memory there is, in gigabytes: MongoDB itself would take half, but shares the machine with Picket's
/// nodes here.
pub(crate) fn cache_gb() -> f64 {
    let machine = read("/proc/meminfo").and_then(|text| mem_total(&text));
    let container = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    quarter(machine, container)
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// The bytes of memory that `/proc/meminfo` tells.
fn mem_total(meminfo: &str) -> Option<u64> {
    let rest = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn quarter(machine: Option<u64>, container: Option<u64>) -> f64 {
    let (least, most) = CACHE_GB;
    let bytes = machine.into_iter().chain(container).min();
    bytes.map_or(1.0, |bytes| (bytes as f64 / GIB / 4.0).clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_takes_a_quarter_of_the_smaller_of_machine_and_container() {
        let gib = |n: u64| Some(n << 30);
        for (machine, container, expected) in [
            (gib(24), None, 6.0),
            (gib(24), gib(4), 1.0),
            (gib(2), None, 0.5),
            (gib(512), None, 32.0),
            (Some(100 << 20), None, 0.25),
            (None, None, 1.0),
        ] {
            assert_eq!(quarter(machine, container), expected, "{machine:?} {container:?}");
        }
    }

    #[test]
    fn what_the_kernel_tells_is_read() {
        let told = "MemFree:  1 kB\nMemTotal:       24689612 kB\nMemFree:         1 kB\n";
        assert_eq!(mem_total(told), Some(24_689_612 << 10));
        for unreadable in ["", "MemTotal: x kB", "MemTotal: 5", "MemTotal: 18446744073709551615 kB"] {
            assert_eq!(mem_total(unreadable), None, "{unreadable}");
        }
    }
}
