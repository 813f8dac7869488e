//! Events such as the parsers make of a Linux host's logs, about 700 bytes each as BSON. No randomness but the seed.

use model::{Epoch, Event, EventId, Fields, SourceId, Timestamp, Value, ecs};

/// SplitMix64.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

const USERS: [&str; 12] = [
    "root", "admin", "deploy", "postgres", "ubuntu", "git", "oracle", "test", "backup", "alice", "bob", "carol",
];
const PATHS: [&str; 8] = [
    "/",
    "/index.html",
    "/api/v1/items",
    "/api/v1/users",
    "/login",
    "/static/app.js",
    "/wp-login.php",
    "/health",
];

/// `count` events of a few hosts: half sshd, the rest sudo, cron, web access and plain daemons.
pub(crate) fn events(count: usize, seed: u64) -> Vec<Event> {
    let mut random = Random(seed);
    let mut time = 1_760_000_000_000_000_i64;
    (0..count)
        .map(|n| {
            time += random.below(40_000) as i64;
            let host = n / 250 % 4;
            Event {
                id: EventId {
                    source: SourceId::named("agent", &host.to_string()),
                    epoch: Epoch(7),
                    seq: (n / 1000 * 250 + n % 250) as u64,
                },
                timestamp: Timestamp(time),
                fields: fields(&mut random, time, host),
            }
        })
        .collect()
}

fn fields(random: &mut Random, time: i64, host: usize) -> Fields {
    let host = format!("web-{host:02}.example.net");
    match random.below(10) {
        0..=4 => sshd(random, time, &host),
        5 => sudo(random, time, &host),
        6 => cron(random, time, &host),
        7 | 8 => web(random, time, &host),
        _ => daemon(random, time, &host),
    }
}

fn base(host: &str, time: i64, program: &str, pid: u64, message: &str) -> Fields {
    let mut fields = Fields::new();
    fields.insert(ecs::EVENT_KIND, "event");
    fields.insert(ecs::PICKET_LOG_TYPE, program);
    fields.insert(ecs::PICKET_SOURCE, "/var/log/auth.log");
    fields.insert(ecs::AGENT_ID, "0b8cf0d8-3d0e-7c11-9e2b-7d5a3f6b2a10");
    fields.insert(ecs::AGENT_NAME, host);
    fields.insert(ecs::HOST_NAME, host);
    fields.insert(ecs::HOST_OS_TYPE, "linux");
    fields.insert(ecs::LOG_FILE_PATH, "/var/log/auth.log");
    fields.insert(ecs::EVENT_DATASET, "system.auth");
    fields.insert(ecs::PROCESS_NAME, program);
    fields.insert(ecs::PROCESS_PID, pid as i64);
    fields.insert(ecs::MESSAGE, message);
    let stamp = Timestamp(time).to_string().replace('Z', "+00:00");
    fields.insert(
        ecs::EVENT_ORIGINAL,
        format!("{stamp} {host} {program}[{pid}]: {message}"),
    );
    fields
}

fn list(values: &[&str]) -> Value {
    values.iter().map(|value| Value::from(*value)).collect()
}

fn sshd(random: &mut Random, time: i64, host: &str) -> Fields {
    let user = random.one(&USERS);
    let ip = match random.below(4) {
        0 => format!("198.51.100.{}", random.below(20)),
        1 => format!("203.0.113.{}", random.below(100)),
        _ => format!(
            "{}.{}.{}.{}",
            1 + random.below(200),
            random.below(256),
            random.below(256),
            random.below(256)
        ),
    };
    let port = 1024 + random.below(64_000);
    let pid = 1000 + random.below(400_000);
    let failed = random.below(10) < 8;
    let verb = if failed {
        "Failed password for"
    } else {
        "Accepted publickey for"
    };
    let message = format!("{verb} {user} from {ip} port {port} ssh2");
    let mut fields = base(host, time, "sshd", pid, &message);
    fields.insert(ecs::EVENT_CATEGORY, list(&["authentication"]));
    fields.insert(ecs::EVENT_TYPE, list(&["start"]));
    fields.insert(ecs::EVENT_ACTION, "ssh_login");
    fields.insert(ecs::EVENT_OUTCOME, if failed { "failure" } else { "success" });
    fields.insert(ecs::EVENT_SEVERITY, if failed { 3_i64 } else { 1 });
    fields.insert(ecs::USER_NAME, user);
    fields.insert(ecs::SOURCE_IP, ip.as_str());
    fields.insert(ecs::SOURCE_PORT, port as i64);
    fields.insert(ecs::RELATED_IP, list(&[&ip]));
    fields.insert(ecs::RELATED_USER, list(&[user]));
    fields
}

fn sudo(random: &mut Random, time: i64, host: &str) -> Fields {
    let user = random.one(&USERS);
    let command = format!("/usr/bin/systemctl restart app-{}.service", random.below(30));
    let message = format!(
        "{user} : TTY=pts/{} ; PWD=/home/{user} ; USER=root ; COMMAND={command}",
        random.below(9)
    );
    let mut fields = base(host, time, "sudo", 1000 + random.below(400_000), &message);
    fields.insert(ecs::EVENT_ACTION, "sudo_command");
    fields.insert(ecs::USER_NAME, user);
    fields.insert(ecs::USER_EFFECTIVE_NAME, "root");
    fields.insert(ecs::PROCESS_COMMAND_LINE, command);
    fields.insert(ecs::PROCESS_WORKING_DIRECTORY, format!("/home/{user}"));
    fields.insert(ecs::RELATED_USER, list(&[user, "root"]));
    fields
}

fn cron(random: &mut Random, time: i64, host: &str) -> Fields {
    let command = random.one(&[
        "/usr/local/bin/rotate",
        "cd / && run-parts --report /etc/cron.hourly",
        "/opt/sync.sh",
    ]);
    let message = format!("(root) CMD ({command})");
    let mut fields = base(host, time, "CRON", 1000 + random.below(400_000), &message);
    fields.insert(ecs::EVENT_ACTION, "cron_command");
    fields.insert(ecs::USER_NAME, "root");
    fields.insert(ecs::PROCESS_COMMAND_LINE, command);
    fields
}

fn web(random: &mut Random, time: i64, host: &str) -> Fields {
    let ip = format!("198.51.{}.{}", random.below(8), random.below(256));
    let path = random.one(&PATHS);
    let status = [200, 200, 200, 304, 404, 500][random.below(6) as usize];
    let bytes = random.below(20_000);
    let message = format!(
        "{ip} - - \"GET {path}?id={} HTTP/1.1\" {status} {bytes} \"-\" \"Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101\"",
        random.below(100_000),
        100 + random.below(20)
    );
    let mut fields = base(host, time, "nginx", 900, &message);
    fields.insert(ecs::SOURCE_IP, ip.as_str());
    fields.insert("url.path", path);
    fields.insert("http.request.method", "GET");
    fields.insert("http.response.status_code", status);
    fields.insert("http.response.body.bytes", bytes as i64);
    fields.insert(ecs::RELATED_IP, list(&[&ip]));
    fields
}

fn daemon(random: &mut Random, time: i64, host: &str) -> Fields {
    let program = random.one(&["systemd", "dbus-daemon", "NetworkManager", "containerd"]);
    let message = format!(
        "unit-{}.service: Deactivated successfully after {}ms.",
        random.below(200),
        random.below(5000)
    );
    base(host, time, program, 1 + random.below(2000), &message)
}
