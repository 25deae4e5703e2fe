//! What the members of an export are called: a key as a path that any tool may unpack, and any file system takes.
//!
//! `objects/<key>@<version id>` is the content, the same with `.json` its properties and with `.sha256` its seal. A key stays
//! readable as far as that is safe. In each piece between slashes what is not plain ASCII is percent-encoded, `@` too, so that
//! no key looks like another one's member; `.` and `..` are encoded as a whole, an empty piece is `%=`, and a long one is cut
//! by `%+/`. Names go one way: the true key is in the properties.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Where the versions are.
const OBJECTS: &str = "objects/";
/// The longest piece of a path: with a version id and an ending it is below the 255 bytes of file systems.
const PIECE_BYTES_MAX: usize = 180;
/// What is not encoded besides letters and digits: what no shell, archive or file system takes for something else.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'+').remove(b',');

/// The member with the bucket's configuration, the first one.
pub const BUCKET: &str = "bucket.json";
/// The member that says how much there is, the last one.
pub const MANIFEST: &str = "manifest.json";

/// The member with a version's content. Those beside it have endings.
pub fn content(key: &str, version_id: &str) -> String {
    let mut name = OBJECTS.to_owned();
    let last = key.split('/').count() - 1;
    for (position, piece) in key.split('/').enumerate() {
        match piece {
            // The last one is followed by the version id, so nothing is missing there.
            "" if position < last => name.push_str("%="),
            piece => push_piece(&mut name, piece),
        }
        if position < last {
            name.push('/');
        }
    }
    name.push('@');
    name.extend(utf8_percent_encode(version_id, ENCODED));
    name
}

/// The member with its properties.
pub fn properties(content: &str) -> String {
    format!("{content}.json")
}

/// The member with its seal.
pub fn seal(content: &str) -> String {
    format!("{content}.sha256")
}

fn push_piece(name: &mut String, piece: &str) {
    let mut written = String::new();
    for character in piece.chars() {
        let mut bytes = [0; 4];
        let encoded: String = utf8_percent_encode(character.encode_utf8(&mut bytes), ENCODED).collect();
        if written.len() + encoded.len() > PIECE_BYTES_MAX {
            name.push_str(&written);
            name.push_str("%+/");
            written.clear();
        }
        written.push_str(&encoded);
    }
    match written.as_str() {
        "." => name.push_str("%2E"),
        ".." => name.push_str("%2E%2E"),
        written => name.push_str(written),
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

    use super::{OBJECTS, content};

    /// The key and version id that a name was made of.
    fn decoded(name: &str) -> Option<(String, String)> {
        let (path, version_id) = name.strip_prefix(OBJECTS)?.split_once('@')?;
        let text = |encoded: &str| percent_decode_str(encoded).decode_utf8().ok().map(|text| text.into_owned());
        let pieces: Vec<&str> = path.split('/').collect();
        let mut key = String::new();
        for (position, piece) in pieces.iter().enumerate() {
            let is_last = position + 1 == pieces.len();
            match (*piece, piece.strip_suffix("%+")) {
                ("%=", _) => key.push('/'),
                (_, Some(cut)) => key.push_str(&text(cut)?),
                (piece, None) => {
                    key.push_str(&text(piece)?);
                    if !is_last {
                        key.push('/');
                    }
                }
            }
        }
        Some((key, text(version_id)?))
    }

    fn check(key: &str, expected: &str) {
        let name = content(key, "v");
        assert_eq!(name, format!("objects/{expected}@v"), "{key:?}");
        assert_eq!(decoded(&name), Some((key.to_owned(), "v".to_owned())), "{key:?}");
    }

    #[test]
    fn names_are_readable_and_safe() {
        check("photos/2026/cat.jpg", "photos/2026/cat.jpg");
        check("../../etc/passwd", "%2E%2E/%2E%2E/etc/passwd");
        check("a/./..", "a/%2E/%2E%2E");
        check("/a//b/", "%=/a/%=/b/");
        check("...", "...");
        check("a@1.json", "a%401.json");
        check("ü \u{7}\\", "%C3%BC%20%07%5C");
        check("%2E", "%252E");
        check(&"a".repeat(181), &format!("{}%+/a", "a".repeat(180)));
        check(&format!("{}..", "a".repeat(180)), &format!("{}%+/%2E%2E", "a".repeat(180)));
        check(&"a".repeat(180), &"a".repeat(180));
    }

    #[test]
    fn objects_and_what_lies_below_them_do_not_meet() {
        let names = ["a", "a/", "a//", "/a", "a/b", "a@v", "a/@v", "a%40v"].map(|key| content(key, "v"));
        for (position, name) in names.iter().enumerate() {
            assert!(names[position + 1..].iter().all(|other| other != name), "{name}");
        }
    }

    fn keys() -> impl Strategy<Value = String> {
        // Few characters that mean something, and any others; as long as keys may be.
        let odd =
            proptest::sample::select(vec!['/', '.', '%', '@', '+', '=', '\\', ' ', 'a', 'ü', '\u{0}', '\u{1F600}']);
        let character = proptest::prop_oneof![4 => odd, 1 => any::<char>()];
        let long = "[a./]{150,1024}";
        let any_key =
            proptest::collection::vec(character, 1..200).prop_map(|characters| characters.into_iter().collect());
        proptest::prop_oneof![any_key, long]
    }

    proptest! {
        #[test]
        fn names_read_back(key in keys(), version_id in "[A-Za-z0-9_.@/-]{1,20}") {
            let name = content(&key, &version_id);
            prop_assert_eq!(decoded(&name), Some((key, version_id)));
            prop_assert!(name.is_ascii() && !name.contains("//"), "{}", name);
            for piece in name.split('/') {
                prop_assert!(piece != "." && piece != ".." && piece.len() <= 255, "{}", piece);
            }
        }
    }
}
