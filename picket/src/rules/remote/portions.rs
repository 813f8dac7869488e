//! An import in portions: each is checked against what is stored, so what a document refers to must be stored before it or
//! be sent with it.

use std::collections::{HashMap, HashSet};

use proto::rules::v1::RuleFile;
use sigma::Document;
use sigma::filter::FilteredRules;

/// Most files and bytes of text in one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) files: usize,
    pub(super) bytes: usize,
}

/// What is sent at once.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Portion {
    /// Sent in an earlier portion already, and again because files of this one refer to them.
    pub(super) again: Vec<RuleFile>,
    pub(super) files: Vec<RuleFile>,
}

impl Portion {
    /// All files, and the paths of those that are sent again.
    pub(super) fn take(self) -> (Vec<RuleFile>, HashSet<String>) {
        let again = self.again.iter().map(|file| file.path.clone()).collect();
        let mut files = self.again;
        files.extend(self.files);
        (files, again)
    }
}

/// What a file is, in the order of sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pipeline,
    Rules,
    /// Correlations or filters.
    Referring,
}

impl Kind {
    fn of(file: &RuleFile) -> Self {
        let mut folders = file.path.split(['/', '\\']).rev().skip(1);
        if folders.any(|folder| folder == "pipelines") {
            return Self::Pipeline;
        }
        let refers = file
            .content
            .lines()
            .any(|line| line.starts_with("correlation:") || line.starts_with("filter:"));
        if refers { Self::Referring } else { Self::Rules }
    }
}

/// Pipelines first, then rules, then what refers to rules. In a dry run nothing is stored between portions, so pipelines
/// and the rules that are referred to go along again.
pub(super) fn portions(mut files: Vec<RuleFile>, dry_run: bool, limits: Limits) -> Vec<Portion> {
    if files.is_empty() {
        return Vec::new();
    }
    files.sort_by_key(Kind::of);
    let bytes: usize = files.iter().map(size).sum();
    if files.len() <= limits.files && bytes <= limits.bytes {
        return vec![Portion {
            files,
            ..Portion::default()
        }];
    }
    let kinds: Vec<Kind> = files.iter().map(Kind::of).collect();
    let (needs, twins) = references(&files);
    let pipelines: Vec<usize> = (0..files.len())
        .filter(|file| dry_run && kinds.get(*file) == Some(&Kind::Pipeline))
        .collect();
    let pipeline_bytes: usize = pipelines.iter().filter_map(|file| files.get(*file)).map(size).sum();
    // With more of them no room would be left for rules.
    let go_along = pipelines.len() <= limits.files / 2 && pipeline_bytes <= limits.bytes / 2;
    let mut plan = Plan {
        files: &files,
        limits,
        dry_run,
        twins,
        pipelines: if go_along { pipelines } else { Vec::new() },
        sent: HashSet::new(),
        open: Vec::new(),
        done: Vec::new(),
    };
    for file in 0..files.len() {
        let mut group = Vec::new();
        reach(file, &needs, &mut group);
        plan.add(group);
    }
    plan.close();
    plan.done
}

fn size(file: &RuleFile) -> usize {
    file.content.len() + file.path.len()
}

/// A file and all it refers to, what is referred to first.
fn reach(file: usize, needs: &[Vec<usize>], group: &mut Vec<usize>) {
    let mut waiting = vec![file];
    while let Some(file) = waiting.pop() {
        if !group.contains(&file) {
            group.push(file);
            waiting.extend(needs.get(file).into_iter().flatten());
        }
    }
    group.reverse();
}

/// For each file, the files with documents it refers to or has an id of, and the first file with that id.
fn references(files: &[RuleFile]) -> (Vec<Vec<usize>>, HashMap<usize, usize>) {
    let mut wanted: Vec<Vec<String>> = vec![Vec::new(); files.len()];
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut ids: HashMap<String, usize> = HashMap::new();
    let mut twins: HashMap<usize, usize> = HashMap::new();
    for (place, (file, wanted)) in files.iter().zip(&mut wanted).enumerate() {
        if Kind::of(file) == Kind::Pipeline {
            continue;
        }
        for document in sigma::parse_documents(&file.path, &file.content).into_iter().flatten() {
            let metadata = match &document {
                Document::Rule(rule) => &rule.metadata,
                Document::Correlation(correlation) => {
                    wanted.extend(correlation.rules.iter().cloned());
                    &correlation.metadata
                }
                Document::Filter(filter) => {
                    if let FilteredRules::Named(references) = &filter.rules {
                        wanted.extend(references.iter().cloned());
                    }
                    &filter.metadata
                }
            };
            let first = *ids.entry(metadata.id.clone()).or_insert(place);
            if first != place {
                twins.insert(place, first);
            }
            for name in std::iter::once(&metadata.id).chain(&metadata.name) {
                places.entry(name.clone()).or_insert(place);
            }
        }
    }
    let find = |(place, names): (usize, Vec<String>)| {
        let named = names.iter().filter_map(|name| places.get(name).copied());
        named.chain(twins.get(&place).copied()).collect()
    };
    let needs = wanted.into_iter().enumerate().map(find).collect();
    (needs, twins)
}

struct Plan<'a> {
    files: &'a [RuleFile],
    limits: Limits,
    dry_run: bool,
    /// Files with an id that an earlier one has, and that one.
    twins: HashMap<usize, usize>,
    /// Those that go with every portion.
    pipelines: Vec<usize>,
    /// In portions that are done.
    sent: HashSet<usize>,
    open: Vec<usize>,
    done: Vec<Portion>,
}

impl Plan<'_> {
    /// Adds files that belong together.
    fn add(&mut self, mut group: Vec<usize>) {
        if group
            .last()
            .is_some_and(|file| self.sent.contains(file) || self.open.contains(file))
        {
            return;
        }
        self.leave_stored(&mut group);
        if !self.fits(&group) {
            self.close();
            self.leave_stored(&mut group);
            // What still does not fit is sent as far as it does; the system says what is missing.
            while !self.fits(&group) && group.len() > 1 {
                group.remove(0);
            }
        }
        for file in group {
            if !self.open.contains(&file) {
                self.open.push(file);
            }
        }
    }

    /// Leaves out what is stored already, but for files whose ids others of the group have: the system refuses the second
    /// of them when it sees both.
    fn leave_stored(&self, group: &mut Vec<usize>) {
        if self.dry_run {
            return;
        }
        let firsts: HashSet<usize> = group.iter().filter_map(|file| self.twins.get(file)).copied().collect();
        group.retain(|file| !self.sent.contains(file) || firsts.contains(file));
    }

    /// Whether a portion can take these, too.
    fn fits(&self, group: &[usize]) -> bool {
        let mut all: HashSet<usize> = self.open.iter().chain(group).copied().collect();
        all.extend(&self.pipelines);
        let bytes: usize = all.iter().filter_map(|file| self.files.get(*file)).map(size).sum();
        all.len() <= self.limits.files && bytes <= self.limits.bytes
    }

    fn close(&mut self) {
        let open = std::mem::take(&mut self.open);
        if open.is_empty() {
            return;
        }
        let mut portion = Portion::default();
        let pipelines = self.pipelines.iter().filter(|file| !open.contains(file));
        for place in pipelines.chain(&open) {
            let Some(file) = self.files.get(*place) else { continue };
            if self.sent.insert(*place) {
                portion.files.push(file.clone());
            } else {
                portion.again.push(file.clone());
            }
        }
        self.done.push(portion);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(id: &str) -> RuleFile {
        RuleFile {
            path: format!("rules/{id}.yml"),
            content: format!(
                "title: T\nid: {id}\nname: name_{id}\nlogsource: {{product: linux}}\ndetection:\n  s: {{a: 1}}\n  \
                 condition: s\n"
            ),
        }
    }

    fn correlation(id: &str, over: &str) -> RuleFile {
        RuleFile {
            path: format!("a/{id}.yml"),
            content: format!(
                "title: C\nid: {id}\nname: name_{id}\ncorrelation:\n  type: event_count\n  rules: [{over}]\n  group-by: \
                 [host.name]\n  timespan: 5m\n  condition: {{gte: 3}}\n"
            ),
        }
    }

    fn pipeline() -> RuleFile {
        RuleFile {
            path: "x/pipelines/p.yml".to_owned(),
            content: "transformations: []".to_owned(),
        }
    }

    fn names(files: &[RuleFile]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    fn limits(files: usize) -> Limits {
        Limits { files, bytes: 1 << 20 }
    }

    #[test]
    fn what_others_refer_to_is_sent_first() {
        let files = vec![correlation("c", "name_r"), rule("r"), pipeline()];
        let sent = portions(files.clone(), false, limits(10));
        assert_eq!(sent.len(), 1);
        assert_eq!(names(&sent[0].files), ["x/pipelines/p.yml", "rules/r.yml", "a/c.yml"]);
        let sent = portions(files, false, limits(1));
        let paths: Vec<_> = sent.iter().flat_map(|portion| names(&portion.files)).collect();
        assert_eq!(paths, ["x/pipelines/p.yml", "rules/r.yml", "a/c.yml"]);
        assert!(sent.iter().all(|portion| portion.again.is_empty()));
    }

    #[test]
    fn in_a_dry_run_rules_that_are_referred_to_go_along_again() {
        let mut files = vec![
            pipeline(),
            correlation("chained", "name_c"),
            correlation("c", "name_r1"),
        ];
        files.extend(["r1", "r2", "r3", "r4"].map(rule));
        let sent = portions(files, true, limits(4));
        let last = sent.last().unwrap();
        assert_eq!(names(&last.again), ["x/pipelines/p.yml", "rules/r1.yml"]);
        assert_eq!(names(&last.files), ["a/c.yml", "a/chained.yml"]);
        let all: usize = sent.iter().map(|portion| portion.files.len()).sum();
        assert_eq!(all, 7, "{sent:?}");
        assert!(
            sent.iter()
                .all(|portion| portion.files.len() + portion.again.len() <= 4)
        );
        let (files, again) = sent.into_iter().last().unwrap().take();
        assert!(files.len() == 4 && again.contains("rules/r1.yml"));
    }

    #[test]
    fn files_with_one_id_are_sent_together() {
        let mut twin = rule("r1");
        twin.path = "other/r1.yml".to_owned();
        for dry_run in [true, false] {
            let sent = portions(
                vec![rule("r1"), rule("r2"), rule("r3"), twin.clone()],
                dry_run,
                limits(2),
            );
            let last = sent.last().unwrap();
            assert_eq!(names(&last.again), ["rules/r1.yml"], "{sent:?}");
            assert_eq!(names(&last.files), ["other/r1.yml"]);
        }
    }

    #[test]
    fn what_does_not_fit_is_sent_all_the_same() {
        assert!(portions(Vec::new(), false, limits(1)).is_empty());
        let sent = portions(
            vec![correlation("c", "name_r1, name_r2"), rule("r1"), rule("r2")],
            true,
            limits(1),
        );
        let paths: Vec<_> = sent.iter().flat_map(|portion| names(&portion.files)).collect();
        assert_eq!(paths, ["rules/r1.yml", "rules/r2.yml", "a/c.yml"]);
    }
}
