//! The rules of a running system.

use std::collections::BTreeMap;

use anyhow::Context as _;
use proto::query::v1::{GetRuleRequest, ListRulesRequest, Rule};

use crate::client::{Target, grpc_error};
use crate::rules::diff::Version;

/// Rules asked for at once.
const PAGE: u32 = 5000;

/// Every rule that fits, without texts.
pub(crate) async fn list(target: &Target, request: ListRulesRequest) -> anyhow::Result<Vec<Rule>> {
    let mut client = target.query().await?;
    let mut request = ListRulesRequest { limit: PAGE, ..request };
    let mut rules = Vec::new();
    loop {
        let page = client
            .list_rules(request.clone())
            .await
            .map_err(grpc_error)?
            .into_inner();
        rules.extend(page.rules);
        if page.next_cursor.is_empty() {
            return Ok(rules);
        }
        request.cursor = page.next_cursor;
    }
}

/// One rule with its text.
pub(crate) async fn get(target: &Target, id: &str) -> anyhow::Result<Rule> {
    let mut client = target.query().await?;
    let request = GetRuleRequest { id: id.to_owned() };
    let answer = client.get_rule(request).await.map_err(grpc_error)?.into_inner();
    answer.rule.context("the gateway's answer holds no rule")
}

/// What is deployed of the given rules, with texts where they differ, and of all others when asked.
pub(crate) async fn versions(
    target: &Target,
    given: &BTreeMap<String, Version>,
    others: bool,
) -> anyhow::Result<BTreeMap<String, Version>> {
    let mut versions = BTreeMap::new();
    let mut client = target.query().await?;
    for rule in list(target, ListRulesRequest::default()).await? {
        let own = given.get(&rule.id);
        if own.is_none() && !others {
            continue;
        }
        let yaml = match own {
            Some(own) if own.revision == rule.revision => own.yaml.clone(),
            Some(_) => {
                let request = GetRuleRequest { id: rule.id.clone() };
                let answer = client.get_rule(request).await.map_err(grpc_error)?.into_inner();
                answer.rule.map(|rule| rule.yaml).unwrap_or_default()
            }
            None => String::new(),
        };
        let version = Version {
            title: rule.title,
            path: rule.path,
            revision: rule.revision,
            yaml,
        };
        versions.insert(rule.id, version);
    }
    Ok(versions)
}
