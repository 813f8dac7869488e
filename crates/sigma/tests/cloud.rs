//! Rules for cloud services hold for their records as the services write them and Picket's parsers read them. Field names of
//! rules are those that public rules use for these logsources.

#![allow(clippy::unwrap_used, reason = "a test helper fails by panicking")]

mod parsed;

use sigma::{RuleSet, Scratch, parse_rules};

const CLOUDTRAIL: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","principalId":"AROA:eve","arn":"arn:aws:sts::111122223333:assumed-role/Admin/eve","accountId":"111122223333","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/Admin","userName":"Admin"}}},"eventTime":"2026-11-02T08:14:00Z","eventSource":"rds.amazonaws.com","eventName":"ModifyDBInstance","awsRegion":"eu-central-1","sourceIPAddress":"198.51.100.7","userAgent":"S3 Browser/9.5.5","errorCode":"AccessDenied","errorMessage":"not authorized","requestParameters":{"attribute":"userData","containerDefinitions":[{"command":["sh","-c","curl $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]}],"layers":["arn:aws:lambda:eu-central-1:111122223333:layer:x:1"]},"responseElements":{"publiclyAccessible":true,"pendingModifiedValues":{"masterUserPassword":"****"},"ConsoleLogin":"Failure"},"additionalEventData":{"MFAUsed":"No"},"requestID":"1","eventID":"2","eventType":"AwsConsoleSignIn","recipientAccountId":"111122223333"}"#;
const AZURE_SIGN_IN: &str = r#"{"time":"2026-11-02T08:14:00.1Z","resourceId":"/tenants/0412a874-0f23-4317-a4ff-af1929b4bf9e/providers/Microsoft.aadiam","operationName":"Sign-in activity","category":"SignInLogs","tenantId":"0412a874-0f23-4317-a4ff-af1929b4bf9e","resultType":"50074","resultDescription":"Strong Authentication is required.","callerIpAddress":"203.0.113.9","correlationId":"c1","identity":"Eve","Level":4,"properties":{"createdDateTime":"2026-11-02T08:14:00.1Z","userPrincipalName":"eve@example.org","userId":"u1","appId":"a1","appDisplayName":"Windows Azure PowerShell","resourceDisplayName":"Windows Azure Service Management API","clientAppUsed":"IMAP4","conditionalAccessStatus":"failure","authenticationRequirement":"singleFactorAuthentication","riskState":"atRisk","userAgent":"python-requests/2.32.3","status":{"errorCode":50074,"failureReason":"MFA required"},"deviceDetail":{"deviceId":"d1","trustType":"Azure AD registered","isCompliant":false},"location":{"city":"Riga","countryOrRegion":"LV"}}}"#;
const AZURE_AUDIT: &str = r#"{"time":"2026-11-02T08:14:00.1Z","resourceId":"/tenants/0412a874-0f23-4317-a4ff-af1929b4bf9e/providers/Microsoft.aadiam","operationName":"Add member to role","category":"AuditLogs","tenantId":"0412a874-0f23-4317-a4ff-af1929b4bf9e","resultType":"","correlationId":"c2","properties":{"activityDisplayName":"Add member to role","category":"RoleManagement","operationType":"Assign","result":"success","loggedByService":"Core Directory","initiatedBy":{"user":{"userPrincipalName":"eve@example.org","ipAddress":"203.0.113.9"}},"targetResources":[{"type":"User","userPrincipalName":"bob@example.org","id":"1","modifiedProperties":[{"displayName":"Role.DisplayName","oldValue":null,"newValue":"\"Global Administrator\""}]}]}}"#;
const AZURE_ACTIVITY: &str = r#"{"time":"2026-11-02T08:14:00.1Z","resourceId":"/SUBSCRIPTIONS/0412/RESOURCEGROUPS/RG1/PROVIDERS/MICROSOFT.KEYVAULT/VAULTS/V1","operationName":"MICROSOFT.KEYVAULT/VAULTS/DELETE","category":"Administrative","resultType":"Success","resultSignature":"Succeeded.","callerIpAddress":"203.0.113.9","correlationId":"c3","identity":{"claims":{"name":"Eve"}},"level":"Information"}"#;
const GCP: &str = r#"{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","status":{"code":7,"message":"denied"},"authenticationInfo":{"principalEmail":"eve@example.org"},"requestMetadata":{"callerIp":"203.0.113.9","callerSuppliedUserAgent":"gcloud/500"},"serviceName":"compute.googleapis.com","methodName":"v1.compute.firewalls.delete","authorizationInfo":[{"resource":"projects/p","permission":"container.clusterRoles.create","granted":true}],"resourceName":"projects/p/global/firewalls/f"},"insertId":"i1","resource":{"type":"gce_firewall_rule","labels":{"project_id":"p"}},"timestamp":"2026-11-02T08:14:00.1Z","severity":"NOTICE","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity"}"#;
const WORKSPACE: &str = r#"{"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog","authenticationInfo":{"principalEmail":"eve@example.org"},"requestMetadata":{"callerIp":"203.0.113.9"},"serviceName":"login.googleapis.com","methodName":"google.login.LoginService.2svDisable","metadata":{"event":[{"eventName":"2sv_disable","eventType":"2sv_change"}]},"resourceName":"organizations/1"},"insertId":"i2","resource":{"type":"audited_resource"},"timestamp":"2026-11-02T08:14:00.1Z","severity":"NOTICE","logName":"organizations/1/logs/cloudaudit.googleapis.com%2Fdata_access"}"#;
const M365: &str = r#"{"CreationTime":"2026-11-02T08:14:00","Id":"11111111-2222-3333-4444-555555555555","Operation":"New-InboxRule","OrganizationId":"o","RecordType":1,"ResultStatus":"True","UserKey":"k","UserType":2,"Version":1,"Workload":"Exchange","ClientIP":"203.0.113.9","ObjectId":"eve\\rule","UserId":"eve@example.org","Parameters":[{"Name":"ForwardTo","Value":"x@evil.example"}]}"#;
const M365_ALERT: &str = r#"{"CreationTime":"2026-11-02T08:14:00","Id":"11111111-2222-3333-4444-555555555556","Operation":"Impossible travel activity","OrganizationId":"o","RecordType":98,"ResultStatus":"success","UserKey":"k","UserType":4,"Version":1,"Workload":"SecurityComplianceCenter","UserId":"SecurityComplianceAlerts"}"#;
const OKTA: &str = r#"{"actor":{"id":"00u1","type":"User","alternateId":"eve@example.org","displayName":"Eve"},"client":{"ipAddress":"203.0.113.9","userAgent":{"rawUserAgent":"curl/8","os":"Linux","browser":"UNKNOWN"}},"displayMessage":"Evaluation of sign-on policy","eventType":"policy.evaluate_sign_on","legacyEventType":"core.user_auth.login_denied","outcome":{"result":"FAILURE","reason":"FastPass declined phishing attempt"},"published":"2026-11-02T08:14:00.1Z","securityContext":{"isProxy":true},"severity":"WARN","debugContext":{"debugData":{"requestUri":"/idp/idx","behaviors":"{New Geo-Location=POSITIVE}","logOnlySecurityData":"{\"risk\":\"HIGH\"}"}},"target":[{"id":"p1","type":"AppInstance","displayName":"Okta Admin Console"}],"transaction":{"id":"t"},"uuid":"u-1","version":"0"}"#;
const GITHUB: &str = r#"{"@timestamp":1793606400000,"_document_id":"d1","action":"repo.archived","actor":"eve","actor_ip":"203.0.113.9","created_at":1793606400000,"org":"example","repo":"example/app","user_agent":"curl/8"}"#;
const KUBERNETES: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/kube-system/pods/x/exec?command=sh","verb":"create","user":{"username":"eve","groups":["system:authenticated"]},"sourceIPs":["203.0.113.9"],"userAgent":"kubectl/v1.31","objectRef":{"resource":"pods","namespace":"kube-system","name":"x","apiVersion":"v1","apiGroup":"rbac.authorization.k8s.io","subresource":"exec"},"responseStatus":{"code":403},"requestObject":{"spec":{"volumes":[{"name":"h","hostPath":{"path":"/"}}],"containers":[{"name":"c","securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}},"requestReceivedTimestamp":"2026-11-02T08:14:00.1Z","stageTimestamp":"2026-11-02T08:14:00.2Z"}"#;

/// Logsource, selection, a record it holds for.
const CASES: &[(&str, &str, &str)] = &[
    (
        "{product: aws, service: cloudtrail}",
        "{eventSource: rds.amazonaws.com, eventName: ModifyDBInstance}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{errorCode: AccessDenied, errorMessage|contains: authorized}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{userAgent|contains: S3 Browser}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{userIdentity.type: AssumedRole, userIdentity.arn|contains: assumed-role}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{userIdentity.sessionContext.sessionIssuer.type: Role}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{eventType: AwsConsoleSignIn}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{sourceIPAddress|cidr: 198.51.100.0/24}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{requestParameters.attribute: userData}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{requestParameters.containerDefinitions.command|contains: AWS_CONTAINER_CREDENTIALS}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{requestParameters.layers|contains: layer}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{responseElements.publiclyAccessible: 'true'}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{responseElements.pendingModifiedValues.masterUserPassword|contains: '*'}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{responseElements.ConsoleLogin: Failure}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{additionalEventData.MFAUsed: 'No'}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{responseElements|contains: Failure}",
        CLOUDTRAIL,
    ),
    (
        "{product: aws, service: cloudtrail}",
        "{requestParameters|contains: userData}",
        CLOUDTRAIL,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{ResultType: 50074}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{ResultDescription|contains: Strong Authentication}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{AuthenticationRequirement: singleFactorAuthentication}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{RiskState: atRisk}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{conditionalAccessStatus: failure}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{DeviceDetail.trusttype: Azure AD registered, DeviceDetail.isCompliant: 'false'}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{DeviceDetail.deviceId: d1}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{ResourceDisplayName: Windows Azure Service Management API}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{ClientApp: IMAP4}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{userAgent|contains: python}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: signinlogs}",
        "{Status: failure}",
        AZURE_SIGN_IN,
    ),
    (
        "{product: azure, service: auditlogs}",
        "{properties.message: Add member to role}",
        AZURE_AUDIT,
    ),
    (
        "{product: azure, service: auditlogs}",
        "{OperationName: Add member to role, LoggedByService: Core Directory}",
        AZURE_AUDIT,
    ),
    (
        "{product: azure, service: auditlogs}",
        "{ActivityDisplayName: Add member to role}",
        AZURE_AUDIT,
    ),
    (
        "{product: azure, service: auditlogs}",
        "{Category: RoleManagement}",
        AZURE_AUDIT,
    ),
    ("{product: azure, service: auditlogs}", "{Status: Success}", AZURE_AUDIT),
    (
        "{product: azure, service: auditlogs}",
        "{TargetResources.ModifiedProperties.DisplayName: Role.DisplayName}",
        AZURE_AUDIT,
    ),
    (
        "{product: azure, service: auditlogs}",
        "{TargetResources.modifiedProperties.newValue|contains: Global Administrator}",
        AZURE_AUDIT,
    ),
    (
        "{product: azure, service: auditlogs}",
        "{targetResources.type: User}",
        AZURE_AUDIT,
    ),
    (
        "{product: azure, service: activitylogs}",
        "{operationName: MICROSOFT.KEYVAULT/VAULTS/DELETE}",
        AZURE_ACTIVITY,
    ),
    (
        "{product: azure, service: activitylogs}",
        "{OperationNameValue|endswith: /DELETE, CategoryValue: Administrative}",
        AZURE_ACTIVITY,
    ),
    (
        "{product: azure, service: activitylogs}",
        "{ResourceId|contains: KEYVAULT}",
        AZURE_ACTIVITY,
    ),
    (
        "{product: gcp, service: gcp.audit}",
        "{gcp.audit.method_name|endswith: .firewalls.delete}",
        GCP,
    ),
    (
        "{product: gcp, service: gcp.audit}",
        "{data.protoPayload.methodName: v1.compute.firewalls.delete, data.protoPayload.serviceName: compute.googleapis.com}",
        GCP,
    ),
    (
        "{product: gcp, service: gcp.audit}",
        "{data.protoPayload.authorizationInfo.permission: container.clusterRoles.create, data.protoPayload.authorizationInfo.granted: 'true'}",
        GCP,
    ),
    (
        "{product: gcp, service: gcp.audit}",
        "{data.protoPayload.resource.type: gce_firewall_rule}",
        GCP,
    ),
    (
        "{product: gcp, service: gcp.audit}",
        "{data.protoPayload.logName|contains: cloudaudit.googleapis.com%2Factivity}",
        GCP,
    ),
    (
        "{product: gcp, service: google_workspace.login}",
        "{protoPayload.Servicename: login.googleapis.com, protoPayload.metadata.event.eventName: 2sv_disable}",
        WORKSPACE,
    ),
    (
        "{product: m365, service: audit}",
        "{Workload: Exchange, Operation: New-InboxRule}",
        M365,
    ),
    (
        "{product: m365, service: exchange}",
        "{eventSource: Exchange, eventName: New-InboxRule, status: 'true'}",
        M365,
    ),
    (
        "{product: m365, service: audit}",
        "{ObjectId|contains: rule, ResultStatus: 'True'}",
        M365,
    ),
    (
        "{product: m365, service: threat_management}",
        "{eventSource: SecurityComplianceCenter, eventName: Impossible travel activity, status: success}",
        M365_ALERT,
    ),
    (
        "{product: okta, service: okta}",
        "{eventType: policy.evaluate_sign_on, outcome.result: FAILURE}",
        OKTA,
    ),
    (
        "{product: okta, service: okta}",
        "{outcome.reason: FastPass declined phishing attempt}",
        OKTA,
    ),
    (
        "{product: okta, service: okta}",
        "{displayMessage|contains: sign-on policy, legacyEventType: core.user_auth.login_denied}",
        OKTA,
    ),
    (
        "{product: okta, service: okta}",
        "{target.displayName: Okta Admin Console, actor.alternateId: eve@example.org}",
        OKTA,
    ),
    (
        "{product: okta, service: okta}",
        "{securityContext.isProxy: 'true'}",
        OKTA,
    ),
    (
        "{product: okta, service: okta}",
        "{debugContext.debugData.behaviors|contains: POSITIVE, debugContext.debugData.logOnlySecurityData|contains: HIGH}",
        OKTA,
    ),
    (
        "{product: okta, service: okta}",
        "{debugContext.debugData.requestUri: /idp/idx}",
        OKTA,
    ),
    ("{product: github, service: audit}", "{action: repo.archived}", GITHUB),
    (
        "{product: kubernetes, service: audit}",
        "{verb: create, objectRef.resource: pods, objectRef.subresource: exec}",
        KUBERNETES,
    ),
    (
        "{product: kubernetes, service: audit}",
        "{objectRef.namespace: kube-system, objectRef.apiGroup: rbac.authorization.k8s.io, apiGroup: rbac.authorization.k8s.io}",
        KUBERNETES,
    ),
    (
        "{product: kubernetes, service: audit}",
        "{responseStatus.code: 403, requestURI|contains: exec}",
        KUBERNETES,
    ),
    (
        "{category: application, product: kubernetes, service: audit}",
        "{hostPath: /, userAgent|startswith: kubectl}",
        KUBERNETES,
    ),
    (
        "{category: application, product: kubernetes, service: audit}",
        "{capabilities: SYS_ADMIN}",
        KUBERNETES,
    ),
];

fn rule(number: usize, logsource: &str, selection: &str) -> String {
    format!("title: T\nid: cloud-{number}\nlogsource: {logsource}\ndetection: {{s: {selection}, condition: s}}\n")
}

#[test]
fn rules_in_the_names_of_cloud_services_hold_for_their_records() {
    let texts = CASES.iter().enumerate();
    let texts: String = texts
        .map(|(number, (logsource, selection, _))| rule(number, logsource, selection) + "---\n")
        .collect();
    let rules = parse_rules("cloud.yml", &texts)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let (set, refused) = RuleSet::compile(rules);
    assert!(refused.is_empty(), "{refused:?}");
    let (mut scratch, mut hits) = (Scratch::new(), Vec::new());
    let (mut missed, mut strange) = (Vec::new(), Vec::new());
    for (number, (logsource, selection, record)) in CASES.iter().enumerate() {
        hits.clear();
        let event = parsed::event(record, "/var/log/cloud.json");
        set.evaluate(&event, &mut scratch, &mut hits);
        if !hits.contains(&number) {
            missed.push(format!("{logsource} {selection}"));
        }
        // A record is of its own service only.
        for hit in &hits {
            if CASES[*hit].2 != *record {
                strange.push(format!(
                    "{:?} for {}",
                    CASES[*hit].1,
                    event.fields.str("event.dataset").unwrap_or(record)
                ));
            }
        }
    }
    assert!(strange.is_empty(), "{strange:#?}");
    assert!(missed.is_empty(), "{missed:#?}");
}
