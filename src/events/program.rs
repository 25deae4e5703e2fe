//! One run of a local program: started, fed, listened to, and ended with all that it started.
//!
//! The program leads a process group of its own. The group is killed when its leader has ended, when the time is over, and
//! when the future is dropped; always before the leader is waited for, so that its number cannot be another's by then. A
//! process that leaves the group escapes this; so does one whose server is killed itself.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::credentials::Secret;

/// The variables that a program gets from this process.
const INHERITED: [&str; 2] = ["PATH", "HOME"];
/// The lines of each stream that are told; the rest is read and dropped.
const LINES_MAX: usize = 100;
/// Longer lines are told in pieces.
const LINE_BYTES_MAX: usize = 1024;
/// How long output may still come after everything of the group was killed: what is in the pipes.
const REST_TIME_MAX: Duration = Duration::from_secs(1);

/// How a program is run.
pub struct Program {
    /// The program and its arguments. No shell looks at them.
    pub command: Vec<String>,
    /// Its environment, besides `PATH` and `HOME`.
    pub env: BTreeMap<String, Secret>,
    /// Its working directory.
    pub directory: PathBuf,
    /// The address space of each of its processes, in bytes.
    pub memory_bytes: u64,
    /// How long it may run.
    pub time_max: Duration,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with that status.
    Exit(i32),
    /// By that signal.
    Signal(i32),
    /// It took too long, and was killed.
    Late,
}

/// Takes the lines that a program writes: the stream's name, and the line.
pub type Tell<'a> = &'a (dyn Fn(&'static str, &str) + Send + Sync);

impl Program {
    /// Runs the program with that input. `Err` if it cannot be run at all. Dropping the future kills it.
    pub async fn run(&self, input: &[u8], tell: Tell<'_>) -> io::Result<End> {
        match timeout(self.time_max, self.run_on(input, tell)).await {
            Ok(status) => status.map(End::of),
            Err(_) => Ok(End::Late),
        }
    }

    async fn run_on(&self, input: &[u8], tell: Tell<'_>) -> io::Result<ExitStatus> {
        // Before the start, so that no end is missed.
        let mut ends = signal(SignalKind::child())?;
        let mut group = Group::start(self)?;
        let pipes = (group.child.stdin.take(), group.child.stdout.take(), group.child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the program has no pipes"));
        };
        let feed = async move {
            // A program need not read all that it is given.
            let _given = stdin.write_all(input).await;
        };
        let talk = async { tokio::join!(feed, listen("stdout", stdout, tell), listen("stderr", stderr, tell)) };
        tokio::pin!(talk);
        let pid = group.pid;
        let end = async {
            while waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)?
                .is_none()
            {
                ends.recv().await.ok_or_else(|| io::Error::other("the runtime ends"))?;
            }
            Ok::<_, io::Error>(())
        };
        tokio::pin!(end);
        let mut has_talked = false;
        tokio::select! {
            _ = &mut talk => {
                has_talked = true;
                end.await?;
            }
            ended = &mut end => ended?,
        }
        group.kill();
        if !has_talked {
            let _rest = timeout(REST_TIME_MAX, talk).await;
        }
        group.child.wait().await
    }

    fn command(&self) -> io::Result<Command> {
        let (program, arguments) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        let inherited = INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        command
            .args(arguments)
            .env_clear()
            .envs(inherited)
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(&self.directory)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command)
    }
}

impl End {
    fn of(status: ExitStatus) -> End {
        use std::os::unix::process::ExitStatusExt as _;
        match (status.code(), status.signal()) {
            (Some(code), _) => End::Exit(code),
            (None, signal) => End::Signal(signal.unwrap_or_default()),
        }
    }
}

/// A running program, killed with its group when it is dropped.
struct Group {
    child: Child,
    pid: Pid,
    is_killed: bool,
}

impl Group {
    fn start(program: &Program) -> io::Result<Group> {
        let child = program.command()?.spawn()?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = Group { child, pid: pid.ok_or(io::ErrorKind::NotFound)?, is_killed: false };
        // From outside, which needs no code between fork and exec. The program has no input yet, so it has nothing to work
        // on; what it starts later inherits the bound.
        let bound = Rlimit { current: Some(program.memory_bytes), maximum: Some(program.memory_bytes) };
        match prlimit(Some(group.pid), Resource::As, bound) {
            Ok(_) => Ok(group),
            Err(error) => Err(error.into()),
        }
    }

    /// Kills all of the group. Its leader was not waited for yet, so the number is still its own.
    fn kill(&mut self) {
        if !std::mem::replace(&mut self.is_killed, true) {
            // That nobody is left is no error.
            let _killed = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The runtime waits for children that nobody waits for any more.
        self.kill();
    }
}

/// Reads a stream to its end and tells its lines.
async fn listen(name: &'static str, mut stream: impl AsyncRead + Unpin, tell: Tell<'_>) {
    let mut lines = Lines::default();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => lines.take(&buffer[..read], |line| tell(name, line)),
        }
    }
    lines.end(|line| tell(name, line));
}

/// Cuts bytes into lines, of bounded length and number.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    told: usize,
    bytes_dropped: u64,
}

impl Lines {
    fn take(&mut self, bytes: &[u8], mut tell: impl FnMut(&str)) {
        for (place, &byte) in bytes.iter().enumerate() {
            if self.told == LINES_MAX {
                self.bytes_dropped += (bytes.len() - place) as u64;
                return;
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
            if byte == b'\n' || self.line.len() == LINE_BYTES_MAX {
                self.tell(&mut tell);
            }
        }
    }

    fn end(mut self, mut tell: impl FnMut(&str)) {
        self.tell(&mut tell);
        if self.bytes_dropped > 0 {
            tell(&format!("({} more bytes)", self.bytes_dropped));
        }
    }

    fn tell(&mut self, tell: &mut impl FnMut(&str)) {
        if !self.line.is_empty() {
            tell(&String::from_utf8_lossy(&self.line));
            self.told += 1;
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_BYTES_MAX, LINES_MAX, Lines};

    #[test]
    fn output_is_cut_into_bounded_lines() {
        fn check(pieces: &[&[u8]], expected: &[&str]) {
            let mut told = Vec::new();
            let mut lines = Lines::default();
            pieces.iter().for_each(|piece| lines.take(piece, |line| told.push(line.to_owned())));
            lines.end(|line| told.push(line.to_owned()));
            assert_eq!(told, expected);
        }
        check(&[], &[]);
        check(&[b"one\n\ntw", b"o\nthree"], &["one", "two", "three"]);
        check(&[b"\xff\n"], &["\u{fffd}"]);
        let long = "x".repeat(LINE_BYTES_MAX);
        check(&[format!("{long}yy\n").as_bytes()], &[&long, "yy"]);
        let many = "l\n".repeat(LINES_MAX + 5);
        let mut expected = vec!["l"; LINES_MAX];
        expected.push("(13 more bytes)");
        check(&[many.as_bytes(), b"abc"], &expected);
    }
}
