//! Stored events: pages, filters, search, export, sums.

use std::collections::HashSet;
use std::time::Duration;

use gateway::SearchConfig;
use gateway::app::events::{EventFilter, Events};
use model::{BatchKey, Epoch, Event, EventId, Fields, Partition, SourceId, Tenant, Timestamp};
use query::Query;
use reqwest::Method;
use serde_json::{Value, json};
use storage::blocks::{BlockBatch, Day, NewBlock};

use crate::frozen::{FIRST_BLOCKS, Frozen, WHOLE_BLOCK};
use crate::support::{self, Gateway, problem};

fn time(second: u64) -> String {
    format!("2026-11-20T10:{:02}:{:02}Z", second / 60, second % 60)
}

/// 300 events in blocks whose times overlap.
async fn fill(gateway: &Gateway) {
    for start in [0, 100, 50] {
        let events: Vec<Value> = (0..100)
            .map(|n| {
                let second = start + n;
                json!({
                    "@timestamp": time(second),
                    "message": format!("Failed password for user{n} from 10.0.{}.{n} port 22", start / 50),
                    "agent": { "name": if n % 2 == 0 { "even-agent" } else { "odd-agent" } },
                    "host": { "os": { "type": if n % 4 == 0 { "windows" } else { "linux" } } },
                    "block": start,
                })
            })
            .collect();
        assert_eq!(gateway.post("/ingest", json!(events)).await["accepted"], 100);
    }
}

async fn all_pages(gateway: &Gateway, query: &str, limit: usize) -> Vec<Value> {
    let mut events = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = gateway.get(&format!("/events?limit={limit}{query}{cursor}")).await;
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= limit);
        events.extend(items);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return events,
        }
    }
}

fn key(event: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&event["@timestamp"]), text(&event["event"]["id"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_newest_first_and_complete() {
    let gateway = support::start().await;
    fill(&gateway).await;
    for limit in [7, 100, 300] {
        let events = all_pages(&gateway, "", limit).await;
        assert_eq!(events.len(), 300, "limit {limit}");
        let times: Vec<String> = events.iter().map(|event| key(event).0).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "limit {limit}");
        let ids: HashSet<(String, String)> = events.iter().map(key).collect();
        assert_eq!(ids.len(), 300, "limit {limit}");
    }
    assert_eq!(gateway.get("/events").await["items"].as_array().unwrap().len(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_and_are_counted_exactly() {
    let gateway = support::start().await;
    fill(&gateway).await;
    for (query, expected) in [
        ("", 300),
        ("&agent_id=even-agent", 150),
        ("&os_type=WINDOWS", 75),
        ("&os_type=windows&agent_id=odd-agent", 0),
        ("&ip=10.0.0.7", 1),
        ("&ip=10.0.0.77", 1),
        ("&ip=10.9.9.9", 0),
        ("&q=password", 300),
        ("&q=PASSWORD%20user7", 3),
        ("&q=user", 0),
        ("&q=block:100", 100),
        ("&q=block:[50%20TO%20100]", 200),
        ("&q=user1*%20NOT%20user1", 30),
        ("&q=10.0.2.0/30%20OR%20message:/user99/", 7),
        ("&q=@timestamp%3C2026-11-20T10:00:10Z", 10),
        ("&q=host.os.type:(windows%20OR%20macos)", 75),
        ("&q=agent.name:odd-agent", 150),
        ("&q=%22password%20for%20user7%22", 3),
        ("&from=2026-11-20T10:00:00Z&to=2026-11-20T10:00:10Z", 10),
        ("&from=2026-11-20T10:03:10Z", 10),
    ] {
        let page = gateway.get(&format!("/events?count=exact&limit=1000{query}")).await;
        assert_eq!(page["total"], expected, "{query}");
        assert_eq!(page["items"].as_array().unwrap().len(), expected, "{query}");
    }
    let found = gateway.get("/search?q=user7&agent_id=odd-agent&limit=50").await;
    assert_eq!(found["items"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_streams_all_matching_events() {
    let gateway = support::start().await;
    fill(&gateway).await;
    let response = gateway
        .request(Method::GET, "/events/export?format=jsonl&agent_id=even-agent")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 150);
    let ids: HashSet<(String, String)> = events.iter().map(key).collect();
    assert_eq!(ids.len(), 150);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_have_their_formats_and_come_newest_first() {
    let gateway = support::start().await;
    fill(&gateway).await;
    let export = async |query: &str| {
        let response = gateway
            .request(Method::GET, &format!("/events/export?{query}"))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{query}");
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (kind, response.text().await.unwrap())
    };
    let (kind, csv) = export("format=csv&fields=@timestamp,agent.name,message,none&q=user7").await;
    assert_eq!(kind, "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 4, "{csv}");
    assert_eq!(lines[0], "@timestamp,agent.name,message,none");
    assert!(
        lines[1].starts_with("2026-11-20T10:01:47.000000Z,odd-agent,Failed password for user7 from"),
        "{csv}"
    );

    let (_, ocsf) = export("format=ocsf&limit=2").await;
    let events: Vec<Value> = ocsf.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2);
    assert!(
        events
            .iter()
            .all(|event| event["metadata"]["product"]["name"] == "Picket" && event["time"].is_i64())
    );

    let (_, jsonl) = export("").await;
    let times: Vec<String> = jsonl
        .lines()
        .map(|line| key(&serde_json::from_str(line).unwrap()).0)
        .collect();
    assert_eq!(times.len(), 300);
    assert!(times.is_sorted_by(|a, b| a >= b));
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_agree_with_the_events() {
    let gateway = support::start().await;
    fill(&gateway).await;
    let span = "from=2026-11-20T10:00:00Z&to=2026-11-20T10:04:00Z";
    for query in ["", "&q=user7"] {
        let answer = gateway
            .get(&format!("/events/histogram?{span}&interval=1m{query}"))
            .await;
        assert_eq!(answer["interval_secs"], 60);
        let counts: Vec<u64> = answer["buckets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|b| b["count"].as_u64().unwrap())
            .collect();
        let listed = gateway.get(&format!("/events?{span}&count=exact{query}")).await;
        assert_eq!(counts.iter().sum::<u64>(), listed["total"].as_u64().unwrap(), "{query}");
        assert_eq!(counts.len(), 4);
        let by_minute: Vec<u64> = (0..4).map(|minute| of_minute(minute, query.is_empty())).collect();
        assert_eq!(counts, by_minute, "{query}");
        assert!(answer.get("partial").is_none());
    }
    let top = gateway.get(&format!("/events/top?{span}&field=agent.name")).await;
    assert_eq!(top["total"], 300);
    assert_eq!(
        top["values"],
        json!([{"value": "even-agent", "count": 150}, {"value": "odd-agent", "count": 150}])
    );
    let top = gateway
        .get(&format!("/events/top?{span}&field=block&limit=1&q=user1*"))
        .await;
    assert_eq!(
        (&top["distinct"], top["values"].as_array().unwrap().len()),
        (&json!(3), 1)
    );
    let top = gateway.get(&format!("/events/top?{span}&field=no.such")).await;
    assert_eq!((&top["missing"], &top["values"]), (&json!(300), &json!([])));
    assert_eq!(
        gateway.get("/events/top?field=agent.name&from=1h").await["total"],
        0,
        "sums end now"
    );
}

/// How many events of [`fill`] a minute has: all of them, or those of one user.
fn of_minute(minute: u64, all: bool) -> u64 {
    let starts = [0, 100, 50];
    let seconds = |start: u64| if all { start..start + 100 } else { start + 7..start + 8 };
    starts
        .into_iter()
        .flat_map(seconds)
        .filter(|second| second / 60 == minute)
        .count() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_a_query_is_told_with_its_place() {
    let gateway = support::start().await;
    for path in ["/events", "/search", "/events/export", "/events/histogram"] {
        let path = format!("{path}?q=failed%20user.name:(a%20OR");
        let response = gateway.request(Method::GET, &path).send().await.unwrap();
        assert_eq!(response.status(), 400);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["position"], 23, "{problem}");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .starts_with("q: character 23: expected a word"),
            "{problem}"
        );
    }
}

/// More than 1 MiB of blocks.
async fn fill_much(gateway: &Gateway) -> usize {
    let mut random = 1_u64;
    for block in 0..32_u64 {
        let events: Vec<Value> = (0..300)
            .map(|n| {
                let noise: String = (0..24)
                    .map(|_| {
                        random = random
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        format!("{:016x} ", random)
                    })
                    .collect();
                json!({ "@timestamp": time(block * 100 + n % 100), "message": noise })
            })
            .collect();
        assert_eq!(gateway.post("/ingest", json!(events)).await["accepted"], 300);
    }
    32 * 300
}

/// What is in most events twice, with events in which it is not.
fn large(row: u32, message: &str) -> Fields {
    let ip = format!("10.0.0.{}", row % 100);
    let mut fields = Fields::new();
    fields.insert("message", message);
    fields.insert("event.original", format!("header: {message}"));
    if !row.is_multiple_of(4) {
        fields.insert("source.ip", ip.clone());
        fields.insert("source.address", ip.clone());
        let other = (row % 1000 == 1).then(|| model::Value::from("10.9.9.9"));
        fields.insert(
            "related.ip",
            model::Value::from(other.into_iter().chain([ip.into()]).collect::<Vec<_>>()),
        );
    }
    fields
}

/// A block whose messages are cut into parts, of which a page fetches those that it shows.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_large_blocks_are_found_shown_and_counted_whole() {
    const COUNT: u32 = 3000;
    let gateway = support::start().await;
    let tenant = Tenant::default();
    let source = SourceId::named("test", "large");
    let message = |row: u32| {
        let noise = (1..6_u64).map(|n| (u64::from(row) * 8 + n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let noise: String = noise.map(|part| format!("{part:016x}")).collect();
        format!("word{row} third{} {noise}", row % 3)
    };
    let events: Vec<Event> = (0..COUNT)
        .map(|row| Event {
            id: EventId {
                source,
                epoch: Epoch(1),
                seq: u64::from(row),
            },
            timestamp: Timestamp(1_800_000_000_000_000 + i64::from(row) * 1000),
            fields: large(row, &message(row)),
        })
        .collect();
    let encoded = block::encode(&events).unwrap();
    let parts = block::split(&encoded.bytes).unwrap();
    assert!(
        parts.columns.iter().any(|column| column.part > 1),
        "the messages are in parts"
    );
    let key = BatchKey {
        tenant: tenant.clone(),
        source,
        epoch: Epoch(1),
        first_seq: 0,
    };
    let new = NewBlock {
        tenant: tenant.clone(),
        partition: Partition::of(&tenant, &source),
        day: Day::of_batch(events[0].timestamp, events[0].timestamp),
        min: encoded.meta.min_time,
        max: encoded.meta.max_time,
        events: COUNT,
        batches: vec![BlockBatch {
            key,
            count: COUNT,
            hash: [0; 32],
            link: None,
        }],
        ips: encoded.meta.ips,
        minutes: encoded.meta.minutes,
        token_filter: encoded.meta.token_filter,
        body: encoded.bytes,
        node: "test".parse().unwrap(),
        at: events[0].timestamp,
    };
    storage::blocks::insert(&gateway.store, &new).await.unwrap();

    let search = Events::new(gateway.store.clone(), &SearchConfig::default());
    let filter = |query: &str| EventFilter {
        query: Query::parse(query).unwrap(),
        ..EventFilter::all(Tenant::default())
    };
    for row in [0, 999, 1000, 1501, 2999] {
        let page = search.page(filter(&format!("word{row}")), None, 50).await.unwrap();
        assert_eq!(page.events, [events[row as usize].clone()]);
    }
    let newest: Vec<Event> = events.iter().rev().step_by(3).take(700).cloned().collect();
    let page = search.page(filter("message:*third2*"), None, 700).await.unwrap();
    assert_eq!(page.events, newest);
    // Of the column alone, and of the rows that match.
    for (query, total) in [("*", COUNT), ("message:*third1*", COUNT / 3)] {
        let top = search.top(&filter(query), "message", 5).await.unwrap();
        assert_eq!(
            (top.total, top.missing, top.distinct),
            (total.into(), 0, total.into()),
            "{query}"
        );
    }
    // What is stored once for several fields.
    for (query, total) in [("*", COUNT), ("message:*third1*", COUNT / 3)] {
        for (field, distinct) in [("source.ip", 75), ("source.address", 75), ("related.ip", 76)] {
            let top = search.top(&filter(query), field, 100).await.unwrap();
            assert_eq!(
                (top.total, top.missing, top.distinct),
                (total.into(), u64::from(total / 4), distinct),
                "{query} {field}"
            );
            let count = |value: &str| {
                top.values
                    .iter()
                    .find(|found| found.value == value)
                    .map(|found| found.count)
            };
            assert_eq!(count("10.0.0.7"), Some(u64::from(total / 100)), "{query} {field}");
            assert_eq!(count("10.9.9.9"), (distinct == 76).then_some(u64::from(total / 1000)));
        }
    }
    for (query, found) in [
        ("source.address:10.0.0.7", 30),
        ("related.ip:10.0.0.7 source.address:10.0.0.7", 30),
        ("related.ip:10.9.9.9", 3),
        ("source.address:10.9.9.9", 0),
    ] {
        let page = search.page(filter(query), None, 50).await.unwrap();
        assert_eq!(page.events.len(), found, "{query}");
        assert!(page.events.iter().all(|event| events.contains(event)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_limits_left_out_is_said_and_comes_with_the_next_page() {
    let gateway = support::start_with(|config| config.search.max_mib = 1).await;
    let all = fill_much(&gateway).await;
    let (mut found, mut cursor, mut cut) = (HashSet::new(), String::new(), 0);
    loop {
        let page = gateway.get(&format!("/search?q=NOT%20absent&limit=1000{cursor}")).await;
        for event in page["items"].as_array().unwrap() {
            assert!(found.insert(key(event)), "an event on two pages");
        }
        if let Some(partial) = page.get("partial") {
            assert_eq!(partial["reason"], "bytes");
            assert!(partial["unread_until"].is_string());
            cut += 1;
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found.len(), all);
    let nothing = gateway.get("/search?q=NOT%20message:*").await;
    assert_eq!(nothing["partial"]["reason"], "bytes", "{nothing}");
    assert_eq!(nothing["items"], json!([]));
    assert!(nothing["next_cursor"].is_string());
    let count = gateway.get("/events?count=exact&q=message:*&limit=1").await;
    assert!(count["total"].as_u64().unwrap() < all as u64);
    assert_eq!(count["partial"]["reason"], "bytes", "cut {cut} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_ends_when_its_client_leaves() {
    let gateway = support::start_with(|config| config.search.max_exports = 1).await;
    fill_much(&gateway).await;
    let mut left = gateway.request(Method::GET, "/events/export").send().await.unwrap();
    assert!(left.chunk().await.unwrap().is_some());
    drop(left);
    // It has the only place, so this is answered only when that one ends.
    let next = gateway.request(Method::GET, "/events/export?limit=1").send();
    let answer = tokio::time::timeout(support::DEADLINE, next).await.unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap().lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_ends_when_its_client_leaves() {
    let gateway = support::start_with(|config| config.search.max_running = 1).await;
    fill_much(&gateway).await;
    for _ in 0..20 {
        let search = gateway.request(Method::GET, "/events?q=/(x+x+)+y/&count=exact").send();
        // Most are given up while they wait or run.
        let _ = tokio::time::timeout(Duration::from_millis(3), search).await;
    }
    let answer = tokio::time::timeout(support::DEADLINE, gateway.get("/events?limit=1"))
        .await
        .unwrap();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_nobody_waits_for_gives_its_place_back() {
    let gateway = support::start().await;
    fill_much(&gateway).await;
    // Its database stops answering in the middle of the search, so that it would not end by itself.
    let database = Frozen::start(&gateway, FIRST_BLOCKS).await;
    let config = SearchConfig {
        max_running: 1,
        max_seconds: 3600,
        ..SearchConfig::default()
    };
    let events = Events::new(database.store().await, &config);
    let searching = tokio::spawn({
        let (events, filter) = (events.clone(), EventFilter::all(Tenant::default()));
        async move { events.page(filter, None, 1000).await }
    });
    let is_running = async || (database.is_frozen() && events.free_turns() == 0).then_some(());
    testkit::poll_until(support::DEADLINE, "the search runs", is_running).await;
    searching.abort();
    let is_over = async || (events.free_turns() == 1).then_some(());
    testkit::poll_until(support::DEADLINE, "the place is free", is_over).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fetching_the_rest_of_a_block_takes_no_longer_than_the_search_may() {
    let gateway = support::start().await;
    // No key of a document, so the column comes only with the whole block.
    let event = json!({ "@timestamp": time(1), "odd name": "x" });
    assert_eq!(gateway.post("/ingest", json!([event])).await["accepted"], 1);
    let filter = EventFilter {
        query: Query::parse("\"odd name\":x").unwrap(),
        ..EventFilter::all(Tenant::default())
    };
    let config = SearchConfig {
        max_seconds: 1,
        ..SearchConfig::default()
    };
    let events = Events::new(gateway.store.clone(), &config);
    assert_eq!(events.count(&filter).await.unwrap().total, 1);

    let database = Frozen::start(&gateway, WHOLE_BLOCK).await;
    let events = Events::new(database.store().await, &config);
    let counted = tokio::time::timeout(support::DEADLINE, events.count(&filter)).await;
    let counted = counted.unwrap().unwrap();
    assert!(database.is_frozen());
    assert_eq!(counted.total, 0);
    let partial = counted.partial.unwrap();
    assert_eq!(partial.reason, "time");
    assert!(partial.unread_until.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_that_nobody_reads_do_not_keep_searches_waiting() {
    let gateway = support::start_with(|config| {
        config.search.max_running = 1;
        config.search.max_exports = 1;
    })
    .await;
    fill_much(&gateway).await;
    let mut unread = gateway.request(Method::GET, "/events/export").send().await.unwrap();
    assert!(unread.chunk().await.unwrap().is_some());
    let answer = tokio::time::timeout(support::DEADLINE, gateway.get("/events?limit=1"))
        .await
        .unwrap();
    assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_parameters_are_refused_by_name() {
    let gateway = support::start().await;
    for (path, start) in [
        ("/events?limit=0", "limit: "),
        ("/events?limit=1001", "limit: "),
        ("/events?limit=x", "limit: "),
        ("/events?ip=10.0.0", "ip: "),
        ("/events?from=yesterday", "from: "),
        ("/events?cursor=zzz", "cursor: "),
        ("/events?count=about", "count: "),
        ("/events?nope=1", "\"nope\": unknown parameter"),
        ("/search", "q: "),
        ("/search?q=%22open", "q: "),
        ("/events/export?format=xml", "format: "),
        ("/events/export?fields=message", "fields: "),
        ("/events/export?format=csv&fields=,", "fields: "),
        ("/events/export?limit=0", "limit: "),
        ("/events/histogram?interval=1x", "interval: "),
        ("/events/histogram?interval=1s&from=now-30d", "interval: "),
        ("/events/top", "field: "),
        ("/events/top?field=a&limit=1001", "limit: "),
        ("/alerts?min_level=bad", "min_level: "),
        ("/alerts?level=high&min_level=low", "level: "),
        ("/alerts?cursor=zzz", "cursor: "),
        ("/alerts/nonsense", "id: "),
        ("/stats?hours=0", "hours: "),
        ("/ti/iocs?type=uri", "type: "),
    ] {
        let response = gateway.request(Method::GET, path).send().await.unwrap();
        let detail = problem(response, 400).await;
        assert!(detail.starts_with(start), "{path}: {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_never_sees_another_ones_events() {
    let gateway = support::start().await;
    fill(&gateway).await;
    let text = gateway::auth::new_api_key();
    let text = secrecy::ExposeSecret::expose_secret(&text);
    let key = storage::api_keys::ApiKey {
        id: "other".to_owned(),
        tenant: "other".parse().unwrap(),
        name: "other".to_owned(),
        role: model::AccessRole::Admin,
        hash: storage::api_keys::hash(text),
        created_at: model::Timestamp(0),
        expires_at: None,
        last_used_at: None,
    };
    storage::api_keys::insert(&gateway.store, &key).await.unwrap();
    let send = async |path: &str| {
        let request = gateway.anonymous(Method::GET, path).header("x-api-key", text);
        support::ok(request.send().await.unwrap()).await
    };
    let events = send("/events?count=exact").await;
    assert_eq!(
        (&events["total"], events["items"].as_array().unwrap().len()),
        (&json!(0), 0)
    );
    assert_eq!(send("/status").await["events_total"], 0);
    assert_eq!(send("/security/users").await["items"], json!([]));
}
