//! Which process a run belongs to, and whether that process still exists.

use rustix::process::{Pid, getpid, test_kill_process};

/// A process, as the table `runs` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// The machine's name, for people.
    pub(crate) host: String,
    pub(crate) pid: i64,
    /// Identifies the machine, or the container, whose process numbers `pid` is one of. Empty if that is unknown.
    pub(crate) machine: String,
}

impl Process {
    /// This process.
    pub(crate) fn this() -> Self {
        Self {
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            pid: i64::from(getpid().as_raw_nonzero().get()),
            machine: machine(),
        }
    }

    /// Whether this process can tell that the other one has ended. A process of another machine may have ended, too.
    pub(crate) fn knows_ended(&self, other: &Process) -> bool {
        if self.machine.is_empty() || self.machine != other.machine {
            return false;
        }
        // A process number is used again only after its process has ended.
        let pid = i32::try_from(other.pid).ok().and_then(Pid::from_raw);
        other.pid == self.pid
            || pid.is_none_or(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }
}

/// Linux makes a new boot id at each start, and process numbers count within a namespace.
fn machine() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/pid");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => format!("{} {}", boot.trim(), namespace.display()),
        _ => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn with_pid(pid: i64) -> Process {
        Process {
            pid,
            ..Process::this()
        }
    }

    #[test]
    fn only_a_process_of_this_machine_that_does_not_exist_is_known_to_have_ended() {
        let this = Process::this();
        let parent = rustix::process::getppid().unwrap().as_raw_nonzero();
        assert!(!this.knows_ended(&with_pid(parent.get().into())));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = with_pid(child.id().into());
        child.wait().unwrap();
        assert!(this.knows_ended(&ended));
        let elsewhere = Process {
            machine: "another".to_owned(),
            ..ended
        };
        assert!(!this.knows_ended(&elsewhere));
    }

    #[test]
    fn an_earlier_process_that_had_this_number_has_ended() {
        assert!(Process::this().knows_ended(&Process::this()));
    }
}
