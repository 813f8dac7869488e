//! Log lines as a small team's Linux hosts write them: many shapes, skewed sources, some high-entropy parts.
//!
//! Deterministic: the same number always gives the same line, so a story can tell which line it is looking at.

const USERS: [&str; 12] = [
    "root", "admin", "deploy", "alice", "bob", "carol", "postgres", "git", "backup", "ubuntu", "test", "oracle",
];
const UNITS: [&str; 6] = ["nginx", "postgresql", "docker", "cron", "ssh", "redis-server"];
const PATHS: [&str; 8] = [
    "/",
    "/login",
    "/api/v1/orders",
    "/static/app.js",
    "/favicon.ico",
    "/api/v1/users/me",
    "/health",
    "/assets/logo.svg",
];

/// A well-mixed number for `n` (SplitMix64), the same in each run.
#[must_use]
pub fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn pick<'a>(from: &[&'a str], n: u64) -> &'a str {
    from[usize::try_from(n % from.len() as u64).unwrap_or(0)]
}

/// An address out of about 20,000, low numbers far more often.
fn address(n: u64) -> String {
    let unit = (n % 1_000_000) as f64 / 1_000_000.0;
    let host = (unit * unit * unit * 20_000.0) as u64;
    format!("10.{}.{}.{}", host / 5_000, (host / 250) % 20, host % 250 + 1)
}

/// Line number `n`. One in about 250 is one that a rule of the pack alerts on.
#[must_use]
pub fn line(n: u64) -> String {
    let (a, b, c) = (mix(n), mix(n ^ 0xaaaa), mix(n ^ 0x5555));
    let time = format!(
        "2026-03-{:02}T{:02}:{:02}:{:02}.{:06}+00:00",
        1 + n / 9_000_000 % 28,
        n / 360_000 % 24,
        n / 6_000 % 60,
        n / 100 % 60,
        b % 1_000_000
    );
    let host = format!("web-{:02}", a % 40);
    let pid = 1_000 + b % 60_000;
    let user = pick(&USERS, b);
    let ip = address(c);
    match a % 1000 {
        0..4 => format!(
            "{time} {host} sshd[{pid}]: Failed password for {user} from {ip} port {} ssh2",
            1024 + c % 64_000
        ),
        4..180 => format!(
            "{time} {host} sshd[{pid}]: Accepted publickey for {user} from {ip} port {} ssh2: ED25519 SHA256:{:016x}{:016x}",
            1024 + c % 64_000,
            a,
            b
        ),
        180..300 => format!("{time} {host} sshd[{pid}]: pam_unix(sshd:session): session closed for user {user}"),
        300..420 => format!(
            "{time} {host} CRON[{pid}]: ({user}) CMD (/usr/local/bin/rotate --id {:08x} --quiet)",
            c as u32
        ),
        420..560 => format!(
            "{time} {host} systemd[1]: {}.service: Consumed {}.{:03}s CPU time.",
            pick(&UNITS, b),
            c % 90,
            b % 1000
        ),
        560..640 => format!(
            "{time} {host} kernel: [{:>12.6}] eth0: renamed from veth{:07x}",
            (n as f64) / 100.0,
            c & 0xfff_ffff
        ),
        640..760 => format!(
            "{time} {host} nginx[{pid}]: {ip} - - \"GET {} HTTP/1.1\" {} {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\" rt=0.{:03}",
            pick(&PATHS, a),
            if c % 20 == 0 { 404 } else { 200 },
            b % 90_000,
            c % 1000
        ),
        760..880 => format!(
            "{{\"timestamp\":\"{time}\",\"level\":\"info\",\"service\":\"orders\",\"host\":{{\"name\":\"{host}\"}},\"trace\":\"{a:016x}{b:016x}\",\"message\":\"order {} shipped\",\"user\":{{\"name\":\"{user}\"}},\"source\":{{\"ip\":\"{ip}\"}},\"duration_ms\":{}}}",
            c % 10_000_000,
            b % 4000
        ),
        _ => format!(
            "{time} {host} app[{pid}]: level=info session={a:016x} user={user} src={ip} action=read object=/data/{:06x} bytes={}",
            c & 0xff_ffff,
            b % 1_000_000
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn lines_are_repeatable_and_have_a_known_share_of_failed_passwords() {
        assert_eq!(line(17), line(17));
        let failed = (0..100_000).filter(|n| line(*n).contains("Failed password")).count();
        assert!((300..500).contains(&failed), "{failed} of 100,000");
    }
}
