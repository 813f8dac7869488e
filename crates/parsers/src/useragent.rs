//! What a user agent is, by the names of the uap project that other tools use too.

use std::cell::RefCell;
use std::hash::Hasher as _;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use model::Text;
use rustc_hash::FxHasher;

use crate::draft::Draft;
use crate::scan::Marks as _;

/// Longest user agent that is looked into.
const MAX_LEN: usize = 2048;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Agent {
    name: &'static str,
    version: Text,
    os: &'static str,
    device: Text,
}

/// Sets what `user_agent.original` says.
pub(crate) fn derive(draft: &mut Draft) {
    if draft.get("user_agent.name").is_some() {
        return;
    }
    let Some(text) = draft.str("user_agent.original").filter(|text| text.len() <= MAX_LEN) else {
        return;
    };
    let agent = recall(text);
    draft.set_fixed("user_agent.name", agent.name);
    draft.set("user_agent.device.name", agent.device);
    if !agent.version.is_empty() {
        draft.set("user_agent.version", agent.version);
    }
    if !agent.os.is_empty() {
        draft.set_fixed("user_agent.os.name", agent.os);
    }
}

/// How many agents a thread remembers. Most events come with one of few.
const REMEMBERED: usize = 64;
/// Longest text of an agent that is remembered.
const MAX_REMEMBERED: usize = 512;

type Remembered = Option<(Box<str>, Agent)>;

thread_local! {
    static AGENTS: RefCell<[Remembered; REMEMBERED]> = const { RefCell::new([const { None }; REMEMBERED]) };
}

/// Reads an agent, or remembers what was read.
fn recall(text: &str) -> Agent {
    if text.len() > MAX_REMEMBERED {
        return read(text);
    }
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    let at = usize::try_from(hasher.finish() >> 32).unwrap_or(0) % REMEMBERED;
    AGENTS.with_borrow_mut(|agents| match agents.get_mut(at) {
        Some(Some((known, agent))) if **known == *text => agent.clone(),
        Some(slot) => {
            let agent = read(text);
            *slot = Some((text.into(), agent.clone()));
            agent
        }
        None => read(text),
    })
}

/// Marks of browsers and the names they go by; the first that occurs decides.
const BROWSERS: &[(&str, &str)] = &[
    ("FBAV/", "Facebook"),
    ("YandexSearch/", "YandexSearch"),
    ("Silk/", "Amazon Silk"),
    ("YaBrowser/", "Yandex Browser"),
    ("MiuiBrowser/", "MiuiBrowser"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("UCBrowser/", "UC Browser"),
    ("EdgA/", "Edge Mobile"),
    ("EdgiOS/", "Edge Mobile"),
    ("Edge/", "Edge"),
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Vivaldi/", "Vivaldi"),
    ("HeadlessChrome/", "HeadlessChrome"),
    ("CriOS/", "Chrome Mobile iOS"),
    ("FxiOS/", "Firefox iOS"),
    ("PhantomJS/", "PhantomJS"),
    ("Thunderbird/", "Thunderbird"),
    ("SeaMonkey/", "SeaMonkey"),
    ("Electron/", "Electron"),
    ("Trident/7.0", "IE"),
    ("MSIE ", "IE"),
    ("Presto/", "Opera"),
];

/// Programs that name themselves first, where the name they go by is another.
const PROGRAMS: &[(&str, &str)] = &[
    ("python-requests/", "Python Requests"),
    ("Python-urllib/", "Python-urllib"),
    ("python-urllib3/", "Python urllib3"),
    ("aiohttp/", "aiohttp"),
    ("curl/", "curl"),
    ("Wget/", "Wget"),
    ("Go-http-client/", "Go-http-client"),
    ("okhttp/", "okhttp"),
    ("Apache-HttpClient/", "Apache-HttpClient"),
    ("Java/", "Java"),
    ("aws-cli/", "aws-cli"),
    ("Boto3/", "Boto3"),
    ("Boto/", "Boto"),
    ("aws-sdk-java/", "aws-sdk-java"),
    ("aws-sdk-go/", "aws-sdk-go"),
    ("Debian APT-HTTP/", "Debian APT-HTTP"),
    ("Microsoft-CryptoAPI/", "Microsoft-CryptoAPI"),
    ("libwww-perl/", "libwww-perl"),
    ("PostmanRuntime/", "PostmanRuntime"),
    ("axios/", "axios"),
    ("Opera/", "Opera"),
];

/// Words of programs that fetch by themselves.
const SPIDERS: &[(&str, &str)] = &[
    ("Googlebot", "Googlebot"),
    ("bingbot", "bingbot"),
    ("YandexBot", "YandexBot"),
    ("Baiduspider", "Baiduspider"),
    ("DuckDuckBot", "DuckDuckBot"),
    ("Applebot", "Applebot"),
    ("AhrefsBot", "AhrefsBot"),
    ("SemrushBot", "SemrushBot"),
    ("facebookexternalhit", "FacebookBot"),
    ("Facebot", "Facebot"),
    ("Twitterbot", "Twitterbot"),
    ("Slackbot", "Slackbot"),
];

/// Words that say what system it runs on; the first that occurs decides.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows Phone", "Windows Phone"),
    ("Windows NT", "Windows"),
    (" Windows/", "Windows"),
    ("iPhone OS", "iOS"),
    ("iPhone;", "iOS"),
    ("iPad;", "iOS"),
    ("Android", "Android"),
    ("Mac OS X", "Mac OS X"),
    ("Macintosh;", "Mac OS X"),
    ("CrOS", "Chrome OS"),
    ("Ubuntu;", "Ubuntu"),
    ("Ubuntu/", "Ubuntu"),
    ("Debian", "Debian"),
    ("Fedora", "Fedora"),
    ("FreeBSD", "FreeBSD"),
    ("OpenBSD", "OpenBSD"),
    ("Linux", "Linux"),
    ("linux-gnu", "Linux"),
];

/// Other words that are asked for.
const WORDS: &[(&str, &str)] = &[
    ("Mobile", ""),
    ("Firefox/", ""),
    ("Chrome/", ""),
    ("Safari/", ""),
    ("Mozilla/", ""),
    ("Version/", ""),
    ("Version/4.0", ""),
    ("; wv)", ""),
    ("AppleWebKit/", ""),
    ("botocore/", ""),
    ("bot/", ""),
    ("crawler", ""),
    ("spider", ""),
    ("monitoring", ""),
    ("iPad", ""),
    ("iPod", ""),
    ("iPhone", ""),
];

/// All words there are, found in one pass over a text.
static MARKS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::DFA))
        .build(TABLES.iter().copied().flatten().map(|(mark, _)| *mark))
        .ok()
});
const TABLES: [&[(&str, &str)]; 4] = [SPIDERS, BROWSERS, SYSTEMS, WORDS];
const BROWSERS_AT: usize = SPIDERS.len();
const SYSTEMS_AT: usize = BROWSERS_AT + BROWSERS.len();
const WORDS_AT: usize = SYSTEMS_AT + SYSTEMS.len();
const COUNT: usize = WORDS_AT + WORDS.len();

/// What an agent's text holds: for each mark, where its first occurrence ends, or 0.
struct Found<'a> {
    text: &'a str,
    ends: [u16; COUNT],
}

impl<'a> Found<'a> {
    fn new(text: &'a str) -> Self {
        let mut ends = [0; COUNT];
        for found in MARKS.iter().flat_map(|marks| marks.find_overlapping_iter(text)) {
            if let Some(end) = ends.get_mut(found.pattern().as_usize()).filter(|end| **end == 0) {
                *end = u16::try_from(found.end()).unwrap_or(0);
            }
        }
        Self { text, ends }
    }

    /// The first row of a table whose mark occurs, and the version that follows it.
    fn first(
        &self,
        table: &'static [(&'static str, &'static str)],
        at: usize,
    ) -> Option<(&'static (&'static str, &'static str), &'a str)> {
        let ends = self.ends.get(at..at + table.len())?;
        let index = ends.iter().position(|end| *end > 0)?;
        let version = version_at(self.text, usize::from(*ends.get(index)?));
        Some((table.get(index)?, version))
    }

    fn end(&self, word: &str) -> Option<usize> {
        let index = WORDS.iter().position(|(known, _)| *known == word)?;
        self.ends
            .get(WORDS_AT + index)
            .map(|end| usize::from(*end))
            .filter(|end| *end > 0)
    }

    fn has(&self, word: &str) -> bool {
        self.end(word).is_some()
    }

    /// The version after a word.
    fn after(&self, word: &str) -> &'a str {
        self.end(word).map_or("", |end| version_at(self.text, end))
    }
}

/// Reads an agent.
pub(crate) fn read(text: &str) -> Agent {
    let text = text.trim_start_matches('[');
    let found = Found::new(text);
    let os = found.first(SYSTEMS, SYSTEMS_AT).map_or("", |((_, name), _)| *name);
    let mut device = device(&found, os);
    if let Some(((mark, name), _)) = found.first(SPIDERS, 0) {
        let (_, version) = text.split_once(&format!("{mark}/")).unwrap_or_default();
        return agent(name, version_at(version, 0), os, Text::of_static("Spider"));
    }
    if let Some((mark, name)) = PROGRAMS.iter().find(|(mark, _)| text.starts_with(mark)) {
        // Amazon's own tools with their library count as spiders there.
        if name.starts_with("aws-cli") && found.has("botocore/") || name.starts_with("Boto") {
            device = Text::of_static("Spider");
        }
        return agent(name, version_at(text, mark.len()), os, device);
    }
    if let Some(((mark, name), version)) = found.first(BROWSERS, BROWSERS_AT) {
        let version = match *name {
            "IE" if mark.starts_with('T') => "11.0",
            _ => version,
        };
        let name = if *name == "Opera" && found.has("Mobile") {
            "Opera Mobile"
        } else {
            name
        };
        return agent(name, version, os, device);
    }
    let mobile = found.has("Mobile");
    if found.has("Firefox/") {
        let version = found.after("Firefox/");
        let name = match version.bytes().find(u8::is_ascii_alphabetic) {
            Some(b'a') => "Firefox Alpha",
            Some(b'b') => "Firefox Beta",
            _ if os == "Android" || mobile => "Firefox Mobile",
            _ => "Firefox",
        };
        return agent(name, version, os, device);
    }
    if found.has("Chrome/") {
        let name = match (os, mobile) {
            ("Android", true) if found.has("; wv)") || found.has("Version/4.0") => "Chrome Mobile WebView",
            (_, true) => "Chrome Mobile",
            _ => "Chrome",
        };
        return agent(name, found.after("Chrome/"), os, device);
    }
    if found.has("Safari/") && found.has("Mozilla/") {
        let name = match os {
            "Android" => "Android",
            "iOS" => "Mobile Safari",
            _ if found.has("Version/") => "Safari",
            _ => "Other",
        };
        return agent(name, found.after("Version/"), os, device);
    }
    if os == "iOS" && found.has("AppleWebKit/") {
        return agent("Mobile Safari UI/WKWebView", "", os, device);
    }
    let crawls = ["bot/", "crawler", "spider", "monitoring"]
        .iter()
        .any(|word| found.has(word));
    if crawls {
        device = Text::of_static("Spider");
    }
    agent("Other", "", os, device)
}

fn agent(name: &'static str, version: &str, os: &'static str, device: impl Into<Text>) -> Agent {
    Agent {
        name,
        version: Text::from(version),
        os,
        device: device.into(),
    }
}

/// The version that begins at a place.
fn version_at(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')))
        .unwrap_or(rest.len());
    rest.get(..end).unwrap_or("")
}

fn device(found: &Found<'_>, os: &str) -> Text {
    Text::of_static(match os {
        "Mac OS X" => "Mac",
        "iOS" => ["iPad", "iPod", "iPhone"]
            .into_iter()
            .find(|name| found.has(name))
            .unwrap_or("iOS-Device"),
        "Android" => return model_of(found.text),
        _ => "Other",
    })
}

/// `Mozilla/5.0 (Linux; [U; ]Android 9; [en-us; ]MODEL[ Build/X][; wv])`
fn model_of(text: &str) -> Text {
    let inner = text
        .cut_at(b'(')
        .and_then(|(_, rest)| rest.cut_at(b')'))
        .map_or("", |(inner, _)| inner);
    let mut parts = inner
        .split("; ")
        .skip_while(|part| !part.starts_with("Android"))
        .skip(1);
    let is_language = |part: &str| part.len() <= 5 && part.as_bytes().get(2) == Some(&b'-');
    let mut model = parts.next().unwrap_or("");
    if is_language(model) {
        model = parts.next().unwrap_or("");
    }
    let model = model.split("Build/").next().unwrap_or("").trim();
    if model.is_empty() || matches!(model, "Mobile" | "K") {
        return Text::of_static("Generic Smartphone");
    }
    if model.starts_with("KF") || model.starts_with("Kindle") {
        return Text::of_static("Kindle");
    }
    match model {
        _ if model.starts_with("SM-") || model.starts_with("GT-") => Text::joined("Samsung ", model),
        _ if model.starts_with("Redmi") || model.starts_with("Mi ") => Text::joined("XiaoMi ", model),
        _ => Text::from(model),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_have_the_names_others_give_them() {
        for (text, name, version, os, device) in [
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.12; rv:50.0) Gecko/20100101 Firefox/50.0",
                "Firefox",
                "50.0",
                "Mac OS X",
                "Mac",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
                "Edge",
                "131.0.0.0",
                "Windows",
                "Other",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
                "Mobile Safari",
                "17.5",
                "iOS",
                "iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
                "Chrome Mobile",
                "131.0.0.0",
                "Android",
                "Samsung SM-S918B",
            ),
            (
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "Googlebot",
                "2.1",
                "",
                "Spider",
            ),
            ("curl/8.5.0", "curl", "8.5.0", "", "Other"),
            ("() { :; }; /bin/bash -c id", "Other", "", "", "Other"),
            ("", "Other", "", "", "Other"),
        ] {
            for _ in 0..2 {
                assert_eq!(recall(text), agent(name, version, os, device), "{text}");
            }
        }
    }
}
