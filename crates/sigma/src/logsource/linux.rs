//! Linux, and the categories that do not depend on a system.

use super::When::{self, All, Any, Contains, Has, Is, Not, Unparsed};

/// An event that does not say which system it is from counts as Linux: most syslog lines do not.
pub(super) const PRODUCT: When = Any(&[
    Is("host.os.type", &["linux"]),
    Is("product", &["linux"]),
    All(&[
        Not(&Has("host.os.type")),
        Not(&Has("product")),
        Not(&Has("Channel")),
        Not(&Has("cloud.provider")),
    ]),
]);

/// Beyond the events of a program of the service's own name.
pub(super) fn service(name: &str) -> Option<&'static When> {
    find(SERVICES, name)
}

/// By ECS categorization and by fields only that category has.
pub(super) fn category(name: &str) -> Option<&'static When> {
    find(CATEGORIES, name)
}

fn find(table: &'static [(&str, When)], name: &str) -> Option<&'static When> {
    table.iter().find(|(entry, _)| *entry == name).map(|(_, when)| when)
}

const SERVICES: &[(&str, When)] = &[
    (
        "auth",
        Any(&[
            Contains("log.file.path", &["/auth.log", "/secure"]),
            Is("event.category", &["authentication", "iam", "session"]),
            Is("log.syslog.facility.code", &["4", "10"]),
            Is("process.name", AUTH_PROGRAMS),
            Is("log.syslog.appname", AUTH_PROGRAMS),
            Unparsed(AUTH_PROGRAMS),
        ]),
    ),
    (
        "syslog",
        Any(&[
            Has("log.syslog.appname"),
            Has("log.syslog.hostname"),
            Has("log.syslog.priority"),
            Contains("log.file.path", &["/syslog", "/messages"]),
        ]),
    ),
    (
        "auditd",
        Any(&[
            Is("process.name", &["auditd", "audispd"]),
            Contains("log.file.path", &["/audit/audit.log"]),
        ]),
    ),
    (
        "cron",
        Any(&[
            Is("process.name", &["CRON", "crond", "crontab", "anacron"]),
            Is("log.syslog.appname", &["CRON", "crond", "crontab", "anacron"]),
            Contains("log.file.path", &["/log/cron"]),
            Unparsed(&["crond", "crontab", "anacron"]),
        ]),
    ),
    (
        "sshd",
        Any(&[
            Is("process.name", &["sshd-session", "sshd-auth"]),
            Unparsed(&["sshd-session", "sshd-auth"]),
        ]),
    ),
    ("clamav", Is("process.name", &["clamd", "freshclam", "clamscan"])),
    ("guacamole", Is("process.name", &["guacd"])),
    (
        "apache",
        Any(&[
            Is("process.name", &["apache2", "httpd"]),
            Contains("log.file.path", &["/apache2/", "/httpd/"]),
        ]),
    ),
    ("nginx", Contains("log.file.path", &["/nginx/"])),
];

const AUTH_PROGRAMS: &[&str] = &[
    "sshd",
    "sshd-session",
    "sudo",
    "su",
    "login",
    "systemd-logind",
    "polkitd",
    "pkexec",
    "passwd",
    "chpasswd",
    "useradd",
    "userdel",
    "usermod",
    "groupadd",
    "groupdel",
    "groupmod",
    "gpasswd",
    "chage",
    "CRON",
    "unix_chkpwd",
];

const CATEGORIES: &[(&str, When)] = &[
    (
        "process_creation",
        Any(&[
            All(&[Is("Channel", &["Linux-Sysmon/Operational"]), Is("EventID", &["1"])]),
            All(&[Is("event.category", &["process"]), Is("event.type", &["start"])]),
            // sudo and cron log the command lines they start.
            Is(
                "event.action",
                &["sudo_command", "cron_command", "exec", "executed", "process_started"],
            ),
        ]),
    ),
    (
        "file_event",
        Any(&[
            All(&[Is("Channel", &["Linux-Sysmon/Operational"]), Is("EventID", &["11"])]),
            All(&[
                Is("event.category", &["file"]),
                Is("event.type", &["creation", "change"]),
            ]),
        ]),
    ),
    (
        "file_delete",
        All(&[Is("event.category", &["file"]), Is("event.type", &["deletion"])]),
    ),
    (
        "network_connection",
        Any(&[
            All(&[Is("Channel", &["Linux-Sysmon/Operational"]), Is("EventID", &["3"])]),
            All(&[
                Is("event.category", &["network"]),
                Is("event.type", &["connection", "start"]),
            ]),
        ]),
    ),
    (
        "webserver",
        Any(&[
            Is("event.category", &["web"]),
            Has("http.request.method"),
            Has("cs-method"),
            Has("url.original"),
            Contains("log.file.path", &["/nginx/", "/apache2/", "/httpd/"]),
        ]),
    ),
    (
        "proxy",
        Any(&[
            All(&[Is("event.category", &["web", "network"]), Has("url.original")]),
            Is("event.module", &["squid", "zscaler", "bluecoat"]),
            Has("c-uri"),
        ]),
    ),
    ("dns", Has("dns.question.name")),
    ("dns_query", Has("dns.question.name")),
    ("firewall", Is("event.module", &["iptables", "ufw", "firewall"])),
    ("antivirus", Is("event.category", &["malware"])),
];
