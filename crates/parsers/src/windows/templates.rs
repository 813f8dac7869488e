//! The names of an event's members where a shipper has only their values, in the order of the provider's manifest.

/// What a provider's events of some numbers have, separated by commas. Newer versions of an event add at the end.
type Row = (&'static [i64], &'static str);

const SUBJECT: &str = "SubjectUserSid,SubjectUserName,SubjectDomainName,SubjectLogonId,";
const ACCOUNT: &str = "TargetUserName,TargetDomainName,TargetSid,";

/// `{S}` is the four members of who did it, `{T}` the three of the account it was done to.
const SECURITY: &[Row] = &[
    (
        &[4624],
        "{S}TargetUserSid,TargetUserName,TargetDomainName,TargetLogonId,LogonType,LogonProcessName,AuthenticationPackageName,WorkstationName,LogonGuid,TransmittedServices,LmPackageName,KeyLength,ProcessId,ProcessName,IpAddress,IpPort,ImpersonationLevel,RestrictedAdminMode,TargetOutboundUserName,TargetOutboundDomainName,VirtualAccount,TargetLinkedLogonId,ElevatedToken",
    ),
    (
        &[4625],
        "{S}TargetUserSid,TargetUserName,TargetDomainName,Status,FailureReason,SubStatus,LogonType,LogonProcessName,AuthenticationPackageName,WorkstationName,TransmittedServices,LmPackageName,KeyLength,ProcessId,ProcessName,IpAddress,IpPort",
    ),
    (
        &[4634],
        "TargetUserSid,TargetUserName,TargetDomainName,TargetLogonId,LogonType",
    ),
    (&[4647], "TargetUserSid,TargetUserName,TargetDomainName,TargetLogonId"),
    (
        &[4648],
        "{S}LogonGuid,TargetUserName,TargetDomainName,TargetLogonGuid,TargetServerName,TargetInfo,ProcessId,ProcessName,IpAddress,IpPort",
    ),
    (
        &[4656],
        "{S}ObjectServer,ObjectType,ObjectName,HandleId,TransactionId,AccessList,AccessReason,AccessMask,PrivilegeList,RestrictedSidCount,ProcessId,ProcessName,ResourceAttributes",
    ),
    (
        &[4657],
        "{S}ObjectName,ObjectValueName,HandleId,OperationType,OldValueType,OldValue,NewValueType,NewValue,ProcessId,ProcessName",
    ),
    (
        &[4663],
        "{S}ObjectServer,ObjectType,ObjectName,HandleId,AccessList,AccessMask,ProcessId,ProcessName,ResourceAttributes",
    ),
    (&[4672], "{S}PrivilegeList"),
    (&[4673], "{S}ObjectServer,Service,PrivilegeList,ProcessId,ProcessName"),
    (
        &[4688],
        "{S}NewProcessId,NewProcessName,TokenElevationType,ProcessId,CommandLine,TargetUserSid,TargetUserName,TargetDomainName,TargetLogonId,ParentProcessName,MandatoryLabel",
    ),
    (&[4689], "{S}Status,ProcessId,ProcessName"),
    (
        &[4697],
        "{S}ServiceName,ServiceFileName,ServiceType,ServiceStartType,ServiceAccount",
    ),
    (&[4698, 4699, 4700, 4701], "{S}TaskName,TaskContent"),
    (&[4702], "{S}TaskName,TaskContentNew"),
    (
        &[4719],
        "{S}CategoryId,SubcategoryId,SubcategoryGuid,AuditPolicyChanges",
    ),
    (
        &[4720],
        "{T}{S}PrivilegeList,SamAccountName,DisplayName,UserPrincipalName,HomeDirectory,HomePath,ScriptPath,ProfilePath,UserWorkstations,PasswordLastSet,AccountExpires,PrimaryGroupId,AllowedToDelegateTo,OldUacValue,NewUacValue,UserAccountControl,UserParameters,SidHistory,LogonHours",
    ),
    (&[4722, 4724, 4725, 4740, 4767], "{T}{S}"),
    (&[4723, 4726, 4730, 4734, 4743, 4758], "{T}{S}PrivilegeList"),
    (
        &[4727, 4731, 4735, 4737, 4754, 4755],
        "{T}{S}PrivilegeList,SamAccountName,SidHistory",
    ),
    (
        &[4728, 4729, 4732, 4733, 4756, 4757],
        "MemberName,MemberSid,{T}{S}PrivilegeList",
    ),
    (
        &[4738],
        "Dummy,{T}{S}PrivilegeList,SamAccountName,DisplayName,UserPrincipalName,HomeDirectory,HomePath,ScriptPath,ProfilePath,UserWorkstations,PasswordLastSet,AccountExpires,PrimaryGroupId,AllowedToDelegateTo,OldUacValue,NewUacValue,UserAccountControl,UserParameters,SidHistory,LogonHours",
    ),
    (
        &[4768],
        "{T}ServiceName,ServiceSid,TicketOptions,Status,TicketEncryptionType,PreAuthType,IpAddress,IpPort,CertIssuerName,CertSerialNumber,CertThumbprint",
    ),
    (
        &[4769],
        "TargetUserName,TargetDomainName,ServiceName,ServiceSid,TicketOptions,TicketEncryptionType,IpAddress,IpPort,Status,LogonGuid,TransmittedServices",
    ),
    (
        &[4770],
        "TargetUserName,TargetDomainName,ServiceName,ServiceSid,TicketOptions,TicketEncryptionType,IpAddress,IpPort",
    ),
    (
        &[4771],
        "TargetUserName,TargetSid,ServiceName,TicketOptions,Status,PreAuthType,IpAddress,IpPort,CertIssuerName,CertSerialNumber,CertThumbprint",
    ),
    (
        &[4772],
        "TargetUserName,TargetDomainName,ServiceName,TicketOptions,FailureCode,IpAddress,IpPort",
    ),
    (&[4776], "PackageName,TargetUserName,Workstation,Status"),
    (
        &[4778, 4779],
        "AccountName,AccountDomain,LogonID,SessionName,ClientName,ClientAddress",
    ),
    (
        &[4800, 4801, 4802, 4803],
        "TargetUserSid,TargetUserName,TargetDomainName,TargetLogonId,SessionId",
    ),
    (
        &[5140],
        "{S}ObjectType,IpAddress,IpPort,ShareName,ShareLocalPath,AccessMask,AccessList",
    ),
    (
        &[5145],
        "{S}ObjectType,IpAddress,IpPort,ShareName,ShareLocalPath,RelativeTargetName,AccessMask,AccessList,AccessReason",
    ),
    (
        &[5156, 5157],
        "ProcessID,Application,Direction,SourceAddress,SourcePort,DestAddress,DestPort,Protocol,FilterRTID,LayerName,LayerRTID,RemoteUserID,RemoteMachineID",
    ),
];

const SERVICES: &[Row] = &[
    (&[7036], "param1,param2"),
    (&[7040], "param1,param2,param3,param4"),
    (&[7045], "ServiceName,ImagePath,ServiceType,StartType,AccountName"),
];

const EVENT_LOG: &[Row] = &[
    (&[104], "SubjectUserName,SubjectDomainName,Channel,BackupPath"),
    (&[1102], "{S}"),
];

const POWERSHELL: &[Row] = &[
    (&[4103], "ContextInfo,UserData,Payload"),
    (&[4104], "MessageNumber,MessageTotal,ScriptBlockText,ScriptBlockId,Path"),
    (&[4105, 4106], "ScriptBlockId,RunspaceId"),
];

const TASKS: &[Row] = &[
    (&[106], "TaskName,UserContext"),
    (&[140, 141], "TaskName,UserName"),
    (&[200], "TaskName,ActionName,TaskInstanceId,EnginePID"),
    (&[201], "TaskName,TaskInstanceId,ActionName,ResultCode,EnginePID"),
];

const DEFENDER: &[Row] = &[
    (
        &[1116, 1117, 1118, 1119],
        "Product Name,Product Version,Detection ID,Detection Time,Unused,Unused2,Threat ID,Threat Name,Severity ID,Severity Name,Category ID,Category Name,FWLink,Status Code,Status Description,State,Source ID,Source Name,Process Name,Detection User,Unused3,Path,Origin ID,Origin Name,Execution ID,Execution Name,Type ID,Type Name,Pre Execution Status,Action ID,Action Name,Unused4,Error Code,Error Description",
    ),
    (&[5001, 5010, 5012], "Product Name,Product Version"),
    (&[5007], "Product Name,Product Version,Old Value,New Value"),
];

const SYSMON: &[Row] = &[
    (
        &[1],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,FileVersion,Description,Product,Company,OriginalFileName,CommandLine,CurrentDirectory,User,LogonGuid,LogonId,TerminalSessionId,IntegrityLevel,Hashes,ParentProcessGuid,ParentProcessId,ParentImage,ParentCommandLine,ParentUser",
    ),
    (
        &[2],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,TargetFilename,CreationUtcTime,PreviousCreationUtcTime,User",
    ),
    (
        &[3],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,User,Protocol,Initiated,SourceIsIpv6,SourceIp,SourceHostname,SourcePort,SourcePortName,DestinationIsIpv6,DestinationIp,DestinationHostname,DestinationPort,DestinationPortName",
    ),
    (&[4], "UtcTime,State,Version,SchemaVersion"),
    (&[5], "RuleName,UtcTime,ProcessGuid,ProcessId,Image,User"),
    (
        &[6],
        "RuleName,UtcTime,ImageLoaded,Hashes,Signed,Signature,SignatureStatus",
    ),
    (
        &[7],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,ImageLoaded,FileVersion,Description,Product,Company,OriginalFileName,Hashes,Signed,Signature,SignatureStatus,User",
    ),
    (
        &[8],
        "RuleName,UtcTime,SourceProcessGuid,SourceProcessId,SourceImage,TargetProcessGuid,TargetProcessId,TargetImage,NewThreadId,StartAddress,StartModule,StartFunction,SourceUser,TargetUser",
    ),
    (&[9], "RuleName,UtcTime,ProcessGuid,ProcessId,Image,Device,User"),
    (
        &[10],
        "RuleName,UtcTime,SourceProcessGUID,SourceProcessId,SourceThreadId,SourceImage,TargetProcessGUID,TargetProcessId,TargetImage,GrantedAccess,CallTrace,SourceUser,TargetUser",
    ),
    (
        &[11],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,TargetFilename,CreationUtcTime,User",
    ),
    (
        &[12],
        "RuleName,EventType,UtcTime,ProcessGuid,ProcessId,Image,TargetObject,User",
    ),
    (
        &[13],
        "RuleName,EventType,UtcTime,ProcessGuid,ProcessId,Image,TargetObject,Details,User",
    ),
    (
        &[14],
        "RuleName,EventType,UtcTime,ProcessGuid,ProcessId,Image,TargetObject,NewName,User",
    ),
    (
        &[15],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,TargetFilename,CreationUtcTime,Hash,Contents,User",
    ),
    (&[16], "UtcTime,Configuration,ConfigurationFileHash"),
    (
        &[17, 18],
        "RuleName,EventType,UtcTime,ProcessGuid,ProcessId,PipeName,Image,User",
    ),
    (
        &[19],
        "RuleName,EventType,UtcTime,Operation,User,EventNamespace,Name,Query",
    ),
    (&[20], "RuleName,EventType,UtcTime,Operation,User,Name,Type,Destination"),
    (&[21], "RuleName,EventType,UtcTime,Operation,User,Consumer,Filter"),
    (
        &[22],
        "RuleName,UtcTime,ProcessGuid,ProcessId,QueryName,QueryStatus,QueryResults,Image,User",
    ),
    (
        &[23, 26],
        "RuleName,UtcTime,ProcessGuid,ProcessId,User,Image,TargetFilename,Hashes,IsExecutable,Archived",
    ),
    (
        &[24],
        "RuleName,UtcTime,ProcessGuid,ProcessId,Image,Session,ClientInfo,Hashes,Archived,User",
    ),
    (&[25], "RuleName,UtcTime,ProcessGuid,ProcessId,Image,Type,User"),
    (
        &[27, 29],
        "RuleName,UtcTime,ProcessGuid,ProcessId,User,Image,TargetFilename,Hashes",
    ),
    (
        &[28],
        "RuleName,UtcTime,ProcessGuid,ProcessId,User,Image,TargetFilename,Hashes,IsExecutable",
    ),
];

/// The names of the members of an event in their order; none where the provider's are not known.
pub(super) fn members(provider: &str, id: i64) -> Option<impl Iterator<Item = &'static str>> {
    let rows = match provider {
        "Microsoft-Windows-Security-Auditing" => SECURITY,
        "Service Control Manager" => SERVICES,
        "Microsoft-Windows-Eventlog" => EVENT_LOG,
        "Microsoft-Windows-PowerShell" | "PowerShellCore" => POWERSHELL,
        "Microsoft-Windows-TaskScheduler" => TASKS,
        "Microsoft-Windows-Windows Defender" => DEFENDER,
        "Microsoft-Windows-Sysmon" => SYSMON,
        _ => return None,
    };
    let (_, names) = rows.iter().find(|(ids, _)| ids.contains(&id))?;
    let names = names
        .split_inclusive('}')
        .flat_map(|part| {
            let account = part.strip_suffix("{T}").map(|own| [own, ACCOUNT]);
            account
                .or_else(|| part.strip_suffix("{S}").map(|own| [own, SUBJECT]))
                .unwrap_or([part, ""])
        })
        .flat_map(|part| part.split(','))
        .filter(|name| !name.is_empty());
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_names_members_in_the_manifests_order() {
        let names = |provider, id| members(provider, id).map(Iterator::collect::<Vec<_>>);
        let security = "Microsoft-Windows-Security-Auditing";
        assert_eq!(
            names(security, 4732).unwrap(),
            [
                "MemberName",
                "MemberSid",
                "TargetUserName",
                "TargetDomainName",
                "TargetSid",
                "SubjectUserSid",
                "SubjectUserName",
                "SubjectDomainName",
                "SubjectLogonId",
                "PrivilegeList",
            ]
        );
        assert_eq!(names(security, 4724).unwrap().len(), 7);
        assert_eq!(names(security, 4625).unwrap().len(), 21);
        assert_eq!(names(security, 4768).unwrap().len(), 14);
        assert_eq!(names("Microsoft-Windows-Eventlog", 1102).unwrap().len(), 4);
        assert_eq!(names("Microsoft-Windows-Sysmon", 1).unwrap().len(), 23);
        assert!(names("Others", 4624).is_none());
        assert!(names(security, 1).is_none());
    }
}
