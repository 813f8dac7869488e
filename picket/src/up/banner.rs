//! What is printed once everything runs.

use std::path::Path;

use super::args::Settings;
use super::start::Facts;
use super::system::System;

/// Prints how to reach the system, and how to see a first alert.
pub(super) fn print(system: &System, settings: &Settings, facts: &Facts) {
    let (up, dirs) = (&facts.up, &system.dirs);
    println!("\nPicket is up.\n");
    let line = |name: &str, value: &str| println!("  {name:<16}{value}");
    line("REST", &format!("{0}   documentation: {0}/docs", up.rest_url));
    line("gRPC", &up.grpc_addr);
    line("user", &up.admin_user);
    line("password", &up.admin_password);
    line("API key", &format!("{}   (header x-api-key)", up.api_key));
    line("CA certificate", &up.ca_file.display().to_string());
    line("collectors", &join(settings.ports.collectors.iter()));
    line(
        "syslog",
        &format!("{}   (UDP and TCP)", join(settings.ports.syslog.iter())),
    );
    let database = &settings.args.database;
    line(
        "MongoDB",
        &format!("{}   database: {database}", without_password(&up.mongodb_uri)),
    );
    line("data", &dirs.data().display().to_string());
    if settings.args.in_process {
        line("logs", "on standard error");
    } else {
        line("logs", &dirs.logs().display().to_string());
    }
    let Some(sources) = &facts.sources else {
        println!("\nCtrl-C stops it.");
        return;
    };
    let mut followed: Vec<String> = sources.files.iter().map(|path| path.display().to_string()).collect();
    if sources.journald {
        followed.push("the systemd journal".to_owned());
    }
    followed.push(dirs.try_file().display().to_string());
    line("follows", &followed.join(", "));
    for remark in &sources.remarks {
        line("", &format!("note: {remark}"));
    }
    let data = quote(dirs.data());
    println!(
        "\nWatch alerts in another terminal:\n\n  {} watch alerts --data {data}\n",
        program()
    );
    println!(
        "and bring one about, a failed login as sshd writes it:\n\n  {}\n",
        first_alert(&dirs.try_file())
    );
    println!("Ctrl-C stops it.");
}

/// A shell line that appends what sshd writes about a failed login.
fn first_alert(file: &Path) -> String {
    format!(
        "echo \"$(date +%Y-%m-%dT%H:%M:%S.%6N%:z) $(uname -n) sshd[4242]: Failed password for root from 203.0.113.7 \
         port 52144 ssh2\" >> {}",
        quote(file)
    )
}

/// As the reader would call this program.
fn program() -> &'static str {
    let by_cargo = std::env::current_exe().is_ok_and(|exe| exe.ancestors().any(|dir| dir.ends_with("target")));
    if by_cargo { "cargo picket" } else { "picket" }
}

fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn join(items: impl Iterator<Item = impl ToString>) -> String {
    items.map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

fn without_password(uri: &str) -> String {
    bootstrap::SecretUri::from(uri).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_paste_is_one_shell_command() {
        let line = first_alert(Path::new("/tmp/it's here/auth.log"));
        assert!(!line.contains('\n'));
        assert!(line.ends_with(r"'/tmp/it'\''s here/auth.log'"), "{line}");
        assert_eq!(quote(Path::new("/a/b-c_d.log")), "/a/b-c_d.log");
    }

    #[test]
    fn passwords_are_not_printed() {
        let text = without_password("mongodb://u:secret@h:1/?replicaSet=r");
        assert!(!text.contains("secret") && text.contains("h:1"), "{text}");
    }
}
