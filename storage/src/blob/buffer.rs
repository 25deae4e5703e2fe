//! Reused memory for large transfers: aligned for direct I/O, bounded, and spared the page faults of fresh memory.

use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blob::hash::PIECE_BYTES;
use crate::error::{Error, Result};
use crate::fs::DIRECT_ALIGNMENT_BYTES;

/// The size of a write buffer, in bytes: large enough that direct writes run at the disk's full rate, with a block for
/// what comes before sixteen whole pieces.
pub const WRITE_BUFFER_BYTES: usize = (1 << 20) + DIRECT_ALIGNMENT_BYTES;
/// Idle write buffers beyond this number are given back.
const WRITE_BUFFERS_IDLE_MAX: usize = 160;
/// The size of a read buffer, in bytes: 256 KiB of content that starts within a piece, with head, tail and padding.
const READ_BUFFER_BYTES: usize = (256 << 10) + 2 * PIECE_BYTES;
/// Below this many bytes a read has memory of its own, of the exact size.
const READ_BUFFER_BYTES_LEAST: usize = 128 << 10;
/// Idle read buffers beyond this number are given back. Busy ones are bounded by the readers there are.
const READ_BUFFERS_IDLE_MAX: usize = 32;

/// Memory whose address is a multiple of [`DIRECT_ALIGNMENT_BYTES`], zeros at first.
pub struct AlignedBuffer {
    /// Never grows, so it never moves.
    memory: Vec<u8>,
    range: Range<usize>,
}

impl AlignedBuffer {
    /// A buffer of that size in bytes.
    pub fn new(bytes: usize) -> AlignedBuffer {
        let memory = vec![0; bytes + DIRECT_ALIGNMENT_BYTES - 1];
        let start = memory.as_ptr().addr().next_multiple_of(DIRECT_ALIGNMENT_BYTES) - memory.as_ptr().addr();
        AlignedBuffer { memory, range: start..start + bytes }
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.range.clone()]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.range.clone()]
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// The buffers of one store.
pub struct Buffers {
    write_permits: Arc<Semaphore>,
    write_idle: Arc<Idle>,
    read_idle: Arc<Idle>,
}

impl Buffers {
    /// At most `write_buffers_max` at a time for writes. None is made before it is needed.
    pub fn new(write_buffers_max: usize) -> Buffers {
        Buffers {
            write_permits: Arc::new(Semaphore::new(write_buffers_max)),
            write_idle: Arc::new(Idle { most: WRITE_BUFFERS_IDLE_MAX, buffers: Mutex::default() }),
            read_idle: Arc::new(Idle { most: READ_BUFFERS_IDLE_MAX, buffers: Mutex::default() }),
        }
    }

    /// A write buffer, waiting until there is one. Whoever holds one already must not wait for a second.
    pub async fn write_buffer(&self) -> Result<WriteBuffer> {
        let permit = self.write_permits.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
        Ok(WriteBuffer { buffer: Pooled::new(&self.write_idle, WRITE_BUFFER_BYTES), _permit: permit })
    }

    /// How many write buffers are to be had at once.
    #[cfg(test)]
    pub fn write_buffers_free(&self) -> usize {
        self.write_permits.available_permits()
    }

    /// Memory for a read of that many bytes.
    pub fn read_buffer(&self, bytes: usize) -> ReadBuffer {
        if !(READ_BUFFER_BYTES_LEAST..=READ_BUFFER_BYTES).contains(&bytes) {
            return ReadBuffer::Exact(vec![0; bytes]);
        }
        ReadBuffer::Pooled(Pooled::new(&self.read_idle, READ_BUFFER_BYTES), bytes)
    }
}

/// A write buffer of [`WRITE_BUFFER_BYTES`] with unspecified content.
pub struct WriteBuffer {
    buffer: Pooled,
    _permit: OwnedSemaphorePermit,
}

impl Deref for WriteBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.memory()
    }
}

impl DerefMut for WriteBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.buffer.memory_mut()
    }
}

/// Memory of the size asked for, with unspecified content.
pub enum ReadBuffer {
    /// Of exactly that size.
    Exact(Vec<u8>),
    /// The first so many bytes of a pooled buffer.
    Pooled(Pooled, usize),
}

impl ReadBuffer {
    /// Hands out part of the content without copying it; the memory is reused when the last handle is dropped.
    pub fn into_bytes(self, range: Range<usize>) -> Bytes {
        match self {
            ReadBuffer::Exact(memory) => Bytes::from(memory).slice(range),
            ReadBuffer::Pooled(buffer, _) => Bytes::from_owner(buffer).slice(range),
        }
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            ReadBuffer::Exact(memory) => memory,
            ReadBuffer::Pooled(buffer, bytes) => &buffer.memory()[..*bytes],
        }
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            ReadBuffer::Exact(memory) => memory,
            ReadBuffer::Pooled(buffer, bytes) => &mut buffer.memory_mut()[..*bytes],
        }
    }
}

struct Idle {
    most: usize,
    buffers: Mutex<Vec<AlignedBuffer>>,
}

/// A buffer that goes back to its pool when it is dropped.
pub struct Pooled {
    /// Absent only within `drop`.
    buffer: Option<AlignedBuffer>,
    home: Arc<Idle>,
}

impl Pooled {
    fn new(home: &Arc<Idle>, bytes: usize) -> Pooled {
        let idle = home.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Pooled { buffer: Some(idle.unwrap_or_else(|| AlignedBuffer::new(bytes))), home: home.clone() }
    }

    fn memory(&self) -> &[u8] {
        self.buffer.as_ref().expect("only drop takes it")
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().expect("only drop takes it")
    }
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        self.memory()
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut idle = self.home.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.home.most {
            idle.extend(self.buffer.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AlignedBuffer, Buffers};
    use crate::fs::DIRECT_ALIGNMENT_BYTES;

    #[tokio::test]
    async fn buffers_are_aligned_and_bounded() {
        assert!(AlignedBuffer::new(4096).as_ptr().addr().is_multiple_of(DIRECT_ALIGNMENT_BYTES));
        let buffers = Buffers::new(2);
        let mut held = vec![buffers.write_buffer().await.unwrap(), buffers.write_buffer().await.unwrap()];
        assert!(held.iter().all(|buffer| buffer.as_ptr().addr().is_multiple_of(DIRECT_ALIGNMENT_BYTES)));
        assert_eq!(buffers.write_buffers_free(), 0);
        held.pop();
        assert_eq!(buffers.write_buffers_free(), 1);
        buffers.write_buffer().await.unwrap();
    }

    #[test]
    fn read_memory_has_the_size_asked_for() {
        let buffers = Buffers::new(0);
        for bytes in [1, 1 << 16, 1 << 17, 1 << 20, (1 << 20) + (1 << 17), 1 << 21] {
            let mut buffer = buffers.read_buffer(bytes);
            assert_eq!(buffer.len(), bytes);
            buffer[bytes - 1] = 9;
            assert_eq!(buffer.into_bytes(bytes - 1..bytes)[..], [9]);
        }
    }
}
