//! Writes files of the Windows Event Log, as [MS-EVEN6] describes their binary XML: elements, attributes and texts, without
//! templates.

#![allow(dead_code, reason = "not every test needs all of it")]

/// Size of the file's header, and of a chunk.
pub(crate) const HEADER: usize = 4096;
pub(crate) const CHUNK: usize = 65_536;
/// Where records begin in a chunk.
const RECORDS: usize = 512;

/// An element: name, attributes, and text or elements.
pub(crate) struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

pub(crate) fn element(name: &str) -> Element {
    Element {
        name: name.to_owned(),
        attributes: Vec::new(),
        text: String::new(),
        children: Vec::new(),
    }
}

impl Element {
    pub(crate) fn attribute(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.text);
        self
    }

    pub(crate) fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }
}

/// An event as Windows writes it.
pub(crate) fn event(record: u64, provider: &str, channel: &str, id: u32, data: &[(&str, &str)]) -> Element {
    let system = element("System")
        .child(element("Provider").attribute("Name", provider))
        .child(element("EventID").text(&id.to_string()))
        .child(element("Version").text("0"))
        .child(element("Level").text("0"))
        .child(element("Keywords").text(if id == 4625 {
            "0x8010000000000000"
        } else {
            "0x8020000000000000"
        }))
        .child(element("TimeCreated").attribute("SystemTime", &format!("2026-11-21T10:00:{:02}.123456Z", record % 60)))
        .child(element("EventRecordID").text(&record.to_string()))
        .child(
            element("Execution")
                .attribute("ProcessID", "640")
                .attribute("ThreadID", "700"),
        )
        .child(element("Channel").text(channel))
        .child(element("Computer").text("dc-1.corp.example"));
    let data = data.iter().fold(element("EventData"), |all, (name, value)| {
        all.child(element("Data").attribute("Name", name).text(value))
    });
    element("Event").child(system).child(data)
}

/// A file whose chunks hold these events each.
pub(crate) fn file(chunks: &[Vec<Element>]) -> Vec<u8> {
    let mut next_id = 1_u64;
    let mut out = Vec::new();
    for events in chunks {
        out.extend(chunk(events, next_id));
        next_id += events.len() as u64;
    }
    let mut header = vec![0; HEADER];
    header[..8].copy_from_slice(b"ElfFile\0");
    put(&mut header, 16, &(chunks.len().saturating_sub(1) as u64).to_le_bytes());
    put(&mut header, 24, &next_id.to_le_bytes());
    put(&mut header, 32, &128_u32.to_le_bytes());
    put(&mut header, 36, &1_u16.to_le_bytes());
    put(&mut header, 38, &3_u16.to_le_bytes());
    put(&mut header, 40, &4096_u16.to_le_bytes());
    put(&mut header, 42, &u16::try_from(chunks.len()).unwrap().to_le_bytes());
    let sum = crc32fast::hash(&header[..120]);
    put(&mut header, 124, &sum.to_le_bytes());
    [header, out].concat()
}

fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    into[at..at + bytes.len()].copy_from_slice(bytes);
}

fn chunk(events: &[Element], first: u64) -> Vec<u8> {
    let mut out = vec![0; CHUNK];
    let (mut at, mut last) = (RECORDS, RECORDS);
    for (id, event) in (first..).zip(events) {
        let binary = fragment(event, at + 24);
        let size = u32::try_from(24 + binary.len() + 4).unwrap();
        put(&mut out, at, &0x2a2a_u32.to_le_bytes());
        put(&mut out, at + 4, &size.to_le_bytes());
        put(&mut out, at + 8, &id.to_le_bytes());
        // 2026-11-21T10:00:00Z in units of 100 ns since 1601.
        put(
            &mut out,
            at + 16,
            &(134_082_072_000_000_000_u64 + id * 10_000_000).to_le_bytes(),
        );
        put(&mut out, at + 24, &binary);
        put(&mut out, at + 24 + binary.len(), &size.to_le_bytes());
        last = at;
        at += size as usize;
    }
    let end = first + (events.len() as u64).saturating_sub(1);
    out[..8].copy_from_slice(b"ElfChnk\0");
    for (place, number) in [(8, first), (16, end), (24, first), (32, end)] {
        put(&mut out, place, &number.to_le_bytes());
    }
    put(&mut out, 40, &128_u32.to_le_bytes());
    put(&mut out, 44, &u32::try_from(last).unwrap().to_le_bytes());
    put(&mut out, 48, &u32::try_from(at).unwrap().to_le_bytes());
    let sum = crc32fast::hash(&out[RECORDS..at]);
    put(&mut out, 52, &sum.to_le_bytes());
    let mut header = crc32fast::Hasher::new();
    header.update(&out[..120]);
    header.update(&out[128..512]);
    put(&mut out, 124, &header.finalize().to_le_bytes());
    out
}

/// Binary XML that begins at `base` of its chunk.
fn fragment(event: &Element, base: usize) -> Vec<u8> {
    let mut out = vec![0x0f, 1, 1, 0];
    write(event, base, &mut out);
    out.push(0);
    out
}

fn write(element: &Element, base: usize, out: &mut Vec<u8>) {
    out.push(if element.attributes.is_empty() { 0x01 } else { 0x41 });
    // Its size, which readers do not need.
    out.extend(0_u32.to_le_bytes());
    name(&element.name, base, out);
    if !element.attributes.is_empty() {
        out.extend(0_u32.to_le_bytes());
        for (index, (key, value)) in element.attributes.iter().enumerate() {
            out.push(if index + 1 < element.attributes.len() {
                0x46
            } else {
                0x06
            });
            name(key, base, out);
            string(value, out);
        }
    }
    if element.text.is_empty() && element.children.is_empty() {
        out.push(0x03);
        return;
    }
    out.push(0x02);
    if !element.text.is_empty() {
        string(&element.text, out);
    }
    for child in &element.children {
        write(child, base, out);
    }
    out.push(0x04);
}

/// A name stands where its offset says: right behind the offset.
fn name(text: &str, base: usize, out: &mut Vec<u8>) {
    let at = u32::try_from(base + out.len() + 4).unwrap();
    out.extend(at.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    let units: Vec<u16> = text.encode_utf16().collect();
    let hash = units.iter().fold(0_u32, |hash, unit| {
        hash.wrapping_mul(65_599).wrapping_add(u32::from(*unit))
    });
    out.extend((hash & 0xffff).to_le_bytes().get(..2).unwrap());
    out.extend(u16::try_from(units.len()).unwrap().to_le_bytes());
    out.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
    out.extend([0, 0]);
}

fn string(text: &str, out: &mut Vec<u8>) {
    let units: Vec<u16> = text.encode_utf16().collect();
    out.extend([0x05, 0x01]);
    out.extend(u16::try_from(units.len()).unwrap().to_le_bytes());
    out.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
}
