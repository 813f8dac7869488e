//! A condition put in front of a rule's own.

use super::Run;
use crate::detection::{Question, Tree};
use crate::pattern::Token;
use crate::pipeline::item::ProcessingItem;
use crate::pipeline::transformation::AddCondition;

impl Run<'_> {
    pub(super) fn add_condition(&mut self, added: &AddCondition, step: &ProcessingItem) -> Result<(), String> {
        let mut search = added.search.clone();
        if added.template {
            let part = |part: &Option<String>| part.clone().unwrap_or_default();
            let parts = [
                ("category", part(&self.logsource.category)),
                ("product", part(&self.logsource.product)),
                ("service", part(&self.logsource.service)),
            ];
            search.body.items_mut(&mut |item| {
                for value in &mut item.values {
                    if let Question::Text { tokens, .. } = &mut value.question {
                        substitute(tokens, &parts);
                    }
                }
            });
        }
        let mut values = 0;
        search.body.items_mut(&mut |item| {
            values += item.values.len();
            item.applied.extend(step.id.clone());
        });
        self.produce(values)?;
        while self.detection.searches.iter().any(|known| known.name == search.name) {
            search.name.push('_');
        }
        let position = self.detection.searches.len();
        self.detection.searches.push(search);
        for condition in &mut self.detection.conditions {
            let added = match added.negated {
                true => Tree::Not(Box::new(Tree::Search(position))),
                false => Tree::Search(position),
            };
            if let Tree::All(terms) = &mut condition.tree {
                terms.insert(0, added);
            } else {
                let own = std::mem::replace(&mut condition.tree, Tree::All(Vec::new()));
                condition.tree = Tree::All(vec![added, own]);
            }
        }
        self.has_condition = true;
        Ok(())
    }
}

fn substitute(tokens: &mut [Token], parts: &[(&str, String)]) {
    for token in tokens {
        if let Token::Text(text) = token {
            for (name, part) in parts {
                for form in [format!("${{{name}}}"), format!("${name}")] {
                    if text.contains(&form) {
                        *text = text.replace(&form, part);
                    }
                }
            }
        }
    }
}
