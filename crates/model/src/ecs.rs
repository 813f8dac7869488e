//! Field names of the Elastic Common Schema (ECS 8) that Picket sets itself, plus the few of its own.
//!
//! Source: <https://www.elastic.co/guide/en/ecs/current/ecs-field-reference.html>.

use crate::event::FieldName;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $(#[doc = concat!("`", $text, "`")] pub const $name: &str = $text;)*

        /// Every name above.
        pub const ALL: &[&str] = &[$($text),*];
    };
}

/// The same name without a copy when it is one of [`ALL`]; for decoders, which meet each name once a column.
#[must_use]
pub fn field_name(name: &str) -> FieldName {
    ALL.iter()
        .find(|known| **known == name)
        .map_or_else(|| FieldName::shared(name), |known| FieldName::of_static(known))
}

fields! {
    TIMESTAMP = "@timestamp";
    MESSAGE = "message";
    TAGS = "tags";
    AGENT_ID = "agent.id";
    AGENT_NAME = "agent.name";
    AGENT_TYPE = "agent.type";
    HOST_NAME = "host.name";
    HOST_HOSTNAME = "host.hostname";
    HOST_OS_TYPE = "host.os.type";
    LOG_FILE_PATH = "log.file.path";
    LOG_LEVEL = "log.level";
    LOG_SOURCE_ADDRESS = "log.source.address";
    LOG_SYSLOG_FACILITY = "log.syslog.facility.code";
    LOG_SYSLOG_SEVERITY = "log.syslog.severity.code";
    LOG_SYSLOG_PRIORITY = "log.syslog.priority";
    LOG_SYSLOG_HOSTNAME = "log.syslog.hostname";
    LOG_SYSLOG_APPNAME = "log.syslog.appname";
    LOG_SYSLOG_PROCID = "log.syslog.procid";
    LOG_SYSLOG_MSGID = "log.syslog.msgid";
    EVENT_ID = "event.id";
    EVENT_CREATED = "event.created";
    EVENT_KIND = "event.kind";
    EVENT_CATEGORY = "event.category";
    EVENT_TYPE = "event.type";
    EVENT_ACTION = "event.action";
    EVENT_OUTCOME = "event.outcome";
    EVENT_REASON = "event.reason";
    EVENT_DATASET = "event.dataset";
    EVENT_MODULE = "event.module";
    EVENT_ORIGINAL = "event.original";
    EVENT_SEVERITY = "event.severity";
    SOURCE_IP = "source.ip";
    SOURCE_PORT = "source.port";
    SOURCE_DOMAIN = "source.domain";
    SOURCE_USER_NAME = "source.user.name";
    DESTINATION_IP = "destination.ip";
    DESTINATION_PORT = "destination.port";
    DESTINATION_DOMAIN = "destination.domain";
    USER_NAME = "user.name";
    USER_ID = "user.id";
    USER_EFFECTIVE_NAME = "user.effective.name";
    USER_TARGET_NAME = "user.target.name";
    USER_TARGET_ID = "user.target.id";
    GROUP_NAME = "group.name";
    GROUP_ID = "group.id";
    PROCESS_NAME = "process.name";
    PROCESS_PID = "process.pid";
    PROCESS_COMMAND_LINE = "process.command_line";
    PROCESS_EXECUTABLE = "process.executable";
    PROCESS_WORKING_DIRECTORY = "process.working_directory";
    PROCESS_TTY = "process.tty.name";
    RELATED_IP = "related.ip";
    RELATED_USER = "related.user";
    NETWORK_PROTOCOL = "network.protocol";
    FILE_PATH = "file.path";
    FILE_HASH_SHA256 = "file.hash.sha256";
    URL_DOMAIN = "url.domain";
    DNS_QUESTION_NAME = "dns.question.name";

    SSH_METHOD = "system.auth.ssh.method";
    SSH_SIGNATURE = "system.auth.ssh.signature";
    SSH_SUBSYSTEM = "system.auth.ssh.subsystem";
    USER_HOME = "system.auth.useradd.home";
    USER_SHELL = "system.auth.useradd.shell";

    PICKET_EVENT_TYPE = "picket.event_type";
    PICKET_REPEATED = "picket.repeated";
    PICKET_LOG_TYPE = "picket.log_type";
    PICKET_SOURCE = "picket.source";
    PICKET_WARNINGS = "picket.warnings";
    PICKET_TRUNCATED_BYTES = "picket.truncated_bytes";
}
