//! What events of Windows say in ECS: the values Elastic's integrations give, whose names are the most used.

mod check;

use check::{Line, must_say};

const SECURITY: &[Line] = &[
    (
        r#"{"@timestamp":"2026-11-21T10:00:00.000Z","event":{"code":"4624","outcome":"success","provider":"Microsoft-Windows-Security-Auditing"},"winlog":{"channel":"Security","event_id":4624,"provider_name":"Microsoft-Windows-Security-Auditing","computer_name":"WS1","keywords":["Audit Success"],"event_data":{"SubjectUserSid":"S-1-5-18","SubjectUserName":"WS1$","SubjectDomainName":"CORP","SubjectLogonId":"0x3e7","TargetUserSid":"S-1-5-21-1-2-3-1001","TargetUserName":"alice","TargetDomainName":"CORP","TargetLogonId":"0x6cb0f","LogonType":"10","IpAddress":"203.0.113.9","IpPort":"51022","WorkstationName":"WS1","ProcessId":"0x2f8","ProcessName":"C:\\Windows\\System32\\svchost.exe"}}}"#,
        &[
            "event.action=logged-in",
            "event.category=authentication",
            "event.type=start",
            "event.outcome=success",
            "user.name=alice",
            "user.domain=CORP",
            "user.id=S-1-5-21-1-2-3-1001",
            "related.user=alice,WS1$",
            "source.ip=203.0.113.9",
            "source.port=51022",
            "source.domain=WS1",
            "winlog.logon.type=RemoteInteractive",
            "winlog.logon.id=0x3e7",
            "process.pid=760",
            "process.name=svchost.exe",
        ],
    ),
    (
        r#"{"EventID":4625,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"WS1","TargetUserName":"bob","TargetDomainName":"CORP","TargetUserSid":"S-1-0-0","Status":"0xC000006D","SubStatus":"0xC000006A","FailureReason":"%%2313","LogonType":"3","IpAddress":"203.0.113.9","IpPort":"0"}"#,
        &[
            "event.action=logon-failed",
            "event.outcome=failure",
            "user.name=bob",
            "user.id=",
            "winlog.logon.failure.status=This is either due to a bad username or authentication information",
            "winlog.logon.failure.sub_status=User logon with misspelled or bad password",
            "winlog.logon.failure.reason=Unknown user name or bad password.",
        ],
    ),
    (
        r#"{"EventID":4688,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"WS1","SubjectUserName":"alice","NewProcessId":"0x10","NewProcessName":"C:\\Windows\\System32\\cmd.exe","ProcessId":"0x20","ParentProcessName":"C:\\Windows\\explorer.exe","CommandLine":"cmd.exe  /c \"echo a b\""}"#,
        &[
            "process.pid=16",
            "process.parent.pid=32",
            "process.args=cmd.exe,/c,\"echo a b\"",
            "process.args_count=3",
            "process.parent.name=explorer.exe",
        ],
    ),
    (
        r#"{"EventID":4697,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"WS1","SubjectUserName":"alice","ServiceName":"evil","ServiceType":"0x10","ServiceFileName":"C:\\x.exe"}"#,
        &[
            "event.action=service-installed",
            "service.name=evil",
            "service.type=Win32 Own Process",
        ],
    ),
    (
        r#"{"EventID":4728,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"DC1","SubjectUserName":"admin","TargetUserName":"Domain Admins","TargetDomainName":"CORP","TargetSid":"S-1-5-21-1-2-3-512","MemberName":"CN=bob,CN=Users,DC=corp,DC=local","MemberSid":"S-1-5-21-1-2-3-1002"}"#,
        &[
            "group.name=Domain Admins",
            "user.name=admin",
            "user.target.name=bob",
            "user.target.group.name=Domain Admins",
            "user.target.group.id=S-1-5-21-1-2-3-512",
        ],
    ),
    (
        r#"{"EventID":4741,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"DC1","SubjectUserName":"admin","TargetUserName":"WS9$","TargetDomainName":"CORP","TargetSid":"S-1-5-21-1-2-3-1109"}"#,
        &[
            "event.action=added-computer-account",
            "winlog.computerObject.name=WS9$",
            "user.target.name=",
            "related.user=admin",
        ],
    ),
    (
        r#"{"EventID":5145,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"FS1","SubjectUserName":"alice","ShareName":"\\\\*\\Docs","ShareLocalPath":"\\??\\C:\\Docs","RelativeTargetName":"plans\\q1.xlsx","IpAddress":"203.0.113.9","IpPort":"445"}"#,
        &[
            "file.name=plans\\q1.xlsx",
            "file.directory=\\??\\C:\\Docs",
            "file.path=\\??\\C:\\Docs\\plans\\q1.xlsx",
            "file.target_path=\\\\*\\Docs\\plans\\q1.xlsx",
            "file.extension=xlsx",
        ],
    ),
    (
        r#"{"EventID":5379,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"WS1","SubjectUserName":"alice"}"#,
        &[
            "event.action=credential-manager-credentials-were-read",
            "event.category=iam",
            "event.type=user,info",
        ],
    ),
    (
        r#"{"EventID":4616,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"WS1","SubjectUserName":"alice"}"#,
        &[
            "event.action=system-time-changed",
            "event.category=configuration",
            "event.type=change",
        ],
    ),
];

const SYSMON: &[Line] = &[
    (
        r#"{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","Computer":"WS1","UtcTime":"2026-11-21 10:00:00.123","Image":"C:\\Tools\\a.exe","CommandLine":"\"C:\\Tools\\a.exe\" \"x \\\" y\" c:\\dir\\\\ \"d\\\\\" e","ParentImage":"C:\\Windows\\explorer.exe","ParentCommandLine":"explorer.exe /n","User":"CORP\\alice","Hashes":"MD5=0123456789ABCDEF0123456789ABCDEF,IMPHASH=00112233445566778899AABBCCDDEEFF"}"#,
        &[
            "event.action=Process creation",
            "process.args=C:\\Tools\\a.exe,x \" y,c:\\dir\\\\,d\\,e",
            "process.args_count=5",
            "process.parent.args=explorer.exe,/n",
            "process.parent.args_count=2",
            "process.hash.md5=0123456789abcdef0123456789abcdef",
            "process.pe.imphash=00112233445566778899aabbccddeeff",
        ],
    ),
    (
        r#"{"EventID":13,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","Computer":"WS1","TargetObject":"HKLM\\Software\\X\\Run","Details":"QWORD (0x00000001-0x0000000a)"}"#,
        &[
            "event.action=RegistryEvent (Value Set)",
            "registry.hive=HKLM",
            "registry.key=Software\\X\\Run",
            "registry.value=Run",
            "registry.data.type=SZ_QWORD",
            "registry.data.strings=4294967306",
        ],
    ),
    (
        r#"{"EventID":13,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","Computer":"WS1","TargetObject":"\\REGISTRY\\A\\{1}\\Root\\x","Details":"Binary Data"}"#,
        &[
            "registry.hive=",
            "registry.key=",
            "registry.path=\\REGISTRY\\A\\{1}\\Root\\x",
            "registry.value=x",
            "registry.data.strings=Binary Data",
        ],
    ),
    (
        r#"{"EventID":23,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","Computer":"WS1","TargetFilename":"C:\\Temp\\x.tar.gz","IsExecutable":"false","Archived":"true"}"#,
        &[
            "event.action=FileDelete (File Delete archived)",
            "file.directory=C:\\Temp",
            "file.name=x.tar.gz",
            "file.extension=gz",
            "sysmon.file.archived=true",
            "sysmon.file.is_executable=false",
        ],
    ),
    (
        r#"{"EventID":22,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","Computer":"WS1","QueryName":"www.example.com","QueryStatus":"0","QueryResults":"type:  5 edge.example.net;::ffff:203.0.113.9;"}"#,
        &[
            "dns.question.name=www.example.com",
            "dns.resolved_ip=203.0.113.9",
            "related.hosts=www.example.com,edge.example.net",
            "related.ip=203.0.113.9",
        ],
    ),
    (
        r#"{"EventID":27,"Channel":"Microsoft-Windows-Sysmon/Operational","Provider_Name":"Microsoft-Windows-Sysmon","Computer":"WS1","TargetFilename":"C:\\Temp\\x.exe"}"#,
        &[
            "event.action=FileBlockExecutable",
            "event.outcome=failure",
            "event.type=creation",
        ],
    ),
];

const POWERSHELL: &[Line] = &[
    (
        r#"{"@timestamp":"2026-11-21T10:00:00.000Z","event":{"code":"400","provider":"PowerShell"},"winlog":{"channel":"Windows PowerShell","computer_name":"WS1","event_id":"400","provider_name":"PowerShell","event_data":{"param1":"Available","param2":"None","param3":"\tNewEngineState=Available\n\tPreviousEngineState=None\n\n\tSequenceNumber=13\n\n\tHostName=ConsoleHost\n\tHostVersion=5.1\n\tHostId=405e84b5\n\tHostApplication=C:\\tools\\nt\\powershell.exe -NoP \"a b\"\n\tEngineVersion=5.1\n\tScriptName=C:\\x\\y.ps1\n\tCommandLine="}}}"#,
        &[
            "event.type=start",
            "process.title=ConsoleHost",
            "process.command_line=C:\\tools\\nt\\powershell.exe -NoP \"a b\"",
            "process.args=C:\\tools\\nt\\powershell.exe,-NoP,a b",
            "file.directory=C:\\x",
            "powershell.engine.version=5.1",
        ],
    ),
    (
        r#"{"@timestamp":"2026-11-21T10:00:00.000Z","event":{"code":"4103"},"winlog":{"channel":"Microsoft-Windows-PowerShell/Operational","computer_name":"WS1","event_id":"4103","provider_name":"Microsoft-Windows-PowerShell","user":{"identifier":"S-1-5-21-1-2-3-1001"},"event_data":{"ContextInfo":"        Severity = Informational\n        Host Application = powershell.exe -c x\n        User = CORP\\svc\n        Connected User = CORP\\bob\n        Shell ID = Microsoft.PowerShell\n","Payload":"CommandInvocation(Out-Default): \"Out-Default\"\nParameterBinding(Out-Default): name=\"InputObject\"; value=\"a: b\"\n"}}}"#,
        &[
            "user.id=S-1-5-21-1-2-3-1001",
            "user.name=bob",
            "source.user.name=bob",
            "destination.user.name=svc",
            "related.user=bob,svc",
            "powershell.id=Microsoft.PowerShell",
            "powershell.command.invocation_details.type=CommandInvocation,ParameterBinding",
            "powershell.command.invocation_details.name=\"InputObject\"",
            "powershell.command.invocation_details.value=\"Out-Default\",\"a: b\"",
        ],
    ),
];

const OTHERS: &[Line] = &[
    (
        r#"{"EventID":1116,"Channel":"Microsoft-Windows-Windows Defender/Operational","Provider_Name":"Microsoft-Windows-Windows Defender","Computer":"WS1","Threat Name":"Trojan:Win32/X","Path":"containerfile:_C:\\a.zip; file:_C:\\a.zip->b.exe","Process Name":"Unknown","Detection User":"CORP\\bob"}"#,
        &[
            "file.path=C:\\a.zip->b.exe",
            "process.executable=",
            "user.name=bob",
            "event.outcome=",
        ],
    ),
    (
        r#"{"EventID":1117,"Channel":"Microsoft-Windows-Windows Defender/Operational","Provider_Name":"Microsoft-Windows-Windows Defender","Computer":"WS1","Threat Name":"Trojan:Win32/X","Path":"file:_C:\\a.exe","Process Name":"C:\\b.exe","Action Name":"Quarantine","Error Code":"0x00000000"}"#,
        &[
            "file.path=C:\\a.exe",
            "process.name=b.exe",
            "event.outcome=success",
            "event.reason=Quarantine",
        ],
    ),
    (
        r#"{"EventID":1118,"Channel":"Microsoft-Windows-Windows Defender/Operational","Provider_Name":"Microsoft-Windows-Windows Defender","Computer":"WS1","Threat Name":"x","Path":"file:_C:\\a.exe","Error Code":"0x80508023"}"#,
        &["event.outcome=failure"],
    ),
    (
        r#"{"@timestamp":"2026-11-21T10:00:00Z","event":{"code":"1117"},"winlog":{"event_id":"1117","channel":"Microsoft-Windows-Windows Defender/Operational","provider_name":"Microsoft-Windows-Windows Defender","computer_name":"WS1","event_data":{"Threat_Name":"Trojan:Win32/X","Path":"file:_C:\\a.exe","Process_Name":"C:\\b.exe","Detection_User":"CORP\\bob","Action_Name":"Quarantine","Error_Code":"0x00000000","FWLink":"https://go.example/x"}}}"#,
        &[
            "event.action=malware-quarantined",
            "rule.name=Trojan:Win32/X",
            "user.name=bob",
            "process.name=b.exe",
            "event.reference=https://go.example/x",
            "event.outcome=success",
        ],
    ),
    (
        r#"{"EventID":1121,"Channel":"Microsoft-Windows-Windows Defender/Operational","Provider_Name":"Microsoft-Windows-Windows Defender","Computer":"WS1","ID":"d4f940ab","Path":"C:\\x.exe","Process Name":"C:\\winword.exe","Target Commandline":"x.exe -a","User":"CORP\\bob"}"#,
        &[
            "process.command_line=x.exe -a",
            "rule.id=d4f940ab",
            "user.name=bob",
            "event.type=denied",
        ],
    ),
    (
        r#"{"EventID":1074,"Channel":"System","Provider_Name":"User32","Computer":"WS1","param1":"C:\\Windows\\System32\\shutdown.exe (WS1)","param2":"WS1","param3":"Other","param5":"restart","param7":"CORP\\alice"}"#,
        &[
            "process.name=shutdown.exe",
            "user.name=alice",
            "user.domain=CORP",
            "event.reason=Other",
        ],
    ),
    (
        r#"{"EventID":201,"Channel":"Microsoft-Windows-TaskScheduler/Operational","Provider_Name":"Microsoft-Windows-TaskScheduler","Computer":"WS1","TaskName":"\\x","ActionName":"C:\\x.exe","ResultCode":"2147942402"}"#,
        &["event.outcome=failure", "process.name=x.exe"],
    ),
    (
        r#"{"EventID":7045,"Channel":"System","Provider_Name":"Service Control Manager","Computer":"WS1","Security_UserID":"S-1-5-21-1-2-3-500","ServiceName":"evil","ImagePath":"C:\\x.exe","AccountName":"LocalSystem"}"#,
        &[
            "user.id=S-1-5-21-1-2-3-500",
            "user.name=",
            "service.name=evil",
            "winlog.user.identifier=S-1-5-21-1-2-3-500",
        ],
    ),
    (
        r#"{"@timestamp":"2026-11-21T10:00:00Z","event":{"code":"4104"},"winlog":{"event_id":"4104","channel":"Microsoft-Windows-PowerShell/Operational","provider_name":"Microsoft-Windows-PowerShell","computer_name":"WS1","user":{"identifier":"S-1-5-21-1-2-3-1001","name":"alice","domain":"CORP","type":"User"},"event_data":{"ScriptBlockText":"whoami","ScriptBlockId":"x","MessageNumber":"1","MessageTotal":"1"}}}"#,
        &[
            "user.id=S-1-5-21-1-2-3-1001",
            "user.name=alice",
            "user.domain=CORP",
            "related.user=alice",
        ],
    ),
    (
        r#"{"EventID":4776,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"DC1","TargetUserName":"bob","Workstation":"WS7","Status":"0xc000006a"}"#,
        &["event.outcome=failure", "picket.event_type=LOGIN_FAIL", "user.name=bob"],
    ),
];

#[test]
fn system_defender_and_tasks() {
    must_say(OTHERS);
}

#[test]
fn powershell() {
    must_say(POWERSHELL);
}

#[test]
fn security() {
    must_say(SECURITY);
}

#[test]
fn sysmon() {
    must_say(SYSMON);
}
