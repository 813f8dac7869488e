//! Windows: services are event log channels, categories are event ids in a channel.

use super::When::{self, All, Any, Has, Is, Not};

pub(super) const PRODUCT: When = Any(&[
    Is("host.os.type", &["windows"]),
    Is("product", &["windows"]),
    All(&[Not(&Has("host.os.type")), Not(&Has("product")), Has("Channel")]),
]);

/// One kind of event a category consists of.
pub(super) struct EventKind {
    pub(super) channel: &'static str,
    pub(super) id: u16,
    /// Value of `EventType`, where one id stands for several things.
    pub(super) kind: Option<&'static str>,
}

/// The channels of a service.
pub(super) fn channels(service: &str) -> Option<&'static [&'static str]> {
    SERVICES
        .iter()
        .find(|(name, _)| *name == service)
        .map(|(_, channels)| *channels)
}

/// The events of a category; none when it is not a Windows category.
pub(super) fn events(category: &str) -> impl Iterator<Item = &'static EventKind> {
    CATEGORIES
        .iter()
        .filter(move |(name, _)| *name == category)
        .flat_map(|(_, events)| events.iter())
}

const SYSMON: &str = "Microsoft-Windows-Sysmon/Operational";
const POWERSHELL: &str = "Microsoft-Windows-PowerShell/Operational";

const fn sysmon(id: u16) -> EventKind {
    event(SYSMON, id)
}

const fn event(channel: &'static str, id: u16) -> EventKind {
    EventKind {
        channel,
        id,
        kind: None,
    }
}

const fn sysmon_kind(id: u16, kind: &'static str) -> EventKind {
    EventKind {
        channel: SYSMON,
        id,
        kind: Some(kind),
    }
}

const SERVICES: &[(&str, &[&str])] = &[
    ("application", &["Application"]),
    ("security", &["Security"]),
    ("system", &["System"]),
    ("ntlm", &["Microsoft-Windows-NTLM/Operational"]),
    ("sysmon", &["Microsoft-Windows-Sysmon/Operational"]),
    (
        "powershell",
        &["Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"],
    ),
    ("powershell-classic", &["Windows PowerShell"]),
    ("taskscheduler", &["Microsoft-Windows-TaskScheduler/Operational"]),
    ("wmi", &["Microsoft-Windows-WMI-Activity/Operational"]),
    ("dhcp", &["Microsoft-Windows-DHCP-Server/Operational"]),
    ("printservice-admin", &["Microsoft-Windows-PrintService/Admin"]),
    ("smbclient-security", &["Microsoft-Windows-SmbClient/Security"]),
    ("smbclient-connectivity", &["Microsoft-Windows-SmbClient/Connectivity"]),
    ("smbserver-connectivity", &["Microsoft-Windows-SMBServer/Connectivity"]),
    (
        "printservice-operational",
        &["Microsoft-Windows-PrintService/Operational"],
    ),
    (
        "terminalservices-localsessionmanager",
        &["Microsoft-Windows-TerminalServices-LocalSessionManager/Operational"],
    ),
    (
        "codeintegrity-operational",
        &["Microsoft-Windows-CodeIntegrity/Operational"],
    ),
    (
        "applocker",
        &[
            "Microsoft-Windows-AppLocker/MSI and Script",
            "Microsoft-Windows-AppLocker/EXE and DLL",
            "Microsoft-Windows-AppLocker/Packaged app-Deployment",
            "Microsoft-Windows-AppLocker/Packaged app-Execution",
        ],
    ),
    ("msexchange-management", &["MSExchange Management"]),
    ("windefend", &["Microsoft-Windows-Windows Defender/Operational"]),
    (
        "firewall-as",
        &["Microsoft-Windows-Windows Firewall With Advanced Security/Firewall"],
    ),
    ("bits-client", &["Microsoft-Windows-Bits-Client/Operational"]),
    (
        "security-mitigations",
        &[
            "Microsoft-Windows-Security-Mitigations/Kernel Mode",
            "Microsoft-Windows-Security-Mitigations/User Mode",
        ],
    ),
    (
        "diagnosis-scripted",
        &["Microsoft-Windows-Diagnosis-Scripted/Operational"],
    ),
    ("shell-core", &["Microsoft-Windows-Shell-Core/Operational"]),
    ("openssh", &["OpenSSH/Operational"]),
    ("ldap", &["Microsoft-Windows-LDAP-Client/Debug"]),
    ("bitlocker", &["Microsoft-Windows-BitLocker/BitLocker Management"]),
    ("vhdmp", &["Microsoft-Windows-VHDMP/Operational"]),
    (
        "appxdeployment-server",
        &["Microsoft-Windows-AppXDeploymentServer/Operational"],
    ),
    ("lsa-server", &["Microsoft-Windows-LSA/Operational"]),
    ("appxpackaging-om", &["Microsoft-Windows-AppxPackaging/Operational"]),
    ("dns-client", &["Microsoft-Windows-DNS Client Events/Operational"]),
    ("appmodel-runtime", &["Microsoft-Windows-AppModel-Runtime/Admin"]),
    ("capi2", &["Microsoft-Windows-CAPI2/Operational"]),
    (
        "certificateservicesclient-lifecycle-system",
        &["Microsoft-Windows-CertificateServicesClient-Lifecycle-System/Operational"],
    ),
    (
        "kernel-shimengine",
        &[
            "Microsoft-Windows-Kernel-ShimEngine/Operational",
            "Microsoft-Windows-Kernel-ShimEngine/Diagnostic",
        ],
    ),
    (
        "application-experience",
        &[
            "Microsoft-Windows-Application-Experience/Program-Telemetry",
            "Microsoft-Windows-Application-Experience/Program-Compatibility-Assistant",
        ],
    ),
    ("ntfs", &["Microsoft-Windows-Ntfs/Operational"]),
    ("hyper-v-worker", &["Microsoft-Windows-Hyper-V-Worker"]),
    ("kernel-event-tracing", &["Microsoft-Windows-Kernel-EventTracing"]),
    ("sense", &["Microsoft-Windows-SENSE/Operational"]),
    (
        "servicebus-client",
        &[
            "Microsoft-ServiceBus-Client/Admin",
            "Microsoft-ServiceBus-Client/Operational",
        ],
    ),
    ("iis-configuration", &["Microsoft-IIS-Configuration/Operational"]),
    ("dns-server", &["DNS Server"]),
    ("dns-server-analytic", &["Microsoft-Windows-DNS-Server/Analytical"]),
    (
        "driver-framework",
        &["Microsoft-Windows-DriverFrameworks-UserMode/Operational"],
    ),
    (
        "microsoft-servicebus-client",
        &[
            "Microsoft-ServiceBus-Client/Admin",
            "Microsoft-ServiceBus-Client/Operational",
        ],
    ),
];

const CATEGORIES: &[(&str, &[EventKind])] = &[
    ("process_creation", &[sysmon(1), event("Security", 4688)]),
    ("file_change", &[sysmon(2)]),
    ("network_connection", &[sysmon(3)]),
    ("sysmon_status", &[sysmon(4), sysmon(16)]),
    ("process_termination", &[sysmon(5)]),
    ("driver_load", &[sysmon(6)]),
    ("image_load", &[sysmon(7)]),
    ("create_remote_thread", &[sysmon(8)]),
    ("raw_access_thread", &[sysmon(9)]),
    ("process_access", &[sysmon(10)]),
    ("file_event", &[sysmon(11)]),
    ("registry_event", &[sysmon(12), sysmon(13), sysmon(14)]),
    ("registry_add", &[sysmon_kind(12, "CreateKey")]),
    (
        "registry_delete",
        &[sysmon_kind(12, "DeleteKey"), sysmon_kind(12, "DeleteValue")],
    ),
    ("registry_set", &[sysmon(13)]),
    ("registry_rename", &[sysmon(14)]),
    ("create_stream_hash", &[sysmon(15)]),
    ("pipe_created", &[sysmon(17), sysmon(18)]),
    ("wmi_event", &[sysmon(19), sysmon(20), sysmon(21)]),
    ("dns_query", &[sysmon(22)]),
    ("file_delete", &[sysmon(23)]),
    ("clipboard_change", &[sysmon(24)]),
    ("process_tampering", &[sysmon(25)]),
    ("file_delete_detected", &[sysmon(26)]),
    ("file_block_executable", &[sysmon(27)]),
    ("file_block_shredding", &[sysmon(28)]),
    ("file_executable_detected", &[sysmon(29)]),
    ("sysmon_error", &[sysmon(255)]),
    (
        "ps_module",
        &[event(POWERSHELL, 4103), event("PowerShellCore/Operational", 4103)],
    ),
    (
        "ps_script",
        &[event(POWERSHELL, 4104), event("PowerShellCore/Operational", 4104)],
    ),
    ("ps_classic_start", &[event("Windows PowerShell", 400)]),
    ("ps_classic_provider_start", &[event("Windows PowerShell", 600)]),
    ("ps_classic_script", &[event("Windows PowerShell", 800)]),
];
