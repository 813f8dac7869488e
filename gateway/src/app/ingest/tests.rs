//! What becomes of the elements of one request.

use super::*;

fn request(format: Format, body: impl Into<Vec<u8>>) -> Request {
    Request {
        format,
        body: Bytes::from(body.into()),
        origin: "test".to_owned(),
        log_type: String::new(),
        idempotency_key: None,
    }
}

fn read(format: Format, body: impl Into<Vec<u8>>) -> Result<(Vec<String>, Vec<ElementError>), String> {
    let (records, outcome) =
        read_records(&request(format, body), Timestamp(7)).map_err(|error| error.detail.clone())?;
    let texts = records
        .iter()
        .map(|record| match record.body.as_ref().unwrap() {
            record::Body::Line(line) => format!("line {}", String::from_utf8_lossy(line)),
            record::Body::Json(json) => format!("json {}", String::from_utf8_lossy(json)),
        })
        .collect();
    Ok((texts, outcome.errors))
}

#[test]
fn an_event_an_array_and_a_wrapper_are_understood() {
    for (body, expected) in [
        (r#" {"message":"a"} "#, vec![r#"json {"message":"a"}"#]),
        (r#"[{"a":1},{"b":[2]}]"#, vec![r#"json {"a":1}"#, r#"json {"b":[2]}"#]),
        (r#"{"events":[{"a":1}]}"#, vec![r#"json {"a":1}"#]),
        (r#"{"events":3}"#, vec![r#"json {"events":3}"#]),
        (
            r#"{"events":[1],"message":"x"}"#,
            vec![r#"json {"events":[1],"message":"x"}"#],
        ),
    ] {
        let (texts, errors) = read(Format::Json, body).unwrap();
        assert_eq!(
            (texts, errors.len()),
            (expected.into_iter().map(str::to_owned).collect(), 0),
            "{body}"
        );
    }
}

#[test]
fn a_bad_element_costs_only_itself() {
    let deep = format!("{}1{}", r#"{"n":"#.repeat(300), "}".repeat(300));
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(MAX_EVENT_BYTES));
    let body = format!(r#"[{{"a":1}}, 3, "text", null, [], {{}}, {{ }}, {deep}, {long}, {{"b":{{}}}}]"#);
    let (texts, errors) = read(Format::Json, body).unwrap();
    assert_eq!(texts.len(), 2);
    let indexes: Vec<usize> = errors.iter().map(|error| error.index).collect();
    assert_eq!(indexes, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(
        errors.iter().all(|error| error.error.contains("expected")),
        "{errors:?}"
    );
}

#[test]
fn an_unreadable_body_names_what_was_expected() {
    for (format, body) in [
        (Format::Json, ""),
        (Format::Json, "{"),
        (Format::Json, "[{\"a\":1},"),
        (Format::Json, "[]"),
        (Format::Json, "{\"events\":[]}"),
        (Format::Json, "{\"a\":1} trailing"),
        (Format::Lines, "\n\r\n"),
        (Format::JsonLines, ""),
    ] {
        let error = read(format, body).unwrap_err();
        assert!(error.starts_with("body: expected"), "{body:?}: {error}");
    }
    let many = format!("[{}1]", "1,".repeat(MAX_EVENTS));
    assert!(read(Format::Json, many).unwrap_err().contains("at most 10000 events"));
    assert!(read(Format::Lines, "x\n".repeat(MAX_EVENTS + 1)).is_err());
}

#[test]
fn lines_keep_their_bytes_and_json_lines_are_checked_one_by_one() {
    let (texts, errors) = read(Format::Lines, &b"one\r\n\n\xff\x00two"[..]).unwrap();
    assert_eq!(
        (texts.as_slice(), errors.len()),
        (&["line one".to_owned(), "line \u{fffd}\0two".to_owned()][..], 0)
    );

    let (texts, errors) = read(Format::JsonLines, "{\"a\":1}\nnonsense\n{\"b\":2}\n").unwrap();
    assert_eq!(texts, [r#"json {"a":1}"#, r#"json {"b":2}"#]);
    assert_eq!(errors[0].index, 1);
    let (texts, _) = read(Format::Json, &b"{\"a\":\"\xff\"}"[..]).unwrap();
    assert_eq!(texts, ["json {\"a\":\"\u{fffd}\"}"]);
}

#[test]
fn batches_are_chained_bounded_and_the_same_every_time() {
    let line = "x".repeat(200_000);
    let request = request(Format::Lines, format!("{line}\n").repeat(40));
    let make = || {
        let (records, _) = read_records(&request, Timestamp(5)).unwrap();
        make_batches(records, &request, Epoch(9), Timestamp(5)).unwrap()
    };
    let batches = make();
    assert_eq!(batches, make());
    assert!(batches.len() > 1);
    let mut previous = vec![0; 32];
    let mut next_seq = 0;
    for batch in &batches {
        assert_eq!((batch.first_seq, &batch.previous_hash), (next_seq, &previous));
        assert!(batch.uncompressed_bytes <= 4 * 1024 * 1024);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&previous);
        hasher.update(&batch.epoch.to_le_bytes());
        hasher.update(&batch.first_seq.to_le_bytes());
        hasher.update(&u64::from(batch.count).to_le_bytes());
        hasher.update(&batch.created_at_micros.to_le_bytes());
        hasher.update(blake3::hash(&batch.payload).as_bytes());
        assert_eq!(batch.hash, hasher.finalize().as_bytes());
        let plain = zstd::bulk::decompress(&batch.payload, 4 * 1024 * 1024).unwrap();
        let records = Records::decode(plain.as_slice()).unwrap();
        assert_eq!(records.records.len(), batch.count as usize);
        previous.clone_from(&batch.hash);
        next_seq += u64::from(batch.count);
    }
    assert_eq!(next_seq, 40);
}

#[test]
fn nesting_ignores_brackets_in_text() {
    assert_eq!(nesting(r#"{"a":[{"b":"[[[\"["}]}"#), 3);
    assert_eq!(nesting("1"), 0);
}
