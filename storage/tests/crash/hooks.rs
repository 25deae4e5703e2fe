//! The system's calls for files, as this test's process has them: RocksDB, which is linked into it, and the standard
//! library call these functions instead of those of the C library. Each does the call, and tells the recorder.
//!
//! That none is missing is checked after every history: what the log adds up to must be what is in the directory.
//! `sync_file_range` promises nothing about a crash, so it counts as nothing. Syncs are never done, also for directories
//! that nobody records, which saves the tests the wait.
#![expect(unsafe_code, reason = "functions of C can only be replaced in its terms")]

use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use libc::{AT_FDCWD, mode_t, off_t, size_t, ssize_t};

use crate::log::Kind;
use crate::recorder::{Call, Failure, Recorder, active};

fn fail(failure: Failure) -> c_int {
    let code = match failure {
        Failure::Full => libc::ENOSPC,
        Failure::Descriptors => libc::EMFILE,
        Failure::Broken | Failure::Short => libc::EIO,
    };
    // SAFETY: the pointer is to this thread's errno, which lives as long as the thread.
    unsafe { *libc::__errno_location() = code };
    -1
}

/// # Safety
/// `path` is a string of C that lives as long as it is looked at, as callers of the hooked functions promise.
unsafe fn path_of<'a>(path: *const c_char) -> &'a Path {
    // SAFETY: as promised by the caller.
    Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()))
}

/// Makes a call that changes names, unless it is to fail, and tells the recorder if it went well.
fn naming(paths: &[&Path], call: Call, act: impl FnOnce() -> c_int, tell: impl FnOnce(&mut Recorder)) -> c_int {
    let mut guard = active();
    let recorder = guard.as_mut().and_then(|guard| guard.as_mut());
    let Some(recorder) = recorder.filter(|recorder| paths.iter().any(|path| recorder.watches(path))) else {
        drop(guard);
        return act();
    };
    if let Some(failure) = recorder.fails(call) {
        return fail(failure);
    }
    let outcome = act();
    if outcome == 0 {
        tell(recorder);
    }
    outcome
}

/// Opens a file, for all names of that function.
fn open_file(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the arguments are those of the caller, who means `openat` as well.
    let act = || unsafe { libc::syscall(libc::SYS_openat, AT_FDCWD, path, flags, mode) as c_int };
    // SAFETY: the caller gave a path.
    let path = unsafe { path_of(path) };
    let mut guard = active();
    let recorder = guard.as_mut().and_then(|guard| guard.as_mut());
    let Some(recorder) = recorder.filter(|recorder| recorder.watches(path)) else {
        drop(guard);
        return act();
    };
    let makes = flags & libc::O_CREAT != 0 && !recorder.has(path);
    if let Some(failure) = recorder.fails(if makes { Call::Create } else { Call::Open }) {
        return fail(failure);
    }
    let descriptor = act();
    if descriptor >= 0 {
        if makes {
            recorder.made(path, Kind::File);
        }
        recorder.opened(path, descriptor, flags & libc::O_TRUNC != 0 && !makes);
    }
    descriptor
}

/// Writes to a file at `offset`, or where it stands if there is none.
fn write_file(file: c_int, bytes: *const c_void, count: size_t, offset: Option<off_t>) -> ssize_t {
    let act = |count: size_t, offset: Option<off_t>| match offset {
        // SAFETY: the caller owns `count` bytes there; fewer are written at most.
        Some(offset) => unsafe { libc::syscall(libc::SYS_pwrite64, file, bytes, count, offset) as ssize_t },
        // SAFETY: as above.
        None => unsafe { libc::syscall(libc::SYS_write, file, bytes, count) as ssize_t },
    };
    let mut guard = active();
    let recorder = guard.as_mut().and_then(|guard| guard.as_mut());
    let Some((recorder, node)) = recorder.and_then(|recorder| recorder.node(file).map(|node| (recorder, node))) else {
        drop(guard);
        return act(count, offset);
    };
    let failure = recorder.fails(Call::Write);
    let count = if failure.is_some() { half(count) } else { count };
    let written = if count == 0 { 0 } else { act(count, offset) };
    if let Ok(length @ 1..) = usize::try_from(written) {
        // SAFETY: asking for the place of a descriptor changes nothing.
        let place = offset.unwrap_or_else(|| unsafe { libc::lseek(file, 0, libc::SEEK_CUR) } - written as off_t);
        // SAFETY: so many bytes were just read from there.
        let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
        recorder.wrote(node, place as u64, bytes);
    }
    match failure {
        Some(failure @ (Failure::Broken | Failure::Full)) => fail(failure) as ssize_t,
        Some(Failure::Short | Failure::Descriptors) | None => written,
    }
}

/// Half of the bytes, in whole blocks of direct transfers if there is one.
fn half(count: size_t) -> size_t {
    let half = count / 2;
    if half >= 4096 {
        half / 4096 * 4096
    } else if count.is_multiple_of(4096) {
        0
    } else {
        half
    }
}

/// Does nothing but tell the recorder, on which the power is cut.
fn sync_file(file: c_int) -> c_int {
    let mut guard = active();
    let recorder = guard.as_mut().and_then(|guard| guard.as_mut());
    let Some((recorder, node)) = recorder.and_then(|recorder| recorder.node(file).map(|node| (recorder, node))) else {
        return 0;
    };
    let failure = recorder.fails(Call::Sync);
    recorder.synced(node, failure.is_none());
    failure.map_or(0, fail)
}

/// Changes a file's size to `bytes`, or, where `reserves`, to at least that.
fn resize_file(file: c_int, bytes: Option<off_t>, act: impl FnOnce() -> c_int) -> c_int {
    let mut guard = active();
    let recorder = guard.as_mut().and_then(|guard| guard.as_mut());
    let Some((recorder, node)) = recorder.and_then(|recorder| recorder.node(file).map(|node| (recorder, node))) else {
        drop(guard);
        return act();
    };
    if let Some(failure) = recorder.fails(Call::Make) {
        return fail(failure);
    }
    let outcome = act();
    if let (0, Some(bytes)) = (outcome, bytes) {
        recorder.resized(node, bytes as u64);
    }
    outcome
}

#[unsafe(no_mangle)]
extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_file(path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    open_file(path, flags, mode)
}

#[unsafe(no_mangle)]
extern "C" fn close(file: c_int) -> c_int {
    // Before the call: afterwards the number may be another file's.
    if let Some(mut guard) = active()
        && let Some(recorder) = guard.as_mut()
    {
        recorder.closes(file);
    }
    // SAFETY: the caller gives up the descriptor.
    unsafe { libc::syscall(libc::SYS_close, file) as c_int }
}

/// RocksDB reads some files as streams, which the C library closes without calling `close`.
#[unsafe(no_mangle)]
extern "C" fn fclose(stream: *mut libc::FILE) -> c_int {
    if let Some(mut guard) = active()
        && let Some(recorder) = guard.as_mut()
    {
        // SAFETY: the caller has a stream that is open.
        recorder.closes(unsafe { libc::fileno(stream) });
    }
    // SAFETY: the name is a string of C; the next function of it is the C library's, which is never unloaded.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, c"fclose".as_ptr()) };
    assert!(!found.is_null(), "the C library closes streams");
    // SAFETY: that function has this type.
    let close: unsafe extern "C" fn(*mut libc::FILE) -> c_int = unsafe { std::mem::transmute(found) };
    // SAFETY: the caller gives up the stream.
    unsafe { close(stream) }
}

#[unsafe(no_mangle)]
extern "C" fn write(file: c_int, bytes: *const c_void, count: size_t) -> ssize_t {
    write_file(file, bytes, count, None)
}

#[unsafe(no_mangle)]
extern "C" fn pwrite(file: c_int, bytes: *const c_void, count: size_t, offset: off_t) -> ssize_t {
    write_file(file, bytes, count, Some(offset))
}

#[unsafe(no_mangle)]
extern "C" fn pwrite64(file: c_int, bytes: *const c_void, count: size_t, offset: off_t) -> ssize_t {
    write_file(file, bytes, count, Some(offset))
}

#[unsafe(no_mangle)]
extern "C" fn fsync(file: c_int) -> c_int {
    sync_file(file)
}

#[unsafe(no_mangle)]
extern "C" fn fdatasync(file: c_int) -> c_int {
    sync_file(file)
}

#[unsafe(no_mangle)]
extern "C" fn sync_file_range(_file: c_int, _offset: off_t, _count: off_t, _flags: c_uint) -> c_int {
    0
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate(file: c_int, bytes: off_t) -> c_int {
    // SAFETY: the arguments are those of the caller.
    resize_file(file, Some(bytes), || unsafe { libc::syscall(libc::SYS_ftruncate, file, bytes) as c_int })
}

#[unsafe(no_mangle)]
extern "C" fn ftruncate64(file: c_int, bytes: off_t) -> c_int {
    ftruncate(file, bytes)
}

#[unsafe(no_mangle)]
extern "C" fn fallocate(file: c_int, mode: c_int, offset: off_t, bytes: off_t) -> c_int {
    // Without a mode it would change the size, which nobody here asks for: the check after the history would tell.
    // SAFETY: the arguments are those of the caller.
    resize_file(file, None, || unsafe { libc::syscall(libc::SYS_fallocate, file, mode, offset, bytes) as c_int })
}

#[unsafe(no_mangle)]
extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller gave two paths.
    let (old, new) = unsafe { (path_of(from), path_of(to)) };
    // SAFETY: as above.
    let act = || unsafe { libc::syscall(libc::SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0) as c_int };
    naming(&[old, new], Call::Make, act, |recorder| recorder.renamed(old, new))
}

#[unsafe(no_mangle)]
extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    linkat(AT_FDCWD, from, AT_FDCWD, to, 0)
}

#[unsafe(no_mangle)]
extern "C" fn linkat(
    from_directory: c_int,
    from: *const c_char,
    to_directory: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller gave two paths.
    let (old, new) = unsafe { (path_of(from), path_of(to)) };
    // SAFETY: as above.
    let act = || unsafe { libc::syscall(libc::SYS_linkat, from_directory, from, to_directory, to, flags) as c_int };
    naming(&[old, new], Call::Make, act, |recorder| recorder.linked(old, new))
}

#[unsafe(no_mangle)]
extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller gave a path.
    let name = unsafe { path_of(path) };
    // SAFETY: as above.
    let act = || unsafe { libc::syscall(libc::SYS_unlinkat, AT_FDCWD, path, 0) as c_int };
    naming(&[name], Call::Remove, act, |recorder| recorder.removed(name))
}

#[unsafe(no_mangle)]
extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller gave a path.
    let name = unsafe { path_of(path) };
    // SAFETY: as above.
    let act = || unsafe { libc::syscall(libc::SYS_unlinkat, AT_FDCWD, path, libc::AT_REMOVEDIR) as c_int };
    naming(&[name], Call::Remove, act, |recorder| recorder.removed(name))
}

#[unsafe(no_mangle)]
extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller gave a path.
    let name = unsafe { path_of(path) };
    // SAFETY: as above.
    let act = || unsafe { libc::syscall(libc::SYS_mkdirat, AT_FDCWD, path, mode) as c_int };
    naming(&[name], Call::Make, act, |recorder| recorder.made(name, Kind::Directory))
}
