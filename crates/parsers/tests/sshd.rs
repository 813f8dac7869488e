//! Messages of OpenSSH's server.

mod check;

use check::message;

fn sshd(text: &str, expected: &[&str]) {
    message("sshd", text, expected);
    message(
        "sshd",
        text,
        &["process.name=sshd", "picket.log_type=sshd", "event.dataset=system.auth"],
    );
}

#[test]
fn logins() {
    sshd(
        "Failed password for root from 203.0.113.9 port 51022 ssh2",
        &[
            "event.category=authentication",
            "event.type=start",
            "event.action=ssh_login",
            "event.outcome=failure",
            "event.reason=",
            "user.name=root",
            "source.ip=203.0.113.9",
            "source.port=51022",
            "related.ip=203.0.113.9",
            "related.user=root",
            "system.auth.ssh.method=password",
            "picket.event_type=LOGIN_FAIL",
            "event.severity=3",
            "picket.warnings=",
        ],
    );
    sshd(
        "Failed password for invalid user oracle from 2001:db8::17 port 40000 ssh2",
        &[
            "event.outcome=failure",
            "event.reason=invalid_user",
            "user.name=oracle",
            "source.ip=2001:db8::17",
        ],
    );
    sshd(
        "Failed password for root from ::ffff:203.0.113.9 port 1 ssh2",
        &["source.ip=203.0.113.9"],
    );
    sshd(
        "Failed none for invalid user  from 203.0.113.9 port 1 ssh2",
        &[
            "event.reason=invalid_user",
            "user.name=",
            "source.ip=203.0.113.9",
            "system.auth.ssh.method=none",
        ],
    );
    sshd(
        "Accepted publickey for deploy from 198.51.100.4 port 60122 ssh2: ED25519 SHA256:l2mJ0m3kq5Vx0d6FhJm8cQe8g0Y1q3b9uQ7Z6cT4x1E",
        &[
            "event.action=ssh_login",
            "event.outcome=success",
            "user.name=deploy",
            "source.port=60122",
            "system.auth.ssh.method=publickey",
            "system.auth.ssh.signature=ED25519 SHA256:l2mJ0m3kq5Vx0d6FhJm8cQe8g0Y1q3b9uQ7Z6cT4x1E",
            "picket.event_type=LOGIN_SUCCESS",
            "event.severity=1",
        ],
    );
    sshd(
        "Accepted keyboard-interactive/pam for alice from 198.51.100.4 port 60122 ssh2",
        &[
            "event.outcome=success",
            "user.name=alice",
            "system.auth.ssh.method=keyboard-interactive/pam",
        ],
    );
    sshd(
        "Postponed keyboard-interactive for invalid user x from 198.51.100.4 port 60122 ssh2 [preauth]",
        &[
            "event.action=ssh_login_step",
            "event.outcome=",
            "user.name=x",
            "source.ip=198.51.100.4",
        ],
    );
    sshd(
        "message repeated 3 times: [ Failed password for root from 203.0.113.9 port 51022 ssh2]",
        &[
            "event.action=ssh_login",
            "event.outcome=failure",
            "source.ip=203.0.113.9",
            "picket.repeated=3",
        ],
    );
}

#[test]
fn unknown_and_refused_users() {
    sshd(
        "Invalid user admin from 203.0.113.9 port 51022",
        &[
            "event.action=ssh_invalid_user",
            "event.outcome=failure",
            "event.reason=invalid_user",
            "user.name=admin",
            "source.port=51022",
        ],
    );
    sshd(
        "Invalid user  from 203.0.113.9 port 51022",
        &["user.name=", "source.ip=203.0.113.9"],
    );
    sshd(
        "Invalid user test from 203.0.113.9",
        &["user.name=test", "source.ip=203.0.113.9", "source.port="],
    );
    sshd(
        "input_userauth_request: invalid user ftp [preauth]",
        &["event.reason=invalid_user", "user.name=ftp"],
    );
    sshd(
        "User bob from 198.51.100.4 not allowed because not listed in AllowUsers",
        &[
            "event.action=ssh_user_not_allowed",
            "event.reason=not listed in AllowUsers",
            "user.name=bob",
            "source.ip=198.51.100.4",
        ],
    );
    sshd(
        "error: maximum authentication attempts exceeded for invalid user pi from 203.0.113.9 port 51022 ssh2 [preauth]",
        &[
            "event.action=ssh_max_auth_attempts",
            "event.reason=max_auth_attempts",
            "event.outcome=failure",
            "user.name=pi",
            "source.ip=203.0.113.9",
        ],
    );
    sshd(
        "fatal: Access denied for user bob by PAM account configuration [preauth]",
        &["event.action=ssh_access_denied", "user.name=bob"],
    );
    sshd(
        "ROOT LOGIN REFUSED FROM 203.0.113.9 port 4711",
        &["event.action=ssh_root_refused", "user.name=root", "source.port=4711"],
    );
    sshd(
        "error: PAM: Authentication failure for illegal user guest from 203.0.113.9",
        &[
            "event.action=ssh_pam_failure",
            "event.outcome=failure",
            "user.name=guest",
            "source.ip=203.0.113.9",
        ],
    );
}

#[test]
fn ends_of_connections() {
    sshd(
        "Connection closed by authenticating user root 203.0.113.9 port 51022 [preauth]",
        &[
            "event.action=ssh_connection_closed",
            "user.name=root",
            "source.ip=203.0.113.9",
            "source.port=51022",
        ],
    );
    sshd(
        "Connection closed by 203.0.113.9 [preauth]",
        &[
            "event.action=ssh_connection_closed",
            "source.ip=203.0.113.9",
            "user.name=",
        ],
    );
    sshd(
        "Connection reset by invalid user ubnt 203.0.113.9 port 51022 [preauth]",
        &[
            "event.action=ssh_connection_reset",
            "user.name=ubnt",
            "event.reason=invalid_user",
            "source.ip=203.0.113.9",
        ],
    );
    sshd(
        "Disconnected from user alice 198.51.100.4 port 22022",
        &["event.action=ssh_disconnected", "user.name=alice", "source.port=22022"],
    );
    sshd(
        "Disconnecting authenticating user root 203.0.113.9 port 51022: Too many authentication failures [preauth]",
        &[
            "event.action=ssh_disconnecting",
            "event.reason=max_auth_attempts",
            "user.name=root",
            "source.ip=203.0.113.9",
        ],
    );
    sshd(
        "Disconnecting: Too many authentication failures for root [preauth]",
        &["event.reason=max_auth_attempts", "user.name=root"],
    );
    sshd(
        "Received disconnect from 203.0.113.9 port 51022:11: Bye from 6.6.6.6 port 1 [preauth]",
        &[
            "event.action=ssh_received_disconnect",
            "source.ip=203.0.113.9",
            "source.port=51022",
        ],
    );
    sshd(
        "Received disconnect from 203.0.113.9: 11: Bye Bye [preauth]",
        &["source.ip=203.0.113.9", "source.port="],
    );
    sshd(
        "fatal: Timeout before authentication for 203.0.113.9 port 51022",
        &["event.action=ssh_auth_timeout", "source.ip=203.0.113.9"],
    );
}

#[test]
fn connections_sessions_and_the_rest() {
    sshd(
        "Connection from 198.51.100.4 port 22022 on 192.0.2.1 port 22 rdomain \"\"",
        &["event.action=ssh_connection", "source.ip=198.51.100.4"],
    );
    sshd(
        "Did not receive identification string from 203.0.113.9 port 51022",
        &["event.action=ssh_no_identification", "source.ip=203.0.113.9"],
    );
    sshd(
        "Bad protocol version identification 'GET / from 6.6.6.6 port 1' from 203.0.113.9 port 51022",
        &[
            "event.action=ssh_bad_protocol",
            "source.ip=203.0.113.9",
            "source.port=51022",
        ],
    );
    sshd(
        "Unable to negotiate with 203.0.113.9 port 51022: no matching host key type found. Their offer: ssh-dss [preauth]",
        &[
            "event.action=ssh_negotiation_failed",
            "source.ip=203.0.113.9",
            "event.reason=no matching host key type found",
        ],
    );
    sshd(
        "banner exchange: Connection from 203.0.113.9 port 51022: invalid format",
        &["event.action=ssh_protocol_error", "source.ip=203.0.113.9"],
    );
    sshd(
        "error: kex_exchange_identification: Connection closed by remote host",
        &["event.action=ssh_protocol_error", "source.ip="],
    );
    sshd(
        "reverse mapping checking getaddrinfo for evil.example [203.0.113.9] failed - POSSIBLE BREAK-IN ATTEMPT!",
        &["event.action=ssh_dns_mismatch", "source.ip=203.0.113.9"],
    );
    sshd(
        "subsystem request for sftp by user alice",
        &[
            "event.action=ssh_subsystem_request",
            "user.name=alice",
            "system.auth.ssh.subsystem=sftp",
        ],
    );
    sshd(
        "Starting session: shell on pts/0 for alice from 198.51.100.4 port 22022 id 0",
        &["event.action=ssh_session_started", "user.name=alice"],
    );
    sshd(
        "Close session: user alice from 198.51.100.4 port 22022 id 0",
        &["event.action=ssh_session_closed", "user.name=alice"],
    );
    sshd(
        "drop connection #10 from [203.0.113.9]:4711 on [192.0.2.1]:22 past MaxStartups",
        &[
            "event.action=ssh_connection_dropped",
            "source.ip=203.0.113.9",
            "source.port=4711",
        ],
    );
    sshd(
        "Server listening on 0.0.0.0 port 22.",
        &["event.action=ssh_listening", "source.ip="],
    );
    sshd(
        "something nobody has seen before",
        &["event.action=", "event.dataset=system.auth"],
    );
    message(
        "sshd-session",
        "Failed password for root from 203.0.113.9 port 1 ssh2",
        &[
            "process.name=sshd",
            "log.syslog.appname=sshd-session",
            "event.action=ssh_login",
        ],
    );
}

#[test]
fn pam_within_sshd() {
    sshd(
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root",
        &[
            "event.action=pam_auth_failure",
            "event.outcome=failure",
            "user.name=root",
            "source.ip=203.0.113.9",
            "process.tty.name=ssh",
        ],
    );
    sshd(
        "PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=root",
        &[
            "event.action=pam_auth_failure",
            "picket.repeated=2",
            "user.name=root",
            "source.ip=203.0.113.9",
        ],
    );
    sshd(
        "pam_unix(sshd:auth): check pass; user unknown",
        &["event.reason=invalid_user"],
    );
    sshd(
        "pam_unix(sshd:session): session opened for user alice(uid=1000) by (uid=0)",
        &[
            "event.action=session_opened",
            "event.category=session",
            "user.name=alice",
            "user.id=1000",
        ],
    );
    sshd(
        "pam_unix(sshd:session): session closed for user alice",
        &["event.action=session_closed", "user.name=alice"],
    );
}

/// Whoever tries to log in chooses the user name, so nothing in it may pass for what sshd says.
#[test]
fn forged_parts_are_not_believed() {
    sshd(
        "Failed password for invalid user x from 1.2.3.4 port 22 ssh2 from 203.0.113.9 port 51022 ssh2",
        &[
            "user.name=x from 1.2.3.4 port 22 ssh2",
            "source.ip=203.0.113.9",
            "source.port=51022",
            "related.ip=203.0.113.9",
        ],
    );
    sshd(
        "Invalid user root from 1.2.3.4 port 22 from 203.0.113.9 port 51022",
        &["user.name=root from 1.2.3.4 port 22", "source.ip=203.0.113.9"],
    );
    sshd(
        "Connection closed by invalid user a 1.2.3.4 port 22 203.0.113.9 port 51022 [preauth]",
        &["user.name=a 1.2.3.4 port 22", "source.ip=203.0.113.9"],
    );
    sshd(
        "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.9  user=x rhost=1.2.3.4",
        &["user.name=x rhost=1.2.3.4", "source.ip=203.0.113.9"],
    );
    sshd(
        "Failed publickey for bob from 203.0.113.9 port 51022 ssh2: RSA-CERT SHA256:abc ID x from 1.2.3.4 port 1 ssh2: RSA (serial 0) CA RSA SHA256:def",
        &[
            "source.ip=",
            "user.name=",
            "event.action=ssh_login",
            "event.outcome=failure",
            "picket.warnings=ambiguous text",
        ],
    );
    sshd(
        "Failed publickey for invalid user x: ssh2: y from 203.0.113.9 port 51022 ssh2: RSA SHA256:abc",
        &["user.name=x: ssh2: y", "source.ip=203.0.113.9"],
    );
}
