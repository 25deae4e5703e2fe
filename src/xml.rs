//! XML both ways: request documents are checked and deserialized, answers are written element by element.
//!
//! A request document is first rewritten into a plain form (no prolog, comments, prefixes or namespaces), and only
//! that form reaches the deserializer. So a document means the same with and without a namespace, and a `struct` with
//! `deny_unknown_fields` need not name any.

use std::fmt::Write as _;
use std::ops::Range;

use http::StatusCode;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use serde::de::DeserializeOwned;

use crate::error::S3Error;

/// The deepest nesting of a request document; S3's deepest, a lifecycle rule's tag, has six.
const DEPTH_MAX: usize = 16;

/// The namespace of S3's documents.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Reads a request document whose root element has that name: another one is `MalformedXML`.
pub fn parse_root<T: DeserializeOwned>(bytes: &[u8], root: &str) -> Result<T, S3Error> {
    let begins = |plain: &str| {
        let rest = plain.strip_prefix('<').and_then(|plain| plain.strip_prefix(root));
        rest.is_some_and(|rest| rest.starts_with([' ', '/', '>']))
    };
    parse_plain(bytes, begins)
}

/// Reads a request document, whatever its root element is called.
///
/// `MissingRequestBodyError` without any bytes; `MalformedXML` for what is not well-formed UTF-8 XML of bounded
/// depth, has a document type, names an entity other than XML's five, or does not fit `T`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, S3Error> {
    parse_plain(bytes, |_| true)
}

fn parse_plain<T: DeserializeOwned>(bytes: &[u8], is_acceptable: impl Fn(&str) -> bool) -> Result<T, S3Error> {
    if bytes.is_empty() {
        return Err(S3Error::new(StatusCode::BAD_REQUEST, "MissingRequestBodyError", "Request Body is empty"));
    }
    let plain = plain_form(bytes).filter(|plain| is_acceptable(plain)).ok_or_else(S3Error::malformed_xml)?;
    quick_xml::de::from_str(&plain).map_err(|_| S3Error::malformed_xml())
}

/// The document without prolog, comments, prefixes and namespaces, or `None` if it is not acceptable.
fn plain_form(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.chars().all(|character| character == '\r' || is_xml_character(character)) {
        return None;
    }
    let mut reader = Reader::from_str(text);
    let mut plain = String::with_capacity(text.len());
    let mut depth = 0;
    let mut roots = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                roots += usize::from(depth == 0);
                depth += 1;
                open_plain(&mut plain, &start)?;
                plain.push('>');
            }
            Event::Empty(start) if depth < DEPTH_MAX => {
                roots += usize::from(depth == 0);
                open_plain(&mut plain, &start)?;
                plain.push_str("/>");
            }
            Event::End(end) => {
                depth -= 1;
                plain.extend(["</", end.local_name().into_inner(), ">"]);
            }
            Event::Text(text) if depth > 0 => escape(&mut plain, &text.xml10_content()),
            Event::Text(text) if text.chars().all(|character| character.is_ascii_whitespace()) => {}
            Event::CData(text) if depth > 0 => escape(&mut plain, &text.xml10_content()),
            Event::GeneralRef(reference) if depth > 0 => escape_reference(&mut plain, &reference)?,
            Event::Decl(declaration) => match declaration.encoding() {
                None => {}
                Some(encoding) => {
                    encoding
                        .ok()
                        .filter(|name| name.eq_ignore_ascii_case("utf-8") || name.eq_ignore_ascii_case("us-ascii"))?;
                }
            },
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => return (roots == 1 && depth == 0).then_some(plain),
            Event::Empty(_) | Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::DocType(_) => {
                return None;
            }
        }
        if depth > DEPTH_MAX || roots > 1 {
            return None;
        }
    }
}

/// Writes `<name attribute="value"`, with local names and without namespace declarations.
fn open_plain(plain: &mut String, start: &BytesStart<'_>) -> Option<()> {
    plain.extend(["<", start.local_name().into_inner()]);
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        plain.extend([" ", attribute.key.local_name().into_inner(), "=\""]);
        escape(plain, &attribute.normalized_value(XmlVersion::Explicit1_0).ok()?);
        plain.push('"');
    }
    Some(())
}

/// Writes what a reference stands for. Control characters are welcome, since object keys may hold them; NUL is not.
fn escape_reference(plain: &mut String, reference: &quick_xml::events::BytesRef<'_>) -> Option<()> {
    let character = match reference.resolve_char_ref().ok()? {
        Some(character) => character,
        None => match &**reference {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => return None,
        },
    };
    if character == '\0' {
        return None;
    }
    escape(plain, character.encode_utf8(&mut [0; 4]));
    Some(())
}

/// Whether XML 1.0 can carry the character as it is; carriage returns would come back as line feeds.
fn is_xml_character(character: char) -> bool {
    !matches!(character, '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// Appends text with references for markup and for characters that XML 1.0 cannot carry, as S3 writes them.
fn escape(out: &mut String, text: &str) {
    let mut copied = 0;
    for (position, byte) in text.bytes().enumerate() {
        // 0xEF begins the two noncharacters U+FFFE and U+FFFF, among many others.
        let character = match byte {
            b'&' | b'<' | b'>' | b'"' | 0..=8 | 0xb..=0x1f => char::from(byte),
            0xef => match text[position..].chars().next() {
                Some(character) if !is_xml_character(character) => character,
                _ => continue,
            },
            _ => continue,
        };
        out.push_str(&text[copied..position]);
        copied = position + character.len_utf8();
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => write!(out, "&#x{:X};", u32::from(character)).expect("a String takes any text"),
        }
    }
    out.push_str(&text[copied..]);
}

/// Writes an answer's document.
pub struct Writer {
    text: String,
    /// Where the names of the open elements stand in the text, the root's first.
    open: Vec<Range<usize>>,
}

impl Writer {
    /// A document whose root has S3's namespace.
    pub fn new(root: &str) -> Writer {
        Writer::with_root(root, &format!(" xmlns=\"{NAMESPACE}\""))
    }

    /// A document whose root has another namespace.
    pub fn with_namespace(root: &str, namespace: &str) -> Writer {
        Writer::with_root(root, &format!(" xmlns=\"{namespace}\""))
    }

    /// A document without a namespace.
    pub fn plain(root: &str) -> Writer {
        Writer::with_root(root, "")
    }

    /// A document whose root has another namespace.
    pub fn in_namespace(root: &str, namespace: &str) -> Writer {
        Writer::with_root(root, &format!(" xmlns=\"{namespace}\""))
    }

    fn with_root(root: &str, attributes: &str) -> Writer {
        let mut text = String::with_capacity(1024);
        text.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
        let name = text.len()..text.len() + root.len();
        text.extend([root, attributes, ">"]);
        Writer { text, open: vec![name] }
    }

    /// An element with text.
    pub fn element(&mut self, name: &str, text: impl AsRef<str>) -> &mut Writer {
        self.text.extend(["<", name, ">"]);
        escape(&mut self.text, text.as_ref());
        self.text.extend(["</", name, ">"]);
        self
    }

    /// Text inside the element opened last.
    pub fn text(&mut self, text: impl AsRef<str>) -> &mut Writer {
        escape(&mut self.text, text.as_ref());
        self
    }

    /// Begins an element that holds others.
    pub fn open(&mut self, name: &str) -> &mut Writer {
        self.text.push('<');
        self.open.push(self.text.len()..self.text.len() + name.len());
        self.text.extend([name, ">"]);
        self
    }

    /// Begins an element with attributes that holds others.
    pub fn open_with(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Writer {
        self.open(name);
        self.text.pop();
        for (attribute, value) in attributes {
            self.text.extend([" ", attribute, "=\""]);
            escape(&mut self.text, value);
            self.text.push('"');
        }
        self.text.push('>');
        self
    }

    /// Ends the element opened last.
    pub fn close(&mut self) -> &mut Writer {
        if let Some(name) = self.open.pop() {
            self.text.push_str("</");
            self.text.extend_from_within(name);
            self.text.push('>');
        }
        self
    }

    /// Ends every open element and gives the document.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::{Writer, escape, parse};

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Document {
        #[serde(default)]
        item: Vec<Item>,
        status: Option<String>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Item {
        key: String,
        number: Option<u16>,
    }

    fn item(key: &str, number: Option<u16>) -> Item {
        Item { key: key.to_string(), number }
    }

    #[test]
    fn accepts() {
        fn check(text: &str, items: Vec<Item>, status: Option<&str>) {
            let expected = Document { item: items, status: status.map(str::to_string) };
            assert_eq!(parse::<Document>(text.as_bytes()).expect(text), expected, "{text}");
        }
        check("<D/>", vec![], None);
        check("<D><Status/></D>", vec![], Some(""));
        check("<D><Status></Status></D>", vec![], Some(""));
        check(
            "\u{feff}<?xml version='1.0' encoding='UTF-8'?>\n<!-- x --><D><Status>On</Status></D>\n",
            vec![],
            Some("On"),
        );
        check("<D xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status> On </Status></D>", vec![], Some(" On "));
        check("<p:D xmlns:p='u'><p:Status>a<!-- c -->b</p:Status></p:D>", vec![], Some("ab"));
        check(
            "<D><Status><![CDATA[<&]]>&amp;&lt;&gt;&quot;&apos;&#65;&#x1;</Status></D>",
            vec![],
            Some("<&&<>\"'A\u{1}"),
        );
        check(
            "<D>\n <Item>\n <Key> a b </Key><Number> 7 </Number></Item>\r\n<Item><Key>a\r\nb&#13;</Key></Item></D>",
            vec![item(" a b ", Some(7)), item("a\nb\r", None)],
            None,
        );
    }

    #[test]
    fn refuses() {
        fn check(bytes: &[u8], code: &str) {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(parse::<Document>(bytes).expect_err(&text).code, code, "{text}");
        }
        check(b"", "MissingRequestBodyError");
        for text in [
            " ",
            "x",
            "<D>",
            "</D>",
            "<D></E>",
            "<D/>x",
            "<D/><D/>",
            "x<D/>",
            "<D/>&amp;",
            "<D",
            "<D><Other/></D>",
            "<!DOCTYPE D><D/>",
            "<!DOCTYPE D [<!ENTITY x 'y'>]><D><Status>&x;</Status></D>",
            "<D><Status>&x;</Status></D>",
            "<D><Status>&#0;</Status></D>",
            "<D><Status>&#xD800;</Status></D>",
            "<D><Status>a & b</Status></D>",
            "<D><Status>\u{1}</Status></D>",
            "<D><Status>1</Status><Status>2</Status></D>",
            "<D a='1'/>",
            "<?xml version='1.0' encoding='UTF-16'?><D/>",
            "<D><Item><Key>k</Key><Number>x</Number></Item></D>",
            "<D><Item/></D>",
            "<D>stray</D>",
        ] {
            check(text.as_bytes(), "MalformedXML");
        }
        check(b"<D><Status>\xff</Status></D>", "MalformedXML");
        check("<a>".repeat(10_000).as_bytes(), "MalformedXML");
    }

    #[test]
    fn depth_is_bounded() {
        fn check(depth: usize, accepted: bool) {
            #[derive(Deserialize)]
            struct Any {}
            for inside in ["<a></a>", "<a/>"] {
                let text = format!("{}{inside}{}", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
                assert_eq!(parse::<Any>(text.as_bytes()).is_ok(), accepted, "{depth}");
            }
        }
        check(16, true);
        check(17, false);
    }

    #[test]
    fn escapes() {
        fn check(text: &str, expected: &str) {
            let mut escaped = String::new();
            escape(&mut escaped, text);
            assert_eq!(escaped, expected);
        }
        check("", "");
        check("plain/ü/日本'", "plain/ü/日本'");
        check("a&b<c>\"d\"", "a&amp;b&lt;c&gt;&quot;d&quot;");
        check("\0\u{1}\t\n\r\u{1f}\u{7f}", "&#x0;&#x1;\t\n&#xD;&#x1F;\u{7f}");
        check("x\u{fffe}\u{ffff}\u{fffd}\u{f000}", "x&#xFFFE;&#xFFFF;\u{fffd}\u{f000}");
    }

    #[test]
    fn writes() {
        let mut writer = Writer::new("Root");
        writer.element("Name", "a&b").open("Owner").element("ID", String::from("1")).close().open("Last");
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                        <Root xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                        <Name>a&amp;b</Name><Owner><ID>1</ID></Owner><Last></Last></Root>";
        assert_eq!(writer.finish(), expected);
        let mut writer = Writer::plain("Place");
        writer.text("<");
        assert_eq!(writer.finish(), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Place>&lt;</Place>");
        assert_eq!(Writer::plain("Error").finish(), "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error></Error>");
    }
}
