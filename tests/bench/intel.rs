//! `bench intel`: a million indicators in memory, beside a plain map from text to record.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use intel::{Find, IndicatorSet};
use model::indicator::{Indicator, IndicatorType};
use model::{Tenant, Timestamp, Value};
use tests::lines::mix;

use crate::report::{cpu_seconds, machine, resident_mib};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Indicators
    #[arg(long, default_value_t = 1_000_000)]
    indicators: u64,
    /// Lookups of each kind
    #[arg(long, default_value_t = 1_000_000)]
    lookups: u64,
}

/// As feeds mix them: 35 % addresses, 5 % networks, 25 % domains, 15 % URLs, 18 % hashes, 2 % mail addresses.
fn value(n: u64) -> (IndicatorType, String) {
    let x = mix(n);
    let tops = ["com", "net", "org", "ru", "top", "xyz", "info", "cn", "biz", "site"];
    let top = tops.get((x >> 40) as usize % tops.len()).copied().unwrap_or("com");
    let domain = format!("h{:x}.{:x}.{top}", x & 0xff, (x >> 8) & 0xff_ffff_ffff);
    match n % 100 {
        0..35 => (
            IndicatorType::Ip,
            format!(
                "{}.{}.{}.{}",
                1 + (x & 127),
                (x >> 8) & 255,
                (x >> 16) & 255,
                (x >> 24) & 255
            ),
        ),
        35..40 => (
            IndicatorType::Ip,
            format!("{}.{}.{}.0/24", 1 + (x & 127), (x >> 8) & 255, (x >> 16) & 255),
        ),
        40..65 => (IndicatorType::Domain, domain),
        65..80 => (IndicatorType::Url, format!("http://{domain}/{:x}/load.php", x >> 48)),
        80..86 => (IndicatorType::Md5, format!("{x:016x}{:016x}", mix(x))),
        86..98 => (
            IndicatorType::Sha256,
            format!("{x:016x}{:016x}{:016x}{:016x}", mix(x), mix(x + 1), mix(x + 2)),
        ),
        _ => (IndicatorType::Email, format!("u{:x}@{domain}", x & 0xffff)),
    }
}

fn indicator(n: u64) -> anyhow::Result<Indicator> {
    let (kind, text) = value(n);
    let mut one = Indicator::new(Tenant::default(), kind, &text, "abuse.example", Timestamp(0))?;
    one.feed = format!("feed-{}", n % 12);
    one.tags = vec![format!("malware:family-{}", mix(n) % 400)];
    one.reference = format!("https://feed.example/ioc/{n}");
    one.confidence = 50 + (n % 50) as u8;
    Ok(one)
}

/// Nanoseconds of CPU of one of `count` calls: the wall clock would count whatever else the machine does.
fn time(own: i32, count: u64, mut call: impl FnMut(u64)) -> f64 {
    let before = cpu_seconds(own);
    for n in 0..count {
        call(n);
    }
    (cpu_seconds(own) - before) * 1e9 / count.max(1) as f64
}

pub(crate) async fn run(args: &Args) -> anyhow::Result<()> {
    println!("machine: {}", machine());
    let own = i32::try_from(std::process::id()).context("read the process id")?;
    let resident = || resident_mib(own);

    let before = resident();
    let started = cpu_seconds(own);
    let mut set = IndicatorSet::default();
    for n in 0..args.indicators {
        set.put(&indicator(n)?);
    }
    set.shrink();
    // The allocator gives back what it does not need when it is asked for memory a moment later.
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        for kib in [1, 16, 64, 256, 1024, 4096] {
            black_box(vec![0_u8; kib * 1024]);
        }
    }
    let built = cpu_seconds(own) - started;
    let held = resident() - before;
    println!(
        "set: {} indicators, {held:.0} MiB resident, built in {:.2} s of CPU",
        set.len(),
        built
    );
    let tenant = set.tenant(&Tenant::default()).context("no indicators")?.clone();

    // Lookups through the extraction an event goes through: what a value costs from text to answer.
    let mut find = Find::new();
    let texts = |offset: u64| -> Vec<Value> {
        (0..args.lookups.min(200_000))
            .map(|n| Value::from(value(mix(n) % args.indicators + offset).1.replace("/24", "")))
            .collect()
    };
    let (known, unknown) = (texts(0), texts(args.indicators * 7));
    let mut hits = 0_u64;
    let mut look = |values: &[Value], hits: &mut u64| {
        time(own, args.lookups, |n| {
            if let Some(value) = values.get(n as usize % values.len().max(1)) {
                find.in_value(&tenant, black_box(value), &mut |_| *hits += 1);
            }
        })
    };
    let hit = look(&known, &mut hits);
    ensure!(hits >= args.lookups, "known values were not found");
    let miss = look(&unknown, &mut 0);
    println!("set: from text to answer {hit:.0} ns of CPU for a hit, {miss:.0} ns for a miss");

    let shared = set.clone();
    let one = indicator(args.indicators + 1)?;
    let started = Instant::now();
    let mut next = shared.clone();
    next.put(&one);
    let single = started.elapsed();
    let started = Instant::now();
    for n in 0..10_000 {
        next.put(&indicator(args.indicators * 3 + n)?);
    }
    let many = started.elapsed();
    println!(
        "set: one indicator swapped in {:.2} ms, 10,000 more in {:.0} ms",
        single.as_secs_f64() * 1e3,
        many.as_secs_f64() * 1e3
    );
    drop((next, shared, set, tenant));

    let before = resident();
    let mut map: HashMap<String, Indicator> = HashMap::new();
    for n in 0..args.indicators {
        let one = indicator(n)?;
        map.insert(one.value.clone(), one);
    }
    let held = resident() - before;
    let probe = |values: &[Value]| -> Vec<String> {
        values
            .iter()
            .filter_map(|value| value.as_str().map(str::to_owned))
            .collect()
    };
    let (known, unknown) = (probe(&known), probe(&unknown));
    let look = |values: &[String]| {
        time(own, args.lookups, |n| {
            if let Some(value) = values.get(n as usize % values.len().max(1)) {
                black_box(map.get(black_box(value.as_str())));
            }
        })
    };
    println!(
        "HashMap<String, Indicator>: {held:.0} MiB resident, exact text only (no networks, no subdomains, no extraction) \
         {:.0} ns for a hit, {:.0} ns for a miss",
        look(&known),
        look(&unknown)
    );
    Ok(())
}
