//! The audit log's file: one JSON record per line, appended by a thread of its own in the order of arrival.
//!
//! A record is handed over, then written, then synced. Dying before the sync may lose the last records or leave the last
//! line torn; the next start begins a line of its own. What cannot be written is counted and told in the process's log,
//! where each record is as well.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tokio::sync::oneshot;

/// Records that wait to be written: more than a server makes while a disk hesitates.
const WAITING_MAX: usize = 4096;

/// Hands records over to the thread that writes them. When all are dropped, the thread ends.
pub struct AuditFile {
    messages: SyncSender<Message>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the audit log {path}: {source}", path = .path.display())]
pub struct AuditFileError {
    path: PathBuf,
    source: io::Error,
}

enum Message {
    Record(String),
    Reopen,
    Flush(oneshot::Sender<()>),
}

struct Writer {
    path: PathBuf,
    file: File,
    /// Whether the last line may lack its end.
    is_torn: bool,
    lost: u64,
}

impl AuditFile {
    /// Opens the file, or makes it, readable by its owner alone.
    pub fn open(path: &Path) -> Result<AuditFile, AuditFileError> {
        let failed = |source| AuditFileError { path: path.to_owned(), source };
        let (file, is_torn) = append_to(path).map_err(failed)?;
        let writer = Writer { path: path.to_owned(), file, is_torn, lost: 0 };
        let (messages, waiting) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new().name("audit".to_owned());
        thread.spawn(move || writer.run(&waiting)).map_err(failed)?;
        Ok(AuditFile { messages })
    }

    /// Hands over one line with its end. Never waits: when too many wait already, it is lost to the file.
    pub fn write(&self, line: String) {
        self.send(Message::Record(line));
    }

    /// Opens the file under its name anew, so that the former one can be moved away.
    pub fn reopen(&self) {
        self.send(Message::Reopen);
    }

    /// Waits until what was handed over is written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        self.send(Message::Flush(done));
        // Dropped without an answer, the message was refused, which was told.
        let _written = written.await;
    }

    fn send(&self, message: Message) {
        match self.messages.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => tracing::error!("the audit log's file is too slow; a record is lost to it"),
            Err(TrySendError::Disconnected(_)) => tracing::error!("the audit log's file is not written any more"),
        }
    }
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Message>) {
        while let Ok(message) = waiting.recv() {
            match message {
                Message::Record(line) => self.record(&line),
                Message::Reopen => self.reopen(),
                Message::Flush(done) => {
                    // Nobody may wait for it any more.
                    let _gone = done.send(());
                }
            }
        }
    }

    fn record(&mut self, line: &str) {
        let whole = if self.is_torn { format!("\n{line}") } else { line.to_owned() };
        let written = self.file.write_all(whole.as_bytes()).and_then(|()| self.file.sync_data());
        self.is_torn = written.is_err();
        match written {
            Ok(()) if self.lost > 0 => {
                let lost = std::mem::take(&mut self.lost);
                tracing::error!(lost, path = %self.path.display(), "the audit log's file is written again");
            }
            Ok(()) => {}
            Err(error) => {
                self.lost += 1;
                let (lost, path) = (self.lost, self.path.display());
                tracing::error!(%error, lost, %path, "an audit record cannot be written to its file");
            }
        }
    }

    fn reopen(&mut self) {
        match append_to(&self.path) {
            Ok((file, is_torn)) => (self.file, self.is_torn) = (file, is_torn),
            Err(error) => {
                tracing::error!(%error, path = %self.path.display(), "the audit log cannot be reopened; the former file stays");
            }
        }
    }
}

/// The file, and whether its last line lacks an end.
fn append_to(path: &Path) -> io::Result<(File, bool)> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok((file, false));
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok((file, last != [b'\n']))
}

#[cfg(test)]
mod tests {
    use super::AuditFile;

    #[tokio::test]
    async fn lines_are_appended_and_torn_ones_are_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let read = || std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, "torn").unwrap();
        let file = AuditFile::open(&path).unwrap();
        file.write("a\n".to_owned());
        file.flush().await;
        assert_eq!(read(), "torn\na\n");
        let moved = directory.path().join("audit.log.1");
        std::fs::rename(&path, &moved).unwrap();
        file.reopen();
        file.write("b\n".to_owned());
        file.flush().await;
        assert_eq!((read().as_str(), std::fs::read_to_string(moved).unwrap().as_str()), ("b\n", "torn\na\n"));
        assert!(AuditFile::open(directory.path()).is_err());
    }
}
