//! Encryption at rest: which keys there are, how bytes are sealed with them, and how keys themselves are.
//!
//! Two layers use this. Every record of a segment and every small value of the index is sealed with a data key of the
//! store (`keys`), below the names: a chunk is named by its plain content, so equal chunks are still stored once. Above
//! that, the content of an object may be sealed with a data key of its own (`stream`), which whoever reads must bring.
//!
//! Whatever is sealed at once has a key of its own, derived from the data key and 16 random bytes, its salt; within it
//! the nonce is the position of the piece. Each salt is drawn for one attempt to write and never used again, so no two
//! plaintexts ever share key and nonce.

mod data_key;
mod keys;
mod piece;
mod stream;

pub use data_key::{DataKey, MasterKey};
pub use keys::{Expected, KEYS_FILE, KeyStatus, Keys};
pub use piece::{PieceCipher, Seal, TAG_BYTES, Tag, salt};
pub use stream::{ContentSalt, Opener, SEALED_PIECE_BYTES, STREAM_PIECE_BYTES, Sealer, sealed_bytes};
