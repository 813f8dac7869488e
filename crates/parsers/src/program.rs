//! Which parser reads a program's messages.

use model::ecs;

use crate::draft::Draft;
use crate::programs::{dockerd, kernel, login, polkit, sftp, systemd};
use crate::scan::Marks as _;
use crate::{accounts, cron, pam, sshd, su, sudo};

/// A parser that reads what one family of programs says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Sshd,
    Sftp,
    Sudo,
    Su,
    Accounts,
    Cron,
    Kernel,
    Systemd,
    Logind,
    Login,
    Polkit,
    Dockerd,
    /// Any other program; its messages may still come from PAM.
    Other,
}

impl Family {
    /// The family of a program, known by its name without directory.
    pub(crate) fn of(program: &str) -> Self {
        match program {
            "sshd" | "sshd-session" | "sshd-auth" => Self::Sshd,
            "sftp-server" | "internal-sftp" => Self::Sftp,
            "sudo" | "sudo-i" | "sudo-rs" => Self::Sudo,
            "su" | "su-l" | "runuser" => Self::Su,
            "CRON" | "cron" | "CROND" | "crond" | "crontab" | "anacron" => Self::Cron,
            "kernel" => Self::Kernel,
            "systemd" => Self::Systemd,
            "systemd-logind" => Self::Logind,
            "login" | "nologin" => Self::Login,
            "polkitd" | "polkit" | "pkexec" | "polkit-agent-helper-1" => Self::Polkit,
            "dockerd" | "containerd" => Self::Dockerd,
            _ if accounts::PROGRAMS.contains(&program) => Self::Accounts,
            _ => Self::Other,
        }
    }

    /// The family of a log type, when it is one of a program.
    pub(crate) fn of_log_type(log_type: &str) -> Option<Self> {
        match log_type {
            "sshd" => Some(Self::Sshd),
            "sudo" => Some(Self::Sudo),
            "su" => Some(Self::Su),
            "accounts" => Some(Self::Accounts),
            "cron" => Some(Self::Cron),
            "kernel" => Some(Self::Kernel),
            "systemd" => Some(Self::Systemd),
            "login" => Some(Self::Login),
            "polkit" => Some(Self::Polkit),
            "dockerd" => Some(Self::Dockerd),
            "pam" => Some(Self::Other),
            _ => None,
        }
    }

    /// The log type of its messages.
    fn log_type(self) -> &'static str {
        match self {
            Self::Sshd | Self::Sftp => "sshd",
            Self::Sudo => "sudo",
            Self::Su => "su",
            Self::Accounts => "accounts",
            Self::Cron => "cron",
            Self::Kernel => "kernel",
            Self::Systemd | Self::Logind => "systemd",
            Self::Login => "login",
            Self::Polkit => "polkit",
            Self::Dockerd => "dockerd",
            Self::Other => "pam",
        }
    }

    /// What the program is called in `process.name`, where rules expect one name for all its parts.
    pub(crate) fn process_name(self, program: &str) -> &str {
        match self {
            Self::Sshd => "sshd",
            Self::Sudo => "sudo",
            Self::Sftp
            | Self::Su
            | Self::Accounts
            | Self::Cron
            | Self::Kernel
            | Self::Systemd
            | Self::Logind
            | Self::Login
            | Self::Polkit
            | Self::Dockerd
            | Self::Other => program,
        }
    }

    /// Reads a message; `None` when the family does not know it.
    pub(crate) fn take(self, draft: &mut Draft, message: &str) -> Option<&'static str> {
        if pam_speaks(message) {
            pam::take(draft, message);
            let own = matches!(self, Self::Sshd | Self::Sudo | Self::Su | Self::Accounts | Self::Cron);
            return Some(if own { self.log_type() } else { "pam" });
        }
        let taken = match self {
            Self::Sshd => sshd::take(draft, message),
            Self::Sftp => sftp::take(draft, message),
            Self::Sudo => sudo::take(draft, message),
            Self::Su => su::take(draft, message),
            Self::Accounts => accounts::take(draft, message),
            Self::Cron => cron::take(draft, message),
            Self::Kernel => kernel::take(draft, message),
            Self::Systemd => systemd::manager(draft, message),
            Self::Logind => systemd::logind(draft, message),
            Self::Login => login::take(draft, message),
            Self::Polkit => polkit::take(draft, message),
            Self::Dockerd => dockerd::take(draft, message),
            Self::Other => false,
        };
        taken.then(|| self.log_type())
    }

    /// The dataset its messages belong to.
    pub(crate) fn dataset(self) -> &'static str {
        match self {
            Self::Sshd
            | Self::Sftp
            | Self::Sudo
            | Self::Su
            | Self::Accounts
            | Self::Logind
            | Self::Login
            | Self::Polkit => "system.auth",
            Self::Kernel => "system.kernel",
            Self::Cron | Self::Systemd | Self::Dockerd | Self::Other => "system.syslog",
        }
    }
}

/// Whether a program's messages have a parser of their own. The kernel's may be of several formats.
pub(crate) fn is_known(program: &str) -> bool {
    !matches!(Family::of(program), Family::Other | Family::Kernel)
}

/// Whether a message is that of a PAM module in some program.
pub(crate) fn pam_speaks(message: &str) -> bool {
    message.starts_with("pam_") && message.cut(": ").is_some_and(|(module, _)| module.ends_with(')'))
}

/// Reads what a program of a Linux host said. `fallback` is the log type when no family knows it.
pub(crate) fn take(draft: &mut Draft, program: &str, message: &str, fallback: &'static str) {
    let (directory, name) = match program.cut_last_at(b'/') {
        Some((_, name)) if program.starts_with('/') => (program, name),
        _ => ("", program),
    };
    let family = Family::of(name);
    draft.set_text(ecs::PROCESS_NAME, family.process_name(name));
    draft.set_text(ecs::PROCESS_EXECUTABLE, directory);
    draft.set_default_fixed(ecs::HOST_OS_TYPE, "linux");
    let taken = family.take(draft, message);
    let log_type = match taken {
        Some(log_type) => log_type,
        None if family == Family::Other => fallback,
        None => family.log_type(),
    };
    draft.set_fixed(ecs::PICKET_LOG_TYPE, log_type);
    draft.set_fixed(
        ecs::EVENT_DATASET,
        if log_type == "pam" {
            "system.auth"
        } else {
            family.dataset()
        },
    );
}

/// Reads a message that is said to be of a program's log type; false when it does not read so.
pub(crate) fn take_as(draft: &mut Draft, log_type: &str, message: &str) -> bool {
    let Some(family) = Family::of_log_type(log_type) else {
        return false;
    };
    let Some(log_type) = family.take(draft, message) else {
        return false;
    };
    settle(draft, family, log_type);
    true
}

/// Reads a message of which nobody says what program wrote it, if its words leave no doubt.
pub(crate) fn take_by_content(draft: &mut Draft, message: &str) -> bool {
    let family = if [
        "Failed ",
        "Accepted ",
        "Invalid user ",
        "maximum authentication attempts",
    ]
    .iter()
    .any(|prefix| message.starts_with(prefix))
        && message.has(" from ")
    {
        Family::Sshd
    } else if message.has(" ; USER=") && message.has(" ; COMMAND=") {
        Family::Sudo
    } else if message.starts_with("new user: name=") || message.starts_with("new group: name=") {
        Family::Accounts
    } else if pam_speaks(message) {
        Family::Other
    } else {
        return false;
    };
    let Some(log_type) = family.take(draft, message) else {
        return false;
    };
    settle(draft, family, log_type);
    true
}

fn settle(draft: &mut Draft, family: Family, log_type: &'static str) {
    if matches!(family, Family::Sshd | Family::Sudo | Family::Su) {
        draft.set_default_fixed(ecs::PROCESS_NAME, log_type);
    }
    draft.set_default_fixed(ecs::HOST_OS_TYPE, "linux");
    draft.set_fixed(ecs::PICKET_LOG_TYPE, log_type);
    let dataset = if log_type == "pam" {
        "system.auth"
    } else {
        family.dataset()
    };
    draft.set_fixed(ecs::EVENT_DATASET, dataset);
}
