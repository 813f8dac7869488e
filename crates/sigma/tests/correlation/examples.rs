//! Correlations by example: what `docs/reference/correlation.md` says of each.

use model::{Event, Tenant, Timestamp, Value};
use sigma::correlation::{CorrelationAlert, Correlations, Verdict, Windows};
use sigma::{Document, parse_documents};

use crate::generate::{compile, event, rules};
use crate::observe;

const HOUR: i64 = 3600;

fn correlation(section: &str) -> Correlations {
    let compiled = compile(&format!("title: C\nid: c1\ncorrelation: {{{section}}}\n"));
    assert_eq!(compiled.all().len(), 1, "{section}");
    compiled
}

/// Events of rule `ra` (0), `rb` (1) or `rc` (2) on host `x` at these seconds.
fn at(times: &[(usize, i64)]) -> Vec<Event> {
    (0..)
        .zip(times)
        .map(|(seq, (kind, seconds))| event(seq, *seconds, &[*kind], &"x".into(), &Value::Null, &Value::Null))
        .collect()
}

fn users(users: &[(&str, i64)]) -> Vec<Event> {
    (0..)
        .zip(users)
        .map(|(seq, (user, seconds))| event(seq, *seconds, &[0], &"x".into(), &(*user).into(), &Value::Null))
        .collect()
}

fn bytes(bytes: &[(i64, i64)]) -> Vec<Event> {
    (0..)
        .zip(bytes)
        .map(|(seq, (bytes, seconds))| event(seq, *seconds, &[0], &"x".into(), &Value::Null, &Value::Int(*bytes)))
        .collect()
}

fn alerts(correlations: &Correlations, events: &[Event]) -> Vec<CorrelationAlert> {
    let mut windows = Windows::new(correlations, Tenant::default());
    observe(&mut windows, events);
    windows.finish();
    windows.alerts()
}

/// Triggers in seconds and the numbers that met the condition.
fn found(section: &str, events: &[Event]) -> Vec<(i64, f64)> {
    let alerts = alerts(&correlation(section), events);
    alerts
        .iter()
        .map(|alert| (alert.finding.trigger.as_secs(), alert.finding.value))
        .collect()
}

#[test]
fn event_count_slides_over_the_border_of_windows() {
    let section = "type: event_count, rules: [ra], group-by: [host], timespan: 1m, condition: {gte: 3}";
    assert_eq!(found(section, &at(&[(0, 50), (0, 58), (0, 62)])), [(62, 3.0)]);
    assert_eq!(found(section, &at(&[(0, 2), (0, 50), (0, 63)])), [], "61 seconds apart");
    assert_eq!(
        found(section, &at(&[(0, 3), (0, 50), (0, 63)])),
        [(63, 3.0)],
        "60 seconds apart"
    );
}

#[test]
fn there_is_one_alert_for_each_window_with_a_trigger() {
    let section = "type: event_count, rules: [ra], group-by: [host], timespan: 1m, condition: {gte: 3}";
    let minute: Vec<(usize, i64)> = (0..60).map(|second| (0, second)).collect();
    assert_eq!(found(section, &at(&minute)), [(2, 3.0)]);
    let longer: Vec<(usize, i64)> = (0..130).map(|second| (0, second)).collect();
    assert_eq!(found(section, &at(&longer)).len(), 3);
}

#[test]
fn ranges_and_upper_bounds_look_at_whole_windows_that_are_over() {
    let section = "type: event_count, rules: [ra], group-by: [host], timespan: 1m, condition: {gte: 2, lte: 3}";
    assert_eq!(found(section, &at(&[(0, 1), (0, 2), (0, 3)])), [(3, 3.0)]);
    assert_eq!(found(section, &at(&[(0, 1), (0, 2), (0, 3), (0, 4)])), []);
    for (condition, counts) in [
        ("eq: 2", vec![2]),
        ("neq: 2", vec![1, 3]),
        ("lt: 3", vec![1, 2]),
        ("lte: 1", vec![1]),
    ] {
        for count in 1..4 {
            let times: Vec<(usize, i64)> = (0..count).map(|second| (0, second)).collect();
            let section = format!("type: event_count, rules: [ra], timespan: 1m, condition: {{{condition}}}");
            assert_eq!(
                !found(&section, &at(&times)).is_empty(),
                counts.contains(&count),
                "{condition} of {count}"
            );
        }
    }
}

#[test]
fn a_closed_window_is_judged_when_its_time_has_come_and_late_events_take_the_alert_back() {
    let correlations =
        correlation("type: event_count, rules: [ra], group-by: [host], timespan: 1m, condition: {lt: 3}");
    let mut windows = Windows::new(&correlations, Tenant::default());
    observe(&mut windows, &at(&[(0, 1), (0, 2)]));
    windows.advance(Timestamp(119 * 1_000_000));
    assert!(
        windows.alerts().is_empty(),
        "the minute and the grace of a minute are not over"
    );
    windows.advance(Timestamp(120 * 1_000_000));
    assert_eq!(windows.alerts().len(), 1);
    observe(&mut windows, &at(&[(0, 1), (0, 2), (0, 3)]));
    windows.advance(Timestamp(121 * 1_000_000));
    assert!(windows.alerts().is_empty());
    let announced = windows.states().values().next().unwrap().announced.clone().unwrap();
    assert_eq!(
        (announced.finding, announced.former.len()),
        (None, 1),
        "what it said before is remembered"
    );
}

#[test]
fn value_count_counts_different_values_in_any_case_and_tuples() {
    let section = "type: value_count, rules: [ra], group-by: [host], timespan: 1m, condition: {field: user, gte: 3}";
    assert_eq!(found(section, &users(&[("a", 1), ("b", 2), ("A", 3), ("B", 4)])), []);
    assert_eq!(
        found(section, &users(&[("a", 1), ("b", 2), ("A", 3), ("c", 4)])),
        [(4, 3.0)]
    );
    let alerts = alerts(&correlation(section), &users(&[("a", 1), ("b", 2), ("C", 4)]));
    assert_eq!(alerts[0].finding.values, ["a", "b", "c"]);
    let tuple = "type: value_count, rules: [ra], timespan: 1m, condition: {field: [host, user], gte: 2}";
    assert_eq!(found(tuple, &users(&[("a", 1), ("b", 2)])), [(2, 2.0)]);
}

#[test]
fn lists_count_with_each_of_their_elements() {
    let hosts = Value::from(vec!["x".into(), "y".into(), Value::Null, "x".into()]);
    let events = [event(0, 1, &[0], &hosts, &Value::Null, &Value::Null)];
    let by_host = correlation("type: event_count, rules: [ra], group-by: [host], timespan: 1m, condition: {gte: 1}");
    let mut groups: Vec<Vec<String>> = alerts(&by_host, &events).into_iter().map(|alert| alert.group).collect();
    groups.sort();
    assert_eq!(groups, [["x"], ["y"]]);
    assert_eq!(
        found(
            "type: value_count, rules: [ra], timespan: 1m, condition: {field: host, gte: 2}",
            &events
        ),
        [(1, 2.0)]
    );
}

#[test]
fn events_without_a_group_or_a_value_do_not_contribute_and_are_counted() {
    let correlations =
        correlation("type: value_sum, rules: [ra], group-by: [host], timespan: 1m, condition: {field: bytes, gte: 1}");
    let mut windows = Windows::new(&correlations, Tenant::default());
    let lost = windows.observe(0, &event(0, 1, &[0], &Value::Null, &Value::Null, &Value::Int(5)));
    assert_eq!((lost.no_group, lost.no_value), (1, 0));
    let lost = windows.observe(0, &event(1, 1, &[0], &"x".into(), &Value::Null, &"many".into()));
    assert_eq!((lost.no_group, lost.no_value), (0, 1));
    let many = (0..40).map(|n| Value::from(format!("h{n}"))).collect();
    let lost = windows.observe(0, &event(2, 1, &[0], &many, &Value::Null, &Value::Int(5)));
    assert_eq!((lost.cut, windows.states().len()), (1, 16));
}

#[test]
fn groups_are_told_apart_by_all_their_fields_and_not_by_case() {
    let correlations =
        correlation("type: event_count, rules: [ra], group-by: [host, user], timespan: 1m, condition: {gte: 2}");
    let of = |seq, host: &str, user: &str| event(seq, 1, &[0], &host.into(), &user.into(), &Value::Null);
    let alerts = alerts(
        &correlations,
        &[
            of(0, "Web", "eve"),
            of(1, "web", "EVE"),
            of(2, "web", "bob"),
            of(3, "db", "eve"),
        ],
    );
    assert_eq!(alerts.len(), 1);
    assert_eq!(alerts[0].group, ["Web", "eve"]);
}

#[test]
fn values_are_calculated_with() {
    let section = |kind: &str, condition: &str| {
        format!("type: {kind}, rules: [ra], group-by: [host], timespan: 1m, condition: {{field: bytes, {condition}}}")
    };
    let events = bytes(&[(10, 1), (20, 2), (60, 3), (30, 4)]);
    for (kind, condition, expected) in [
        ("value_sum", "gt: 80", vec![(3, 90.0)]),
        ("value_sum", "gt: 120", vec![]),
        ("value_sum", "lte: 120", vec![(4, 120.0)]),
        ("value_avg", "gte: 30", vec![(4, 30.0)]),
        ("value_avg", "gt: 30", vec![]),
        ("value_median", "eq: 25", vec![(4, 25.0)]),
        ("value_percentile", "percentile: 50, eq: 20", vec![(4, 20.0)]),
        ("value_percentile", "percentile: 95, gte: 60", vec![(4, 60.0)]),
    ] {
        assert_eq!(
            found(&section(kind, condition), &events),
            expected,
            "{kind} {condition}"
        );
    }
    // The specification's sample: a value that makes up no more than so many percent of all.
    let rare = "type: value_percentile, rules: [ra], timespan: 24h, condition: {field: user, lte: 1}";
    let mut common: Vec<(&str, i64)> = (0..99).map(|second| ("svchost", second)).collect();
    assert_eq!(found(rare, &users(&common)), []);
    common.push(("mimikatz", 100));
    assert_eq!(found(rare, &users(&common)), [(100, 1.0)]);
}

#[test]
fn sums_with_negative_numbers_can_fall_again() {
    let section = "type: value_sum, rules: [ra], timespan: 1m, condition: {field: bytes, gte: 10}";
    assert_eq!(found(section, &bytes(&[(-5, 1), (12, 2)])), []);
    assert_eq!(found(section, &bytes(&[(-5, 1), (12, 2), (3, 3)])), [(3, 10.0)]);
}

#[test]
fn temporal_wants_each_rule_in_any_order() {
    let section = "type: temporal, rules: [ra, rb, rc], group-by: [host], timespan: 1m";
    assert_eq!(found(section, &at(&[(2, 30), (0, 59), (1, 70)])), [(70, 3.0)]);
    assert_eq!(found(section, &at(&[(2, 9), (0, 59), (1, 70)])), []);
    let two = "type: temporal, rules: [ra, rb, rc], group-by: [host], timespan: 1m, condition: {gte: 2}";
    assert_eq!(found(two, &at(&[(0, 1), (0, 2), (2, 3)])), [(3, 2.0)]);
    let only_one = "type: temporal, rules: [ra, rb], group-by: [host], timespan: 1m, condition: {eq: 1}";
    assert_eq!(found(only_one, &at(&[(0, 1), (0, 2)])), [(2, 1.0)]);
    assert_eq!(found(only_one, &at(&[(0, 1), (1, 2)])), []);
}

#[test]
fn temporal_ordered_wants_one_after_the_other() {
    let section = "type: temporal_ordered, rules: [ra, rb, rc], group-by: [host], timespan: 1m";
    assert_eq!(found(section, &at(&[(0, 1), (1, 2), (2, 3)])), [(3, 3.0)]);
    assert_eq!(found(section, &at(&[(1, 1), (0, 2), (2, 3)])), []);
    assert_eq!(found(section, &at(&[(0, 1), (1, 2), (0, 50), (2, 61)])), [(61, 3.0)]);
    assert_eq!(
        found(section, &at(&[(0, 1), (1, 2), (0, 50), (2, 62)])),
        [],
        "the order began more than a minute ago"
    );
    let both = event(0, 1, &[0, 1], &"x".into(), &Value::Null, &Value::Null);
    assert_eq!(
        found("type: temporal_ordered, rules: [ra, rb], timespan: 1m", &[both]),
        [],
        "one event is one step"
    );
}

#[test]
fn events_of_one_time_are_ordered_by_their_place_in_the_source() {
    let section = "type: temporal_ordered, rules: [ra, rb], group-by: [host], timespan: 1m";
    assert_eq!(found(section, &at(&[(0, 1), (1, 1)])).len(), 1);
    assert_eq!(found(section, &at(&[(1, 1), (0, 1)])).len(), 0);
}

#[test]
fn what_must_not_have_matched_must_not_within_the_timespan_on_either_side() {
    let section = "type: temporal, rules: [ra, rb], group-by: [host], timespan: 1m, condition: ra and not rb";
    assert_eq!(found(section, &at(&[(0, 100)])), [(100, 1.0)]);
    for other in [40, 99, 100, 101, 120, 121, 160] {
        assert_eq!(found(section, &at(&[(0, 100), (1, other)])), [], "at {other}");
    }
    for other in [39, 161] {
        assert_eq!(found(section, &at(&[(0, 100), (1, other)])), [(100, 1.0)], "at {other}");
    }
    let correlations = correlation(section);
    let mut windows = Windows::new(&correlations, Tenant::default());
    observe(&mut windows, &at(&[(0, 100)]));
    windows.advance(Timestamp(239 * 1_000_000));
    assert!(
        windows.alerts().is_empty(),
        "the next window and the grace are not over"
    );
    windows.advance(Timestamp(240 * 1_000_000));
    assert_eq!(windows.alerts().len(), 1);
}

#[test]
fn extended_conditions_combine() {
    let section =
        "type: temporal, rules: [ra, rb, rc], group-by: [host], timespan: 1m, condition: ra and (rb or not rc)";
    for (times, expected) in [
        (vec![(0, 1)], true),
        (vec![(0, 1), (2, 2)], false),
        (vec![(0, 1), (2, 2), (1, 3)], true),
        (vec![(1, 1)], false),
    ] {
        assert_eq!(!found(section, &at(&times)).is_empty(), expected, "{times:?}");
    }
    let ordered =
        "type: temporal_ordered, rules: [ra, rb, rc], group-by: [host], timespan: 1m, condition: ra and rb and not rc";
    assert_eq!(found(ordered, &at(&[(0, 1), (1, 2)])).len(), 1);
    assert_eq!(found(ordered, &at(&[(1, 1), (0, 2)])).len(), 0);
    assert_eq!(found(ordered, &at(&[(0, 1), (2, 2), (1, 3)])).len(), 0);
}

#[test]
fn aliases_compare_different_fields_of_different_rules() {
    let text = "title: C\nid: c1\ncorrelation:\n  type: temporal\n  rules: [ra, rb]\n  group-by: [where]\n  timespan: 1m\n  \
                aliases: {where: {ra: host, rb: user}}\n";
    let correlations = compile(text);
    let on = |seq, kind, host: &str, user: &str| event(seq, 1, &[kind], &host.into(), &user.into(), &Value::Null);
    assert_eq!(
        alerts(&correlations, &[on(0, 0, "x", "u"), on(1, 1, "y", "X")]).len(),
        1
    );
    assert_eq!(
        alerts(&correlations, &[on(0, 0, "x", "u"), on(1, 1, "x", "u")]).len(),
        0
    );
}

#[test]
fn fields_are_found_by_the_names_the_rule_s_logsource_gives_them() {
    let text = "title: R\nid: r1\nlogsource: {product: windows, service: security}\ndetection: {s: {EventID: 4625}, condition: s}\n---\n\
                title: C\nid: c1\ncorrelation: {type: event_count, rules: [r1], group-by: [TargetUserName], timespan: 1m, condition: {gte: 1}}\n";
    let (mut rules, mut parsed) = (Vec::new(), Vec::new());
    for document in parse_documents("c.yml", text) {
        match document.unwrap() {
            Document::Rule(rule) => rules.push(rule),
            Document::Correlation(correlation) => parsed.push(correlation),
            Document::Filter(_) => {}
        }
    }
    let (correlations, errors) = Correlations::compile(parsed, &rules);
    assert!(errors.is_empty());
    let mut event = event(0, 1, &[0], &"x".into(), &Value::Null, &Value::Null);
    event.fields.insert("user.name", "eve");
    assert_eq!(alerts(&correlations, &[event])[0].group, ["eve"]);
}

#[test]
fn chained_correlations_follow_the_inner_ones_wherever_they_move() {
    let text = "title: Guessing\nid: guessing\ncorrelation: {type: event_count, rules: [ra], group-by: [host, user], timespan: 1m, condition: {gte: 3}}\n---\n\
                title: Success\nid: success\ncorrelation: {type: temporal_ordered, rules: [guessing, rb], group-by: [host], timespan: 10m}\n";
    let correlations = compile(text);
    let failure = |seq, seconds| event(seq, seconds, &[0], &"x".into(), &"eve".into(), &Value::Null);
    let success = event(9, 20, &[1], &"x".into(), &"eve".into(), &Value::Null);
    let mut windows = Windows::new(&correlations, Tenant::default());
    observe(&mut windows, &[failure(0, 10), failure(1, 15), failure(2, 25), success]);
    windows.finish();
    assert!(windows.alerts().is_empty(), "the third failure came after the success");
    observe(&mut windows, &[failure(3, 12)]);
    windows.finish();
    let alerts = windows.alerts();
    assert_eq!(alerts.len(), 1, "a late failure makes it three before the success");
    assert_eq!(alerts[0].group, ["x"]);
    assert_eq!(
        (alerts[0].finding.first.as_secs(), alerts[0].finding.trigger.as_secs()),
        (15, 20)
    );
}

#[test]
fn an_hour_of_noise_stays_small_and_exact() {
    let section = "type: event_count, rules: [ra], group-by: [host], timespan: 1h, condition: {gte: 5}";
    let correlations = correlation(section);
    let noise: Vec<(usize, i64)> = (0..HOUR).map(|second| (0, second)).collect();
    let mut windows = Windows::new(&correlations, Tenant::default());
    observe(&mut windows, &at(&noise));
    windows.finish();
    let state = windows.states().values().next().unwrap();
    assert!(state.len() <= 32, "{} kept", state.len());
    let finding = &windows.alerts()[0].finding;
    assert_eq!(
        (
            finding.trigger.as_secs(),
            finding.count,
            finding.at_least,
            finding.overflowed
        ),
        (4, 5, true, false)
    );
}

#[test]
fn one_event_amid_an_hour_of_others_is_still_before_or_after_them() {
    let correlations = correlation("type: temporal_ordered, rules: [ra, rb], group-by: [host], timespan: 1h");
    // So many of the second rule, and one of the first at this time: is there an alert?
    for (at_second, expected) in [(10, true), (HOUR / 2, true), (HOUR - 2, true), (HOUR + 5, false)] {
        let mut all: Vec<(usize, i64)> = (0..HOUR).map(|second| (1, second)).collect();
        all.push((0, at_second));
        let events = at(&all);
        let (last, noise) = events.split_last().unwrap();
        for order in [[std::slice::from_ref(last), noise], [noise, std::slice::from_ref(last)]] {
            let mut windows = Windows::new(&correlations, Tenant::default());
            for part in order {
                observe(&mut windows, part);
            }
            windows.finish();
            assert!(windows.states().values().all(|state| state.len() <= 33));
            let alerts = windows.alerts();
            assert_eq!(!alerts.is_empty(), expected, "{at_second}");
            assert!(alerts.iter().all(|alert| alert.finding.trigger.as_secs() >= at_second));
        }
    }
}

#[test]
fn limits_that_can_change_a_verdict_are_announced() {
    let correlations =
        correlation("type: value_avg, rules: [ra], group-by: [host], timespan: 1h, condition: {field: bytes, gte: 0}");
    let numbers: Vec<(i64, i64)> = (0..2100).map(|second| (second % 10, second)).collect();
    let alerts = alerts(&correlations, &bytes(&numbers));
    let finding = &alerts[0].finding;
    assert!(finding.overflowed && finding.at_least && finding.count == 2048);
    assert!((4.0..5.0).contains(&finding.value), "a fair sample: {}", finding.value);
}

#[test]
fn times_at_the_ends_of_the_range_are_harmless() {
    for section in [
        "type: event_count, rules: [ra], timespan: 10y, condition: {gte: 1}",
        "type: temporal, rules: [ra, rb], timespan: 1s, condition: ra and not rb",
        "type: event_count, rules: [ra], timespan: 1s, condition: {lt: 5}",
    ] {
        let correlations = correlation(section);
        let mut events = at(&[(0, 0), (0, 1)]);
        events[0].timestamp = Timestamp(i64::MIN);
        events[1].timestamp = Timestamp(i64::MAX);
        assert!(!alerts(&correlations, &events).is_empty(), "{section}");
    }
}

#[test]
fn a_window_without_contributions_has_no_verdict_to_wait_for() {
    let correlations = correlation("type: event_count, rules: [ra], timespan: 1m, condition: {lt: 5}");
    let verdict = correlations.all()[0].judge(0, sigma::correlation::Neighbours::default(), Timestamp(0));
    assert_eq!(verdict, Verdict::Nothing { overflowed: false });
    assert_eq!(rules().len(), 3);
}

#[test]
fn old_windows_are_forgotten_with_their_alerts() {
    let correlations =
        correlation("type: event_count, rules: [ra], group-by: [host], timespan: 1m, condition: {gte: 1}");
    let mut windows = Windows::new(&correlations, Tenant::default());
    observe(&mut windows, &at(&[(0, 1), (0, 10_000)]));
    windows.advance(Timestamp(10_001 * 1_000_000));
    let forgotten = windows.evict(60_000_000);
    assert_eq!(
        forgotten
            .iter()
            .map(|alert| alert.finding.trigger.as_secs())
            .collect::<Vec<_>>(),
        [1]
    );
    assert_eq!(windows.alerts().len(), 1);
}
