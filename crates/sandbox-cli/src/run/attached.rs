//! `sandbox run --volume`: volumes for as long as the command runs.

use std::path::PathBuf;
use std::str::FromStr;

use sandbox::volume::{Holder, default_backend};
use sandbox::{
    Access, Mount, MountSource, Policy, Sandbox, SandboxBuilder, VolumeName, attach_volumes, names_volumes,
};

use super::args::RunArgs;
use super::on_branch::Session;
use crate::commands::volume::block_on;
use crate::error::CliError;
use crate::output::note;

/// `NAME:DST[:ro]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeArg {
    volume: VolumeName,
    at: PathBuf,
    access: Access,
}

/// Why a text is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidVolumeArg {
    #[error("write NAME:/DST, or NAME:/DST:ro to only read it")]
    Form,
    #[error(transparent)]
    Name(#[from] sandbox::InvalidName),
}

impl FromStr for VolumeArg {
    type Err = InvalidVolumeArg;

    fn from_str(text: &str) -> Result<Self, InvalidVolumeArg> {
        let mut parts = text.splitn(3, ':');
        let (name, at) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let access = match parts.next() {
            None | Some("rw") => Access::Write,
            Some("ro") => Access::Read,
            Some(_) => return Err(InvalidVolumeArg::Form),
        };
        if !at.starts_with('/') {
            return Err(InvalidVolumeArg::Form);
        }
        Ok(Self {
            volume: name.parse()?,
            at: at.into(),
            access,
        })
    }
}

impl VolumeArg {
    /// As a policy has it.
    pub(super) fn mount(&self) -> Mount {
        Mount {
            at: self.at.clone(),
            source: MountSource::Volume(self.volume.clone()),
            access: self.access,
        }
    }
}

/// The volumes of a run. Where there are none, nothing is looked at and nothing is kept.
#[derive(Debug)]
pub(super) struct AttachedVolumes(Option<sandbox::AttachedVolumes>);

impl AttachedVolumes {
    /// Takes the volumes that the policy names; the policy with their directories in the places of their names.
    pub(super) fn take(
        policy: Policy,
        args: &RunArgs,
        session: Option<&Session>,
    ) -> Result<(Policy, Self), CliError> {
        if !names_volumes(&policy) {
            return Ok((policy, Self(None)));
        }
        if let Some(name) = session.and_then(Session::joined) {
            // Whoever joins is under the policy of whoever began, volumes among it.
            return if args.files.volume.is_empty() {
                Ok((policy, Self(None)))
            } else {
                Err(CliError::VolumeOnJoin { name: name.clone() })
            };
        }
        let holder = Holder {
            sandbox: None,
            command: shown(args),
        };
        let (policy, attached) = block_on(async {
            let backend = default_backend().await?;
            let attached = attach_volumes(&policy, &*backend, &holder).await;
            // No thread is to be left that signals could go to instead of this one, which relays them.
            backend.close().await;
            Ok(attached?)
        })?;
        Ok((policy, Self(Some(attached))))
    }

    /// A sandbox for the policy, with the volumes that are served.
    pub(super) fn builder(&self, policy: &Policy) -> SandboxBuilder {
        match &self.0 {
            Some(volumes) => volumes.builder(policy),
            None => Sandbox::builder(policy),
        }
    }

    /// Whether any is served, so that the policy alone does not do.
    pub(super) fn are_served(&self) -> bool {
        self.0.as_ref().is_some_and(sandbox::AttachedVolumes::are_served)
    }

    /// Whether there are any.
    pub(super) fn are_there(&self) -> bool {
        self.0.is_some()
    }

    /// Gives them back. Nothing that ran in the sandbox is left by now.
    pub(super) fn give_back(self) {
        let Some(attached) = self.0 else { return };
        let given = block_on(async {
            let given = attached.detach().await;
            default_backend().await?.close().await;
            Ok(given?)
        });
        if let Err(error) = given {
            note(error);
        }
    }
}

fn shown(args: &RunArgs) -> String {
    let words = args.command.iter().map(|word| word.to_string_lossy());
    words.collect::<Vec<_>>().join(" ").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_written_unless_it_is_said_otherwise() {
        let read = |text: &str| text.parse::<VolumeArg>().map(|volume| volume.access);
        assert_eq!(read("data:/x"), Ok(Access::Write));
        assert_eq!(read("data:/x:rw"), Ok(Access::Write));
        assert_eq!(read("data:/x:ro"), Ok(Access::Read));
        for bad in [
            "data",
            "data:",
            "data:x",
            "data:/x:",
            "data:/x:no",
            ":/x",
            "../data:/x",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
