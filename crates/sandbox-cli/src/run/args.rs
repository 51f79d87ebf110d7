//! The flags of `sandbox run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ValueEnum, ValueHint};
use sandbox::policy::{NetworkMode, OnOutput, SyscallProfile};
use sandbox::{ByteSize, Require, Span};

use super::attached::VolumeArg;
use super::branch_args::BranchArgs;
use super::examples;
use super::values::{BindArg, CpuList, TmpfsArg, octal, uid};

/// Run a command confined
///
/// The command sees the system and the current directory, read-only, a private empty home and /tmp, and no
/// network but a loopback of its own. Flags grant more or limit it. Whatever happens, all that it started
/// ends with it.
///
/// On a terminal the command gets a terminal of its own; Ctrl-C, Ctrl-Z and resizing work.
#[derive(Debug, Default, clap::Args)]
#[command(after_help = examples::text(), override_usage = "sandbox run [OPTIONS] -- COMMAND [ARGS]...")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArgs,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    #[command(flatten)]
    pub(crate) branch: BranchArgs,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    #[command(flatten)]
    pub(crate) syscalls: SyscallArgs,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    #[command(flatten)]
    pub(crate) process: ProcessArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// The command and its arguments
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        required_unless_present = "explain"
    )]
    #[arg(value_hint = ValueHint::CommandWithArguments, help_heading = "Command")]
    pub(crate) command: Vec<OsString>,
}

impl RunArgs {
    /// What `-- COMMAND...` comes to: without flags there is nothing to parse, and building the parser takes longer
    /// than reading the command line.
    pub(crate) fn without_flags(words: &[OsString]) -> Option<Self> {
        match words {
            [dashes, command @ ..] if dashes == "--" && !command.is_empty() => Some(Self {
                command: command.to_vec(),
                ..Self::default()
            }),
            _ => None,
        }
    }
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Policy")]
pub(crate) struct PolicyArgs {
    /// Start from a profile: a name, or a TOML or JSON file; flags add to it and override it
    #[arg(long, value_name = "FILE|NAME")]
    pub(crate) profile: Option<OsString>,
    /// Refuse to start when less is enforced, or accept it [default: guaranteed]
    #[arg(long, value_name = "WHAT")]
    pub(crate) require: Option<RequireArg>,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileArgs {
    /// Make a path visible read-only
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) read: Vec<PathBuf>,
    /// Make a path visible and writable
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) write: Vec<PathBuf>,
    /// Hide a path, even beneath a granted directory
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) deny: Vec<PathBuf>,
    /// Make SRC of the host appear at DST, read-only unless :rw is added
    #[arg(long, value_name = "SRC:DST[:rw]")]
    pub(crate) bind: Vec<BindArg>,
    /// Attach a volume at DST, to read and write it, or to only read it; see: sandbox volume
    #[arg(long, value_name = "NAME:DST[:ro]", add = crate::commands::volume::complete::attached())]
    pub(crate) volume: Vec<VolumeArg>,
    /// Mount an empty file system in memory [default size: 64M]
    #[arg(long, value_name = "DST[:SIZE]")]
    pub(crate) tmpfs: Vec<TmpfsArg>,
    /// The most that the private home, /tmp and /dev/shm hold together [default: 2GiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) tmp_size: Option<ByteSize>,
    /// Hide the system too: /usr, /bin, /lib*, and what of /etc is visible
    #[arg(long)]
    pub(crate) no_system: bool,
    /// Let one unix socket through: ssh-agent, gpg-agent or a path
    #[arg(long, value_name = "SOCKET")]
    pub(crate) allow_socket: Vec<OsString>,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// A loopback of its own, or the host's network [default: none]
    #[arg(long, value_name = "WHICH")]
    pub(crate) net: Option<NetArg>,
    /// Allow binding a TCP port; all others are refused then
    #[arg(long, value_name = "PORT")]
    pub(crate) bind_port: Vec<u16>,
    /// Allow connecting to a TCP port; all others are refused then
    #[arg(long, value_name = "PORT")]
    pub(crate) connect_port: Vec<u16>,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "System calls")]
pub(crate) struct SyscallArgs {
    /// The allow-list to start from [default: network]
    #[arg(long, value_name = "PROFILE", value_parser = syscall_profile())]
    pub(crate) syscalls: Option<SyscallProfile>,
    /// Allow a system call or a group as well
    #[arg(long, value_name = "NAME|@GROUP")]
    pub(crate) allow_syscall: Vec<String>,
    /// Refuse a system call or a group
    #[arg(long, value_name = "NAME|@GROUP")]
    pub(crate) deny_syscall: Vec<String>,
    /// Allow namespaces inside, for programs that sandbox themselves: a weaker wall
    #[arg(long)]
    pub(crate) nested: bool,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// Memory, as in 512M or 1.5GiB
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<ByteSize>,
    /// Processes and threads
    #[arg(long, value_name = "N")]
    pub(crate) processes: Option<u32>,
    /// Time on the clock, as in 500ms, 10s or 1m30s
    #[arg(long, value_name = "SPAN")]
    pub(crate) wall_time: Option<Span>,
    /// User and system CPU time
    #[arg(long, value_name = "SPAN")]
    pub(crate) cpu_time: Option<Span>,
    /// Bytes written to standard output and standard error, each
    #[arg(long, value_name = "SIZE")]
    pub(crate) output_limit: Option<ByteSize>,
    /// At the output limit, end the run or throw the rest away [default: kill]
    #[arg(long, value_name = "WHAT", requires = "output_limit")]
    pub(crate) on_output: Option<OnOutputArg>,
    /// Open files of each process
    #[arg(long, value_name = "N")]
    pub(crate) open_files: Option<u32>,
    /// Size of a file that is written
    #[arg(long, value_name = "SIZE")]
    pub(crate) file_size: Option<ByteSize>,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Process")]
pub(crate) struct ProcessArgs {
    /// Set a variable; NAME alone takes it over from the caller
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<OsString>,
    /// Start in this directory, read-only unless granted otherwise [default: the current one]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) cwd: Option<PathBuf>,
    /// Run as another user and group; only root may
    #[arg(long, value_name = "UID", value_parser = uid)]
    pub(crate) user: Option<u32>,
    /// Be root inside, and the caller outside
    #[arg(long, conflicts_with = "user")]
    pub(crate) root: bool,
    /// Host name inside [default: sandbox]
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// File mode creation mask, octal [default: 022]
    #[arg(long, value_name = "MASK", value_parser = octal)]
    pub(crate) umask: Option<u32>,
    /// Niceness, -20 to 19
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) nice: Option<i8>,
    /// CPUs to run on, as in 0,2-3
    #[arg(long, value_name = "LIST")]
    pub(crate) cpus: Option<CpuList>,
}

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write how it ended, what it used and what was enforced as JSON to FILE [default: standard error]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-", require_equals = true, value_hint = ValueHint::FilePath)]
    pub(crate) json: Option<PathBuf>,
    /// Give the command a terminal even when the caller has none
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Say nothing about weaker enforcement and limits that were reached
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print what would be done and enforced, and do not run
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) explain: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RequireArg {
    /// Every guarantee; one that has lost its second wall is reported
    Guaranteed,
    /// Every guarantee, with all its walls
    Full,
    /// Whatever there is, and a report
    BestEffort,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum NetArg {
    /// A loopback of its own
    None,
    /// The host's network
    Host,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OnOutputArg {
    /// End the run
    Kill,
    /// Throw the rest away
    Truncate,
}

impl From<RequireArg> for Require {
    fn from(arg: RequireArg) -> Self {
        match arg {
            RequireArg::Guaranteed => Self::Guaranteed,
            RequireArg::Full => Self::Full,
            RequireArg::BestEffort => Self::BestEffort,
        }
    }
}

impl From<NetArg> for NetworkMode {
    fn from(arg: NetArg) -> Self {
        match arg {
            NetArg::None => Self::None,
            NetArg::Host => Self::Host,
        }
    }
}

impl From<OnOutputArg> for OnOutput {
    fn from(arg: OnOutputArg) -> Self {
        match arg {
            OnOutputArg::Kill => Self::Kill,
            OnOutputArg::Truncate => Self::Truncate,
        }
    }
}

fn syscall_profile() -> impl TypedValueParser<Value = SyscallProfile> {
    PossibleValuesParser::new(SyscallProfile::ALL.map(SyscallProfile::name))
        .try_map(|name| name.parse::<SyscallProfile>())
}
