//! The decoder against every way to cut, truncate and damage a stream.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;

use super::{Decoder, Trailers};
use crate::auth::ChunkSigner;
use crate::error::S3Error;

const NAME: &str = "x-amz-checksum-crc32c";
const VALUE: &str = "sOO8/Q==";

/// What a decoder gave out: the data, and the trailer.
type Decoded = (Vec<u8>, Option<String>);

fn trailers() -> Trailers {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-trailer", HeaderValue::from_static(NAME));
    Trailers::announced_in(&headers).expect("a valid announcement")
}

fn signed(length: u64) -> Decoder {
    Decoder { chunk_bytes_min: 0, ..Decoder::new(length, Some(ChunkSigner::example()), None) }
}

fn signed_trailer(length: u64) -> Decoder {
    Decoder { chunk_bytes_min: 0, ..Decoder::new(length, Some(ChunkSigner::example()), Some(trailers())) }
}

fn unsigned(length: u64) -> Decoder {
    Decoder { chunk_bytes_min: 0, ..Decoder::new(length, None, Some(trailers())) }
}

fn decode<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Decoded, S3Error> {
    let mut out = Vec::new();
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(data) = decoder.step()? {
            out.extend_from_slice(&data);
        }
    }
    decoder.finish()?;
    Ok((out, decoder.trailers().get(NAME).map(str::to_owned)))
}

/// A signed stream of these chunks.
fn stream(chunks: &[&[u8]], with_trailer: bool) -> Vec<u8> {
    let mut signer = ChunkSigner::example();
    let mut out = Vec::new();
    for data in chunks.iter().copied().chain([&b""[..]]) {
        let signature = signer.sign_chunk(data);
        out.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", data.len()).as_bytes());
        out.extend_from_slice(data);
        if !data.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
    }
    if with_trailer {
        let signature = signer.sign_trailer(&format!("{NAME}:{VALUE}\n"));
        out.extend_from_slice(format!("{NAME}:{VALUE}\nx-amz-trailer-signature:{signature}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[test]
fn every_cut_gives_the_same() {
    fn check(decoder: fn(u64) -> Decoder, stream: &[u8], expected: &Decoded) {
        let length = expected.0.len() as u64;
        for cut in 0..=stream.len() {
            let (front, back) = stream.split_at(cut);
            assert_eq!(decode(decoder(length), [front, back]).expect("a valid stream"), *expected, "cut at {cut}");
        }
        assert_eq!(decode(decoder(length), stream.chunks(1)).expect("a valid stream"), *expected);
    }
    let data = || b"hello, world".to_vec();
    let trailer = || Some(VALUE.to_owned());
    check(signed, &stream(&[b"hello", b", world"], false), &(data(), None));
    check(signed, &stream(&[], false), &(Vec::new(), None));
    check(signed_trailer, &stream(&[b"hello, world"], true), &(data(), trailer()));
    for end in [
        "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n",
        "x-amz-checksum-crc32c:sOO8/Q==\n\r\n",
        "x-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n",
        "X-Amz-Checksum-Crc32c: sOO8/Q== \r\n\r\n",
    ] {
        let text = format!("5\r\nhello\r\n07\r\n, world\r\n0\r\n{end}");
        check(unsigned, text.as_bytes(), &(data(), trailer()));
    }
}

#[test]
fn an_empty_line_may_precede_the_trailer_signature() {
    let stream = String::from_utf8(stream(&[b"a"], true)).expect("ASCII");
    let spaced = stream.replace("==\n", "==\n\r\n");
    assert_eq!(decode(signed_trailer(1), [spaced.as_bytes()]).expect("valid").1.as_deref(), Some(VALUE));
    let twice = stream.replace("==\n", "==\n\r\n\r\n");
    assert_eq!(decode(signed_trailer(1), [twice.as_bytes()]).expect_err("two lines").code, "MalformedTrailerError");
    let late = stream.replace(&format!("{NAME}:"), &format!("\r\n{NAME}:"));
    assert_eq!(decode(signed_trailer(1), [late.as_bytes()]).expect_err("late").code, "MalformedTrailerError");
}

#[test]
fn faults_of_unsigned_streams() {
    fn check(text: &str, expected: &str) {
        assert_eq!(decode(unsigned(5), [text.as_bytes()]).expect_err(text).code, expected, "{text}");
    }
    let end = "x-amz-checksum-crc32c:sOO8/Q==\r\n\r\n";
    for (start, code) in [
        ("5\r\nhell", "IncompleteBody"),
        ("4\r\nhell\r\n0\r\n", "IncompleteBody"),
        ("6\r\nhello!\r\n0\r\n", "IncompleteBody"),
        ("5\r\nhello\r\n1\r\n!\r\n0\r\n", "IncompleteBody"),
        ("ffffffffffffffff\r\nhello", "IncompleteBody"),
        ("10000000000000000\r\nhello", "IncompleteBody"),
        ("5\nhello\r\n0\r\n", "IncompleteBody"),
        ("5\r\nhello!\r\n0\r\n", "IncompleteBody"),
        ("5\r\nhello\n0\r\n", "IncompleteBody"),
        ("\r\nhello\r\n", "IncompleteBody"),
        ("+5\r\nhello\r\n", "IncompleteBody"),
        (" 5\r\nhello\r\n", "IncompleteBody"),
        ("5;chunk-signature=00\r\nhello\r\n", "IncompleteBody"),
        ("5;name=value\r\nhello\r\n", "IncompleteBody"),
        ("5\r\nhello\r\n0\r\n\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-sha1:x\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nno colon\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:other\r\n", "MalformedTrailerError"),
        ("5\r\nhello\r\n0\r\nx-amz-trailer-signature:00\r\n", "MalformedTrailerError"),
    ] {
        check(&format!("{start}{end}"), code);
    }
    check("", "IncompleteBody");
    check("5\r\nhell", "IncompleteBody");
    check("5\r\nhello\r\n", "IncompleteBody");
    check("5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\r\n", "IncompleteBody");
    check(&format!("5\r\nhello\r\n0\r\n{end}\r"), "IncompleteBody");
    check(&format!("5\r\nhello\r\n0\r\n{end}x"), "IncompleteBody");
    check(&format!("5\r\nhello\r\n0\r\n{end}x\n"), "IncompleteBody");
    check(&format!("5\r\nhello\r\n0\r\n{end}\r\n\r\n"), "IncompleteBody");
    check(&"5".repeat(2000), "IncompleteBody");
    check(&format!("5\r\nhello\r\n0\r\n{NAME}:{}\r\n", "x".repeat(2000)), "IncompleteBody");
}

#[test]
fn signed_streams_must_be_signed() {
    let error = decode(signed(5), [&b"5\r\nhello\r\n0\r\n\r\n"[..]]).expect_err("no signatures");
    assert_eq!(error.code, "IncompleteBody");
    let twice = [stream(&[b"a"], false), stream(&[b"b"], false)].concat();
    assert_eq!(decode(signed(1), [&twice[..]]).expect_err("two ends").code, "IncompleteBody");
    let damaged = String::from_utf8(stream(&[b"hello"], false)).expect("ASCII").replace("hello", "hallo");
    let error = decode(signed(5), [damaged.as_bytes()]).expect_err("damaged");
    assert_eq!((error.code, error.status.as_u16()), ("SignatureDoesNotMatch", 403));
    let no_signature = String::from_utf8(stream(&[b"a"], true)).expect("ASCII");
    let at = no_signature.find("x-amz-trailer-signature").expect("a signature");
    let error = decode(signed_trailer(1), [&no_signature.as_bytes()[..at], b"\r\n"]).expect_err("no trailer signature");
    assert_eq!(error.code, "IncompleteBody");
}

#[test]
fn the_last_bytes_of_a_chunk_wait_for_its_signature() {
    let damaged = String::from_utf8(stream(&[b"hello"], false)).expect("ASCII").replace("hello", "hellO");
    let (front, back) = damaged.split_at(damaged.find("hellO").expect("the data") + 4);
    let mut decoder = signed(5);
    decoder.feed(Bytes::from(front.to_owned()));
    assert_eq!(decoder.step().expect("not known to be wrong yet").as_deref(), Some(&b"hell"[..]));
    assert_eq!(decoder.step().expect("not known to be wrong yet"), None);
    decoder.feed(Bytes::from(back.to_owned()));
    assert_eq!(decoder.step().expect_err("the signature").code, "SignatureDoesNotMatch");
}

#[test]
fn only_the_last_chunk_may_be_small() {
    fn check(sizes: &[usize], expected: Result<(), &[(&str, &str)]>) {
        let data = vec![b'a'; 9000];
        let mut text: Vec<u8> = Vec::new();
        for size in sizes {
            text.extend_from_slice(format!("{size:x}\r\n").as_bytes());
            text.extend_from_slice(&data[..*size]);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(format!("0\r\n{NAME}:{VALUE}\r\n\r\n").as_bytes());
        let decoder = Decoder::new(sizes.iter().sum::<usize>() as u64, None, Some(trailers()));
        let found = decode(decoder, [&text[..]]).map(|_| ()).map_err(|error| error.fields);
        let expected =
            expected.map_err(|fields| fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect());
        assert_eq!(found, expected.map_err(|fields: Vec<_>| fields), "{sizes:?}");
    }
    check(&[1], Ok(()));
    check(&[8192, 1], Ok(()));
    check(&[8192, 8191, 1], Err(&[("Chunk", "3"), ("BadChunkSize", "8191")]));
    check(&[3, 2], Err(&[("Chunk", "2"), ("BadChunkSize", "3")]));
}

#[test]
fn data_is_not_copied() {
    let input = Bytes::from_static(b"5\r\nhello\r\n");
    let data_at = input[3..].as_ptr();
    let mut decoder = unsigned(5);
    decoder.feed(input);
    assert_eq!(decoder.step().expect("valid").expect("data").as_ptr(), data_at);
}

proptest! {
    #[test]
    fn a_truncated_stream_never_succeeds(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4),
        with_trailer: bool,
        place: prop::sample::Index,
    ) {
        let (whole, length, decoder) = sample(&chunks, with_trailer);
        prop_assert!(decode(decoder(length), [&whole[..]]).is_ok());
        let end = place.index(whole.len());
        prop_assert!(decode(decoder(length), [&whole[..end]]).is_err());
    }

    /// A change that means the same (the case of a hex digit, space around a trailer) may pass; the data may not change.
    #[test]
    fn a_damaged_stream_never_gives_other_data(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..4),
        with_trailer: bool,
        place: prop::sample::Index,
        byte: u8,
    ) {
        let (mut damaged, length, decoder) = sample(&chunks, with_trailer);
        let expected = (chunks.concat(), with_trailer.then(|| VALUE.to_owned()));
        let at = place.index(damaged.len());
        let same_meaning = damaged[at].eq_ignore_ascii_case(&byte) || byte.is_ascii_whitespace();
        damaged[at] = byte;
        match decode(decoder(length), [&damaged[..]]) {
            Ok(decoded) => {
                prop_assert!(same_meaning, "byte {} became {}", at, byte);
                prop_assert_eq!(decoded, expected);
            }
            Err(error) => prop_assert!(error.status.is_client_error()),
        }
    }
}

fn sample(chunks: &[Vec<u8>], with_trailer: bool) -> (Vec<u8>, u64, fn(u64) -> Decoder) {
    let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
    let length = chunks.iter().map(Vec::len).sum::<usize>() as u64;
    let decoder: fn(u64) -> Decoder = if with_trailer { signed_trailer } else { signed };
    (stream(&slices, with_trailer), length, decoder)
}
